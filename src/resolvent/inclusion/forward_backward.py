"""The forward-backward method, which is projected gradient descent for inclusions."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.inclusion.comonotone import ending
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import first_calls, first_step, positive_step, searched


class ForwardBackwardState(NamedTuple):
    x: Any
    Fx: Any
    step_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class ForwardBackward(Method):
    """A step along F, then the resolvent of G.

    Solves `Inclusion` problems by x <- J(x - step F(x)), with J = (I + step G)^-1. For gradients of
    convex functions and strongly monotone F; for a merely monotone F, such as that of a bilinear
    saddle point, it diverges or its steps shrink to nothing.

    Args:
        step_size: in the unit of x over F. None finds it by a line search on
            `step ||F(y) - F(x)||^2 <= <F(y) - F(x), y - x>`, from 1 / L where the problem states
            its constant L: that constant alone does not tell whether F is cocoercive.

    Raises:
        ValueError: for a step size outside (0, 2 / L), where the problem states L.

    Cost per iteration:
        One evaluation of F and one resolvent; more in steps whose line search shortens the step.

    Convergence:
        For F cocoercive, `<F(x) - F(y), x - y> >= b ||F(x) - F(y)||^2`, and steps below 2 b: the
        iterates converge and the best residual is O(1 / sqrt(k)). Linear where F is strongly
        monotone, with b = mu / L^2 at least. The gradient of a convex function has b = 1 / L.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        A, b = jnp.array([[2.0, 1.0], [0.0, 1.0]]), jnp.array([1.0, -1.0])
        problem = rs.Inclusion(
            lambda x: A.T @ (A @ x - b), rs.functions.L1(0.1), start=jnp.zeros(2)
        )
        assert rs.solve(problem, rs.inclusion.ForwardBackward()).converged
        ```

    Reference:
        P.-L. Lions, B. Mercier (1979), Splitting algorithms for the sum of two nonlinear operators.
    """

    step_size: Any = None

    name: ClassVar[str] = "forward-backward"
    solves: ClassVar = (Inclusion,)
    needs: ClassVar[tuple[str, ...]] = ("monotone", "cocoercive")
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)

    def check(self, problem: Inclusion) -> None:
        positive_step("step_size", self.step_size, problem.lipschitz, 2.0)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> ForwardBackwardState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        step = first_step(problem, self.step_size, x, Fx, 1.0)
        merit = problem.merit(x, Fx)
        calls = first_calls(problem, self.step_size)
        return ForwardBackwardState(x, Fx, step, merit, merit, calls, 1)

    def step(self, problem: Inclusion, state: ForwardBackwardState) -> ForwardBackwardState:
        x, Fx = state.x, state.Fx

        def look(step: Any) -> tuple[Any, Any]:
            y = problem.resolvent(trees.plus(x, -step, Fx), step)
            return y, problem.operator(y)

        fixed = self.step_size is not None
        (new, Fnew), step, tries = searched(
            look, x, Fx, state.step_size, fixed, 1.0, cocoercive=True
        )  # fmt: skip
        return ForwardBackwardState(
            new, Fnew, step, problem.merit(new, Fnew), state.first, state.calls + tries,
            state.resolvents + tries,
        )  # fmt: skip

    def measure(self, problem: Inclusion, state: ForwardBackwardState) -> Any:
        return state.merit

    def iterate(self, problem: Inclusion, state: ForwardBackwardState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: ForwardBackwardState) -> Any:
        return ending(state.merit, state.first)

    def calls(self, problem: Inclusion, state: ForwardBackwardState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}
