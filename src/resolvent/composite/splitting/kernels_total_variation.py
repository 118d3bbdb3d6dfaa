"""Accelerated projected gradients for total variation: one pass over the image a step.

A field p = (down, right) of dual vectors is 0 where a difference would leave the image: down in its
last row, right in its last column. The image that belongs to it is b + div p.
"""

import numba
import numpy as np

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
_SUMS = {**_OPTIONS, "fastmath": {"contract", "reassoc"}}  # in double precision, in any order


# Short loops over rows, which stay in the cache: each is simple enough to become vector code.


@numba.njit(**_OPTIONS)
def _sum(out, a, b, c):
    for j in range(out.size):
        out[j] = a[j] + b[j] + c[j]


@numba.njit(**_OPTIONS)
def _less(out, a):
    for j in range(out.size):
        out[j] -= a[j]


@numba.njit(**_OPTIONS)
def _ahead(out, start, near, here, step):
    for j in range(out.size):
        out[j] = start[j] + step * (near[j] - here[j])


@numba.njit(**_OPTIONS)
def _shares(out, down, right, bar):
    least = bar * bar
    for j in range(out.size):
        square = down[j] * down[j] + right[j] * right[j]
        square = square if square > least else least
        out[j] = bar / np.sqrt(square)


@numba.njit(**_OPTIONS)
def _clipped(out, bar):
    for j in range(out.size):
        value = out[j]
        value = value if value < bar else bar
        out[j] = value if value > -bar else -bar


@numba.njit(**_OPTIONS)
def _moved(ahead, point, new, share, momentum):
    for j in range(ahead.size):
        value = new[j] * share[j]
        ahead[j] = value + momentum * (value - point[j])
        point[j] = value


@numba.njit(**_OPTIONS)
def _row(x, i, b, down, right):
    """Row i of b + div (down, right)."""
    _sum(x, b[i], down[i], right[i])
    if i > 0:
        _less(x, down[i - 1])
    _less(x[1:], right[i, : x.size - 1])


@numba.njit(**_OPTIONS)
def sweep(b, down, right, down_ahead, right_ahead, bar, momentum, isotropic):
    """One projected gradient step from the field ahead, and the next field ahead, in place."""
    h, w = b.shape
    eighth = b.dtype.type(0.125)  # D D^T has no eigenvalue above 8
    here, near = np.empty(w, b.dtype), np.empty(w, b.dtype)
    new_down, new_right = np.zeros(w, b.dtype), np.zeros(w, b.dtype)
    shares = np.ones(w, b.dtype)
    _row(here, 0, b, down_ahead, right_ahead)
    for i in range(h):
        if i + 1 < h:
            # Before the row above it moves.
            _row(near, i + 1, b, down_ahead, right_ahead)
            _ahead(new_down, down_ahead[i], near, here, eighth)
        else:
            new_down[:] = 0
        _ahead(new_right[: w - 1], right_ahead[i, : w - 1], here[1:], here[: w - 1], eighth)
        if isotropic:
            _shares(shares, new_down, new_right, bar)
        else:
            _clipped(new_down, bar)
            _clipped(new_right, bar)
        _moved(down_ahead[i], down[i], new_down, shares, momentum)
        _moved(right_ahead[i], right[i], new_right, shares, momentum)
        here, near = near, here


@numba.njit(**_OPTIONS)
def _lengths(out, down, right, bar, isotropic):
    """bar times the lengths of vectors."""
    if isotropic:
        for j in range(out.size):
            out[j] = bar * np.sqrt(down[j] * down[j] + right[j] * right[j])
    else:
        for j in range(out.size):
            out[j] = bar * (abs(down[j]) + abs(right[j]))


@numba.njit(**_OPTIONS)
def _rests(out, down, right, p, q):
    """What inner products with the dual vectors leave of the lengths: at least 0, but for rounding;
    written so that NaN stays."""
    for j in range(out.size):
        rest = out[j] - down[j] * p[j] - right[j] * q[j]
        out[j] = 0 if rest < 0 else rest


@numba.njit(**_SUMS)
def _total(row):
    total = 0.0
    for j in range(row.size):
        total += row[j]
    return total


@numba.njit(**_SUMS)
def _along(slope, ahead, point):
    """The inner product of a slope with the way ahead."""
    total = 0.0
    for j in range(slope.size):
        total += slope[j] * (ahead[j] - point[j])
    return total


@numba.njit(**_OPTIONS)
def judged(b, down, right, down_ahead, right_ahead, bar, isotropic):
    """The duality gap of a field and its image, the lengths in it, and whether the field ahead lies
    downhill: its inner product with the negative gradient."""
    h, w = b.shape
    one = b.dtype.type(1)
    here, near, terms = np.empty(w, b.dtype), np.empty(w, b.dtype), np.empty(w, b.dtype)
    d, r, nothing = np.zeros(w, b.dtype), np.zeros(w, b.dtype), np.zeros(w, b.dtype)
    gap, lengths, downhill = 0.0, 0.0, 0.0
    _row(here, 0, b, down, right)
    for i in range(h):
        if i + 1 < h:
            _row(near, i + 1, b, down, right)
            _ahead(d, nothing, near, here, one)
        else:
            d[:] = 0
        _ahead(r[: w - 1], nothing[: w - 1], here[1:], here[: w - 1], one)
        _lengths(terms, d, r, bar, isotropic)
        lengths += _total(terms)
        _rests(terms, d, r, down[i], right[i])
        gap += _total(terms)
        downhill += _along(d, down_ahead[i], down[i]) + _along(r, right_ahead[i], right[i])
        here, near = near, here
    return gap, lengths, downhill
