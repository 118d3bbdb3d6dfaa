"""Linear systems far from 1 in scale, brought near it by powers of two."""

import math
from typing import Any

import jax
import numpy as np

from resolvent._core.checks import is_traced
from resolvent._core.norm import norm
from resolvent._core.units import Units, times_power
from resolvent.linear.operators import DenseMatrix, Diagonals, SparseMatrix, SymmetricDiagonals

# Between these, squares of products with A and of residuals near rounding stay inside the range.
# Matrices of differential equations, which divide by a mesh width, are large more often than small.
_RIGHT_SIDE = {"f": (2.0**-20, 2.0**20), "d": (2.0**-200, 2.0**200)}
_MATRIX = {"f": (2.0**-20, 2.0**33), "d": (2.0**-200, 2.0**200)}
# Parameters and set-up values that are in the unit of A, or of its inverse.
_MEASURED = (
    "low", "high", "largest", "smallest", "traces", "polynomial", "fn", "inverse", "rows",
    "factor", "factors", "levels", "ratios",
)  # fmt: skip


def units_of(problem: Any, method: Any) -> Units | None:
    """Units in which b, and A where its entries are known, have a norm near 1.

    None where they are near enough already. A stays as it is for a method that is told numbers in
    its unit: bounds of the spectrum, a preconditioner that comes set up.
    """
    b = problem.b
    if b.ndim == 1:
        right: Any = _exponent(b, _RIGHT_SIDE)
        moved = right != 0
    else:
        right = np.array([_exponent(b[:, j], _RIGHT_SIDE) for j in range(b.shape[1])])
        moved = bool(right.any())
    entries = _entries(problem.operator)
    left = 0 if entries is None else _exponent(entries, _MATRIX)
    if left and _is_measured(method):
        left = 0
    if not (left or moved):
        return None
    changes: dict[str, Any] = {"b": times_power(b, -right) if moved else b}
    if left:
        changes["operator"] = _times(problem.operator, -left)
        if problem.smallest is not None:
            changes["smallest"] = times_power(problem.smallest, -left)
    measure = right if b.ndim == 1 else 0  # of columns, the relative residual is measured
    return Units(problem.but(**changes), right - left, measure)


def _exponent(array: Any, range_: dict[str, tuple[float, float]]) -> int:
    """The exponent of ||array||; 0 where it is in the range, or array is zero."""
    low, high = range_[array.dtype.char]
    if isinstance(array, np.ndarray):
        flat = array if array.ndim == 1 else array.ravel("K")
        # This is asked at every solve: small data are seen to be near 1 in one product.
        if flat.size <= _SMALL and low * low <= flat.dot(flat) <= high * high:
            return 0
        size = norm(flat)
    else:
        # A small array's way to the host is shorter than that of a program to its device.
        small = array.size <= _SMALL
        size = norm(np.asarray(array).ravel()) if small else float(_size(array))
    return 0 if low <= size <= high or size == 0 else math.frexp(size)[1]


_SMALL = 4096
_size = jax.jit(norm)


def _entries(operator: Any) -> Any:
    """The entries of A as one array, or None where they are not known."""
    if isinstance(operator, SparseMatrix):
        return operator.matrix.data
    if is_traced(operator):
        return None
    if isinstance(operator, DenseMatrix):
        return operator.matrix
    return operator.values if isinstance(operator, Diagonals | SymmetricDiagonals) else None


def _times(operator: Any, exponent: int) -> Any:
    """A copy of the operator, its entries times `2^exponent`."""
    if isinstance(operator, SparseMatrix):
        old = operator.matrix
        return SparseMatrix(
            type(old)((times_power(old.data, exponent), old.indices, old.indptr), old.shape)
        )
    if isinstance(operator, DenseMatrix):
        return DenseMatrix(times_power(operator.matrix, exponent))
    return type(operator)(times_power(operator.values, exponent), operator.offsets)


def _is_measured(method: Any) -> bool:
    """Whether the method, or what it runs or is preconditioned with, was told such numbers."""
    fields = vars(method)
    if any(fields.get(name) is not None for name in _MEASURED):
        return True
    parts = (fields.get(name) for name in ("method", "preconditioner"))
    return any(_is_measured(part) for part in parts if hasattr(part, "__dataclass_fields__"))
