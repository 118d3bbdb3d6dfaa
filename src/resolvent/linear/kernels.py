"""Structure kernels: products, symmetry, splitting and diagonals of a sparse matrix in CSR form.

Every kernel of the family takes plain arrays: ``data`` (float32 or float64), ``indices`` and
``indptr`` (int32 or int64), rows sorted by column and free of duplicates. Nothing is checked here:
lengths and index ranges are the caller's duty.

Indices are cast to unsigned integers before they address an array. A signed index makes Numba
emit the wrap-around of negative indices for every entry, which doubles the time of a product.

``FAST`` lets sums be reordered and multiply-adds be fused. It leaves NaN and infinity alone, so
that a kernel can still see them. Inner loops over one row get only ``CONTRACT``: reordering makes
LLVM vectorise them with gathers, which costs more than rows of five to ten entries can return.
"""

import numba
import numpy as np

FAST = {"reassoc", "contract", "nsz"}
CONTRACT = {"contract"}

RUNNING = 0
"""Kernel status: nothing went wrong; the target may have been reached."""
INDEFINITE = 1
"""Kernel status: a curvature p.Ap or an inner product r.Mr that must be positive was not."""
NON_FINITE = 2
"""Kernel status: a NaN or an infinity appeared."""

ONE = np.uint64(1)
_SPLIT = 2.0**27 + 1  # Dekker's: halves the digits of a float64


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def csr_matvec(data, indices, indptr, x, out):
    """Write A x into ``out`` (length: number of rows)."""
    k = np.uint64(indptr[0])
    for i in range(np.uint64(out.shape[0])):
        total = x.dtype.type(0)
        end = np.uint64(indptr[i + ONE])
        while k < end:
            total += data[k] * x[np.uint64(indices[k])]
            k += ONE
        out[i] = total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def csr_residual(data, indices, indptr, x, b, out):
    """Write b - A x into ``out`` and return its Euclidean norm."""
    square = 0.0
    k = np.uint64(indptr[0])
    for i in range(np.uint64(out.shape[0])):
        total = b[i]
        end = np.uint64(indptr[i + ONE])
        while k < end:
            total -= data[k] * x[np.uint64(indices[k])]
            k += ONE
        out[i] = total
        value = np.float64(total)
        square += value * value
    return np.sqrt(square)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def csr_residual_squares(data, indices, indptr, x, b):
    """||b - A x||^2 and ||b||^2, summed in float64, the largest |b - A x|, and || |A| |x| ||^2.

    The last one, times the square of the machine precision, is what rounding may do to the first.
    """
    square = 0.0
    scale = 0.0
    largest = 0.0
    rounded = 0.0
    k = np.uint64(indptr[0])
    for i in range(np.uint64(b.shape[0])):
        # A x comes first: an x so large that b is lost in its terms must not pass for an answer.
        product = b.dtype.type(0)
        size = b.dtype.type(0)
        end = np.uint64(indptr[i + ONE])
        while k < end:
            term = data[k] * x[np.uint64(indices[k])]
            product += term
            size += abs(term)
            k += ONE
        given = np.float64(b[i])
        scale += given * given
        value = np.float64(b[i] - product)
        square += value * value
        largest = max(largest, abs(value))
        rounded += np.float64(size) * np.float64(size)
    return square, scale, largest, rounded


@numba.njit(cache=True, nogil=True, error_model="numpy")
def csr_residual_square_twofold(data, indices, indptr, x, b):
    """||b - A x||^2 as if formed with twice the digits: exact products and compensated sums.

    Not a number where the splitting of a factor overflows, beyond 1e300.
    """
    square = 0.0
    for i in range(b.shape[0]):
        total = np.float64(b[i])
        lost = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            one = -np.float64(data[k])
            other = np.float64(x[indices[k]])
            product = one * other
            carry = _SPLIT * one
            high = carry - (carry - one)
            low = one - high
            carry = _SPLIT * other
            upper = carry - (carry - other)
            lower = other - upper
            error = low * lower - (((product - high * upper) - low * upper) - high * lower)
            both = total + product
            part = both - total
            lost += error + ((total - (both - part)) + (product - part))
            total = both
        square += (total + lost) * (total + lost)
    return square


