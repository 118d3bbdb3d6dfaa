"""Numba kernels of block methods: terms of one coordinate, small models, sparse columns."""

import numba

from resolvent.composite.descent.kernels_descent import L0, L1, MCP, near, violation


@numba.njit(cache=True)
def near_one(kind, u, curvature, bar, gamma, lower, upper):
    """The y within bounds that minimizes curvature (y - u)^2 / 2 + penalty(y)."""
    return min(max(near(kind, u, curvature, bar, gamma), lower), upper)


@numba.njit(cache=True)
def penalty_one(kind, y, bar, gamma):
    """The penalty at y, within its bounds."""
    size = abs(y)
    if kind == L1:
        return bar * size
    if kind == L0:
        return bar if size > 0.0 else 0.0
    if kind == MCP:
        low = min(size, gamma * bar)
        return low * (bar - low / (2.0 * gamma))
    bend = min(max(size - bar, 0.0), (gamma - 1.0) * bar)
    return bar * min(size, bar) + bend * (bar - bend / (2.0 * gamma - 2.0))


@numba.njit(cache=True)
def penalties(kind, y, bars, gamma):
    """The sum of the penalties."""
    total = 0.0
    for i in range(y.size):
        total += penalty_one(kind, y[i], bars[i], gamma)
    return total


@numba.njit(cache=True)
def nearest(kind, u, curvatures, bars, gamma, lower, upper, out):
    """`near_one` of each; where a curvature is zero, u itself, within the bounds."""
    for i in range(u.size):
        if curvatures[i] > 0.0:
            out[i] = near_one(kind, u[i], curvatures[i], bars[i], gamma, lower[i], upper[i])
        else:
            out[i] = min(max(u[i], lower[i]), upper[i])


@numba.njit(cache=True)
def interval(x, bar, lower, upper):
    """The ends of the subdifferential at x of bar |x| within bounds."""
    low = bar if x > 0.0 else -bar
    high = -bar if x < 0.0 else bar
    if x <= lower:
        low = -1e308 * 10.0
    if x >= upper:
        high = 1e308 * 10.0
    return low, high


@numba.njit(cache=True)
def violations(kind, x, g, bars, gamma, lower, upper, out):
    """The distance of -g to the subdifferential, for each coordinate."""
    for i in range(x.size):
        if kind == L1:
            low, high = interval(x[i], bars[i], lower[i], upper[i])
            out[i] = max(max(low + g[i], -g[i] - high), 0.0)
        else:
            out[i] = violation(kind, x[i], g[i], bars[i], gamma)


@numba.njit(cache=True)
def change(kind, x, y, bar, gamma):
    """The penalty at y less that at x; small moves keep their digits."""
    if x * y < 0.0 or (kind != L1 and not abs(y - x) <= 1e-3 * abs(x)):
        return penalty_one(kind, y, bar, gamma) - penalty_one(kind, x, bar, gamma)
    sign = 1.0 if x + y > 0.0 else -1.0
    size = 0.5 * abs(x + y)
    if kind == L1:
        slope = bar
    elif kind == L0:
        slope = 0.0
    elif kind == MCP:
        slope = max(bar - size / gamma, 0.0)
    else:
        slope = min(bar, max(gamma * bar - size, 0.0) / (gamma - 1.0))
    return sign * slope * (y - x)


@numba.njit(cache=True)
def gains(kind, x, g, curvatures, bars, gamma, lower, upper, out):
    """What a step along one coordinate alone gains of its model, for each coordinate."""
    for i in range(x.size):
        c = curvatures[i]
        if not c > 0.0:
            out[i] = 0.0
            continue
        y = near_one(kind, x[i] - g[i] / c, c, bars[i], gamma, lower[i], upper[i])
        d = y - x[i]
        rise = change(kind, x[i], y, bars[i], gamma)
        out[i] = max(-(g[i] * d + rise + 0.5 * c * d * d), 0.0)


@numba.njit(cache=True)
def epochs(kind, gamma, H, r, y, bars, lower, upper, number):
    """Cyclic descent on a model of gradient r at y and Hessian H, plus the penalty; in place.

    Ends after an epoch that moves nothing.
    """
    for _ in range(number):
        moved = False
        for j in range(y.size):
            c = H[j, j]
            if not c > 0.0:
                continue
            old = y[j]
            new = near_one(kind, old - r[j] / c, c, bars[j], gamma, lower[j], upper[j])
            if new != old:
                moved = True
                move = new - old
                y[j] = new
                row = H[j]
                for i in range(y.size):
                    r[i] += move * row[i]
        if not moved:
            break


@numba.njit(cache=True)
def submatrix(data, rows, starts, chosen, place, out):
    """A symmetric sparse matrix on the chosen indices; `place` is -1 everywhere."""
    for a in range(chosen.size):
        place[chosen[a]] = a
    for a in range(chosen.size):
        for at in range(starts[chosen[a]], starts[chosen[a] + 1]):
            b = place[rows[at]]
            if b >= 0:
                out[b, a] = data[at]
    for a in range(chosen.size):
        place[chosen[a]] = -1


@numba.njit(cache=True)
def add_columns(data, rows, starts, chosen, d, out):
    """out + A[:, chosen] d."""
    for a in range(chosen.size):
        if d[a] != 0.0:
            for at in range(starts[chosen[a]], starts[chosen[a] + 1]):
                out[rows[at]] += d[a] * data[at]


@numba.njit(cache=True)
def gram(data, rows, starts, chosen, weights, work, out):
    """X^T diag(weights) X on the chosen columns; `work` [n] is zero before and after."""
    for a in range(chosen.size):
        begin, end = starts[chosen[a]], starts[chosen[a] + 1]
        for at in range(begin, end):
            work[rows[at]] = weights[rows[at]] * data[at]
        for b in range(a + 1):
            total = 0.0
            for at in range(starts[chosen[b]], starts[chosen[b] + 1]):
                total += data[at] * work[rows[at]]
            out[a, b] = total
            out[b, a] = total
        for at in range(begin, end):
            work[rows[at]] = 0.0
