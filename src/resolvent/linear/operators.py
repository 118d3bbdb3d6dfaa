"""The matrix of a linear system in the forms that the two engines run on.

Every form has `mv`, `n`, `dtype`, `engine` and `form`; those that know their entries also have
`diagonal`. Data are tree leaves, so that they are arguments of compiled programs.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse

from resolvent._core.checks import finite, real_array, real_dtype, refuse

FEW_DIAGONALS = 32
MANY_DIAGONALS = 256  # beyond, a program of that many slices takes minutes to compile
SMALL_DENSE = 2048
WELL_FILLED = 0.7
WORTH_DIAGONALS = 20_000  # unknowns: below, a host kernel is done before a program is launched


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SparseMatrix:
    """A SciPy CSR matrix with sorted rows: the host's form."""

    matrix: Any
    engine = "host"

    @property
    def n(self) -> int:
        return self.matrix.shape[0]

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def form(self) -> str:
        return "sparse rows"

    def mv(self, x: Any) -> Any:
        return self.matrix @ x

    def diagonal(self) -> Any:
        return self.matrix.diagonal()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DenseMatrix:
    """A dense matrix; a NumPy array runs on the host, a JAX array is traced."""

    matrix: Any

    @property
    def engine(self) -> str:
        return "host" if isinstance(self.matrix, np.ndarray) else "traced"

    @property
    def n(self) -> int:
        return self.matrix.shape[0]

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def form(self) -> str:
        return "dense"

    def mv(self, x: Any) -> Any:
        return self.matrix @ x

    def diagonal(self) -> Any:
        return self.matrix.diagonal()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Diagonals:
    """A square matrix stored as its diagonals: row `k` of `values` holds A[i, i + offsets[k]].

    A product is a few shifted multiplications that XLA fuses into one pass over the vectors.
    """

    values: Any
    offsets: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    engine = "traced"

    @property
    def n(self) -> int:
        return self.values.shape[1]

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def form(self) -> str:
        return f"{len(self.offsets)} diagonals"

    def mv(self, x: Any) -> Any:
        low, high = max(0, -min(self.offsets)), max(0, max(self.offsets))
        padded = jnp.pad(x, (low, high))
        total = None
        for row, offset in enumerate(self.offsets):
            term = self.values[row] * jax.lax.slice(
                padded, (low + offset,), (low + offset + self.n,)
            )
            total = term if total is None else total + term
        return total

    def diagonal(self) -> Any:
        if 0 in self.offsets:
            return self.values[self.offsets.index(0)]
        return jnp.zeros(self.n, self.dtype)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SymmetricDiagonals:
    """A symmetric matrix stored as the diagonals on and above the main one.

    `offsets` are those diagonals, ascending, and `values[k, offsets[-1] + i]` is
    A[i, i + offsets[k]]; what stands before are zeros. The diagonals below are the same numbers,
    shifted: a product reads three arrays of a five-point matrix instead of five.
    """

    values: Any
    offsets: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    engine = "traced"

    @property
    def n(self) -> int:
        return self.values.shape[1] - self.offsets[-1]

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def form(self) -> str:
        return f"{2 * len(self.offsets) - (0 in self.offsets)} diagonals"

    def mv(self, x: Any) -> Any:
        n, high = self.n, self.offsets[-1]
        padded = jnp.pad(x, (high, high))

        def part(row: int, shift: int, offset: int) -> Any:
            entries = jax.lax.slice(self.values[row], (high - shift,), (high - shift + n,))
            return entries * jax.lax.slice(padded, (high + offset,), (high + offset + n,))

        total = None
        for row, offset in enumerate(self.offsets):
            term = part(row, 0, offset)
            if offset:
                term = term + part(row, offset, -offset)
            total = term if total is None else total + term
        return total

    def diagonal(self) -> Any:
        if 0 in self.offsets:
            return self.values[self.offsets.index(0), self.offsets[-1] :]
        return jnp.zeros(self.n, self.dtype)

    def whole(self) -> Diagonals:
        """The same matrix with every diagonal stored."""
        n, high = self.n, self.offsets[-1]
        above = [(k, self.values[row, high:]) for row, k in enumerate(self.offsets)]
        below = [
            (-k, self.values[row, high - k : high - k + n])
            for row, k in enumerate(self.offsets)
            if k
        ]
        offsets, rows = zip(*sorted(above + below, key=lambda pair: pair[0]), strict=True)
        return Diagonals(jnp.stack(rows), tuple(offsets))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MatrixFree:
    """A function x -> A x, or (x, args) -> A x, traced or on the host."""

    args: Any
    fn: Callable[..., Any] = dataclasses.field(metadata={"static": True})
    n: int = dataclasses.field(metadata={"static": True})
    dtype: Any = dataclasses.field(metadata={"static": True})
    engine: str = dataclasses.field(metadata={"static": True})
    takes_args: bool = dataclasses.field(metadata={"static": True})

    @property
    def form(self) -> str:
        return "function"

    def mv(self, x: Any) -> Any:
        product = self.fn(x, self.args) if self.takes_args else self.fn(x)
        if self.engine == "host":
            product = np.asarray(product)
        shape = getattr(product, "shape", None)
        if shape != x.shape or product.dtype.kind not in "fiub":
            what = f"{product.dtype}{list(shape)}" if shape is not None else type(product).__name__
            refuse(
                ValueError, "A", given=f"a function that maps {x.dtype}{list(x.shape)} to {what}",
                needed="a function that returns real numbers of the same shape",
                advice="Look at what it returns.",
            )  # fmt: skip
        return product.astype(self.dtype)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LineaxOperator:
    """A lineax operator."""

    operator: Any
    engine = "traced"

    @property
    def n(self) -> int:
        return self.operator.out_size()

    @property
    def dtype(self) -> Any:
        return self.operator.out_structure().dtype

    @property
    def form(self) -> str:
        return type(self.operator).__name__

    def mv(self, x: Any) -> Any:
        return self.operator.mv(x)

    def diagonal(self) -> Any:
        import lineax as lx

        return lx.diagonal(self.operator)


