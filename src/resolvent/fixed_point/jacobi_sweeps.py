"""Jacobi sweeps: all stages at once from old values."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent.fixed_point.sequential import SequentialSystem

_GROWTH = 1e20  # of defects on the way, which end all the same; less than the driver's patience


class SweepState(NamedTuple):
    s: Any
    image: Any
    size: Any
    ceiling: Any
    steps: Any
    done: Any


class JacobiSweeps(Method):
    """All stages at once from the values of the last sweep.

    Solves s_t = h_t(s_1, ..., s_{t-1}), t = 1..T, by s_t <- h_t(s_1, ..., s_{t-1}) for all t
    together. It needs no function for a single stage.

    Cost per iteration:
        One sweep (every stage once, all in parallel); the sweep that measures is the next step's.

    Convergence:
        After k sweeps the first k stages are the sequential ones, whatever the others did on the
        way, so T sweeps are enough from any first guess. Stages that hardly depend on far earlier
        ones (contracting recurrences, shallow graphs) need far fewer.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import JacobiSweeps, Recurrence

        problem = Recurrence(lambda y, x: jnp.tanh(0.5 * y + x), jnp.ones((50, 2)), jnp.zeros(2))
        sol = rs.solve(problem, JacobiSweeps(), rtol=1e-5)
        assert sol.steps < 20
        ```

    Reference:
        Y. Song, C. Meng, R. Liao, S. Ermon (2021), Accelerating Feedforward Computation via
        Parallel Nonlinear Equation Solving, arXiv 2002.03629.
    """

    name: ClassVar[str] = "jacobi-sweeps"
    solves: ClassVar = (SequentialSystem,)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 1 << 30  # a sweep may gain a stage and no defect

    def init(self, problem: SequentialSystem, x0: Any, memory: Memory, key: Any) -> SweepState:
        image = problem.sweep(x0)
        size = problem.merit(x0, image)
        ceiling = ceiling_of(size)
        zero = jnp.zeros((), jnp.int32)
        return SweepState(x0, image, below(size, ceiling), ceiling, zero, zero == 1)

    def step(self, problem: SequentialSystem, state: SweepState) -> SweepState:
        s, steps = state.image, state.steps + 1
        image = problem.sweep(s)
        size = problem.merit(s, image)
        done = steps >= problem.length
        # A defect after all sweeps is the truth: it is no stage on the way any more.
        size = jnp.where(done, size, below(size, state.ceiling))
        return SweepState(s, image, size, state.ceiling, steps, done)

    def measure(self, problem: SequentialSystem, state: SweepState) -> Any:
        return state.size

    def status(self, state: SweepState) -> Any:
        return jnp.where(state.done, Reason.stalled.code, 0)

    def iterate(self, problem: SequentialSystem, state: SweepState) -> tuple[Any, None]:
        return state.s, None

    def calls(self, problem: SequentialSystem, state: SweepState) -> dict[str, Any]:
        return {"sweep": state.steps + 1}

    def limit(self, problem: SequentialSystem) -> int:
        return problem.length


def ceiling_of(size: Any) -> Any:
    """What defects count as at most while stages are on the way, where they may overflow."""
    most = 0.25 * float(jnp.finfo(size.dtype).max)
    return jnp.where(size <= most / _GROWTH, _GROWTH * size, most).astype(size.dtype)


def below(size: Any, ceiling: Any) -> Any:
    """A defect as it is measured on the way: never more than the ceiling, NaN included."""
    return jnp.where(size <= ceiling, size, ceiling)
