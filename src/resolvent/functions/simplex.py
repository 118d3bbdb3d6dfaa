"""Projection onto simplices, row by row."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from resolvent.functions.own_kind import answering


@answering
def simplex_projection(x: Float[Any, "*batch n"], total: Any = 1.0) -> Float[Any, "*batch n"]:
    """The nearest point with entries that are not negative and sum to `total`, along the last axis.

    Args:
        x: any numbers.
        total: positive.

    Returns:
        The projection.

    Example:
        ```python
        import jax.numpy as jnp
        from resolvent.functions import simplex_projection
        assert jnp.allclose(simplex_projection(jnp.zeros(4)), 0.25)
        ```
    """
    total = jnp.asarray(total, x.dtype)
    # Sums of numbers far from zero lose what the threshold is made of.
    moved = x - jax.lax.stop_gradient(x.max(axis=-1, keepdims=True))
    return _above_threshold(moved, total)


@jax.custom_jvp
@jax.jit  # or every call outside of a program would compile its loop again
def _above_threshold(x: Any, total: Any) -> Any:
    """max(x - t, 0) with the t at which it sums to `total`; the largest entry of x is 0.

    Newton's iteration on t climbs to the root of a convex decreasing function, and is there when
    the set of entries above t no longer changes: much less work than to sort.
    """
    x = jnp.maximum(x, -total)

    def climbs(carry: Any) -> Any:
        before, threshold = carry
        return (threshold > before).any()

    def climb(carry: Any) -> Any:
        _, threshold = carry
        above = x > threshold
        sums = jnp.where(above, x, 0).sum(axis=-1, keepdims=True) - total
        count = above.sum(axis=-1, keepdims=True).astype(x.dtype)
        return threshold, jnp.maximum(threshold, sums / jnp.maximum(count, 1))

    mean = x.mean(axis=-1, keepdims=True) - total / x.shape[-1]
    _, threshold = jax.lax.while_loop(climbs, climb, (jnp.full_like(mean, -jnp.inf), mean))
    return jnp.maximum(x - threshold, 0)


@_above_threshold.defjvp
def _(primals: Any, tangents: Any) -> Any:
    near = _above_threshold(*primals)
    inside = near > 0
    count = jnp.maximum(inside.sum(axis=-1, keepdims=True), 1).astype(near.dtype)
    moved, more = tangents
    lack = more - jnp.where(inside, moved, 0).sum(axis=-1, keepdims=True)
    return near, jnp.where(inside, moved + lack / count, 0)
