"""The cost of an entropic plan, <C, P>, without storing the plan; costs as in `kernels_softmin`."""

import numba
import numpy as np

from resolvent.transport.kernels_softmin import (
    FAST,
    block_count,
    block_rows,
    costs,
    exp,
    threads,
)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _row(c, head, base, inverse):
    total = 0.0
    for j in range(np.uint64(c.shape[0])):
        total += c[j] * exp(base + (head[j] - inverse * c[j]))
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _block(kind, A, B, epsilon, base, head, totals, block):
    size, n, m = block_rows(base.shape[0]), base.shape[0], head.shape[0]
    c = np.empty(m)
    total = 0.0
    for i in range(block * size, min(n, block * size + size)):
        costs(kind, A, B, i, 0, m, c)
        total += _row(c, head, base[i], 1.0 / epsilon)
    totals[block] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _alone(kind, A, B, epsilon, base, head, totals):
    for block in range(totals.shape[0]):
        _block(kind, A, B, epsilon, base, head, totals, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _threads(kind, A, B, epsilon, base, head, totals):
    for block in numba.prange(totals.shape[0]):
        _block(kind, A, B, epsilon, base, head, totals, block)


def total_cost(kind, A, B, epsilon, f, g, log_a, log_b):
    """<C, P> of the plan of two potentials, in float64."""
    base = np.asarray(f, np.float64) / epsilon + np.asarray(log_a, np.float64)
    head = np.asarray(g, np.float64) / epsilon + np.asarray(log_b, np.float64)
    totals = np.empty(block_count(len(base)))
    run: tuple = (kind, A, B, float(epsilon), base, head, totals)
    with threads(len(base) * len(head)) as together:
        (_threads if together else _alone)(*run)
    return float(totals.sum())
