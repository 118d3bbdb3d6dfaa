"""The adaptive Krylov gradient method: each step minimizes over a short Krylov space."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import count
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


def best_in_krylov_space(
    product: Any, r: Any, norm: Any, dimension: int
) -> tuple[Any, Any, Any, int]:
    """The minimizer h of h^T B h / 2 - r^T h over span{r, B r, ..., B^(dimension - 1) r}.

    Returns h, B h, whether B turned out not to be positive definite (h is then zero), and the
    number of products with B. Works on NumPy and JAX arrays; `norm` is ||r||.
    """
    xp = namespace(r)
    eps = float(np.finfo(r.dtype).eps)
    eager = isinstance(r, np.ndarray)
    v = r / xp.where(norm == 0, 1.0, norm).astype(r.dtype)
    basis, images, diagonal, beside, open_ = [], [], [], [], []
    alive = norm > 0
    for _ in range(dimension):
        w = product(v)
        basis.append(v)
        images.append(w)
        diagonal.append(xp.vdot(v, w))
        open_.append(alive)
        size = xp.sqrt(xp.vdot(w, w))
        V = xp.stack(basis)
        # Moments of a Krylov space lose all digits beyond a few powers; an orthonormal basis
        # keeps them, if it is made so twice.
        w = w - V.T @ (V @ w)
        w = w - V.T @ (V @ w)
        beta = xp.sqrt(xp.vdot(w, w))
        # What is left of an invariant space is rounding: the basis ends there.
        alive = alive & (beta > 100 * eps * size)
        if eager and not alive:
            break
        beta = xp.where(alive, beta, 0.0).astype(r.dtype)
        beside.append(beta)
        v = w * xp.where(alive, 1.0 / xp.where(alive, beta, 1.0), 0.0).astype(r.dtype)
    y, bad = _solve_tridiagonal(xp, diagonal, beside, open_, norm)
    h = sum((a * v for a, v in zip(y[1:], basis[1:], strict=True)), y[0] * basis[0])
    image = sum((a * w for a, w in zip(y[1:], images[1:], strict=True)), y[0] * images[0])
    return h, image, bad, len(basis)


def _solve_tridiagonal(
    xp: Any, diagonal: list[Any], beside: list[Any], open_: list[Any], norm: Any
) -> tuple[list[Any], Any]:
    """T y = norm e_1 by elimination without pivoting; a pivot that is not positive is bad."""
    dtype = diagonal[0].dtype
    bad = xp.asarray(False)
    pivots: list[Any] = []
    right: list[Any] = []
    for j, entry in enumerate(diagonal):
        pivot, value = entry, norm
        if j:
            factor = beside[j - 1] / pivots[-1]
            pivot, value = entry - factor * beside[j - 1], -factor * right[-1]
        # NaN must not pass as bad: it shows up in the norm and ends the loop as divergence.
        bad = bad | (open_[j] & (pivot <= 0))
        pivots.append(xp.where(open_[j] & ~(pivot <= 0), pivot, 1.0).astype(dtype))
        right.append(xp.where(open_[j], value, 0.0).astype(dtype))
    y = [right[-1] / pivots[-1]]
    for j in range(len(diagonal) - 2, -1, -1):
        y.insert(0, (right[j] - beside[j] * y[0]) / pivots[j])
    return [xp.where(bad, 0.0, one).astype(dtype) for one in y], bad
