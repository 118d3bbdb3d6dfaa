"""Monotone sequences: pooling of adjacent violators."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import is_traced, refuse
from resolvent._core.value import static
from resolvent.functions.own_kind import answering
from resolvent.functions.sets import _Membership, inside


class Isotonic(_Membership):
    """x_1 <= x_2 <= ... <= x_n along the last axis, or the other way round.

    The set is a convex cone; its support function is 0 where v projects to zero (its tail sums are
    at most 0, and its sum is 0), and infinite elsewhere.

    Args:
        increasing: whether the sequences increase.

    Raises:
        TypeError: for `increasing` that is no bool.
        ValueError: for a point without an axis.

    Cost: at most 2 n short steps, one after the other: faster on a processor than on a GPU.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Isotonic().project(jnp.array([1.0, 3.0, 2.0, 4.0]))
        assert (x == jnp.array([1.0, 2.5, 2.5, 4.0])).all()
        ```

    Reference: M. Ayer, H. D. Brunk, G. M. Ewing, W. T. Reid, E. Silverman (1955), An empirical
    distribution function for sampling with incomplete information.
    """

    increasing: bool = static(True)

    def __post_init__(self) -> None:
        if not isinstance(self.increasing, bool):
            refuse(
                TypeError, "increasing", given=repr(self.increasing), needed="True or False",
                advice="Weights belong to isotonic_regression.",
            )  # fmt: skip

    def project(self, x: Any) -> Any:
        return jax.tree_util.tree_map(
            lambda leaf: isotonic_regression(leaf, increasing=self.increasing), x
        )

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            if not self.increasing:
                return jnp.flip(row(jnp.flip(leaf, -1), jnp.flip(part, -1)), -1)
            return row(leaf, part)

        @functools.partial(jnp.vectorize, signature="(n),(n)->(n)")
        def row(leaf: Any, part: Any) -> Any:
            ones = jnp.ones_like(leaf)
            starts = _pooled(*jax.lax.stop_gradient((leaf - part, ones)))[1]
            # Where x is constant on a block already, v alone decides.
            first = jax.lax.cummax(jnp.where(starts, jnp.arange(leaf.size), 0))
            moved = leaf - leaf[first]
            return moved - _averaged(moved, ones, starts) + _averaged(part, ones, starts)

        return jax.tree_util.tree_map(one, x, v)

    def conjugate(self, v: Any) -> Any:
        return inside(trees.norm(self.project(v)), trees.norm(v))

    def check(self, point: Any) -> None:
        for leaf in trees.leaves(point):
            if not jnp.ndim(leaf) or not leaf.shape[-1]:
                refuse(
                    ValueError, "set", given=f"a point of shape {jnp.shape(leaf)}",
                    needed="sequences along the last axis", advice="Give the point an axis.",
                )  # fmt: skip


@answering
def isotonic_regression(
    x: Float[Any, "*batch n"], weights: Any = None, increasing: bool = True
) -> Float[Any, "*batch n"]:
    """The monotone y that minimizes the sum of weights (y - x)^2, along the last axis.

    Args:
        x: any numbers.
        weights: positive, of a shape that broadcasts to that of x; None for equal ones.
        increasing: whether y increases.

    Returns:
        y, whose derivative is that of the means of its constant pieces.

    Raises:
        ValueError: for weights that are not positive.

    Cost: at most 2 n short steps, one after the other.

    Example:
        ```python
        import jax.numpy as jnp
        from resolvent.functions import isotonic_regression
        y = isotonic_regression(jnp.array([3.0, 0.0]), jnp.array([2.0, 1.0]))
        assert jnp.allclose(y, 2.0)
        ```
    """
    if weights is None:
        weights = jnp.ones_like(x)
    elif not is_traced(weights) and not np.all(np.asarray(weights) > 0):
        refuse(
            ValueError, "weights", given="weights that are not positive", needed="positive ones",
            advice="Drop the entries of weight 0.",
        )  # fmt: skip
    weights = jnp.broadcast_to(jnp.asarray(weights, x.dtype), x.shape)
    if increasing:
        return _fits(x, weights)
    return jnp.flip(_fits(jnp.flip(x, -1), jnp.flip(weights, -1)), -1)


@jax.jit
def _fits(x: Any, weights: Any) -> Any:
    return jnp.vectorize(_fit, signature="(n),(n)->(n)")(x, weights)


@jax.custom_jvp
def _fit(x: Any, weights: Any) -> Any:
    return _pooled(x, weights)[0]


@_fit.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x, weights), (moved, more) = primals, tangents
    near, starts = _pooled(x, weights)
    pieces = _averaged(moved + more * (x - near) / weights, weights, starts)
    return near, pieces


def _averaged(x: Any, weights: Any, starts: Any) -> Any:
    """The weighted means over the pieces that begin at `starts`, at each of their entries."""
    piece = jnp.cumsum(starts) - 1

    def summed(values: Any) -> Any:
        return jax.ops.segment_sum(values, piece, x.size, indices_are_sorted=True)

    return (summed(weights * x) / summed(weights))[piece]


@jax.jit
@jax.custom_batching.sequential_vmap  # a batch of loops would copy their stacks at every step
def _pooled(x: Any, weights: Any) -> Any:
    """The increasing fit, and where its constant pieces begin.

    A stack of pieces: each entry takes in the pieces before it that are not below it, and then is
    pushed. The inner loop only reads the stack, so that nothing of it is copied.
    """
    n = x.size

    def push(entry: Any, stacks: Any) -> Any:
        means, sizes, begins, top = stacks

        def pools(piece: Any) -> Any:
            mean, _, _, top = piece
            return (top > 0) & (means[jnp.maximum(top - 1, 0)] >= mean)

        def pool(piece: Any) -> Any:
            mean, size, _, top = piece
            last = top - 1
            total = sizes[last] + size
            return means[last] + (mean - means[last]) * (size / total), total, begins[last], last

        alone = x[entry], weights[entry], entry, top
        *piece, top = jax.lax.while_loop(pools, pool, alone)
        written = [
            jax.lax.dynamic_update_index_in_dim(stack, value, top, 0)
            for stack, value in zip((means, sizes, begins), piece, strict=True)
        ]
        return *written, top + 1

    # As integers of one width, which the indices of loops have not in double precision.
    zero = jnp.int32(0)
    empty = x, weights, jnp.zeros(n, jnp.int32), zero
    means, _, begins, top = jax.lax.fori_loop(zero, jnp.int32(n), push, empty)
    used = jnp.where(jnp.arange(n) < top, begins, n)
    starts = jnp.zeros(n, bool).at[used].set(True, mode="drop")
    return means[jnp.cumsum(starts) - 1], starts
