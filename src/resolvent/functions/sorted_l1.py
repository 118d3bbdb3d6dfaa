"""The l1 norm with weights for ranks instead of entries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import is_traced, real_array, refuse
from resolvent.functions.function import Function, within
from resolvent.functions.norms import not_negative
from resolvent.functions.sets import inside


class SortedL1(Function):
    """The sum of weights_i |x|_(i), the largest entry of |x| with the first weight: SLOPE, OWL.

    Args:
        weights: [n], falling and not negative, the first of them positive.

    Raises:
        ValueError: for weights that rise, are negative, not finite or all zero; for a point with
            another number of entries.

    Cost: a sort and, for the prox, 2 n short steps one after the other.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        g = rs.functions.SortedL1(jnp.array([2.0, 1.0, 0.0]))
        x = g.prox(jnp.array([0.5, -4.0, 4.0]), 1.0)
        assert jnp.allclose(x, jnp.array([0.5, -2.5, 2.5]))
        ```

    Reference:
        M. Bogdan, E. van den Berg, C. Sabatti, W. Su, E. J. Candes (2015), SLOPE: adaptive variable
        selection via convex optimization, arXiv 1407.3824.
    """

    weights: Any

    def __init__(self, weights: Float[Any, " n"]):
        weights = real_array("weights", weights)
        if weights.ndim != 1 or not weights.size:
            refuse(
                ValueError, "weights", given=f"shape {weights.shape}", needed="a vector [n]",
                advice="Give one weight for each rank.",
            )  # fmt: skip
        not_negative("weights", weights)
        if not is_traced(weights):
            known = np.asarray(weights)
            if not (np.diff(known) <= 0).all() or not known[0] > 0:
                refuse(
                    ValueError, "weights", given="weights that rise, or zeros alone",
                    needed="weights that fall from a positive one",
                    advice="Sort them, the largest one first.",
                )  # fmt: skip
        vars(self).update(weights=weights)

    def value(self, x: Any) -> Any:
        size = jnp.abs(trees.raveled(x))
        return -jnp.sort(-size) @ jnp.asarray(self.weights, size.dtype)

    def prox(self, x: Any, step: Any) -> Any:
        flat = jnp.asarray(trees.raveled(x))
        size = jnp.abs(flat)
        order = jnp.argsort(-size)
        bars = jnp.asarray(step, flat.dtype) * jnp.asarray(self.weights, flat.dtype)
        excess = size[order] - bars
        level = jnp.maximum(_averaged(excess, _starts(excess)), 0)
        return trees.unraveled(jnp.sign(flat) * jnp.zeros_like(flat).at[order].set(level), x)

    def displacement(self, x: Any, v: Any) -> Any:
        flat, part = jnp.asarray(trees.raveled(x)), jnp.asarray(trees.raveled(v))
        moved = flat - part
        order = jnp.argsort(-jnp.abs(moved))
        sign = jnp.where(moved < 0, -1, 1)[order].astype(flat.dtype)
        own, turn = sign * flat[order], sign * part[order]
        bars = jnp.asarray(self.weights, flat.dtype)
        excess = own - turn - bars
        starts = _starts(excess)
        # Where |x| is constant on a piece already, v and the weights alone decide.
        away = own - own[_first(starts)]
        taken = away - _averaged(away, starts) + _averaged(turn + bars, starts)
        taken = jnp.where(_averaged(excess, starts) > 0, taken, own)
        return trees.unraveled(jnp.zeros_like(flat).at[order].set(sign * taken), x)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        flat, part = jnp.asarray(trees.raveled(x)), jnp.asarray(trees.raveled(v))
        size = jnp.abs(flat)
        along = jnp.where(flat == 0, jnp.abs(part), jnp.sign(flat) * part)
        # Entries of equal size share their weights, in whatever order: a face of the dual ball is
        # a product of permutahedra, and one of the whole ball for the zeros.
        order = jnp.lexsort((-along, -size))
        size, excess = size[order], along[order] - jnp.asarray(self.weights, flat.dtype)
        alone = jnp.concatenate([jnp.ones(1, bool), size[1:] != size[:-1]])
        beyond = _averaged(excess, _starts(excess, alone))
        return trees.norm(jnp.where(size == 0, jnp.maximum(beyond, 0), beyond))

    def conjugate(self, v: Any) -> Any:
        size = jnp.abs(trees.raveled(v))
        most = jnp.cumsum(jnp.asarray(self.weights, size.dtype))
        return inside(jnp.maximum(jnp.cumsum(-jnp.sort(-size)) - most, 0), most).max()

    def check(self, point: Any) -> None:
        entries = sum(leaf.size for leaf in trees.leaves(point))
        if self.weights.shape != (entries,):
            refuse(
                ValueError, "weights", given=f"{self.weights.size} for a point of {entries} "
                "entries", needed="one for each rank", advice="Give each entry a weight.",
            )  # fmt: skip

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        size = jnp.abs(trees.raveled(v))
        most = jnp.cumsum(jnp.asarray(self.weights, size.dtype))
        return within((jnp.cumsum(-jnp.sort(-size)) / most).max(), 1.0)


@jax.jit
def _starts(x: Any, alone: Any = None) -> Any:
    """Where the constant pieces begin of the falling sequence that is nearest to x.

    A piece that begins where `alone` is true never joins the one before it. A stack of pieces, the
    last of them in hand: each step either joins it to the one below, where they are out of order,
    or puts it down and takes the next entry. Numbers are read after the writes of a step, at its
    end: XLA copies an array that is read before it is written in place.
    """
    n = x.size
    x = jax.lax.stop_gradient(x)
    alone = jnp.zeros(n, bool) if alone is None else alone

    def at(rows: Any, place: Any) -> Any:
        return jax.lax.dynamic_index_in_dim(rows, jnp.clip(place, 0, n - 1), keepdims=False)

    def step(_: Any, carry: Any) -> Any:
        means, begins, (mean, begin), (low_mean, low_begin), following, (depth, taken) = carry
        joins = (depth > 0) & (low_mean <= mean) & ~at(alone, begin)
        share = (taken - begin) / (taken - low_begin).astype(x.dtype)
        joined = low_mean + (mean - low_mean) * share
        # After the last entry, and in a step that joins, a row that nobody reads is written.
        puts = ~joins & (taken < n)
        place = jnp.where(puts, depth, n)
        means = jax.lax.dynamic_update_index_in_dim(means, mean, place, 0)
        begins = jax.lax.dynamic_update_index_in_dim(begins, begin, place, 0)
        mean = jnp.where(joins, joined, jnp.where(puts, following, mean))
        begin = jnp.where(joins, low_begin, jnp.where(puts, taken, begin))
        depth, taken = depth + puts - joins, taken + puts
        below = at(means, depth - 1), at(begins, depth - 1)
        return means, begins, (mean, begin), below, at(x, taken), (depth, taken)

    zero, one = jnp.int32(0), jnp.int32(1)
    start = (
        jnp.zeros(n + 1, x.dtype), jnp.zeros(n + 1, jnp.int32), (x[0], zero), (x[0], zero),
        at(x, one), (zero, one),
    )  # fmt: skip
    _, begins, (_, begin), _, _, (depth, _) = jax.lax.fori_loop(0, 2 * n - 2, step, start)
    used = jnp.where(jnp.arange(n + 1) < depth, begins, n)
    return jnp.zeros(n, bool).at[used].set(True, mode="drop").at[begin].set(True)


def _first(starts: Any) -> Any:
    """For each entry, where its piece begins."""
    return jax.lax.cummax(jnp.where(starts, jnp.arange(starts.size), 0))


def _averaged(x: Any, starts: Any) -> Any:
    """The means over the pieces that begin at `starts`, at each of their entries."""
    piece = jnp.cumsum(starts) - 1

    def summed(values: Any) -> Any:
        return jax.ops.segment_sum(values, piece, x.size, indices_are_sorted=True)

    return (summed(x) / jnp.maximum(summed(jnp.ones_like(x)), 1))[piece]
