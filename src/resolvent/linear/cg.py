"""The conjugate gradient method, plain and preconditioned."""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sparse

from resolvent._core.host import run_steps
from resolvent._core.memory import Memory
from resolvent._core.solution import Reason
from resolvent.linear.krylov import PreconditionedMethod, copied, dot, namespace
from resolvent.linear.operators import DenseMatrix, SparseMatrix, kernels
from resolvent.linear.preconditioners import (
    JacobiPreconditioner,
    Preconditioner,
    SSORPreconditioner,
)
from resolvent.linear.problem import LinearSystem


class CGState(NamedTuple):
    x: Any
    r: Any
    p: Any
    rho: Any
    norm: Any
    steps: Any
    status: Any


class KernelState(NamedTuple):
    """State of the host kernels."""

    x: Any
    work: tuple[Any, ...]
    scalars: Any
    status: int
    products: int
    applied: int


class Stored:
    """A as the kernels read it: made once, however often and for how many b a solve begins."""

    def __init__(self, matrix: Any):
        self.matrix = matrix
        self._half: Any = None
        self._scaled: dict[float, Any] = {}

    def half(self) -> tuple[Any, ...]:
        """Each pair of entries once, for `cg_symmetric`."""
        if self._half is None:
            self._half = half_storage(self.matrix)
        return self._half

    def scaled(self, omega: float) -> tuple[Any, ...]:
        """Triangles in the order of the two sweeps, and the diagonal, for `ssor_cg`."""
        if omega not in self._scaled:
            self._scaled[omega] = ssor_storage(self.matrix, omega)
        return self._scaled[omega]


class CG(PreconditionedMethod):
    """Conjugate gradients for symmetric positive definite systems.

    Solves A x = b by minimizing the energy norm of the error over growing Krylov spaces.

    Args:
        preconditioner: a symmetric positive definite approximation of A^-1, or None.
        stored: A as the host kernels read it; filled in by `bind`.

    Raises:
        ValueError: if A is not symmetric, has a diagonal entry that is not positive, or the
            preconditioner is not symmetric.

    Cost per iteration:
        One product with A, one application of the preconditioner, two inner products and three
        vector updates. Sparse matrices run in a Numba kernel on half of their entries; matrices
        with few, well-filled diagonals run as one fused XLA loop.

    Convergence:
        `||e_k||_A <= 2 ((sqrt(kappa) - 1) / (sqrt(kappa) + 1))^k ||e_0||_A` with kappa the
        condition number of the preconditioned matrix. Where p^T A p <= 0, A is not positive
        definite and the solve ends with reason `breakdown`.

    Example:
        ```python
        import numpy as np, scipy.sparse as sp, resolvent as rs
        A = sp.diags_array([[-1.0] * 99, [2.0] * 100, [-1.0] * 99], offsets=[-1, 0, 1])
        sol = rs.solve(rs.LinearSystem(A, np.ones(100)), rs.linear.CG(), rtol=1e-10)
        assert sol.converged and sol.steps <= 100
        ```

    Reference:
        M. R. Hestenes, E. Stiefel (1952), Methods of conjugate gradients for solving linear
        systems.
    """

    preconditioner: Preconditioner | None = None
    stored: Any = dataclasses.field(default=None, kw_only=True)

    name: ClassVar[str] = "cg"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric", "positive_definite")

    def bind(self, problem: LinearSystem) -> Any:
        bound = self if _merges(self.preconditioner, problem) else super().bind(problem)
        if not _has_kernel(problem.operator, problem.b):
            return bound
        operator: Any = problem.operator
        return bound.but(stored=Stored(operator.matrix))

    def _stored(self, problem: LinearSystem) -> Stored:
        operator: Any = problem.operator
        return Stored(operator.matrix) if self.stored is None else self.stored

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> Any:
        M = self.preconditioner
        if _has_kernel(problem.operator, x0) and (
            M is None or isinstance(M, JacobiPreconditioner) or _merges(M, problem)
        ):
            return self._kernel_start(problem, x0.copy(), 0, 0)
        r = problem.residual(x0)
        return self._begin(x0, r, 1, namespace(r))

    def _begin(self, x: Any, r: Any, products: Any, xp: Any) -> CGState:
        z = self._apply(r)
        norm = xp.sqrt(dot(r, r))
        return CGState(x, r, z, dot(r, z), norm, products, 0)

    def step(self, problem: LinearSystem, state: Any) -> Any:
        if isinstance(state, KernelState):
            return self.advance(problem, copied(state), 1, -1.0)[0]
        xp = namespace(state.x)
        product = problem.operator.mv(state.p)
        curvature = dot(state.p, product)
        # NaN must not pass as fine: it shows up in the norm and ends the loop as divergence.
        bad = (curvature <= 0) | (state.rho < 0)
        alpha = xp.where(bad, 0.0, state.rho / xp.where(bad, 1.0, curvature)).astype(product.dtype)
        x = state.x + alpha * state.p
        r = state.r - alpha * product
        z = self._apply(r)
        rho = dot(r, z)
        beta = rho / xp.where(state.rho == 0, 1.0, state.rho).astype(product.dtype)
        p = z + beta * state.p
        status = xp.where(bad, Reason.breakdown.code, 0)
        return CGState(x, r, p, rho, xp.sqrt(dot(r, r)), state.steps + 1, status)

    def advance(self, problem: LinearSystem, state: Any, steps: int, target: float) -> Any:
        if isinstance(state, CGState):
            return run_steps(self, problem, state, steps, target)
        kernels = krylov_kernels()
        trace = np.empty(steps)
        vectors = (state.x, *state.work, state.scalars, steps, target, trace)
        stored = self._stored(problem)
        M = self.preconditioner
        if M is None:
            done, code = kernels.cg_symmetric(*stored.half(), *vectors)
        elif isinstance(M, SSORPreconditioner):
            done, code = kernels.ssor_cg(*stored.scaled(float(M.omega)), float(M.omega), *vectors)
        else:
            assert isinstance(M, JacobiPreconditioner)
            done, code = kernels.cg_symmetric_jacobi(*stored.half(), M.inverse, *vectors)
        status = kernel_status(code)
        # A direction that failed was tried: its product counts.
        products = state.products + done + (status == Reason.breakdown.code)
        applied = state.applied + done
        return state._replace(status=status, products=products, applied=applied), trace[:done]

    def _kernel_start(
        self, problem: LinearSystem, x: Any, products: int, applied: int
    ) -> KernelState:
        kernels = krylov_kernels()
        cold = products == 0 and not x.any()
        r = problem.b.copy() if cold else problem.residual(x)
        scalars = np.zeros(4)
        M = self.preconditioner
        if M is not None and isinstance(M, SSORPreconditioner):
            omega = float(M.omega)
            link, lower, columns, _, _, diagonal = self._stored(problem).scaled(omega)
            work: list[Any] = list(np.empty((5, len(r)), r.dtype))
            kernels.ssor_cg_start(link, lower, columns, diagonal, omega, x, r, *work, scalars)
        else:
            work = [r, np.empty_like(r), np.empty_like(r)]
            if M is None:
                kernels.cg_start(r, work[1], scalars)
            else:
                assert isinstance(M, JacobiPreconditioner)
                kernels.cg_jacobi_start(M.inverse, r, work[1], scalars)
        return KernelState(x, tuple(work), scalars, 0, products + (not cold), applied + 1)

    def measure(self, problem: LinearSystem, state: Any) -> Any:
        return state.scalars[1] if isinstance(state, KernelState) else state.norm

    def status(self, state: Any) -> Any:
        return state.status

    def iterate(self, problem: LinearSystem, state: Any) -> tuple[Any, Any]:
        return state.x, None

    def refresh(self, problem: LinearSystem, state: Any) -> Any:
        if isinstance(state, KernelState):
            return self._kernel_start(problem, state.x, state.products, state.applied)
        r = problem.residual(state.x)
        # Products and steps differ by the ones that residuals cost.
        return self._begin(state.x, r, state.steps + 1, namespace(r))

    def calls(self, problem: LinearSystem, state: Any) -> dict[str, Any]:
        if isinstance(state, KernelState):
            products, applied = state.products, state.applied
        else:
            products = applied = state.steps
        return self.count(products, applied)


