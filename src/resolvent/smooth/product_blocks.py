"""Square matrices from products: as many at once as intermediate results leave room for."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

_ROOM = 2**20  # numbers of one intermediate result of a block: what the caches of processors hold


def square(product: Callable[[Any], Any], like: Float[Any, " n"]) -> Float[Any, "n n"]:
    """The rows product(e_1), ..., product(e_n) of a linear map of vectors such as `like`.

    Where a product passes through arrays much larger than the vector, as a sum over many samples
    does, all n at once would take n times their memory, and more time than the caches need.
    """
    n = like.size
    eye = jnp.eye(n, dtype=like.dtype)
    block = max(1, _ROOM // largest(jax.make_jaxpr(product)(like).eqns))
    if block >= n:
        return jax.vmap(product)(eye)
    return jax.lax.map(product, eye, batch_size=block)


def largest(equations: Iterable[Any]) -> int:
    """How many numbers the largest result has, those inside of loops and branches too."""
    most = 1
    for equation in equations:
        most = max(most, *(getattr(v.aval, "size", 1) for v in equation.outvars), 1)
        for inner in jax.tree_util.tree_leaves(
            equation.params, is_leaf=lambda part: hasattr(part, "eqns")
        ):
            if hasattr(inner, "eqns"):
                most = max(most, largest(inner.eqns))
    return most
