"""Numba kernels of least absolute deviations: weighted medians, one a column."""

import numba
import numpy as np


@numba.njit(cache=True)
def least(v, u):
    """The least of sum_i |v_i - t u_i| over t: a weighted median of the ratios."""
    ratios = np.empty(v.size, v.dtype)
    sizes = np.empty(v.size, v.dtype)
    k, total, rest = 0, 0.0, 0.0
    for i in range(v.size):
        if u[i] != 0.0:
            ratios[k] = v[i] / u[i]
            sizes[k] = abs(u[i])
            total += sizes[k]
            k += 1
        else:
            rest += abs(v[i])
    if k == 0:
        return rest
    order = np.argsort(ratios[:k])
    t, below = ratios[order[k - 1]], 0.0
    for i in order:
        below += sizes[i]
        if 2.0 * below >= total:
            t = ratios[i]
            break
    for i in range(k):
        rest += abs(ratios[i] - t) * sizes[i]
    return rest


@numba.njit(cache=True)
def along_columns(rows, r, x, bars):
    """For each column a_j, a row here: the least of ||r - t a_j||_1 + bars_j |x_j + t| over t."""
    n, m = rows.shape
    out = np.empty(n, r.dtype)
    v = np.empty(m + 1, r.dtype)
    u = np.empty(m + 1, r.dtype)
    v[:m] = r
    for j in range(n):
        u[:m] = rows[j]
        v[m] = -bars[j] * x[j]
        u[m] = bars[j]
        out[j] = least(v, u)
    return out
