"""Arithmetic on points that are trees of arrays, in NumPy as in JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.norm import norm as _norm

map_leaves = jax.tree_util.tree_map
leaves = jax.tree_util.tree_leaves


def plus(x: Any, scale: Any, y: Any) -> Any:
    """x + scale y, in the precision of x."""
    return map_leaves(lambda a, b: a + _as(scale, a) * b, x, y)


def minus(x: Any, y: Any) -> Any:
    """x - y."""
    return map_leaves(lambda a, b: a - b, x, y)


def times(scale: Any, x: Any) -> Any:
    """scale x, in the precision of x."""
    return map_leaves(lambda a: _as(scale, a) * a, x)


def combined(*terms: tuple[Any, Any]) -> Any:
    """The sum of scale x over pairs (scale, x)."""
    scales = [scale for scale, _ in terms]

    def one(*parts: Any) -> Any:
        total = _as(scales[0], parts[0]) * parts[0]
        for scale, part in zip(scales[1:], parts[1:], strict=True):
            total = total + _as(scale, part) * part
        return total

    return map_leaves(one, *(x for _, x in terms))


def dot(x: Any, y: Any) -> Any:
    """The inner product."""
    parts = [(a * b).sum() for a, b in zip(leaves(x), leaves(y), strict=True)]
    return sum(parts[1:], start=parts[0])


def norm(x: Any) -> Any:
    """The Euclidean norm of all leaves together, safe from overflow."""
    parts = [_norm(leaf) for leaf in leaves(x)]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, float) for part in parts):
        return _norm(np.array(parts))
    return _norm(jnp.stack(parts))


def largest(x: Any) -> Any:
    """The largest absolute value of an entry."""
    parts = [abs(leaf).max() if leaf.size else leaf.sum() for leaf in leaves(x)]
    total = parts[0]
    for part in parts[1:]:
        total = (jnp if isinstance(part, jax.Array) else np).maximum(total, part)
    return total


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition, one number, holds, else y."""
    return map_leaves(
        lambda a, b: (jnp if _jax(condition, a, b) else np).where(condition, a, b), x, y
    )


def zeros(x: Any) -> Any:
    """Zero, of the structure of x."""
    return map_leaves(lambda a: a * 0 if not hasattr(a, "shape") else _zeros(a), x)


def raveled(x: Any) -> Any:
    """All entries in one vector."""
    parts = [leaf.ravel() for leaf in leaves(x)]
    if len(parts) == 1:
        return parts[0]
    return (jnp if _jax(*parts) else np).concatenate(parts)


def unraveled(vector: Any, like: Any) -> Any:
    """The tree with the structure of `like` whose entries are those of a vector."""
    parts, structure = jax.tree_util.tree_flatten(like)
    found, begin = [], 0
    for part in parts:
        found.append(vector[begin : begin + part.size].reshape(part.shape).astype(part.dtype))
        begin += part.size
    return jax.tree_util.tree_unflatten(structure, found)


def _as(scale: Any, array: Any) -> Any:
    """A number that does not raise the precision of what it multiplies."""
    return scale.astype(array.dtype) if hasattr(scale, "astype") else scale


def _jax(*values: Any) -> bool:
    return any(isinstance(value, jax.Array) for value in values)


def _zeros(a: Any) -> Any:
    return (jnp if isinstance(a, jax.Array) else np).zeros(a.shape, a.dtype)
