"""The optimistic gradient method, also known as past extragradient."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.inclusion.comonotone import check_steps, ending, second_step, theoretical_look
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import SAFE, first_calls, first_step, positive_step, searched


class OptimisticGradientState(NamedTuple):
    x: Any
    y: Any
    Fy: Any
    step_size: Any
    update_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class OptimisticGradient(Method):
    """Popov's method: the extragradient method that looks with the value it saw last.

    Solves `Inclusion` problems by y <- J(x - step_size F(y)), x <- J(x - update_size F(y)) with the
    new y, J = (I + step G)^-1; y is returned. The second step is shorter where F is only negatively
    comonotone, with `<F(x) - F(y), x - y> >= -rho ||F(x) - F(y)||^2` for the problem's rho =
    `comonotone`. It begins with a plain gradient step, or, where steps are searched, without it.

    Args:
        step_size: in the unit of x over F. None takes 0.45 / L + 1.1 rho where the problem states
            its constant L, and otherwise finds it by a line search on
            `(step_size + update_size) ||F(y) - F(y')|| <= 0.9 ||y - y'||` between two looks.
        update_size: the same unit; None takes the smaller of step_size - 2 rho and
            1 / L - step_size, which is step_size for monotone F and step_size <= 1 / (2 L).

    Raises:
        ValueError: for a step_size outside (2 rho, 1 / L) or an update_size above
            min(step_size - 2 rho, 1 / L - step_size); but with rho <= 5 / (62 L) both may be
            equal, in [4 rho, 10 / (31 L)]. For rho > 0 where there is a G, or rho >= 1 / (2 L). For
            two different steps, or step_size >= 1 / (2 L), where there is a G.

    Cost per iteration:
        One evaluation of F and two resolvents; more in steps whose line search shortens the step.

    Convergence:
        For F monotone and Lipschitz: the iterates converge and the best natural residual is
        O(1 / sqrt(k)). Linear where F is strongly monotone, and in matrix games. Without G, for
        rho < 1 / (2 L) and steps g1, g2 in the range, the mean of `||F(x_i)||^2` up to x_k is at
        most `||x_0 - x*||^2 / (g1 g2 (1 - L^2 (g1 + g2)^2) (k + 1))`. With both steps g,
        4 rho <= g <= 10 / (31 L),
        `||F(x_k)||^2 <= 717 ||x_0 - x*||^2 / (k g (g - 3 rho) + 800 g^2)`.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(lambda x: turn @ x, start=jnp.ones(2), lipschitz=1.0)
        assert rs.solve(problem, rs.inclusion.OptimisticGradient()).converged
        ```

    Reference:
        L. D. Popov (1980), A modification of the Arrow-Hurwicz method for search of saddle points.
        E. Gorbunov, A. Taylor, S. Horvath, G. Gidel (2022), Convergence of proximal point and
        extragradient-based methods beyond monotonicity: the case of negative comonotonicity,
        arXiv 2210.13831.
    """

    step_size: Any = None
    update_size: Any = None

    name: ClassVar[str] = "optimistic-gradient"
    solves: ClassVar = (Inclusion,)
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        positive_step("update_size", self.update_size)

    def check(self, problem: Inclusion) -> None:
        check_steps(problem, self.step_size, self.update_size, equal=10 / 31, shared=True)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> Any:
        y = problem.nearest(x0)
        Fy = problem.operator(y)
        merit = problem.merit(y, Fy)
        calls = first_calls(problem, self.step_size)
        if self.step_size is None and problem.lipschitz is not None:
            step = theoretical_look(problem, y, shared=True)
        else:
            step = first_step(problem, self.step_size, y, Fy, 0.5 * SAFE)
            if self.step_size is None:
                step = jnp.maximum(step, 3.0 * problem.comonotone)
        update = second_step(problem, step, self.update_size, shared=True)
        if self.step_size is None and problem.lipschitz is None:
            # No step is taken that was not searched.
            return OptimisticGradientState(y, y, Fy, step, update, merit, merit, calls, 1)
        x = problem.resolvent(trees.plus(y, -update, Fy), update)
        return OptimisticGradientState(x, y, Fy, step, update, merit, merit, calls, 2)

    def step(self, problem: Inclusion, state: OptimisticGradientState) -> Any:
        x = state.x

        fixed = self.step_size is not None or problem.lipschitz is not None
        rho = problem.comonotone

        def look(both: Any) -> tuple[Any, Any]:
            step = state.step_size if fixed else 0.5 * both + rho
            y = problem.resolvent(trees.plus(x, -step, state.Fy), step)
            return y, problem.operator(y)

        # What the line search is for is the sum of both steps.
        both = state.step_size + state.update_size
        (y, Fy), both, tries = searched(look, state.y, state.Fy, both, fixed, floor=2.0 * rho)
        step, update = state.step_size, state.update_size
        if not fixed:
            step, update = 0.5 * both + rho, 0.5 * both - rho
        x = problem.resolvent(trees.plus(x, -update, Fy), update)
        return OptimisticGradientState(
            x, y, Fy, step, update, problem.merit(y, Fy), state.first, state.calls + tries,
            state.resolvents + tries + 1,
        )  # fmt: skip

    def measure(self, problem: Inclusion, state: OptimisticGradientState) -> Any:
        return state.merit

    def iterate(self, problem: Inclusion, state: OptimisticGradientState) -> tuple[Any, None]:
        return state.y, None

    def status(self, state: OptimisticGradientState) -> Any:
        return ending(state.merit, state.first, state.step_size, state.update_size)

    def calls(self, problem: Inclusion, state: OptimisticGradientState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}
