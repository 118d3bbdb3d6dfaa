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


def at_rest(at: Local) -> Restoration:
    """Not begun."""
    one, zero = jnp.ones((), at.gradient.dtype), jnp.zeros((), jnp.int32)
    return Restoration(jnp.asarray(False), 1e-3 * one, zero, steepness(at), one, zero)


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


def _gauss_newton(at: Local, free: Any, slope: Any, size: Any, damping: Any) -> Any:
    """The step that least squares with damping give along the unknowns that are free."""
    over = at.inequalities > 0
    if at.is_sparse:
        stack = Stack(at.jacobian * free, at.slopes * free)
        over = jnp.concatenate([jnp.ones_like(at.equalities), over])
        squares = stack.squares()
        room = damping * jnp.where(size > 0, (over * squares[0]).sum(), 1)
        return conjugate_gradients(
            lambda d: stack.back(over * stack.of(d)) + room * d, slope * free, squares[1] + room,
            1e-8,
        )  # fmt: skip
    rows = jnp.concatenate([at.jacobian, jnp.where(over[:, None], at.slopes, 0)]) * free
    room = damping * jnp.where(size > 0, norm(rows) ** 2, 1) if _rows(at) else 1.0
    bent = rows.T @ rows + room * jnp.eye(slope.size, dtype=slope.dtype)
    return jnp.linalg.solve(bent, slope * free)


def restored(
    problem: Any, v: Any, at: Local, bounds: Any, restoration: Restoration, again: bool = False
) -> tuple[Any, Local, Restoration, Any, Any]:
    """One damped Gauss-Newton step on half the squared violation, and the code of a `Reason`.

    `infeasible` where the violation is stationary and does not vanish: its slope is at most the
    root of the precision times what the violation and the steepest derivatives would give, and the
    violation falls no more.
    `breakdown` where it vanishes, and the method failed although constraints can be met; with
    `again` that is told by the last value instead, a few times, and the search ends.
    """
    size, slope = violated(v, at, bounds)
    free = freed(v, slope, bounds)
    there = clipped(v - _gauss_newton(at, free, slope, size, restoration.damping), bounds)
    now = local(problem, there, sparse=at.is_sparse)
    after, after_slope = violated(there, now, bounds)
    better = after < size
    rests = ~(after <= _FALL * size)
    v, at = trees.where(better, (there, now), (v, at))
    size, slope = jnp.where(better, after, size), jnp.where(better, after_slope, slope)
    damping = jnp.where(better, 0.2 * restoration.damping, 5 * restoration.damping)
    eps = jnp.finfo(v.dtype).eps
    steepest = jnp.maximum(restoration.steepest, steepness(at))
    met = size <= eps**0.75 * restoration.first
    level = norm(slope) <= eps**0.5 * steepest * size
    steps = restoration.steps + 1
    resumes = met & again & (restoration.rounds < _ROUNDS)
    ended = (met & ~resumes) | (steps >= _STEPS)
    code = jnp.where(level & rests & ~met, Reason.infeasible.code, jnp.where(
        ended, Reason.breakdown.code, 0
    ))  # fmt: skip
    damping = jnp.clip(damping, eps, 1 / eps)
    restoration = restoration._replace(
        on=restoration.on & ~resumes,
        damping=jnp.where(resumes, jnp.asarray(1e-3, v.dtype), damping),
        steps=jnp.where(resumes, 0, steps),
        steepest=steepest,
        rounds=restoration.rounds + resumes,
    )
    return v, at, restoration, code, resumes
