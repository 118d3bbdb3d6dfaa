"""The forward-reflected-backward method of Malitsky and Tam."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent.inclusion.forward import ForwardMethod
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import SAFE, first_calls, first_step, searched

_PART = 0.5 * SAFE


class ReflectedState(NamedTuple):
    x: Any
    Fx: Any
    correction: Any  # the last step times how much F has changed in it
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class ForwardReflectedBackward(ForwardMethod):
    """Malitsky and Tam's method: one evaluation of F a step, with the last one reflected in it.

    Solves 0 in F(x) + G(x), F monotone, by x_{k+1} = J(x_k - s_k F(x_k) - s_{k-1} (F(x_k) -
    F(x_{k-1}))), with J = (I + s_k G)^-1 and step sizes s_k.

    Args:
        step_size: in the unit of x over F. None takes 0.45 / L where the problem states its
            constant L, and otherwise finds it by a line search on
            `s_k ||F(x_{k+1}) - F(x_k)|| <= 0.45 ||x_{k+1} - x_k||`.

    Raises:
        ValueError: for a step size outside (0, 1 / (2 L)), where the problem states L, and for F
            that is only negatively comonotone.

    Cost per iteration:
        One evaluation of F and one resolvent; more in steps whose line search shortens the step.

    Convergence:
        For F monotone and Lipschitz the points converge; linearly where F is strongly monotone.
        Without G it is the optimistic gradient method, past gradients included.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(lambda x: turn @ x, rs.functions.Box(-1.0, 1.0), start=jnp.ones(2))
        assert rs.solve(problem, rs.inclusion.ForwardReflectedBackward()).converged
        ```

    Reference:
        Y. Malitsky, M. K. Tam (2020), A forward-backward splitting method for monotone inclusions
        without cocoercivity, arXiv 1808.04162.
    """

    step_size: Any = None

    name: ClassVar[str] = "forward-reflected-backward"
    most: ClassVar[float] = 0.5

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> ReflectedState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        step = first_step(problem, self.step_size, x, Fx, _PART)
        calls = first_calls(problem, self.step_size)
        return ReflectedState(x, Fx, trees.zeros(x), step, merit, merit, calls, 1)

    def step(self, problem: Inclusion, state: ReflectedState) -> ReflectedState:
        x, Fx = state.x, state.Fx
        base = trees.minus(x, state.correction)

        def look(step: Any) -> tuple[Any, Any]:
            y = problem.resolvent(trees.plus(base, -step, Fx), step)
            return y, problem.operator(y)

        (y, Fy), step, tries = searched(look, x, Fx, state.step_size, self.fixed(problem), _PART)
        return ReflectedState(
            y, Fy, trees.times(step, trees.minus(Fy, Fx)), step, problem.merit(y, Fy), state.first,
            state.calls + tries, state.resolvents + tries,
        )  # fmt: skip
