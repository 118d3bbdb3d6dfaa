"""Numba kernels of descent along groups of coordinates."""

import math

import numba
import numpy as np


@numba.njit(cache=True)
def bounds(gram, starts, out):
    """For each group, a bound of the largest eigenvalue of its block."""
    for b in range(starts.size - 1):
        begin, end = starts[b], starts[b + 1]
        most, total = 0.0, 0.0
        for i in range(begin, end):
            size = 0.0
            for j in range(begin, end):
                size += abs(gram[i, j])
                total += gram[i, j] * gram[i, j]
            most = max(most, size)
        out[b] = min(most, math.sqrt(total))


@numba.njit(cache=True)
def group_epochs(gram, g, w, starts, bars, curvatures, epochs, least):
    """Cyclic descent on w^T gram w / 2, its gradient g kept beside w, plus bars_b |w_b|; in place.

    Coordinates before the first group have no penalty. In a group the quadratic is replaced by one
    above it of the group's curvature. Ends after an epoch that gains no more than `least`. Returns
    the gain of the last epoch.
    """
    gain, size = 0.0, w.size
    longest = 1
    for b in range(starts.size - 1):
        longest = max(longest, starts[b + 1] - starts[b])
    moves = np.empty(longest, w.dtype)
    for _ in range(epochs):
        gain = 0.0
        for j in range(starts[0]):
            if gram[j, j] <= 0.0:
                continue
            move = -g[j] / gram[j, j]
            w[j] += move
            gain += 0.5 * gram[j, j] * move * move
            row = gram[j]
            for i in range(size):
                g[i] += move * row[i]
        for b in range(starts.size - 1):
            begin, end, curvature = starts[b], starts[b + 1], curvatures[b]
            if curvature <= 0.0:
                continue
            square = 0.0
            for j in range(begin, end):
                u = w[j] - g[j] / curvature
                square += u * u
            length = math.sqrt(square)
            cut = bars[b] / curvature
            share = 1.0 - cut / length if length > cut else 0.0
            moved = 0.0
            for j in range(begin, end):
                move = share * (w[j] - g[j] / curvature) - w[j]
                moves[j - begin] = move
                moved += move * move
            if moved == 0.0:
                continue
            gain += 0.5 * curvature * moved
            for j in range(begin, end):
                move = moves[j - begin]
                # Zero to the digit where the whole group is.
                w[j] = w[j] + move if share > 0.0 else 0.0
                row = gram[j]
                for i in range(size):
                    g[i] += move * row[i]
        if gain <= least:
            break
    return gain


@numba.njit(cache=True)
def block_bounds(block, weights, ridge, starts, free, out):
    """The bounds of groups of dense columns [n, k], which begin behind `free` coordinates."""
    n = block.shape[0]
    for b in range(starts.size - 1):
        begin, end = starts[b] - free, starts[b + 1] - free
        size = end - begin
        gram = np.empty((size, size), block.dtype)
        for i in range(size):
            for j in range(i + 1):
                gram[i, j] = _weighted_dot(block[:, begin + i], block[:, begin + j], weights, n)
                gram[j, i] = gram[i, j]
        most, total = 0.0, 0.0
        for i in range(size):
            row = 0.0
            for j in range(size):
                row += abs(gram[i, j])
                total += gram[i, j] * gram[i, j]
            most = max(most, row)
        out[b] = min(most, math.sqrt(total)) + ridge


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _weighted_dot(one, other, weights, n):
    total = one[0] * other[0] * weights[0]
    for i in range(1, n):
        total += one[i] * other[i] * weights[i]
    return total


@numba.njit(cache=True)
def column_epochs(
    block, curvatures, ridge, weights, fit, g, w, starts, bars, epochs, least
):  # fmt: skip
    """The same descent on dense columns [n, k], without a Gram matrix.

    The model is g . (w - base) + sum of weights fit^2 / 2 + ridge |w|^2 / 2, and
    fit = X (w - base) is kept. There is one coordinate before the first group, an intercept, or
    none.
    """
    n = block.shape[0]
    free = starts[0]
    gain = 0.0
    longest = 1
    for b in range(starts.size - 1):
        longest = max(longest, starts[b + 1] - starts[b])
    near = np.empty(longest, w.dtype)
    total = weights.sum()
    for _ in range(epochs):
        gain = 0.0
        if free:
            slope = g[0]
            for i in range(n):
                slope += weights[i] * fit[i]
            move = -slope / total
            w[0] += move
            gain += 0.5 * total * move * move
            for i in range(n):
                fit[i] += move
        for b in range(starts.size - 1):
            begin, end, curvature = starts[b], starts[b + 1], curvatures[b]
            if curvature <= 0.0:
                continue
            square = 0.0
            for j in range(begin, end):
                slope = g[j] + ridge * w[j] + _weighted_dot(block[:, j - free], fit, weights, n)
                u = w[j] - slope / curvature
                near[j - begin] = u
                square += u * u
            length = math.sqrt(square)
            cut = bars[b] / curvature
            share = 1.0 - cut / length if length > cut else 0.0
            for j in range(begin, end):
                move = share * near[j - begin] - w[j]
                if move != 0.0:
                    gain += 0.5 * curvature * move * move
                    w[j] = share * near[j - begin]
                    column = block[:, j - free]
                    for i in range(n):
                        fit[i] += move * column[i]
        if gain <= least:
            break
    return gain
