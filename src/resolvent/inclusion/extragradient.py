"""The extragradient method."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.inclusion.comonotone import check_steps, ending, second_step, theoretical_look
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import first_calls, first_step, positive_step, searched


class ExtragradientState(NamedTuple):
    x: Any
    Fx: Any
    step_size: Any
    update_size: Any
    merit: Any
    first: Any
    calls: Any
    resolvents: Any


class Extragradient(Method):
    """Korpelevich's method: a step to look, and a step with what was seen there.

    Solves `Inclusion` problems by y = J(x - step_size F(x)), x <- J(x - update_size F(y)), with J =
    (I + step G)^-1. The second step is shorter where F is not monotone but only negatively
    comonotone, with `<F(x) - F(y), x - y> >= -rho ||F(x) - F(y)||^2` for the problem's rho =
    `comonotone`.

    Args:
        step_size: in the unit of x over F. None takes 2 rho + 0.9 (1 - rho L) (1 / L - 2 rho),
            which is 0.9 / L for monotone F, where the problem states its constant L, and otherwise
            finds it by a line search on `step ||F(y) - F(x)|| <= 0.9 ||y - x||`.
        update_size: the same unit; None takes step_size - 2 rho, which is step_size for monotone
            F.

    Raises:
        ValueError: for a step_size outside (2 rho, 1 / L) or an update_size above
            step_size - 2 rho; but with rho <= 1 / (8 L) both may be equal, in
            [4 rho, 1 / (2 L)]. For rho > 0 where there is a G, or rho >= 1 / (2 L). For two
            different steps where there is a G.

    Cost per iteration:
        Two evaluations of F and two resolvents; more in steps whose line search shortens the step.

    Convergence:
        For F monotone and Lipschitz: the iterates converge, the best natural residual is
        O(1 / sqrt(k)) and the gap of averages O(1 / k). Linear where F is strongly monotone.
        Without G, for rho < 1 / (2 L) and steps g1, g2 in the range, the mean of `||F(x_i)||^2` up
        to x_k is at most `||x_0 - x*||^2 / (g1 g2 (1 - L^2 g1^2) (k + 1))`. With both steps g,
        4 rho <= g <= 1 / (2 L), the norm of F never grows and
        `||F(x_k)||^2 <= 28 ||x_0 - x*||^2 / (k g^2 + 320 g rho)`.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(lambda x: turn @ x, start=jnp.ones(2), lipschitz=1.0)
        assert rs.solve(problem, rs.inclusion.Extragradient()).converged
        ```

    Reference:
        G. M. Korpelevich (1976), The extragradient method for finding saddle points and other
        problems. E. Gorbunov, A. Taylor, S. Horvath, G. Gidel (2022), Convergence of proximal
        point and extragradient-based methods beyond monotonicity: the case of negative
        comonotonicity, arXiv 2210.13831.
    """

    step_size: Any = None
    update_size: Any = None

    name: ClassVar[str] = "extragradient"
    solves: ClassVar = (Inclusion,)
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        positive_step("update_size", self.update_size)

    def check(self, problem: Inclusion) -> None:
        check_steps(problem, self.step_size, self.update_size, equal=0.5, shared=False)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> ExtragradientState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        calls = first_calls(problem, self.step_size)
        if self.step_size is None and problem.lipschitz is not None:
            step = theoretical_look(problem, x, shared=False)
        else:
            step = first_step(problem, self.step_size, x, Fx)
            if self.step_size is None:
                step = jnp.maximum(step, 3.0 * problem.comonotone)
        update = second_step(problem, step, self.update_size, shared=False)
        return ExtragradientState(x, Fx, step, update, merit, merit, calls, 1)

    def step(self, problem: Inclusion, state: ExtragradientState) -> ExtragradientState:
        x, Fx = state.x, state.Fx

        def look(step: Any) -> tuple[Any, Any]:
            y = problem.resolvent(trees.plus(x, -step, Fx), step)
            return y, problem.operator(y)

        fixed = self.step_size is not None or problem.lipschitz is not None
        floor = 2.0 * problem.comonotone
        (_, Fy), step, tries = searched(look, x, Fx, state.step_size, fixed, floor=floor)
        update = second_step(problem, step, self.update_size, shared=False)
        new = problem.resolvent(trees.plus(x, -update, Fy), update)
        Fnew = problem.operator(new)
        return ExtragradientState(
            new, Fnew, step, update, problem.merit(new, Fnew), state.first,
            state.calls + tries + 1, state.resolvents + tries + 1,
        )  # fmt: skip

    def measure(self, problem: Inclusion, state: ExtragradientState) -> Any:
        return state.merit

    def iterate(self, problem: Inclusion, state: ExtragradientState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: ExtragradientState) -> Any:
        return ending(state.merit, state.first, state.step_size, state.update_size)

    def calls(self, problem: Inclusion, state: ExtragradientState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}
