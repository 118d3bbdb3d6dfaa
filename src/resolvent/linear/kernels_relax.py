"""Relaxation kernels on CSR matrices: SOR, SSOR, Jacobi and Kaczmarz, with residuals for free.

The sweeps act on corrections, not on iterates. For the forward sweep let K = D/w + L and
d = K^-1 r, so that x + d is the next iterate. Its residual needs only the entries right of the
diagonal,
    r_next = r - A d = (1/w - 1) D d - U d,
and the next correction needs r_next and the entries left of it. Row i of the next sweep reads both
sides anyway, and when it is reached d still holds old values right of i and new ones left of it. So
one pass in place over d gives the residual after this sweep and the correction of the next: the
norm of the true residual is known after every sweep, for the price of the sweep alone.

Between calls ``x`` is therefore complete, ``norm`` is its residual's, and ``d`` is the correction
that the next sweep will add. Every ``*_start`` kernel computes the first from ``r = b - A x``. The
norm follows the recurrence, as in CG; recompute ``r`` and start again to remove rounding drift.

Advance kernels return ``(done, status)`` and keep the current norm in ``scalars[0]`` and the
number of sweeps in ``scalars[1]``; they stop before the first sweep, or after any, at which the
norm is at most ``target``; ``trace[:done]`` gets the norm after each. No row may lack a diagonal
entry, and none may be zero.
"""

import numba
import numpy as np

from resolvent.linear.kernels import CONTRACT, FAST, NON_FINITE, ONE, RUNNING

NORM = 0
STEPS = 1

# Helpers are inlined by force, so that one compilation decides how their sums are rounded.


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _norm(r):
    square = 0.0
    for i in range(r.shape[0]):
        value = np.float64(r[i])
        square += value * value
    return np.sqrt(square)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def sor_sweep(data, indices, indptr, inverse_diagonal, omega, b, x):
    """One bare forward SOR sweep on A x = b, in place on ``x``, for smoothing and timing."""
    factor = x.dtype.type(omega)
    k = np.uint64(indptr[0])
    for i in range(np.uint64(x.shape[0])):
        total = b[i]
        end = np.uint64(indptr[i + ONE])
        # The diagonal is summed with the rest: it makes the total the residual of the row and
        # spares a test an entry.
        while k < end:
            total -= data[k] * x[np.uint64(indices[k])]
            k += ONE
        x[i] += factor * inverse_diagonal[i] * total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def sor_sweep_backward(data, indices, indptr, inverse_diagonal, omega, b, x):
    """One bare backward SOR sweep on A x = b, in place on ``x``."""
    factor = x.dtype.type(omega)
    n = np.uint64(x.shape[0])
    k = np.uint64(indptr[n])
    for m in range(n):
        i = n - ONE - m
        total = b[i]
        begin = np.uint64(indptr[i])
        while k > begin:
            k -= ONE
            total -= data[k] * x[np.uint64(indices[k])]
        x[i] += factor * inverse_diagonal[i] * total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def sor_start(data, indices, indptr, positions, omega, r, d, scalars):
    """First correction (D/w + L)^-1 r of the forward sweep (and of the symmetric one)."""
    factor = r.dtype.type(omega)
    for i in range(np.uint64(r.shape[0])):
        total = r[i]
        centre = np.uint64(positions[i])
        for k in range(np.uint64(indptr[i]), centre):
            total -= data[k] * d[np.uint64(indices[k])]
        d[i] = factor / data[centre] * total
    scalars[NORM] = _norm(r)
    scalars[STEPS] = 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def sor_backward_start(data, indices, indptr, positions, omega, r, d, scalars):
    """First correction (D/w + U)^-1 r of the backward sweep."""
    factor = r.dtype.type(omega)
    n = np.uint64(r.shape[0])
    for m in range(n):
        i = n - ONE - m
        total = r[i]
        centre = np.uint64(positions[i])
        for k in range(centre + ONE, np.uint64(indptr[i + ONE])):
            total -= data[k] * d[np.uint64(indices[k])]
        d[i] = factor / data[centre] * total
    scalars[NORM] = _norm(r)
    scalars[STEPS] = 0.0


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _sor_pass(data, indices, indptr, positions, omega, x, d):
    factor = x.dtype.type(omega)
    rest = x.dtype.type(1.0 / omega - 1.0)
    square = 0.0
    k = np.uint64(indptr[0])
    for i in range(np.uint64(x.shape[0])):
        centre = np.uint64(positions[i])
        end = np.uint64(indptr[i + ONE])
        below = x.dtype.type(0)
        while k < centre:
            below += data[k] * d[np.uint64(indices[k])]
            k += ONE
        pivot = data[centre]
        here = d[i]
        residual = rest * pivot * here
        k = centre + ONE
        while k < end:
            residual -= data[k] * d[np.uint64(indices[k])]
            k += ONE
        x[i] += here
        ratio = factor / pivot
        d[i] = ratio * residual - ratio * below
        wide = np.float64(residual)
        square += wide * wide
    return np.sqrt(square)


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _sor_backward_pass(data, indices, indptr, positions, omega, x, d):
    factor = x.dtype.type(omega)
    rest = x.dtype.type(1.0 / omega - 1.0)
    square = 0.0
    n = np.uint64(x.shape[0])
    k = np.uint64(indptr[n])
    for m in range(n):
        i = n - ONE - m
        centre = np.uint64(positions[i])
        begin = np.uint64(indptr[i])
        above = x.dtype.type(0)
        while k > centre + ONE:
            k -= ONE
            above += data[k] * d[np.uint64(indices[k])]
        pivot = data[centre]
        here = d[i]
        residual = rest * pivot * here
        k = centre
        while k > begin:
            k -= ONE
            residual -= data[k] * d[np.uint64(indices[k])]
        x[i] += here
        ratio = factor / pivot
        d[i] = ratio * residual - ratio * above
        wide = np.float64(residual)
        square += wide * wide
    return np.sqrt(square)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sor(data, indices, indptr, positions, omega, x, d, scalars, steps, target, trace):
    """Advance forward SOR (Gauss-Seidel at omega = 1); begin with ``sor_start``."""
    done = 0
    while done < steps and not scalars[NORM] <= target:
        scalars[NORM] = _sor_pass(data, indices, indptr, positions, omega, x, d)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(scalars[NORM]):
            return done, NON_FINITE
    return done, RUNNING


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sor_backward(data, indices, indptr, positions, omega, x, d, scalars, steps, target, trace):
    """Advance backward SOR; begin with ``sor_backward_start``."""
    done = 0
    while done < steps and not scalars[NORM] <= target:
        scalars[NORM] = _sor_backward_pass(data, indices, indptr, positions, omega, x, d)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(scalars[NORM]):
            return done, NON_FINITE
    return done, RUNNING


