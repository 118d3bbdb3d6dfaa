"""What is left to do where constraints seem to contradict each other: to violate them least."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.norm import norm
from resolvent._core.solution import Reason
from resolvent.constrained.conditions import clipped, freed, violated
from resolvent.constrained.derivatives import Local, local
from resolvent.constrained.sparse_least_squares import Stack, conjugate_gradients

_STEPS = 300  # after which the question stays open
_ROUNDS = 3  # searches after which constraints that can be met are left alone
_FALL = 0.999  # of the violation: what is left of it where it still falls
_AWAY = 20  # steps in which the violation falls beside a saddle


class Restoration(NamedTuple):
    """How far the search for the least violation is."""

    on: Any
    damping: Any
    steps: Any
    steepest: Any
    """The largest norm of the constraints' derivatives so far."""
    first: Any
    """The violation where the search began."""
    rounds: Any
    """How many searches have ended at points that meet the constraints."""
    candidate: Any
    """[n], the last stationary point. It was left, to see whether it is a saddle."""
    least: Any
    """The violation there."""
    away: Any
    """The next step's number after that point, 1 for the one that leaves it; 0 for none."""


def at_rest(at: Local) -> Restoration:
    """Not begun."""
    one, zero = jnp.ones((), at.gradient.dtype), jnp.zeros((), jnp.int32)
    return Restoration(
        on=jnp.asarray(False), damping=1e-3 * one, steps=zero, steepest=steepness(at), first=one,
        rounds=zero, candidate=jnp.zeros_like(at.gradient), least=jnp.inf * one, away=zero,
    )  # fmt: skip


def steepness(at: Local) -> Any:
    """The norm of the derivatives of all constraints."""
    if not _rows(at):
        return 0 * at.value
    if at.is_sparse:
        return jnp.sqrt(sum((rows**2).sum(1).sum() for rows in (at.jacobian, at.slopes)))
    return norm(jnp.concatenate([at.jacobian, at.slopes]))


def _rows(at: Local) -> int:
    return at.equalities.size + at.inequalities.size


def observed(restoration: Restoration, v: Any, at: Local, bounds: Any, begin: Any) -> Restoration:
    """The same, after a step elsewhere, begun where the condition holds."""
    size, _ = violated(v, at, bounds)
    return restoration._replace(
        on=restoration.on | begin,
        first=jnp.where(begin, size, restoration.first),
        steepest=jnp.maximum(restoration.steepest, steepness(at)),
    )


def deadlocked(v: Any, at: Local, before: Local, bounds: Any) -> Any:
    """Whether a step has left the violation as it was, and no small change would make it less.

    In units of what a change of x as large as x does to each constraint.
    """
    if not _rows(at):
        return jnp.asarray(False)
    lengths = jnp.maximum(jnp.abs(v), 1)
    over = at.equalities, jnp.maximum(at.inequalities, 0)
    values = jnp.abs(jnp.concatenate(over))
    reach = values + jnp.concatenate([abs(at.jacobian) @ lengths, abs(at.slopes) @ lengths])
    size, slope = violated(v, at, bounds)
    eps = jnp.finfo(v.dtype).eps
    level = norm(slope * lengths) <= eps**0.5 * (values @ reach)
    large = (values > eps**0.75 * reach).any()
    last, _ = violated(v, before, bounds)
    return level & large & ~(size <= _FALL * last)


def _violated_rows(at: Local, free: Any) -> Any:
    """The derivatives of what is violated by the unknowns that are free, and their squares' sum."""
    over = at.inequalities > 0
    if at.is_sparse:
        rows = Stack(at.jacobian * free, at.slopes * free)
        over = jnp.concatenate([jnp.ones_like(at.equalities), over])
        return rows, over, (over * rows.squares()[0]).sum()
    rows = jnp.concatenate([at.jacobian, jnp.where(over[:, None], at.slopes, 0)]) * free
    return rows, over, norm(rows) ** 2 if _rows(at) else jnp.ones((), rows.dtype)


