"""Sinkhorn sweeps: on a cost in the log domain, on a stored plan, and on its larger entries alone.

A sweep is given the column totals of the present plan. It corrects the columns with them, then
passes once over the matrix, and finds on the way the row totals, the corrected rows and the column
totals that the next sweep begins with: rows are in the cache when their corrections are known.

``K`` is the plan at the potentials that were last absorbed, `K_ij = a_i b_j exp((f_i + g_j -
C_ij) / epsilon)`, and the plan now is `diag(u) K diag(v)`. A side of the plan is described by
``mass`` (a or b), ``damp`` and ``wanted`` (both 1 where the marginals are constraints, else
`exp(-f / (tau + epsilon))` and `exp(-f / tau)`), and two exponents in ``powers``:
`tau / (tau + epsilon)` and `epsilon / tau`. Sums run in fixed blocks and in float64, so that the
number of threads never changes a result.
"""

import numba
import numpy as np

from resolvent.transport.kernels_softmin import (
    FAST,
    block_rows,
    exp,
    exponents,
    largest,
    threads,
)

_SWEEP_ALONE = 1 << 20  # entries of K up to which a sweep is too short to share
_TINY, _HUGE = 1e-280, 1e280
_ONE, _TWO, _THREE, _FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
_LN2 = 0.6931471805599453
_HALF = np.int64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
_BIAS = np.int64(0x4338000000000000)  # the bits of 1.5 * 2^52, which turn integers into numbers
_SHIFT = 6755399441055744.0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def log(x):
    """The logarithm of a positive normal number to 2 ulp, in operations that vectorise."""
    bits = np.float64(x).view(np.int64)
    k = (bits - _HALF) >> 52
    r = np.int64(bits - (k << 52)).view(np.float64)
    z = (r - 1.0) / (r + 1.0)
    w = z * z
    # atanh(z) / z - 1, where w <= 0.0295
    p = 1.0 / 21.0
    p = p * w + 1.0 / 19.0
    p = p * w + 1.0 / 17.0
    p = p * w + 1.0 / 15.0
    p = p * w + 1.0 / 13.0
    p = p * w + 1.0 / 11.0
    p = p * w + 1.0 / 9.0
    p = p * w + 1.0 / 7.0
    p = p * w + 1.0 / 5.0
    p = p * w + 1.0 / 3.0
    power = np.int64(k + _BIAS).view(np.float64) - _SHIFT
    return power * _LN2 + 2.0 * (z + z * (w * p))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _raised(x, power):
    """x^power; zero, infinity and NaN count as the ends of the range of numbers."""
    return exp(power * log(x))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _corrected(mass, total, old, damp, power, omega):
    new = mass / total
    if power != 1.0:
        new = _raised(new, power) * damp
    if omega != 1.0:
        new = old * _raised(new / old, omega)
    return old if mass == 0.0 else new


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _missed(mass, total, scaling, wanted, power):
    if power != 0.0 and mass > 0.0:
        mass = mass * wanted * _raised(scaling, -power)
    return abs(mass - total)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _correct_plain(mass, totals, scaling):
    for j in range(np.uint64(mass.shape[0])):
        new = mass[j] / totals[j]
        scaling[j] = scaling[j] if mass[j] == 0.0 else new


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _moves(mass, totals, scaling, omega, out):
    for j in range(np.uint64(mass.shape[0])):
        out[j] = omega * log(mass[j] / (totals[j] * scaling[j]))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _penalized_moves(mass, totals, scaling, damp, power, omega, out):
    for j in range(np.uint64(mass.shape[0])):
        new = power * log(mass[j] / totals[j]) + log(damp[j])
        out[j] = omega * (new - log(scaling[j]))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _move(mass, scaling, moves):
    for j in range(np.uint64(mass.shape[0])):
        new = scaling[j] * exp(moves[j])
        scaling[j] = scaling[j] if mass[j] == 0.0 else new


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _correct(mass, totals, scaling, damp, power, omega):
    """Correct one side; logarithms and exponentials in loops of their own, which vectorise."""
    if power == 1.0 and omega == 1.0:
        _correct_plain(mass, totals, scaling)
        return
    moves = np.empty_like(scaling)
    if power == 1.0:
        _moves(mass, totals, scaling, omega, moves)
    else:
        _penalized_moves(mass, totals, scaling, damp, power, omega, moves)
    _move(mass, scaling, moves)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _within(scaling, reach):
    """Whether a side stayed in the safe range."""
    out = 0
    for j in range(np.uint64(scaling.shape[0])):
        out += 0 if (scaling[j] < reach and scaling[j] * reach > 1.0) else 1
    return out == 0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _error(mass, totals, scaling, wanted, power):
    error = 0.0
    for j in range(np.uint64(mass.shape[0])):
        error += _missed(mass[j], scaling[j] * totals[j], scaling[j], wanted[j], power)
    return error


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _dots(K, i, v, out):
    """Products of four rows with v: v is read once for the four."""
    first, second, third, fourth = K[i], K[i + 1], K[i + 2], K[i + 3]
    p = q = r = s = 0.0
    for j in range(np.uint64(v.shape[0])):
        here = v[j]
        p += np.float64(first[j]) * here
        q += np.float64(second[j]) * here
        r += np.float64(third[j]) * here
        s += np.float64(fourth[j]) * here
    out[0], out[1], out[2], out[3] = p, q, r, s


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _adds(K, i, u, columns):
    """Add four rows of K, times u, to the column totals."""
    first, second, third, fourth = K[i], K[i + 1], K[i + 2], K[i + 3]
    p, q, r, s = u[i], u[i + 1], u[i + 2], u[i + 3]
    for j in range(np.uint64(columns.shape[0])):
        columns[j] += (p * np.float64(first[j]) + q * np.float64(second[j])) + (
            r * np.float64(third[j]) + s * np.float64(fourth[j])
        )


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _dot(row, v):
    total = 0.0
    for j in range(np.uint64(v.shape[0])):
        total += np.float64(row[j]) * v[j]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _add(row, factor, columns):
    for j in range(np.uint64(columns.shape[0])):
        columns[j] += factor * np.float64(row[j])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _dense_block(K, a, damp, powers, omega, u, v, rows, partial, block):
    size, n = block_rows(a.shape[0]), a.shape[0]
    columns = partial[block]
    columns[:] = 0.0
    i, end = block * size, min(n, block * size + size)
    while i + 4 <= end:
        _dots(K, i, v, rows[i : i + 4])
        for k in range(i, i + 4):
            u[k] = _corrected(a[k], rows[k], u[k], damp[k], powers[0], omega)
        _adds(K, i, u, columns)
        i += 4
    while i < end:
        rows[i] = _dot(K[i], v)
        u[i] = _corrected(a[i], rows[i], u[i], damp[i], powers[0], omega)
        _add(K[i], u[i], columns)
        i += 1


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _reduce(partial, out):
    out[:] = 0.0
    for block in range(partial.shape[0]):
        part = partial[block]
        for j in range(np.uint64(out.shape[0])):
            out[j] += part[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _measured(row_side, column_side, u, v, rows, columns, reach):
    """The marginal error after a sweep, and whether u and v stayed in the safe range."""
    a, _, wanted_a, powers_a = row_side
    b, _, wanted_b, powers_b = column_side
    error = _error(b, columns, v, wanted_b, powers_b[1])
    error += _error(a, rows, u, wanted_a, powers_a[1])
    return error, _within(u, reach) and _within(v, reach)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _dense_alone(K, row_side, column_side, scalings, omega, reach, steps, target, trace):
    u, v, rows, columns, partial = scalings
    a, damp_a, _, powers_a = row_side
    b, damp_b, _, powers_b = column_side
    for step in range(steps):
        _correct(b, columns, v, damp_b, powers_b[0], omega)
        for block in range(partial.shape[0]):
            _dense_block(K, a, damp_a, powers_a, omega, u, v, rows, partial, block)
        _reduce(partial, columns)
        trace[step], safe = _measured(row_side, column_side, u, v, rows, columns, reach)
        if not safe:
            return step + 1, False
        if trace[step] <= target:
            return step + 1, True
    return steps, True


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _dense_threads(K, row_side, column_side, scalings, omega, reach, steps, target, trace):
    u, v, rows, columns, partial = scalings
    a, damp_a, _, powers_a = row_side
    b, damp_b, _, powers_b = column_side
    for step in range(steps):
        _correct(b, columns, v, damp_b, powers_b[0], omega)
        for block in numba.prange(partial.shape[0]):
            _dense_block(K, a, damp_a, powers_a, omega, u, v, rows, partial, block)
        _reduce(partial, columns)
        trace[step], safe = _measured(row_side, column_side, u, v, rows, columns, reach)
        if not safe:
            return step + 1, False
        if trace[step] <= target:
            return step + 1, True
    return steps, True


def sweep_dense(K, row_side, column_side, scalings, omega, reach, steps, target, trace):
    """Up to `steps` sweeps on a stored K, in place: how many were done, and whether all is safe.

    Ends early at the target, or where u or v leave [1 / reach, reach].
    """
    args: tuple = (K, row_side, column_side, scalings, omega, reach, steps, target, trace)
    with threads(K.size, _SWEEP_ALONE) as together:
        return (_dense_threads if together else _dense_alone)(*args)


# No reordering: LLVM would vectorise with gathers, which cost more than four chains side by side.
@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _sparse_dot(data, indices, first, last, x):
    k, end = np.uint64(first), np.uint64(last)
    p = q = r = s = 0.0
    while k + _FOUR <= end:
        p += np.float64(data[k]) * x[np.uint64(indices[k])]
        q += np.float64(data[k + _ONE]) * x[np.uint64(indices[k + _ONE])]
        r += np.float64(data[k + _TWO]) * x[np.uint64(indices[k + _TWO])]
        s += np.float64(data[k + _THREE]) * x[np.uint64(indices[k + _THREE])]
        k += _FOUR
    while k < end:
        p += np.float64(data[k]) * x[np.uint64(indices[k])]
        k += _ONE
    return (p + q) + (r + s)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep_sparse(by_row, by_column, row_side, column_side, scalings, omega, reach, steps, target,
                 trace):  # fmt: skip
    """`sweep_dense` on the entries of K that matter, stored by rows and by columns."""
    data, indices, indptr = by_row
    data_t, indices_t, indptr_t = by_column
    u, v, rows, columns, _ = scalings
    a, damp_a, _, powers_a = row_side
    b, damp_b, _, powers_b = column_side
    for step in range(steps):
        _correct(b, columns, v, damp_b, powers_b[0], omega)
        for i in range(a.shape[0]):
            rows[i] = _sparse_dot(data, indices, indptr[i], indptr[i + 1], v)
        _correct(a, rows, u, damp_a, powers_a[0], omega)
        for j in range(b.shape[0]):
            columns[j] = _sparse_dot(data_t, indices_t, indptr_t[j], indptr_t[j + 1], u)
        trace[step], safe = _measured(row_side, column_side, u, v, rows, columns, reach)
        if not safe:
            return step + 1, False
        if trace[step] <= target:
            return step + 1, True
    return steps, True


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _normalise(z, top):
    total = 0.0
    for j in range(np.uint64(z.shape[0])):
        value = exp(z[j] - top)
        z[j] = value
        total += value
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_block(kind, A, B, epsilon, head, mass, f, power, omega, rows, partial, block):
    size, n = block_rows(mass.shape[0]), mass.shape[0]
    z = np.empty(head.shape[0])
    columns = partial[block]
    columns[:] = 0.0
    for i in range(block * size, min(n, block * size + size)):
        exponents(kind, A, B, i, 1.0 / epsilon, head, z)
        top = largest(z, z.shape[0])
        total = _normalise(z, top)
        exact = -epsilon * (top + np.log(total))
        new = power * exact
        if omega != 1.0:
            new = f[i] + omega * (new - f[i])
        f[i] = new
        rows[i] = mass[i] * (1.0 if new == exact else np.exp((new - exact) / epsilon))
        _add(z, rows[i] / total, columns)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _log_alone(kind, A, B, epsilon, head, mass, f, power, omega, rows, partial):
    for block in range(partial.shape[0]):
        _log_block(kind, A, B, epsilon, head, mass, f, power, omega, rows, partial, block)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _log_threads(kind, A, B, epsilon, head, mass, f, power, omega, rows, partial):
    for block in numba.prange(partial.shape[0]):
        _log_block(kind, A, B, epsilon, head, mass, f, power, omega, rows, partial, block)


def pass_log(kind, A, B, epsilon, head, mass, f, power, omega, rows, columns, partial):
    """Correct f given g in the log domain; row and column totals of the plan of the new f and g.

    ``head`` is `g / epsilon + log b`. One exponential an entry does for both sides: after the
    row's correction no entry of the plan exceeds the row's mass.
    """
    args: tuple = (kind, A, B, epsilon, head, mass, f, power, omega, rows, partial)
    with threads(len(mass) * len(head)) as together:
        (_log_threads if together else _log_alone)(*args)
    _reduce(partial, columns)


def usable(totals):
    """Which column totals are neither lost to underflow nor overflown."""
    return (totals > _TINY) & (totals < _HUGE)
