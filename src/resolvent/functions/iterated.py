"""What sets share whose projections are iterations."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count
from resolvent._core.value import static
from resolvent.functions.function import ConvexSet


class IteratedSet(ConvexSet):
    """A set whose projection is iterated to a relative tolerance, or to a limit of steps.

    A point within that tolerance of the set is a member: the value of a projection that the limit
    cut short, or of one on an empty set, is infinite.

    Args:
        rtol: positive; None for the rounding error to the power 2/3: 4e-11 or 2e-5.
        max_steps: at least 1.
    """

    rtol: Any = static(None, kw_only=True)
    max_steps: int = static(10_000, kw_only=True)

    def __post_init__(self) -> None:
        self._check_limits()

    def _check_limits(self) -> None:
        if self.rtol is not None:
            between("rtol", self.rtol, 0.0, 1.0, "It is relative to the length of the point.")
        count("max_steps", self.max_steps, least=1)

    def value(self, x: Any) -> Any:
        distance = jnp.asarray(self.violation(x))
        most = self.tolerance(distance.dtype) * (1.0 + trees.norm(x))
        return jnp.where(distance <= most, 0.0, jnp.inf)

    def violation(self, x: Any) -> Any:
        """How far x is from what the set asks of it."""
        raise NotImplementedError

    def tolerance(self, dtype: Any) -> float:
        """The relative tolerance in a precision."""
        return float(jnp.finfo(dtype).eps) ** (2 / 3) if self.rtol is None else float(self.rtol)


def in_precision(part: Any, dtype: Any) -> Any:
    """A set with its data in one precision.

    Compiled functions that take a set must not see NumPy's double precision: programs that were
    traced in single precision would be used in double precision for it.
    """

    def one(leaf: Any) -> Any:
        return (
            jnp.asarray(leaf, dtype)
            if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
            else leaf
        )

    return jax.tree_util.tree_map(one, part)
