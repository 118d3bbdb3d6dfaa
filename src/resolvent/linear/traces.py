"""Traces of the powers of a symmetric matrix, and what they say of its eigenvalues."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse

from resolvent._core.checks import is_traced, refuse
from resolvent._core.symmetric_polynomials import dense_traces
from resolvent.linear.operators import (
    DenseMatrix,
    Diagonals,
    LineaxOperator,
    SparseMatrix,
    SymmetricDiagonals,
)

_BLOCK = 20_000_000  # multiplications of one block of rows: its product stays below half a GB


def power_traces(operator: Any, count: int, scale: Any = 1.0) -> Any:
    """tr((A / scale)^i) for i = 1..count <= 5, exact up to rounding, for a symmetric A.

    Only A and A^2 are formed, the latter in blocks of rows: tr A^3 = <A^2, A>, tr A^4 = <A^2, A^2>
    and tr A^5 = <A^2 A, A^2> entry by entry. Concrete data are summed in float64, whatever their
    precision; under a JAX transformation the data's precision is used.
    """
    if isinstance(operator, LineaxOperator):
        operator = DenseMatrix(operator.operator.as_matrix())
    if isinstance(operator, SymmetricDiagonals):
        operator = operator.whole()
    if is_traced(operator):
        if isinstance(operator, DenseMatrix):
            return dense_traces(operator.matrix / scale, count)
        if isinstance(operator, Diagonals):
            return _diagonal_traces(operator, count, scale)
    elif isinstance(operator, DenseMatrix):
        return dense_traces(np.asarray(operator.matrix, np.float64) / scale, count)
    elif isinstance(operator, Diagonals):
        return _sparse_traces(_rows(operator) / scale, count)
    elif isinstance(operator, SparseMatrix):
        return _sparse_traces(operator.matrix.astype(np.float64) / scale, count)
    refuse(
        ValueError, "traces", given=f"none, and a matrix given as {operator.form}",
        needed="the entries of A, or traces=(tr A, tr A^2, ...)",
        advice="Pass the traces, or use ChebyshevPreconditioner, which needs products alone.",
    )  # fmt: skip


def _sparse_traces(A: Any, count: int) -> Any:
    traces = np.zeros(count)
    traces[:2] = [A.diagonal().sum(), (A.data * A.data).sum()][:count]
    if count <= 2:
        return traces
    lengths = np.diff(A.indptr)
    work = np.add.reduceat(np.append(lengths[A.indices], 0), A.indptr[:-1])
    work[lengths == 0] = 0
    parts = np.cumsum(work) // _BLOCK
    edges = [0, *(np.flatnonzero(np.diff(parts)) + 1), A.shape[0]]
    for low, high in itertools.pairwise(edges):
        rows = A[low:high]
        square = rows @ A
        traces[2] += square.multiply(rows).sum()
        if count > 3:
            traces[3] += (square.data * square.data).sum()
        if count > 4:
            traces[4] += (square @ A).multiply(square).sum()
    return traces


def _rows(operator: Diagonals) -> Any:
    values, n = np.asarray(operator.values, np.float64), operator.n
    parts = [
        row[max(0, -offset) : n - max(0, offset)]
        for row, offset in zip(values, operator.offsets, strict=True)
    ]
    return sparse.diags_array(parts, offsets=operator.offsets, shape=(n, n)).tocsr()


def _diagonal_traces(operator: Diagonals, count: int, scale: Any) -> Any:
    # Entries beside the matrix are stored too and mean nothing: products must not see them.
    n = operator.n
    columns = np.arange(n) + np.asarray(operator.offsets)[:, None]
    values = jnp.where((columns >= 0) & (columns < n), operator.values, 0) / scale
    A = dict(zip(operator.offsets, values, strict=True))
    traces = [operator.diagonal().sum() / scale, (values * values).sum()][:count]
    if count > 2:
        square = _times(A, A)
        traces.append(_inner(square, A))
        if count > 3:
            traces.append(_inner(square, square))
        if count > 4:
            traces.append(_inner(_times(square, A), square))
    return jnp.stack(traces)


def _times(A: dict[int, Any], B: dict[int, Any]) -> dict[int, Any]:
    product: dict[int, Any] = {}
    for a, left in A.items():
        for b, right in B.items():
            n = left.shape[0]
            if abs(a) >= n or abs(a + b) >= n:
                continue
            moved = jnp.pad(right[max(0, a) : n + min(0, a)], (max(0, -a), max(0, a)))
            product[a + b] = product.get(a + b, 0) + left * moved
    return product


def _inner(A: dict[int, Any], B: dict[int, Any]) -> Any:
    return sum((jnp.vdot(A[k], B[k]) for k in A.keys() & B.keys()), jnp.zeros(()))
