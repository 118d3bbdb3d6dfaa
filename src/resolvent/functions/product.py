"""A function of several blocks that is a sum over them."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import refuse
from resolvent.functions.function import ConvexSet, Function
from resolvent.functions.sets import Everything


class Product(ConvexSet):
    """A function for each block of a point that is a tuple: sets form their product.

    Args:
        parts: one `Function` a block, or None for no constraint.

    Raises:
        TypeError: for a part that is no Function.
        ValueError: for a point with another number of blocks.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        both = rs.functions.Product((rs.functions.Simplex(), rs.functions.Box(0.0, 1.0)))
        x, y = both.project((jnp.zeros(2), 5.0 * jnp.ones(1)))
        assert (x == 0.5).all() and (y == 1.0).all()
        ```
    """

    parts: tuple[Any, ...]

    def __init__(self, parts: Any):
        parts = tuple(Everything() if part is None else part for part in parts)
        for part in parts:
            if not isinstance(part, Function):
                refuse(
                    TypeError, "parts", given=f"a {type(part).__name__}",
                    needed="one Function a block", advice="See resolvent.functions.",
                )  # fmt: skip
        vars(self).update(parts=parts)

    def value(self, x: Any) -> Any:
        return sum(part.value(block) for part, block in zip(self.parts, x, strict=True))

    def prox(self, x: Any, step: Any) -> Any:
        return tuple(part.prox(block, step) for part, block in zip(self.parts, x, strict=True))

    def displacement(self, x: Any, v: Any) -> Any:
        blocks = zip(self.parts, x, v, strict=True)
        return tuple(part.displacement(block, turn) for part, block, turn in blocks)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        blocks = zip(self.parts, x, v, strict=True)
        return trees.norm(
            [part.subdifferential_distance(block, turn) for part, block, turn in blocks]
        )

    @property
    def convex(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(part.convex for part in self.parts)

    @property
    def is_set(self) -> bool:
        return all(part.is_set for part in self.parts)

    def project(self, x: Any) -> Any:
        return self.nearest(x)

    def nearest(self, x: Any) -> Any:
        return tuple(part.nearest(block) for part, block in zip(self.parts, x, strict=True))

    def conjugate(self, v: Any) -> Any:
        return sum(part.conjugate(block) for part, block in zip(self.parts, v, strict=True))

    def bounded(self) -> bool:
        return all(isinstance(part, ConvexSet) and part.bounded() for part in self.parts)

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        found = [part.scaled_conjugate(block) for part, block in zip(self.parts, v, strict=True)]
        if any(one is None for one in found):
            return None
        # One scale for all blocks; below its own one each conjugate is finite, but not the same.
        scale = functools.reduce(_smaller, [scale for scale, _ in found if scale is not None])
        return scale, self.conjugate(trees.times(scale, v))

    def diameter(self) -> Any:
        squares = [
            part.diameter() ** 2 if isinstance(part, ConvexSet) else math.inf for part in self.parts
        ]
        return jnp.sqrt(jnp.asarray(sum(squares)))

    def check(self, point: Any) -> None:
        if not isinstance(point, tuple) or len(point) != len(self.parts):
            number = len(point) if isinstance(point, tuple) else type(point).__name__
            refuse(
                ValueError, "set", given=f"{len(self.parts)} parts for a point of {number} blocks",
                needed="a tuple with one block a part", advice="Give each block its set.",
            )  # fmt: skip
        for part, block in zip(self.parts, point, strict=True):
            part.check(block)


def _smaller(one: Any, other: Any) -> Any:
    xp = jnp if isinstance(one, jax.Array) or isinstance(other, jax.Array) else np
    return xp.minimum(one, other)
