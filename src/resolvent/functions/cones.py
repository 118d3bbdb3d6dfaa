"""Self-dual cones: the second-order cone and the cone of positive semidefinite matrices.

Moreau's decomposition w = P(w) - P(-w) gives what a difference of near points would lose.
"""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import refuse
from resolvent.functions.sets import _EDGE, _Membership, inside


class SecondOrderCone(_Membership):
    """||(x_1, ..., x_n)|| <= x_0: the first entry bounds the length of the others.

    Arrays of more axes hold one cone in each vector along their last axis. The cone is its own
    dual, and its support function is 0 on minus the cone and infinite elsewhere.

    Raises:
        ValueError: for a point without an axis, or without entries along it.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.SecondOrderCone().project(jnp.array([0.0, 3.0, 4.0]))
        assert jnp.allclose(x, jnp.array([2.5, 1.5, 2.0]))
        ```
    """

    def project(self, x: Any) -> Any:
        return jax.tree_util.tree_map(_onto_second_order_cone, x)

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            near = part - _onto_second_order_cone(part - leaf)
            far = leaf - _onto_second_order_cone(leaf - part)
            return jnp.where(_length(part) <= _length(leaf), near, far)

        return jax.tree_util.tree_map(one, x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            size, rest = _length(leaf), _length(leaf[..., 1:])
            edge = _EDGE * jnp.finfo(leaf.dtype).eps * (1.0 + size)
            outward = jnp.concatenate(
                [jnp.full_like(rest, -1.0), leaf[..., 1:] / jnp.where(rest > 0, rest, 1.0)], -1
            )
            # At the tip minus the whole cone is normal, on the rest of the boundary one ray.
            along = jnp.maximum((outward * part).sum(axis=-1, keepdims=True), 0) / 2
            boundary = jnp.where(leaf[..., :1] - rest <= edge, part - along * outward, part)
            return jnp.where(size <= edge, _onto_second_order_cone(part), boundary)

        return trees.norm(jax.tree_util.tree_map(one, x, v)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        return inside(trees.norm(self.project(v)), trees.norm(v))

    def check(self, point: Any) -> None:
        for leaf in trees.leaves(point):
            if not jnp.ndim(leaf) or not leaf.shape[-1]:
                refuse(
                    ValueError, "set", given=f"a point of shape {jnp.shape(leaf)}",
                    needed="vectors along the last axis", advice="The first entry is the bound.",
                )  # fmt: skip


def _length(x: Any) -> Any:
    """The norm along the last axis, which is kept, with a derivative at zero."""
    unit = _unit(x)
    square = ((x / unit) ** 2).sum(axis=-1, keepdims=True)
    return unit * jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))


def _unit(x: Any) -> Any:
    """The largest entry along the last axis, in units of which squares do not overflow."""
    most = jax.lax.stop_gradient(jnp.abs(x).max(axis=-1, keepdims=True, initial=0))
    return jnp.where((most > 0) & jnp.isfinite(most), most, 1)


@jax.jit
def _onto_second_order_cone(x: Any) -> Any:
    unit = _unit(x)
    scaled = x / unit  # the projection is positively homogeneous
    bound, rest = scaled[..., :1], scaled[..., 1:]
    length = _length(rest)
    half = (bound + length) / 2
    edge = jnp.concatenate([half, rest * (half / jnp.where(length > 0, length, 1))], axis=-1)
    return unit * jnp.where(length <= bound, scaled, jnp.where(length <= -bound, 0, edge))


class PSDCone(_Membership):
    """Symmetric matrices without negative eigenvalues.

    Arrays of more axes hold one matrix in their last two. A matrix that is not symmetric is no
    member, and is projected through its symmetric part. The support function is 0 at matrices
    whose symmetric part has no positive eigenvalue, and infinite elsewhere.

    Raises:
        ValueError: for a point whose last two axes are no square.

    Cost: an eigendecomposition a projection.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.PSDCone().project(jnp.array([[0.0, 2.0], [2.0, 0.0]]))
        assert jnp.allclose(x, 1.0, atol=1e-6)
        ```
    """

    def project(self, x: Any) -> Any:
        return jax.tree_util.tree_map(_positive_part, x)

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            moved = _positive_part(leaf - part)
            # Minus the symmetric part of leaf - part is the difference of both positive parts.
            near = leaf - _symmetric(leaf) + _symmetric(part) - _positive_part(part - leaf)
            sizes = [jnp.abs(each).max(axis=(-2, -1), keepdims=True) for each in (part, leaf)]
            return jnp.where(sizes[0] <= sizes[1], near, leaf - moved)

        return jax.tree_util.tree_map(one, x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            values, vectors = jnp.linalg.eigh(_symmetric(leaf))
            edge = _EDGE * jnp.finfo(leaf.dtype).eps * (1.0 + jnp.abs(values).max(-1))
            # Normal are the matrices of no positive eigenvalue that act on the kernel alone.
            kernel = jnp.where(values[..., None, :] <= edge[..., None, None], vectors, 0)
            kernel = kernel @ _turned(kernel)
            return _symmetric(part) + _positive_part(-kernel @ _symmetric(part) @ kernel)

        return trees.norm(jax.tree_util.tree_map(one, x, v)) + self.value(x)

    def conjugate(self, v: Any) -> Any:
        return inside(trees.norm(self.project(v)), trees.norm(v))

    def check(self, point: Any) -> None:
        for leaf in trees.leaves(point):
            shape = jnp.shape(leaf)
            if len(shape) < 2 or shape[-1] != shape[-2]:
                refuse(
                    ValueError, "set", given=f"a point of shape {shape}",
                    needed="square matrices in the last two axes",
                    advice="Reshape the unknown to the matrix that it stands for.",
                )  # fmt: skip


def _turned(x: Any) -> Any:
    return jnp.swapaxes(x, -1, -2)


def _symmetric(x: Any) -> Any:
    return (x + _turned(x)) / 2


@jax.custom_jvp
@jax.jit
def _positive_part(x: Any) -> Any:
    values, vectors = jnp.linalg.eigh(_symmetric(x))
    return (vectors * jnp.maximum(values, 0)[..., None, :]) @ _turned(vectors)


@_positive_part.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Divided differences of max(., 0), which exist where eigenvectors have no derivative.
    values, vectors = jnp.linalg.eigh(_symmetric(primals[0]))
    positive, size = jnp.maximum(values, 0), jnp.abs(values)
    most = size[..., :, None] + size[..., None, :]
    slope = (positive[..., :, None] + positive[..., None, :]) / jnp.where(most > 0, most, 1)
    inner = slope * (_turned(vectors) @ _symmetric(tangents[0]) @ vectors)
    near = (vectors * positive[..., None, :]) @ _turned(vectors)
    return near, vectors @ inner @ _turned(vectors)
