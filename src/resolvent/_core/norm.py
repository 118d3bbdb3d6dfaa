"""Euclidean norms that neither overflow nor vanish before their result does."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_ONE_THREAD = 4096
_SAFE = {"d": (1e-280, 1e300), "f": (1e-30, 1e37)}  # squares that neither overflowed nor vanished


def norm(vector: Any) -> Any:
    """||v||_2: a Python float for NumPy arrays, a traced scalar for JAX arrays."""
    if isinstance(vector, np.ndarray | np.generic):
        flat: Any = vector.ravel()
        # Beyond a few thousand entries a BLAS product wakes threads that cost more than the sum.
        square = float(
            flat.dot(flat) if flat.size <= _ONE_THREAD else np.einsum("i,i->", flat, flat)
        )
        if flat.size == 0 or is_safe(square, vector.dtype):
            return square**0.5
        largest = float(np.max(np.abs(flat)))
        if largest == 0.0 or not math.isfinite(largest):
            return largest
        scaled = flat.astype(np.float64) / largest
        return largest * float(np.sqrt(np.einsum("i,i->", scaled, scaled)))
    return _traced_norm(vector)


@jax.jit
def _traced_norm(vector: Any) -> Any:
    """Most vectors need one pass, and only those whose squares are extreme need three."""
    square = (vector * vector).sum()
    safe = is_safe(square, np.dtype(vector.dtype))

    def plain(_: Any) -> Any:
        # In a batch both branches are evaluated, and this one must have a derivative then.
        return jnp.sqrt(jnp.where(safe, square, 1.0))

    def scaled(vector: Any) -> Any:
        largest = jnp.max(jnp.abs(vector), initial=0.0)
        unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
        return jnp.where(largest > 0, unit * jnp.linalg.norm((vector / unit).ravel()), largest)

    return jax.lax.cond(safe, plain, scaled, vector)


def is_safe(square: Any, dtype: Any) -> Any:
    """Whether a sum of squares in this precision neither overflowed nor vanished on the way."""
    low, high = _SAFE[dtype.char]
    return (low < square) & (square < high)
