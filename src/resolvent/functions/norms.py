"""Norms of whole points as penalties, and l1 norms with other terms and weights."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, finite, is_traced, refuse
from resolvent._core.value import static
from resolvent.functions.function import Function, within
from resolvent.functions.sets import as_data, euclidean, held, inside, same_shape


def soft(x: Any, bar: Any) -> Any:
    """Every entry of an array moved towards zero by `bar`, and no farther than zero."""
    bar = bar.astype(x.dtype) if hasattr(bar, "astype") else bar
    return x - x.clip(-bar, bar)


class L2(Function):
    """weight times the Euclidean norm ||x||, not squared, of all of a point.

    Args:
        weight: positive.

    Raises:
        ValueError: for a weight that is not positive.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.L2(1.0).prox(jnp.array([3.0, 4.0]), 2.5)
        assert jnp.allclose(x, jnp.array([1.5, 2.0]))
        ```
    """

    weight: Any = 1.0

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")

    def value(self, x: Any) -> Any:
        return self.weight * euclidean(x)

    def prox(self, x: Any, step: Any) -> Any:
        return trees.times(1.0 - _share(x, self.weight * step), x)

    def displacement(self, x: Any, v: Any) -> Any:
        moved = trees.minus(x, v)
        return trees.plus(v, _share(moved, self.weight), moved)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        length = euclidean(x)
        zero = length == 0
        away = trees.norm(trees.plus(v, -self.weight / jnp.where(zero, 1.0, length), x))
        return jnp.where(zero, jnp.maximum(trees.norm(v) - self.weight, 0.0), away)

    def conjugate(self, v: Any) -> Any:
        return held(trees.norm(v), self.weight)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return within(trees.norm(v), self.weight)


def _share(x: Any, bar: Any) -> Any:
    """The share of x that lies within a ball of radius `bar`."""
    length = jnp.asarray(euclidean(x))
    bar = jnp.asarray(bar, length.dtype)
    return jnp.where(length > bar, bar / jnp.where(length > bar, length, 1), 1)


class ElasticNet(Function):
    """weight (ratio ||x||_1 + (1 - ratio) / 2 ||x||^2).

    Args:
        weight: positive.
        ratio: the part of the l1 norm, between 0 and 1.

    Raises:
        ValueError: for a weight that is not positive, or a ratio that is not inside (0, 1).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.ElasticNet(2.0, 0.5).prox(jnp.array([3.0, -0.5]), 1.0)
        assert jnp.allclose(x, jnp.array([1.0, 0.0]))
        ```

    Reference:
        H. Zou, T. Hastie (2005), Regularization and variable selection via the elastic net.
    """

    weight: Any = 1.0
    ratio: Any = 0.5

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        between("ratio", self.ratio, 0.0, 1.0, "Use L1 for ratio 1, and SquaredL2 for ratio 0.")

    def _parts(self) -> tuple[Any, Any]:
        return self.weight * self.ratio, self.weight * (1.0 - self.ratio)

    def value(self, x: Any) -> Any:
        sharp, smooth = self._parts()
        total = sum(abs(leaf).sum() for leaf in trees.leaves(x))
        return sharp * total + 0.5 * smooth * trees.dot(x, x)

    def prox(self, x: Any, step: Any) -> Any:
        sharp, smooth = self._parts()
        near = trees.map_leaves(lambda leaf: soft(leaf, jnp.asarray(sharp * step, leaf.dtype)), x)
        return trees.times(1.0 / (1.0 + smooth * step), near)

    def displacement(self, x: Any, v: Any) -> Any:
        sharp, smooth = self._parts()

        def one(leaf: Any, part: Any) -> Any:
            bar, curve = jnp.asarray(sharp, leaf.dtype), jnp.asarray(smooth, leaf.dtype)
            return (part + jnp.clip(leaf - part, -bar, bar) + curve * leaf) / (1 + curve)

        return trees.map_leaves(one, x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        sharp, smooth = self._parts()

        def one(leaf: Any, part: Any) -> Any:
            bar = jnp.asarray(sharp, leaf.dtype)
            beyond = part - jnp.asarray(smooth, leaf.dtype) * leaf
            return jnp.where(leaf == 0, soft(beyond, bar), beyond - bar * jnp.sign(leaf))

        return trees.norm(trees.map_leaves(one, x, v))

    def response(self, v: Any) -> Any:
        sharp, smooth = self._parts()
        near = trees.map_leaves(lambda leaf: soft(leaf, sharp), v)
        return trees.times(1.0 / smooth, near)

    def conjugate(self, v: Any) -> Any:
        best = self.response(v)
        return 0.5 * self._parts()[1] * trees.dot(best, best)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return 1.0, self.conjugate(v)


class WeightedL1(Function):
    """The sum of weights_i |x_i|, as in the adaptive lasso.

    Args:
        weights: arrays like x; entries are not negative, and zero where there is no penalty.

    Raises:
        ValueError: for weights that are negative or not finite, or that do not fit the point.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        g = rs.functions.WeightedL1(jnp.array([1.0, 0.0]))
        assert (g.prox(jnp.array([3.0, 0.5]), 1.0) == jnp.array([2.0, 0.5])).all()
        ```
    """

    weights: Any
    everywhere: bool = static(default=False)
    """Whether no weight is zero, which those of a compiled program do not tell."""

    def __init__(self, weights: Any):
        not_negative("weights", weights)
        parts = trees.leaves(weights)
        known = not is_traced(parts) and all(np.asarray(leaf).all() for leaf in parts)
        vars(self).update(weights=weights, everywhere=known)

    def value(self, x: Any) -> Any:
        parts = trees.map_leaves(lambda w, leaf: (w * abs(leaf)).sum(), as_data(self.weights, x), x)
        return sum(trees.leaves(parts))

    def prox(self, x: Any, step: Any) -> Any:
        bars = trees.times(step, as_data(self.weights, x))
        return trees.map_leaves(soft, x, bars)

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any, bar: Any) -> Any:
            return part + jnp.clip(leaf - part, -bar, bar)

        return trees.map_leaves(one, x, v, as_data(self.weights, x))

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any, bar: Any) -> Any:
            return jnp.where(leaf == 0, soft(part, bar), part - bar * jnp.sign(leaf))

        return trees.norm(trees.map_leaves(one, x, v, as_data(self.weights, x)))

    def conjugate(self, v: Any) -> Any:
        weights = as_data(self.weights, v)
        return inside(trees.largest(trees.map_leaves(soft, v, weights)), trees.largest(weights))

    def check(self, point: Any) -> None:
        same_shape("weights", self.weights, point)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        if not self.everywhere:
            return None
        shares = trees.map_leaves(lambda leaf, bar: leaf / bar, v, as_data(self.weights, v))
        return within(trees.largest(shares), 1.0)


def not_negative(name: str, weights: Any) -> None:
    """Refuse weights that are negative or not finite; traced ones pass."""
    if is_traced(weights):
        return
    for leaf in trees.leaves(weights):
        finite(name, leaf)
        if np.any(np.asarray(leaf) < 0):
            refuse(
                ValueError, name, given=f"weights down to {np.asarray(leaf).min()}",
                needed="weights >= 0", advice="Use 0 where there is no penalty.",
            )  # fmt: skip
