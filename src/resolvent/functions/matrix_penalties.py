"""Penalties on the singular values of matrices."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, refuse
from resolvent.functions.function import Function, within
from resolvent.functions.sets import held


class Nuclear(Function):
    """weight times the sum of the singular values of a matrix, or of all matrices of a tree.

    Derivatives of the prox are exact where singular values coincide, too. The subdifferential
    distance takes singular values below max(m, n) rounding errors of the largest one for zero.

    Args:
        weight: positive.

    Raises:
        ValueError: for a weight that is not positive, or a point that is no [..., m, n].

    Cost: a singular value decomposition of each matrix.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Nuclear(1.0).prox(jnp.diag(jnp.array([3.0, 0.5])), 1.0)
        assert jnp.allclose(x, jnp.diag(jnp.array([2.0, 0.0])), atol=1e-6)
        ```

    Reference:
        J.-F. Cai, E. J. Candes, Z. Shen (2010), A singular value thresholding algorithm for matrix
        completion, arXiv 0810.3286.
    """

    weight: Any = 1.0

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")

    def value(self, x: Any) -> Any:
        return self.weight * sum(_values(leaf).sum() for leaf in trees.leaves(x))

    def prox(self, x: Any, step: Any) -> Any:
        return trees.map_leaves(lambda leaf: _shrunk(leaf, self._bar(leaf, step)), x)

    def displacement(self, x: Any, v: Any) -> Any:
        return trees.map_leaves(lambda leaf, part: part + _held(leaf - part, self._bar(leaf)), x, v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            bar = self._bar(leaf)
            u, s, vt = jnp.linalg.svd(leaf, full_matrices=False)
            edge = max(leaf.shape[-2:]) * jnp.finfo(leaf.dtype).eps * s[..., :1]
            alive = (s > edge).astype(leaf.dtype)[..., None, :]
            u, w = u * alive, jnp.swapaxes(vt, -1, -2) * alive
            ut, wt = jnp.swapaxes(u, -1, -2), jnp.swapaxes(w, -1, -2)
            rest = part - u @ (ut @ part)
            free = rest - (rest @ w) @ wt
            # Across from the ranges of x there is a ball of subgradients, along them only one.
            return (part - free) - bar * (u @ wt) + _shrunk(free, bar)

        return trees.norm(trees.map_leaves(one, x, v))

    def conjugate(self, v: Any) -> Any:
        return held(self._most(v), self.weight)

    def _bar(self, leaf: Any, step: Any = 1.0) -> Any:
        return jnp.asarray(self.weight * step, leaf.dtype)

    def check(self, point: Any) -> None:
        for leaf in trees.leaves(point):
            if leaf.ndim < 2 or not leaf.size:
                refuse(
                    ValueError, "point", given=f"shape {leaf.shape}", needed="matrices [..., m, n]",
                    advice="Reshape it, or use L2 for a vector.",
                )  # fmt: skip

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return within(self._most(v), self.weight)

    def _most(self, v: Any) -> Any:
        return jnp.stack([_values(leaf).max() for leaf in trees.leaves(v)]).max()


def _values(x: Any) -> Any:
    return jnp.linalg.svd(x, compute_uv=False)


@jax.custom_jvp
def _held(x: Any, bar: Any) -> Any:
    """The nearest matrix whose singular values are at most `bar`."""
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    return (u * jnp.minimum(s, bar)[..., None, :]) @ vt


@_held.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, bar = primals
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    near = (u * jnp.minimum(s, bar)[..., None, :]) @ vt
    return near, _change(u, s, vt, bar, *tangents)


@jax.custom_jvp
def _shrunk(x: Any, bar: Any) -> Any:
    """What is beyond: a difference of x and the above would leave rounding errors for zeros."""
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    return (u * jnp.maximum(s - bar, 0)[..., None, :]) @ vt


@_shrunk.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, bar = primals
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    near = (u * jnp.maximum(s - bar, 0)[..., None, :]) @ vt
    return near, tangents[0] - _change(u, s, vt, bar, *tangents)


def _change(u: Any, s: Any, vt: Any, bar: Any, moved: Any, more: Any) -> Any:
    """The derivative of `_held`."""
    ut, v = jnp.swapaxes(u, -1, -2), jnp.swapaxes(vt, -1, -2)
    one, other = s[..., :, None], s[..., None, :]
    high, low = jnp.maximum(one, other), jnp.minimum(one, other)
    # Divided differences of min(s, bar) and of its odd continuation: no division by zero.
    across = high > bar
    even = jnp.where(
        low >= bar, 0, jnp.where(across, (bar - low) / jnp.where(across, high - low, 1), 1)
    )
    total = one + other
    both = jnp.minimum(one, bar) + jnp.minimum(other, bar)
    # In the limit of no bar at all nothing is held, not even at zero.
    near_zero = (bar > 0).astype(s.dtype)
    odd = jnp.where(total > 0, both / jnp.where(total > 0, total, 1), near_zero)
    inner = ut @ moved @ v
    turned = jnp.swapaxes(inner, -1, -2)
    core = even * (inner + turned) / 2 + odd * (inner - turned) / 2
    core = core + (more * (s > bar))[..., None, :] * jnp.eye(s.shape[-1], dtype=s.dtype)
    share = jnp.where(s > bar, bar / jnp.where(s > bar, s, 1), near_zero)[..., None, :]
    # What leaves one of the two ranges is scaled like the singular value that it belongs to; the
    # other range is everything.
    left = moved @ v - u @ inner
    right = ut @ moved - inner @ vt
    return u @ core @ vt + (left * share) @ vt + (u * share) @ right
