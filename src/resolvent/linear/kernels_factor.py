"""Incomplete Cholesky factorization without fill, and triangular solves.

The factor is kept as L S L^T with L unit lower triangular on the pattern of A and S diagonal (the
pivots). Against the classical factor L S^(1/2) this needs no square roots, and a sweep's recursion
passes one multiply-add a row instead of a multiply-add and a division.
"""

import numba
import numpy as np

from resolvent.linear.kernels import CONTRACT, ONE


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def ic0_factor(
    lower_data, lower_indices, lower_indptr, diagonal, shift, floor, factor, pivots, work
):
    """Factor A + shift diag(A) on its pattern; return the row that broke down, or -1.

    A pivot must exceed ``floor`` times its own diagonal entry. ``factor`` has the shape of
    ``lower_data``; ``work`` (length n) must be zero on entry and is zero again on return.
    """
    n = diagonal.shape[0]
    raised = diagonal.dtype.type(1.0 + shift)
    threshold = diagonal.dtype.type(floor)
    for i in range(n):
        iu = np.uint64(i)
        begin = np.uint64(lower_indptr[iu])
        end = np.uint64(lower_indptr[iu + ONE])
        pivot = raised * diagonal[iu]
        for k in range(begin, end):
            j = np.uint64(lower_indices[k])
            # work holds the unscaled entries of row i left of j, and zeros outside its pattern:
            # the sparse product of rows i and j needs no merge.
            value = lower_data[k]
            for m in range(np.uint64(lower_indptr[j]), np.uint64(lower_indptr[j + ONE])):
                value -= factor[m] * work[np.uint64(lower_indices[m])]
            work[j] = value
            scaled = value / pivots[j]
            factor[k] = scaled
            pivot -= scaled * value
        for k in range(begin, end):
            work[np.uint64(lower_indices[k])] = diagonal.dtype.type(0)
        if not (diagonal[iu] > 0 and np.isfinite(pivot) and pivot > threshold * diagonal[iu]):
            return i
        pivots[iu] = pivot
    return -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ic0(lower_data, lower_indices, lower_indptr, diagonal, first, attempts, floor, factor, pivots):
    """Incomplete Cholesky with Manteuffel's shift: 0, then ``first`` doubled until it succeeds.

    Returns ``(row, shift, tries)``: row -1 on success, else the row at which the last of
    ``attempts`` tries broke down. A diagonal entry that is not positive ends the search at once,
    since a multiple of the diagonal cannot mend it.
    """
    work = np.zeros_like(diagonal)
    shift = 0.0
    row = -1
    tries = 0
    while tries < attempts:
        row = ic0_factor(
            lower_data, lower_indices, lower_indptr, diagonal, shift, floor, factor, pivots, work
        )
        tries += 1
        if row < 0 or not diagonal[row] > 0:
            return row, shift, tries
        if tries < attempts:
            shift = first if shift == 0.0 else 2.0 * shift
    return row, shift, tries


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def unit_lower_solve(lower_data, lower_indices, lower_indptr, r, z):
    """Solve (I + L) z = r; ``z`` may be ``r``."""
    k = np.uint64(0)
    for i in range(np.uint64(r.shape[0])):
        total = r[i]
        end = np.uint64(lower_indptr[i + ONE])
        while k < end:
            total -= lower_data[k] * z[np.uint64(lower_indices[k])]
            k += ONE
        z[i] = total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def unit_lower_transpose_solve(lower_data, lower_indices, lower_indptr, r, z):
    """Solve (I + L)^T z = r; ``z`` may be ``r``."""
    n = np.uint64(r.shape[0])
    for i in range(n):
        z[i] = r[i]
    k = np.uint64(lower_indptr[n])
    for m in range(n):
        i = n - ONE - m
        value = z[i]
        begin = np.uint64(lower_indptr[i])
        while k > begin:
            k -= ONE
            z[np.uint64(lower_indices[k])] -= lower_data[k] * value


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def ic0_apply(factor, lower_indices, lower_indptr, inverse_pivots, r, z):
    """Write (L S L^T)^-1 r into ``z``; ``z`` may be ``r``."""
    n = np.uint64(r.shape[0])
    k = np.uint64(0)
    for i in range(n):
        total = r[i]
        end = np.uint64(lower_indptr[i + ONE])
        while k < end:
            total -= factor[k] * z[np.uint64(lower_indices[k])]
            k += ONE
        z[i] = total
    for i in range(n):
        z[i] *= inverse_pivots[i]
    k = np.uint64(lower_indptr[n])
    for m in range(n):
        i = n - ONE - m
        value = z[i]
        begin = np.uint64(lower_indptr[i])
        while k > begin:
            k -= ONE
            z[np.uint64(lower_indices[k])] -= factor[k] * value
