"""Bandits that choose a relaxation parameter before each system of a sequence.

A learner holds parameters only; what it has learned is a state, a named tuple of arrays and
numbers. `choose` draws an arm (an index into the grid), the system is solved with `omega(arm)`,
and `update` returns the next state from the number of iterations that the solve took. Nothing is
mutated, and neither the state's size nor the work of a round grows with the number of rounds.
Everything that a learner holds is static: as a JAX tree it has no leaves.
"""

import abc
import dataclasses
import math
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.random import Generator

from resolvent._core.checks import refuse
from resolvent._core.value import Value

OMEGAS: tuple[float, ...] = tuple(float(omega) for omega in np.linspace(1.0, 1.95, 20))
"""Twenty equispaced relaxation parameters from 1 to 1.95."""


class Choice(NamedTuple):
    """What a learner decided in one round.

    Attributes:
        arm: index of the relaxation parameter in the grid.
        probabilities: distribution over the grid that the arm was drawn from.
        weight: probability by which the observed cost is divided (importance weighting).
        predicted: (k - 1) / S predicted for the arm in the scale of the round; ChebCB only.
        sound: whether the distribution came out positive and normalised to 1e-10. Where it did
            not, the arm was drawn uniformly (for the published Newton iteration: from the
            renormalised weights where these are finite).
    """

    arm: int
    probabilities: np.ndarray
    weight: float
    predicted: float
    sound: bool


class Learner(Value):
    """What the learners share: a grid of relaxation parameters, one an arm.

    Two learners are equal when their parameters are, so that a saved state is known again.
    """

    grid: tuple[float, ...] = dataclasses.field(
        default=OMEGAS, kw_only=True, metadata={"static": True}
    )

    contextual: ClassVar[bool] = False
    """Whether every system needs a context."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", _checked_grid(self.grid))

    @abc.abstractmethod
    def start(self) -> Any:
        """Return the state before the first round."""

    @abc.abstractmethod
    def choose(self, state: Any, context: float | None, rng: Generator) -> Choice:
        """Draw an arm for a system with this context. Consumes one uniform number of `rng`."""

    @abc.abstractmethod
    def update(self, state: Any, choice: Choice, context: float | None, cost: float) -> Any:
        """Return the state after a solve of `cost` iterations (fewer than one count as one)."""

    def omega(self, arm: int) -> float:
        """Return the relaxation parameter of an arm."""
        return self.grid[arm]

    def rounds(self, state: Any) -> int:
        """Return the number of rounds that a state has seen."""
        rounds = state.rounds
        return rounds if isinstance(rounds, int) else int(np.sum(rounds))

    def admit(self, state: Any) -> Any:
        """Return a state that came from elsewhere if it can be continued from, else None."""
        pattern = self.start()
        if type(state) is not type(pattern):
            return None
        for value, like in zip(state, pattern, strict=True):
            if type(value) is not type(like):
                return None
            if not isinstance(like, np.ndarray):
                if isinstance(like, int) and value < 0:
                    return None  # a count
            elif value.shape != like.shape or value.dtype != like.dtype:
                return None
        return state

    def _parameters(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, type(self)) and self._parameters() == other._parameters()

    def __hash__(self) -> int:
        return hash((type(self), *self._parameters()))


def _checked_grid(grid: Iterable[float]) -> tuple[float, ...]:
    values = tuple(float(omega) for omega in grid)
    wrong = [omega for omega in values if not 0.0 < omega < 2.0]
    if wrong or not values:
        refuse(
            ValueError, "grid", given=f"{wrong[0]} in it" if wrong else "an empty one",
            needed="at least one relaxation parameter, all strictly between 0 and 2",
            advice="Outside relaxation diverges; numpy.linspace(1, 1.95, 20) is a usual choice.",
        )  # fmt: skip
    return values


def set_range(learner: Any) -> None:
    """Check and convert a learner's range of contexts."""
    low, high = float(learner.low), float(learner.high)
    if not (low < high and math.isfinite(high - low)):
        refuse(
            ValueError, "low, high", given=f"the range of contexts [{low}, {high}]",
            needed="low < high, at a finite distance",
            advice="Give a range that contains every context of the sequence.",
        )  # fmt: skip
    object.__setattr__(learner, "low", low)
    object.__setattr__(learner, "high", high)


def checked_context(context: float | None, learner: str) -> float:
    """A context as a finite number."""
    if context is None:
        refuse(
            ValueError, "context", given=f"none to {learner}",
            needed="one number that describes the system (a shift, a coefficient, a time step)",
            advice="Give each problem its context=..., or use TsallisINF, which needs none.",
        )  # fmt: skip
    value = float(context)
    if not math.isfinite(value):
        refuse(
            ValueError, "context", given=f"{value}", needed="a finite number",
            advice="Correct the problem's context.",
        )  # fmt: skip
    return value


def excess_of(cost: float) -> float:
    """A cost less the one iteration that every solve takes."""
    value = float(cost)
    if not math.isfinite(value) or value < 0.0:
        refuse(
            ValueError, "cost", given=f"{value}", needed="a finite number of iterations",
            advice="After a solve that failed, give the step limit as its cost.",
        )  # fmt: skip
    return max(value, 1.0) - 1.0


def check_state(shape: tuple[int, ...], needed: tuple[int, ...], learner: str) -> None:
    """Refuse a state whose array has not the needed shape."""
    if shape != needed:
        refuse(
            ValueError, "state", given=f"an array of shape {shape} for this {learner}",
            needed=f"shape {needed}; it was learned with another grid, or other bins or terms",
            advice="Begin with learner.start().",
        )  # fmt: skip
