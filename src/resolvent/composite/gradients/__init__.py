"""Methods by gradients of the smooth part."""
