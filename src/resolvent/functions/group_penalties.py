"""Penalties that make whole groups of entries zero."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.value import static
from resolvent.functions.function import Function, within
from resolvent.functions.norms import not_negative, soft
from resolvent.functions.sets import inside


class _Grouped(Function):
    """What penalties share that know the group of each entry."""

    groups: Any
    weight: Any
    sizes: Any
    factors: Any
    number: int = static()
    ordered: bool = static()

    def _group(self, groups: Any, weight: Any, factors: Any) -> None:
        between("weight", weight, 0.0, math.inf, "Leave the term out for weight 0.")
        if is_traced(groups):
            refuse(
                TypeError, "groups", given="a traced array", needed="groups that are known",
                advice="Make the penalty outside of the transformed function.",
            )  # fmt: skip
        groups = np.asarray(groups)
        if groups.dtype.kind not in "iu" or groups.ndim == 0 or not groups.size:
            refuse(
                TypeError, "groups", given=f"dtype {groups.dtype} of shape {groups.shape}",
                needed="an array with one integer an entry", advice="Number the groups from 0.",
            )  # fmt: skip
        sizes = np.bincount(groups.ravel()) if groups.min() >= 0 else np.zeros(1, int)
        if not sizes.all():
            refuse(
                ValueError, "groups", given=f"ids from {groups.min()} to {groups.max()} with gaps",
                needed="ids 0, 1, ..., each of them used",
                advice="Take the inverse of numpy.unique(groups, return_inverse=True).",
            )  # fmt: skip
        if factors is not None:
            if np.shape(factors) != sizes.shape:
                refuse(
                    ValueError, "factors", given=f"shape {np.shape(factors)}",
                    needed=f"one for each of {sizes.size} groups", advice="Leave them out for "
                    "the square roots of the sizes.",
                )  # fmt: skip
            not_negative("factors", factors)
        # 32 bits, which let a problem in single precision stay there.
        vars(self).update(
            groups=groups.astype(np.int32), weight=weight, sizes=sizes.astype(np.int32),
            factors=factors, number=int(sizes.size),
            ordered=bool((np.diff(groups.ravel()) >= 0).all()),
        )  # fmt: skip

    def _bars(self, x: Any) -> Any:
        """weight times factor, group by group."""
        plain = isinstance(x, np.ndarray) and not is_traced((self.weight, self.factors))
        xp = np if plain else jnp
        if self.factors is None:
            # Every further axis of x belongs to its row's group.
            entries = self.sizes * math.prod(x.shape[self.groups.ndim :])
            factors = xp.sqrt(xp.asarray(entries, x.dtype))
        else:
            factors = xp.asarray(self.factors, x.dtype)
        return xp.asarray(self.weight, x.dtype) * factors

    def _lengths(self, x: Any) -> Any:
        """The norm of each group, with a derivative that is zero at zero."""
        if isinstance(x, np.ndarray):
            return self._plain_lengths(x)
        top = jax.lax.stop_gradient(jnp.abs(x).max())
        unit = jnp.where((top > 0) & jnp.isfinite(top), top, 1)
        squares = jnp.square(x / unit).sum(axis=tuple(range(self.groups.ndim, x.ndim)))
        sums = jax.ops.segment_sum(
            squares.ravel(), jnp.asarray(self.groups).ravel(), self.number,
            indices_are_sorted=self.ordered,
        )  # fmt: skip
        return unit * jnp.where(sums == 0, 0, jnp.sqrt(jnp.where(sums == 0, 1, sums)))

    def _plain_lengths(self, x: Any) -> Any:
        """The same of NumPy's numbers."""
        top = np.abs(x).max()
        unit = top if 0 < top < np.inf else x.dtype.type(1)
        squares = np.square(x / unit).sum(axis=tuple(range(self.groups.ndim, x.ndim)))
        groups = np.asarray(self.groups).ravel()
        sums = np.bincount(groups, squares.ravel(), self.number)
        return (unit * np.sqrt(sums)).astype(x.dtype)

    def _spread(self, numbers: Any, x: Any) -> Any:
        """A number of each group beside the entries of the group."""
        near = numbers[jnp.asarray(self.groups)]
        return near.reshape(near.shape + (1,) * (x.ndim - near.ndim))

    def _shares(self, x: Any, bars: Any) -> Any:
        """For each entry, the share of its group that lies within a ball of radius bar."""
        lengths = self._lengths(x)
        over = lengths > bars
        return self._spread(jnp.where(over, bars / jnp.where(over, lengths, 1), 1), x)

    def check(self, point: Any) -> None:
        shape = getattr(point, "shape", None)
        if shape is None or shape[: self.groups.ndim] != self.groups.shape:
            refuse(
                ValueError, "groups", given=f"shape {self.groups.shape} for a point of "
                f"shape {shape}", needed="one group for each entry or row of an array",
                advice="Give each entry of the unknown its group.",
            )  # fmt: skip


