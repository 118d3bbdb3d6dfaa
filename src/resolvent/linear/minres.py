"""The minimal residual method for symmetric, possibly indefinite systems."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core.memory import Memory
from resolvent._core.solution import Reason
from resolvent.linear.krylov import PreconditionedMethod, dot, namespace
from resolvent.linear.preconditioners import Preconditioner
from resolvent.linear.problem import LinearSystem


class MINRESState(NamedTuple):
    x: Any
    r: Any  # the residual of x
    lanczos_old: Any
    lanczos: Any  # not normalized, before the preconditioner
    z: Any  # after it
    w_old: Any
    w: Any
    beta_old: Any
    beta: Any
    dbar: Any
    epsilon: Any
    phibar: Any
    cosine: Any
    sine: Any
    norm: Any
    products: Any
    status: Any


class MINRES(PreconditionedMethod):
    """Minimal residuals for symmetric systems, definite or not.

    Solves A x = b by minimizing the residual over growing Krylov spaces, in the norm that the
    preconditioner induces (the Euclidean one without it).

    Args:
        preconditioner: a symmetric positive definite approximation of |A|^-1, or None.

    Raises:
        ValueError: if A is not symmetric, or the preconditioner is not.

    Cost per iteration:
        One product with A, one application of the preconditioner, two inner products, one norm
        and seven vector updates (one of them keeps the true residual for the exit test).

    Convergence:
        The residual never grows. With the spectrum in [-a, -b] and [c, d] of equal length it
        falls at least by `(sqrt(a d) - sqrt(b c)) / (sqrt(a d) + sqrt(b c))` every two steps. On a
        consistent singular system it finds a solution; on an inconsistent one it stalls.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.diag([1.0, -2.0, 3.0, -4.0])
        sol = rs.solve(rs.LinearSystem(A, np.ones(4)), rs.linear.MINRES(), rtol=1e-10)
        assert sol.converged and sol.steps <= 4
        ```

    Reference:
        C. C. Paige, M. A. Saunders (1975), Solution of sparse indefinite systems of linear
        equations.
    """

    preconditioner: Preconditioner | None = None

    name: ClassVar[str] = "minres"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric",)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> MINRESState:
        return self._begin(problem, x0, 1)

    def _begin(self, problem: LinearSystem, x: Any, products: Any) -> MINRESState:
        xp = namespace(x)
        r = problem.residual(x)
        z = self._apply(r)
        square = dot(r, z)
        beta = xp.sqrt(xp.maximum(square, 0.0))
        zero, one = xp.zeros((), x.dtype), xp.ones((), x.dtype)
        nothing = xp.zeros_like(x)
        status = xp.where(square < 0, Reason.breakdown.code, 0)
        return MINRESState(
            x, r, nothing, r, z, nothing, nothing, one, beta, zero, zero, beta, -one, zero,
            xp.sqrt(dot(r, r)), products, status,
        )  # fmt: skip

    def step(self, problem: LinearSystem, state: MINRESState) -> MINRESState:
        xp = namespace(state.x)
        beta = xp.where(state.beta == 0, 1.0, state.beta).astype(state.x.dtype)
        v = state.z / beta
        y = problem.operator.mv(v) - (beta / state.beta_old) * state.lanczos_old
        alpha = dot(v, y)
        y = y - (alpha / beta) * state.lanczos
        z = self._apply(y)
        square = dot(y, z)
        beta_next = xp.sqrt(xp.maximum(square, 0.0))
        delta = state.cosine * state.dbar + state.sine * alpha
        gbar = state.sine * state.dbar - state.cosine * alpha
        epsilon = state.sine * beta_next
        dbar = -state.cosine * beta_next
        gamma = xp.hypot(gbar, beta_next)
        # gamma = 0: a singular matrix whose Krylov space is exhausted without a solution.
        bad = (gamma == 0) | (state.beta == 0) | (square < 0)
        divisor = xp.where(gamma == 0, 1.0, gamma).astype(state.x.dtype)
        cosine, sine = gbar / divisor, beta_next / divisor
        phi, phibar = cosine * state.phibar, sine * state.phibar
        w = (v - state.epsilon * state.w_old - delta * state.w) / divisor
        x = state.x + xp.where(bad, 0.0, phi).astype(state.x.dtype) * w
        scale = xp.where(beta_next == 0, 1.0, beta_next).astype(state.x.dtype)
        r = sine * sine * state.r - (phibar * cosine / scale) * y
        r = xp.where(bad, state.r, r)
        # A Lanczos vector of rounding errors alone: the Krylov space holds no better point. The
        # first beta is a length of b; only the later ones are entries of the projected matrix.
        size = abs(alpha) + xp.where(state.sine == 0, 0.0, beta)
        spent = beta_next <= 10 * xp.finfo(state.x.dtype).eps * size
        status = xp.where(bad, Reason.breakdown.code, xp.where(spent, Reason.stalled.code, 0))
        return MINRESState(
            x, r, state.lanczos, y, z, state.w, w, beta, beta_next, dbar, epsilon, phibar,
            cosine, sine, xp.sqrt(dot(r, r)), state.products + 1, status,
        )  # fmt: skip

    def measure(self, problem: LinearSystem, state: MINRESState) -> Any:
        return state.norm

    def status(self, state: MINRESState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: MINRESState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: MINRESState) -> MINRESState:
        return self._begin(problem, state.x, state.products + 1)

    def calls(self, problem: LinearSystem, state: MINRESState) -> dict[str, Any]:
        return self.count(state.products, state.products)
