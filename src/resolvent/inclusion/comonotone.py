"""Step sizes of methods with two of them, for operators that are monotone or nearly so.

An operator with `<F(x) - F(y), x - y> >= -rho ||F(x) - F(y)||^2` and rho > 0 needs a long look
ahead and a shorter step after it.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Reason
from resolvent.inclusion.step_size import SAFE

_GROWTH = 1e6  # of the residual, beyond which a method has diverged
_ROOM = 1e-6  # part of a look that its step must be; a line search that leaves less has failed


def check_steps(problem: Any, look: Any, update: Any, equal: float, shared: bool) -> None:
    """Refuse step sizes for which the theory of a method says nothing.

    The two may differ, with 2 rho < look < 1 / L and update <= look - 2 rho, or be equal, with
    4 rho <= look <= `equal` / L where rho > 0. `shared`: together they have 1 / L at most.
    """
    rho, L = problem.comonotone, problem.lipschitz
    if is_traced((rho, L, look, update)):
        return
    check_weak(problem)
    if update is not None and look is None:
        refuse(
            ValueError, "update_size", given="it without step_size", needed="both, or none",
            advice="The range of the second step depends on the first.",
        )  # fmt: skip
    if look is None:
        return
    rho, most = float(rho), math.inf if L is None else 1.0 / float(L)
    why = problem.lacks("unconstrained")
    if why is not None:
        text = (
            "Theory asks for step_size < 1 / (2 L)."
            if shared
            else "Theory asks for less than 1 / L."
        )
        between("step_size", look, 0.0, 0.5 * most if shared else most, text)
        if update is not None and update != look:
            refuse(
                ValueError, "update_size", given=f"{update} beside step_size {look}",
                needed="the same step twice, because " + why,
                advice="Two different steps are for problems without G.",
            )  # fmt: skip
        return
    between(
        "step_size", look, 2.0 * rho, most,
        "Theory asks for 2 rho < step_size < 1 / L, with rho the problem's `comonotone`.",
    )  # fmt: skip
    longest = min(look - 2.0 * rho, most - look) if shared else look - 2.0 * rho
    if update is None or 0 < update <= longest * (1 + 1e-12):
        return
    if rho == 0:
        text = f"0 < update_size <= {longest:g}"
    elif update == look and 4.0 * rho <= look <= equal * most:
        return
    else:
        text = (
            f"0 < update_size <= {longest:g} beside this step_size, or both steps equal and "
            f"{4.0 * rho:g} <= step_size <= {equal * most:g}"
        )
    rest = ", and than 1 / L - step_size" if shared else ""
    refuse(
        ValueError, "update_size", given=f"{update} beside step_size {look}", needed=text,
        advice=f"It must be no longer than step_size - 2 rho{rest}.",
    )  # fmt: skip


def check_weak(problem: Any) -> None:
    """Refuse an operator that is not monotone where there is a G, or that is too far from it."""
    rho, L = problem.comonotone, problem.lipschitz
    if is_traced((rho, L)) or not rho > 0:
        return
    why = problem.lacks("unconstrained")
    if why is not None:
        refuse(
            ValueError, "comonotone", given=f"rho = {rho:g} and a problem where {why}",
            needed="rho = 0, or no G", advice="Theory covers projections of monotone F alone.",
        )  # fmt: skip
    if L is not None and not rho * L < 0.5:
        refuse(
            ValueError, "comonotone", given=f"rho = {rho:g} with L = {L:g}",
            needed=f"rho < 1 / (2 L) = {0.5 / L:g}",
            advice="Beyond it some operators defeat every step size: use ProximalPoint, or find "
            "sharper constants.",
        )  # fmt: skip


def theoretical_look(problem: Any, x: Any, shared: bool) -> Any:
    """A first step well inside its range, which leaves the second all but a part of its own."""
    rho, L = problem.comonotone, problem.lipschitz
    # Extragradient contracts by less and less as its look comes near to 1 / L.
    part = 0.5 * SAFE if shared else SAFE * (1.0 - rho * L)
    look = 2.0 * rho + part * (1.0 / L - 2.0 * rho)
    return jnp.asarray(look, jnp.result_type(*trees.leaves(x)))


def second_step(problem: Any, look: Any, update: Any, shared: bool) -> Any:
    """The user's second step, or the longest that the first one leaves."""
    if update is not None:
        return jnp.asarray(update, look.dtype)
    longest = look - 2.0 * problem.comonotone
    if shared and problem.lipschitz is not None:
        longest = jnp.minimum(longest, 1.0 / problem.lipschitz - look)
    return longest.astype(look.dtype)


def ending(merit: Any, first: Any, look: Any = 1.0, update: Any = 1.0) -> Any:
    """The code of a reason to end: a residual out of bounds, or no room for a step; else 0."""
    gone = jnp.where(merit <= _GROWTH * first, 0, Reason.diverged.code)
    return jnp.where(update > _ROOM * look, gone, Reason.breakdown.code)


def observed_comonotonicity(problem: Any, x: Any, y: Any) -> Any:
    """The least rho that two points allow: -<F(x) - F(y), x - y> / ||F(x) - F(y)||^2, or 0.

    Args:
        problem: an `Inclusion`.
        x: a point.
        y: another point.

    Returns:
        A number that is not negative; no smaller `comonotone` is true of F.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.inclusion.comonotone import observed_comonotonicity
        problem = rs.Inclusion(lambda x: -2.0 * x, start=jnp.ones(2))
        assert observed_comonotonicity(problem, jnp.ones(2), jnp.zeros(2)) == 0.5
        ```
    """
    with scope(needs_double(problem) and not is_traced((problem, x, y))):
        problem = problem.prepare("traced")
        x, y = (jax.tree_util.tree_map(jnp.asarray, point) for point in (x, y))
        moved = trees.minus(problem.operator(x), problem.operator(y))
        square = trees.dot(moved, moved)
        rho = -trees.dot(moved, trees.minus(x, y)) / jnp.where(square > 0, square, 1.0)
        rho = jnp.maximum(rho, 0.0)
        return rho if is_traced(rho) else float(rho)
