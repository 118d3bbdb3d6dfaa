"""Numba kernels of coordinate descent: quadratic models by their Gram matrix or by columns."""

import math

import numba

L1, NONNEGATIVE, MCP, SCAD, L0 = range(5)


@numba.njit(cache=True, inline="always")
def near(kind, u, curvature, bar, gamma):
    """The w that minimizes curvature (w - u)^2 / 2 + penalty(w)."""
    if kind == L1:
        cut = bar / curvature
        return u - cut if u > cut else (u + cut if u < -cut else 0.0)
    if kind == NONNEGATIVE:
        return max(u - bar / curvature, 0.0)
    size = abs(u)
    if kind == L0:
        return u if size * size * curvature > 2.0 * bar else 0.0
    if kind == MCP:
        if curvature * gamma <= 1.0:
            return u if size > bar * math.sqrt(gamma / curvature) else 0.0
        if size > gamma * bar:
            return u
        low = max(size - bar / curvature, 0.0) / (1.0 - 1.0 / (gamma * curvature))
        return math.copysign(low, u)
    return math.copysign(_scad(size, curvature, bar, gamma), u)


@numba.njit(cache=True)
def _scad(size, curvature, bar, gamma):
    cut = bar / curvature
    if curvature * (gamma - 1.0) > 1.0:
        if size <= bar + cut:
            return max(size - cut, 0.0)
        if size <= gamma * bar:
            return (size * (gamma - 1.0) - gamma * cut) / (gamma - 1.0 - 1.0 / curvature)
        return size
    # Not convex any more: the better one of soft thresholding and of staying.
    if 1.0 / curvature > gamma + 1.0:
        return size if size > bar * math.sqrt((gamma + 1.0) / curvature) else 0.0
    return size if size > 0.5 * (gamma + 1.0 + 1.0 / curvature) * bar else max(size - cut, 0.0)


@numba.njit(cache=True, inline="always")
def violation(kind, w, g, bar, gamma):
    """The distance of -g to the subdifferential of the penalty at w."""
    if kind == NONNEGATIVE:
        return abs(g + bar) if w > 0.0 else max(-(g + bar), 0.0)
    if w == 0.0:
        return 0.0 if kind == L0 else max(abs(g) - bar, 0.0)
    size = abs(w)
    if kind == L1:
        slope = bar
    elif kind == MCP:
        slope = max(bar - size / gamma, 0.0)
    elif kind == SCAD:
        slope = min(bar, max(gamma * bar - size, 0.0) / (gamma - 1.0))
    else:
        slope = 0.0
    return abs(g + math.copysign(slope, w))


@numba.njit(cache=True)
def violations(kind, w, g, bars, gamma, out):
    """All distances to the subdifferential."""
    for j in range(w.size):
        out[j] = violation(kind, w[j], g[j], bars[j], gamma)


@numba.njit(cache=True)
def slack(kind, w, g, bars, out):
    """How far the gradient is from pushing a coordinate away from zero; inf where it does."""
    for j in range(w.size):
        left = g[j] + bars[j] if kind == NONNEGATIVE else bars[j] - abs(g[j])
        out[j] = left if w[j] == 0.0 and left >= 0.0 else math.inf


@numba.njit(cache=True)
def gram_epochs(kind, gamma, gram, g, w, bars, free, epochs, least):
    """Cyclic descent on w^T gram w / 2, its gradient g kept beside w, plus the penalty.

    The first `free` coordinates have no penalty. Ends after an epoch that gains no more than
    `least`. Returns the gain of the last epoch.
    """
    gain = 0.0
    for _ in range(epochs):
        gain = 0.0
        for j in range(w.size):
            curvature = gram[j, j]
            if curvature <= 0.0:
                continue
            old = w[j]
            new = old - g[j] / curvature
            if j >= free:
                new = near(kind, new, curvature, bars[j], gamma)
            if new != old:
                move = new - old
                w[j] = new
                gain += 0.5 * curvature * move * move
                row = gram[j]
                for i in range(w.size):
                    g[i] += move * row[i]
        if gain <= least:
            break
    return gain


