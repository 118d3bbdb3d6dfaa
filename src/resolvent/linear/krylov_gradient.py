"""The adaptive Krylov gradient method: each step minimizes over a short Krylov space."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core.checks import count
from resolvent._core.krylov_space import best_in_krylov_space
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.linear.krylov import namespace
from resolvent.linear.problem import LinearSystem


class KrylovGradientState(NamedTuple):
    x: Any
    r: Any
    norm: Any
    products: Any
    status: Any


class KrylovGradient(Method):
    """Gradient steps, each the best one in a Krylov space of the gradient.

    Solves A x = b, A symmetric positive definite, as the minimum of f(x) = x^T A x / 2 - b^T x.
    With g = grad f(x), a step minimizes f exactly over x + span{g, A g, ..., A^degree g}. It is at
    least as good as a gradient step preconditioned by any polynomial of A of that degree, and
    needs neither traces nor bounds of the spectrum. On a quadratic function it equals
    degree + 1 steps of CG, restarted; CG itself is therefore the faster method here, and this one
    the form that carries over to other functions.

    Args:
        degree: the highest power of A in the space; 0 is steepest descent with exact line search.

    Raises:
        ValueError: if A is not symmetric or has a diagonal entry that is not positive.

    Cost per iteration:
        degree + 1 products with A, and about 4 degree^2 vector updates for an orthonormal basis
        (Lanczos with full reorthogonalization, whose basis is cut where the space is invariant).

    Convergence:
        `||e_k||_A <= (1 / T(sigma))^k ||e_0||_A` with T the Chebyshev polynomial of degree
        `degree + 1`, sigma = (kappa + 1) / (kappa - 1) and kappa the condition number of A; where
        the largest `degree` eigenvalues lie behind a gap, kappa is replaced by about the sum of
        the others over the smallest. A direction of negative curvature ends the solve with
        reason `breakdown`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.diag([4000.0, 2000.0, *np.linspace(3.0, 1.0, 98)])
        problem = rs.LinearSystem(A, np.ones(100))
        sol = rs.solve(problem, rs.linear.KrylovGradient(2), rtol=1e-8)
        assert sol.converged and sol.steps < 30
        ```

    Reference:
        N. Doikov, A. Rodomanov (2023), Polynomial Preconditioning for Gradient Methods,
        arXiv:2301.13194.
    """

    degree: int = static(default=2)

    name: ClassVar[str] = "krylov-gradient"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric", "positive_definite")

    def __post_init__(self) -> None:
        count("degree", self.degree)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> KrylovGradientState:
        return self._begin(problem, x0, 1)

    def _begin(self, problem: LinearSystem, x: Any, products: Any) -> KrylovGradientState:
        r = problem.residual(x)
        xp = namespace(r)
        return KrylovGradientState(x, r, xp.sqrt(xp.vdot(r, r)), products, 0)

    def step(self, problem: LinearSystem, state: KrylovGradientState) -> KrylovGradientState:
        xp = namespace(state.x)
        h, product, bad, used = best_in_krylov_space(
            problem.operator.mv, state.r, state.norm, min(self.degree + 1, problem.n)
        )
        x, r = state.x + h, state.r - product
        return KrylovGradientState(
            x, r, xp.sqrt(xp.vdot(r, r)), state.products + used,
            xp.where(bad, Reason.breakdown.code, 0),
        )  # fmt: skip

    def measure(self, problem: LinearSystem, state: KrylovGradientState) -> Any:
        return state.norm

    def status(self, state: KrylovGradientState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: KrylovGradientState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: KrylovGradientState) -> KrylovGradientState:
        return self._begin(problem, state.x, state.products + 1)

    def calls(self, problem: LinearSystem, state: KrylovGradientState) -> dict[str, Any]:
        return {"matvec": state.products}
