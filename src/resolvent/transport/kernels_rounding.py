"""What judges two potentials: sums over the plan, over the plan made smaller, and of its costs.

Costs are given as in `kernels_softmin`, whose blocks and exponential are used here. ``sides`` is
(f, g, log a, log b, base, head), where ``base`` is `f / epsilon + log a` and ``head`` is
`g / epsilon + log b`. With ``exact`` exponents are rounded as `((f_i + g_j - C_ij) / epsilon +
log a_i) + log b_j` is in NumPy, bit by bit: where they are large, the order decides about digits.
"""

import numba
import numpy as np

from resolvent.transport.kernels_softmin import (
    DENSE,
    EUCLIDEAN,
    FAST,
    L1,
    block_count,
    block_rows,
    costs,
    exp,
    threads,
)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _plain_costs(kind, A, B, i, c):
    """Costs without a fused operation, as NumPy finds them coordinate by coordinate."""
    for j in range(np.uint64(c.shape[0])):
        c[j] = 0.0
    for k in range(A.shape[1]):
        here, there = np.float64(A[i, k]), B[k]
        for j in range(np.uint64(c.shape[0])):
            step = here - np.float64(there[j])
            c[j] += abs(step) if kind == L1 else step * step
    if kind == EUCLIDEAN:
        for j in range(np.uint64(c.shape[0])):
            c[j] = np.sqrt(c[j])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _plain_exponents(c, epsilon, f, g, log_a, log_b, e):
    for j in range(np.uint64(c.shape[0])):
        e[j] = (((f + g[j]) - c[j]) / epsilon + log_a) + log_b[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _plain_row(kind, A, B, epsilon, sides, i, c, e):
    """Costs and exponents of a row, rounded as in NumPy."""
    f, g, log_a, log_b, _, _ = sides
    if kind == DENSE:
        costs(kind, A, B, i, 0, c.shape[0], c)
    else:
        _plain_costs(kind, A, B, i, c)
    _plain_exponents(c, epsilon, f[i], g, log_a[i], log_b, e)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _sums(c, inverse, base, head, e, columns):
    """Find the entries, add them to ``columns``; their sum, and that of their costs."""
    total = expense = 0.0
    for j in range(np.uint64(e.shape[0])):
        cost = np.float64(c[j])
        value = exp(base + (head[j] - inverse * cost))
        e[j] = value
        columns[j] += value
        total += value
        expense += cost * value
    return total, expense


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _plain_sums(c, e, columns):
    """The same for known exponents, which turn into the entries."""
    total = expense = 0.0
    for j in range(np.uint64(e.shape[0])):
        value = exp(e[j])
        e[j] = value
        columns[j] += value
        total += value
        expense += c[j] * value
    return total, expense


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _add(e, factor, columns):
    for j in range(np.uint64(e.shape[0])):
        columns[j] += factor * e[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _judge_block(kind, A, B, exact, epsilon, sides, a, rows, expenses, parts, block):
    size, n, m = block_rows(rows.shape[0]), rows.shape[0], parts.shape[2]
    c, e, base, head = np.empty(m), np.empty(m), sides[4], sides[5]
    columns, excess = parts[0, block], parts[1, block]
    columns[:] = 0.0
    excess[:] = 0.0
    for i in range(block * size, min(n, block * size + size)):
        if exact:
            _plain_row(kind, A, B, epsilon, sides, i, c, e)
            rows[i], expenses[i] = _plain_sums(c, e, columns)
        elif kind == DENSE:
            rows[i], expenses[i] = _sums(A[i], 1.0 / epsilon, base[i], head, e, columns)
        else:
            costs(kind, A, B, i, 0, m, c)
            rows[i], expenses[i] = _sums(c, 1.0 / epsilon, base[i], head, e, columns)
        if rows[i] > a[i]:
            _add(e, 1.0 - a[i] / rows[i], excess)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _judge_alone(kind, A, B, exact, epsilon, sides, a, rows, expenses, parts):
    for block in range(parts.shape[1]):
        _judge_block(kind, A, B, exact, epsilon, sides, a, rows, expenses, parts, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _judge_threads(kind, A, B, exact, epsilon, sides, a, rows, expenses, parts):
    for block in numba.prange(parts.shape[1]):
        _judge_block(kind, A, B, exact, epsilon, sides, a, rows, expenses, parts, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _shrunk(c, e, v):
    total = expense = 0.0
    for j in range(np.uint64(e.shape[0])):
        value = v[j] * exp(e[j])
        total += value
        expense += c[j] * value
    return total, expense


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _exponents(c, inverse, base, head, e):
    for j in range(np.uint64(e.shape[0])):
        e[j] = base + (head[j] - inverse * c[j])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _dot(c, weights):
    total = 0.0
    for j in range(np.uint64(weights.shape[0])):
        total += np.float64(c[j]) * weights[j]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _shrink_block(kind, A, B, exact, epsilon, sides, v, rest, out, block):
    size, n, m = block_rows(out.shape[1]), out.shape[1], rest.shape[0]
    c, e, base, head = np.empty(m), np.empty(m), sides[4], sides[5]
    for i in range(block * size, min(n, block * size + size)):
        if v.shape[0] == 0 and kind == DENSE:
            out[2, i] = _dot(A[i], rest)
            continue
        if exact:
            _plain_row(kind, A, B, epsilon, sides, i, c, e)
        else:
            costs(kind, A, B, i, 0, m, c)
        out[2, i] = _dot(c, rest)
        if v.shape[0]:
            if not exact:
                _exponents(c, 1.0 / epsilon, base[i], head, e)
            out[0, i], out[1, i] = _shrunk(c, e, v)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _shrink_alone(kind, A, B, exact, epsilon, sides, v, rest, out):
    for block in range(block_count(out.shape[1])):
        _shrink_block(kind, A, B, exact, epsilon, sides, v, rest, out, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _shrink_threads(kind, A, B, exact, epsilon, sides, v, rest, out):
    for block in numba.prange(block_count(out.shape[1])):
        _shrink_block(kind, A, B, exact, epsilon, sides, v, rest, out, block)


def judge(form, exact, epsilon, sides, a):
    """What one pass over all pairs tells of the plan P of two potentials.

    Row sums r, column sums, what the columns get from rows above their mass (`P^T (1 - u)` with
    `u = min(1, a / r)`), and the costs of each row (`sum_j C_ij P_ij`), all in float64. Sums that
    overflow are infinite.
    """
    n, m = len(sides[0]), len(sides[1])
    rows, expenses = np.empty(n), np.empty(n)
    parts = np.empty((2, block_count(n), m))
    run: tuple = (*form, exact, float(epsilon), sides, a, rows, expenses, parts)
    with threads(n * m) as together:
        (_judge_threads if together else _judge_alone)(*run)
    columns, excess = parts.sum(axis=1)
    # The exponential is clamped: what reaches the clamp is as good as infinite.
    if not (rows.max() < 1e300 and columns.max() < 1e300):
        rows[rows >= 1e300] = np.inf
        columns[columns >= 1e300] = np.inf
    return rows, columns, excess, expenses


def shrink(form, exact, epsilon, sides, v, rest):
    """Row sums and costs of each row of `P diag(v)`, and the costs C times ``rest``.

    Without v, which is then None, the plan is not looked at, and only the last is found.
    """
    n, m = len(sides[0]), len(sides[1])
    out = np.empty((3, n))
    given = np.empty(0) if v is None else v
    run: tuple = (*form, exact, float(epsilon), sides, given, rest, out)
    with threads(n * m) as together:
        (_shrink_threads if together else _shrink_alone)(*run)
    return out
