"""Several right-hand sides: one method run on each column until the last one is done."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.host import run_steps
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.problem import Engine
from resolvent.linear.problem import LinearSystem


class ColumnsState(NamedTuple):
    states: Any  # a tuple on the host, one batched state when traced
    scales: Any
    worst: Any
    statuses: Any


class Columns(Method):
    """Runs `method` on the columns of a system with several right-hand sides.

    The measure is the largest relative residual of a column. Columns that are done rest while
    the others go on.
    """

    method: Any = None

    name: ClassVar[str] = "columns"
    solves: ClassVar = (LinearSystem,)

    def runs_on(self) -> tuple[Engine, ...]:
        return self.method.runs_on()

    @property
    def random(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.random

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.needs

    def check(self, problem: LinearSystem) -> None:
        self.method.check(problem)

    def limit(self, problem: LinearSystem) -> int:
        return self.method.limit(problem)

    def bind(self, problem: LinearSystem) -> "Columns":
        return Columns(self.method.bind(problem.column(0)))

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> ColumnsState:
        count = problem.b.shape[1]
        if isinstance(x0, np.ndarray):
            states = tuple(
                self.method.init(problem.column(j), x0[:, j].copy(), memory, key)
                for j in range(count)
            )
            scales = np.array([norm(np.ascontiguousarray(problem.b[:, j])) for j in range(count)])
            return self._judged(problem, states, np.where(scales == 0, 1.0, scales))
        keys = None if key is None else jax.random.split(key, count)

        def begin(b: Any, x: Any, one: Any) -> Any:
            return self.method.init(problem.but(b=b), x, memory, one)

        axes = (1, 1, None if keys is None else 0)
        states = jax.vmap(begin, axes)(problem.b, x0, keys)
        scales = jax.vmap(norm, 1)(problem.b)
        return self._judged(problem, states, jnp.where(scales == 0, 1.0, scales))

    def _judged(self, problem: LinearSystem, states: Any, scales: Any) -> ColumnsState:
        if isinstance(scales, np.ndarray):
            measures = np.array(
                [self.method.measure(problem.column(j), s) for j, s in enumerate(states)], float
            )
            statuses = np.array([int(self.method.status(s)) for s in states])
            return ColumnsState(states, scales, measures / scales, statuses)
        measures, statuses = jax.vmap(
            lambda b, s: (
                jnp.asarray(self.method.measure(problem.but(b=b), s)),
                jnp.asarray(self.method.status(s)),
            ),
            (1, 0),
        )(problem.b, states)
        return ColumnsState(states, scales, measures / scales, statuses)

    def step(self, problem: LinearSystem, state: ColumnsState) -> ColumnsState:
        """One traced step of every column that still has something to gain."""

        def one(b: Any, column: Any, done: Any) -> Any:
            return jax.lax.cond(
                done, lambda s: s, lambda s: self.method.step(problem.but(b=b), s), column
            )

        idle = (state.worst == 0) | (state.statuses != 0) | ~jnp.isfinite(state.worst)
        states = jax.vmap(one, (1, 0, 0))(problem.b, state.states, idle)
        return self._judged(problem, states, state.scales)

    def advance(
        self, problem: LinearSystem, state: ColumnsState, steps: int, target: float
    ) -> tuple[ColumnsState, Any]:
        """Host columns run one after the other, each to its own target."""
        states, trace = list(state.states), np.zeros(0)
        for j, column in enumerate(states):
            if state.worst[j] <= target or state.statuses[j] or not np.isfinite(state.worst[j]):
                continue
            goal = target * state.scales[j]
            advance = getattr(self.method, "advance", None)
            one = problem.column(j)
            if advance is None:
                states[j], measures = run_steps(self.method, one, column, steps, goal)
            else:
                states[j], measures = advance(one, column, steps, goal)
            relative = np.asarray(measures) / state.scales[j]
            longer = max(len(trace), len(relative))
            # The slowest column sets the pace: shorter traces rest at their last value.
            trace = np.maximum(_extended(trace, longer), _extended(relative, longer))
        resting = np.delete(
            state.worst, [j for j, s in enumerate(states) if s is not state.states[j]]
        )
        if resting.size and len(trace):
            trace = np.maximum(trace, resting.max())
        return self._judged(problem, tuple(states), state.scales), trace

    def measure(self, problem: LinearSystem, state: ColumnsState) -> Any:
        return state.worst.max()

    def status(self, state: ColumnsState) -> Any:
        """A column that failed ends the solve only when no other can go on."""
        xp = np if isinstance(state.worst, np.ndarray) else jnp
        running = (state.statuses == 0) & xp.isfinite(state.worst) & (state.worst > 0)
        return xp.where(running.any(), 0, state.statuses.max())

    def iterate(self, problem: LinearSystem, state: ColumnsState) -> tuple[Any, Any]:
        if isinstance(state.worst, np.ndarray):
            columns = [
                self.method.iterate(problem.column(j), s)[0] for j, s in enumerate(state.states)
            ]
            return np.stack(columns, axis=1), None
        x = jax.vmap(lambda b, s: self.method.iterate(problem.but(b=b), s)[0], (1, 0), 1)(
            problem.b, state.states
        )
        return x, None

    def refresh(self, problem: LinearSystem, state: ColumnsState) -> ColumnsState:
        if isinstance(state.worst, np.ndarray):
            states: Any = tuple(
                self.method.refresh(problem.column(j), s) for j, s in enumerate(state.states)
            )
        else:
            states = jax.vmap(lambda b, s: self.method.refresh(problem.but(b=b), s), (1, 0))(
                problem.b, state.states
            )
        return self._judged(problem, states, state.scales)

    def calls(self, problem: LinearSystem, state: ColumnsState) -> dict[str, Any]:
        if isinstance(state.worst, np.ndarray):
            total: dict[str, Any] = {}
            for j, s in enumerate(state.states):
                for name, number in self.method.calls(problem.column(j), s).items():
                    total[name] = total.get(name, 0) + number
            return total
        each = jax.vmap(
            lambda b, s: {
                name: jnp.asarray(number)
                for name, number in self.method.calls(problem.but(b=b), s).items()
            },
            (1, 0),
        )(problem.b, state.states)
        return {name: numbers.sum() for name, numbers in each.items()}

    def remember(self, problem: LinearSystem, state: ColumnsState) -> dict[str, Entry]:
        if isinstance(state.worst, np.ndarray):
            return self.method.remember(problem.column(-1), state.states[-1])
        return {}

    def __str__(self) -> str:
        return str(self.method)


def _extended(trace: Any, length: int) -> Any:
    if len(trace) == length:
        return trace
    last = trace[-1] if len(trace) else 0.0
    return np.concatenate([trace, np.full(length - len(trace), last)])
