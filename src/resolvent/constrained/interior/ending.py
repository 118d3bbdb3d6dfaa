"""What happens where a solve would end without an answer.

Less violation is looked for once more. Shifts for the sake of eigenvalues that only rounding makes
look negative come to an end.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.norm import norm
from resolvent._core.solution import Reason
from resolvent.constrained.conditions import clipped, violated
from resolvent.constrained.interior.barrier import moved_inside
from resolvent.constrained.interior.scaled import boxes

WINDOW = 200  # steps, of which the best must be better than the best of those before
_REMOTE = 1e8  # how far x may be, relative to the first guess, and still be worth going on from
_LESS = 0.5  # what must be left at most, after a window, of the error of a point so remote


class Attempts(NamedTuple):
    """How a solve gets on, and its last attempt."""

    best: Any
    """The least error of the present window."""
    before: Any
    """The least one of the window before."""
    hidden: Any
    """Steps in a row, so far, that were shifted for rounding alone; `WINDOW` ends that."""
    last: Any
    """The last attempt: 0 if there is none yet, 1 where the next step begins it, then 2."""


def none_yet(error: Any) -> Attempts:
    """Before the first step."""
    zero = jnp.zeros((), jnp.int32)
    return Attempts(error, jnp.full_like(error, jnp.inf), zero, zero)


def simply(attempts: Attempts) -> Any:
    """Whether curvature is enough where it is positive without what rows add."""
    return attempts.hidden >= WINDOW


def counted(attempts: Attempts, hidden: Any) -> Attempts:
    """After a step that was shifted for rounding alone, or was not."""
    following = jnp.where(simply(attempts), attempts.hidden, attempts.hidden + 1)
    kept = hidden | simply(attempts)
    return attempts._replace(hidden=jnp.where(kept, following, 0))


def starting_point(problem: Any, x: Any) -> Any:
    """Where the last attempt begins: at x, or at the first guess where x is too far away."""
    first = problem.vector(problem.first)
    inside = moved_inside(boxes(problem, x)[0], clipped(first, problem.bounds_at(x)))
    return jax.lax.stop_gradient(jnp.where(_remote(problem, x), inside, x))


def _remote(problem: Any, x: Any) -> Any:
    return ~(norm(x) <= _REMOTE * (1 + norm(problem.vector(problem.first))))


def slight(state: Any) -> Any:
    """The violation that no search for less is begun for."""
    return 1e3 * jnp.finfo(state.x.dtype).eps ** 0.5 * state.little


def reconsidered(problem: Any, state: Any) -> Any:
    """The state, going on where it would end without an answer and something is left to try.

    Where more than slightly is violated, that is a last search for less; else steps without the
    shifts that are for rounding alone.
    """
    seen = state.attempts
    best = jnp.minimum(seen.best, state.merit)
    full = state.steps % WINDOW == 0
    stale = full & ~(best < seen.before) & ~(state.rescue.on & (seen.last > 0))
    lingers = full & _remote(problem, state.x) & ~(best < _LESS * seen.before)
    size, _ = violated(state.x, state.at, problem.bounds_at(state.x))
    goes_on = state.status == 0
    status = jnp.where(stale & goes_on, Reason.stalled.code, state.status)
    stalled, far = status == Reason.stalled.code, status == Reason.diverged.code
    fails = stalled | far | (lingers & goes_on)
    begins = fails & (seen.last == 0) & (size > slight(state))
    unshifted = stalled & ~begins & (seen.hidden > 0) & ~simply(seen)
    hidden = jnp.where(unshifted, WINDOW, seen.hidden)
    before = jnp.where(full, best, seen.before)
    best = jnp.where(full, state.merit, best)
    last = jnp.where(begins, 1, jnp.where(seen.last == 1, 2, seen.last))
    return state._replace(
        attempts=Attempts(best, before, hidden, last.astype(jnp.int32)),
        status=jnp.where(begins | unshifted, 0, status).astype(jnp.int32),
        refusals=jnp.where(unshifted, 0, state.refusals),
    )
