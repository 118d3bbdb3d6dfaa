"""Bounds on single unknowns, as users write them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import is_traced, real_array, refuse


def admitted_bounds(bounds: Any, first: Any) -> tuple[Any, Any]:
    """Lower and upper bounds like the first guess, or a pair of None without any."""
    if bounds is None:
        return None, None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # SciPy's Bounds
        bounds = tuple(np.squeeze(b) if np.size(b) == 1 else b for b in (bounds.lb, bounds.ub))
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        refuse(
            TypeError, "bounds", given=_counted(bounds), needed="a pair (lower, upper)",
            advice="Write bounds=(0.0, None) for x >= 0, and arrays like x0 where bounds differ.",
        )  # fmt: skip
    if all(bound is None for bound in bounds):
        return None, None
    lower, upper = (
        _like(side, bound, first, fill)
        for side, bound, fill in zip(("lower", "upper"), bounds, (-np.inf, np.inf), strict=True)
    )
    for low, high in zip(trees.leaves(lower), trees.leaves(upper), strict=True):
        if not is_traced((low, high)):
            _check(np.asarray(low), np.asarray(high))
    return lower, upper


def _like(side: str, bound: Any, first: Any, fill: float) -> Any:
    """One bound, a number for all unknowns or a tree like them."""
    bound = fill if bound is None else bound
    if not trees.leaves(bound) or jax.tree_util.treedef_is_leaf(
        jax.tree_util.tree_structure(bound)
    ):
        value = real_array("bounds", bound)
        bound = trees.map_leaves(lambda leaf: value, first)
    given, wanted = (jax.tree_util.tree_structure(tree) for tree in (bound, first))
    if (
        given != wanted
        and jax.tree_util.treedef_is_leaf(wanted)
        and isinstance(bound, list | tuple)
    ):
        refuse(
            TypeError, "bounds", given=f"a {side} one that is a {type(bound).__name__}",
            needed="an array like x0, or one number",
            advice="Write (numpy.array(lower), numpy.array(upper)), not one pair a number.",
        )  # fmt: skip
    if given != wanted:
        refuse(
            ValueError, "bounds", given=f"a {side} one of structure {given}",
            needed=f"structure {wanted}", advice="Give it the structure of x0, or one number.",
        )  # fmt: skip

    def one(value: Any, like: Any) -> Any:
        value = real_array("bounds", value)
        if value.shape not in ((), like.shape):
            refuse(
                ValueError, "bounds", given=f"a {side} one of shape {value.shape}",
                needed=f"shape {like.shape}", advice="Give it the shape of x0, or one number.",
            )  # fmt: skip
        xp = jnp if isinstance(value, jax.Array) or isinstance(like, jax.Array) else np
        return xp.broadcast_to(xp.asarray(value, like.dtype), like.shape)

    return trees.map_leaves(one, bound, first)


def _counted(bounds: Any) -> str:
    if isinstance(bounds, tuple | list):
        return f"a {type(bounds).__name__} of {len(bounds)}"
    return f"a {type(bounds).__name__}"


def _check(low: Any, high: Any) -> None:
    nan = np.isnan(low) | np.isnan(high)
    empty = (low > high) | (low == np.inf) | (high == -np.inf)
    for bad, what in ((nan, "NaN"), (empty, "bounds that no number meets")):
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            refuse(
                ValueError, "bounds",
                given=f"{what}, the first at {where}: {low[where]} and {high[where]}",
                needed="lower <= upper", advice="Write infinity, or None, where there is none.",
            )  # fmt: skip
