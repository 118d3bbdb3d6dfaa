"""Penalties with their proximal operators."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, refuse
from resolvent.functions.function import Function, within
from resolvent.functions.sets import as_data, held, same_shape


class L1(Function):
    """weight times the sum of |x_i|.

    Args:
        weight: positive.

    Raises:
        ValueError: for a weight that is not positive.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.L1(1.0).prox(jnp.array([3.0, -0.5]), 1.0)
        assert (x == jnp.array([2.0, 0.0])).all()
        ```
    """

    weight: Any = 1.0

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")

    def value(self, x: Any) -> Any:
        return self.weight * sum(abs(leaf).sum() for leaf in trees.leaves(x))

    def prox(self, x: Any, step: Any) -> Any:
        bar = self.weight * step

        def shrunk(leaf: Any) -> Any:
            return jnp.sign(leaf) * jnp.maximum(jnp.abs(leaf) - jnp.asarray(bar, leaf.dtype), 0)

        return jax.tree_util.tree_map(shrunk, x)

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            bar = jnp.asarray(self.weight, leaf.dtype)
            return part + jnp.clip(leaf - part, -bar, bar)

        return jax.tree_util.tree_map(one, x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            bar = jnp.asarray(self.weight, leaf.dtype)
            # At zero every slope between -weight and weight is one of its subgradients.
            return part - jnp.where(leaf == 0, jnp.clip(part, -bar, bar), bar * jnp.sign(leaf))

        return trees.norm(jax.tree_util.tree_map(one, x, v))

    def conjugate(self, v: Any) -> Any:
        return held(trees.largest(v), self.weight)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return within(trees.largest(v), self.weight)


class SquaredL2(Function):
    """weight / 2 times ||x - center||^2, on all of the space or on a set.

    Args:
        weight: positive.
        center: None for zero, or a point.
        domain: a `ConvexSet` outside of which the value is infinite; None for no such set.

    Raises:
        ValueError: for a weight that is not positive, or a center that does not fit the point.
        TypeError: for a domain that is no ConvexSet.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        half = rs.functions.SquaredL2(1.0, domain=rs.functions.Nonnegative())
        assert (half.prox(jnp.array([2.0, -2.0]), 1.0) == jnp.array([1.0, 0.0])).all()
        ```
    """

    weight: Any = 1.0
    center: Any = None
    domain: Any = None

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        if self.domain is not None and not getattr(self.domain, "is_set", False):
            refuse(
                TypeError, "domain", given=f"a {type(self.domain).__name__}",
                needed="a ConvexSet, or None", advice="See resolvent.functions for sets.",
            )  # fmt: skip

    def value(self, x: Any) -> Any:
        moved = x if self.center is None else trees.minus(x, as_data(self.center, x))
        square = 0.5 * self.weight * trees.dot(moved, moved)
        return square if self.domain is None else square + self.domain.value(x)

    def prox(self, x: Any, step: Any) -> Any:
        # The sum of two squares is one, and its least point in a set is the projection of its
        # center.
        factor = 1.0 / (1.0 + self.weight * step)
        if self.center is None:
            near = trees.times(factor, x)
        else:
            near = trees.combined((factor, x), (1.0 - factor, as_data(self.center, x)))
        return near if self.domain is None else self.domain.project(near)

    def displacement(self, x: Any, v: Any) -> Any:
        if self.domain is not None:
            return super().displacement(x, v)
        moved = x if self.center is None else trees.minus(x, as_data(self.center, x))
        return trees.times(1.0 / (1.0 + self.weight), trees.plus(v, self.weight, moved))

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        moved = x if self.center is None else trees.minus(x, as_data(self.center, x))
        beyond = trees.plus(v, -self.weight, moved)
        if self.domain is None:
            return trees.norm(beyond)
        return self.domain.subdifferential_distance(x, beyond)

    def nearest(self, x: Any) -> Any:
        return x if self.domain is None else self.domain.project(x)

    def response(self, v: Any) -> Any:
        best = trees.times(1.0 / self.weight, v)
        if self.center is not None:
            best = trees.plus(best, 1.0, as_data(self.center, v))
        return best if self.domain is None else self.domain.project(best)

    def conjugate(self, v: Any) -> Any:
        best = self.response(v)
        moved = best if self.center is None else trees.minus(best, as_data(self.center, v))
        return trees.dot(v, best) - 0.5 * self.weight * trees.dot(moved, moved)

    def check(self, point: Any) -> None:
        if self.center is not None:
            same_shape("a center", self.center, point)
        if self.domain is not None:
            self.domain.check(point)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return 1.0, self.conjugate(v)
