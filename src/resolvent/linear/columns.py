"""Several right-hand sides: one method run on each column until the last one is done."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.host import Interrupted, run_steps
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
    goal: Any  # what the relative residuals are to come down to, as last told


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
    def reads(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.reads

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
            scales = np.array(
                [norm(np.ascontiguousarray(problem.b[:, j])) for j in range(count)], float
            )
            return self._judged(problem, states, np.where(scales == 0, 1.0, scales), 0.0)
        keys = None if key is None else jax.random.split(key, count)

        def begin(b: Any, x: Any, one: Any) -> Any:
            return self.method.init(problem.but(b=b), x, memory, one)

        axes = (1, 1, None if keys is None else 0)
        states = jax.vmap(begin, axes)(problem.b, x0, keys)
        scales = jax.vmap(norm, 1)(problem.b)
        scales = jnp.where(scales == 0, 1.0, scales)
        return self._judged(problem, states, scales, jnp.zeros((), scales.dtype))

    def _judged(self, problem: LinearSystem, states: Any, scales: Any, goal: Any) -> ColumnsState:
        if isinstance(scales, np.ndarray):
            measures = np.array(
                [self.method.measure(problem.column(j), s) for j, s in enumerate(states)], float
            )
            statuses = np.array([int(self.method.status(s)) for s in states])
            return ColumnsState(states, scales, measures / scales, statuses, goal)
        measures, statuses = jax.vmap(
            lambda b, s: (
                jnp.asarray(self.method.measure(problem.but(b=b), s)),
                jnp.asarray(self.method.status(s)),
            ),
            (1, 0),
        )(problem.b, states)
        return ColumnsState(states, scales, measures / scales, statuses, goal)

    def aim(self, state: ColumnsState, goal: Any) -> ColumnsState:
        """Note what the next steps are to come down to: columns that are there rest."""
        if isinstance(state.worst, np.ndarray):
            return state._replace(goal=float(goal))
        own = jnp.asarray(goal, state.worst.dtype)
        # Rounded up, it would let a column rest that the loop still waits for.
        return state._replace(goal=jnp.where(own > goal, jnp.nextafter(own, -jnp.inf), own))

    def _running(self, state: ColumnsState) -> Any:
        xp = np if isinstance(state.worst, np.ndarray) else jnp
        return (state.statuses == 0) & xp.isfinite(state.worst) & (state.worst > state.goal)

    def step(self, problem: LinearSystem, state: ColumnsState) -> ColumnsState:
        """One step of every column that still has something to gain."""
        running = self._running(state)
        if isinstance(state.worst, np.ndarray):
            states: Any = tuple(
                self.method.step(problem.column(j), s) if running[j] else s
                for j, s in enumerate(state.states)
            )
            return self._judged(problem, states, state.scales, state.goal)

        def one(b: Any, column: Any, goes_on: Any) -> Any:
            return jax.lax.cond(
                goes_on, lambda s: self.method.step(problem.but(b=b), s), lambda s: s, column
            )

        states = jax.vmap(one, (1, 0, 0))(problem.b, state.states, running)
        return self._judged(problem, states, state.scales, state.goal)

    def advance(
        self, problem: LinearSystem, state: ColumnsState, steps: int, target: float
    ) -> tuple[ColumnsState, Any]:
        """Host columns run one after the other, each to its own target."""
        state = self.aim(state, target)
        states, interrupted = list(state.states), False
        traces = [np.zeros(0)] * len(states)
        for j, running in enumerate(self._running(state)):
            if not running:
                continue
            # A hair below: the quotient by the scale must not round to above the target again.
            goal = target * state.scales[j] * (1 - 4 * np.finfo(float).eps)
            advance = getattr(self.method, "advance", None)
            one = problem.column(j)
            try:
                if advance is None:
                    states[j], measures = run_steps(self.method, one, states[j], steps, goal)
                else:
                    states[j], measures = advance(one, states[j], steps, goal)
            except Interrupted as stop:
                states[j], measures, interrupted = stop.state, stop.trace, True
            traces[j] = np.asarray(measures) / state.scales[j]
            if interrupted:
                break
        # The slowest column sets the pace: shorter traces rest at their last value.
        longest = max(len(trace) for trace in traces)
        trace = np.zeros(longest)
        for one, before in zip(traces, state.worst, strict=True):
            last = one[-1] if len(one) else before
            rest = np.full(longest - len(one), last)
            trace = np.maximum(trace, np.concatenate([one, rest]))
        state = self._judged(problem, tuple(states), state.scales, target)
        if interrupted:
            raise Interrupted(state, trace)
        return state, trace

    def measure(self, problem: LinearSystem, state: ColumnsState) -> Any:
        return state.worst.max()

    def status(self, state: ColumnsState) -> Any:
        """A column that failed ends the solve only when no other can go on."""
        xp = np if isinstance(state.worst, np.ndarray) else jnp
        return xp.where(self._running(state).any(), 0, state.statuses.max())

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
        return self._judged(problem, states, state.scales, state.goal)

    def calls(self, problem: LinearSystem, state: ColumnsState) -> dict[str, Any]:
        M = getattr(self.method, "preconditioner", None)
        # Each column counts the set-up that there was once.
        again = 0 if M is None else (problem.b.shape[1] - 1) * M.spent
        total: dict[str, Any] = {}
        if isinstance(state.worst, np.ndarray):
            for j, s in enumerate(state.states):
                for name, number in self.method.calls(problem.column(j), s).items():
                    total[name] = total.get(name, 0) + number
            return self._less(total, again)
        each = jax.vmap(
            lambda b, s: {
                name: jnp.asarray(number)
                for name, number in self.method.calls(problem.but(b=b), s).items()
            },
            (1, 0),
        )(problem.b, state.states)
        return self._less({name: numbers.sum() for name, numbers in each.items()}, again)

    def _less(self, calls: dict[str, Any], again: int) -> dict[str, Any]:
        return {**calls, "matvec": calls["matvec"] - again} if again else calls

    def remember(self, problem: LinearSystem, state: ColumnsState) -> dict[str, Entry]:
        if isinstance(state.worst, np.ndarray):
            return self.method.remember(problem.column(-1), state.states[-1])
        return {}

    def __str__(self) -> str:
        return str(self.method)