class GroupL2(_Grouped):
    """weight times the sum over groups of factor_g ||x_g||: the group lasso.

    Args:
        groups: [n], the group 0, 1, ... of each entry; of a point [n, ...], the group of each row.
        weight: positive.
        factors: one a group, not negative; None for the square root of its number of entries.

    Raises:
        ValueError: for ids with gaps, a weight that is not positive, or factors that are negative
            or do not fit; for a point that does not fit.
        TypeError: for groups that are no integers.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        g = rs.functions.GroupL2([0, 0, 1], factors=[2.5, 2.0])
        x = g.prox(jnp.array([3.0, 4.0, 1.0]), 1.0)
        assert jnp.allclose(x, jnp.array([1.5, 2.0, 0.0]))
        ```

    Reference:
        M. Yuan, Y. Lin (2006), Model selection and estimation in regression with grouped variables.
    """

    def __init__(
        self,
        groups: Int[Any, " n"],
        weight: Any = 1.0,
        factors: Float[Any, " groups"] | None = None,
    ):
        self._group(groups, weight, None if factors is None else _as_array(factors))

    def value(self, x: Any) -> Any:
        return (self._bars(x) * self._lengths(x)).sum()

    def prox(self, x: Any, step: Any) -> Any:
        return x * (1 - self._shares(x, self._bars(x) * jnp.asarray(step, x.dtype)))

    def displacement(self, x: Any, v: Any) -> Any:
        moved = x - v
        return v + moved * self._shares(moved, self._bars(x))

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        bars, lengths = self._bars(x), self._lengths(x)
        slopes = self._spread(bars / jnp.where(lengths == 0, 1, lengths), x)
        zero = self._spread(lengths == 0, x)
        return trees.norm(jnp.where(zero, self.prox(v, 1.0), v - slopes * x))

    def conjugate(self, v: Any) -> Any:
        bars = self._bars(v)
        return inside(jnp.maximum(self._lengths(v) - bars, 0), bars).max()

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        if self.factors is not None and (
            is_traced(self.factors) or not np.asarray(self.factors).all()
        ):
            return None
        return within((self._lengths(v) / self._bars(v)).max(), 1.0)


class SparseGroup(_Grouped):
    """weight (ratio ||x||_1 + (1 - ratio) sum over groups of factor_g ||x_g||).

    Args:
        groups: [n], the group 0, 1, ... of each entry; of a point [n, ...], the group of each row.
        weight: positive.
        ratio: the part of the l1 norm, between 0 and 1.
        factors: one a group, not negative; None for the square root of its number of entries.

    Raises:
        ValueError: for ids with gaps, a weight that is not positive, a ratio that is not inside
            (0, 1), or factors that are negative or do not fit; for a point that does not fit.
        TypeError: for groups that are no integers.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        g = rs.functions.SparseGroup([0, 0, 1], 2.0, 0.5, factors=[2.5, 2.0])
        x = g.prox(jnp.array([4.0, 5.0, 1.0]), 1.0)
        assert jnp.allclose(x, jnp.array([1.5, 2.0, 0.0]))
        ```

    Reference:
        N. Simon, J. Friedman, T. Hastie, R. Tibshirani (2013), A sparse-group lasso.
    """

    ratio: Any

    def __init__(
        self,
        groups: Int[Any, " n"],
        weight: Any = 1.0,
        ratio: Any = 0.5,
        factors: Float[Any, " groups"] | None = None,
    ):
        between("ratio", ratio, 0.0, 1.0, "Use L1 for ratio 1, and GroupL2 for ratio 0.")
        self._group(groups, weight, None if factors is None else _as_array(factors))
        vars(self).update(ratio=ratio)

    def _parts(self, x: Any) -> tuple[Any, Any]:
        ratio = jnp.asarray(self.ratio, x.dtype)
        return jnp.asarray(self.weight, x.dtype) * ratio, self._bars(x) * (1 - ratio)

    def value(self, x: Any) -> Any:
        bar, bars = self._parts(x)
        return bar * jnp.abs(x).sum() + (bars * self._lengths(x)).sum()

    def prox(self, x: Any, step: Any) -> Any:
        bar, bars = self._parts(x)
        step = jnp.asarray(step, x.dtype)
        near = soft(x, bar * step)
        return near * (1 - self._shares(near, bars * step))

    def displacement(self, x: Any, v: Any) -> Any:
        bar, bars = self._parts(x)
        cut = jnp.clip(x - v, -bar, bar)
        near = x - v - cut
        return v + cut + near * self._shares(near, bars)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        bar, bars = self._parts(x)
        lengths = self._lengths(x)
        beyond = v - self._spread(bars / jnp.where(lengths == 0, 1, lengths), x) * x
        beyond = jnp.where(x == 0, soft(beyond, bar), beyond - bar * jnp.sign(x))
        return trees.norm(jnp.where(self._spread(lengths == 0, x), self.prox(v, 1.0), beyond))

    def conjugate(self, v: Any) -> Any:
        bar, bars = self._parts(v)
        excess = jnp.maximum(self._lengths(soft(v, bar)) - bars, 0)
        return inside(excess, bar + bars).max()


def _as_array(factors: Any) -> Any:
    return factors if isinstance(factors, jax.Array) else np.asarray(factors, np.float64)
