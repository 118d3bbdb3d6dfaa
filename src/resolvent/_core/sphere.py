"""Where a way meets a sphere, in numbers whose squares neither overflow nor vanish."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core.line_search import power_of_two
from resolvent._core.norm import norm


def binary_unit(size: Any) -> Any:
    """The power of two next to a size, which divides without rounding; 1 where there is none."""
    size = jax.lax.stop_gradient(size)
    return power_of_two(jnp.where((size > 0) & jnp.isfinite(size), size, 1))


def to_sphere(h: Float[Any, " n"], way: Float[Any, " n"], radius: Any) -> Any:
    """The t with ||h + t way|| = radius, for an h inside and a way that leads outwards."""
    unit, pace = binary_unit(radius), binary_unit(norm(way))
    h, way, radius = h / unit, way / pace, radius / unit
    square, along = way @ way, h @ way
    room = jnp.maximum(radius**2 - h @ h, 0)
    inner = along**2 + square * room
    return room / (along + jnp.sqrt(jnp.where(inner > 0, inner, 1))) * (unit / pace)
