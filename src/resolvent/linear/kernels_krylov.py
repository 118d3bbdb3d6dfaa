"""Conjugate gradient kernels, plain, Jacobi- and SSOR-preconditioned, in two storages.

All of them advance a state that lives in arrays, in place, and can be called again: ten steps and
then ten more give the same bits as twenty. ``scalars`` (float64, length 4) holds what has to
survive between two calls: ``scalars[RHO]`` the inner product r.Mr, ``scalars[NORM]`` the norm of
the residual, ``scalars[BETA]`` the factor of the next direction, ``scalars[STEPS]`` the number of
steps so far. Each ``*_start`` kernel begins from the residual ``r = b - A x`` in ``r``.

An advance kernel returns ``(done, status)``. It stops before the first step, or after any, at
which the norm is at most ``target``; ``trace[:done]`` gets the norm after each step done. On
INDEFINITE, the iterate is the last good one.

Inner products are summed in float64 for either precision of the data.
"""

import numba
import numpy as np

from resolvent.linear.kernels import CONTRACT, FAST, INDEFINITE, NON_FINITE, ONE, RUNNING

RHO = 0
NORM = 1
BETA = 2
STEPS = 3


# Helpers are inlined by force. A helper that stays a call exists twice, in its own module and as a
# copy optimised again inside its caller; the process that compiles runs the first and the process
# that loads from the cache runs the second, and their sums can differ in the last bit.


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def cg_start(r, p, scalars):
    """Begin CG from the residual ``r``: writes ``p`` and ``scalars``."""
    square = 0.0
    for i in range(r.shape[0]):
        value = np.float64(r[i])
        square += value * value
        p[i] = r[i]
    scalars[RHO] = square
    scalars[NORM] = np.sqrt(square)
    scalars[BETA] = 0.0
    scalars[STEPS] = 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def cg_jacobi_start(inverse_diagonal, r, p, scalars):
    """Begin Jacobi-preconditioned CG from the residual ``r``: writes ``p`` and ``scalars``."""
    square = 0.0
    rho = 0.0
    for i in range(r.shape[0]):
        value = np.float64(r[i])
        square += value * value
        rho += value * value * np.float64(inverse_diagonal[i])
        p[i] = inverse_diagonal[i] * r[i]
    scalars[RHO] = rho
    scalars[NORM] = np.sqrt(square)
    scalars[BETA] = 0.0
    scalars[STEPS] = 0.0


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _csr_product(data, indices, indptr, p, product):
    curvature = 0.0
    k = np.uint64(indptr[0])
    for i in range(np.uint64(product.shape[0])):
        total = p.dtype.type(0)
        end = np.uint64(indptr[i + ONE])
        while k < end:
            total += data[k] * p[np.uint64(indices[k])]
            k += ONE
        product[i] = total
        curvature += np.float64(total) * np.float64(p[i])
    return curvature


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _residual_step(r, product, alpha):
    square = 0.0
    step = r.dtype.type(alpha)
    for i in range(r.shape[0]):
        value = r[i] - step * product[i]
        r[i] = value
        wide = np.float64(value)
        square += wide * wide
    return square


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _residual_step_jacobi(inverse_diagonal, r, product, alpha):
    square = 0.0
    rho = 0.0
    step = r.dtype.type(alpha)
    for i in range(r.shape[0]):
        value = r[i] - step * product[i]
        r[i] = value
        wide = np.float64(value)
        square += wide * wide
        rho += wide * wide * np.float64(inverse_diagonal[i])
    return square, rho


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _iterate_step(x, p, r, alpha, beta):
    step = x.dtype.type(alpha)
    turn = x.dtype.type(beta)
    for i in range(x.shape[0]):
        direction = p[i]
        x[i] += step * direction
        p[i] = r[i] + turn * direction


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _iterate_step_jacobi(inverse_diagonal, x, p, r, alpha, beta):
    step = x.dtype.type(alpha)
    turn = x.dtype.type(beta)
    for i in range(x.shape[0]):
        direction = p[i]
        x[i] += step * direction
        p[i] = inverse_diagonal[i] * r[i] + turn * direction


@numba.njit(forceinline=True, nogil=True, error_model="numpy")
def _breakdown(curvature, rho):
    if not (np.isfinite(curvature) and np.isfinite(rho)):
        return NON_FINITE
    if not (curvature > 0.0 and rho > 0.0):
        return INDEFINITE
    return RUNNING


