"""Balls of norms other than the Euclidean one."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, finite
from resolvent.functions.sets import _Membership, as_data, same_shape


class MaxBall(_Membership):
    """|x_i - center_i| <= radius for every entry.

    Args:
        radius: positive.
        center: None for zero, or a point.

    Raises:
        ValueError: for a radius that is not positive, or a center that is not finite or does not
            fit the point.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        ball = rs.functions.MaxBall(1.0)
        assert (ball.project(jnp.array([-3.0, 0.5])) == jnp.array([-1.0, 0.5])).all()
        assert ball.support(jnp.array([-3.0, 0.5])) == 3.5
        ```
    """

    radius: Any = 1.0
    center: Any = None

    def __post_init__(self) -> None:
        between("radius", self.radius, 0.0, math.inf, "A ball has a positive radius.")
        for leaf in trees.leaves(self.center):
            finite("center", leaf)

    def _bounds(self, point: Any) -> Any:
        center = trees.zeros(point) if self.center is None else as_data(self.center, point)

        def moved(sign: int) -> Any:
            return trees.map_leaves(
                lambda leaf: leaf + sign * jnp.asarray(self.radius, leaf.dtype), center
            )

        return moved(-1), moved(1)

    def project(self, x: Any) -> Any:
        return trees.map_leaves(jnp.clip, x, *self._bounds(x))

    def displacement(self, x: Any, v: Any) -> Any:
        lower, upper = self._bounds(x)
        return trees.map_leaves(jnp.clip, v, trees.minus(x, upper), trees.minus(x, lower))

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        lower, upper = self._bounds(x)

        def one(leaf: Any, part: Any, low: Any, high: Any) -> Any:
            normal = ((leaf >= high) & (part > 0)) | ((leaf <= low) & (part < 0))
            return jnp.where(normal, 0, part)

        return trees.norm(trees.map_leaves(one, x, v, lower, upper)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        total = self.radius * sum(jnp.abs(leaf).sum() for leaf in trees.leaves(v))
        return total if self.center is None else total + trees.dot(as_data(self.center, v), v)

    def response(self, v: Any) -> Any:
        corner = trees.times(self.radius, jax.tree_util.tree_map(jnp.sign, v))
        return corner if self.center is None else trees.plus(as_data(self.center, v), 1.0, corner)

    def diameter(self) -> Any:
        """The diagonal, where a center tells the number of entries; infinite without one."""
        if self.center is None:
            return math.inf
        return (
            2.0 * self.radius * math.sqrt(sum(jnp.size(leaf) for leaf in trees.leaves(self.center)))
        )

    def check(self, point: Any) -> None:
        if self.center is not None:
            same_shape("a center", self.center, point)

    def bounded(self) -> bool:
        return True
