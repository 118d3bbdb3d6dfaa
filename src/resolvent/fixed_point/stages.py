"""Values of all stages of a computation: trees of arrays whose leading axis counts stages."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import finite, real_array, refuse


def stage_norms(s: Any) -> Any:
    """The Euclidean norm of each stage, without derivative and safe from overflow."""
    matrix = jax.lax.stop_gradient(rows(s))
    largest = jnp.abs(matrix).max(initial=0.0)
    safe = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    return safe * jnp.sqrt(((matrix / safe) ** 2).sum(1))


def rows(s: Any) -> Any:
    """The stages as rows of a matrix."""
    parts = [leaf.reshape(leaf.shape[0], -1) for leaf in trees.leaves(s)]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def unrows(matrix: Any, like: Any) -> Any:
    """Stages with the structure of `like` from a matrix whose rows they are."""
    parts, structure = jax.tree_util.tree_flatten(like)
    found, begin = [], 0
    for part in parts:
        width = math.prod(part.shape[1:])
        piece = matrix[:, begin : begin + width]
        found.append(piece.reshape(part.shape).astype(part.dtype))
        begin += width
    return jax.tree_util.tree_unflatten(structure, found)


def taken(leaf: Any, numbers: Any) -> Any:
    """Stages by their numbers, the nearest ones where there are none."""
    return jnp.take(leaf, numbers, axis=0, mode="clip")


def cast(found: Any, like: Any) -> Any:
    """Values in the precision of others."""
    return trees.map_leaves(lambda leaf, other: jnp.asarray(leaf, other.dtype), found, like)


def check_callable(name: str, fn: Any, needed: str) -> None:
    """Refuse what cannot be called."""
    if not callable(fn):
        refuse(
            TypeError, name, given=f"a {type(fn).__name__}", needed=needed,
            advice="Pass a function, or an Equinox module.",
        )  # fmt: skip


def common_length(name: str, value: Any) -> int:
    """The common length of the leading axes."""
    shapes = [leaf.shape for leaf in trees.leaves(value)]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or not min(lengths):
        refuse(
            ValueError, name, given=f"shapes {shapes}", needed="arrays [T, ...] of one length T",
            advice="Put the stages along the leading axis.",
        )  # fmt: skip
    return lengths.pop()


def check_alike(name: str, found: Any, like: Any) -> None:
    """Refuse values that do not look like what they should replace."""
    given, wanted = (jax.tree_util.tree_structure(tree) for tree in (found, like))
    if given != wanted:
        refuse(
            ValueError, name, given=f"values of structure {given}", needed=f"structure {wanted}",
            advice="Look at what it returns.",
        )  # fmt: skip
    for leaf, other in zip(trees.leaves(found), trees.leaves(like), strict=True):
        if leaf.shape != other.shape or leaf.dtype.kind not in "fiub":
            refuse(
                ValueError, name, given=f"values {leaf.dtype}{list(leaf.shape)}",
                needed=f"{other.dtype}{list(other.shape)}", advice="Look at what it returns.",
            )  # fmt: skip


def checked_inputs(inputs: Any) -> Any:
    """Inputs of all stages as arrays; integers, which may be indices, stay integers."""

    def one(leaf: Any) -> Any:
        leaf = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
        if leaf.dtype.kind in "iub":
            return leaf
        leaf = real_array("inputs", leaf)
        finite("inputs", leaf)
        return leaf

    return jax.tree_util.tree_map(one, inputs)
