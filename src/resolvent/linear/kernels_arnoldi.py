"""Compiled kernels of the Arnoldi process: orthogonalization and Givens updates."""

import math

import numba
import numpy as np

# Reassociation lets LLVM vectorize the dot products. NaN and infinity keep their meaning,
# because a residual that is not finite must stay visible to the caller.
_FAST = {"reassoc", "contract", "nsz"}

# A block of this many entries of every basis vector stays in the second-level cache between
# the subtraction and the second projection, so the basis is streamed twice, not three times.
_BLOCK = 1024


@numba.njit(cache=True, fastmath=_FAST)
def _dot(left, right):
    total = left.dtype.type(0.0)
    for p in range(left.shape[0]):
        total += left[p] * right[p]
    return total


@numba.njit(cache=True, fastmath=_FAST)
def _subtract(row, factor, vector):
    for p in range(row.shape[0]):
        vector[p] -= factor * row[p]


@numba.njit(cache=True, fastmath=_FAST)
def _subtract_four(row0, row1, row2, row3, factors, vector):
    # Four rows a sweep: the vector is loaded and stored once for four multiply-adds.
    factor0, factor1, factor2, factor3 = factors[0], factors[1], factors[2], factors[3]
    for p in range(vector.shape[0]):
        vector[p] -= factor0 * row0[p] + factor1 * row1[p] + factor2 * row2[p] + factor3 * row3[p]


@numba.njit(cache=True, fastmath=_FAST)
def _dot_four(row0, row1, row2, row3, vector, sums):
    zero = vector.dtype.type(0.0)
    total0, total1, total2, total3 = zero, zero, zero, zero
    for p in range(vector.shape[0]):
        value = vector[p]
        total0 += row0[p] * value
        total1 += row1[p] * value
        total2 += row2[p] * value
        total3 += row3[p] * value
    sums[0] += total0
    sums[1] += total1
    sums[2] += total2
    sums[3] += total3


# The row views are cut from `basis` itself: a slice of a two-dimensional slice would lose the
# unit stride that vector loads need.
@numba.njit(cache=True, fastmath=_FAST)
def _dot_rows(basis, count, start, stop, piece, sums):
    whole = count - count % 4
    for i in range(0, whole, 4):
        _dot_four(
            basis[i, start:stop],
            basis[i + 1, start:stop],
            basis[i + 2, start:stop],
            basis[i + 3, start:stop],
            piece,
            sums[i : i + 4],
        )
    for i in range(whole, count):
        sums[i] += _dot(basis[i, start:stop], piece)


@numba.njit(cache=True, fastmath=_FAST)
def _subtract_rows(basis, count, start, stop, factors, piece):
    whole = count - count % 4
    for i in range(0, whole, 4):
        _subtract_four(
            basis[i, start:stop],
            basis[i + 1, start:stop],
            basis[i + 2, start:stop],
            basis[i + 3, start:stop],
            factors[i : i + 4],
            piece,
        )
    for i in range(whole, count):
        _subtract(basis[i, start:stop], factors[i], piece)


@numba.njit(cache=True, fastmath=_FAST)
def _project(basis, count, vector, coefficients):
    length = vector.shape[0]
    for i in range(count):
        coefficients[i] = 0.0
    for start in range(0, length, 4 * _BLOCK):
        stop = min(start + 4 * _BLOCK, length)
        _dot_rows(basis, count, start, stop, vector[start:stop], coefficients)


