"""Small problems and methods with known behaviour, to test the core without any family."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

import resolvent as rs
from resolvent._core.memory import Entry
from resolvent._core.value import static


class Shrink(rs.Problem):
    """Find x = answer, starting from `answer + 1`."""

    answer: Any

    def residual(self, x: Any) -> Any:
        return x - self.answer

    def start(self, key: Any) -> Any:
        return self.answer + 1


class State(NamedTuple):
    x: Any
    steps: Any


class Halve(rs.Method):
    """Moves by `1 - factor` of the distance; its honesty and its moods are parameters."""

    factor: Any = 0.5
    mood: str = static("honest")
    after: int = static(5)

    name: ClassVar[str] = "halve"
    reads: ClassVar[tuple[str, ...]] = ("best",)
    solves: ClassVar = (Shrink,)
    monitored: ClassVar[int] = 50

    def init(self, problem: Any, x0: Any, memory: Any, key: Any) -> State:
        seed = memory.get("best") if self.mood == "remembers" else None
        if isinstance(seed, np.ndarray) and seed.shape == np.shape(x0):
            x0 = seed
        return State(x0, 0)

    def step(self, problem: Any, state: State) -> State:
        xp = np if isinstance(state.x, np.ndarray) else jnp
        x = problem.answer + self.factor * (state.x - problem.answer)
        steps = state.steps + 1
        late = steps > self.after
        if self.mood == "interrupt" and late:
            raise KeyboardInterrupt
        if self.mood == "nan":
            x = xp.where(late, xp.nan, x)
        if self.mood == "infinite":
            x = xp.where(late, xp.inf, x)
        if self.mood == "stuck":
            x = xp.where(late, state.x, x)
        if self.mood == "rebound":
            x = xp.where(late, x + 1.0, x)
        return State(x, steps)

    def measure(self, problem: Any, state: State) -> Any:
        if self.mood == "liar":
            return 0.0 * problem.residual(state.x)[0]
        if self.mood == "boaster":
            return 1e-3 * abs(problem.residual(state.x)).max()
        return abs(problem.residual(state.x)).max()

    def status(self, state: State) -> Any:
        if self.mood != "breakdown":
            return 0
        code = rs.Reason.breakdown.code
        xp = np if isinstance(state.x, np.ndarray) else jnp
        return xp.where(xp.asarray(state.steps) > self.after, code, 0)

    def iterate(self, problem: Any, state: State) -> tuple[Any, Any]:
        return state.x, None

    def calls(self, problem: Any, state: State) -> dict[str, Any]:
        return {"map": state.steps}

    def remember(self, problem: Any, state: State) -> dict[str, Entry]:
        return {"best": Entry(state.x)} if self.mood == "remembers" else {}


class HostHalve(Halve):
    """The same on the host only."""

    name: ClassVar[str] = "halve-on-host"
    engines: ClassVar = ("host",)


def methods(**options: Any) -> list[Any]:
    """Both engines of one mood."""
    return [Halve(**options), HostHalve(**options)]


def problem(value: Any = 3.0, n: int = 2) -> Shrink:
    """A two-dimensional problem in double precision."""
    return Shrink(np.full(n, value))