@numba.njit(cache=True, nogil=True, error_model="numpy")
def cg(data, indices, indptr, x, r, p, product, scalars, steps, target, trace):
    """Advance CG on a CSR matrix; begin with ``cg_start``."""
    # Three passes a step: the product with p.Ap; r with r.r; x together with the next p, so that
    # p is read once for both.
    done = 0
    while done < steps and not scalars[NORM] <= target:
        rho = scalars[RHO]
        curvature = _csr_product(data, indices, indptr, p, product)
        status = _breakdown(curvature, rho)
        if status != RUNNING:
            return done, status
        alpha = rho / curvature
        square = _residual_step(r, product, alpha)
        _iterate_step(x, p, r, alpha, square / rho)
        scalars[RHO] = square
        scalars[NORM] = np.sqrt(square)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(square):
            return done, NON_FINITE
    return done, RUNNING


@numba.njit(cache=True, nogil=True, error_model="numpy")
def cg_jacobi(
    data, indices, indptr, inverse_diagonal, x, r, p, product, scalars, steps, target, trace
):
    """Advance Jacobi-preconditioned CG on a CSR matrix; begin with ``cg_jacobi_start``."""
    done = 0
    while done < steps and not scalars[NORM] <= target:
        rho = scalars[RHO]
        curvature = _csr_product(data, indices, indptr, p, product)
        status = _breakdown(curvature, rho)
        if status != RUNNING:
            return done, status
        alpha = rho / curvature
        square, rho_next = _residual_step_jacobi(inverse_diagonal, r, product, alpha)
        _iterate_step_jacobi(inverse_diagonal, x, p, r, alpha, rho_next / rho)
        scalars[RHO] = rho_next
        scalars[NORM] = np.sqrt(square)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(square):
            return done, NON_FINITE
    return done, RUNNING


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _symmetric_product(lower_data, lower_indices, lower_indptr, diagonal, p, product):
    curvature = 0.0
    k = np.uint64(0)
    for i in range(np.uint64(p.shape[0])):
        here = p[i]
        below = p.dtype.type(0)
        end = np.uint64(lower_indptr[i + ONE])
        while k < end:
            j = np.uint64(lower_indices[k])
            entry = lower_data[k]
            below += entry * p[j]
            product[j] += entry * here
            k += ONE
        across = diagonal[i] * here
        product[i] = across + below
        # Row i of the half storage holds each off-diagonal pair once, so it counts twice.
        curvature += np.float64(here) * np.float64(across + below + below)
    return curvature


@numba.njit(cache=True, nogil=True, error_model="numpy")
def cg_symmetric(
    lower_data, lower_indices, lower_indptr, diagonal,
    x, r, p, product, scalars, steps, target, trace,
):  # fmt: skip
    """Advance CG on a symmetric matrix in half storage; begin with ``cg_start``."""
    done = 0
    while done < steps and not scalars[NORM] <= target:
        rho = scalars[RHO]
        curvature = _symmetric_product(
            lower_data, lower_indices, lower_indptr, diagonal, p, product
        )
        status = _breakdown(curvature, rho)
        if status != RUNNING:
            return done, status
        alpha = rho / curvature
        square = _residual_step(r, product, alpha)
        _iterate_step(x, p, r, alpha, square / rho)
        scalars[RHO] = square
        scalars[NORM] = np.sqrt(square)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(square):
            return done, NON_FINITE
    return done, RUNNING


@numba.njit(cache=True, nogil=True, error_model="numpy")
def cg_symmetric_jacobi(
    lower_data, lower_indices, lower_indptr, diagonal, inverse_diagonal,
    x, r, p, product, scalars, steps, target, trace,
):  # fmt: skip
    """Advance Jacobi-preconditioned CG in half storage; begin with ``cg_jacobi_start``."""
    done = 0
    while done < steps and not scalars[NORM] <= target:
        rho = scalars[RHO]
        curvature = _symmetric_product(
            lower_data, lower_indices, lower_indptr, diagonal, p, product
        )
        status = _breakdown(curvature, rho)
        if status != RUNNING:
            return done, status
        alpha = rho / curvature
        square, rho_next = _residual_step_jacobi(inverse_diagonal, r, product, alpha)
        _iterate_step_jacobi(inverse_diagonal, x, p, r, alpha, rho_next / rho)
        scalars[RHO] = rho_next
        scalars[NORM] = np.sqrt(square)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(square):
            return done, NON_FINITE
    return done, RUNNING


