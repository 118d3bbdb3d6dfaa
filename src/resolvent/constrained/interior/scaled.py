"""A constrained program with slacks, its functions scaled by their first gradients."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent.constrained.derivatives import Local
from resolvent.constrained.interior.barrier import Box, box

_STEEP = 100.0  # the largest entry that first gradients are scaled down to


class Scaling(NamedTuple):
    """What f and the rows are multiplied by."""

    value: Any
    rows: Any
    """[m + p]"""


def scaling(at: Local) -> Scaling:
    """Factors, 1 at most, that leave no derivative above a hundred."""
    steep = jnp.abs(at.gradient).max(initial=0.0)
    tall = jnp.abs(jnp.concatenate([at.jacobian, at.slopes])).max(axis=1, initial=0.0)
    value, rows = (_STEEP / jnp.where(size > _STEEP, size, _STEEP) for size in (steep, tall))
    return Scaling(value, rows)


def boxes(problem: Any, v: Any) -> tuple[Box, Box]:
    """The bounds of x, and those of x and the slacks."""
    given, p = problem.bounds_at(v), problem.counts()[1]
    far = jnp.full_like(v, jnp.inf)
    low, high = (-far, far) if given is None else given
    rest = jnp.zeros(p, v.dtype)
    return box(low, high), box(
        jnp.concatenate([low, rest]), jnp.concatenate([high, rest + jnp.inf])
    )


def rows_of(scale: Scaling, c: Any, h: Any, slacks: Any) -> Any:
    """[m + p]: what vanishes where constraints hold."""
    return scale.rows * jnp.concatenate([c, h]) + jnp.concatenate([jnp.zeros_like(c), slacks])


def slopes_of(scale: Scaling, at: Local, free: Any) -> Any:
    """[m + p, n]: their derivatives by the unknowns that can move."""
    return scale.rows[:, None] * jnp.concatenate([at.jacobian, at.slopes]) * free
