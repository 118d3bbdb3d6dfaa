"""Algebraic multigrid as a preconditioner, on hierarchies that PyAMG builds."""

import contextlib
import importlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sparse

from resolvent._core.checks import finite, one_of, refuse
from resolvent._core.problem import Engine
from resolvent._core.value import static
from resolvent.linear.operators import sorted_rows
from resolvent.linear.preconditioners import Preconditioner

_KINDS = ("smoothed-aggregation", "ruge-stuben")
_COARSEST = 50  # unknowns below which PyAMG stops to coarsen
_INVERTIBLE = 1000  # unknowns up to which the coarsest matrix is inverted as a dense one


class Level(NamedTuple):
    """One grid of the hierarchy; on the coarsest there is nothing to go down to."""

    data: Any
    indices: Any
    indptr: Any
    matrix: Any
    inverse_diagonal: Any
    restriction: Any
    prolongation: Any


class AlgebraicMultigrid(Preconditioner):
    """One V-cycle of algebraic multigrid; needs PyAMG.

    Approximates A^-1 by a forward Gauss-Seidel sweep, a correction from a smaller system that PyAMG
    derives from A, and a backward sweep. For symmetric positive definite A the cycle is so too.

    Args:
        kind: `smoothed-aggregation` or `ruge-stuben` (classical).
        near_null: vectors that A nearly maps to zero, shape (n,) or (n, k), which coarse grids
            must reproduce: rigid-body modes for elasticity, constants if absent. Only for smoothed
            aggregation.
        levels: after `setup`, the grids from fine to coarse.
        coarsest: after `setup`, the inverse of the coarsest matrix, if that is small.

    Raises:
        ImportError: if PyAMG is not installed.
        ValueError: if the entries of A are not known, or `near_null` has the wrong shape.

    Cost per iteration:
        Two sweeps, one product and two transfers a level; the levels together have a small multiple
        (1.2 to 3) of the entries of A.

    Convergence:
        For discretized second-order elliptic equations the number of CG iterations hardly grows
        with the number of unknowns.

    Example:
        ```python
        import numpy as np, pyamg, resolvent as rs
        problem = rs.LinearSystem(pyamg.gallery.poisson((60, 60), format="csr"), np.ones(3600))
        method = rs.linear.CG(preconditioner=rs.linear.AlgebraicMultigrid())
        assert rs.solve(problem, method, rtol=1e-8).steps < 25
        ```

    Reference:
        P. Vanek, J. Mandel, M. Brezina (1996), Algebraic multigrid by smoothed aggregation for
        second and fourth order elliptic problems. J. W. Ruge, K. Stuben (1987), Algebraic
        multigrid.
    """

    kind: str = static(default="smoothed-aggregation")
    near_null: Any = None
    levels: Any = None
    coarsest: Any = None
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    symmetric: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("entries",)

    def setup(self, problem: Any) -> "AlgebraicMultigrid":
        if self.levels is not None:
            return self
        one_of("kind", self.kind, _KINDS)
        hierarchy = self._hierarchy(problem, sorted_rows(problem.operator))
        dtype = problem.b.dtype
        levels = tuple(_level(level, dtype) for level in hierarchy.levels)
        last, coarsest = levels[-1], None
        if last.matrix.shape[0] <= _INVERTIBLE:
            coarsest = np.linalg.pinv(last.matrix.toarray())
        return self.but(levels=levels, coarsest=coarsest)

    def _hierarchy(self, problem: Any, matrix: Any) -> Any:
        pyamg = _pyamg()
        near_null = self._candidates(problem.n, matrix.dtype)
        options: dict[str, Any] = {"max_coarse": _COARSEST}
        with _quiet():
            if self.kind == "ruge-stuben":
                return pyamg.ruge_stuben_solver(matrix, **options)
            if problem.lacks("symmetric") is not None:
                options["symmetry"] = "nonsymmetric"
            return pyamg.smoothed_aggregation_solver(matrix, B=near_null, **options)

    def _candidates(self, n: int, dtype: Any) -> Any:
        if self.near_null is None:
            return None
        if self.kind != "smoothed-aggregation":
            refuse(
                ValueError, "near_null", given=f"vectors beside kind='{self.kind}'",
                needed="kind='smoothed-aggregation', the only kind that uses them",
                advice="Drop one of the two.",
            )  # fmt: skip
        vectors = np.asarray(self.near_null, dtype)
        if vectors.ndim not in (1, 2) or vectors.shape[0] != n or vectors.size == 0:
            refuse(
                ValueError, "near_null", given=f"shape {vectors.shape}",
                needed=f"shape ({n},) or ({n}, k)", advice="Give the vectors as columns.",
            )  # fmt: skip
        finite("near_null", vectors)
        return vectors.reshape(n, -1)

    def apply(self, r: Any) -> Any:
        if self.levels is None:
            return super().apply(r)
        return self._cycle(0, r)

    def _cycle(self, depth: int, b: Any) -> Any:
        from resolvent.linear import kernels_relax as kernels

        level = self.levels[depth]
        last = depth == len(self.levels) - 1
        if last and self.coarsest is not None:
            return self.coarsest @ b
        rows = (level.data, level.indices, level.indptr, level.inverse_diagonal, 1.0)
        x = np.zeros_like(b)
        kernels.sor_sweep(*rows, b, x)
        if not last:
            rest = level.restriction @ (b - level.matrix @ x)
            x += level.prolongation @ self._cycle(depth + 1, rest)
        kernels.sor_sweep_backward(*rows, b, x)
        return x

    def __repr__(self) -> str:
        bare = self.but(levels=None, coarsest=None)
        return super(AlgebraicMultigrid, bare).__repr__()


def _pyamg() -> Any:
    try:
        return importlib.import_module("pyamg")
    except ImportError:
        pass
    refuse(
        ImportError, "AlgebraicMultigrid", given="an installation without PyAMG",
        needed="the package that builds its grids", advice="Run: pip install pyamg",
    )  # fmt: skip


_GLOBAL = threading.RLock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """PyAMG draws from NumPy's global stream and warns of its own conversions: neither shows.

    The stream is seeded here and put back; set-ups in several threads wait for each other. A
    thread of the user's that draws from the global stream meanwhile is not held up, and sees it.
    """
    with _GLOBAL:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


def _level(level: Any, dtype: Any) -> Level:
    matrix = _rows(level.A, dtype)
    diagonal = matrix.diagonal()
    # A row without a diagonal entry is left alone by the sweeps.
    inverse = np.zeros_like(diagonal)
    np.divide(1.0, diagonal, out=inverse, where=diagonal != 0)
    restriction = _rows(level.R, dtype) if hasattr(level, "R") else None
    prolongation = _rows(level.P, dtype) if hasattr(level, "P") else None
    return Level(
        matrix.data, matrix.indices, matrix.indptr, matrix, inverse, restriction, prolongation
    )


def _rows(matrix: Any, dtype: Any) -> Any:
    matrix = sparse.csr_array(matrix).astype(dtype, copy=False)
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
    return matrix
