"""The factors of a Hessian, from one solve to the next."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from resolvent._core import trees
from resolvent._core.checks import is_traced
from resolvent._core.memory import Entry, Memory
from resolvent.smooth.shifted_systems import Spectrum, no_spectrum

NAME = "hessian"
_NEAR = 0.5  # how far, of its own length, a product with another Hessian may be off


def entries(parts: Spectrum) -> dict[str, Entry]:
    """What to remember of a solve; nothing where it took no Hessian."""
    if not is_traced(parts.values) and not np.any(parts.values):
        return {}
    return {NAME: Entry(parts._asdict(), depends=("size",))}


def remembered(memory: Memory, like: Float[Any, " n"]) -> Spectrum | None:
    """The factors in a memory, in the precision of a vector; None where there are none for it."""
    entry = memory.get(NAME)
    if not isinstance(entry, dict) or set(entry) != set(Spectrum._fields):
        return None
    wanted = no_spectrum(like)._asdict()
    if any(np.shape(entry[name]) != place.shape for name, place in wanted.items()):
        return None
    return Spectrum(**{name: jnp.asarray(entry[name], like.dtype) for name in wanted})


def serves(
    old: Spectrum, v: Float[Any, " n"], product: Float[Any, " n"], metric: Any
) -> Bool[Any, ""]:
    """Whether the remembered matrix and its factors do to v about what a Hessian does."""
    turned = old.vectors.T @ (v if metric is None else metric @ v)
    own = old.vectors @ (old.values * turned)
    own = own if metric is None else metric @ own
    near = _NEAR * trees.norm(product)
    off = jnp.maximum(trees.norm(own - product), trees.norm(old.matrix @ v - product))
    return off <= near
