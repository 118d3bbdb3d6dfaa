"""A solve runs in the precision of its data, whatever the user's JAX setting is."""

import contextlib
from typing import Any

import jax
import numpy as np

_AS_IT_IS = contextlib.nullcontext()


def needs_double(tree: Any) -> bool:
    """Whether some leaf holds 64-bit numbers, so that JAX must be allowed to keep them."""
    for leaf in jax.tree_util.tree_leaves(tree):
        dtype = getattr(leaf, "dtype", None)
        if dtype in (np.float64, np.int64) and not isinstance(leaf, int | float):
            return True
    return False


def scope(double: bool) -> contextlib.AbstractContextManager[Any]:
    """Allow 64-bit numbers inside the block; the user's setting is back afterwards."""
    return jax.enable_x64(True) if double else _AS_IT_IS
