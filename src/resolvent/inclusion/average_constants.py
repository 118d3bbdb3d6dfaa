"""Constants of finite sums on average, estimated where the user states none."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.randomness import generator
from resolvent._core.traced import join, split

_STARTS = 5  # directions that are tried
_CLIMBS = 8  # steps by which each is turned towards a worse one
_ROOM = 10_000_000  # numbers that changes of all components, along several directions, may take


class AverageConstants(NamedTuple):
    """Constants seen at pairs of points, so lower bounds of the true ones.

    Attributes:
        cocoercive: largest `E ||F_i(x) - F_i(y)||^2 / <F(x) - F(y), x - y>`, the mean being that
            over draws; infinite for operators that turn without contracting.
        lipschitz: largest root of `E ||F_i(x) - F_i(y)||^2 / ||x - y||^2`.
        plain: largest `||F(x) - F(y)|| / ||x - y||`.
    """

    cocoercive: Any
    lipschitz: Any
    plain: Any


def average_constants(F: Any, x: Any, key: Any = None) -> AverageConstants:
    """Estimates of a finite sum's constants around a point.

    Directions are drawn at random and turned, as in the power method, towards those in which F
    changes most. In the space that the first and the last ones span, the least cocoercive
    direction is computed. Costs at most 51 evaluations of all components: see `evaluations`.

    Args:
        F: a `FiniteSum` of JAX arrays.
        x: a point.
        key: an integer, from which the directions follow; None for 0.

    Returns:
        The largest ratios that were seen.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.inclusion.average_constants import average_constants
        F = rs.inclusion.FiniteSum(lambda x, s: s * x, jnp.array([1.0, 3.0]))
        found = average_constants(F, jnp.ones(2))
        assert jnp.allclose(found.plain, 2.0) and jnp.allclose(found.cocoercive, 2.5)
        ```
    """
    size = sum(leaf.size for leaf in trees.leaves(x))
    starts = generator(key).standard_normal((_STARTS, size))
    # No step size has a derivative that anyone means, and largest ratios may have none.
    known = jax.tree_util.tree_map(_stopped, (F, x))
    return _estimates(*split((*known, starts)))


def evaluations(F: Any, x: Any) -> int:
    """How often an estimate evaluates all components."""
    return 1 + _STARTS * _CLIMBS + _width(F, x)


def _width(F: Any, x: Any) -> int:
    """Of the space in which the least cocoercive direction is sought."""
    size = sum(leaf.size for leaf in trees.leaves(x))
    return max(1, min(size, 2 * _STARTS, _ROOM // (F.components * size)))


def _stopped(leaf: Any) -> Any:
    return jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.Array) else leaf


@partial(jax.jit, static_argnums=0)
def _estimates(static: Any, dynamic: list[Any]) -> AverageConstants:
    F, x, starts = join(static, dynamic)
    flat = trees.raveled(x)
    starts = starts.astype(flat.dtype)
    starts = starts / jnp.linalg.norm(starts, axis=1, keepdims=True)
    length = 1e-2 * (1.0 + jnp.linalg.norm(flat))
    weights = None if F.probabilities is None else 1.0 / (F.components * F.probabilities)

    def products(parts: Any, others: Any) -> Any:
        """Mean inner products of rows of changes, those of all components in one row."""
        weighted = parts if weights is None else parts * weights[:, None]
        return jnp.einsum("kni,lni->kl", weighted, others) / F.components

    def flattened(parts: Any) -> Any:
        rows = [leaf.reshape(leaf.shape[0], -1) for leaf in trees.leaves(parts)]
        return jnp.concatenate(rows, axis=1).astype(flat.dtype)

    # Differences know no more digits than the values that they come from.
    eps = jnp.finfo(flat.dtype).eps
    base = flattened(F.values(x, F.data))
    size = jnp.sqrt(products(base[None], base[None])[0, 0])
    blur = 10.0 * eps * size / length

    def changes(direction: Any) -> Any:
        """Changes of the components along a unit vector."""
        moved = F.values(trees.unraveled(flat + length * direction, x), F.data)
        return (flattened(moved) - base) / length

    def unit(vector: Any) -> Any:
        size = jnp.linalg.norm(vector)
        return vector / jnp.where(size > 0, size, 1.0)

    def climb(direction: Any, i: Any) -> tuple[Any, Any]:
        direction = jnp.where(i % _CLIMBS == 0, starts[i // _CLIMBS], direction)
        parts = changes(direction)
        mean = parts.mean(axis=0)
        size = jnp.sqrt(products(parts[None], parts[None])[0, 0])
        return unit(mean), (direction, size, jnp.linalg.norm(mean))

    _, seen = jax.lax.scan(climb, starts[0], jnp.arange(_STARTS * _CLIMBS))
    directions, lipschitz, plain = seen
    lasts = directions[_CLIMBS - 1 :: _CLIMBS]
    # First and last directions in turn, so that a narrow space has some of both.
    basis = jnp.stack([lasts, starts], axis=1).reshape(2 * _STARTS, -1)[: _width(F, x)]
    basis = jnp.linalg.qr(basis.T)[0].T
    parts = jax.lax.map(changes, basis)
    mean = parts.mean(axis=1) @ basis.T
    inner, turn = jnp.linalg.eigh((mean + mean.T) / 2)
    square = turn.T @ products(parts, parts) @ turn
    size = jnp.sqrt(jnp.maximum(jnp.diagonal(square), 0.0))
    # Where nothing moves nothing is known, and nothing is asked of the constant.
    moves = size > 100.0 * blur
    turns = moves & (inner <= 1e3 * eps * size + blur)
    scale = jnp.where(moves & ~turns, 1.0 / jnp.sqrt(jnp.where(inner > 0, inner, 1.0)), 0.0)
    ratio = jnp.linalg.eigvalsh(scale[:, None] * square * scale).max()
    return AverageConstants(jnp.where(turns.any(), jnp.inf, ratio), lipschitz.max(), plain.max())
