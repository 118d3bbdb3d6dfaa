"""Golden ratio methods: step sizes that find themselves, from one evaluation of F a step."""

import math
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced
from resolvent._core.memory import Memory
from resolvent.inclusion.forward import ForwardMethod
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import SAFE, first_calls, first_step, positive_step

_GOLDEN = (1.0 + math.sqrt(5.0)) / 2.0


class GoldenState(NamedTuple):
    x: Any
    Fx: Any
    mean: Any
    moved: Any  # how far the last step went
    changed: Any  # and by how much F changed in it
    growth: Any
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class GoldenRatio(ForwardMethod):
    """Malitsky's golden ratio algorithm, whose steps follow the curvature that F shows.

    Solves 0 in F(x) + G(x), F monotone, by m_k = ((r - 1) x_k + m_{k-1}) / r, x_{k+1} =
    J(m_k - s_k F(x_k)), with a ratio r and J = (I + s_k G)^-1. Without a line search the step
    sizes s_k stay below r t_k / (4 s_{k-1}) times the squared inverse of the local Lipschitz
    constant `||F(x_k) - F(x_{k-1})|| / ||x_k - x_{k-1}||`, with t_k = r s_{k-1} / s_{k-2}, and
    grow by 1 / r + 1 / r^2 at most. F need not be Lipschitz on all of the space.

    Args:
        step_size: in the unit of x over F. None adapts it; a number keeps it.
        ratio: r, in (1, 1.618...].
        longest: what no step size may exceed.

    Raises:
        ValueError: for a ratio outside its range, a step size outside (0, ratio / (2 L)) where the
            problem states L, a longest step that is not positive, and for F that is only
            negatively comonotone.

    Cost per iteration:
        One evaluation of F and one resolvent, always.

    Convergence:
        For F monotone and locally Lipschitz the points converge, and the gap of weighted averages
        is O(1 / k). Linear where F is strongly monotone.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.Inclusion(lambda x: x**3 - 1.0, rs.functions.Box(0.0, 9.0), start=jnp.ones(2))
        assert rs.solve(problem, rs.inclusion.GoldenRatio()).converged
        ```

    Reference:
        Y. Malitsky (2020), Golden ratio algorithms for variational inequalities, arXiv 1803.08832.
    """

    step_size: Any = None
    ratio: Any = 1.5
    longest: Any = 1e6

    name: ClassVar[str] = "golden-ratio"

    def __post_init__(self) -> None:
        super().__post_init__()
        between(
            "ratio", self.ratio, 1.0, _GOLDEN * (1 + 1e-15), "Beyond, its steps could only shrink."
        )
        between("longest", self.longest, 0.0, math.inf, "A step must go forward.")

    def check(self, problem: Inclusion) -> None:
        if not is_traced(self.ratio):
            positive_step("step_size", self.step_size, problem.lipschitz, 0.5 * float(self.ratio))

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> GoldenState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        step = first_step(problem, self.step_size, x, Fx, 0.5 * SAFE * self.ratio)
        zero, one = jnp.zeros_like(step), jnp.ones_like(step)
        calls = first_calls(problem, self.step_size)
        return GoldenState(x, Fx, x, zero, zero, one, step, merit, merit, calls, 1)

    def step(self, problem: Inclusion, state: GoldenState) -> GoldenState:
        r, last = self.ratio, state.step_size
        if self.step_size is None:
            # Where F has not changed nothing limits the step but its growth.
            seen = state.changed > 0
            inverse = jnp.where(seen, state.moved / jnp.where(seen, state.changed, 1.0), jnp.inf)
            step = jnp.minimum((1.0 / r + 1.0 / r**2) * last, self.longest)
            # The product of the factors could overflow, their ratios do not.
            step = jnp.minimum(step, 0.25 * r * state.growth * (inverse / last) * inverse)
            step = step.astype(last.dtype)
        else:
            step = last
        mean = trees.combined(((r - 1.0) / r, state.x), (1.0 / r, state.mean))
        x = problem.resolvent(trees.plus(mean, -step, state.Fx), step)
        Fx = problem.operator(x)
        moved, changed = trees.minus(x, state.x), trees.minus(Fx, state.Fx)
        return GoldenState(
            x, Fx, mean, trees.norm(moved), trees.norm(changed), r * step / last, step,
            problem.merit(x, Fx), state.first, state.calls + 1, state.resolvents + 1,
        )  # fmt: skip
