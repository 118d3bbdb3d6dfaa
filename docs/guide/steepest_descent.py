"""Steepest descent, the simplest method for symmetric positive definite systems."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent.linear.krylov import namespace
from resolvent.linear.problem import LinearSystem


class State(NamedTuple):
    x: Any
    r: Any
    products: Any
    status: Any


class SteepestDescent(Method):
    """Steepest descent with exact line search.

    Solves A x = b for symmetric positive definite A: each step goes along the residual
    r = b - A x to the point of smallest energy-norm error, x + (r^T r / r^T A r) r.

    Raises:
        ValueError: if A is not symmetric or has a diagonal entry that is not positive.

    Cost per iteration:
        One product with A, two inner products and two vector updates.

    Convergence:
        `||e_k||_A <= ((kappa - 1) / (kappa + 1))^k ||e_0||_A` with kappa the condition
        number.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.LinearSystem(np.array([[4.0, 1.0], [1.0, 3.0]]), np.ones(2))
        assert rs.solve(problem, rs.linear.SteepestDescent(), rtol=1e-10).converged
        ```

    Reference:
        A. Cauchy (1847), Methode generale pour la resolution des systemes d'equations
        simultanees.
    """

    name: ClassVar[str] = "steepest-descent"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric", "positive_definite")

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> State:
        return State(x0, problem.residual(x0), 1, 0)

    def step(self, problem: LinearSystem, state: State) -> State:
        xp = namespace(state.x)
        product = problem.operator.mv(state.r)
        square, curvature = xp.vdot(state.r, state.r), xp.vdot(state.r, product)
        bad = curvature <= 0
        alpha = xp.where(bad, 0, square) / xp.where(bad, 1, curvature)
        alpha = alpha.astype(product.dtype)
        x, r = state.x + alpha * state.r, state.r - alpha * product
        return State(x, r, state.products + 1, xp.where(bad, Reason.breakdown.code, 0))

    def measure(self, problem: LinearSystem, state: State) -> Any:
        return namespace(state.r).sqrt((state.r * state.r).sum())

    def status(self, state: State) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: State) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: State) -> State:
        return State(state.x, problem.residual(state.x), state.products + 1, 0)

    def calls(self, problem: LinearSystem, state: State) -> dict[str, Any]:
        return {"matvec": state.products}
