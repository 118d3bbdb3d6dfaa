"""Numba kernels of the perceptron: one pass over the samples."""

import math

import numba


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _dot(one, other, size):
    total = one[0] * other[0]
    for j in range(1, size):
        total += one[j] * other[j]
    return total


@numba.njit(cache=True)
def dense_pass(X, y, constant, rounding, lengths, theta, added):
    """Add y_i (x_i, constant) to theta wherever its margin is no more than rounding; in place.

    The constant is left out where theta has no place for it. Counts what was added in `added`, and
    returns the sum of that.
    """
    n, p = X.shape
    free = theta.size > p
    size = math.sqrt(_dot(theta, theta, theta.size))
    mistakes = 0
    for i in range(n):
        row = X[i]
        margin = _dot(row, theta, p)
        if free:
            margin += constant * theta[p]
        if not y[i] * margin > rounding * lengths[i] * size:
            for j in range(p):
                theta[j] += y[i] * row[j]
            if free:
                theta[p] += y[i] * constant
            size = math.sqrt(_dot(theta, theta, theta.size))
            added[i] += 1
            mistakes += 1
    return mistakes


@numba.njit(cache=True)
def sparse_pass(data, columns, starts, y, constant, rounding, lengths, theta, added):
    """The same for a sparse X by compressed rows."""
    free = constant > 0.0
    last = theta.size - 1
    square = _dot(theta, theta, theta.size)
    mistakes = 0
    for i in range(y.size):
        margin = constant * theta[last] if free else 0.0 * theta[last]
        for at in range(starts[i], starts[i + 1]):
            margin += data[at] * theta[columns[at]]
        margin *= y[i]
        if not margin > rounding * lengths[i] * math.sqrt(square):
            for at in range(starts[i], starts[i + 1]):
                theta[columns[at]] += y[i] * data[at]
            if free:
                theta[last] += y[i] * constant
            square = max(square + 2.0 * margin + lengths[i] * lengths[i], 0.0)
            added[i] += 1
            mistakes += 1
    return mistakes
