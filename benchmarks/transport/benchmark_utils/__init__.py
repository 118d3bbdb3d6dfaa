"""What the solvers of this benchmark share: pairwise costs, and the processes that they run in."""