Operator = SparseMatrix | DenseMatrix | Diagonals | SymmetricDiagonals | MatrixFree | LineaxOperator
FORMS = (SparseMatrix, DenseMatrix, Diagonals, SymmetricDiagonals, MatrixFree, LineaxOperator)


def as_operator(A: Any, b: Any, args: Any) -> Operator:
    """The form of whatever the user calls a matrix; entries are checked here, once."""
    if isinstance(A, FORMS):
        return A
    if sparse.issparse(A):
        return SparseMatrix(_canonical(A))
    if isinstance(A, jax.Array | np.ndarray | list | tuple):
        matrix = real_array("A", A)
        if matrix.ndim != 2:
            refuse(
                ValueError, "A", given=f"an array of shape {matrix.shape}", needed="a matrix",
                advice="Pass a square two-dimensional array.",
            )  # fmt: skip
        _square(matrix.shape)
        finite("A", matrix)
        return DenseMatrix(matrix)
    if hasattr(A, "mv") and hasattr(A, "in_structure"):
        _square((A.out_size(), A.in_size()))
        real_dtype("A", A.out_structure().dtype)
        return LineaxOperator(A)
    if hasattr(A, "matvec") and hasattr(A, "shape"):
        _square(A.shape)
        dtype = b.dtype if A.dtype is None else A.dtype
        real_dtype("A", dtype)
        dtype = np.result_type(dtype, b.dtype)
        return MatrixFree(None, A.matvec, A.shape[0], dtype, "host", False)
    if callable(A):
        takes_args = _takes_args(A)
        if args is not None and not takes_args:
            refuse(
                TypeError, "args", given="args beside a function of x alone",
                needed="a function (x, args) -> A x", advice="Drop args, or use them.",
            )  # fmt: skip
        return MatrixFree(args, A, b.shape[0], np.dtype(b.dtype), "traced", takes_args)
    refuse(
        TypeError, "A", given=f"a {type(A).__name__}",
        needed="a SciPy sparse matrix, an array, a lineax operator, a LinearOperator or a function",
        advice="Convert it to one of these.",
    )  # fmt: skip


def _takes_args(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        p for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]  # fmt: skip
    most = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 2 or not (most or star):
        refuse(
            TypeError, "A", given=f"a function of {len(required)} arguments",
            needed="a function x -> A x or (x, args) -> A x", advice="Close over the others.",
        )  # fmt: skip
    return len(required) == 2


