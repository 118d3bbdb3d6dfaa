"""Kernels of Newton's method on the semi-dual: passes over the plan, and products with its Hessian.

The potential f of the rows is eliminated: for a given g it is the soft minimum that makes the row
sums right, so one pass over the costs gives f, row and column sums of the plan, and, where they
are asked for, its entries above a threshold. Costs are given as ``(kind, A, B)`` like in
``kernels_softmin``, whose exponential is used here. The Hessian in g is ``(diag(c) - S^T diag(1/r)
S) / epsilon`` with S the kept entries, by rows.

Rows are dealt to threads in blocks that depend on the shape alone and sums of blocks are taken in
order, so that the number of threads never changes a result.
"""

import numba
import numpy as np

from resolvent.transport.kernels_softmin import (
    block_count,
    block_rows,
    exp,
    exponents,
    largest,
    threads,
)

FAST = {"reassoc", "contract", "nsz"}
_STRIP = 32  # entries that are compared with the threshold at once
_LONG = 1 << 17  # kept entries up to which one thread multiplies faster than two
_SLICES = 8  # pieces of about as many entries that longer products are dealt in


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _exponentials(z, top):
    total = 0.0
    for j in range(np.uint64(z.shape[0])):
        value = exp(z[j] - top)
        z[j] = value
        total += value
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _spread(z, weight, columns):
    for j in range(np.uint64(z.shape[0])):
        columns[j] += weight * z[j]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "nnan"})
