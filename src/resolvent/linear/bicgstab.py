"""The stabilized biconjugate gradient method for general systems, with short recurrences."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core.memory import Memory
from resolvent._core.solution import Reason
from resolvent.linear.krylov import PreconditionedMethod, dot, namespace
from resolvent.linear.preconditioners import Preconditioner
from resolvent.linear.problem import LinearSystem


class BiCGStabState(NamedTuple):
    x: Any
    r: Any
    shadow: Any
    p: Any
    rho: Any
    norm: Any
    products: Any
    applied: Any
    status: Any


class BiCGStab(PreconditionedMethod):
    """Stabilized biconjugate gradients, right-preconditioned, for general square systems.

    Solves A x = b with a fixed number of vectors. Where the shadow residual becomes orthogonal to
    the residual, the recurrence starts again from the present point.

    Args:
        preconditioner: an approximation of A^-1, or None.

    Cost per iteration:
        Two products with A, two applications of the preconditioner, four inner products and six
        vector updates.

    Convergence:
        No bound holds in general; it is often fast where the eigenvalues lie in a half plane, and
        erratic where they are nearly imaginary (then use GMRES). A step that moves nowhere, because
        r is orthogonal to A M r, ends the solve with reason `breakdown`: a fresh start from r would
        take the same step.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0, 0.0], [-1.0, 4.0, 1.0], [0.0, -1.0, 4.0]])
        sol = rs.solve(rs.LinearSystem(A, np.ones(3)), rs.linear.BiCGStab(), rtol=1e-10)
        assert sol.converged
        ```

    Reference:
        H. A. van der Vorst (1992), Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for
        the solution of nonsymmetric linear systems.
    """

    preconditioner: Preconditioner | None = None

    name: ClassVar[str] = "bicgstab"
    solves: ClassVar = (LinearSystem,)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> BiCGStabState:
        return self._begin(problem, x0, 1, 0)

    def _begin(self, problem: LinearSystem, x: Any, products: Any, applied: Any) -> BiCGStabState:
        xp = namespace(x)
        r = problem.residual(x)
        rho = dot(r, r)
        return BiCGStabState(x, r, r, r, rho, xp.sqrt(rho), products, applied, 0)

    def step(self, problem: LinearSystem, state: BiCGStabState) -> BiCGStabState:
        xp = namespace(state.x)
        dtype = state.x.dtype
        tiny = xp.finfo(dtype).tiny

        def safe(value: Any) -> Any:
            return xp.where(value == 0, 1.0, value).astype(dtype)

        p_hat = self._apply(state.p)
        v = problem.operator.mv(p_hat)
        along = dot(state.shadow, v)
        alpha = xp.where(along == 0, 0.0, state.rho / safe(along)).astype(dtype)
        s = state.r - alpha * v
        s_hat = self._apply(s)
        t = problem.operator.mv(s_hat)
        square = dot(t, t)
        omega = xp.where(square == 0, 0.0, dot(t, s) / safe(square)).astype(dtype)
        x = state.x + alpha * p_hat + omega * s_hat
        r = s - omega * t
        norm = xp.sqrt(dot(r, r))
        rho = dot(state.shadow, r)
        beta = (rho / safe(state.rho)) * (alpha / safe(omega))
        p = r + beta * (state.p - omega * v)
        # The recurrence divides by rho and omega: where they vanish it begins anew from r.
        eps = xp.finfo(dtype).eps
        shadow_norm = xp.sqrt(dot(state.shadow, state.shadow))
        anew = (abs(rho) <= eps * eps * shadow_norm * norm) | (omega == 0) | (along == 0)
        stuck = anew & (alpha == 0) & (omega == 0) & (norm > tiny)
        return BiCGStabState(
            x,
            r,
            xp.where(anew, r, state.shadow),
            xp.where(anew, r, p),
            xp.where(anew, norm * norm, rho),
            norm,
            state.products + 2,
            state.applied + 2,
            xp.where(stuck, Reason.breakdown.code, 0),
        )

    def measure(self, problem: LinearSystem, state: BiCGStabState) -> Any:
        return state.norm

    def status(self, state: BiCGStabState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: BiCGStabState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: BiCGStabState) -> BiCGStabState:
        return self._begin(problem, state.x, state.products + 1, state.applied)

    def calls(self, problem: LinearSystem, state: BiCGStabState) -> dict[str, Any]:
        return self.count(state.products, state.applied)
