"""What the entries of a matrix show: symmetry, a positive or a nonzero diagonal."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import is_traced
from resolvent.linear.operators import (
    DenseMatrix,
    Diagonals,
    MatrixFree,
    Operator,
    SparseMatrix,
    SymmetricDiagonals,
    kernels,
)

# Entries that differ by so much, relatively, still count as the same number.
_ROUNDING = {char: 100 * float(np.finfo(char).eps) for char in "fd"}
_ALL_ROWS = 1024  # rows up to which a declared symmetry is checked on all of them
_SAMPLED = 128  # rows on which it is checked beyond
_LOOKED_AT = 256  # unknowns up to which a dense matrix is checked entry by entry on the host


def is_well_formed(
    operator: Operator, needs: tuple[str, ...], symmetric: Any, positive_definite: Any
) -> bool:
    """Whether one look at the entries already shows that no need is unmet.

    False means that it is not known so cheaply: `lacks` then finds out, and says what it is.
    """
    if not needs or symmetric is False or positive_definite is False:
        return False
    if type(operator) is DenseMatrix:
        if operator.n > _LOOKED_AT or is_traced(operator.matrix):
            return False
        matrix = np.asarray(operator.matrix)
        gap, largest, least, smallest = kernels().inspect_dense(matrix)
        even = gap <= _ROUNDING[matrix.dtype.char] * largest
    elif type(operator) is SparseMatrix:
        matrix = operator.matrix
        even = "symmetric" not in needs or _rows_are_symmetric(matrix, symmetric)
        least = smallest = 1.0
        if even and ("positive_definite" in needs or "diagonal" in needs):
            least, smallest = kernels().diagonal_range(matrix.data, matrix.indices, matrix.indptr)
    else:
        return False
    return (
        (even or "symmetric" not in needs)
        and (least > 0 or "positive_definite" not in needs)
        and (smallest > 0 or "diagonal" not in needs)
    )


def lacks(operator: Operator, need: str, symmetric: Any, positive_definite: Any) -> str | None:
    """What is missing for a method that needs `need`, in words, or None."""
    if need == "entries":
        known = isinstance(operator, SparseMatrix | DenseMatrix)
        return None if known else "the entries of A are not known"
    if need == "symmetric":
        return _asymmetry(operator, symmetric)
    if need == "diagonal" and isinstance(operator, MatrixFree):
        return "the diagonal of A is not known"
    if need == "positive_definite" and positive_definite is False:
        return "A is declared not positive definite"
    if need not in ("diagonal", "positive_definite"):
        return None
    diagonal = known_diagonal(operator)
    if diagonal is None:
        return None
    if need == "diagonal":
        if diagonal.all():
            return None
        where = int(np.flatnonzero(diagonal == 0)[0])
        return f"A has a zero on its diagonal, the first in row {where}"
    if diagonal.min() > 0:
        return None
    where = int(np.argmin(diagonal))
    return f"A is not positive definite: A[{where}, {where}] = {diagonal[where]:g}"


def _asymmetry(operator: Operator, symmetric: Any) -> str | None:
    if symmetric is False:
        return "A is declared not symmetric"
    if is_traced(operator):
        return None
    said = " although declared so" if symmetric else ""
    if isinstance(operator, DenseMatrix):
        large = operator.n > _LOOKED_AT and isinstance(operator.matrix, jax.Array)
        rounding = _ROUNDING[np.dtype(operator.dtype).char]
        # Where a large matrix lies on a device, the check stays there.
        if large and float(_relative_gap(operator.matrix)) <= rounding:
            return None
        matrix = np.asarray(operator.matrix)
        gap = np.abs(matrix - matrix.T)
        if gap.max() <= rounding * np.abs(matrix).max():
            return None
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        return (
            f"A is not symmetric{said}: A[{i}, {j}] = {matrix[i, j]:g}, "
            f"A[{j}, {i}] = {matrix[j, i]:g}"
        )
    if isinstance(operator, SparseMatrix) and not _rows_are_symmetric(operator.matrix, symmetric):
        return f"A is not symmetric{said}"
    return None


def _rows_are_symmetric(matrix: Any, declared: Any) -> bool:
    """Whether a CSR matrix equals its transpose up to rounding.

    Where symmetry is declared, it is enough that some of the rows show it.
    """
    rows = (matrix.data, matrix.indices, matrix.indptr)
    rounding = _ROUNDING[matrix.dtype.char]
    n = matrix.shape[0]
    if declared and n > _ALL_ROWS:
        return bool(kernels().is_symmetric_at(*rows, n // _SAMPLED, rounding))
    return bool(kernels().is_symmetric(*rows, rounding))


@jax.jit
def _relative_gap(matrix: Any) -> Any:
    return jnp.abs(matrix - matrix.T).max() / jnp.abs(matrix).max()


def known_diagonal(operator: Operator) -> Any:
    """The diagonal as a NumPy array where its entries are concrete, else None."""
    if isinstance(operator, SparseMatrix):
        return operator.diagonal()
    if isinstance(operator, DenseMatrix) and not is_traced(operator.matrix):
        # Inside a transformation even a concrete JAX array's diagonal would be traced.
        return np.asarray(operator.matrix).diagonal()
    if isinstance(operator, SymmetricDiagonals) and not is_traced(operator.values):
        return np.asarray(operator.diagonal())
    if isinstance(operator, Diagonals) and not is_traced(operator.values):
        values = np.asarray(operator.values)
        return values[operator.offsets.index(0)] if 0 in operator.offsets else values[0] * 0
    return None
