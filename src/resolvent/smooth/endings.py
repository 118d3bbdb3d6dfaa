"""When a method for smooth problems has nowhere to go."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.solution import Reason

_REST = 64.0  # how much room is left below numbers whose squares overflow


def ending(x: Any, value: Any, gradient: Any, length: Any, refused: Any) -> Any:
    """0, or the code of a `Reason`: diverged where points are beyond all bounds, or values with
    their gradients, stalled where a step that was refused is lost in the rounding of x."""
    x, value, gradient, length = jax.lax.stop_gradient((x, value, gradient, length))
    bound = jnp.sqrt(jnp.finfo(value.dtype).max)
    size = trees.norm(x).astype(value.dtype)
    # A low value alone may be the unit of f; a step more may leave nothing that can be squared.
    steep = trees.norm(gradient).astype(value.dtype) > bound / _REST
    away = (size > bound) | ((value < -bound / _REST) & steep)
    lost = refused & (length <= jnp.finfo(value.dtype).eps * size)
    code = jnp.where(lost, Reason.stalled.code, 0)
    return jnp.where(away, Reason.diverged.code, code).astype(jnp.int32)
