"""Limited-memory BFGS under bounds."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import count
from resolvent._core.line_search import backtracked, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.gradients.limited_memory import (
    Pairs,
    forgotten,
    no_pairs,
    solved_on,
    with_pair,
)
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite
from resolvent.composite.second_term import bounds

_DECREASE = 1e-4  # of Armijo's condition
_TRIES = 40


class LBFGSBState(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    """In one vector."""
    pairs: Pairs
    merit: Any
    status: Any
    gradients: Any
    values: Any


class LBFGSB(Method):
    """A quasi-Newton step in the free unknowns and a gradient step in the others, projected.

    Solves `Composite` problems whose g is a set of bounds on single entries: x <- P(x - t d). An
    unknown is held if a gradient step, as long as the last curvature suggests, takes it to its
    bound or beyond. In the other unknowns d solves with the free block of the limited-memory BFGS
    matrix, in its compact form; held ones go to their bounds. The step t halves until the objective
    falls enough along the projected arc.

    Args:
        pairs: how many steps and changes of the gradient are kept.

    Raises:
        ValueError: for less than one pair, or a g that is no set of bounds.

    Cost per iteration:
        One gradient, one value for each t that is tried, nearly always one; 2 (2 `pairs`)^2
        products of vectors and a linear system of 2 `pairs` unknowns.

    Convergence:
        Descends for any f that is differentiable; where no step falls, the memory is cleared. Once
        the held unknowns no longer change, it is limited-memory BFGS in the free ones, and linear
        for uniformly convex f.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        target = jnp.array([3.0, -0.2, 0.5])
        problem = rs.Composite(
            lambda x: ((x - target) ** 2).sum() + x.prod(), rs.functions.Box(0.0, 1.0),
            start=jnp.zeros(3),
        )
        sol = rs.solve(problem, rs.composite.LBFGSB(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([1.0, 0.0, 0.5]), atol=1e-4)
        ```

    Reference:
        R. H. Byrd, P. Lu, J. Nocedal, C. Zhu (1995), A limited memory algorithm for bound
        constrained optimization. D. P. Bertsekas (1982), Projected Newton methods for optimization
        problems with simple constraints.
    """

    pairs: int = static(default=10)

    name: ClassVar[str] = "lbfgsb"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "box")
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 3000

    def __post_init__(self) -> None:
        count("pairs", self.pairs, least=1)

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> LBFGSBState:
        x = problem.g.nearest(x0)
        value, gradient = problem.slope(x)
        vector = trees.raveled(gradient)
        pairs = no_pairs(self.pairs, vector, secant_step(problem, x, gradient))
        zero = jnp.zeros((), jnp.int32)
        merit = jnp.asarray(problem.merit(x, gradient), value.dtype)
        return LBFGSBState(x, value, vector, pairs, merit, zero, zero + 2, zero)

    def step(self, problem: Composite, state: LBFGSBState) -> LBFGSBState:
        x, gradient, pairs = trees.raveled(state.x), state.gradient, state.pairs
        low, high = (trees.raveled(side) for side in bounds(problem.g, state.x))
        ahead = x - pairs.scale * gradient
        held = ((ahead <= low) & (gradient > 0)) | ((ahead >= high) & (gradient < 0))
        plain = pairs.scale * gradient
        direction = jnp.where(held, plain, solved_on(pairs, gradient, ~held))
        along = jnp.where(held, 0, gradient * direction).sum()
        falls = (along >= 0) & jnp.isfinite(along)
        direction = jnp.where(falls, direction, plain)
        along = jnp.where(falls, along, jnp.where(held, 0, gradient * plain).sum())

        def look(step: Any) -> tuple[Any, Any]:
            new = jnp.clip(x - step.astype(x.dtype) * direction, low, high)
            return new, problem.smooth(trees.unraveled(new, state.x))

        data = x, held, gradient, along, state.value
        one = jnp.ones_like(state.value)
        (new, value), step, tries = backtracked(look, _too_high, one, data, tries=_TRIES)
        failed = _too_high((new, value), step, *data)
        new = jnp.where(failed, x, new)
        point = trees.unraveled(new, state.x)
        value, turn = problem.slope(point)
        vector = trees.raveled(turn)
        pairs = forgotten(with_pair(pairs, new - x, vector - gradient), failed)
        stuck = failed & (state.pairs.taken == 0)
        return LBFGSBState(
            point, value, vector, pairs, jnp.asarray(problem.merit(point, turn), state.merit.dtype),
            jnp.where(stuck, Reason.stalled.code, 0).astype(jnp.int32),
            state.gradients + 1, state.values + tries,
        )  # fmt: skip

    def measure(self, problem: Composite, state: LBFGSBState) -> Any:
        return state.merit

    def status(self, state: LBFGSBState) -> Any:
        return state.status

    def iterate(self, problem: Composite, state: LBFGSBState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: LBFGSBState) -> LBFGSBState:
        value, gradient = problem.slope(state.x)
        merit = jnp.asarray(problem.merit(state.x, gradient), state.merit.dtype)
        return state._replace(
            value=value, gradient=trees.raveled(gradient), merit=merit,
            gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: LBFGSBState) -> dict[str, Any]:
        return {"gradient": state.gradients, "value": state.values}


def _too_high(
    trial: Any, step: Any, x: Any, held: Any, gradient: Any, along: Any, value: Any
) -> Any:
    """Whether a trial has not fallen as it should, by Armijo's condition on projected arcs."""
    to_bounds = jnp.where(held, gradient * (x - trial[0]), 0).sum()
    fall = (step * along + to_bounds).astype(value.dtype)
    # Written so that NaN is refused.
    return ~(trial[1] <= value - _DECREASE * fall + rounding(value))
