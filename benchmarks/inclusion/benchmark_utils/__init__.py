"""What the solvers of this benchmark share: the clock, and sets to project on."""
