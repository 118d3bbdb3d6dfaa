"""The Gauss-Seidel sweep over stages: sequential evaluation."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core.checks import count
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.fixed_point.jacobi_sweeps import below, ceiling_of
from resolvent.fixed_point.sequential import SequentialSystem

_PIECES = 16  # steps of a whole evaluation, so that the driver can look between them


class StageState(NamedTuple):
    s: Any
    size: Any
    begin: Any
    steps: Any
    length: Any
    sweeps: Any


class GaussSeidelSweep(Method):
    """Sequential evaluation, stage after stage.

    Solves s_t = h_t(s_1, ..., s_{t-1}), t = 1..T, by evaluating each stage once from those before
    it. It is the reference of the parallel methods, and the fastest where nothing runs in parallel.

    Args:
        block: stages of one step; None takes a sixteenth of them, so that there is something to
            see on the way.

    Raises:
        ValueError: for a block of no stages.

    Cost per iteration:
        `block` stages, one after another; T in all, and one sweep at the beginning.

    Convergence:
        Exact after T / block steps.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import GaussSeidelSweep, Recurrence

        problem = Recurrence(lambda y, x: jnp.tanh(0.5 * y + x), jnp.ones((50, 2)), jnp.zeros(2))
        sol = rs.solve(problem, GaussSeidelSweep(block=50))
        assert sol.steps == 1 and sol.certificate.details["certified prefix"] == 50
        ```

    Reference:
        Y. Song, C. Meng, R. Liao, S. Ermon (2021), Accelerating Feedforward Computation via
        Parallel Nonlinear Equation Solving, arXiv 2002.03629.
    """

    block: int | None = static(default=None)

    name: ClassVar[str] = "gauss-seidel-sweep"
    solves: ClassVar = (SequentialSystem,)
    needs: ClassVar = ("stages",)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 1 << 30  # what is measured falls at the end

    def __post_init__(self) -> None:
        check_block(self.block)

    def _block(self, problem: SequentialSystem) -> int:
        return block_of(self.block, problem, -(-problem.length // _PIECES))

    def init(self, problem: SequentialSystem, x0: Any, memory: Memory, key: Any) -> StageState:
        size = problem.merit(x0, problem.sweep(x0))
        zero = jnp.zeros((), jnp.int32)
        size = below(size, ceiling_of(size))
        return StageState(x0, size, zero, zero, jnp.asarray(problem.length, jnp.int32), zero + 1)

    def step(self, problem: SequentialSystem, state: StageState) -> StageState:
        block = self._block(problem)
        values = problem.serial(state.begin, block, state.s)
        s = problem.replaced(state.s, state.begin, values)
        begin = state.begin + block
        size = jnp.where(begin >= state.length, 0.0, state.size)
        return StageState(s, size, begin, state.steps + 1, state.length, state.sweeps)

    def limit(self, problem: SequentialSystem) -> int:
        return problem.length

    def measure(self, problem: SequentialSystem, state: StageState) -> Any:
        return state.size

    def status(self, state: StageState) -> Any:
        return jnp.where(state.begin >= state.length, Reason.stalled.code, 0)

    def refresh(self, problem: SequentialSystem, state: StageState) -> StageState:
        size = problem.merit(state.s, problem.sweep(state.s))
        return state._replace(size=size, sweeps=state.sweeps + 1)

    def iterate(self, problem: SequentialSystem, state: StageState) -> tuple[Any, None]:
        return state.s, None

    def calls(self, problem: SequentialSystem, state: StageState) -> dict[str, Any]:
        return {"stage": state.steps * self._block(problem), "sweep": state.sweeps}


def check_block(block: int | None) -> None:
    """Refuse a block of no stages."""
    if block is not None:
        count("block", block, least=1)


def block_of(block: int | None, problem: SequentialSystem, default: int) -> int:
    """The number of stages in a block, at most all."""
    return min(default if block is None else block, problem.length)
