"""Closed convex sets with their projections, support functions and diameters."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent.functions.function import ConvexSet
from resolvent.functions.simplex import simplex_projection

_EDGE = 64  # rounding errors that a member of a set may be away from it


def inside(distance: Any, size: Any) -> Any:
    """0 for a distance that is rounding, infinity for more."""
    xp = jnp if isinstance(distance, jax.Array) else np
    eps = xp.finfo(xp.asarray(distance).dtype).eps
    return xp.where(distance <= _EDGE * eps * (1.0 + size), 0.0, xp.inf)


def held(size: Any, most: Any) -> Any:
    """The conjugate of a norm: 0 where the dual norm is at most this, infinity beyond."""
    xp = jnp if isinstance(size, jax.Array) or isinstance(most, jax.Array) else np
    return inside(xp.maximum(size - most, 0), most)


def as_data(ours: Any, point: Any) -> Any:
    """A set's own arrays in the precision of a point, and NumPy's where those of the point are."""

    def one(leaf: Any, like: Any) -> Any:
        numpy = not isinstance(like, jax.Array) and not is_traced(leaf)
        return (np if numpy else jnp).asarray(leaf, like.dtype)

    return jax.tree_util.tree_map(one, ours, point)


def euclidean(x: Any) -> Any:
    """The norm, with a derivative that is zero at zero instead of undefined."""
    length = trees.largest(x)
    if not isinstance(length, jax.Array):
        return trees.norm(x)
    zero = length == 0
    return jnp.where(zero, 0, trees.norm(trees.map_leaves(lambda a: jnp.where(zero, 1, a), x)))


class _Membership(ConvexSet):
    def value(self, x: Any) -> Any:
        distance = trees.norm(trees.minus(x, self.project(x)))
        return inside(jnp.asarray(distance), trees.norm(x))


class Everything(ConvexSet):
    """All of the space: no constraint.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        assert (rs.functions.Everything().project(jnp.ones(3)) == 1.0).all()
        ```
    """

    def value(self, x: Any) -> Any:
        return jnp.zeros(())

    def project(self, x: Any) -> Any:
        return x

    def displacement(self, x: Any, v: Any) -> Any:
        return v

    def level(self, x: Any) -> Any:
        return True

    def conjugate(self, v: Any) -> Any:
        return jnp.where(trees.largest(v) == 0, 0.0, jnp.inf)


class Box(_Membership):
    """lower <= x <= upper, entry by entry.

    Args:
        lower: number, array like x, or -inf.
        upper: the same, or inf.

    Raises:
        ValueError: where lower > upper, or a bound is NaN.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        box = rs.functions.Box(0.0, 1.0)
        assert (box.project(jnp.array([-1.0, 0.5, 3.0])) == jnp.array([0.0, 0.5, 1.0])).all()
        ```
    """

    lower: Any = -math.inf
    upper: Any = math.inf

    def __post_init__(self) -> None:
        if is_traced((self.lower, self.upper)):
            return
        for name, bound in (("lower", self.lower), ("upper", self.upper)):
            if any(np.isnan(np.asarray(leaf)).any() for leaf in trees.leaves(bound)):
                refuse(
                    ValueError, name, given="NaN", needed="numbers, or infinite ones for no bound",
                    advice="Use -inf and inf where there is no bound.",
                )  # fmt: skip
        if not np.all(np.asarray(self.lower) <= np.asarray(self.upper)):
            refuse(
                ValueError, "lower", given="a lower bound above its upper bound",
                needed="lower <= upper everywhere", advice="The set is empty: look at the bounds.",
            )  # fmt: skip

    def project(self, x: Any) -> Any:
        return jax.tree_util.tree_map(
            lambda leaf: jnp.clip(
                leaf, jnp.asarray(self.lower, leaf.dtype), jnp.asarray(self.upper, leaf.dtype)
            ),
            x,
        )

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            low = leaf - jnp.asarray(self.upper, leaf.dtype)
            high = leaf - jnp.asarray(self.lower, leaf.dtype)
            return jnp.clip(part, low, high)

        return jax.tree_util.tree_map(one, x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            above = (leaf >= jnp.asarray(self.upper, leaf.dtype)) & (part > 0)
            below = (leaf <= jnp.asarray(self.lower, leaf.dtype)) & (part < 0)
            return jnp.where(above | below, 0, part)

        return trees.norm(jax.tree_util.tree_map(one, x, v)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        def one(leaf: Any) -> Any:
            # 0 times infinity is no contribution here, nor to derivatives.
            up = jnp.where(leaf > 0, jnp.asarray(self.upper, leaf.dtype), 0)
            down = jnp.where(leaf < 0, jnp.asarray(self.lower, leaf.dtype), 0)
            return (leaf * (up + down)).sum()

        return sum(one(leaf) for leaf in trees.leaves(v))

    def check(self, point: Any) -> None:
        shape = jnp.broadcast_shapes(jnp.shape(self.lower), jnp.shape(self.upper))
        for leaf in trees.leaves(point):
            fits = len(shape) <= leaf.ndim and all(
                own in (1, size)
                for own, size in zip(reversed(shape), reversed(leaf.shape), strict=False)
            )
            if not fits:
                _misfit(f"bounds of shape {shape}", leaf.shape)

    def bounded(self) -> bool:
        bounds = self.lower, self.upper
        return not is_traced(bounds) and all(np.isfinite(bound).all() for bound in bounds)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        # A compiled program sees no bounds, and asks only where they have been found finite.
        if is_traced((self.lower, self.upper)):
            return 1.0, self.conjugate(v)
        return super().scaled_conjugate(v)


class Nonnegative(_Membership):
    """x >= 0, entry by entry.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        assert (rs.functions.Nonnegative().project(-jnp.ones(2)) == 0.0).all()
        ```
    """

    def project(self, x: Any) -> Any:
        return jax.tree_util.tree_map(lambda leaf: jnp.maximum(leaf, 0), x)

    def displacement(self, x: Any, v: Any) -> Any:
        return jax.tree_util.tree_map(jnp.minimum, x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            return jnp.where((leaf <= 0) & (part < 0), 0, part)

        return trees.norm(jax.tree_util.tree_map(one, x, v)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        most = jnp.stack([leaf.max() for leaf in trees.leaves(v)]).max()
        return jnp.where(most <= 0, 0.0, jnp.inf)


class Simplex(_Membership):
    """x >= 0 with sum(x) = total: mixed strategies, for total = 1.

    Args:
        total: positive.

    Raises:
        ValueError: for a total that is not positive.

    Cost: a few passes over x, without a sort.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Simplex().project(jnp.array([2.0, 1.0, -1.0]))
        assert jnp.allclose(x, jnp.array([1.0, 0.0, 0.0]))
        ```
    """

    total: Any = 1.0

    def __post_init__(self) -> None:
        between("total", self.total, 0.0, math.inf, "A simplex has a positive total.")

    def project(self, x: Any) -> Any:
        return jax.tree_util.tree_map(lambda leaf: simplex_projection(leaf, self.total), x)

    def conjugate(self, v: Any) -> Any:
        return self.total * sum(leaf.max(axis=-1).sum() for leaf in trees.leaves(v))

    def diameter(self) -> Any:
        """That of one simplex: points with more than one row are in a product of them."""
        return self.total * math.sqrt(2.0)

    def check(self, point: Any) -> None:
        for leaf in trees.leaves(point):
            if not jnp.ndim(leaf) or not leaf.shape[-1]:
                refuse(
                    ValueError, "set", given=f"a point of shape {jnp.shape(leaf)}",
                    needed="vectors along the last axis", advice="Give the point an axis.",
                )  # fmt: skip


class Ball(_Membership):
    """||x - center|| <= radius in the Euclidean norm.

    Args:
        radius: positive.
        center: None for zero, or a point.

    Raises:
        ValueError: for a radius that is not positive or a center that is not finite.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Ball(1.0).project(jnp.array([3.0, 4.0]))
        assert jnp.allclose(x, jnp.array([0.6, 0.8]))
        ```
    """

    radius: Any = 1.0
    center: Any = None

    def __post_init__(self) -> None:
        between("radius", self.radius, 0.0, math.inf, "A ball has a positive radius.")
        for leaf in trees.leaves(self.center):
            finite("center", leaf)

    def project(self, x: Any) -> Any:
        center = None if self.center is None else as_data(self.center, x)
        moved = x if center is None else trees.minus(x, center)
        length = euclidean(moved)
        outside = length > self.radius
        near = trees.times(
            jnp.where(outside, self.radius / jnp.where(outside, length, 1), 1), moved
        )
        return near if center is None else trees.plus(center, 1.0, near)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        moved = x if self.center is None else trees.minus(x, as_data(self.center, x))
        length = trees.norm(moved)
        edge = inside(jnp.asarray(self.radius - length), trees.norm(x)) == 0
        along = trees.dot(moved, v) / jnp.where(length > 0, length, 1) ** 2
        factor = jnp.where(edge, jnp.maximum(along, 0), 0)
        return trees.norm(trees.plus(v, -factor, moved)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        value = self.radius * euclidean(v)
        return value if self.center is None else value + trees.dot(as_data(self.center, v), v)

    def check(self, point: Any) -> None:
        if self.center is not None:
            same_shape("a center", self.center, point)

    def diameter(self) -> Any:
        return 2.0 * self.radius


class L1Ball(_Membership):
    """The sum of |x_i| is at most radius.

    Args:
        radius: positive.

    Raises:
        ValueError: for a radius that is not positive.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.L1Ball(1.0).project(jnp.array([3.0, -1.0]))
        assert jnp.allclose(x, jnp.array([1.0, 0.0]))
        ```
    """

    radius: Any = 1.0

    def __post_init__(self) -> None:
        between("radius", self.radius, 0.0, math.inf, "A ball has a positive radius.")

    def project(self, x: Any) -> Any:
        flat = trees.raveled(x)
        inside = jnp.abs(flat).sum() <= self.radius
        near = jnp.sign(flat) * simplex_projection(jnp.abs(flat), self.radius)
        return trees.unraveled(jnp.where(inside, flat, near), x)

    def conjugate(self, v: Any) -> Any:
        return self.radius * trees.largest(v)

    def diameter(self) -> Any:
        return 2.0 * self.radius


class HalfSpace(_Membership):
    """<normal, x> <= offset.

    Args:
        normal: a point that is not zero.
        offset: number.

    Raises:
        ValueError: for a normal that is zero, and for numbers that are not finite.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        half = rs.functions.HalfSpace(jnp.array([1.0, 0.0]), 1.0)
        assert (half.project(jnp.array([3.0, 2.0])) == jnp.array([1.0, 2.0])).all()
        ```
    """

    normal: Any
    offset: Any = 0.0

    def __post_init__(self) -> None:
        for leaf in trees.leaves(self.normal):
            finite("normal", leaf)
        finite("offset", self.offset)
        if not is_traced(self.normal) and not any(
            np.asarray(leaf).any() for leaf in trees.leaves(self.normal)
        ):
            refuse(
                ValueError, "normal", given="zero", needed="a normal that is not zero",
                advice="Leave the constraint out.",
            )  # fmt: skip

    def project(self, x: Any) -> Any:
        normal, offset = self._unit(x)
        return trees.plus(x, -jnp.maximum(trees.dot(normal, x) - offset, 0.0), normal)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        normal, offset = self._unit(x)
        gap = offset - trees.dot(normal, x)
        factor = jnp.maximum(trees.dot(normal, v), 0)
        factor = jnp.where(inside(jnp.asarray(gap), trees.norm(x)) == 0, factor, 0)
        return trees.norm(trees.plus(v, -factor, normal)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        normal, offset = self._unit(v)
        along = trees.dot(normal, v)
        across = trees.norm(trees.plus(v, -along, normal))
        # Only in the direction of its normal does the set end.
        ends = (along >= 0) & (inside(across, trees.norm(v)) == 0)
        return jnp.where(ends, along * offset, jnp.inf)

    def _unit(self, point: Any) -> tuple[Any, Any]:
        """The inequality with a normal of length 1, in the precision of a point."""
        normal = as_data(self.normal, point)
        # By its largest entry first: where squares vanish or overflow, the normal does not.
        largest = trees.largest(normal)
        normal, offset = trees.times(1 / largest, normal), self.offset / largest
        length = jnp.asarray(trees.norm(normal))
        return trees.times(1 / length, normal), jnp.asarray(offset / length, length.dtype)

    def check(self, point: Any) -> None:
        same_shape("a normal", self.normal, point)


class Affine(_Membership):
    """A x = b, with A of full row rank.

    Args:
        A: [m, n].
        b: [m].

    Raises:
        ValueError: for shapes that do not fit or rows that depend on each other.

    Cost: a factorization of A A^T once, two products with A a projection.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        plane = rs.functions.Affine(jnp.ones((1, 3)), jnp.ones(1))
        assert jnp.allclose(plane.project(jnp.zeros(3)).sum(), 1.0)
        ```
    """

    A: Any
    b: Any
    factor: Any

    def __init__(self, A: Float[Any, "m n"], b: Float[Any, " m"]):
        A, b = real_array("A", A), real_array("b", b)
        if A.ndim != 2 or b.shape != A.shape[:1]:
            refuse(
                ValueError, "A", given=f"shape {A.shape} beside b of shape {b.shape}",
                needed="a matrix [m, n] and a vector [m]", advice="One entry of b a row of A.",
            )  # fmt: skip
        finite("A", A)
        finite("b", b)
        factor = _cholesky(A)
        pivots = factor.diagonal()
        rounding = (A.shape[1] * np.finfo(A.dtype).eps) ** 0.5
        if not is_traced(factor) and not bool(pivots.min() > rounding * pivots.max()):
            refuse(
                ValueError, "A", given="rows that depend on each other",
                needed="full row rank", advice="Drop the rows that follow from the others.",
            )  # fmt: skip
        vars(self).update(A=A, b=b, factor=factor)

    def project(self, x: Any) -> Any:
        A, b, factor = (jnp.asarray(part, x.dtype) for part in (self.A, self.b, self.factor))
        # Not A.T @ v, for which XLA writes the transposed matrix out.
        return x - jax.scipy.linalg.cho_solve((factor, True), A @ x - b) @ A

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        A, factor = jnp.asarray(self.A, v.dtype), jnp.asarray(self.factor, v.dtype)
        across = v - jax.scipy.linalg.cho_solve((factor, True), A @ v) @ A
        return trees.norm(across) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        A, b, factor = (jnp.asarray(part, v.dtype) for part in (self.A, self.b, self.factor))
        multipliers = jax.scipy.linalg.cho_solve((factor, True), A @ v)
        across = trees.norm(v - multipliers @ A)
        return jnp.where(inside(across, trees.norm(v)) == 0, multipliers @ b, jnp.inf)

    def check(self, point: Any) -> None:
        if getattr(point, "shape", None) != self.A.shape[1:]:
            _misfit(f"A with {self.A.shape[1]} columns", getattr(point, "shape", None))


def _cholesky(A: Any) -> Any:
    """The factor of A A^T, in the kind and precision of A; zeros where there is none."""
    if isinstance(A, jax.Array):
        return jnp.nan_to_num(jnp.linalg.cholesky(A @ A.T))
    try:
        return np.linalg.cholesky(A @ A.T)
    except np.linalg.LinAlgError:
        return np.zeros((A.shape[0], A.shape[0]))


def same_shape(what: str, ours: Any, point: Any) -> None:
    """Refuse a point whose arrays have other shapes than a set's own data."""
    shapes = [[jnp.shape(leaf) for leaf in trees.leaves(tree)] for tree in (ours, point)]
    if shapes[0] != shapes[1]:
        _misfit(f"{what} of shape {shapes[0]}", shapes[1])


def _misfit(ours: str, shape: Any) -> None:
    refuse(
        ValueError, "set", given=f"{ours} for a point of shape {shape}", needed="the same shape",
        advice="Give the set the dimension of the unknown.",
    )  # fmt: skip