@numba.njit(cache=True, nogil=True, error_model="numpy")
def diagonal_positions(indices, indptr, positions):
    """Write the index into ``data`` of every diagonal entry; return how many rows have none.

    A row without a diagonal entry gets -1.
    """
    missing = 0
    for i in range(positions.shape[0]):
        low = np.int64(indptr[i])
        end = np.int64(indptr[i + 1])
        high = end
        # Bisection: long rows are searched in a few probes, short ones cost the same as a scan.
        while low < high:
            middle = (low + high) // 2
            if indices[np.uint64(middle)] < i:
                low = middle + 1
            else:
                high = middle
        if low < end and indices[np.uint64(low)] == i:
            positions[i] = low
        else:
            positions[i] = -1
            missing += 1
    return missing


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _entry(data, indices, indptr, i, j):
    low = np.uint64(indptr[np.uint64(i)])
    end = np.uint64(indptr[np.uint64(i) + ONE])
    high = end
    # Long rows are bisected; a scan of the last few entries mispredicts fewer branches.
    while high - low > np.uint64(16):
        middle = (low + high) >> ONE
        if indices[middle] < j:
            low = middle + ONE
        else:
            high = middle
    while low < end and indices[low] < j:
        low += ONE
    if low < end and indices[low] == j:
        return np.float64(data[low])
    return 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _close(data, indices, indptr, i, j, value, mirror, rtol):
    # An assembled matrix has entries that cancelled to rounding of the diagonal's size, so the
    # diagonal belongs to the scale. It is looked up only where the two entries differ.
    if value == mirror:
        return True
    across = np.sqrt(
        abs(_entry(data, indices, indptr, i, i)) * abs(_entry(data, indices, indptr, j, j))
    )
    scale = max(abs(value), abs(mirror), across)
    return abs(value - mirror) <= rtol * scale


@numba.njit(cache=True, nogil=True, error_model="numpy")
def is_symmetric(data, indices, indptr, rtol):
    """Whether |a_ij - a_ji| <= rtol max(|a_ij|, |a_ji|, sqrt|a_ii a_jj|) for all i, j.

    ``rtol = 0`` asks for equality to the bit. A missing entry counts as zero; NaN is never
    symmetric. One pass over the entries; the first asymmetric pair ends it.
    """
    # Rows are visited in ascending order, so the entries left of the diagonal in row j are asked
    # for in exactly their stored order: one cursor per row replaces every search.
    n = indptr.shape[0] - 1
    cursor = np.empty(n, indptr.dtype)
    for i in range(n):
        cursor[i] = indptr[i]
    for i in range(n):
        iu = np.uint64(i)
        k = np.uint64(cursor[iu])
        end = np.uint64(indptr[iu + ONE])
        # What is left below the diagonal found no partner above it.
        while k < end and indices[k] < i:
            if not _close(data, indices, indptr, i, indices[k], np.float64(data[k]), 0.0, rtol):
                return False
            k += ONE
        if k < end and indices[k] == i:
            if not data[k] == data[k]:
                return False
            k += ONE
        while k < end:
            j = np.uint64(indices[k])
            value = data[k]
            m = np.uint64(cursor[j])
            last = np.uint64(indptr[j + ONE])
            while m < last and indices[m] < i:
                other = np.float64(data[m])
                if not _close(data, indices, indptr, indices[k], indices[m], other, 0.0, rtol):
                    return False
                m += ONE
            mirror = data.dtype.type(0)
            if m < last and indices[m] == i:
                mirror = data[m]
                m += ONE
            cursor[j] = m
            if value != mirror:
                left = np.float64(value)
                right = np.float64(mirror)
                if not _close(data, indices, indptr, i, indices[k], left, right, rtol):
                    return False
            k += ONE
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def is_symmetric_at(data, indices, indptr, stride, rtol):
    """`is_symmetric`, but only of the rows 0, stride, 2 stride, ... and their mirror entries."""
    for i in range(0, indptr.shape[0] - 1, stride):
        for k in range(np.int64(indptr[i]), np.int64(indptr[i + 1])):
            j = np.int64(indices[np.uint64(k)])
            value = np.float64(data[np.uint64(k)])
            mirror = _entry(data, indices, indptr, j, i)
            if not _close(data, indices, indptr, i, j, value, mirror, rtol):
                return False
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def diagonal_range(data, indices, indptr):
    """The least diagonal entry and the least absolute value of one; an absent one counts as 0."""
    least = np.inf
    smallest = np.inf
    k = np.uint64(indptr[0])
    for i in range(indptr.shape[0] - 1):
        end = np.uint64(indptr[np.uint64(i) + ONE])
        value = 0.0
        while k < end:
            if indices[k] == i:
                value = np.float64(data[k])
            k += ONE
        least = min(least, value)
        smallest = min(smallest, abs(value))
    return least, smallest


