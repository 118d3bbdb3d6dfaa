"""Methods that split f + g + h(K x)."""
