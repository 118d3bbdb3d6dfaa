"""Orthogonal matching pursuit, and greedy selection by the loss that a column saves."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg

from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent.composite.recovery.greedy_losses import RULES, best_fit, gains
from resolvent.composite.sparse_recovery import SparseRecovery, beyond


class PursuitState(NamedTuple):
    x: Any
    r: Any
    """b - A x."""
    support: Any
    """The columns of x in the order in which they joined."""
    basis: Any
    """[m, k], orthonormal, spans them."""
    triangle: Any
    """[k, k], upper triangular: the columns, at length 1, in that basis."""
    following: int
    """The column that is to join; -1 for none, -2 where it has not been looked for."""
    measure: float
    code: int
    products: int
    fits: int


class OrthogonalMatchingPursuit(Method):
    """One column after the other, each time the one that promises most, and a new best fit.

    Solves `SparseRecovery` problems. Without a loss, the column joins that is most correlated with
    the residual, abs(a_j . r) / (||a_j|| w_j), and all coefficients are fitted by least squares,
    until the residual is as small as asked for or there are s columns. With a loss, the column
    joins whose coefficient alone lowers the loss most, as long as none in the support would do as
    much; the fit that follows leaves the price of coefficients out, and is one of least absolute
    deviations for the losses that begin with "lad". A first guess that is no answer is not used,
    because selection cannot take a column back.

    Args:
        rows: the columns of A at length 1, their lengths and prices; filled in by `bind`.

    Cost per iteration:
        One product with A^T, and 4 m k for the fit on k columns, whose QR factors are updated. For
        the losses that begin with "lad", n weighted medians of m numbers and a linear program.

    Convergence:
        Finds every solution of s nonzeros where the columns have inner products of at most mu, at
        length 1, and s < (1 + 1 / mu) / 2. The support only grows, so that selection for a loss
        ends after min(m, n) steps at most.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A, noise = rng.standard_normal((60, 150)), 0.01 * rng.standard_normal(60)
        b = A[:, 5] - 2 * A[:, 60] + noise
        problem = rs.SparseRecovery(A, b, loss="sr-lasso-l1", parameter=4.0)
        sol = rs.solve(problem, rs.composite.OrthogonalMatchingPursuit())
        assert sol.converged and set(np.flatnonzero(sol.x)) == {5, 60}
        ```

    Reference:
        Y. Pati, R. Rezaiifar, P. Krishnaprasad (1993), Orthogonal matching pursuit: recursive
        function approximation with applications to wavelet decomposition. S. Mohammad-Taheri,
        S. Brugiapaglia (2023), The greedy side of the LASSO: new algorithms for weighted sparse
        recovery via loss function-based orthogonal matching pursuit, arXiv 2303.00844. J. Tropp
        (2004), Greed is good: algorithmic results for sparse approximation, for the guarantee.
    """

    rows: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = "orthogonal-matching-pursuit"
    solves: ClassVar = (SparseRecovery,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)

    def bind(self, problem: SparseRecovery) -> Any:
        return self.but(rows=problem.unit_columns())

    def init(self, problem: SparseRecovery, x0: Any, memory: Memory, key: Any) -> PursuitState:
        state = self._empty(problem)
        if not x0.any():
            return self._seen(problem, state)
        measure = float(problem.certify(x0).value)
        return state._replace(
            x=x0.copy(), r=-problem.residual(x0), following=-2, measure=measure, products=1
        )

    def _empty(self, problem: SparseRecovery) -> PursuitState:
        m, n = problem.A.shape
        dtype = problem.A.dtype
        return PursuitState(
            np.zeros(n, dtype), problem.b, np.empty(0, np.intp), np.empty((m, 0), dtype),
            np.empty((0, 0), dtype), -1, np.inf, 0, 0, 0,
        )  # fmt: skip

    def _seen(self, problem: SparseRecovery, state: PursuitState) -> PursuitState:
        """The state with what its fit is worth, and the column that is to join."""
        on = np.zeros(state.x.size, bool)
        on[state.support] = True
        rows, lengths, bars = self.rows
        if problem.loss is None:
            every = np.abs(rows @ state.r) / problem.weights
            measure = max(norm(state.r) - problem.noise, 0.0)
            full = state.support.size >= problem.sparsity
        else:
            every = gains(RULES[problem.loss], rows, state.r, state.x * lengths, on, bars)
            measure = beyond(every, on)
            full = state.support.size >= min(problem.A.shape)
        following = -1 if full or on.all() else int(np.argmax(np.where(on, -1.0, every)))
        return state._replace(
            following=following, measure=measure, products=state.products + 1,
            code=Reason.stalled.code if following < 0 and measure > 0 else 0,
        )  # fmt: skip

    def step(self, problem: SparseRecovery, state: PursuitState) -> PursuitState:
        if state.following == -2:
            begun = self._seen(problem, self._empty(problem))
            state = begun._replace(products=state.products + begun.products)
            if not state.measure > 0:
                return state
        if state.following < 0:
            return state
        return self._joined(problem, state)

    def _joined(self, problem: SparseRecovery, state: PursuitState) -> PursuitState:
        rows, lengths, _ = self.rows
        j, basis = state.following, state.basis
        column = rows[j]
        inside = basis.T @ column
        new = column - basis @ inside
        # Once more: the first time leaves the rounding errors of what was taken away.
        rest = basis.T @ new
        new, inside = new - basis @ rest, inside + rest
        length = norm(new)
        if length <= 10 * column.size * np.finfo(column.dtype).eps:
            return state._replace(code=Reason.breakdown.code)  # it depends on the columns there
        k = state.support.size
        triangle = np.zeros((k + 1, k + 1), basis.dtype)
        triangle[:k, :k], triangle[:k, k], triangle[k, k] = state.triangle, inside, length
        basis = np.column_stack([basis, new / length])
        support = np.append(state.support, j)
        x = np.zeros_like(state.x)
        if problem.loss is not None and RULES[problem.loss].misfit == "absolute":
            x[support] = best_fit(RULES[problem.loss], problem.A[:, support], problem.b)
            r = problem.b - problem.A[:, support] @ x[support]
        else:
            pulled = basis.T @ problem.b
            z = scipy.linalg.solve_triangular(triangle, pulled, check_finite=False)
            x[support] = z / lengths[support]
            r = problem.b - problem.A[:, support] @ x[support]
        return self._seen(
            problem,
            state._replace(
                x=x, r=r, support=support, basis=basis, triangle=triangle, fits=state.fits + 1
            ),
        )

    def measure(self, problem: SparseRecovery, state: PursuitState) -> Any:
        return state.measure

    def status(self, state: PursuitState) -> Any:
        return state.code

    def iterate(self, problem: SparseRecovery, state: PursuitState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: SparseRecovery, state: PursuitState) -> dict[str, Any]:
        return {"matvec": state.products, "fit": state.fits}