@numba.njit(cache=True)
def sparse_epochs(
    kind, gamma, data, rows, starts, chosen, curvatures, ridge, weights, fit, g, w, bars, epochs,
    least,
):  # fmt: skip
    """Cyclic descent on the chosen columns of a sparse X.

    The model is g . (w - base) + sum of weights fit^2 / 2 + ridge |w|^2 / 2, with
    fit = X (w - base), which is kept. Where w has one entry more than there are columns, the first
    is an intercept.
    """
    gain, free = 0.0, w.size - chosen.size
    for _ in range(epochs):
        gain = _intercept(free, curvatures, weights, fit, g, w)
        for k in range(free, w.size):
            curvature = curvatures[k]
            if curvature <= 0.0:
                continue
            begin, end = starts[chosen[k - free]], starts[chosen[k - free] + 1]
            slope = g[k] + ridge * w[k]
            for at in range(begin, end):
                slope += data[at] * weights[rows[at]] * fit[rows[at]]
            old = w[k]
            new = near(kind, old - slope / curvature, curvature, bars[k], gamma)
            if new != old:
                move = new - old
                w[k] = new
                gain += 0.5 * curvature * move * move
                for at in range(begin, end):
                    fit[rows[at]] += move * data[at]
        if gain <= least:
            break
    return gain


@numba.njit(cache=True)
def dense_epochs(
    kind, gamma, block, curvatures, ridge, weights, fit, g, w, bars, epochs, least
):  # fmt: skip
    """The same on the columns of a dense block [n, k], which are contiguous."""
    n, size = block.shape
    gain, free = 0.0, w.size - size
    for _ in range(epochs):
        gain = _intercept(free, curvatures, weights, fit, g, w)
        for k in range(free, w.size):
            curvature = curvatures[k]
            if curvature <= 0.0:
                continue
            column = block[:, k - free]
            slope = g[k] + ridge * w[k]
            for i in range(n):
                slope += column[i] * weights[i] * fit[i]
            old = w[k]
            new = near(kind, old - slope / curvature, curvature, bars[k], gamma)
            if new != old:
                move = new - old
                w[k] = new
                gain += 0.5 * curvature * move * move
                for i in range(n):
                    fit[i] += move * column[i]
        if gain <= least:
            break
    return gain


@numba.njit(cache=True)
def _intercept(free, curvatures, weights, fit, g, w):
    """The exact step of the intercept, the first of w where there is one."""
    if free == 0:
        return 0.0
    slope = g[0]
    for i in range(fit.size):
        slope += weights[i] * fit[i]
    move = -slope / curvatures[0]
    if move != 0.0:
        w[0] += move
        for i in range(fit.size):
            fit[i] += move
    return 0.5 * curvatures[0] * move * move


@numba.njit(cache=True)
def gathered(gram, support, out):
    """The lower triangle of gram on a support."""
    for a in range(support.size):
        row = gram[support[a]]
        for b in range(a + 1):
            out[a, b] = row[support[b]]


@numba.njit(cache=True)
def substituted(factor, x):
    """Solve factor factor^T u = x in place, by the rows of a lower triangle."""
    for i in range(x.size):
        row, total = factor[i], x[i]
        for j in range(i):
            total -= row[j] * x[j]
        x[i] = total / row[i]
    for i in range(x.size - 1, -1, -1):
        row = factor[i]
        x[i] /= row[i]
        for j in range(i):
            x[j] -= x[i] * row[j]


@numba.njit(cache=True)
def transposed_product(data, rows, starts, chosen, v, out):
    """X^T v over the chosen columns."""
    for k in range(chosen.size):
        total = 0.0
        for at in range(starts[chosen[k]], starts[chosen[k] + 1]):
            total += data[at] * v[rows[at]]
        out[k] = total


@numba.njit(cache=True)
def product(data, rows, starts, chosen, w, out):
    """out + X w over the chosen columns."""
    for k in range(chosen.size):
        if w[k] != 0.0:
            for at in range(starts[chosen[k]], starts[chosen[k] + 1]):
                out[rows[at]] += w[k] * data[at]


@numba.njit(cache=True)
def gram_by_rows(data, columns, starts, weights, gram):
    """Add X^T diag(weights) X of a sparse X by compressed rows."""
    for i in range(starts.size - 1):
        for at in range(starts[i], starts[i + 1]):
            a, scaled = columns[at], weights[i] * data[at]
            for other in range(starts[i], at + 1):
                gram[a, columns[other]] += scaled * data[other]
    for a in range(gram.shape[0]):
        for b in range(a):
            gram[b, a] = gram[a, b]


@numba.njit(cache=True)
def column_squares(data, rows, starts, chosen, weights, out):
    """The sums of weights X^2 over the chosen columns."""
    for k in range(chosen.size):
        total = 0.0
        for at in range(starts[chosen[k]], starts[chosen[k] + 1]):
            total += weights[rows[at]] * data[at] * data[at]
        out[k] = total
