"""Methods for fractional programs."""
