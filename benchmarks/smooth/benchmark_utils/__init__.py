"""What the solvers of this benchmark share: processes of their own, oracles, and the referee."""
