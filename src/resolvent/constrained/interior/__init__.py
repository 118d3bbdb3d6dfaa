"""Interior points: a barrier in front of every bound, and Newton's method behind it."""
