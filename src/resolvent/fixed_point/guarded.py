"""Accelerated steps that are tried, and taken back where they do harm."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax

from resolvent._core import trees
from resolvent._core.checks import between
from resolvent._core.host import run_steps
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.fixed_point.infeasibility import either
from resolvent.fixed_point.problem import FixedPoint

_LONGEST = 1e6  # how many residuals an accelerated step may be long
_AT_FIRST, _FALL = 10.0, 1.1  # k-th accelerated step: residual at most 10 / k^1.1 of the first


class GuardedState(NamedTuple):
    """The present point and its residual f = T(x) - x as vectors, and the point to try next.

    `best` holds x, f and its norm where that was least since the last averaged step.
    """

    x: Any
    f: Any
    size: Any
    trial: Any
    bold: Any
    first: Any
    boldly: Any
    steps: Any
    best: Any
    history: Any


class Guarded(Method):
    """Each step evaluates T at a trial point, and takes it if its residual is small enough.

    A refused point costs its evaluation and no other: the next trial point is that of the averaged
    iteration, and it is taken in any case. It leaves from the best point since the last such step,
    whose residual is known: what was let pass may have led far away. Subclasses keep a history,
    which is empty after a refusal, and propose.
    """

    safeguard: Any = dataclasses.field(default=2.0, kw_only=True)
    fallback: Any = dataclasses.field(default=0.5, kw_only=True)

    solves: ClassVar = (FixedPoint,)

    def __post_init__(self) -> None:
        if self.safeguard is not None:
            between("safeguard", self.safeguard, 0.0, math.inf, "It limits a residual's growth.")
        weight("fallback", self.fallback)

    def _empty(self, x: Any) -> Any:
        """The history before the first step."""
        raise NotImplementedError

    def _next(
        self, history: Any, dx: Any, df: Any, f: Any, taken: Any, own: bool
    ) -> tuple[Any, Any, Any]:
        """What a step teaches, the step to try from there, and whether there is one.

        Args:
            history: the history so far.
            dx: the last change of x.
            df: the change of its residual.
            f: the residual.
            taken: whether the step was taken; the history is to be emptied where it was not.
            own: whether arrays of the history may be changed in place.
        """
        raise NotImplementedError

    def init(self, problem: FixedPoint, x0: Any, memory: Memory, key: Any) -> GuardedState:
        x = trees.raveled(x0)
        f = trees.raveled(problem.map(x0)) - x
        size = trees.norm(f)
        trial = trees.plus(x, self.fallback, f)
        return GuardedState(x, f, size, trial, False, size, 0, 0, (x, f, size), self._empty(x))

    def step(self, problem: FixedPoint, state: GuardedState) -> GuardedState:
        return self._step(problem, state, False)

    def _step(self, problem: FixedPoint, state: GuardedState, own: bool) -> GuardedState:
        trial = state.trial
        found = trees.raveled(problem.map(trees.unraveled(trial, problem.first))) - trial
        size = trees.norm(found)
        taken = size < math.inf
        if self.safeguard is not None:
            taken = taken & (size <= self.safeguard * state.size)
            taken = taken & (size <= summable(state.first, state.boldly))
        taken = taken | (state.bold ^ True)
        history, move, ready = self._next(
            state.history, trial - state.x, found - state.f, found, taken, own
        )
        best = either(taken & (size < state.best[2]), (trial, found, size), state.best)
        bold = taken & ready & (trees.norm(move) <= _LONGEST * size)
        boldly = state.boldly + (taken & state.bold)
        x, f, now = either(bold, (trial, found, size), best)
        # What comes of the averaged step counts as the best, so that no circle is closed.
        best = best[0], best[1], either(bold, best[2], math.inf)
        trial = x + either(bold, move, trees.times(self.fallback, f))
        return GuardedState(
            x, f, now, trial, bold, state.first, boldly, state.steps + 1, best, history
        )  # fmt: skip

    def advance(self, problem: FixedPoint, state: Any, steps: int, target: float) -> Any:
        return run_steps(_InPlace(self), problem, state, steps, target)

    def measure(self, problem: FixedPoint, state: GuardedState) -> Any:
        return problem.measured(state.size)

    def iterate(self, problem: FixedPoint, state: GuardedState) -> tuple[Any, None]:
        return trees.unraveled(state.x, problem.first), None

    def calls(self, problem: FixedPoint, state: GuardedState) -> dict[str, Any]:
        return {"map": state.steps + 1}


class _InPlace(NamedTuple):
    """The same method, whose steps spoil the states that they are given."""

    method: Guarded

    def step(self, problem: FixedPoint, state: GuardedState) -> GuardedState:
        return self.method._step(problem, state, True)

    def measure(self, problem: FixedPoint, state: GuardedState) -> Any:
        return self.method.measure(problem, state)

    def status(self, state: GuardedState) -> Any:
        return self.method.status(state)


def weight(name: str, value: Any) -> None:
    """Refuse what is no part of a step: (0, 1]."""
    if isinstance(value, float | int) and not isinstance(value, bool) and value == 1.0:
        return
    between(name, value, 0.0, 1.0, "1 itself is admitted: the whole step.")


def summable(first: Any, number: Any) -> Any:
    """The largest residual that an accelerated step of this number may have.

    Their sum is finite: whatever such steps do, an averaged iteration between them converges.
    """
    return _AT_FIRST * first / (1.0 + number) ** _FALL


def replaced(rows: Any, slot: Any, row: Any, own: bool) -> Any:
    """The rows with one of them replaced."""
    if isinstance(rows, jax.Array):
        return jax.lax.dynamic_update_index_in_dim(rows, row, slot, 0)
    rows = rows if own else rows.copy()
    rows[slot] = row
    return rows


def silenced(taken: Any, row: Any) -> Any:
    """Zero for what was refused: it may hold infinities, which no weight of zero would silence."""
    return either(taken, row, trees.zeros(row))
