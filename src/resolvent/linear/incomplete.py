"""Incomplete factorizations as preconditioners."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse.linalg as sparse_linalg

from resolvent._core.checks import refuse
from resolvent._core.problem import Engine
from resolvent.linear.cg import half_storage
from resolvent.linear.operators import sorted_rows
from resolvent.linear.preconditioners import Preconditioner

_ATTEMPTS = 60  # of a shift that doubles: more than enough to make any matrix dominant


class IncompleteCholesky(Preconditioner):
    """Incomplete Cholesky factorization on the pattern of A, IC(0).

    Approximates a symmetric positive definite A by `L S L^T`, L unit lower triangular with the
    pattern of A and S diagonal. Where a pivot is not positive, the factorization starts again on
    `A + shift diag(A)`; the shift begins at `first` and doubles until the pivots are positive.

    Args:
        first: first shift that is tried after a breakdown.
        shift: after `setup`, the shift that was needed, 0 where none was.
        factor: after `setup`, the entries of L, beside `indices` and `indptr`.
        indices: after `setup`, their columns.
        indptr: after `setup`, the places where rows begin.
        inverse_pivots: after `setup`, the diagonal of S^-1.

    Raises:
        ValueError: if A is not symmetric or has a diagonal entry that is not positive, or
            `first` is not positive.

    Cost per iteration:
        Two triangular sweeps, together one pass over the entries of A; the set-up costs a few.

    Convergence:
        Exists without a shift for M-matrices and H-matrices with positive diagonal; with it, for
        every matrix with positive diagonal. Exact where A has no fill (tridiagonal matrices,
        dense ones).

    Example:
        ```python
        import numpy as np, scipy.sparse as sp, resolvent as rs
        A = sp.diags_array([[-1.0] * 99, [2.0] * 100, [-1.0] * 99], offsets=[-1, 0, 1])
        method = rs.linear.CG(preconditioner=rs.linear.IncompleteCholesky())
        assert rs.solve(rs.LinearSystem(A, np.ones(100)), method).steps == 1
        ```

    Reference:
        J. A. Meijerink, H. A. van der Vorst (1977), An iterative solution method for linear
        systems of which the coefficient matrix is a symmetric M-matrix. T. A. Manteuffel (1980),
        An incomplete factorization technique for positive definite linear systems.
    """

    first: float = 1e-3
    shift: float | None = None
    factor: Any = None
    indices: Any = None
    indptr: Any = None
    inverse_pivots: Any = None
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    symmetric: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("entries", "symmetric", "positive_definite")

    def setup(self, problem: Any) -> "IncompleteCholesky":
        if self.factor is not None:
            return self
        from resolvent.linear import kernels_factor as kernels

        if not self.first > 0:
            refuse(
                ValueError, "first", given=f"{self.first}", needed="a positive number",
                advice="The default is 1e-3.",
            )  # fmt: skip
        data, indices, indptr, diagonal = half_storage(sorted_rows(problem.operator))
        factor, pivots = np.empty_like(data), np.empty_like(diagonal)
        # A pivot that rounding alone keeps positive makes a useless factor.
        floor = float(np.sqrt(np.finfo(diagonal.dtype).eps))
        row, shift, _ = kernels.ic0(
            data, indices, indptr, diagonal, float(self.first), _ATTEMPTS, floor, factor, pivots
        )
        if row >= 0:
            refuse(
                ValueError, "preconditioner",
                given=f"IncompleteCholesky for a matrix whose factorization breaks down in row "
                f"{row}, whatever is added to its diagonal {diagonal[row]:g}",
                needed="a symmetric matrix with positive diagonal",
                advice="Use IncompleteLU with GMRES, or MINRES.",
            )  # fmt: skip
        return self.but(
            shift=float(shift), factor=factor, indices=indices, indptr=indptr,
            inverse_pivots=1 / pivots,
        )  # fmt: skip

    def apply(self, r: Any) -> Any:
        if self.factor is None:
            return super().apply(r)
        from resolvent.linear import kernels_factor as kernels

        z = np.empty_like(r)
        kernels.ic0_apply(self.factor, self.indices, self.indptr, self.inverse_pivots, r, z)
        return z

    def __repr__(self) -> str:
        bare = self.but(factor=None, indices=None, indptr=None, inverse_pivots=None)
        return super(IncompleteCholesky, bare).__repr__()


class IncompleteLU(Preconditioner):
    """Incomplete LU factorization with thresholds and partial pivoting (SciPy's SuperLU).

    Approximates a general A; for GMRES, BiCGStab and GCRO-DR.

    Args:
        drop_tol: entries below this fraction of their column's norm are dropped, in [0, 1]; 0
            drops none and gives the complete factorization.
        fill_factor: entries of the factors at most, as a multiple of those of A, at least 1.
        factors: after `setup`, SciPy's factorization object, which cannot be saved to a file.

    Raises:
        ValueError: if the entries of A are not known, the factorization meets a zero pivot, or a
            parameter is out of its range.

    Cost per iteration:
        Two triangular sweeps over the factors.

    Convergence:
        No theory for general A; a smaller `drop_tol` with a larger `fill_factor` comes closer to
        the inverse and costs more.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.LinearSystem(np.array([[2.0, 1.0], [0.5, 3.0]]), np.ones(2))
        ready = rs.linear.IncompleteLU(drop_tol=0.0).setup(problem)
        assert np.allclose(problem.operator.mv(ready.apply(problem.b)), problem.b)
        ```

    Reference:
        X. S. Li, M. Shao (2011), A supernodal approach to incomplete LU factorization with partial
        pivoting.
    """

    drop_tol: float = 1e-4
    fill_factor: float = 10.0
    factors: Any = None
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    needs: ClassVar[tuple[str, ...]] = ("entries",)

    def setup(self, problem: Any) -> "IncompleteLU":
        if self.factors is not None:
            return self
        if not 0.0 <= self.drop_tol <= 1.0:
            refuse(
                ValueError, "drop_tol", given=f"{self.drop_tol}", needed="a number in [0, 1]",
                advice="The default is 1e-4; smaller keeps more entries.",
            )  # fmt: skip
        if not self.fill_factor >= 1.0:
            refuse(
                ValueError, "fill_factor", given=f"{self.fill_factor}", needed="a number >= 1",
                advice="The default is 10; larger keeps more entries.",
            )  # fmt: skip
        columns = sorted_rows(problem.operator).tocsc()
        try:
            factors = sparse_linalg.spilu(
                columns, drop_tol=self.drop_tol, fill_factor=self.fill_factor
            )
        except RuntimeError as error:
            refuse(
                ValueError, "preconditioner",
                given=f"IncompleteLU for a matrix whose factorization fails ({str(error).strip()})",
                needed="a factorization without zero pivots",
                advice="Lower drop_tol, raise fill_factor, or use another preconditioner.",
            )  # fmt: skip
        return self.but(factors=factors)

    def apply(self, r: Any) -> Any:
        if self.factors is None:
            return super().apply(r)
        return self.factors.solve(r)

    def __repr__(self) -> str:
        # An address in memory would tell two runs apart.
        return super(IncompleteLU, self.but(factors=None)).__repr__()
