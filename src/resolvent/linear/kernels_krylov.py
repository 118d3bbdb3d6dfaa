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
# with M is plain CG on K^-1 S A S K^-T, and for t = K^-T q
#     K^-1 S A S K^-T q = t + s,   s = K^-1 (q - c t):
# one backward and one forward sweep, no product with A. Since t is the direction itself, y moves
# along t. The preconditioned residual is h = K^-1 v.
#
# The exit test is on the true residual. The forward sweep reads row i of L for s; with the same
# entries it also gathers L t, and because L^T t = q - t/w,
#     S A S t = q + L t + (1 - 1/w) t.
# So v - alpha S A S t costs one more multiply-add an entry of L, hidden behind the latency of the
# sweep's own recursion, and sum_i d_i v_i^2 is the squared norm of the original residual r.
#
# ``scaled`` holds w L, and the arrays q and product hold w times the values above. Both sweeps
# then solve with I + w L: no product with a diagonal stands in the recursion from row to row,
# whose latency is what a sweep costs. The backward sweep scatters over the rows of L in descending
# order, so that half of the matrix serves both sweeps.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ssor_scale(lower_data, lower_indices, lower_indptr, diagonal, omega, scaled):
    """Write w S L S, S = D^(-1/2), into ``scaled`` (the shape of ``lower_data``)."""
    inverse_root = np.empty_like(diagonal)
    for i in range(diagonal.shape[0]):
        inverse_root[i] = diagonal.dtype.type(1) / np.sqrt(diagonal[i])
    factor = diagonal.dtype.type(omega)
    for i in range(np.uint64(diagonal.shape[0])):
        row = factor * inverse_root[i]
        for k in range(np.uint64(lower_indptr[i]), np.uint64(lower_indptr[i + ONE])):
            scaled[k] = row * lower_data[k] * inverse_root[np.uint64(lower_indices[k])]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def ssor_cg_start(
    scaled, lower_indices, lower_indptr, diagonal, omega, x, r, y, v, h, q, scalars
):  # fmt: skip
    """Begin SSOR-CG from ``x`` and its residual ``r``: writes ``y``, ``v``, ``h``, ``q``."""
    factor = r.dtype.type(omega)
    square = 0.0
    rho = 0.0
    k = np.uint64(0)
    for i in range(np.uint64(r.shape[0])):
        root = np.sqrt(diagonal[i])
        y[i] = root * x[i]
        v[i] = r[i] / root
        total = factor * v[i]
        end = np.uint64(lower_indptr[i + ONE])
        while k < end:
            total -= scaled[k] * h[np.uint64(lower_indices[k])]
            k += ONE
        h[i] = total
        q[i] = r.dtype.type(0)
        square += np.float64(r[i]) * np.float64(r[i])
        wide = np.float64(total)
        rho += wide * wide
    scalars[RHO] = rho * (2.0 - omega) / omega
    scalars[NORM] = np.sqrt(square)
    scalars[BETA] = 0.0
    scalars[STEPS] = 0.0


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _ssor_direction(omega, beta, h, q, t):
    weight = q.dtype.type(2.0 - omega)
    turn = q.dtype.type(beta)
    for i in range(q.shape[0]):
        direction = weight * h[i] + turn * q[i]
        q[i] = direction
        t[i] = direction


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _ssor_backward(scaled, lower_indices, lower_indptr, t):
    n = np.uint64(t.shape[0])
    k = np.uint64(lower_indptr[n])
    for m in range(n):
        i = n - ONE - m
        value = t[i]
        begin = np.uint64(lower_indptr[i])
        while k > begin:
            k -= ONE
            t[np.uint64(lower_indices[k])] -= scaled[k] * value


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=CONTRACT)
def _ssor_forward(scaled, lower_indices, lower_indptr, omega, q, t, s, product):
    weight = q.dtype.type(2.0 - omega)
    rest = q.dtype.type(omega - 1.0)
    curvature = 0.0
    k = np.uint64(0)
    for i in range(np.uint64(q.shape[0])):
        here = t[i]
        forward = q[i] - weight * here
        below = q[i] + rest * here
        end = np.uint64(lower_indptr[i + ONE])
        while k < end:
            j = np.uint64(lower_indices[k])
            entry = scaled[k]
            forward -= entry * s[j]
            below += entry * t[j]
            k += ONE
        s[i] = forward
        product[i] = below
        curvature += np.float64(q[i]) * np.float64(here + forward)
    return curvature


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath=FAST)
def _ssor_update(diagonal, omega, alpha, y, v, h, t, s, product):
    # q and product carry a factor w; t and s do not.
    step = y.dtype.type(alpha)
    part = y.dtype.type(alpha / omega)
    square = 0.0
    rho = 0.0
    for i in range(y.shape[0]):
        along = t[i]
        y[i] += step * along
        hatted = h[i] - step * (along + s[i])
        h[i] = hatted
        value = v[i] - part * product[i]
        v[i] = value
        wide = np.float64(value)
        square += wide * wide * np.float64(diagonal[i])
        wide = np.float64(hatted)
        rho += wide * wide
    return square, rho


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ssor_cg(
    scaled, lower_indices, lower_indptr, diagonal, omega,
    x, y, v, h, q, t, s, product, scalars, steps, target, trace,
):  # fmt: skip
    """Advance SSOR-preconditioned CG by Eisenstat's trick; begin with ``ssor_cg_start``.

    State: ``y``, ``v``, ``h``, ``q`` and ``scalars``; ``x`` is written from ``y`` on return if a
    step was done; ``t``, ``s`` and ``product`` are scratch. ``scaled`` is that of ``ssor_scale``
    with the same ``omega``; both stay the same between calls. The diagonal must be positive.
    """
    done = 0
    status = RUNNING
    while done < steps and not scalars[NORM] <= target:
        rho = scalars[RHO]
        _ssor_direction(omega, scalars[BETA], h, q, t)
        _ssor_backward(scaled, lower_indices, lower_indptr, t)
        curvature = _ssor_forward(scaled, lower_indices, lower_indptr, omega, q, t, s, product)
        curvature /= omega
        status = _breakdown(curvature, rho)
        if status != RUNNING:
            break
        square, rho_next = _ssor_update(diagonal, omega, rho / curvature, y, v, h, t, s, product)
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
