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

_EDGE = 64  # rounding errors that a member of a set may be away from it


def inside(distance: Any, size: Any) -> Any:
    """0 for a distance that is rounding, infinity for more."""
    eps = jnp.finfo(jnp.asarray(distance).dtype).eps
    return jnp.where(distance <= _EDGE * eps * (1.0 + size), 0.0, jnp.inf)


def as_data(ours: Any, point: Any) -> Any:
    """A set's own arrays in the precision of a point."""
    return jax.tree_util.tree_map(lambda leaf, like: jnp.asarray(leaf, like.dtype), ours, point)


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

    def conjugate(self, v: Any) -> Any:
        def one(leaf: Any) -> Any:
            # 0 times infinity is no contribution here.
            up = jnp.where(leaf > 0, leaf * jnp.asarray(self.upper, leaf.dtype), 0.0)
            down = jnp.where(leaf < 0, leaf * jnp.asarray(self.lower, leaf.dtype), 0.0)
            return (up + down).sum()

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
        return self.total * math.sqrt(2.0)


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
        length = trees.norm(moved)
        factor = jnp.minimum(1.0, self.radius / jnp.where(length > 0, length, 1.0))
        near = trees.times(factor, moved)
        return near if center is None else trees.plus(center, 1.0, near)

    def conjugate(self, v: Any) -> Any:
        value = self.radius * trees.norm(v)
        return value if self.center is None else value + trees.dot(self.center, v)

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
        normal = as_data(self.normal, x)
        excess = jnp.maximum(trees.dot(normal, x) - self.offset, 0.0)
        return trees.plus(x, -excess / trees.dot(normal, normal), normal)

    def conjugate(self, v: Any) -> Any:
        normal = as_data(self.normal, v)
        square = trees.dot(normal, normal)
        along = trees.dot(normal, v) / square
        across = trees.norm(trees.plus(v, -along, normal))
        # Only in the direction of its normal does the set end.
        ends = (along >= 0) & (inside(across, trees.norm(v)) == 0)
        return jnp.where(ends, along * self.offset, jnp.inf)

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
