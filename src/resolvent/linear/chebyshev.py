"""Chebyshev iteration: no inner products, for spectra whose bounds are known."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core.memory import Memory
from resolvent._core.solution import Reason
from resolvent.linear.krylov import PreconditionedMethod, dot, namespace
from resolvent.linear.preconditioners import Preconditioner
from resolvent.linear.problem import LinearSystem
from resolvent.linear.spectrum import check_interval, lanczos_extremes, lanczos_steps


class ChebyshevState(NamedTuple):
    x: Any
    r: Any
    d: Any
    rho: Any
    low: Any
    high: Any
    since: Any
    first: Any
    norm: Any
    products: Any
    applied: Any
    status: Any


class Chebyshev(PreconditionedMethod):
    """Chebyshev iteration for symmetric positive definite systems.

    Solves A x = b with the polynomial of least maximum on [low, high], the interval of the
    (preconditioned) spectrum. No inner products are needed, which suits many devices.

    Args:
        low: lower end of the spectrum; None starts from a few Lanczos steps and lowers it
            whenever the observed rate falls behind the predicted one.
        high: upper end; None estimates it by Lanczos, with 5 % of safety, and raises it when the
            residual grows.
        preconditioner: a symmetric positive definite approximation of A^-1, or None.

    Raises:
        ValueError: if A is not symmetric, or not 0 < low < high.

    Cost per iteration:
        One product with A, one application of the preconditioner, three vector updates and the
        norm of the exit test; without bounds, 12 products at the start.

    Convergence:
        With a valid interval the error falls at least like
        `2 ((sqrt(high) - sqrt(low)) / (sqrt(high) + sqrt(low)))^k`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.diag(np.linspace(1.0, 10.0, 50))
        sol = rs.solve(rs.LinearSystem(A, np.ones(50)), rs.linear.Chebyshev(low=1.0, high=10.0))
        assert sol.converged
        ```

    Reference:
        G. H. Golub, R. S. Varga (1961), Chebyshev semi-iterative methods, successive
        overrelaxation iterative methods, and second order Richardson iterative methods.
    """

    low: float | None = None
    high: float | None = None
    preconditioner: Preconditioner | None = None

    monitored: ClassVar[int] = 200
    name: ClassVar[str] = "chebyshev"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric", "positive_definite")
    in_order: ClassVar[bool] = True

    def check(self, problem: LinearSystem) -> None:
        super().check(problem)
        matrix = "A" if self.preconditioner is None else "the preconditioned matrix"
        check_interval(("low", "high"), self.low, self.high, matrix)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> ChebyshevState:
        xp = namespace(x0)
        low, high, products, applied = self.low, self.high, 1, 0
        if low is None or high is None:
            least, most = lanczos_extremes(problem.operator, self.preconditioner, problem.b)
            products += lanczos_steps(problem.n)
            applied = lanczos_steps(problem.n) + 1
            high = 1.05 * most if high is None else high
            low = xp.minimum(least, 0.5 * high) if low is None else low
        low, high = xp.asarray(low, x0.dtype), xp.asarray(high, x0.dtype)
        return self._begin(problem, x0, low, high, products, applied)

    def _begin(
        self, problem: LinearSystem, x: Any, low: Any, high: Any, products: Any, applied: Any
    ) -> ChebyshevState:
        xp = namespace(x)
        r = problem.residual(x)
        norm = xp.sqrt(dot(r, r))
        zero = xp.zeros((), x.dtype)
        status = xp.where((high > 0) & (low > 0), 0, Reason.breakdown.code)
        return ChebyshevState(
            x, r, xp.zeros_like(x), zero, low, high, 0, norm, norm, products, applied, status
        )

    def step(self, problem: LinearSystem, state: ChebyshevState) -> ChebyshevState:
        xp = namespace(state.x)
        dtype = state.x.dtype
        theta, delta = (state.high + state.low) / 2, (state.high - state.low) / 2
        sigma = theta / delta
        z = self._apply(state.r)
        fresh = state.since == 0
        rho = xp.where(fresh, 1 / sigma, 1 / (2 * sigma - state.rho)).astype(dtype)
        push = xp.where(fresh, 1 / theta, 2 * rho / delta).astype(dtype)
        drag = xp.where(fresh, 0.0, rho * state.rho).astype(dtype)
        d = push * z + drag * state.d
        x = state.x + d
        r = state.r - problem.operator.mv(d)
        norm = xp.sqrt(dot(r, r))
        since = state.since + 1
        low, high, since, first = self._mend(xp, state, sigma, since, norm)
        return ChebyshevState(
            x, r, d, rho, low.astype(dtype), high.astype(dtype), since, first, norm,
            state.products + 1, state.applied + 1, state.status,
        )  # fmt: skip

    def _mend(self, xp: Any, state: ChebyshevState, sigma: Any, since: Any, norm: Any) -> Any:
        """Bounds that were estimated are corrected by what the residual does."""
        if self.low is not None and self.high is not None:
            return state.low, state.high, since, state.first
        rate = 1 / (sigma + xp.sqrt(sigma * sigma - 1))
        # After `period` steps the residual should have come down by 1e-2 twice over.
        period = xp.maximum(10.0, xp.log(1e-2) / xp.log(rate))
        due = since >= period
        observed = norm / xp.where(state.first == 0, 1.0, state.first)
        grew = due & (observed > 1.0) & (self.high is None)
        slow = due & ~grew & (observed > 1e-1) & (self.low is None)
        low = xp.where(slow, state.low / 4, state.low)
        high = xp.where(grew, state.high * 1.2, state.high)
        # A wrong interval begins a new polynomial; a right one goes on undisturbed.
        since = xp.where(grew | slow, 0, since)
        first = xp.where(due, norm, state.first)
        return low, high, since, first

    def measure(self, problem: LinearSystem, state: ChebyshevState) -> Any:
        return state.norm

    def status(self, state: ChebyshevState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: ChebyshevState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: ChebyshevState) -> ChebyshevState:
        return self._begin(
            problem, state.x, state.low, state.high, state.products + 1, state.applied
        )

    def calls(self, problem: LinearSystem, state: ChebyshevState) -> dict[str, Any]:
        return self.count(state.products, state.applied)
