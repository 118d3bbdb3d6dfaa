"""The generalized minimal residual method: restarted, right-preconditioned, flexible."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import count
from resolvent._core.memory import Memory
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.linear.preconditioners import Preconditioner
from resolvent.linear.problem import LinearSystem
from resolvent.linear.recycled import RecycledMethod, Sizes

_CYCLE_GAIN = 1e-3  # cycles that together lower the residual by less have stalled


class GMRESState(NamedTuple):
    """State of the traced engine; rows of `basis` beyond the present step are zero."""

    x: Any
    basis: Any
    ahead: Any  # M v_j, the directions that x moves along
    triangle: Any
    turned: Any  # the product of all rotations of the cycle
    begin: Any  # residual norm at the cycle's start
    j: Any
    norm: Any
    slow_norm: Any  # what the cycles must lower to count as progress
    stalled: Any  # cycles since then
    products: Any
    applied: Any
    status: Any


class GMRES(RecycledMethod):
    """GMRES(m) for general square systems.

    Solves A x = b by minimizing `||b - A x||` over a Krylov space of up to `restart` dimensions,
    again and again. The preconditioner stands on the right, so that the norm it minimizes is the
    true residual, and may change from step to step (flexible GMRES).

    Args:
        restart: dimension m of the space; m + 1 vectors are stored, twice that with a
            preconditioner.
        preconditioner: an approximation of A^-1, or None.
        patience: after how many cycles that together lowered the residual by less than 0.1 % the
            solve ends with reason `stalled`.

    Raises:
        ValueError: if restart < 1.

    Cost per iteration:
        One product with A, one application of the preconditioner, and two passes over the j basis
        vectors so far; on the host in one fused kernel. Once a cycle x and its residual are
        combined from the m vectors; under `vmap` (`solve_batch`, several right-hand sides) that
        is done at every step and mostly thrown away, as much work again as the two passes.

    Convergence:
        The residual never grows. In exact arithmetic it vanishes after n steps without restart;
        with restarts it converges where the symmetric part of A M^-1 is definite, and may stall
        otherwise.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0, 0.0], [-1.0, 4.0, 1.0], [0.0, -1.0, 4.0]])
        sol = rs.solve(rs.LinearSystem(A, np.ones(3)), rs.linear.GMRES(), rtol=1e-10)
        assert sol.converged and sol.steps <= 3
        ```

    Reference:
        Y. Saad, M. H. Schultz (1986), GMRES: a generalized minimal residual algorithm for solving
        nonsymmetric linear systems. Y. Saad (1993), A flexible inner-outer preconditioned GMRES
        algorithm.
    """

    restart: int = static(default=40)
    preconditioner: Preconditioner | None = None
    patience: int = static(default=5)

    name: ClassVar[str] = "gmres"
    solves: ClassVar = (LinearSystem,)

    def __post_init__(self) -> None:
        count("restart", self.restart, least=1)
        count("patience", self.patience, least=1)

    def sizes(self) -> Sizes:
        return Sizes(self.restart, 0, self.patience)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> Any:
        if isinstance(x0, np.ndarray):
            return self.begin_host(problem, x0, None)
        m = min(self.restart, problem.n)
        return self._begin(problem, x0, m, 1, 0)

    def _begin(
        self, problem: LinearSystem, x: Any, m: int, products: Any, applied: Any
    ) -> GMRESState:
        return self._cycle(x, problem.residual(x), m, products, applied)

    def _cycle(self, x: Any, r: Any, m: int, products: Any, applied: Any) -> GMRESState:
        norm = jnp.linalg.norm(r)
        n, dtype = x.shape[0], x.dtype
        basis = jnp.zeros((m + 1, n), dtype).at[0].set(r / jnp.where(norm == 0, 1, norm))
        ahead = jnp.zeros((0 if self.preconditioner is None else m, n), dtype)
        integer = jnp.zeros((), jnp.int32)
        return GMRESState(
            x, basis, ahead, jnp.eye(m, dtype=dtype), jnp.eye(m + 1, dtype=dtype), norm, integer,
            norm, norm, integer, integer + products, integer + applied, integer,
        )  # fmt: skip

    def step(self, problem: LinearSystem, state: Any) -> Any:
        if not isinstance(state, GMRESState):
            return self.step_host(problem, state)
        j, basis, ahead = state.j, state.basis, state.ahead
        m = state.triangle.shape[0]
        z = self._apply(basis[j])
        if self.preconditioner is not None:
            ahead = ahead.at[j].set(z)
        w = problem.operator.mv(z)
        before = jnp.linalg.norm(w)
        h = basis @ w
        w = w - h @ basis
        again = basis @ w  # the second pass restores what rounding took from orthogonality
        w = w - again @ basis
        beta = jnp.linalg.norm(w)
        eps = jnp.finfo(w.dtype).eps
        beta = jnp.where(beta <= 10 * eps * before, 0.0, beta)
        column = (h + again).at[j + 1].set(beta)
        basis = basis.at[j + 1].set(jnp.where(beta == 0, 0.0, w / jnp.where(beta == 0, 1, beta)))
        rotated = state.turned @ column
        length = jnp.hypot(rotated[j], beta)
        divisor = jnp.where(length == 0, 1.0, length)
        cosine = jnp.where(length == 0, 1.0, rotated[j] / divisor)
        sine = beta / divisor
        upper, lower = state.turned[j], state.turned[j + 1]
        turned = state.turned.at[j].set(cosine * upper + sine * lower)
        turned = turned.at[j + 1].set(cosine * lower - sine * upper)
        triangle = state.triangle.at[:, j].set((turned @ column)[:m])
        norm = jnp.abs(state.begin * turned[j + 1, 0])
        # No direction left and none in the range of A: a singular matrix.
        lost = (length <= 10 * eps * before) | ~jnp.isfinite(length)
        status = jnp.where(
            lost & (norm > 0), Reason.breakdown.code,
            jnp.where((beta == 0) & (norm > 10 * eps * state.begin), Reason.stalled.code, 0),
        )  # fmt: skip
        triangle = jnp.where(lost, state.triangle, triangle)
        turned = jnp.where(lost, state.turned, turned)
        norm = jnp.where(lost, state.norm, norm)
        taken = jnp.where(lost, j, j + 1)
        preconditioned = int(self.preconditioner is not None)
        state = state._replace(
            basis=basis, ahead=ahead, triangle=triangle, turned=turned, norm=norm, j=taken,
            products=state.products + 1, applied=state.applied + preconditioned,
            status=status.astype(jnp.int32),
        )  # fmt: skip
        full = taken == m
        return jax.lax.cond(full, self._restart, lambda s: s, state)

    def _restart(self, state: GMRESState) -> GMRESState:
        m = state.triangle.shape[0]
        x = self._point(state)
        # By the Arnoldi relation, without a product: under vmap a branch is work of every step.
        r = (state.begin * state.turned[m, 0] * state.turned[m]) @ state.basis
        slow = ~(state.norm <= (1 - _CYCLE_GAIN) * state.slow_norm)
        stalled = jnp.where(slow, state.stalled + 1, 0).astype(jnp.int32)
        fresh = self._cycle(x, r, m, state.products, state.applied)
        status = jnp.where(
            state.status != 0, state.status,
            jnp.where(stalled >= self.patience, Reason.stalled.code, 0),
        )  # fmt: skip
        slow_norm = jnp.where(slow, state.slow_norm, state.norm)
        return fresh._replace(status=status.astype(jnp.int32), stalled=stalled, slow_norm=slow_norm)

    def _point(self, state: GMRESState) -> Any:
        m = state.triangle.shape[0]
        active = jnp.arange(m) < state.j
        goal = jnp.where(active, state.begin * state.turned[:m, 0], 0.0)
        # Columns that are not there yet stand as those of the identity.
        triangle = jnp.where(active[None, :], jnp.triu(state.triangle), jnp.eye(m))
        weights = jax.scipy.linalg.solve_triangular(triangle.astype(goal.dtype), goal)
        directions = state.basis[:m] if self.preconditioner is None else state.ahead
        return state.x + weights.astype(state.x.dtype) @ directions

    def measure(self, problem: LinearSystem, state: Any) -> Any:
        return state.norm

    def status(self, state: Any) -> Any:
        return state.status if isinstance(state, GMRESState) else self.host_status(state)

    def iterate(self, problem: LinearSystem, state: Any) -> tuple[Any, Any]:
        if isinstance(state, GMRESState):
            return self._point(state), None
        return self.host_point(state), None

    def refresh(self, problem: LinearSystem, state: Any) -> Any:
        if not isinstance(state, GMRESState):
            return self.refresh_host(problem, state)
        m = state.triangle.shape[0]
        return self._begin(problem, self._point(state), m, state.products + 1, state.applied)

    def calls(self, problem: LinearSystem, state: Any) -> dict[str, Any]:
        if not isinstance(state, GMRESState):
            return self.host_calls(state)
        return self.count(state.products, state.applied)
