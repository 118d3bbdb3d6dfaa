"""What related problems hand on: the multipliers of the last answer and the weights it needed."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.memory import Entry, Memory
from resolvent.constrained.conditions import Multipliers, errors, estimated

MULTIPLIERS = "multipliers"


def recalled(problem: Any, memory: Memory, weights: str, count: int) -> Memory:
    """Both entries as arrays of the shapes that fit: NaN for what is absent or does not fit.

    So one compiled program serves with memory, without, and with one of another kind.
    """
    dtype = np.result_type(*(leaf.dtype for leaf in trees.leaves(problem.first)))
    shapes = {MULTIPLIERS: tuple((size,) for size in problem.counts()), weights: ((),) * count}
    return Memory({
        name: Entry(_fitted(memory.get(name), wanted, dtype), depends=())
        for name, wanted in shapes.items()
    })  # fmt: skip


def _fitted(value: Any, shapes: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    given = value if isinstance(value, tuple | list) and len(value) == len(shapes) else shapes
    fits = [
        np.shape(part) == shape and getattr(getattr(part, "dtype", None), "kind", "") == "f"
        for part, shape in zip(given, shapes, strict=True)
    ]
    if not all(fits):
        return tuple(jnp.full(shape, jnp.nan, dtype) for shape in shapes)
    return tuple(jnp.asarray(part, dtype) for part in given)


def kept(pair: Multipliers, name: str, weights: tuple[Any, ...]) -> dict[str, Entry]:
    """The entries of a solve."""
    return {
        MULTIPLIERS: Entry(tuple(pair), depends=("size",)),
        name: Entry(weights, depends=("size",)),
    }


def first_pair(memory: Memory, x: Any, at: Any, bounds: Any, unit: Any) -> Multipliers:
    """The remembered multipliers or those of least squares, whichever leave the smaller error."""
    found = estimated(x, at, bounds)
    y, z = memory.get(MULTIPLIERS)
    known = Multipliers(y, jnp.maximum(z, 0))
    other, own = (errors(x, at, pair, bounds, unit).total for pair in (known, found))
    return trees.where(other < own, known, found)


def first_weights(memory: Memory, name: str, own: tuple[Any, ...], fit: Any) -> tuple[Any, ...]:
    """The remembered weights where `fit` says so of them, else the method's own."""
    known = memory.get(name)
    return trees.where(fit(*known), known, tuple(jnp.asarray(w, known[0].dtype) for w in own))
