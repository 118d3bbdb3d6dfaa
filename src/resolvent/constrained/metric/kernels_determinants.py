"""Numba kernels of rows <A, X> <= b over positive definite X: projections in log det divergence."""

import numba
import numpy as np

from resolvent.constrained.metric.kernels_rows import narrowed

_ROOT_STEPS = 200
_ONE_RANK = 1e-13  # what is left of a row of rank one beside its largest entry


@numba.njit(nogil=True)
def _filled(columns, coefficients, begin, end, A):
    """The row as a symmetric matrix."""
    A[:] = 0.0
    for t in range(begin, end):
        A[columns[t] // A.shape[0], columns[t] % A.shape[0]] += coefficients[t]


@numba.njit(nogil=True)
def _rooted(A, v):
    """1 or -1 where A is that times v v^T, with v; else 0."""
    d = v.size
    r = 0
    for i in range(d):
        if abs(A[i, i]) > abs(A[r, r]):
            r = i
    if A[r, r] == 0.0:
        return 0.0
    sign = 1.0 if A[r, r] > 0.0 else -1.0
    for i in range(d):
        v[i] = sign * A[i, r] / np.sqrt(abs(A[r, r]))
    room = _ONE_RANK * abs(A[r, r])
    for i in range(d):
        for j in range(d):
            if abs(A[i, j] - sign * v[i] * v[j]) > room:
                return 0.0
    return sign


@numba.njit(nogil=True)
def _along_one(sign, p, bound, z):
    """How far to go along a row of rank one whose square is p, at most z; NaN for nowhere."""
    if sign > 0.0:
        if bound <= 0.0:
            return np.nan
        return min(1.0 / p - 1.0 / bound, z)
    return z if bound >= 0.0 else min(-1.0 / bound - 1.0 / p, z)


@numba.njit(nogil=True)
def _excess(mu, theta, bound):
    """<A, X> - b after a step of theta, and its derivative."""
    total, slope = -bound, 0.0
    for m in mu:
        part = m / (1.0 - theta * m)
        total += part
        slope += part * part
    return total, slope


@numba.njit(nogil=True)
def _along(mu, bound, z):
    """The same for any row, whose eigenvalues relative to X are mu."""
    least, most = mu.min(), mu.max()
    total, _ = _excess(mu, 0.0, bound)
    if total > 0.0:
        high = 0.0
        if least < 0.0:
            low = 1.0 / least
        elif bound <= 0.0:
            return np.nan
        else:
            low = -1.0 / most
            while _excess(mu, low, bound)[0] > 0.0:
                low *= 2.0
    elif z == 0.0 or total == 0.0:
        return 0.0
    else:
        low = 0.0
        high = z if most <= 0.0 else min(z, 1.0 / most)
        if high == z and (most <= 0.0 or z < 1.0 / most) and _excess(mu, z, bound)[0] <= 0.0:
            return z
    theta = 0.5 * (low + high)
    for _ in range(_ROOT_STEPS):
        total, slope = _excess(mu, theta, bound)
        low, high, following = narrowed(theta, total, slope, low, high)
        if following == theta:
            break
        theta = following
    return theta


@numba.njit(cache=True, nogil=True)
def sweeps(many, starts, columns, coefficients, bounds, z, X):
    """Project onto each row in turn, `many` times, as far as z allows; in place.

    Rows are symmetric, of d^2 entries. Those of rank one take O(d^2), others O(d^3).

    Returns False where a row excludes all positive definite matrices.
    """
    d = X.shape[0]
    A, v = np.empty((d, d)), np.empty(d)
    for _ in range(many):
        for i in range(z.size):
            _filled(columns, coefficients, starts[i], starts[i + 1], A)
            sign = _rooted(A, v)
            if sign != 0.0:
                w = X @ v
                p = v @ w
                step = _along_one(sign, p, bounds[i], z[i])
                if np.isnan(step):
                    return False
                factor = step * sign / (1.0 - step * sign * p)
                for j in range(d):
                    for k in range(d):
                        X[j, k] += factor * w[j] * w[k]
            else:
                L = np.linalg.cholesky(X)
                mu, V = np.linalg.eigh(L.T @ A @ L)
                step = _along(mu, bounds[i], z[i])
                if np.isnan(step):
                    return False
                half = (L @ V) / np.sqrt(1.0 - step * mu)
                X[:] = half @ half.T
            z[i] -= step
    return True
