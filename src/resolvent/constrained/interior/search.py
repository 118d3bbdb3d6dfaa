"""The search along a direction, which a filter guards, with corrections of second order."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.line_search import rounding
from resolvent.constrained.interior import barrier
from resolvent.constrained.interior.filter import Filter, admits, improves, least_step
from resolvent.constrained.interior.model import Model, fall, merit
from resolvent.constrained.interior.newton_step import Solver, direction
from resolvent.constrained.interior.scaled import Scaling, rows_of

_ARMIJO = 1e-8  # the share of the slope that a value must gain
_TRIES = 40
_CORRECTIONS = 4
_KEPT = 0.99  # of the violation, at which corrections end


class Searched(NamedTuple):
    """Where a search ended."""

    d: Any
    """The direction, corrected or not."""
    alpha: Any
    good: Any
    by_value: Any
    """Whether the value fell as its slope says, so that the filter needs no new pair."""
    tiny: Any
    """Whether the direction was rounding."""
    tries: Any


class _Look(NamedTuple):
    d: Any
    alpha: Any
    plain: Any
    """The step along the first direction."""
    corrections: Any
    rows: Any
    violation: Any
    good: Any
    by_value: Any
    tries: Any


def searched(
    problem: Any, model: Model, scale: Scaling, filter: Filter, little: Any, system: Solver,
    force: Any, d: Any, before: tuple[Any, Any], keep: Any,
) -> Searched:  # fmt: skip
    """A step that the filter admits; halved from the longest within the bounds."""
    n = model.free.size
    values, constants = jax.closure_convert(
        lambda x: (problem.objective_at(x), problem.equalities_at(x), problem.inequalities_at(x)),
        model.w[:n],
    )  # fmt: skip
    constants = jax.lax.stop_gradient(constants)
    violation, value = before
    down = fall(model, d)
    longest = barrier.longest(model.box, model.w, d, keep)
    # Steps that rounding hides are taken.
    tiny = (jnp.abs(d) <= 10 * jnp.finfo(d.dtype).eps * (1 + jnp.abs(model.w))).all()
    least = jnp.where(model.on, 0, least_step(violation, down, little))
    enough = (violation <= little) & (down < 0)

    def goes_on(look: _Look) -> Any:
        return ~look.good & (look.tries < _TRIES) & (look.plain >= least * longest)

    def once(look: _Look) -> _Look:
        w = model.w + look.alpha * look.d
        found, c, h = values(w[:n], *constants)
        rows = rows_of(scale, c, h, w[n:])
        now, there = merit(model, w, found, rows)
        fine = jnp.isfinite(there) & jnp.isfinite(now) & jnp.isfinite(found)
        by_slope = look.plain * jnp.maximum(-down, 0) ** 2.3 > violation**1.1
        by_value = model.on | (enough & by_slope)
        lower = there <= value + _ARMIJO * look.plain * down + rounding(value)
        good = fine & jnp.where(by_value, lower, improves(now, there, violation, value))
        good = good & (model.on | admits(filter, now, there))
        good = good | (tiny & fine)
        # A correction makes up for what the rows' curvature has added.
        first = (look.tries == 0) & (now >= violation)
        again = (look.corrections > 0) & (now <= _KEPT * look.violation)
        correct = ~good & fine & ~model.on & (first | again) & (look.corrections < _CORRECTIONS)
        rest = look.alpha * look.rows + rows
        bent, _ = direction(system, model.free, force, rest)
        following = jnp.where(correct, look.plain, 0.5 * look.plain)
        side = jnp.where(correct, bent, d)
        reach = barrier.longest(model.box, model.w, side, keep)
        return _Look(
            jnp.where(good, look.d, side),
            jnp.where(good, look.alpha, jnp.where(correct, reach, following)),
            jnp.where(good, look.plain, following),
            jnp.where(correct, look.corrections + 1, jnp.where(good, look.corrections, 0)),
            jnp.where(correct, rest, look.rows), jnp.where(correct, now, look.violation), good,
            by_value & lower, look.tries + 1,
        )  # fmt: skip

    zero, no = jnp.zeros((), jnp.int32), jnp.asarray(False)
    begin = _Look(d, longest, longest, zero, model.rows, violation, no, no, zero)
    end = jax.lax.while_loop(goes_on, once, begin)
    return Searched(end.d, end.alpha, end.good, end.by_value, tiny, end.tries)
