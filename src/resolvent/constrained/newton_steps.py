"""What Newton's methods for equations share: line searches on a merit, ends, restoration."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.line_search import backtracked
from resolvent._core.solution import Reason
from resolvent.constrained.derivatives import Local, local
from resolvent.constrained.first_multipliers import first_multipliers
from resolvent.constrained.restoration import deadlocked, observed, restored
from resolvent.constrained.scaling import inverse, scaled

NEEDS = ("equality_constraints_alone", "at_most_as_many_equations_as_unknowns")


class Moved(NamedTuple):
    """Where a line search ended, in the user's units."""

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
    """The first of the steps t, t / 2, ... along z that gains a share of what the slope promises.

    Args:
        problem: a `ConstrainedProblem`.
        state: with x, y and `at`; `factors`, what z and the merit have their constraints multiplied
            by; and `first`, the step t.
        z: [n + m], a direction of x and of multipliers.
        merit: its value, and the size of its terms, at a `Local` and multipliers.
        slope: of the merit along z.
        share: of it.
    """
    factors = state.factors
    x, y = state.x, state.y / factors.equalities
    before, size = merit(scaled(state.at, factors), y)
    # Near an answer the merit falls by less than rounding shows.
    room = 10 * jnp.finfo(x.dtype).eps * size

    def look(step: Any) -> Any:
        there = x + step * z[: x.size], y + step * z[x.size :]
        now = scaled(local(problem, there[0], sparse=state.at.is_sparse), factors)
        return *there, now, merit(now, there[1])[0]

    def refused(trial: Any, step: Any, before: Any, slope: Any, room: Any) -> Any:
        return ~(trial[-1] <= before + share * step * slope + room)

    data = before, slope, room
    (x, y, at, after), alpha, tries = backtracked(look, refused, state.first, data, tries=40)
    lost = ~(after <= before + room) | ~jnp.isfinite(after)
    at = scaled(at, inverse(factors))
    return Moved(x, y * factors.equalities, at, alpha, tries, lost)


def stepped_on(
    problem: Any, state: Any, moved: Moved, *, failed: Any, convex: Any, stretch: Any, inner: Any,
    hessians: Any = 1, **fields: Any,
) -> Any:  # fmt: skip
    """The state after a step, or the same one on its way to the least violation.

    As long as the Hessian is not positive and steps are not shortened, they become longer, so that
    a function without a minimizer is seen to be one.
    """
    # A longer step that was refused at every size says nothing of those that were not tried.
    refused = moved.lost & (state.first > 1)
    failed = failed | (moved.lost & ~refused)
    longer = ~convex & ~moved.lost & (moved.size >= state.first)
    first = jnp.where(longer, stretch * state.first, 1)
    far = problem.is_beyond(moved.x) & ~failed
    status = jnp.where(far, Reason.diverged.code, 0).astype(jnp.int32)
    after = state._replace(x=moved.x, y=moved.y, at=moved.at, step=moved.size, **fields)
    found = trees.where(failed | refused, state, after)
    begin = failed | deadlocked(found.x, found.at, state.at, None)
    return found._replace(
        restoration=observed(state.restoration, found.x, found.at, None, begin),
        first=first,
        status=status,
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