def _square(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[0] != shape[1]:
        refuse(
            ValueError, "A", given=f"shape {shape}", needed="a square matrix",
            advice="For least squares solve the normal equations A^T A x = A^T b.",
        )  # fmt: skip
    if shape[0] == 0:
        refuse(
            ValueError, "A", given="an empty matrix", needed="at least one unknown",
            advice="Skip empty systems.",
        )  # fmt: skip


def _canonical(A: Any) -> Any:
    _square(A.shape)
    real_dtype("A", A.dtype)
    matrix = A if A.format == "csr" else A.tocsr()
    if matrix.dtype.kind in "iub":
        matrix = matrix.astype(np.float64)
    if not matrix.has_canonical_format:
        # The user's matrix stays as it was.
        matrix = matrix.copy() if matrix is A else matrix
        matrix.sum_duplicates()
    finite("A", matrix.data)
    return matrix


def sorted_rows(operator: SparseMatrix | DenseMatrix) -> Any:
    """A host matrix as CSR with sorted rows; a dense one is converted at each call."""
    if isinstance(operator, SparseMatrix):
        return operator.matrix
    return sparse.csr_array(operator.matrix)


@functools.lru_cache(maxsize=1)
def kernels() -> Any:
    """The compiled kernels of sparse rows, loaded at first use."""
    from resolvent.linear import kernels

    return kernels


def _offsets(matrix: Any) -> np.ndarray | None:
    """The offsets of a CSR matrix that has few, well-filled diagonals, else None."""
    offsets = np.zeros(FEW_DIAGONALS, np.int64)
    counts = np.zeros(FEW_DIAGONALS, np.int64)
    found = kernels().count_diagonals(matrix.indices, matrix.indptr, FEW_DIAGONALS, offsets, counts)
    if not 0 < found <= FEW_DIAGONALS or matrix.nnz < WELL_FILLED * found * matrix.shape[0]:
        return None
    return offsets[:found]


def has_few_diagonals(matrix: Any) -> bool:
    """Whether diagonal storage pays for this CSR matrix."""
    return matrix.shape[0] >= WORTH_DIAGONALS and _offsets(matrix) is not None


def few_diagonals(matrix: Any) -> Diagonals | SymmetricDiagonals | None:
    """The diagonal form of a CSR matrix that has few, well-filled diagonals, else None."""
    offsets = _offsets(matrix)
    return None if offsets is None else to_diagonals(matrix, offsets)


def traced_form(matrix: Any, diagonals: bool) -> Diagonals | SymmetricDiagonals | DenseMatrix:
    """A CSR matrix for the traced engine: its diagonals if they are few, dense if it is small."""
    found = few_diagonals(matrix)
    if found is not None:
        return found
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    offsets = np.unique(matrix.indices - rows)
    if diagonals and len(offsets) <= MANY_DIAGONALS:
        return to_diagonals(matrix, offsets)
    if not diagonals and matrix.shape[0] <= SMALL_DENSE:
        return DenseMatrix(jnp.asarray(matrix.toarray()))
    refuse(
        ValueError, "A", given=f"a sparse matrix with entries on {len(offsets)} diagonals",
        needed=f"at most {MANY_DIAGONALS} diagonals, or {SMALL_DENSE} unknowns, to be traced",
        advice="Use storage='rows' with a method of the host engine.",
    )  # fmt: skip


def to_diagonals(matrix: Any, offsets: Any) -> Diagonals | SymmetricDiagonals:
    """A CSR matrix as the diagonals at these offsets, which hold all its entries."""
    offsets = np.asarray(offsets, np.int64)
    n = matrix.shape[0]
    values = np.zeros((len(offsets), n), matrix.dtype)
    kernels().csr_to_diagonals(matrix.data, matrix.indices, matrix.indptr, offsets, values)
    places = tuple(int(offset) for offset in offsets)
    if not _is_mirrored(values, places):
        return Diagonals(jnp.asarray(values), places)
    upper = len(places) // 2
    high = places[-1]
    padded = np.zeros((len(places) - upper, high + n), matrix.dtype)
    padded[:, high:] = values[upper:]
    return SymmetricDiagonals(jnp.asarray(padded), places[upper:])


def _is_mirrored(values: np.ndarray, offsets: tuple[int, ...]) -> bool:
    """Whether the diagonals below the main one equal those above, to the bit."""
    if offsets != tuple(-offset for offset in reversed(offsets)):
        return False
    n = values.shape[1]
    return all(
        np.array_equal(values[row, -offset:], values[-1 - row, : n + offset])
        for row, offset in enumerate(offsets)
        if offset < 0
    )
