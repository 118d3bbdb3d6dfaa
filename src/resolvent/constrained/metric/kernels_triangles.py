"""Numba kernels of triangle fixing: every triangle inequality in turn, each with its multiplier.

Lengths of pairs are in the order (0, 1), (0, 2), ..., (n - 2, n - 1). Row t of z belongs to the
t-th triangle i < j < k, in lexicographic order: its three entries to (i, j), (i, k) and (j, k) as
the edge that is at most as long as the other two.
"""

import numba


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep(n, z, x, inverse):
    """Project onto each triangle inequality in turn, as far as its multiplier allows; in place."""
    unit = inverse.size == 0
    at = 0
    for i in range(n - 2):
        row = i * n - (i * (i + 1)) // 2 - i - 1
        for j in range(i + 1, n - 1):
            below = j * n - (j * (j + 1)) // 2 - j - 1
            ij = row + j
            u = 1.0 if unit else inverse[ij]
            a = x[ij]
            for k in range(j + 1, n):
                ik, jk = row + k, below + k
                b, c = x[ik], x[jk]
                z0, z1, z2 = z[at, 0], z[at, 1], z[at, 2]
                v = 1.0 if unit else inverse[ik]
                w = 1.0 if unit else inverse[jk]
                share = 1.0 / (u + v + w)
                # Most triangles hold and pull nothing.
                if z0 + z1 + z2 > 0.0 or a > b + c or b > a + c or c > a + b:
                    step = min((b + c - a) * share, z0)
                    a, b, c = a + step * u, b - step * v, c - step * w
                    z[at, 0] = z0 - step
                    step = min((a + c - b) * share, z1)
                    a, b, c = a - step * u, b + step * v, c - step * w
                    z[at, 1] = z1 - step
                    step = min((a + b - c) * share, z2)
                    a, b, c = a - step * u, b - step * v, c + step * w
                    z[at, 2] = z2 - step
                    x[ik], x[jk] = b, c
                at += 1
            x[ij] = a


@numba.njit(cache=True, nogil=True)
def slackness(n, z, x):
    """The sum of multipliers times what their rows have left at x, in absolute value."""
    total = 0.0
    at = 0
    for i in range(n - 2):
        row = i * n - (i * (i + 1)) // 2 - i - 1
        for j in range(i + 1, n - 1):
            below = j * n - (j * (j + 1)) // 2 - j - 1
            a = x[row + j]
            for k in range(j + 1, n):
                z0, z1, z2 = z[at, 0], z[at, 1], z[at, 2]
                if z0 + z1 + z2 > 0.0:
                    b, c = x[row + k], x[below + k]
                    total += z0 * abs(b + c - a) + z1 * abs(a + c - b) + z2 * abs(a + b - c)
                at += 1
    return total


@numba.njit(cache=True, nogil=True)
def box_sweep(x, low, high, lower, upper):
    """Project onto each side of a box; its multipliers are kept over the weights."""
    for e in range(low.size):
        step = min(x[e] - lower, low[e])
        low[e] -= step
        x[e] -= step
    for e in range(high.size):
        step = min(upper - x[e], high[e])
        high[e] -= step
        x[e] += step


@numba.njit(cache=True, nogil=True)
def as_rows(n, z, edges, values):
    """The positive multipliers and their rows, three edges each, the longest first."""
    rows = at = 0
    for i in range(n - 2):
        row = i * n - (i * (i + 1)) // 2 - i - 1
        for j in range(i + 1, n - 1):
            below = j * n - (j * (j + 1)) // 2 - j - 1
            for k in range(j + 1, n):
                ij, ik, jk = row + j, row + k, below + k
                for side in range(3):
                    if z[at, side] > 0.0:
                        values[rows] = z[at, side]
                        first = ij if side == 0 else (ik if side == 1 else jk)
                        second = ik if side == 0 else ij
                        third = ik if side == 2 else jk
                        edges[rows, 0], edges[rows, 1], edges[rows, 2] = first, second, third
                        rows += 1
                at += 1


@numba.njit(cache=True, nogil=True)
def positive(z):
    """How many multipliers are positive."""
    total = 0
    for t in range(z.shape[0]):
        total += (z[t, 0] > 0.0) + (z[t, 1] > 0.0) + (z[t, 2] > 0.0)
    return total


@numba.njit(cache=True, nogil=True)
def spread(n, starts, edges, heads, tails, values, z):
    """Add multipliers of cycles: an inequality of a cycle is a sum of those of its triangles.

    These are the fan from one end of the first edge over the nodes of the way to the other end.
    """
    for row in range(values.size):
        begin, end = starts[row], starts[row + 1]
        first, second = edges[begin], edges[begin + 1]
        origin = heads[first]
        if heads[second] != origin and tails[second] != origin:
            origin = tails[first]
        over = heads[second] + tails[second] - origin
        for t in range(begin + 2, end):
            node = heads[edges[t]] + tails[edges[t]] - over
            i, k = min(origin, node, over), max(origin, node, over)
            j = origin + node + over - i - k
            # Triangles before those of i, before those of (i, j), and the place of k among these.
            r, s = n - i, n - j
            at = (n * (n - 1) * (n - 2) - r * (r - 1) * (r - 2)) // 6
            at += ((r - 1) * (r - 2) - s * (s - 1)) // 2 + k - j - 1
            z[at, 2 if over == i else (1 if over == j else 0)] += values[row]
            over = node