@numba.njit(cache=True, fastmath=_FAST)
def _subtract_and_project(basis, count, vector, coefficients, leftovers):
    """Subtract the projection, project what is left again, and return its squared norm."""
    length = vector.shape[0]
    squares = 0.0
    for i in range(count):
        leftovers[i] = 0.0
    for start in range(0, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        piece = vector[start:stop]
        _subtract_rows(basis, count, start, stop, coefficients, piece)
        _dot_rows(basis, count, start, stop, piece, leftovers)
        squares += _dot(piece, piece)
    return squares


@numba.njit(cache=True)
def orthogonalize(basis, count, vector, coefficients, leftovers, tolerance):
    """Make `vector` orthogonal to the first `count` rows of `basis`; return its norm.

    Classical Gram-Schmidt. The second projection is always computed (it comes with the
    subtraction of the first, from cache) and measures how orthogonal the result is; it is
    subtracted where it exceeds `tolerance` relative to the norm.
    """
    _project(basis, count, vector, coefficients)
    norm = math.sqrt(_subtract_and_project(basis, count, vector, coefficients, leftovers))
    for _ in range(2):
        defect = 0.0
        for i in range(count):
            defect += leftovers[i] * leftovers[i]
        if not math.sqrt(defect) > tolerance * norm:
            break
        for i in range(count):
            coefficients[i] += leftovers[i]
        swap = leftovers.copy()
        norm = math.sqrt(_subtract_and_project(basis, count, vector, swap, leftovers))
    return norm


@numba.njit(cache=True)
def arnoldi_step(
    basis,
    recycled,
    position,
    projections,
    triangle,
    rotations,
    reduced,
    leftovers,
    tolerance,
    breakdown,
):
    """One Arnoldi step with its Givens update; return (residual estimate, broke down).

    `basis` holds the recycled C in its first `recycled` rows and V after them, then the image of
    the last vector, which becomes the next one in place; row `position` of `projections` receives
    its coefficients against the rows before it, then its norm.
    """
    count = recycled + position + 1
    column = projections[position]
    vector = basis[count]
    scale = math.sqrt(_dot(vector, vector))
    norm = orthogonalize(basis, count, vector, column, leftovers, tolerance)
    broken = not norm > breakdown * scale
    if broken:
        norm = 0.0 * norm
    column[count] = norm
    # Rows are reused by later cycles, whose columns may start elsewhere.
    column[count + 1 :] = 0.0
    if not broken:
        inverse = vector.dtype.type(1.0 / norm)
        for p in range(vector.shape[0]):
            vector[p] *= inverse
    row = triangle[position]
    for i in range(position + 1):
        row[i] = column[recycled + i]
    for i in range(position):
        cosine, sine = rotations[i, 0], rotations[i, 1]
        upper = cosine * row[i] + sine * row[i + 1]
        row[i + 1] = cosine * row[i + 1] - sine * row[i]
        row[i] = upper
    radius = math.hypot(row[position], norm)
    if radius == 0.0:
        # A zero column: the operator is singular on the space; this direction carries nothing.
        rotations[position, 0], rotations[position, 1] = 1.0, 0.0
    else:
        rotations[position, 0] = row[position] / radius
        rotations[position, 1] = norm / radius
    row[position] = radius
    tail = reduced[position]
    reduced[position] = rotations[position, 0] * tail
    reduced[position + 1] = -rotations[position, 1] * tail
    return abs(reduced[position + 1]), broken


@numba.njit(cache=True)
def back_substitute(triangle, count, reduced, solution):
    """Solve R y = g where row j of `triangle` is column j of R; zero pivots give zero."""
    largest = 0.0
    for j in range(count):
        largest = max(largest, abs(triangle[j, j]))
    floor = largest * np.finfo(solution.dtype).eps
    for j in range(count):
        solution[j] = reduced[j]
    for j in range(count - 1, -1, -1):
        if abs(triangle[j, j]) > floor:
            solution[j] /= triangle[j, j]
        else:
            solution[j] = 0.0
        for i in range(j):
            solution[i] -= triangle[j, i] * solution[j]


# Below: products of a few long rows. BLAS would start threads for whole rows, which on a machine
# with other work wait for each other many times longer than the product takes: it gets panels
# of them with less than the multiplications from which OpenBLAS starts a second thread.
_PANEL = 256
_SERIAL = 250_000
_WIDEST = 1024
_FEW = 4  # rows: for fewer a panel's copy costs more than the tiles of BLAS gain


# One output a sweep: with more, LLVM gives up telling apart the memory of outputs and inputs.
@numba.njit(cache=True, fastmath=_FAST)
def _add_eight(row0, row1, row2, row3, row4, row5, row6, row7, weights, j, out):
    w0, w1, w2, w3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
    w4, w5, w6, w7 = weights[j + 4], weights[j + 5], weights[j + 6], weights[j + 7]
    for p in range(out.shape[0]):
        out[p] += (
            w0 * row0[p] + w1 * row1[p] + w2 * row2[p] + w3 * row3[p]
            + w4 * row4[p] + w5 * row5[p] + w6 * row6[p] + w7 * row7[p]
        )  # fmt: skip


@numba.njit(cache=True, fastmath=_FAST)
def _add_products(weights, rows, start, stop, out):
    """Add weights @ rows[:, start:stop] to the first rows of `out`."""
    count, inner = weights.shape
    width = stop - start
    wide = inner - inner % 8
    for j in range(0, wide, 8):
        row0, row1 = rows[j, start:stop], rows[j + 1, start:stop]
        row2, row3 = rows[j + 2, start:stop], rows[j + 3, start:stop]
        row4, row5 = rows[j + 4, start:stop], rows[j + 5, start:stop]
        row6, row7 = rows[j + 6, start:stop], rows[j + 7, start:stop]
        for i in range(count):
            _add_eight(
                row0, row1, row2, row3, row4, row5, row6, row7, weights[i], j, out[i, :width]
            )
    for j in range(wide, inner):
        for i in range(count):
            _subtract(rows[j, start:stop], -weights[i, j], out[i, :width])


@numba.njit(cache=True)
def _width(count, inner):
    """Columns of a panel so that its product stays below the size from which BLAS takes threads."""
    return max(16, min(_WIDEST, _SERIAL // (max(count, 1) * max(inner, 1))) // 8 * 8)


@numba.njit(cache=True)
def _copy_panel(rows, start, stop, panel):
    for i in range(rows.shape[0]):
        for p in range(stop - start):
            panel[i, p] = rows[i, start + p]


@numba.njit(cache=True)
def combine(weights, rows, out):
    """Write weights @ rows to the first rows of `out`, which may be `rows` itself."""
    count, inner = weights.shape
    length = rows.shape[1]
    few = count < _FEW
    width = _PANEL if few else _width(count, inner)
    source = np.zeros((0 if few else inner, width), rows.dtype)
    piece = np.zeros((count, width), rows.dtype)
    factors = np.ascontiguousarray(weights)
    for start in range(0, length, width):
        stop = min(start + width, length)
        if few:
            piece[:] = 0.0
            _add_products(weights, rows, start, stop, piece)
        else:
            _copy_panel(rows, start, stop, source)
            np.dot(factors, source, piece)
        for i in range(count):
            out[i, start:stop] = piece[i, : stop - start]


@numba.njit(cache=True)
def combine_two(weights, rows, more_weights, more_rows, out):
    """Write weights @ rows + more_weights @ more_rows to `out`, which may share their memory."""
    count, first = weights.shape
    inner, length = first + more_weights.shape[1], rows.shape[1]
    few = count < _FEW
    width = _PANEL if few else _width(count, inner)
    source = np.zeros((0 if few else inner, width), rows.dtype)
    piece = np.zeros((count, width), rows.dtype)
    factors = np.empty((count, inner), weights.dtype)
    factors[:, :first] = weights
    factors[:, first:] = more_weights
    for start in range(0, length, width):
        stop = min(start + width, length)
        if few:
            piece[:] = 0.0
            _add_products(weights, rows, start, stop, piece)
            _add_products(more_weights, more_rows, start, stop, piece)
        else:
            _copy_panel(rows, start, stop, source[:first])
            _copy_panel(more_rows, start, stop, source[first:])
            np.dot(factors, source, piece)
        for i in range(count):
            out[i, start:stop] = piece[i, : stop - start]


@numba.njit(cache=True)
def inner_products(left, right):
    """left @ right.T, both with long rows."""
    count, more, length = left.shape[0], right.shape[0], left.shape[1]
    if more < _FEW or count < _FEW:
        products = np.zeros((more, count), left.dtype)
        for start in range(0, length, 8 * _PANEL):
            stop = min(start + 8 * _PANEL, length)
            for i in range(more):
                _dot_rows(left, count, start, stop, right[i, start:stop], products[i])
        return products.T.copy()
    width = min(_width(count, more), length)
    first = np.zeros((count, width), left.dtype)
    second = np.zeros((more, width), left.dtype)
    total = np.zeros((count, more), left.dtype)
    part = np.empty((count, more), left.dtype)
    for start in range(0, length, width):
        stop = min(start + width, length)
        if stop - start < width:
            first[:] = 0.0
            second[:] = 0.0
        _copy_panel(left, start, stop, first)
        _copy_panel(right, start, stop, second)
        np.dot(first, second.T, part)
        total += part
    return total


@numba.njit(cache=True, fastmath=_FAST)
def long_norm(vector):
    """Euclidean norm."""
    return math.sqrt(_dot(vector, vector))


@numba.njit(cache=True)
def solve_lower(lower, right):
    """Overwrite the small matrix `right` with L^-1 right; no pivot may be zero."""
    for i in range(lower.shape[0]):
        for j in range(i):
            _subtract(right[j], lower[i, j], right[i])
        right[i] /= lower[i, i]


@numba.njit(cache=True)
def solve_upper(upper, right):
    """Overwrite the small matrix `right` with R^-1 right; no pivot may be zero."""
    for i in range(upper.shape[0] - 1, -1, -1):
        for j in range(i + 1, upper.shape[0]):
            _subtract(right[j], upper[i, j], right[i])
        right[i] /= upper[i, i]
