"""What the solvers of this benchmark share: a process of their own, data, and the referee."""
