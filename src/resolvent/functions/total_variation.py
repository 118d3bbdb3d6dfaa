"""Total variation of sequences and of images."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, count, is_traced, refuse
from resolvent._core.value import static
from resolvent.functions.function import Function, within
from resolvent.functions.norms import soft
from resolvent.functions.sets import held, inside
from resolvent.functions.sorted_l1 import _averaged, _first


class Fused(Function):
    """weight times the sum of |x_{i+1} - x_i| plus sparsity times the sum of |x_i|.

    Total variation in one dimension, and with sparsity the fused lasso; for [..., n] the sum over
    all sequences along the last axis. The prox is exact.

    Args:
        weight: positive.
        sparsity: not negative.

    Raises:
        ValueError: for numbers that are not positive, or a point without an axis.

    Cost: 5 n short steps one after the other for a prox, a conjugate or a distance.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Fused(1.0).prox(jnp.array([0.0, 1.0, 6.0, 7.0]), 1.0)
        assert jnp.allclose(x, jnp.array([1.0, 1.0, 6.0, 6.0]))
        ```

    Reference:
        N. A. Johnson (2013), A dynamic programming algorithm for the fused lasso and
        L0-segmentation.
    """

    weight: Any = 1.0
    sparsity: Any = 0.0

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        if not is_traced(self.sparsity) and not np.all(np.asarray(self.sparsity) == 0):
            between("sparsity", self.sparsity, 0.0, math.inf, "Use 0 for no such term.")

    def value(self, x: Any) -> Any:
        return self.weight * jnp.abs(jnp.diff(x)).sum() + self.sparsity * jnp.abs(x).sum()

    def prox(self, x: Any, step: Any) -> Any:
        bar = jnp.asarray(self.weight * step, x.dtype)
        return soft(_flattened(x, bar), jnp.asarray(self.sparsity * step, x.dtype))

    def displacement(self, x: Any, v: Any) -> Any:
        return _parted(x, v, jnp.asarray(self.weight, x.dtype), jnp.asarray(self.sparsity, x.dtype))

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        weight, sparsity = jnp.asarray(self.weight, x.dtype), jnp.asarray(self.sparsity, x.dtype)
        return trees.norm(_beyond(x, v, weight, sparsity))

    def conjugate(self, v: Any) -> Any:
        return inside(trees.norm(self.prox(v, 1.0)), trees.norm(v))

    def check(self, point: Any) -> None:
        shape = getattr(point, "shape", ())
        if not shape or not shape[-1]:
            refuse(
                ValueError, "point", given=f"shape {shape}",
                needed="an array of sequences along the last axis", advice="Give it an axis.",
            )  # fmt: skip


@jax.jit
def _flattened(x: Any, bar: Any) -> Any:
    """The prox of `bar` times the total variation, along the last axis."""

    def row(x: Any) -> Any:
        starts, pull = _pulls(x, jnp.full(x.size, bar).at[-1].set(0))
        return _averaged(x + pull, starts)

    return jnp.vectorize(row, signature="(n)->(n)")(x)


@jax.jit
def _parted(x: Any, v: Any, bar: Any, cut: Any) -> Any:
    """x - prox(x - v), by differences inside the constant pieces of the prox."""

    def row(x: Any, v: Any) -> Any:
        starts, pull = _pulls(x - v, jnp.full(x.size, bar).at[-1].set(0))
        # Where x is constant on a piece already, v and the pulls at its ends alone decide.
        moved = x - x[_first(starts)]
        taken = moved - _averaged(moved, starts) + _averaged(v - pull, starts)
        return taken + jnp.clip(x - taken, -cut, cut)

    return jnp.vectorize(row, signature="(n),(n)->(n)")(x, v)


@jax.jit
def _beyond(x: Any, v: Any, bar: Any, cut: Any) -> Any:
    """v less its nearest subgradient at x."""

    def row(x: Any, v: Any) -> Any:
        # Jumps and entries that are not zero have slopes; the rest is the same penalty again, on
        # each piece where x is constant.
        jumps = jnp.concatenate([jnp.sign(jnp.diff(x)), jnp.zeros_like(x[:1])])
        bars = jnp.where(jumps == 0, bar, 0).at[-1].set(0)
        left = v + _differences(bar * jumps) - cut * jnp.sign(x)
        starts, pull = _pulls(left, bars)
        level = _averaged(left + pull, starts)
        return jnp.where(x == 0, soft(level, cut), level)

    return jnp.vectorize(row, signature="(n),(n)->(n)")(x, v)


def _differences(edges: Any) -> Any:
    """Each edge less the one before; edge i lies between i and i + 1, and the last one is 0."""
    return jnp.diff(edges, prepend=jnp.zeros_like(edges[:1]))


def _pulls(x: Any, bars: Any) -> tuple[Any, Any]:
    """Where pieces begin in the prox of sum bars_i |x_{i+1} - x_i|; how jumps pull at its entries.

    The prox is the mean of x plus pull on each piece. The last of the bars is 0.
    """
    near = _by_messages(*jax.lax.stop_gradient((x - x.mean(), bars)))
    jumps = near[1:] - near[:-1]
    starts = jnp.concatenate([jnp.ones(1, bool), (jumps != 0) | (bars[:-1] == 0)])
    signs = jnp.concatenate([jnp.sign(jumps), jnp.zeros_like(x[:1])])
    return starts, _differences(bars * signs)


def _by_messages(x: Any, bars: Any) -> Any:
    """The prox by dynamic programming over the entries.

    What the entries up to k cost, as a function of the level t at k, has a derivative that is
    piecewise linear and rises. The next edge cuts it off at -bar and bar, at `bounds`; the knots
    between are kept in a queue with two ends, each with the change of slope and offset there. Each
    iteration drops one knot at an end or pushes the bound there, first on the left: every knot is
    pushed and dropped once at most, which makes 4 n iterations.

    All numbers that an iteration needs are read at the end of the one before, after its writes:
    XLA copies an array that is read before it is written in place.
    """
    n, kind = x.size, x.dtype
    room = 2 * n
    before = jnp.concatenate([jnp.zeros_like(bars[:1]), bars[:-1]])
    # Entry by entry: its bar, the offset at its right end, and that at the next one's left end.
    ends = jnp.stack([bars, before - x, jnp.append(-x[1:], 0) - bars], axis=1)

    def step(_: Any, carry: Any) -> Any:
        knots, bounds, knot, end, line, (k, right, low, high) = carry
        slope, offset = line
        level = slope * knot[0] + offset
        # The left bound of this entry stays, whatever rounding says.
        drops = jnp.where(
            right, (high > low) & (level > end[0]), (high >= low) & (level <= -end[0])
        )
        side = jnp.where(right, -1, 1).astype(jnp.int32)
        sign = side.astype(kind)
        bound = (-sign * end[0] - offset) / slope
        # What does not hold yet, or no longer, goes to a last row that nobody reads.
        place = jnp.where(drops, room, jnp.where(right, high + 1, low - 1))
        new = jnp.stack([bound, sign * slope, sign * offset + end[0]])
        knots = _written(knots, place, new)
        bounds = _written(bounds, jnp.where(drops, room, 2 * k + right), bound[None])
        fresh = jnp.stack([jnp.ones((), kind), jnp.where(right, end[2], end[1])])
        line = jnp.where(drops, line + sign * knot[1:], fresh)
        inward = jnp.where(drops, side, -side)
        low, high = jnp.where(right, low, low + inward), jnp.where(right, high + inward, high)
        k, right = jnp.minimum(k + (right & ~drops), n), right ^ ~drops
        place = jnp.clip(jnp.where(right, high, low), 0, room - 1)
        knot, end = _read(knots, place), _read(ends, jnp.minimum(k, n - 1))
        return knots, bounds, knot, end, line, (k, right, low, high)

    start = (
        jnp.zeros((room + 1, 3), kind), jnp.zeros((room + 1, 1), kind), jnp.zeros(3, kind), ends[0],
        jnp.stack([jnp.ones((), kind), -x[0]]),
        (jnp.int32(0), jnp.zeros((), bool), jnp.int32(n), jnp.int32(n - 1)),
    )  # fmt: skip
    bounds = jax.lax.fori_loop(0, 4 * n, step, start)[1][:-1].reshape(n, 2)

    def back(level: Any, bound: Any) -> Any:
        level = jnp.clip(level, bound[0], jnp.maximum(bound[0], bound[1]))
        return level, level

    return jax.lax.scan(back, bounds[-1, 0], bounds, reverse=True)[1]


def _written(rows: Any, place: Any, row: Any) -> Any:
    return jax.lax.dynamic_update_index_in_dim(rows, row, place, 0)


def _read(rows: Any, place: Any) -> Any:
    return jax.lax.dynamic_index_in_dim(rows, place, keepdims=False)


class TotalVariation2D(Function):
    """weight times the sum over an image of |(D x)_ij|, the lengths of its differences.

    D x holds the differences to the next pixel below and to the right, 0 at the last ones; their
    length is Euclidean, or the sum of absolute values where not isotropic. It is the largest
    <D x, p> over the dual ball, the fields p of vectors no longer than weight, or with entries no
    larger than weight where not isotropic. -`divergence` is the adjoint of D = `gradient`, so
    that -`divergence(p)` is a subgradient for the best p.

    The prox has no closed form: it is computed by accelerated projected gradients on p, until the
    duality gap proves that ||z - prox(x)|| <= sqrt(2 gap) <= accuracy ||x - mean(x)|| for the z
    that is returned, unless `most_steps` end first, or rounding does. `prox_and_gap` returns the
    gap, too. Its derivatives are those of the iteration, in forward mode only.

    Args:
        weight: positive.
        isotropic: whether the differences of a pixel have the Euclidean length.
        accuracy: of the prox, relative to the spread of the image.
        most_steps: iterations that a prox may take.

    Raises:
        ValueError: for a weight or an accuracy that is not positive, or a point that is no image.

    Cost: four passes over the image an iteration of the prox.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        image = jnp.zeros((4, 4)).at[1:3, 1:3].set(1.0)
        assert abs(rs.functions.TotalVariation2D(isotropic=False).value(image) - 8.0) < 1e-6
        ```

    Reference:
        A. Beck, M. Teboulle (2009), Fast gradient-based algorithms for constrained total variation
        image denoising and deblurring problems.
    """

    weight: Any = 1.0
    isotropic: bool = static(default=True)
    accuracy: Any = 1e-4
    most_steps: int = static(default=1000)

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        between("accuracy", self.accuracy, 0.0, 1.0, "Rounding ends the prox for a tiny one.")
        count("most_steps", self.most_steps, least=1)

    def gradient(self, x: Any) -> Any:
        """D x, the differences down and to the right: two arrays [h, w]."""
        down = jnp.pad(x[1:] - x[:-1], ((0, 1), (0, 0)))
        return down, jnp.pad(x[:, 1:] - x[:, :-1], ((0, 0), (0, 1)))

    def divergence(self, p: Any) -> Any:
        """[h, w], less D adjoint of a field, two arrays [h, w]."""
        down, right = p[0][:-1], p[1][:, :-1]
        rows = jnp.pad(down, ((0, 1), (0, 0))) - jnp.pad(down, ((1, 0), (0, 0)))
        return rows + jnp.pad(right, ((0, 0), (0, 1))) - jnp.pad(right, ((0, 0), (1, 0)))

    def _lengths(self, p: Any) -> Any:
        if not self.isotropic:
            return jnp.abs(p[0]) + jnp.abs(p[1])
        square = p[0] * p[0] + p[1] * p[1]
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    def _within(self, p: Any, bar: Any) -> Any:
        """The nearest field of the dual ball."""
        if not self.isotropic:
            return jnp.clip(p[0], -bar, bar), jnp.clip(p[1], -bar, bar)
        least = jnp.maximum(bar * bar, jnp.finfo(bar.dtype).tiny)
        share = bar / jnp.sqrt(jnp.maximum(p[0] * p[0] + p[1] * p[1], least))
        return p[0] * share, p[1] * share

    def value(self, x: Any) -> Any:
        return self.weight * self._lengths(self.gradient(x)).sum()

    def prox(self, x: Any, step: Any) -> Any:
        return self.prox_and_gap(x, step)[0]

    def prox_and_gap(self, x: Any, step: Any) -> tuple[Any, Any]:
        """A z near the prox, and the duality gap, which is at least ||z - prox||^2 / 2."""
        return _denoised(self, x, jnp.asarray(self.weight * step, x.dtype))

    def check(self, point: Any) -> None:
        shape = getattr(point, "shape", ())
        if len(shape) != 2 or not all(shape):
            refuse(
                ValueError, "point", given=f"shape {shape}", needed="an image [h, w]",
                advice="Use a Product for several images.",
            )  # fmt: skip


class FieldLength(Function):
    """weight times the sum over i and j of the lengths of the vectors p_ij of a field.

    A field is a pair of arrays of one shape, such as `TotalVariation2D.gradient` of an image. With
    it, total variation can be split from other terms of an image: `SplitComposite(FieldLength(w),
    TotalVariation2D().gradient, f=..., start=image)`.

    Args:
        weight: positive.
        isotropic: whether the length is Euclidean, and not the sum of absolute values.

    Raises:
        ValueError: for a weight that is not positive, or a point that is no pair of one shape.

    Example:
        ```python
        import jax.numpy as jnp
        from resolvent.functions.total_variation import FieldLength
        assert FieldLength(2.0).value((jnp.array([3.0]), jnp.array([4.0]))) == 10.0
        ```
    """

    weight: Any = 1.0
    isotropic: bool = static(default=True)

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")

    _lengths = TotalVariation2D._lengths
    _within = TotalVariation2D._within

    def value(self, x: Any) -> Any:
        return self.weight * self._lengths(x).sum()

    def prox(self, x: Any, step: Any) -> Any:
        return trees.minus(tuple(x), self._within(x, jnp.asarray(self.weight * step, x[0].dtype)))

    def displacement(self, x: Any, v: Any) -> Any:
        ahead = trees.minus(tuple(x), tuple(v))
        bar = jnp.asarray(self.weight, x[0].dtype)
        return trees.plus(tuple(v), 1.0, self._within(ahead, bar))

    def conjugate(self, v: Any) -> Any:
        return held(self._largest(v), self.weight)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return within(self._largest(v), self.weight)

    def _largest(self, v: Any) -> Any:
        if not self.isotropic:
            return trees.largest(v)
        return self._lengths(v).max()

    def check(self, point: Any) -> None:
        shapes = [getattr(part, "shape", None) for part in trees.leaves(point)]
        if not isinstance(point, tuple) or len(shapes) != 2 or shapes[0] != shapes[1]:
            refuse(
                ValueError, "point", given=f"shapes {shapes}",
                needed="a pair of arrays of one shape", advice="One array a direction.",
            )  # fmt: skip


_BETWEEN_GAPS = 10  # iterations: a gap costs as much as one of them


@jax.jit
def _denoised(g: TotalVariation2D, x: Any, bar: Any) -> tuple[Any, Any]:
    """min over fields p of ||x + div p||^2 / 2, which is the prox at the best p."""
    eps = jnp.finfo(x.dtype).eps
    goal = 0.5 * jnp.square(jnp.asarray(g.accuracy, x.dtype) * jnp.linalg.norm(x - x.mean()))

    def judged(p: Any, q: Any) -> tuple[Any, Any, Any]:
        slopes = g.gradient(x + g.divergence(p))
        lengths = bar * g._lengths(slopes)
        # Pixel by pixel: no term of the gap is negative, and only their own rounding is lost.
        gap = jnp.maximum(lengths - slopes[0] * p[0] - slopes[1] * p[1], 0).sum()
        downhill = (slopes[0] * (q[0] - p[0]) + slopes[1] * (q[1] - p[1])).sum()
        return gap, 4 * eps * lengths.sum(), downhill

    def iterate(_: Any, carry: Any) -> Any:
        p, q, t = carry
        # D D^T has no eigenvalue above 8.
        new = g._within(trees.plus(q, 0.125, g.gradient(x + g.divergence(q))), bar)
        t_new = 0.5 + jnp.sqrt(0.25 + t * t)
        return new, trees.plus(new, (t - 1) / t_new, trees.minus(new, p)), t_new

    def goes_on(carry: Any) -> Any:
        _, steps, gap, floor = carry
        return (gap > jnp.maximum(goal, floor)) & (steps < g.most_steps)

    def body(carry: Any) -> Any:
        state, steps, _, _ = carry
        stop = jnp.minimum(_BETWEEN_GAPS, g.most_steps - steps)
        p, q, t = jax.lax.fori_loop(0, stop, iterate, state)
        gap, floor, downhill = judged(p, q)
        # Momentum that goes uphill is dropped.
        return (p, q, jnp.where(downhill < 0, 1, t)), steps + stop, gap, floor

    # Two arrays: XLA computes a stacked one several times over.
    p = jnp.zeros_like(x), jnp.zeros_like(x)
    start = (p, p, jnp.ones((), x.dtype)), jnp.int32(0), *judged(p, p)[:2]
    (p, _, _), _, gap, _ = jax.lax.while_loop(goes_on, body, start)
    return x + g.divergence(p), gap
