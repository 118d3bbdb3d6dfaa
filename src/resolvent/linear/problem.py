"""A x = b, one system or one of a sequence."""

import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import (
    between,
    finite,
    is_traced,
    nonnegative,
    one_of,
    real_array,
    refuse,
)
from resolvent._core.norm import is_safe, norm
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.linear.operators import (
    DenseMatrix,
    Diagonals,
    MatrixFree,
    Operator,
    SparseMatrix,
    SymmetricDiagonals,
    as_operator,
    has_few_diagonals,
    kernels,
    traced_form,
)
from resolvent.linear.scaling import units_of
from resolvent.linear.structure import is_well_formed, lacks

_STORAGES = ("auto", "rows", "diagonals", "dense")


class LinearSystem(Problem):
    """Find x with A x = b.

    The certificate measures the relative residual `||b - A x|| / ||b||` from `A` and `b`. Where a
    lower bound of the smallest singular value is given, it also bounds the error:
    `||x - x*|| <= ||b - A x|| / smallest`.

    Args:
        A: the matrix, n x n: a SciPy sparse matrix of any format, a dense NumPy or JAX array, a
            lineax operator, a SciPy `LinearOperator`, or a function `x -> A x` or
            `(x, args) -> A x` of JAX arrays.
        b: right-hand side, shape (n,), or several as columns, shape (n, k).
        args: arrays that a function `A` takes; changing them recompiles nothing.
        symmetric: what is known about symmetry; None finds out where the entries are known. What
            is declared is still checked, on a sample of the rows where the matrix is
            large and sparse.
        positive_definite: what is known about definiteness.
        smallest: a lower bound of the smallest singular value (eigenvalue, where symmetric).
        context: a number that tells systems of a sequence apart (a shift, a time step), for
            methods that learn over a sequence.
        storage: `auto`, or force `rows` (compressed sparse rows on the host), `diagonals` (traced)
            or `dense`.

    Raises:
        ValueError: for shapes that do not match, entries that are not finite, empty systems.
        TypeError: for complex, object and half-precision data.

    Example:
        ```python
        import numpy as np, scipy.sparse as sp, resolvent as rs
        A = sp.diags_array([[-1.0] * 9, [2.0] * 10, [-1.0] * 9], offsets=[-1, 0, 1])
        sol = rs.solve(rs.LinearSystem(A, np.ones(10)))
        assert sol.converged
        ```
    """

    operator: Operator
    b: Any
    smallest: Any
    context: Any
    symmetric: bool | None = static()
    positive_definite: bool | None = static()
    storage: str = static()
    numpy: bool = static()

    def __init__(
        self,
        A: Any,
        b: Float[Any, " n"] | Float[Any, "n k"],
        *,
        args: Any = None,
        symmetric: bool | None = None,
        positive_definite: bool | None = None,
        smallest: float | None = None,
        context: float | None = None,
        storage: str = "auto",
    ):
        if storage not in _STORAGES:
            one_of("storage", storage, _STORAGES)
        b = real_array("b", b)
        if b.ndim not in (1, 2) or 0 in b.shape:
            refuse(
                ValueError, "b", given=f"an array of shape {b.shape}",
                needed="shape (n,) or (n, k) with at least one entry",
                advice="Pass one right-hand side as a vector, several as columns.",
            )  # fmt: skip
        finite("b", b)
        operator = as_operator(A, b, args)
        if operator.n != b.shape[0]:
            refuse(
                ValueError, "b", given=f"{b.shape[0]} rows for a matrix of {operator.n} rows",
                needed=f"shape ({operator.n},) or ({operator.n}, k)", advice="Check the order.",
            )  # fmt: skip
        # The matrix decides: its kind is the answer's kind, and a JAX matrix sets the precision.
        if operator.engine == "host" and not isinstance(b, np.ndarray) and not is_traced(b):
            b = np.asarray(b)
        dtype = operator.dtype
        if b.dtype != dtype and is_traced(b):
            operator = _as_dtype(operator, b.dtype)
        elif b.dtype != dtype and operator.engine == "traced":
            b = b.astype(dtype)
        elif b.dtype != dtype:
            wide = np.result_type(dtype, b.dtype)
            b = b.astype(wide)
            operator = _as_dtype(operator, wide)
        if (
            operator.engine == "traced"
            and isinstance(b, np.ndarray)
            and not isinstance(operator, MatrixFree | Diagonals | SymmetricDiagonals)
        ):
            b = jnp.asarray(b)  # the matrix is a JAX value: so is the answer
        _check_claims(A, args, symmetric, positive_definite, smallest)
        if context is not None:
            between("context", context, -math.inf, math.inf, "It must be finite.")
            context = float(context)
        if positive_definite:
            symmetric = True
        vars(self).update(
            operator=operator, b=b, smallest=smallest or None, context=context, symmetric=symmetric,
            positive_definite=positive_definite, storage=storage, numpy=isinstance(b, np.ndarray),
        )  # fmt: skip

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.operator.n

    def residual(self, x: Any) -> Any:
        """b - A x."""
        if x.ndim == 1 or isinstance(self.operator, SparseMatrix | DenseMatrix):
            return self.b - self.operator.mv(x)
        columns = [self.operator.mv(x[:, j]) for j in range(x.shape[1])]
        return self.b - (np if isinstance(x, np.ndarray) else jnp).stack(columns, axis=1)

    def start(self, key: Any) -> Any:
        """Zero."""
        b = self.b
        return np.zeros(b.shape, b.dtype) if isinstance(b, np.ndarray) else jnp.zeros_like(b)

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """The user's point; a first guess becomes zero where b is, for there that is the answer."""
        x0 = real_array(name, x0)
        if x0.shape != self.b.shape:
            refuse(
                ValueError, name, given=f"shape {x0.shape}", needed=f"shape {self.b.shape}",
                advice="Give it the shape of b.",
            )  # fmt: skip
        finite(name, x0)
        guess = name == "x0"
        if isinstance(self.b, np.ndarray):
            x0 = np.array(x0, self.b.dtype)
            return np.where(self.b.any(axis=0), x0, 0) if guess else x0
        x0 = jnp.asarray(x0, self.b.dtype)
        return jnp.where((self.b != 0).any(axis=0), x0, 0) if guess else x0

    def scale(self, x: Any) -> Any:
        """||b||, or 1 for several right-hand sides, whose measure is relative."""
        return norm(self.b) if self.b.ndim == 1 else 1.0

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||b - A x|| <= max(rtol ||b||, atol)`, recomputed from A, b and x.

        For several right-hand sides the value is the largest relative residual of a column.
        """
        if self.b.ndim == 1:
            value, scale = self._norms(x)
            details = {} if self.smallest is None else {"error bound": value / self.smallest}
            return Certificate(
                value, scale, details=details, kind="residual", name="relative residual",
                statement="||b - A x||_2 <= max(rtol ||b||_2, atol)",
            )  # fmt: skip
        ratios = relative_columns(self.residual(x), self.b)
        return Certificate(
            ratios.max(), 1.0, details={"columns": ratios}, kind="residual",
            name="relative residual",
            statement="max_j ||b_j - A x_j||_2 / ||b_j||_2 <= max(rtol, atol)",
        )  # fmt: skip

    def _norms(self, x: Any) -> tuple[Any, Any]:
        """||b - A x|| and ||b||."""
        b, operator = self.b, self.operator
        if not isinstance(b, np.ndarray) or not isinstance(x, np.ndarray):
            return norm(self.residual(x)), norm(b)
        sparse = type(operator) is SparseMatrix
        if sparse and (found := _sparse_norms(operator.matrix, x, b)) is not None:
            return found
        scale = norm(b)
        if 0 < scale < _SUBNORMAL[b.dtype.char]:
            return _tiny_norm(self, x), scale
        if sparse and 0 < scale < math.inf:
            # Far numbers, whose squares are none, are judged near one.
            unit = b.dtype.type(2.0 ** -math.frexp(scale)[1])
            if (found := _sparse_norms(operator.matrix, x * unit, b * unit)) is not None:
                return found[0] / float(unit), scale
        return norm(self.residual(x)), scale

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The engine that the data live in, unless structure or the method say otherwise."""
        return self._form(engines)[0]

    def _form(self, engines: tuple[Engine, ...]) -> tuple[Engine, str]:
        operator, storage = self.operator, self.storage
        if storage != "auto":
            if storage == "rows" and not isinstance(operator, SparseMatrix):
                self._cannot(storage)
            if storage == "diagonals" and not isinstance(
                operator, SparseMatrix | Diagonals | SymmetricDiagonals
            ):
                self._cannot(storage)
            if storage == "dense" and not isinstance(operator, DenseMatrix | SparseMatrix):
                self._cannot(storage)
            wanted: Engine = {"rows": "host", "diagonals": "traced"}.get(  # pyright: ignore[reportAssignmentType]
                storage, operator.engine
            )
            if wanted not in engines:
                refuse(
                    ValueError, "storage", given=f"'{storage}', which the {wanted} engine runs",
                    needed=f"storage for the method's engine: {', '.join(engines)}",
                    advice="Use storage='auto' or another method.",
                )  # fmt: skip
            return wanted, storage
        if isinstance(operator, SparseMatrix):
            if "host" not in engines:
                return "traced", "diagonals"
            if "traced" in engines and has_few_diagonals(operator.matrix):
                return "traced", "diagonals"
            return "host", "rows"
        if operator.engine in engines:
            return operator.engine, "dense"
        if isinstance(operator, DenseMatrix) and not is_traced(operator.matrix):
            return engines[0], "dense"
        refuse(
            TypeError, "method", given=f"a method of the {engines[0]} engine",
            needed=f"one of the {operator.engine} engine for a matrix given as {operator.form}",
            advice="Pass the entries (a SciPy sparse matrix or an array), or another method.",
        )  # fmt: skip

    def _cannot(self, storage: str) -> None:
        refuse(
            ValueError, "storage", given=f"'{storage}' for a matrix given as {self.operator.form}",
            needed="a matrix whose entries are known in that form",
            advice="Pass a SciPy sparse matrix, or storage='auto'.",
        )  # fmt: skip

    def prepare(self, engine: Engine) -> "LinearSystem":
        """The data in the engine's arrays."""
        operator = self.operator
        if engine == "host":
            if isinstance(operator, SparseMatrix) and self.storage == "dense":
                return self._with(DenseMatrix(operator.matrix.toarray()))
            if operator.engine == "host":
                return self
            assert isinstance(operator, DenseMatrix)
            return self._with(DenseMatrix(np.asarray(operator.matrix)))
        if isinstance(operator, SparseMatrix):
            if self.storage == "dense":
                operator = DenseMatrix(jnp.asarray(operator.matrix.toarray()))
            else:
                operator = traced_form(operator.matrix, self.storage == "diagonals")
        elif isinstance(operator, DenseMatrix):
            if not isinstance(operator.matrix, np.ndarray) and not self.numpy:
                return self
            operator = DenseMatrix(jnp.asarray(operator.matrix))
        return self._with(operator)

    def _with(self, operator: Operator) -> "LinearSystem":
        traced = operator.engine == "traced"
        b = jnp.asarray(self.b) if traced else np.asarray(self.b)
        return self.but(operator=operator, b=b)

    def restore(self, x: Any) -> Any:
        """NumPy where b was NumPy, JAX where it was JAX."""
        if self.numpy:
            return x if isinstance(x, np.ndarray) else np.array(x)
        return x if isinstance(x, jax.Array) else jnp.asarray(x)

    def units(self, method: Any) -> Any:
        """Powers of two for data far from 1, whose squares over- or underflow."""
        return units_of(self, method)

    def form(self) -> str:
        """How the matrix is stored."""
        return self.operator.form

    def lacks(self, need: str) -> str | None:
        """What is missing for a method that needs `need`."""
        return lacks(self.operator, need, self.symmetric, self.positive_definite)

    def missing(self, needs: tuple[str, ...]) -> tuple[str, str] | None:
        """As `lacks` for each need; one look at the entries suffices where nothing is missing."""
        if is_well_formed(self.operator, needs, self.symmetric, self.positive_definite):
            return None
        return super().missing(needs)

    def default_method(self) -> Any:
        """CG for positive definite, MINRES for symmetric indefinite, GMRES for general systems."""
        from resolvent.linear.defaults import default_method

        return default_method(self)

    def adapt(self, method: Any) -> Any:
        """Several right-hand sides are solved column by column."""
        if self.b.ndim == 1:
            return method
        from resolvent.linear.columns import Columns

        return method if isinstance(method, Columns) else Columns(method)

    def column(self, j: int) -> "LinearSystem":
        """The system of one right-hand side."""
        b = self.b[:, j]
        return self.but(b=np.ascontiguousarray(b) if isinstance(b, np.ndarray) else b)

    def fingerprint(self, aspect: str) -> Any:
        """`size`, `operator` (its entries), `rhs`, or `data` (all of it)."""
        if aspect == "size":
            return (self.n, str(np.dtype(self.operator.dtype)))
        operator = self.operator
        matrix = operator.matrix if isinstance(operator, SparseMatrix) else None
        arrays = (
            [matrix.data, matrix.indices, matrix.indptr]
            if matrix is not None
            else [leaf for leaf in jax.tree_util.tree_leaves(operator) if hasattr(leaf, "dtype")]
        )
        if aspect == "rhs":
            arrays = [self.b]
        elif aspect == "data":
            arrays.append(self.b)
        mark = 0
        for array in arrays:
            mark = zlib.crc32(np.ascontiguousarray(np.asarray(array)).data, mark)
        return mark

    def describe(self) -> str:
        """For summaries: the kind and size."""
        operator = self.operator
        n = self.n
        several = "" if self.b.ndim == 1 else f", {self.b.shape[1]} right-hand sides"
        if isinstance(operator, SparseMatrix):
            return f"linear system, {n} unknowns, {operator.matrix.nnz} nonzeros{several}"
        return f"linear system, {n} unknowns, {operator.form}{several}"


# Below, products with x are rounded to whole multiples of the least number there is.
_CERTAIN = 1e-3  # what rounding may change of a residual before it is formed with twice the digits
_SUBNORMAL = {c: float(np.finfo(c).tiny) / float(np.finfo(c).eps) for c in "fd"}


def _sparse_norms(matrix: Any, x: Any, b: Any) -> tuple[float, float] | None:
    """||b - A x|| and ||b|| where their squares are numbers that can be trusted."""
    data, dtype = (matrix.data, matrix.indices, matrix.indptr, x, b), b.dtype
    square, scale, largest, rounded = kernels().csr_residual_squares(*data)
    # A sum of zero may be the squares of tiny numbers, or of none.
    if not is_safe(scale, dtype) or not (is_safe(square, dtype) or largest == square == 0.0):
        return None
    # Where terms cancel, a residual in single digits is as uncertain as they are large.
    if rounded * np.finfo(dtype).eps ** 2 > _CERTAIN**2 * square:
        twofold = kernels().csr_residual_square_twofold(*data)
        square = twofold if is_safe(twofold, dtype) else square
    return square**0.5, scale**0.5


def _tiny_norm(problem: LinearSystem, x: Any) -> float:
    """||b - A x||, formed in normal numbers and rounded up, where b is next to nothing."""
    power = 2.0 ** (100 if problem.b.dtype.char == "f" else 900)
    larger = problem.but(b=problem.b * problem.b.dtype.type(power))
    value = norm(larger.residual(x * x.dtype.type(power)))
    least = float(np.finfo(problem.b.dtype).smallest_subnormal)
    return max(value / power, least) if value > 0 else value


def relative_columns(residual: Any, b: Any) -> Any:
    """||r_j|| / ||b_j|| for each column, with 0 / 0 = 0."""
    if isinstance(residual, np.ndarray):
        ratios = np.empty(residual.shape[1])
        for j in range(residual.shape[1]):
            top, bottom = norm(residual[:, j]), norm(b[:, j])
            ratios[j] = 0.0 if top == 0 else (top / bottom if bottom > 0 else np.inf)
        return ratios
    top, bottom = jax.vmap(norm, 1)(residual), jax.vmap(norm, 1)(b)
    return jnp.where(top == 0, 0.0, top / jnp.where(bottom > 0, bottom, 0.0))


def _check_claims(A: Any, args: Any, symmetric: Any, positive_definite: Any, smallest: Any) -> None:
    for name, claim in (("symmetric", symmetric), ("positive_definite", positive_definite)):
        if claim is not None and not isinstance(claim, bool | np.bool_):
            refuse(
                TypeError, name, given=repr(claim), needed="True, False or None",
                advice="None means that it is not known.",
            )  # fmt: skip
    if positive_definite and symmetric is False:
        refuse(
            ValueError, "symmetric, positive_definite", given="False, True",
            needed="claims that agree",
            advice="Here positive definite matrices are symmetric: leave both None otherwise.",
        )  # fmt: skip
    if args is not None and (not callable(A) or hasattr(A, "mv") or hasattr(A, "matvec")):
        refuse(
            TypeError, "args", given=f"args beside a {type(A).__name__}",
            needed="args only beside a function (x, args) -> A x", advice="Drop args.",
        )  # fmt: skip
    if smallest is not None:
        nonnegative("smallest", smallest)


def _as_dtype(operator: Operator, dtype: Any) -> Operator:
    if isinstance(operator, SparseMatrix):
        return SparseMatrix(operator.matrix.astype(dtype))
    if isinstance(operator, DenseMatrix):
        return DenseMatrix(operator.matrix.astype(dtype))
    if isinstance(operator, Diagonals | SymmetricDiagonals):
        return type(operator)(operator.values.astype(dtype), operator.offsets)
    if isinstance(operator, MatrixFree):
        return MatrixFree(
            operator.args, operator.fn, operator.n, dtype, operator.engine, operator.takes_args
        )
    refuse(
        TypeError, "b", given="a dtype wider than the lineax operator's",
        needed=f"{operator.dtype}", advice="Cast b or the operator.",
    )  # fmt: skip
