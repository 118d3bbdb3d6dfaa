"""What Newton's methods for equations share: line searches on a merit, ends, restoration."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.line_search import backtracked
from resolvent.constrained.derivatives import Local, local
from resolvent.constrained.first_multipliers import first_multipliers
from resolvent.constrained.restoration import deadlocked, observed, restored

NEEDS = ("equality_constraints_alone", "at_most_as_many_equations_as_unknowns")


class Moved(NamedTuple):
    """Where a line search ended."""

    x: Any
    y: Any
    at: Local
    size: Any
    """Of the step."""
    tries: Any
    lost: Any
    """Whether no step size will do."""


def moved(
    problem: Any, state: Any, z: Any, merit: Callable[[Local, Any], Any], slope: Any, share: Any
) -> Moved:
    """The first of the steps 1, 1/2, ... along z that gains a share of what the slope promises.

    Args:
        problem: a `ConstrainedProblem`.
        state: with x, y and `at`.
        z: [n + m], a direction of x and of multipliers.
        merit: its value, and the size of its terms, at a `Local` and multipliers.
        slope: of the merit along z.
        share: of it.
    """
    x, y = state.x, state.y
    before, size = merit(state.at, y)
    # Near an answer the merit falls by less than rounding shows.
    room = 10 * jnp.finfo(x.dtype).eps * size

    def look(step: Any) -> Any:
        there = x + step * z[: x.size], y + step * z[x.size :]
        now = local(problem, there[0], sparse=state.at.is_sparse)
        return *there, now, merit(now, there[1])[0]

    def refused(trial: Any, step: Any, before: Any, slope: Any, room: Any) -> Any:
        return ~(trial[-1] <= before + share * step * slope + room)

    data = before, slope, room
    first = jnp.ones((), x.dtype)
    (x, y, at, after), alpha, tries = backtracked(look, refused, first, data, tries=40)
    lost = ~(after <= before + room) | ~jnp.isfinite(after)
    return Moved(x, y, at, alpha, tries, lost)


def stepped_on(
    state: Any, moved: Moved, *, failed: Any, inner: Any, hessians: Any = 1, **fields: Any
) -> Any:
    """The state after a step, or the same one on its way to the least violation."""
    failed = failed | moved.lost
    after = state._replace(x=moved.x, y=moved.y, at=moved.at, step=moved.size, **fields)
    found = trees.where(failed, state, after)
    begin = failed | deadlocked(found.x, found.at, state.at, None)
    return found._replace(
        restoration=observed(state.restoration, found.x, found.at, None, begin),
        done=state.done + 1,
        evaluations=state.evaluations + moved.tries,
        hessians=state.hessians + hessians,
        inner=state.inner + inner,
    )


def restored_on(problem: Any, state: Any, **fresh: Any) -> Any:
    """The state after a step towards the least violation.

    Where the constraints are met there, the method goes on from that point: with the multipliers of
    least squares, and with the fields `fresh`, the weights of its beginning.
    """
    x, at, restoration, code, met = restored(
        problem, state.x, state.at, None, state.restoration, again=True
    )
    state = state._replace(
        x=x, at=at, restoration=restoration, status=code.astype(jnp.int32), done=state.done + 1,
        evaluations=state.evaluations + 1,
    )  # fmt: skip
    anew = state._replace(y=first_multipliers(None, problem, x, at), **fresh)
    return trees.where(met, anew, state)
