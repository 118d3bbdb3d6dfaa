"""The plan at two potentials, stored: as a whole, or only its entries that matter.

``base`` is `f / epsilon + log a` and ``head`` is `g / epsilon + log b`; costs are given as in
`kernels_softmin`, whose blocks and exponential are used here.
"""

from typing import Any

import numba
import numpy as np

from resolvent.transport.kernels_softmin import (
    DENSE,
    FAST,
    block_count,
    block_rows,
    costs,
    exp,
    exponents,
    threads,
)

_FLUSH = 1e-250  # entries below are zero: their products with scalings must stay normal numbers


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _row_of_plan(c, inverse, base, head, out, columns):
    """Store a row, add it to ``columns``, return its sum."""
    total = 0.0
    for j in range(np.uint64(out.shape[0])):
        value = exp(base + (head[j] - inverse * np.float64(c[j])))
        out[j] = value if value > _FLUSH else 0.0
        kept = np.float64(out[j])
        columns[j] += kept
        total += kept
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _build_block(kind, A, B, epsilon, base, head, K, rows, parts, block):
    size, n, m = block_rows(base.shape[0]), base.shape[0], head.shape[0]
    c, columns, inverse = np.empty(m), parts[block], 1.0 / epsilon
    columns[:] = 0.0
    for i in range(block * size, min(n, block * size + size)):
        if kind == DENSE:
            rows[i] = _row_of_plan(A[i], inverse, base[i], head, K[i], columns)
        else:
            costs(kind, A, B, i, 0, m, c)
            rows[i] = _row_of_plan(c, inverse, base[i], head, K[i], columns)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _build_alone(kind, A, B, epsilon, base, head, K, rows, parts):
    for block in range(parts.shape[0]):
        _build_block(kind, A, B, epsilon, base, head, K, rows, parts, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _build_threads(kind, A, B, epsilon, base, head, K, rows, parts):
    for block in numba.prange(parts.shape[0]):
        _build_block(kind, A, B, epsilon, base, head, K, rows, parts, block)


def build_dense(kind, A, B, epsilon, base, head, K):
    """Write the plan of `base_i + head_j - C_ij / epsilon` to K; its row and column sums."""
    rows, parts = np.empty(len(base)), np.empty((block_count(len(base)), len(head)))
    args: tuple = (kind, A, B, epsilon, base, head, K, rows, parts)
    with threads(K.size) as together:
        (_build_threads if together else _build_alone)(*args)
    return rows, parts.sum(axis=0)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _kept(z, base, row, column):
    number = 0
    for j in range(np.uint64(z.shape[0])):
        value = base + z[j]
        number += 1 if (value >= row or value >= column[j]) else 0
    return number


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count_row(kind, A, B, epsilon, base, head, row_least, column_least, i, z):
    exponents(kind, A, B, i, 1.0 / epsilon, head, z)
    return _kept(z, base[i], row_least[i], column_least)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def count_some(kind, A, B, epsilon, base, head, row_least, column_least, stride):
    """How many entries every `stride`-th row keeps, and how many rows these are."""
    z = np.empty(head.shape[0])
    number = rows = 0
    for i in range(0, base.shape[0], stride):
        number += _count_row(kind, A, B, epsilon, base, head, row_least, column_least, i, z)
        rows += 1
    return number, rows


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count_block(kind, A, B, epsilon, base, head, row_least, column_least, counts, block):
    size, n = block_rows(base.shape[0]), base.shape[0]
    z = np.empty(head.shape[0])
    for i in range(block * size, min(n, block * size + size)):
        counts[i] = _count_row(kind, A, B, epsilon, base, head, row_least, column_least, i, z)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count_alone(kind, A, B, epsilon, base, head, row_least, column_least, counts):
    for block in range(block_count(base.shape[0])):
        _count_block(kind, A, B, epsilon, base, head, row_least, column_least, counts, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _count_threads(kind, A, B, epsilon, base, head, row_least, column_least, counts):
    for block in numba.prange(block_count(base.shape[0])):
        _count_block(kind, A, B, epsilon, base, head, row_least, column_least, counts, block)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill_block(
    kind, A, B, epsilon, base, head, row_least, column_least, indptr, indices, data, block
):
    size, n = block_rows(base.shape[0]), base.shape[0]
    z = np.empty(head.shape[0])
    for i in range(block * size, min(n, block * size + size)):
        exponents(kind, A, B, i, 1.0 / epsilon, head, z)
        k = indptr[i]
        for j in range(z.shape[0]):
            value = base[i] + z[j]
            if value >= row_least[i] or value >= column_least[j]:
                indices[k] = j
                data[k] = exp(value)
                k += 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill_alone(kind, A, B, epsilon, base, head, row_least, column_least, indptr, indices, data):
    for block in range(block_count(base.shape[0])):
        _fill_block(
            kind, A, B, epsilon, base, head, row_least, column_least, indptr, indices, data, block
        )


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _fill_threads(kind, A, B, epsilon, base, head, row_least, column_least, indptr, indices, data):
    for block in numba.prange(block_count(base.shape[0])):
        _fill_block(
            kind, A, B, epsilon, base, head, row_least, column_least, indptr, indices, data, block
        )


def build_sparse(which, dtype):
    """The entries of the plan that reach either threshold: data, columns, and where rows begin.

    ``which`` is (kind, A, B, epsilon, base, head, row_least, column_least), the thresholds as
    logarithms.
    """
    n, m = len(which[4]), len(which[5])
    counts = np.empty(n, np.int64)
    with threads(n * m) as together:
        count: Any = _count_threads if together else _count_alone
        count(*which, counts)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], dtype)
    with threads(n * m) as together:
        fill: Any = _fill_threads if together else _fill_alone
        fill(*which, indptr, indices, data)
    return data, indices, indptr


@numba.njit(cache=True, nogil=True, error_model="numpy")
def transposed(data, indices, indptr, columns):
    """The same entries by columns, each column in the order of the rows."""
    ends = np.zeros(columns + 1, np.int64)
    for k in range(indices.shape[0]):
        ends[indices[k] + 1] += 1
    for j in range(columns):
        ends[j + 1] += ends[j]
    place = ends[:-1].copy()
    rows, values = np.empty(indices.shape[0], np.int32), np.empty_like(data)
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            rows[place[j]] = i
            values[place[j]] = data[k]
            place[j] += 1
    return values, rows, ends
