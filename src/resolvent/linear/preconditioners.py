"""Preconditioners as plain values: parameters before `setup`, something to apply after it."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, cast

import numpy as np

from resolvent._core.checks import between, refuse
from resolvent._core.problem import Engine
from resolvent._core.value import Value, static
from resolvent.linear.operators import sorted_rows


class Preconditioner(Value):
    """An approximate inverse of A, set up once a solve and applied once a step.

    A subclass gives `setup`, which returns a value with `apply`; a value that is set up already
    returns itself, so that one set-up can serve many solves.
    """

    engines: ClassVar[tuple[Engine, ...]] = ("traced", "host")
    symmetric: ClassVar[bool] = False
    """Whether it keeps a symmetric positive definite matrix so: what CG and MINRES need."""
    needs: ClassVar[tuple[str, ...]] = ()

    @property
    def products(self) -> int:
        """Products with A that one application costs."""
        return 0

    @property
    def spent(self) -> int:
        """Products with A that `setup` spent; 0 where `setup` found the work done."""
        return 0

    @abc.abstractmethod
    def setup(self, problem: Any) -> "Preconditioner":
        """This preconditioner for the matrix of `problem`, in the problem's engine."""

    def apply(self, r: Any) -> Any:
        """An approximation of A^-1 r."""
        refuse(
            RuntimeError, type(self).__name__, given="no matrix yet", needed="setup(problem) first",
            advice="Pass it to a method, or call .setup(problem).apply(r).",
        )  # fmt: skip


class JacobiPreconditioner(Preconditioner):
    """Divide by the diagonal of A.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.LinearSystem(np.diag([1.0, 10.0]), np.ones(2))
        method = rs.linear.CG(preconditioner=rs.linear.JacobiPreconditioner())
        assert rs.solve(problem, method).steps == 1
        ```
    """

    inverse: Any = None
    symmetric: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("diagonal",)

    def setup(self, problem: Any) -> "JacobiPreconditioner":
        if self.inverse is not None:
            return self
        return JacobiPreconditioner(1.0 / problem.operator.diagonal())

    def apply(self, r: Any) -> Any:
        return self.inverse * r


class FunctionPreconditioner(Preconditioner):
    """Any function `r -> z` or `(r, args) -> z` that approximates A^-1 r.

    Args:
        fn: the function, of arrays of the problem's kind (JAX arrays where it is traced).
        args: arrays for it; changing them recompiles nothing.
        symmetric_definite: whether it acts as a symmetric positive definite matrix.
    """

    fn: Callable[..., Any] = static()
    args: Any = None
    symmetric_definite: bool = static(default=True)

    @property
    def symmetric(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.symmetric_definite

    def setup(self, problem: Any) -> "FunctionPreconditioner":
        return self

    def apply(self, r: Any) -> Any:
        return self.fn(r) if self.args is None else self.fn(r, self.args)


class SSORPreconditioner(Preconditioner):
    """One symmetric overrelaxation sweep: M = w/(2-w) (D/w + L) D^-1 (D/w + L)^T.

    In CG on sparse rows it costs hardly more than no preconditioner: Eisenstat's form of the
    iteration merges the product with A into the two triangular sweeps.

    Args:
        omega: relaxation parameter, 0 < omega < 2; 1 gives symmetric Gauss-Seidel.

    Raises:
        ValueError: for omega outside (0, 2), a zero on the diagonal, or unknown entries.

    Example:
        ```python
        import numpy as np, scipy.sparse as sp, resolvent as rs
        A = sp.diags_array([[-1.0] * 99, [2.0] * 100, [-1.0] * 99], offsets=[-1, 0, 1])
        method = rs.linear.CG(preconditioner=rs.linear.SSORPreconditioner(1.7))
        assert rs.solve(rs.LinearSystem(A, np.ones(100)), method).converged
        ```

    Reference:
        S. C. Eisenstat (1981), Efficient implementation of a class of preconditioned conjugate
        gradient methods.
    """

    omega: float = 1.0
    rows: Any = None

    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    symmetric: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("entries", "diagonal")

    def __post_init__(self) -> None:
        between("omega", self.omega, 0.0, 2.0, "Outside it the sweep does not converge.")

    def setup(self, problem: Any) -> "SSORPreconditioner":
        if self.rows is not None:
            return self
        from resolvent.linear.kernels import diagonal_positions

        matrix = sorted_rows(problem.operator)
        positions = np.empty(matrix.shape[0], matrix.indptr.dtype)
        diagonal_positions(matrix.indices, matrix.indptr, positions)
        return self.but(rows=(matrix.data, matrix.indices, matrix.indptr, positions))

    def apply(self, r: Any) -> Any:
        if self.rows is None:
            return super().apply(r)
        from resolvent.linear.kernels_relax import ssor_apply

        z, sweep = np.empty_like(r), cast(Any, ssor_apply)
        sweep(*self.rows, float(self.omega), np.ascontiguousarray(r), z)
        return z
