"""Numba kernels of dual coordinate descent: one visit of some samples, in any order."""

import numba


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _dot(row, w):
    total = row[0] * w[0]
    for j in range(1, w.size):
        total += row[j] * w[j]
    return total


@numba.njit(cache=True)
def dense_visits(X, order, y, low, high, bend, shares, curvatures, v, w):
    """Make the dual objective largest along v_i for each i of `order`; in place.

    w = -sum of shares_i v_i x_i is kept beside v. Returns the largest change of a v_i.
    """
    most = 0.0
    for at in range(order.size):
        i = order[at]
        if curvatures[i] <= 0.0:
            continue
        row = X[i]
        new = v[i] + (_dot(row, w) - y[i] - bend * v[i]) / curvatures[i]
        new = min(max(new, low[i]), high[i])
        move = new - v[i]
        if move != 0.0:
            v[i] = new
            most = max(most, abs(move))
            scaled = shares[i] * move
            for j in range(w.size):
                w[j] -= scaled * row[j]
    return most


@numba.njit(cache=True)
def sparse_visits(
    data, columns, starts, order, y, low, high, bend, shares, curvatures, v, w
):  # fmt: skip
    """The same for a sparse X by compressed rows."""
    most = 0.0
    for at in range(order.size):
        i = order[at]
        if curvatures[i] <= 0.0:
            continue
        begin, end = starts[i], starts[i + 1]
        fit = 0.0 * w[0]
        for k in range(begin, end):
            fit += data[k] * w[columns[k]]
        new = v[i] + (fit - y[i] - bend * v[i]) / curvatures[i]
        new = min(max(new, low[i]), high[i])
        move = new - v[i]
        if move != 0.0:
            v[i] = new
            most = max(most, abs(move))
            scaled = shares[i] * move
            for k in range(begin, end):
                w[columns[k]] -= scaled * data[k]
    return most