# The symmetric sweep adds e = f + g: f = (D/w + L)^-1 r forward, g = (D/w + U)^-1 (r - A f)
# backward. The backward half needs no residual, since r - A f = (1/w - 1) D f - U f gives
#     e_i = (2 - w) f_i - (w / d_i) sum_{j > i} a_ij e_j,
# and the residual afterwards is (1/w - 1) D g - L g, which the next forward half gathers with the
# entries that it reads for its own recursion. Both halves together read the matrix once.


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _ssor_backward_half(data, indices, indptr, positions, omega, x, f, g, e):
    factor = x.dtype.type(omega)
    weight = x.dtype.type(2.0 - omega)
    n = np.uint64(x.shape[0])
    for m in range(n):
        i = n - ONE - m
        centre = np.uint64(positions[i])
        above = x.dtype.type(0)
        k = np.uint64(indptr[i + ONE])
        while k > centre + ONE:
            k -= ONE
            above += data[k] * e[np.uint64(indices[k])]
        first = f[i]
        whole = weight * first - factor / data[centre] * above
        e[i] = whole
        g[i] = whole - first
        x[i] += whole


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _ssor_forward_half(data, indices, indptr, positions, omega, f, g):
    factor = f.dtype.type(omega)
    rest = f.dtype.type(1.0 / omega - 1.0)
    square = 0.0
    for i in range(np.uint64(f.shape[0])):
        centre = np.uint64(positions[i])
        pivot = data[centre]
        residual = rest * pivot * g[i]
        below = f.dtype.type(0)
        k = np.uint64(indptr[i])
        while k < centre:
            j = np.uint64(indices[k])
            entry = data[k]
            residual -= entry * g[j]
            below += entry * f[j]
            k += ONE
        ratio = factor / pivot
        f[i] = ratio * residual - ratio * below
        wide = np.float64(residual)
        square += wide * wide
    return np.sqrt(square)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ssor(data, indices, indptr, positions, omega, x, f, g, e, scalars, steps, target, trace):
    """Advance symmetric SOR; begin with ``sor_start`` on ``f``. ``g`` and ``e`` are scratch."""
    done = 0
    while done < steps and not scalars[NORM] <= target:
        _ssor_backward_half(data, indices, indptr, positions, omega, x, f, g, e)
        scalars[NORM] = _ssor_forward_half(data, indices, indptr, positions, omega, f, g)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(scalars[NORM]):
            return done, NON_FINITE
    return done, RUNNING


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def ssor_apply(data, indices, indptr, positions, omega, r, z):
    """Write M^-1 r into ``z`` for M = w/(2-w) (D/w + L) D^-1 (D/w + U); A may be unsymmetric.

    Equal to the correction of one symmetric sweep from zero. ``z`` must not be ``r``.
    """
    factor = r.dtype.type(omega)
    weight = r.dtype.type(2.0 - omega)
    n = np.uint64(r.shape[0])
    for i in range(n):
        total = r[i]
        centre = np.uint64(positions[i])
        for k in range(np.uint64(indptr[i]), centre):
            total -= data[k] * z[np.uint64(indices[k])]
        z[i] = factor / data[centre] * total
    for m in range(n):
        i = n - ONE - m
        centre = np.uint64(positions[i])
        above = r.dtype.type(0)
        k = np.uint64(indptr[i + ONE])
        while k > centre + ONE:
            k -= ONE
            above += data[k] * z[np.uint64(indices[k])]
        z[i] = weight * z[i] - factor / data[centre] * above


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _jacobi_pass(data, indices, indptr, inverse_diagonal, omega, x, r, d, d_next):
    factor = x.dtype.type(omega)
    square = 0.0
    k = np.uint64(indptr[0])
    for i in range(np.uint64(x.shape[0])):
        total = r[i]
        end = np.uint64(indptr[i + ONE])
        while k < end:
            total -= data[k] * d[np.uint64(indices[k])]
            k += ONE
        r[i] = total
        x[i] += d[i]
        d_next[i] = factor * inverse_diagonal[i] * total
        wide = np.float64(total)
        square += wide * wide
    return np.sqrt(square)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def jacobi(data, indices, indptr, inverse_diagonal, omega, x, r, d, scalars, steps, target, trace):
    """Advance weighted Jacobi x + w D^-1 r. State: ``x`` and ``r = b - A x``.

    ``d`` is scratch of shape (2, n). ``scalars[0]`` must hold the norm of ``r`` at the first call.
    """
    # The product with the correction updates r; the two rows of d change places, so that the pass
    # that reads one correction writes the next.
    done = 0
    if steps > 0 and not scalars[NORM] <= target:
        factor = x.dtype.type(omega)
        for i in range(x.shape[0]):
            d[0, i] = factor * inverse_diagonal[i] * r[i]
    while done < steps and not scalars[NORM] <= target:
        side = done % 2
        scalars[NORM] = _jacobi_pass(
            data, indices, indptr, inverse_diagonal, omega, x, r, d[side], d[1 - side]
        )
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(scalars[NORM]):
            return done, NON_FINITE
    return done, RUNNING


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def row_squares(data, indptr, squares):
    """Write the squared Euclidean norm of every row (float64)."""
    for i in range(np.uint64(squares.shape[0])):
        total = 0.0
        for k in range(np.uint64(indptr[i]), np.uint64(indptr[i + ONE])):
            value = np.float64(data[k])
            total += value * value
        squares[i] = total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def kaczmarz(data, indices, indptr, b, squares, rows, every, x, scalars, target, trace):
    """Project ``x`` onto the equations ``rows`` in turn; A may be rectangular.

    The norm of b - A x is computed after every ``every`` projections and after the last.
    Returns ``(projections done, norms written to trace, status)``. Rows of norm zero are passed
    over. ``scalars[0]`` is the latest norm (the caller gives that of the start), ``scalars[1]``
    the number of projections so far.
    """
    total_rows = rows.shape[0]
    done = 0
    measured = 0
    while done < total_rows and not scalars[NORM] <= target:
        stop = min(done + every, total_rows)
        for m in range(done, stop):
            i = np.uint64(rows[m])
            if squares[i] > 0.0:
                gap = b[i]
                begin = np.uint64(indptr[i])
                end = np.uint64(indptr[i + ONE])
                for k in range(begin, end):
                    gap -= data[k] * x[np.uint64(indices[k])]
                step = x.dtype.type(np.float64(gap) / squares[i])
                for k in range(begin, end):
                    x[np.uint64(indices[k])] += step * data[k]
        scalars[STEPS] += stop - done
        done = stop
        square = 0.0
        k = np.uint64(indptr[0])
        for i in range(np.uint64(b.shape[0])):
            gap = b[i]
            end = np.uint64(indptr[i + ONE])
            while k < end:
                gap -= data[k] * x[np.uint64(indices[k])]
                k += ONE
            square += np.float64(gap) * np.float64(gap)
        scalars[NORM] = np.sqrt(square)
        trace[measured] = scalars[NORM]
        measured += 1
        if not np.isfinite(square):
            return done, measured, NON_FINITE
    return done, measured, RUNNING
