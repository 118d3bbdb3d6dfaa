"""Relaxation: Jacobi, Gauss-Seidel and their over-relaxed and symmetric forms."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from resolvent._core.checks import between, is_traced, one_of, refuse
from resolvent._core.host import run_steps
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.value import static
from resolvent.linear.cg import kernel_status
from resolvent.linear.krylov import namespace
from resolvent.linear.operators import SparseMatrix, sorted_rows
from resolvent.linear.problem import LinearSystem


def check_omega(omega: Any) -> None:
    """Refuse a relaxation parameter outside (0, 2); traced values pass."""
    number = isinstance(omega, int | float | np.number | np.ndarray | jax.Array)
    if not number or isinstance(omega, bool) or np.ndim(omega) != 0:
        refuse(
            TypeError, "omega", given=f"{type(omega).__name__} {omega!r}",
            needed="one real number", advice="Pass a Python float in (0, 2).",
        )  # fmt: skip
    value: Any = omega
    between("omega", value, 0.0, 2.0, "Outside this interval relaxation diverges on every matrix.")


def rows_of(problem: LinearSystem) -> tuple[Any, Any, Any]:
    """Data, column indices and row pointers of A."""
    operator: Any = problem.operator
    matrix = sorted_rows(operator)
    return matrix.data, matrix.indices, matrix.indptr


class SweepState(NamedTuple):
    x: Any
    corrections: tuple[Any, ...]  # the next correction, then scratch
    scalars: Any
    status: int
    products: int
    sweeps: int


class Sweeps(Method):
    """What the sweeps over the rows of A share; a subclass has `omega` and `direction`.

    The kernels act on corrections, so that the norm of the true residual is known after every
    sweep for the price of the sweep alone.
    """

    rows: Any = dataclasses.field(default=None, kw_only=True)

    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("entries", "diagonal")
    engines: ClassVar[tuple[Engine, ...]] = ("host",)

    def _relaxation(self) -> float:
        return float(getattr(self, "omega", 1.0))

    def _direction(self) -> str:
        return "symmetric"

    def bind(self, problem: LinearSystem) -> Any:
        from resolvent.linear import kernels

        data, indices, indptr = rows_of(problem)
        positions = np.empty(problem.n, np.int64)
        kernels.diagonal_positions(indices, indptr, positions)
        return self.but(rows=(data, indices, indptr, positions))

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> SweepState:
        return self._begin(problem, x0.copy(), 0, 0)

    def _begin(self, problem: LinearSystem, x: Any, products: int, sweeps: int) -> SweepState:
        from resolvent.linear import kernels_relax as kernels

        direction = self._direction()
        start: Any = kernels.sor_backward_start if direction == "backward" else kernels.sor_start
        vectors = 3 if direction == "symmetric" else 1
        corrections = tuple(np.zeros_like(x) for _ in range(vectors))
        scalars = np.zeros(2)
        r = problem.residual(x)
        start(*self.rows, self._relaxation(), r, corrections[0], scalars)
        return SweepState(x, corrections, scalars, 0, products + 1, sweeps)

    def step(self, problem: LinearSystem, state: SweepState) -> SweepState:
        own = state._replace(
            x=state.x.copy(),
            corrections=tuple(vector.copy() for vector in state.corrections),
            scalars=state.scalars.copy(),
        )
        return self.advance(problem, own, 1, -1.0)[0]

    def advance(
        self, problem: LinearSystem, state: SweepState, steps: int, target: float
    ) -> tuple[SweepState, Any]:
        from resolvent.linear import kernels_relax as kernels

        sweeps: dict[str, Any] = {
            "forward": kernels.sor,
            "backward": kernels.sor_backward,
            "symmetric": kernels.ssor,
        }
        trace = np.empty(steps)
        done, code = sweeps[self._direction()](
            *self.rows, self._relaxation(), state.x, *state.corrections, state.scalars,
            steps, target, trace,
        )  # fmt: skip
        state = state._replace(status=kernel_status(code), sweeps=state.sweeps + done)
        return state, trace[:done]

    def measure(self, problem: LinearSystem, state: SweepState) -> Any:
        return state.scalars[0]

    def status(self, state: SweepState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: SweepState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: SweepState) -> SweepState:
        return self._begin(problem, state.x, state.products, state.sweeps)

    def calls(self, problem: LinearSystem, state: SweepState) -> dict[str, Any]:
        return {"matvec": state.products, "sweep": state.sweeps}


class SOR(Sweeps):
    """Successive over-relaxation.

    Solves A x = b by `x <- x + (D/omega + L)^-1 (b - A x)`, D the diagonal and L the strictly
    lower triangle of A (the upper one in backward sweeps).

    Args:
        omega: relaxation parameter in (0, 2); 1 is Gauss-Seidel.
        sweep: order of the rows, `forward` or `backward`.
        rows: A by rows; filled in by `bind`.

    Raises:
        ValueError: if omega is outside (0, 2), the entries of A are not known, or its diagonal
            has a zero.

    Cost per iteration:
        One pass over the entries of A, which also gives the residual's norm. Numba on compressed
        rows; a dense matrix is converted once.

    Convergence:
        For every symmetric positive definite A. For consistently ordered A whose Jacobi iteration
        has spectral radius beta < 1, `omega = 1 + (beta / (1 + sqrt(1 - beta^2)))^2` is best and
        gives the rate `omega - 1`. For strictly diagonally dominant A where omega <= 1. Elsewhere
        it may end with reason `diverged`.

    Example:
        ```python
        import numpy as np, scipy.sparse as sp, resolvent as rs
        A = sp.diags_array([[-1.0] * 19, [2.0] * 20, [-1.0] * 19], offsets=[-1, 0, 1])
        sol = rs.solve(rs.LinearSystem(A, np.ones(20)), rs.linear.SOR(omega=1.75))
        assert sol.converged and sol.steps < 100
        ```

    Reference:
        D. M. Young (1954), Iterative methods for solving partial difference equations of elliptic
        type.
    """

    omega: Any = 1.0
    sweep: str = static(default="forward")

    name: ClassVar[str] = "sor"
    in_order: ClassVar[bool] = True

    def _direction(self) -> str:
        return self.sweep

    def __post_init__(self) -> None:
        check_omega(self.omega)
        one_of("sweep", self.sweep, ("forward", "backward"))

    def __str__(self) -> str:
        return _labelled(self.name, self.omega)


class GaussSeidel(Sweeps):
    """Gauss-Seidel iteration: SOR with omega = 1, where nothing has to be chosen.

    Solves A x = b by solving the equations for their diagonal unknowns, one after the other, each
    with the newest values of all others.

    Args:
        sweep: order of the rows, `forward` or `backward`.
        rows: A by rows; filled in by `bind`.

    Raises:
        ValueError: if the entries of A are not known, or its diagonal has a zero.

    Cost per iteration:
        One pass over the entries of A, which also gives the residual's norm.

    Convergence:
        For symmetric positive definite and for strictly or irreducibly diagonally dominant A. For
        consistently ordered A at the square of the rate of Jacobi's iteration.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0], [1.0, 3.0]])
        assert rs.solve(rs.LinearSystem(A, np.ones(2)), rs.linear.GaussSeidel()).converged
        ```

    Reference:
        R. S. Varga (1962), Matrix iterative analysis.
    """

    sweep: str = static(default="forward")

    name: ClassVar[str] = "gauss-seidel"
    in_order: ClassVar[bool] = True

    def _direction(self) -> str:
        return self.sweep

    def __post_init__(self) -> None:
        one_of("sweep", self.sweep, ("forward", "backward"))


class SSOR(Sweeps):
    """Symmetric successive over-relaxation: a forward and a backward sweep a step.

    Solves A x = b by `x <- x + M^-1 (b - A x)` with
    `M = omega / (2 - omega) (D/omega + L) D^-1 (D/omega + U)`.

    Args:
        omega: relaxation parameter in (0, 2).
        rows: A by rows; filled in by `bind`.

    Raises:
        ValueError: if omega is outside (0, 2), the entries of A are not known, or its diagonal
            has a zero.

    Cost per iteration:
        Two half passes over the entries of A (together one), which also give the residual's norm,
        and a few vector updates.

    Convergence:
        For every symmetric positive definite A, with real positive eigenvalues of M^-1 A, which
        makes it the better preconditioner and the worse solver: its rate depends little on omega
        and is below that of SOR at its best.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0], [1.0, 3.0]])
        assert rs.solve(rs.LinearSystem(A, np.ones(2)), rs.linear.SSOR(omega=1.1)).converged
        ```

    Reference:
        J. W. Sheldon (1955), On the numerical solution of elliptic difference equations.
    """

    omega: Any = 1.0

    name: ClassVar[str] = "ssor"
    in_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_omega(self.omega)

    def __str__(self) -> str:
        return _labelled(self.name, self.omega)


class SymmetricGaussSeidel(Sweeps):
    """Symmetric Gauss-Seidel iteration: SSOR with omega = 1.

    Solves A x = b by `x <- x + M^-1 (b - A x)` with `M = (D + L) D^-1 (D + U)`.

    Args:
        rows: A by rows; filled in by `bind`.

    Raises:
        ValueError: if the entries of A are not known, or its diagonal has a zero.

    Cost per iteration:
        Two half passes over the entries of A (together one), which also give the residual's norm,
        and a few vector updates.

    Convergence:
        For symmetric positive definite and for strictly or irreducibly diagonally dominant A.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0], [1.0, 3.0]])
        sol = rs.solve(rs.LinearSystem(A, np.ones(2)), rs.linear.SymmetricGaussSeidel())
        assert sol.converged
        ```

    Reference:
        J. W. Sheldon (1955), On the numerical solution of elliptic difference equations.
    """

    name: ClassVar[str] = "symmetric-gauss-seidel"
    in_order: ClassVar[bool] = True


class JacobiState(NamedTuple):
    x: Any
    r: Any
    inverse: Any
    norm: Any
    products: Any
    status: Any


class Jacobi(Method):
    """Weighted Jacobi iteration.

    Solves A x = b by `x <- x + omega D^-1 (b - A x)`, D the diagonal of A.

    Args:
        omega: weight in (0, 2); 2/3 is common where it smooths.

    Raises:
        ValueError: if omega is outside (0, 2), or the diagonal of A is not known or has a zero.

    Cost per iteration:
        One product with A, two vector updates and a norm, fused into one pass over A on the host.

    Convergence:
        When the spectral radius of `I - omega D^-1 A` is below 1: for strictly diagonally dominant
        A where omega <= 1, and for symmetric positive definite A exactly where
        `omega < 2 / lambda_max(D^-1 A)`. Elsewhere it ends with reason `diverged`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0], [1.0, 3.0]])
        assert rs.solve(rs.LinearSystem(A, np.ones(2)), rs.linear.Jacobi()).converged
        ```

    Reference:
        R. S. Varga (1962), Matrix iterative analysis.
    """

    omega: Any = 1.0

    name: ClassVar[str] = "jacobi"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("diagonal",)

    def __post_init__(self) -> None:
        check_omega(self.omega)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> JacobiState:
        x = x0.copy() if isinstance(x0, np.ndarray) else x0
        return self._begin(problem, x, 1.0 / problem.operator.diagonal(), 1)  # pyright: ignore[reportAttributeAccessIssue]

    def _begin(self, problem: LinearSystem, x: Any, inverse: Any, products: Any) -> JacobiState:
        xp = namespace(x)
        r = problem.residual(x)
        return JacobiState(x, r, inverse, xp.sqrt(xp.vdot(r, r)), products, 0)

    def step(self, problem: LinearSystem, state: JacobiState) -> JacobiState:
        xp = namespace(state.x)
        d = (self.omega * state.inverse * state.r).astype(state.x.dtype)
        r = state.r - problem.operator.mv(d)
        return state._replace(
            x=state.x + d, r=r, norm=xp.sqrt(xp.vdot(r, r)), products=state.products + 1
        )

    def advance(
        self, problem: LinearSystem, state: JacobiState, steps: int, target: float
    ) -> tuple[JacobiState, Any]:
        if not isinstance(problem.operator, SparseMatrix):
            return run_steps(self, problem, state, steps, target)
        from resolvent.linear import kernels_relax as kernels

        trace = np.empty(steps)
        scalars = np.array([float(state.norm), 0.0])
        scratch = np.empty((2, problem.n), state.x.dtype)
        done, code = kernels.jacobi(
            *rows_of(problem), state.inverse, float(self.omega), state.x, state.r, scratch,
            scalars, steps, target, trace,
        )  # fmt: skip
        state = state._replace(
            norm=scalars[0], products=state.products + done, status=kernel_status(code)
        )
        return state, trace[:done]

    def measure(self, problem: LinearSystem, state: JacobiState) -> Any:
        return state.norm

    def status(self, state: JacobiState) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: JacobiState) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: JacobiState) -> JacobiState:
        return self._begin(problem, state.x, state.inverse, state.products + 1)

    def calls(self, problem: LinearSystem, state: JacobiState) -> dict[str, Any]:
        return {"matvec": state.products}

    def __str__(self) -> str:
        return _labelled(self.name, self.omega)


def _labelled(name: str, omega: Any) -> str:
    return name if is_traced(omega) else f"{name} (omega {float(omega)})"