_SMALL = 512  # unknowns up to which a dense matrix runs in the kernel for sparse rows


@functools.lru_cache(maxsize=1)
def krylov_kernels() -> Any:
    """The compiled conjugate gradient kernels, loaded at first use."""
    from resolvent.linear import kernels_krylov

    return kernels_krylov


def _has_kernel(operator: Any, x: Any) -> bool:
    if isinstance(operator, DenseMatrix):
        return isinstance(x, np.ndarray) and operator.n <= _SMALL
    return isinstance(operator, SparseMatrix)


def _merges(M: Any, problem: LinearSystem) -> bool:
    # The merged iteration is for sweeps with A itself; a preconditioner that comes set up may
    # hold another matrix.
    return (
        isinstance(M, SSORPreconditioner)
        and M.rows is None
        and _has_kernel(problem.operator, problem.b)
    )


def half_storage(matrix: Any) -> tuple[Any, Any, Any, Any]:
    """Strictly lower triangle (data, indices, indptr) and diagonal of a symmetric CSR matrix."""
    if isinstance(matrix, np.ndarray):
        return kernels().split_dense(matrix)
    return kernels().split(matrix.data, matrix.indices, matrix.indptr)


def ssor_storage(matrix: Any, omega: float) -> tuple[Any, ...]:
    """A symmetric matrix as `ssor_cg` reads it: link, lower and upper stream, diagonal."""
    kernels = krylov_kernels()
    A = sparse.csr_array(matrix) if isinstance(matrix, np.ndarray) else matrix
    rows = (A.data, A.indices, A.indptr)
    n, entry, index = A.shape[0], A.dtype, A.indices.dtype
    diagonal = np.empty(n, entry)
    below, above = kernels.ssor_count(*rows, diagonal)
    link = np.empty(n + 1, entry)
    lower, lower_columns = np.empty(below, entry), np.empty(below, index)
    upper, upper_columns = np.empty(above, entry), np.empty(above, index)
    streams = (lower, lower_columns, upper, upper_columns)
    kernels.ssor_split(*rows, diagonal, omega, link, *streams)
    return (link, *streams, diagonal)


def kernel_status(code: int) -> int:
    """A kernel's return code as the code of a `Reason`."""
    if code == kernels().RUNNING:
        return 0
    return Reason.diverged.code if code == kernels().NON_FINITE else Reason.breakdown.code
