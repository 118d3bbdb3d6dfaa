"""Methods for quadratic programs."""
