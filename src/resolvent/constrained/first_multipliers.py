"""The multipliers of equations that a solve begins with."""

from typing import Any

import jax.numpy as jnp

from resolvent._core.checks import refuse
from resolvent.constrained.conditions import estimated
from resolvent.constrained.derivatives import Local


def admitted_multipliers(given: Any, problem: Any) -> Any:
    """Those that a method was given, None for none."""
    if given is None:
        return None
    m = problem.counts()[0]
    if jnp.shape(given) not in ((), (m,)):
        refuse(
            ValueError, "multipliers", given=f"shape {jnp.shape(given)}",
            needed=f"a number, or shape ({m},)", advice="There is one for each equation.",
        )  # fmt: skip
    return given


def first_multipliers(given: Any, problem: Any, x: Any, at: Local) -> Any:
    """[m], those that a method was given, else those of least squares."""
    given = admitted_multipliers(given, problem)
    if given is None:
        return estimated(x, at, None).equalities
    return jnp.full_like(at.equalities, given)