@numba.njit(cache=True, nogil=True, error_model="numpy")
def split(data, indices, indptr):
    """Strictly lower triangle (data, indices, indptr) and diagonal (zero where none is stored).

    For a symmetric matrix these hold everything in half of the memory, and memory is what a
    product costs: the kernels on this half storage are the fast ones.
    """
    n = indptr.shape[0] - 1
    rows = np.empty(n + 1, indptr.dtype)
    diagonal = np.zeros(n, data.dtype)
    count = 0
    rows[0] = 0
    k = np.uint64(indptr[0])
    for i in range(n):
        end = np.uint64(indptr[np.uint64(i) + ONE])
        while k < end and indices[k] < i:
            count += 1
            k += ONE
        if k < end and indices[k] == i:
            diagonal[i] = data[k]
        k = end
        rows[np.uint64(i) + ONE] = count
    lower = np.empty(count, data.dtype)
    columns = np.empty(count, indices.dtype)
    m = np.uint64(0)
    for i in range(n):
        iu = np.uint64(i)
        k = np.uint64(indptr[iu])
        last = np.uint64(rows[iu + ONE])
        while m < last:
            lower[m] = data[k]
            columns[m] = indices[k]
            k += ONE
            m += ONE
    return lower, columns, rows, diagonal


@numba.njit(cache=True, nogil=True, error_model="numpy")
def split_dense(matrix):
    """`split` of a dense matrix; every entry below the diagonal is stored."""
    n = matrix.shape[0]
    rows = np.empty(n + 1, np.int32)
    diagonal = np.empty(n, matrix.dtype)
    lower = np.empty(n * (n - 1) // 2, matrix.dtype)
    columns = np.empty(n * (n - 1) // 2, np.int32)
    count = 0
    for i in range(n):
        rows[i] = count
        for j in range(i):
            lower[count] = matrix[i, j]
            columns[count] = j
            count += 1
        diagonal[i] = matrix[i, i]
    rows[n] = count
    return lower, columns, rows, diagonal


@numba.njit(cache=True, nogil=True, error_model="numpy")
def inspect_dense(matrix):
    """The largest |a_ij - a_ji| and |a_ij|, and the least and least absolute diagonal entry."""
    gap = 0.0
    largest = 0.0
    least = np.inf
    smallest = np.inf
    for i in range(matrix.shape[0]):
        for j in range(i):
            left = np.float64(matrix[i, j])
            right = np.float64(matrix[j, i])
            gap = max(gap, abs(left - right))
            largest = max(largest, abs(left), abs(right))
        value = np.float64(matrix[i, i])
        largest = max(largest, abs(value))
        least = min(least, value)
        smallest = min(smallest, abs(value))
    return gap, largest, least, smallest


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def symmetric_matvec(lower_data, lower_indices, lower_indptr, diagonal, x, out):
    """Write (L + D + L^T) x into ``out`` from the strictly lower triangle and the diagonal."""
    k = np.uint64(0)
    for i in range(np.uint64(out.shape[0])):
        here = x[i]
        total = diagonal[i] * here
        end = np.uint64(lower_indptr[i + ONE])
        while k < end:
            j = np.uint64(lower_indices[k])
            entry = lower_data[k]
            total += entry * x[j]
            out[j] += entry * here
            k += ONE
        out[i] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def count_diagonals(indices, indptr, limit, offsets, counts):
    """Offsets j - i that hold entries, ascending, and the number of entries on each.

    ``offsets`` and ``counts`` need length ``limit``. Returns the number of diagonals, or
    ``limit + 1`` as soon as there are more than ``limit``: a matrix without the structure costs
    only the rows up to that point.
    """
    found = np.uint64(0)
    for i in range(indptr.shape[0] - 1):
        slot = np.uint64(0)
        for k in range(np.uint64(indptr[i]), np.uint64(indptr[i + 1])):
            offset = np.int64(indices[k]) - i
            # Both the row and the offsets ascend, so one merge serves the whole row.
            while slot < found and offsets[slot] < offset:
                slot += ONE
            if slot < found and offsets[slot] == offset:
                counts[slot] += 1
            else:
                if found == np.uint64(limit):
                    return np.int64(limit) + 1
                m = found
                while m > slot:
                    offsets[m] = offsets[m - ONE]
                    counts[m] = counts[m - ONE]
                    m -= ONE
                offsets[slot] = offset
                counts[slot] = 1
                found += ONE
            slot += ONE
    return np.int64(found)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def csr_to_diagonals(data, indices, indptr, offsets, diagonals):
    """Fill ``diagonals[d, i] = A[i, i + offsets[d]]`` (zeros elsewhere).

    Stored by row, unlike SciPy's DIA format, which is stored by column. Every offset of the
    matrix must be in ``offsets``, ascending; ``diagonals`` has shape (number of offsets, rows).
    """
    for i in range(np.uint64(indptr.shape[0] - 1)):
        k = np.uint64(indptr[i])
        end = np.uint64(indptr[i + ONE])
        for d in range(np.uint64(offsets.shape[0])):
            if k < end and np.int64(indices[k]) - np.int64(i) == offsets[d]:
                diagonals[d, i] = data[k]
                k += ONE
            else:
                diagonals[d, i] = data.dtype.type(0)
