"""Greedy updates of an entropic plan: the worst row or column at a time."""

import numba
import numpy as np

from resolvent.transport.kernels_softmin import (
    DENSE,
    EUCLIDEAN,
    FAST,
    L1,
    exp,
    exponents,
    largest,
)

_TINY = 1e-280


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _column_exponents(kind, A, B, j, inverse, head, z):
    """Write head_i - C_ij / epsilon to ``z``."""
    for i in range(np.uint64(head.shape[0])):
        if kind == DENSE:
            cost = np.float64(A[i, j])
        else:
            cost = 0.0
            for k in range(A.shape[1]):
                step = np.float64(A[i, k]) - np.float64(B[k, j])
                cost += abs(step) if kind == L1 else step * step
            if kind == EUCLIDEAN:
                cost = np.sqrt(cost)
        z[i] = head[i] - inverse * cost


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _filled(z, base, out):
    total = 0.0
    for j in range(np.uint64(z.shape[0])):
        value = exp(base + z[j])
        out[j] = value
        total += value
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _moved(entries, factor, totals):
    for j in range(np.uint64(entries.shape[0])):
        totals[j] += factor * entries[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _worst(mass, wanted, totals):
    """The place of the largest miss, that miss, and the sum of all."""
    place, most, total = 0, -1.0, 0.0
    for i in range(mass.shape[0]):
        miss = abs(mass[i] * wanted[i] - totals[i])
        total += miss
        if miss > most:
            place, most = i, miss
    return place, most, total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fit(i, z, entries, epsilon, tau, mass, log_mass, wanted, potential, head, own, other):
    """Fit one row (or column) to its mass, and carry the change to the totals of the others."""
    total = _filled(z, head[i], entries)
    power = 1.0 if np.isinf(tau) else tau / (tau + epsilon)
    seen = total > _TINY
    if seen:
        exact = potential[i] + epsilon * np.log(mass[i] / total)
    else:
        top = largest(z, z.shape[0])
        exact = -epsilon * (top + np.log(_filled(z, -top, entries)))
    new = power * exact
    factor = np.exp((new - potential[i]) / epsilon)
    potential[i] = new
    head[i] = new / epsilon + log_mass[i]
    if not np.isinf(tau):
        wanted[i] = np.exp(-new / tau)
    if seen:
        own[i] = factor * total
        _moved(entries, factor - 1.0, other)
    else:
        own[i] = _filled(z, head[i], entries)
        _moved(entries, 1.0, other)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def greedy(kind, A, B, epsilon, rows, columns, updates, target):
    """Up to `updates` greedy updates in place: how many were done, and the marginal error.

    A side is (tau, mass, log_mass, wanted, potential, head, totals), tau infinite where the
    marginal is a constraint and ``head`` = potential / epsilon + log_mass.
    """
    tau_a, a, log_a, wanted_a, f, base, row_totals = rows
    tau_b, b, log_b, wanted_b, g, head, column_totals = columns
    n, m, inverse = a.shape[0], b.shape[0], 1.0 / epsilon
    z_row, e_row, z_column, e_column = np.empty(m), np.empty(m), np.empty(n), np.empty(n)
    done = 0
    while True:
        i, row_miss, row_error = _worst(a, wanted_a, row_totals)
        j, column_miss, column_error = _worst(b, wanted_b, column_totals)
        error = row_error + column_error
        if done == updates or error <= target or not np.isfinite(error):
            return done, error
        if row_miss >= column_miss:
            exponents(kind, A, B, i, inverse, head, z_row)
            _fit(i, z_row, e_row, epsilon, tau_a, a, log_a, wanted_a, f, base, row_totals,
                 column_totals)  # fmt: skip
        else:
            _column_exponents(kind, A, B, j, inverse, base, z_column)
            _fit(j, z_column, e_column, epsilon, tau_b, b, log_b, wanted_b, g, head,
                 column_totals, row_totals)  # fmt: skip
        done += 1
