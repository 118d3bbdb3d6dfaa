"""Jacobi and Gauss-Seidel together: one over blocks of stages, the other inside them."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.fixed_point.gauss_seidel_sweep import block_of, check_block
from resolvent.fixed_point.jacobi_sweeps import below, ceiling_of
from resolvent.fixed_point.sequential import SequentialSystem
from resolvent.fixed_point.stages import stage_norms, taken


class _Blocks(Method):
    """Methods that go by blocks."""

    block: int | None = static(default=None)

    solves: ClassVar = (SequentialSystem,)
    needs: ClassVar = ("stages",)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 1 << 30

    def __post_init__(self) -> None:
        check_block(self.block)

    def _block(self, problem: SequentialSystem) -> int:
        return block_of(self.block, problem, math.isqrt(problem.length - 1) + 1)

    def limit(self, problem: SequentialSystem) -> int:
        return 4 * problem.length + 4

    def measure(self, problem: SequentialSystem, state: Any) -> Any:
        return state.size

    def status(self, state: Any) -> Any:
        return jnp.where(state.done, Reason.stalled.code, 0)

    def iterate(self, problem: SequentialSystem, state: Any) -> tuple[Any, None]:
        return state.s, None


class OuterState(NamedTuple):
    s: Any
    size: Any
    ceiling: Any
    steps: Any
    done: Any


class JacobiGaussSeidel(_Blocks):
    """Blocks in parallel, stages one after another inside each.

    Solves s_t = h_t(s_1, ..., s_{t-1}), t = 1..T, in blocks of stages: each block is evaluated
    sequentially, with old values of the other blocks, and all blocks at the same time.

    Args:
        block: stages of a block; None takes about the square root of T. 1 is Jacobi's iteration, T
            is sequential evaluation.

    Raises:
        ValueError: for a block of no stages.

    Cost per iteration:
        Every stage once, `block` of them one after another, and one sweep that measures. For
        systems that are no `Recurrence` each block works on its own copy of all stages.

    Convergence:
        After k steps the first k blocks are the sequential ones: T / block steps are enough.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import JacobiGaussSeidel, Recurrence

        problem = Recurrence(lambda y, x: jnp.tanh(0.5 * y + x), jnp.ones((50, 2)), jnp.zeros(2))
        assert rs.solve(problem, JacobiGaussSeidel(block=10)).steps <= 5
        ```

    Reference:
        Y. Song, C. Meng, R. Liao, S. Ermon (2021), Accelerating Feedforward Computation via
        Parallel Nonlinear Equation Solving, arXiv 2002.03629.
    """

    block: int | None = static(default=None)

    name: ClassVar[str] = "jacobi-gauss-seidel"

    def init(self, problem: SequentialSystem, x0: Any, memory: Memory, key: Any) -> OuterState:
        size = problem.merit(x0, problem.sweep(x0))
        ceiling = ceiling_of(size)
        zero = jnp.zeros((), jnp.int32)
        return OuterState(x0, below(size, ceiling), ceiling, zero, zero == 1)

    def step(self, problem: SequentialSystem, state: OuterState) -> OuterState:
        block, length = self._block(problem), problem.length
        begins = jnp.arange(0, length, block)
        found = jax.vmap(lambda begin: problem.serial(begin, block, state.s))(begins)
        s = trees.map_leaves(
            lambda leaf, like: leaf.reshape(-1, *like.shape[1:])[:length], found, state.s
        )
        size = problem.merit(s, problem.sweep(s))
        steps = state.steps + 1
        done = steps >= begins.size
        size = jnp.where(done, size, below(size, state.ceiling))
        return OuterState(s, size, state.ceiling, steps, done)

    def calls(self, problem: SequentialSystem, state: OuterState) -> dict[str, Any]:
        block = self._block(problem)
        stages = -(-problem.length // block) * block
        return {"stage": state.steps * stages, "sweep": state.steps + 1}


class InnerState(NamedTuple):
    s: Any
    size: Any
    left: Any
    worst: Any
    begin: Any
    inner: Any
    goal: Any
    steps: Any
    done: Any
    sweeps: Any


class GaussSeidelJacobi(_Blocks):
    """Blocks one after another, Jacobi sweeps inside each.

    Solves s_t = h_t(s_1, ..., s_{t-1}), t = 1..T, in blocks of stages: the stages of a block are
    swept together until they meet the solve's target, then the next block begins. For hardware or
    memory that does not hold all stages at once.

    Args:
        block: stages of a block; None takes about the square root of T. 1 is sequential
            evaluation, T is Jacobi's iteration.

    Raises:
        ValueError: for a block of no stages.

    Cost per iteration:
        `block` stages in parallel; one sweep at the beginning.

    Convergence:
        A block needs at most as many sweeps as it has stages, and one that confirms: T in all, less
        where stages hardly depend on far earlier ones.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        from resolvent.fixed_point import GaussSeidelJacobi, Recurrence

        problem = Recurrence(lambda y, x: jnp.tanh(0.5 * y + x), jnp.ones((50, 2)), jnp.zeros(2))
        assert rs.solve(problem, GaussSeidelJacobi(block=1)).calls["stage"] == 50
        ```

    Reference:
        Y. Song, C. Meng, R. Liao, S. Ermon (2021), Accelerating Feedforward Computation via
        Parallel Nonlinear Equation Solving, arXiv 2002.03629.
    """

    block: int | None = static(default=None)

    name: ClassVar[str] = "gauss-seidel-jacobi"
    ahead: ClassVar[bool] = True

    def init(self, problem: SequentialSystem, x0: Any, memory: Memory, key: Any) -> InnerState:
        size = problem.merit(x0, problem.sweep(x0))
        size = below(size, ceiling_of(size))
        zero = jnp.zeros((), jnp.int32)
        nothing = jnp.zeros_like(size)
        done = zero == 1
        return InnerState(x0, size, size, nothing, zero, zero, nothing, zero, done, zero + 1)

    def aim(self, state: InnerState, goal: Any) -> InnerState:
        return state._replace(goal=jnp.asarray(goal, state.goal.dtype))

    def step(self, problem: SequentialSystem, state: InnerState) -> InnerState:
        block, begin = self._block(problem), state.begin
        values = problem.stages(begin, block, state.s)
        numbers = begin + jnp.arange(block)
        old = trees.map_leaves(lambda leaf: taken(leaf, numbers), state.s)
        moved = stage_norms(trees.minus(values, old))
        moved = jnp.where(numbers < problem.length, moved, 0.0).max()
        # The values whose defect was measured are kept where it is small enough; after as many
        # sweeps as there are stages the new ones are exact.
        settled = moved <= state.goal
        exact = state.inner + 1 >= block
        values = trees.where(settled, old, values)
        s = problem.replaced(state.s, begin, values)
        over = settled | exact
        worst = jnp.where(settled, jnp.maximum(state.worst, moved), state.worst)
        begin = jnp.where(over, begin + block, begin)
        done = begin >= problem.length
        size = jnp.where(done, worst, state.left)
        inner = jnp.where(over, 0, state.inner + 1)
        return InnerState(
            s,
            size,
            state.left,
            worst,
            begin,
            inner,
            state.goal,
            state.steps + 1,
            done,
            state.sweeps,
        )

    def refresh(self, problem: SequentialSystem, state: InnerState) -> InnerState:
        """Begin again, with values that are nearly right."""
        size = problem.merit(state.s, problem.sweep(state.s))
        zero = jnp.zeros_like(state.begin)
        return state._replace(
            size=size,
            left=size,
            worst=jnp.zeros_like(size),
            begin=zero,
            inner=zero,
            done=zero == 1,
            sweeps=state.sweeps + 1,
        )

    def calls(self, problem: SequentialSystem, state: InnerState) -> dict[str, Any]:
        return {"stage": state.steps * self._block(problem), "sweep": state.sweeps}
