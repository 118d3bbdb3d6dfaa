"""When a method for smooth problems has nowhere to go."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.solution import Reason


def ending(x: Any, value: Any, length: Any, refused: Any) -> Any:
    """0, or the code of a `Reason`: diverged where values or points are beyond all bounds, stalled
    where a step that was refused is lost in the rounding of x."""
    x, value, length = jax.lax.stop_gradient((x, value, length))
    bound = jnp.sqrt(jnp.finfo(value.dtype).max)
    size = trees.norm(x).astype(value.dtype)
    away = (value < -bound) | (size > bound)
    lost = refused & (length <= jnp.finfo(value.dtype).eps * size)
    code = jnp.where(lost, Reason.stalled.code, 0)
    return jnp.where(away, Reason.diverged.code, code).astype(jnp.int32)