# SSOR-preconditioned CG with Eisenstat's trick.
#
# All in the variables of the symmetrically scaled system, whose matrix has a unit diagonal:
# with S = D^(-1/2), S A S = I + L + L^T, y = S^-1 x and v = S r. SSOR commutes with the scaling.
# Write K = I/w + L and c = (2-w)/w, so that M = K K^T / c and S A S = K + K^T - c I. PCG on S A S
# with M is plain CG on K^-1 S A S K^-T. The preconditioned residual is h = K^-1 v, and a direction
# q of that system is the direction t = K^-T q for y: one backward sweep. Its curvature
#     t.(S A S) t = 2 q.t - c t.t
# is summed in that sweep, so the step length is known before the forward sweep begins. Because
# L^T t = q - t/w, the forward sweep gathers S A S t = q + L t + (1 - 1/w) t, moves v and y, and
# solves for the next h: two passes a step, and no product with A. The norm of v, weighted by the
# diagonal, is that of the true residual, on which the exit test is.
#
# The array q holds w times the value above, and both sweeps solve with I + w L: no product with a
# diagonal stands in the recursion from row to row, whose latency is what a sweep costs.
# ``link[i]`` is the entry of w L at (i, i - 1), or zero: the value of the neighbouring row stays
# in a register, and the recursion is one multiply-add a row.
#
# The other entries lie in two streams, each in the order in which its sweep reads it: the lower
# triangle row by row, the upper one from the last row to the first with descending columns. The
# last entry of a row has its column complemented (~j); a row without entries has one zero at its
# own column. Row pointers make LLVM unroll the loop over a row: a sweep takes 2-3 times longer.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ssor_count(data, indices, indptr, diagonal):
    """Write the diagonal of a CSR matrix; return the lengths of its lower and upper stream."""
    lower = 0
    upper = 0
    k = np.uint64(indptr[0])
    for i in range(diagonal.shape[0]):
        end = np.uint64(indptr[np.uint64(i) + ONE])
        before = 0
        after = 0
        pivot = data.dtype.type(0)
        while k < end:
            j = np.int64(indices[k])
            if j < i - 1:
                before += 1
            elif j > i + 1:
                after += 1
            elif j == i:
                pivot = data[k]
            k += ONE
        diagonal[i] = pivot
        lower += max(before, 1)
        upper += max(after, 1)
    return lower, upper


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ssor_split(
    data, indices, indptr, diagonal, omega, link, lower, lower_columns, upper, upper_columns
):  # fmt: skip
    """Write ``link`` (one longer than the rows) and the streams, with ``ssor_count`` before."""
    n = diagonal.shape[0]
    inverse_root = np.empty_like(diagonal)
    for i in range(n):
        inverse_root[i] = diagonal.dtype.type(1) / np.sqrt(diagonal[i])
    factor = diagonal.dtype.type(omega)
    k = np.uint64(indptr[0])
    low = np.uint64(0)
    high = np.uint64(upper.shape[0])
    for i in range(n):
        here = np.uint64(i)
        row = factor * inverse_root[here]
        first = low
        top = high
        near = data.dtype.type(0)
        end = np.uint64(indptr[here + ONE])
        while k < end:
            j = np.int64(indices[k])
            entry = row * data[k] * inverse_root[np.uint64(j)]
            if j < i - 1:
                lower[low] = entry
                lower_columns[low] = j
                low += ONE
            elif j > i + 1:
                high -= ONE
                upper[high] = entry
                upper_columns[high] = j
            elif j == i - 1:
                near = entry
            k += ONE
        link[here] = near
        if low == first:
            lower[low] = data.dtype.type(0)
            lower_columns[low] = i
            low += ONE
        if high == top:
            high -= ONE
            upper[high] = data.dtype.type(0)
            upper_columns[high] = i
        lower_columns[low - ONE] = ~lower_columns[low - ONE]
        upper_columns[top - ONE] = ~upper_columns[top - ONE]
    link[n] = data.dtype.type(0)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def ssor_cg_start(
    link, lower, lower_columns, diagonal, omega, x, r, y, v, h, q, t, scalars
):  # fmt: skip
    """Begin SSOR-CG from ``x`` and its residual ``r``: writes ``y``, ``v``, ``h``, ``q``, ``t``."""
    zero = r.dtype.type(0)
    factor = r.dtype.type(omega)
    square = 0.0
    rho = 0.0
    last = zero
    k = np.uint64(0)
    for i in range(np.uint64(r.shape[0])):
        root = np.sqrt(diagonal[i])
        y[i] = root * x[i]
        v[i] = r[i] / root
        # A row without entries reads its own place.
        h[i] = zero
        q[i] = zero
        t[i] = zero
        total = factor * v[i]
        j = lower_columns[k]
        while j >= 0:
            total -= lower[k] * h[np.uint64(j)]
            k += ONE
            j = lower_columns[k]
        total -= lower[k] * h[np.uint64(~j)]
        k += ONE
        last = total - link[i] * last
        h[i] = last
        square += np.float64(r[i]) * np.float64(r[i])
        wide = np.float64(last)
        rho += wide * wide
    scalars[RHO] = rho * (2.0 - omega) / omega
    scalars[NORM] = np.sqrt(square)
    scalars[BETA] = 0.0
    scalars[STEPS] = 0.0


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _ssor_backward(link, upper, upper_columns, omega, beta, h, q, t):
    weight = q.dtype.type(2.0 - omega)
    turn = q.dtype.type(beta)
    curvature = 0.0
    last = q.dtype.type(0)
    k = np.uint64(0)
    for m in range(q.shape[0] - 1, -1, -1):
        i = np.uint64(m)
        direction = weight * h[i] + turn * q[i]
        q[i] = direction
        total = direction
        j = upper_columns[k]
        while j >= 0:
            total -= upper[k] * t[np.uint64(j)]
            k += ONE
            j = upper_columns[k]
        total -= upper[k] * t[np.uint64(~j)]
        k += ONE
        last = total - link[i + ONE] * last
        t[i] = last
        wide = np.float64(last)
        curvature += wide * (2.0 * np.float64(direction) - (2.0 - omega) * wide)
    return curvature


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _ssor_forward(link, lower, lower_columns, diagonal, omega, alpha, y, v, h, q, t):
    factor = q.dtype.type(omega)
    rest = q.dtype.type(omega - 1.0)
    step = q.dtype.type(alpha)
    # q and what is gathered with w L carry a factor w; v does not.
    part = q.dtype.type(alpha / omega)
    square = 0.0
    rho = 0.0
    last = q.dtype.type(0)
    along_before = q.dtype.type(0)
    k = np.uint64(0)
    for i in range(np.uint64(q.shape[0])):
        near = link[i]
        along = t[i]
        product = q[i] + rest * along + near * along_before
        below = q.dtype.type(0)
        j = lower_columns[k]
        while j >= 0:
            entry = lower[k]
            product += entry * t[np.uint64(j)]
            below += entry * h[np.uint64(j)]
            k += ONE
            j = lower_columns[k]
        entry = lower[k]
        product += entry * t[np.uint64(~j)]
        below += entry * h[np.uint64(~j)]
        k += ONE
        value = v[i] - part * product
        v[i] = value
        total = factor * value - below
        last = total - near * last
        h[i] = last
        y[i] += step * along
        along_before = along
        wide = np.float64(value)
        square += wide * wide * np.float64(diagonal[i])
        wide = np.float64(last)
        rho += wide * wide
    return square, rho


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ssor_cg(
    link, lower, lower_columns, upper, upper_columns, diagonal, omega,
    x, y, v, h, q, t, scalars, steps, target, trace,
):  # fmt: skip
    """Advance SSOR-preconditioned CG by Eisenstat's trick; begin with ``ssor_cg_start``.

    State: ``y``, ``v``, ``h``, ``q``, ``t`` and ``scalars``; ``x`` is written from ``y`` on return
    if a step was done. The streams are those of ``ssor_split`` with the same ``omega``; both stay
    the same between calls. The diagonal must be positive.
    """
    done = 0
    status = RUNNING
    while done < steps and not scalars[NORM] <= target:
        rho = scalars[RHO]
        curvature = _ssor_backward(link, upper, upper_columns, omega, scalars[BETA], h, q, t)
        curvature /= omega
        status = _breakdown(curvature, rho)
        if status != RUNNING:
            break
        square, rho_next = _ssor_forward(
            link, lower, lower_columns, diagonal, omega, rho / curvature, y, v, h, q, t
        )
        rho_next *= (2.0 - omega) / omega
        scalars[BETA] = rho_next / rho
        scalars[RHO] = rho_next
        scalars[NORM] = np.sqrt(square)
        scalars[STEPS] += 1.0
        trace[done] = scalars[NORM]
        done += 1
        if not np.isfinite(square):
            status = NON_FINITE
            break
    if done > 0:
        for i in range(x.shape[0]):
            x[i] = y[i] / np.sqrt(diagonal[i])
    return done, status