def _gauss_newton(at: Local, free: Any, slope: Any, size: Any, damping: Any) -> Any:
    """The step that least squares with damping give along the unknowns that are free."""
    rows, over, squares = _violated_rows(at, free)
    room = damping * jnp.where(size > 0, squares, 1)
    if at.is_sparse:
        return conjugate_gradients(
            lambda d: rows.back(over * rows.of(d)) + room * d, slope * free,
            rows.squares()[1] + room, 1e-8,
        )  # fmt: skip
    bent = rows.T @ rows + room * jnp.eye(slope.size, dtype=slope.dtype)
    return jnp.linalg.solve(bent, slope * free)


def _aside(v: Any) -> Any:
    """A small change of every unknown, along no direction that a program would know."""
    golden = 0.5 * (5**0.5 - 1)
    spread = 2 * ((1 + jnp.arange(v.size, dtype=v.dtype)) * golden % 1) - 1
    return jnp.finfo(v.dtype).eps ** 0.25 * jnp.maximum(jnp.abs(v), 1) * spread


def restored(
    problem: Any, v: Any, at: Local, bounds: Any, restoration: Restoration, again: bool = False
) -> tuple[Any, Local, Restoration, Any, Any]:
    """One damped Gauss-Newton step on half the squared violation, and the code of a `Reason`.

    `infeasible` where the violation is stationary and does not vanish: its slope is at most the
    root of the precision times what the violation and the steepest derivatives would give, the
    violation falls no more, and steps from a point beside it find no less: it is not a saddle.
    `breakdown` where it vanishes, and the method failed although constraints can be met; with
    `again` that is told by the last value instead, a few times, and the search ends.
    """
    size, slope = violated(v, at, bounds)
    free = freed(v, slope, bounds)
    leaves, returns = restoration.away == 1, restoration.away > _AWAY
    step = -_gauss_newton(at, free, slope, size, restoration.damping)
    there = clipped(v + jnp.where(leaves, _aside(v), step), bounds)
    there = jnp.where(returns, restoration.candidate, there)
    now = local(problem, there, sparse=at.is_sparse)
    after, after_slope = violated(there, now, bounds)
    moves = leaves | returns
    better = after < jnp.where(moves, jnp.inf, size)
    falls = after <= _FALL * size
    v, at = trees.where(better, (there, now), (v, at))
    size, slope = jnp.where(better, after, size), jnp.where(better, after_slope, slope)
    damping = restoration.damping * jnp.where(better, 0.2, 5)
    # Beside a stationary point curvature may be all that there is: steps begin as small as the
    # distance to that point.
    *_, squares = _violated_rows(at, free)
    near = norm(slope * free) / (norm(there - restoration.candidate) * squares)
    damping = jnp.where(leaves, near, damping)
    eps = jnp.finfo(v.dtype).eps
    steepest = jnp.maximum(restoration.steepest, steepness(at))
    met = size <= eps**0.75 * restoration.first
    level = norm(slope) <= eps**0.5 * steepest * size
    still = level & ~met & ~falls & ~moves
    less = size <= _FALL * restoration.least
    found = still & less  # and not seen before
    steps = restoration.steps + 1
    resumes = met & again & (restoration.rounds < _ROUNDS)
    ended = (met & ~resumes) | (steps >= _STEPS)
    seen = (still & ~less) | returns | (leaves & ~better)
    code = jnp.where(seen, Reason.infeasible.code, jnp.where(ended, Reason.breakdown.code, 0))
    damping = jnp.clip(damping, eps, 1 / eps)
    restoration = restoration._replace(
        on=restoration.on & ~resumes,
        damping=jnp.where(resumes, jnp.asarray(1e-3, v.dtype), damping),
        steps=jnp.where(resumes | found, 0, steps),
        steepest=steepest,
        rounds=restoration.rounds + resumes,
        candidate=jnp.where(found, v, restoration.candidate),
        least=jnp.where(resumes, jnp.inf, jnp.where(found, size, restoration.least)),
        away=jnp.where(found, 1, jnp.where(less, 0, restoration.away + (restoration.away > 0))),
    )
    return v, at, restoration, code, resumes
