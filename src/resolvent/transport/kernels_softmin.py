"""Soft minima, marginals and products of an entropic plan, without storing it.

A cost is given as ``(kind, A, B)``: a dense matrix (``DENSE``, A = C, row-major, B empty) or two
point clouds (``SQEUCLIDEAN``, ``EUCLIDEAN``, ``L1``; A = x of shape (n, d), B = y transposed,
(d, m), row-major). Exponents are formed in float64 whatever the dtype of the data, because
``C / epsilon`` is large where transport is hard.

Rows are dealt to threads in blocks that depend on the shape alone and sums of blocks are taken in
order, so that the number of threads never changes a result.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

import numba
import numpy as np

DENSE, SQEUCLIDEAN, EUCLIDEAN, L1 = 0, 1, 2, 3
KINDS = {"sqeuclidean": SQEUCLIDEAN, "euclidean": EUCLIDEAN, "l1": L1}

FAST = {"reassoc", "contract", "nsz"}
_ALONE = 1 << 18  # entries up to which waking threads costs more than it returns
_LOWEST = -708.0  # exp of less is below the normal numbers, and taken for zero
_HIGHEST = 709.0
_LOG2E = 1.4426950408889634
_LN2_HIGH = 0.693147180369123816490
_LN2_LOW = 1.90821492927058770002e-10
_SHIFT = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, kept in the low bits
_ONE = np.int64(1023 << 52)
_POSITIVE = np.int64(2**63 - 1)
_LEAST = np.int64(-(2**63))
_CHUNK = 256  # columns of a tile: it stays in the first cache
_GROUP = 8  # rows of a tile

_gate = threading.Lock()
_home: list[int] = []


@contextlib.contextmanager
def threads(size: int, least: int = _ALONE) -> Iterator[bool]:
    """Whether a kernel on `size` entries, if they are more than `least`, may use threads now.

    Not all of Numba's threading layers bear two callers at once, or a process that was forked
    from one with threads; both run the same blocks on one thread instead.
    """
    if size <= least or (_home and _home[0] != os.getpid()) or not _gate.acquire(blocking=False):
        yield False
        return
    if not _home:
        _home.append(os.getpid())
    try:
        yield True
    finally:
        _gate.release()


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def exp(x):
    """e^x to 2 ulp, in operations that vectorise; NaN stays, extremes are clamped."""
    inside = _LOWEST if x < _LOWEST else x
    inside = _HIGHEST if inside > _HIGHEST else inside
    shifted = inside * _LOG2E + _SHIFT
    k = shifted - _SHIFT
    r = inside - k * _LN2_HIGH
    r = r - k * _LN2_LOW
    # The polynomial of degree 11 that is best in Chebyshev's sense, by economised Taylor series.
    p = 2.5114882786996687e-08
    p = p * r + 2.763265575933203e-07
    p = p * r + 2.755722491836887e-06
    p = p * r + 2.480148543844738e-05
    p = p * r + 0.00019841269909260645
    p = p * r + 0.0013888888952356135
    p = p * r + 0.008333333333309507
    p = p * r + 0.04166666666648794
    p = p * r + 0.16666666666666702
    p = p * r + 0.5000000000000019
    p = p * r + 1.0
    p = p * r + 1.0
    power = (np.float64(shifted).view(np.int64) << 52) + _ONE
    value = p * np.int64(power).view(np.float64)
    return 0.0 if x < _LOWEST else value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rank(x):
    """An integer in the order of the numbers: maxima of integers vectorise."""
    bits = np.float64(x).view(np.int64)
    return bits ^ ((bits >> 63) & _POSITIVE)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def largest(z, size):
    """The largest of the first entries; NaN counts as larger than all."""
    top = _LEAST
    for j in range(np.uint64(size)):
        top = max(top, _rank(z[j]))
    return np.int64(top ^ ((top >> 63) & _POSITIVE)).view(np.float64)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def costs(kind, A, B, i, first, last, out):
    """Write C[i, first:last] to the front of ``out``."""
    size = np.uint64(last - first)
    if kind == DENSE:
        row = A[i, first:last]
        for j in range(size):
            out[j] = row[j]
        return
    for j in range(size):
        out[j] = 0.0
    for k in range(A.shape[1]):
        here = np.float64(A[i, k])
        there = B[k, first:last]
        if kind == L1:
            for j in range(size):
                out[j] += abs(here - np.float64(there[j]))
        else:
            for j in range(size):
                step = here - np.float64(there[j])
                out[j] += step * step
    if kind == EUCLIDEAN:
        for j in range(size):
            out[j] = np.sqrt(out[j])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def exponents(kind, A, B, i, inverse, head, z):
    """Write head_j - C_ij / epsilon to ``z``."""
    m = head.shape[0]
    if kind == DENSE:
        row = A[i]
        for j in range(np.uint64(m)):
            z[j] = head[j] - inverse * np.float64(row[j])
        return
    for first in range(0, m, _CHUNK):
        last = min(first + _CHUNK, m)
        part = z[first:last]
        costs(kind, A, B, i, first, last, part)
        top = head[first:last]
        for j in range(np.uint64(last - first)):
            part[j] = top[j] - inverse * part[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def block_rows(n):
    """Rows of a block: at least 32, and at most 64 blocks."""
    return max(32, (n + 63) // 64)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def block_count(n):
    """How many blocks there are."""
    rows = block_rows(n)
    return (n + rows - 1) // rows


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _exp_sum(z, size, top):
    total = 0.0
    for j in range(np.uint64(size)):
        total += exp(z[j] - top)
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rows_block(kind, A, B, epsilon, head, out, block):
    size, n, m = block_rows(out.shape[0]), out.shape[0], head.shape[0]
    z = np.empty(m)
    for i in range(block * size, min(n, block * size + size)):
        exponents(kind, A, B, i, 1.0 / epsilon, head, z)
        top = largest(z, m)
        out[i] = -epsilon * (top + np.log(_exp_sum(z, m, top)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rows_alone(kind, A, B, epsilon, head, out):
    for block in range(block_count(out.shape[0])):
        _rows_block(kind, A, B, epsilon, head, out, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _rows_threads(kind, A, B, epsilon, head, out):
    for block in numba.prange(block_count(out.shape[0])):
        _rows_block(kind, A, B, epsilon, head, out, block)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _raise(top, z, size):
    for j in range(np.uint64(size)):
        best = max(_rank(top[j]), _rank(z[j]))
        top[j] = np.int64(best ^ ((best >> 63) & _POSITIVE)).view(np.float64)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _gather(total, z, top, size):
    for j in range(np.uint64(size)):
        total[j] += exp(z[j] - top[j])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _rescale(total, old, top, size):
    for j in range(np.uint64(size)):
        total[j] *= exp(old[j] - top[j])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _columns_chunk(kind, A, B, epsilon, head, out, chunk):
    n, m, inverse = head.shape[0], out.shape[0], 1.0 / epsilon
    first = chunk * _CHUNK
    last = min(first + _CHUNK, m)
    width = last - first
    z = np.empty((_GROUP, _CHUNK))
    # A finite floor: -inf - (-inf) would be NaN while all rows so far are without mass.
    top, old, total = np.full(_CHUNK, -1e300), np.empty(_CHUNK), np.zeros(_CHUNK)
    for start in range(0, n, _GROUP):
        rows = min(_GROUP, n - start)
        old[:] = top
        for i in range(rows):
            costs(kind, A, B, start + i, first, last, z[i])
            _shift(z[i], width, head[start + i], inverse)
            _raise(top, z[i], width)
        _rescale(total, old, top, width)
        for i in range(rows):
            _gather(total, z[i], top, width)
    for j in range(width):
        out[first + j] = -epsilon * (top[j] + np.log(total[j]))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _shift(z, width, head, inverse):
    for j in range(np.uint64(width)):
        z[j] = head - inverse * z[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _columns_alone(kind, A, B, epsilon, head, out):
    for chunk in range((out.shape[0] + _CHUNK - 1) // _CHUNK):
        _columns_chunk(kind, A, B, epsilon, head, out, chunk)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _columns_threads(kind, A, B, epsilon, head, out):
    for chunk in numba.prange((out.shape[0] + _CHUNK - 1) // _CHUNK):
        _columns_chunk(kind, A, B, epsilon, head, out, chunk)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _entries(z, base, columns):
    """Turn exponents into entries of the plan, add them to ``columns``, return their sum."""
    total = 0.0
    for j in range(np.uint64(z.shape[0])):
        value = exp(base + z[j])
        z[j] = value
        columns[j] += value
        total += value
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _product(entries, V, out):
    for k in range(V.shape[0]):
        total = 0.0
        row = V[k]
        for j in range(np.uint64(entries.shape[0])):
            total += entries[j] * row[j]
        out[k] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _plan_block(kind, A, B, epsilon, base, head, V, rows, partial, products, block):
    size, n = block_rows(rows.shape[0]), rows.shape[0]
    z = np.empty(head.shape[0])
    columns = partial[block]
    columns[:] = 0.0
    for i in range(block * size, min(n, block * size + size)):
        exponents(kind, A, B, i, 1.0 / epsilon, head, z)
        rows[i] = _entries(z, base[i], columns)
        if V.shape[0]:
            _product(z, V, products[i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _plan_alone(kind, A, B, epsilon, base, head, V, rows, partial, products):
    for block in range(partial.shape[0]):
        _plan_block(kind, A, B, epsilon, base, head, V, rows, partial, products, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _plan_threads(kind, A, B, epsilon, base, head, V, rows, partial, products):
    for block in numba.prange(partial.shape[0]):
        _plan_block(kind, A, B, epsilon, base, head, V, rows, partial, products, block)


def softmin_rows(kind, A, B, epsilon, g, log_b):
    """-epsilon log sum_j b_j exp((g_j - C_ij) / epsilon) for every row, in float64."""
    out = np.empty(A.shape[0])
    run: tuple = (kind, A, B, float(epsilon), _head(g, log_b, epsilon), out)
    with threads(A.shape[0] * len(g)) as together:
        (_rows_threads if together else _rows_alone)(*run)
    return out


def softmin_columns(kind, A, B, epsilon, f, log_a):
    """-epsilon log sum_i a_i exp((f_i - C_ij) / epsilon) for every column, in float64."""
    out = np.empty(A.shape[1] if kind == DENSE else B.shape[1])
    run: tuple = (kind, A, B, float(epsilon), _head(f, log_a, epsilon), out)
    with threads(A.shape[0] * len(out)) as together:
        (_columns_threads if together else _columns_alone)(*run)
    return out


def marginals(kind, A, B, epsilon, f, g, log_a, log_b):
    """Row and column sums of the plan in one pass, in float64; infinite where they overflow."""
    rows, columns, _ = _plan(kind, A, B, epsilon, f, g, log_a, log_b, None)
    return rows, columns


def apply(kind, A, B, epsilon, f, g, log_a, log_b, V):
    """The plan times V of shape (m,) or (m, k), in float64, without storing the plan."""
    V = np.asarray(V, float)
    flat = V.reshape(len(V), -1)
    _, _, out = _plan(kind, A, B, epsilon, f, g, log_a, log_b, np.ascontiguousarray(flat.T))
    return out.reshape(len(out), *V.shape[1:])


def _plan(kind, A, B, epsilon, f, g, log_a, log_b, V):
    n, m = len(f), len(g)
    if V is None:
        V = np.empty((0, 0))
    rows, products = np.empty(n), np.empty((n, V.shape[0]))
    partial = np.empty((block_count(n), m))
    base, head = _head(f, log_a, epsilon), _head(g, log_b, epsilon)
    run: tuple = (kind, A, B, float(epsilon), base, head, V, rows, partial, products)
    with threads(n * m) as together:
        (_plan_threads if together else _plan_alone)(*run)
    # The exponential is clamped: what reaches the clamp is as good as infinite.
    return _unclamped(rows), _unclamped(partial.sum(axis=0)), products


def _unclamped(sums):
    return np.where(sums < 1e300, sums, np.where(np.isnan(sums), np.nan, np.inf))


def _head(potential, log_mass, epsilon):
    return np.asarray(potential, np.float64) / float(epsilon) + np.asarray(log_mass, np.float64)
