"""The norm of a symmetric linear map that is known by its products."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees


def norm_of(product: Callable[[Any], Any], like: Any, powers: int) -> Any:
    """The norm of a symmetric linear map of trees, a little below it after so many products."""
    flat = trees.raveled(like)
    v = jax.random.normal(jax.random.key(0), flat.shape, flat.dtype)

    def power(_: Any, carry: Any) -> Any:
        v, _ = carry
        v = trees.raveled(product(trees.unraveled(v, like)))
        size = trees.norm(v)
        return v / jnp.where(size > 0, size, 1.0), size

    start = v / trees.norm(v), jnp.ones((), flat.dtype)
    return jax.lax.fori_loop(0, powers, power, start)[1]