def _excess(z, bar, root, first, last):
    most = -1.0
    for j in range(np.uint64(first), np.uint64(last)):
        over = z[j] - bar * root[j]
        most = over if over > most else most
    return most


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _collect(z, weight, bar, root, indices, values, k, end):
    """Keep weight * z where z > bar * root; return the next place and how many had none."""
    m, lost = z.shape[0], 0
    for first in range(0, m, _STRIP):
        last = min(first + _STRIP, m)
        if _excess(z, bar, root, first, last) > 0.0:
            for j in range(first, last):
                if z[j] > bar * root[j]:
                    if k < end:
                        indices[k] = j
                        values[k] = weight * z[j]
                        k += 1
                    else:
                        lost += 1
    return k, lost


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pass_block(
    kind, A, B, epsilon, head, a, damping, f, rows, columns,
    cut, root_a, root_b, counts, indices, values, first, room, block,
):  # fmt: skip
    n, m = f.shape[0], head.shape[0]
    size = block_rows(n)
    z = np.empty(m)
    columns[:] = 0.0
    k, end, lost = first, first + room, 0
    for i in range(block * size, min(n, block * size + size)):
        exponents(kind, A, B, i, 1.0 / epsilon, head, z)
        top = largest(z, m)
        total = _exponentials(z, top)
        soft = -epsilon * (top + np.log(total))
        f[i] = damping * soft
        mass = a[i] * np.exp((f[i] - soft) / epsilon)
        rows[i] = mass
        counts[i] = 0
        weight = mass / total
        if not weight > 0.0:
            continue
        _spread(z, weight, columns)
        if cut >= 0.0:
            before = k
            k, missed = _collect(
                z, weight, cut * root_a[i] / weight, root_b, indices, values, k, end
            )
            counts[i] = k - before
            lost += missed
    return k - first + lost


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pass_alone(
    kind, A, B, epsilon, head, a, damping, f, rows, parts,
    cut, root_a, root_b, counts, indices, values, room, need,
):  # fmt: skip
    for block in range(parts.shape[0]):
        need[block] = _pass_block(
            kind, A, B, epsilon, head, a, damping, f, rows, parts[block],
            cut, root_a, root_b, counts, indices, values, block * room, room, block,
        )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _pass_threads(
    kind, A, B, epsilon, head, a, damping, f, rows, parts,
    cut, root_a, root_b, counts, indices, values, room, need,
):  # fmt: skip
    for block in numba.prange(parts.shape[0]):
        need[block] = _pass_block(
            kind, A, B, epsilon, head, a, damping, f, rows, parts[block],
            cut, root_a, root_b, counts, indices, values, block * room, room, block,
        )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pack(counts, room, indices, values, indptr, packed_indices, packed_values):
    """Close the gaps between the blocks' entries; writes ``indptr`` too."""
    n = counts.shape[0]
    size = block_rows(n)
    k, source = 0, 0
    for i in range(n):
        if i % size == 0:
            source = (i // size) * room
        indptr[i] = k
        for _ in range(counts[i]):
            packed_indices[k] = indices[source]
            packed_values[k] = values[source]
            k += 1
            source += 1
    indptr[n] = k


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _product(indptr, indices, values, inverse, low, high, x, out):
    """Subtract S^T diag(inverse) S x, for rows low to high, from ``out``."""
    k = np.uint64(indptr[low])
    for i in range(low, high):
        end = np.uint64(indptr[i + 1])
        total = 0.0
        start = k
        while k < end:
            total += values[k] * x[np.uint64(indices[k])]
            k += np.uint64(1)
        total *= inverse[i]
        k = start
        while k < end:
            out[np.uint64(indices[k])] -= values[k] * total
            k += np.uint64(1)


@numba.njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _slices_threads(indptr, indices, values, inverse, bounds, x, parts):
    for part in numba.prange(parts.shape[0]):
        parts[part] = 0.0
        low, high = bounds[part], bounds[part + 1]
        _product(indptr, indices, values, inverse, low, high, x, parts[part])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _slices_alone(indptr, indices, values, inverse, bounds, x, parts):
    for part in range(parts.shape[0]):
        parts[part] = 0.0
        low, high = bounds[part], bounds[part + 1]
        _product(indptr, indices, values, inverse, low, high, x, parts[part])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _diagonal(diagonal, x, out):
    for j in range(np.uint64(x.shape[0])):
        out[j] = diagonal[j] * x[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply(indptr, indices, values, inverse, diagonal, x, out, bounds, parts, together):
    _diagonal(diagonal, x, out)
    if parts.shape[0] == 0:
        _product(indptr, indices, values, inverse, 0, inverse.shape[0], x, out)
        return
    if together:
        _slices_threads(indptr, indices, values, inverse, bounds, x, parts)
    else:
        _slices_alone(indptr, indices, values, inverse, bounds, x, parts)
    for part in range(parts.shape[0]):
        _spread(parts[part], 1.0, out)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _scaled_sum(weights, x):
    total = 0.0
    for j in range(np.uint64(x.shape[0])):
        total += weights[j] * x[j]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _move(x, r, p, q, alpha, inverse):
    size, rho, length = 0.0, 0.0, 0.0
    for j in range(np.uint64(x.shape[0])):
        place = x[j] + alpha * p[j]
        x[j] = place
        length = max(length, abs(place))
        value = r[j] - alpha * q[j]
        r[j] = value
        size += abs(value)
        rho += value * value * inverse[j]
    return size, rho, length


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _turn(p, r, inverse, beta):
    for j in range(np.uint64(p.shape[0])):
        p[j] = inverse[j] * r[j] + beta * p[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cg(
    indptr, indices, values, inverse, diagonal, right, target, limit, reach, x,
    bounds, parts, together,
):  # fmt: skip
    m = right.shape[0]
    scale = diagonal.copy()
    for i in range(inverse.shape[0]):
        for k in range(indptr[i], indptr[i + 1]):
            scale[indices[k]] -= values[k] * values[k] * inverse[i]
    for j in range(m):
        # A column that shares its mass with no other loses all digits in this difference.
        scale[j] = 1.0 / max(scale[j], 1e-14 * diagonal[j])
    x[:] = 0.0
    r = right.copy()
    p = scale * r
    q = np.empty(m)
    rho = _scaled_sum(r, p)
    size = np.abs(r).sum()
    done = 0
    while done < limit and size > target:
        _multiply(indptr, indices, values, inverse, diagonal, p, q, bounds, parts, together)
        done += 1
        curvature = _scaled_sum(p, q)
        if not (curvature > 0.0 and rho > 0.0):
            break
        size, after, length = _move(x, r, p, q, rho / curvature, scale)
        _turn(p, r, scale, after / rho)
        rho = after
        if length > reach:
            break
    return done, size


def plan_pass(form, epsilon, head, a, damping, f, rows, keep, density):
    """One pass at a potential of the columns: writes ``f`` and ``rows``, returns column sums.

    ``head`` is g / epsilon + log b; ``damping`` 1, or tau / (tau + epsilon) for rows that are
    penalized. ``keep`` is None or ``(cut, root_a,
    root_b)``: entries above ``cut root_a_i root_b_j`` are collected and come back as ``(indptr,
    indices, values)``, or None where there are more than ``density`` a row, with the number a row
    that would have been enough.
    """
    kind, A, B = form
    n, m = len(f), len(head)
    parts = np.empty((block_count(n), m))
    cut, root_a, root_b = (-1.0, a, a) if keep is None else keep
    size = min(block_rows(n), n)
    room = 0 if keep is None else min(density, m) * size
    indices, values = np.empty(room * len(parts), np.int32), np.empty(room * len(parts))
    counts, need = np.empty(n, np.int64), np.empty(len(parts), np.int64)
    with threads(n * m) as together:
        (_pass_threads if together else _pass_alone)(
            kind, A, B, float(epsilon), head, a, float(damping), f, rows, parts,
            float(cut), root_a, root_b, counts, indices, values, room, need,
        )  # fmt: skip
    columns = parts.sum(axis=0)
    if keep is None:
        return columns, None, 0
    most = -(-int(need.max()) // size)
    if int(need.max()) > room:
        return columns, None, most
    total = int(counts.sum())
    packed = np.empty(n + 1, np.int64), np.empty(total, np.int32), np.empty(total)
    pack(counts, room, indices, values, *packed)
    return columns, packed, most


def cg(indptr, indices, values, inverse, diagonal, right, target, limit, reach, x):
    """Jacobi-preconditioned CG for ``(diag(diagonal) - S^T diag(inverse) S) x = right``.

    Ends when the l1 norm of the residual is at most ``target``, after ``limit`` products, where an
    entry of ``x`` is larger than ``reach``, or where the curvature is not positive. Writes ``x``;
    returns the products done and that norm.
    """
    entries, slices = len(values), _SLICES if len(values) > _LONG else 0
    bounds = np.searchsorted(indptr, np.linspace(0, entries, slices + 1)[:slices])
    bounds = np.append(bounds, len(inverse))
    bounds[0] = 0
    parts = np.empty((slices, len(right)))
    with threads(entries if slices else 0) as together:
        return _cg(
            indptr, indices, values, inverse, diagonal, right, target, limit, reach, x,
            bounds, parts, together,
        )  # fmt: skip
