"""Methods for few nonzeros."""
