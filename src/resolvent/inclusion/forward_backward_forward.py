"""Tseng's splitting method."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent.inclusion.forward import ForwardMethod
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import first_calls, first_step, searched


class TsengState(NamedTuple):
    x: Any
    ahead: Any
    F_ahead: Any
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class ForwardBackwardForward(ForwardMethod):
    """Tseng's method: a step through the resolvent, corrected by what F has changed on the way.

    Solves 0 in F(x) + G(x), F monotone, by y = J(x - step F(x)), x <- y - step (F(y) - F(x)), with
    J = (I + step G)^-1. The second step needs no resolvent and may leave the domain of G, where F
    must be defined; the points y, which are returned, are in it.

    Args:
        step_size: in the unit of x over F. None takes 0.9 / L where the problem states its
            constant L, and otherwise finds it by a line search on
            `step ||F(y) - F(x)|| <= 0.9 ||y - x||`.

    Raises:
        ValueError: for a step size outside (0, 1 / L), where the problem states L, and for F that
            is only negatively comonotone.

    Cost per iteration:
        Two evaluations of F and one resolvent; more in steps whose line search shortens the step.

    Convergence:
        For F monotone and Lipschitz: the points converge, the best natural residual is
        O(1 / sqrt(k)). Linear where F is strongly monotone.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(lambda x: turn @ x, rs.functions.Box(-1.0, 1.0), start=jnp.ones(2))
        assert rs.solve(problem, rs.inclusion.ForwardBackwardForward()).converged
        ```

    Reference:
        P. Tseng (2000), A modified forward-backward splitting method for maximal monotone mappings.
    """

    step_size: Any = None

    name: ClassVar[str] = "forward-backward-forward"

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> TsengState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        step = first_step(problem, self.step_size, x, Fx)
        return TsengState(x, x, Fx, step, merit, merit, first_calls(problem, self.step_size), 1)

    def step(self, problem: Inclusion, state: TsengState) -> TsengState:
        x, Fx = state.ahead, state.F_ahead

        def look(step: Any) -> tuple[Any, Any]:
            y = problem.resolvent(trees.plus(x, -step, Fx), step)
            return y, problem.operator(y)

        (y, Fy), step, tries = searched(look, x, Fx, state.step_size, self.fixed(problem))
        ahead = trees.plus(y, -step, trees.minus(Fy, Fx))
        return TsengState(
            y, ahead, problem.operator(ahead), step, problem.merit(y, Fy), state.first,
            state.calls + tries + 1, state.resolvents + tries,
        )  # fmt: skip
