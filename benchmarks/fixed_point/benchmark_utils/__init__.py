"""What the solvers of this benchmark share: the clock, and the maps in NumPy and in JAX."""
