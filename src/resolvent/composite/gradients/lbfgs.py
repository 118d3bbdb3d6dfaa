"""The limited-memory BFGS method."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count
from resolvent._core.line_search import wolfe
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.gradients.ending import ending
from resolvent.composite.gradients.limited_memory import (
    Pairs,
    forgotten,
    no_pairs,
    two_loops,
    with_pair,
)
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite
from resolvent.composite.second_term import whole_slope


class LBFGSState(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    """Of f + g, in one vector."""
    pairs: Pairs
    merit: Any
    status: Any
    gradients: Any


class LBFGS(Method):
    """A quasi-Newton step from the last few changes of the gradient, with a Wolfe line search.

    Solves `Composite` problems whose g has a gradient: x <- x - t H grad (f + g)(x). H is the
    approximate inverse of the Hessian that BFGS makes of the last steps and changes of the
    gradient, applied by two loops over them and never formed.

    Args:
        pairs: how many steps are kept.
        flat: sigma of the strong Wolfe conditions: how much of the slope a step may leave.

    Raises:
        ValueError: for less than one pair, flat outside (1e-4, 1), or a g without a gradient.

    Cost per iteration:
        One value with its gradient for each step that the line search tries, nearly always one;
        4 `pairs` products of vectors.

    Convergence:
        For f + g twice continuously differentiable and uniformly convex on the first level set,
        linear. Otherwise only descent is guaranteed; where no step falls, the memory is cleared.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs

        def rosenbrock(x):
            return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

        problem = rs.Composite(rosenbrock, start=jnp.zeros(4))
        sol = rs.solve(problem, rs.composite.LBFGS(), rtol=1e-3)
        assert jnp.allclose(sol.x, 1.0, atol=1e-2)
        ```

    Reference:
        D. C. Liu, J. Nocedal (1989), On the limited memory BFGS method for large scale
        optimization.
    """

    pairs: int = static(default=10)
    flat: Any = 0.9

    name: ClassVar[str] = "lbfgs"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "differentiable")
    engines: ClassVar = ("traced",)
    # The norm of the gradient sets new records rarely while values fall through a curved valley.
    monitored: ClassVar[int] = 3000

    def __post_init__(self) -> None:
        count("pairs", self.pairs, least=1)
        between("flat", self.flat, 1e-4, 1.0, "The theory of Wolfe's conditions asks for it.")

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> LBFGSState:
        value, gradient, own = whole_slope(problem, x0)
        vector = trees.raveled(gradient)
        pairs = no_pairs(self.pairs, vector, secant_step(problem, x0, own))
        zero = jnp.zeros((), jnp.int32)
        return LBFGSState(
            x0, value, vector, pairs, jnp.asarray(problem.merit(x0, own), value.dtype), zero,
            zero + 2,
        )  # fmt: skip

    def step(self, problem: Composite, state: LBFGSState) -> LBFGSState:
        gradient, pairs = state.gradient, state.pairs
        direction = -two_loops(pairs, gradient)
        along = gradient @ direction
        falls = (along < 0) & jnp.isfinite(along)
        direction = jnp.where(falls, direction, -pairs.scale * gradient)
        along = jnp.where(falls, along, -pairs.scale * (gradient @ gradient))
        move = trees.unraveled(direction, state.x)

        def look(step: Any) -> tuple[Any, Any, Any]:
            x = trees.plus(state.x, step, move)
            value, slope, own = whole_slope(problem, x)
            vector = trees.raveled(slope)
            return value, (vector @ direction).astype(value.dtype), (x, vector, own)

        found = wolfe(
            look, jnp.ones_like(state.value), state.value, along.astype(state.value.dtype),
            flat=self.flat,
        )  # fmt: skip
        x, vector, own = found.extra
        failed = ~found.good
        pairs = with_pair(pairs, found.step.astype(vector.dtype) * direction, vector - gradient)
        stuck = failed & (state.pairs.taken == 0)
        return LBFGSState(
            x, found.value, vector, forgotten(pairs, failed),
            jnp.asarray(problem.merit(x, own), state.merit.dtype),
            ending(problem, x, found.endless, stuck),
            state.gradients + found.looks,
        )  # fmt: skip

    def measure(self, problem: Composite, state: LBFGSState) -> Any:
        return state.merit

    def status(self, state: LBFGSState) -> Any:
        return state.status

    def iterate(self, problem: Composite, state: LBFGSState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: LBFGSState) -> LBFGSState:
        value, gradient, own = whole_slope(problem, state.x)
        merit = jnp.asarray(problem.merit(state.x, own), state.merit.dtype)
        return state._replace(
            value=value, gradient=trees.raveled(gradient), merit=merit,
            gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: LBFGSState) -> dict[str, Any]:
        return {"gradient": state.gradients}
