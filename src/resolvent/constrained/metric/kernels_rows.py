"""Numba kernels of sparse rows <a, x> <= b: projections of Bregman's kind onto each in turn."""

import numba
import numpy as np

_LARGEST = 700.0  # exponents beyond it overflow
_VANISHED = 800.0  # what is divided by the exponential of that is 0
_ROOT_STEPS = 100


@numba.njit(nogil=True)
def _product(columns, coefficients, begin, end, x):
    total = 0.0
    for t in range(begin, end):
        total += coefficients[t] * x[columns[t]]
    return total


@numba.njit(nogil=True)
def _curved(columns, coefficients, begin, end, x, inverse, theta):
    """<a, x exp(theta a / w)>, its derivative, and the sum of its terms without their signs."""
    total = slope = size = 0.0
    for t in range(begin, end):
        j, a = columns[t], coefficients[t]
        term = a * x[j] * np.exp(min(theta * a * inverse[j], _LARGEST))
        total += term
        slope += term * a * inverse[j]
        size += abs(term)
    return total, slope, size


@numba.njit(nogil=True)
def narrowed(theta, excess, slope, low, high):
    """A bracket of an increasing function's root after a look at theta, and where to look next: by
    Newton's method, or in the middle where that leads out."""
    if excess > 0.0:
        high = theta
    else:
        low = theta
    following = theta - excess / slope if slope > 0.0 else low
    if not low < following < high:
        following = 0.5 * (low + high)
    return low, high, following


@numba.njit(nogil=True)
def _root(columns, coefficients, begin, end, bound, x, inverse, low, high, room):
    """The theta between low and high at which the row holds as an equation."""
    theta = 0.5 * (low + high)
    for _ in range(_ROOT_STEPS):
        total, slope, size = _curved(columns, coefficients, begin, end, x, inverse, theta)
        excess = total - bound
        if abs(excess) <= max(1e-16 * (size + abs(bound)), 0.5 * room):
            break
        low, high, following = narrowed(theta, excess, slope, low, high)
        if following == theta:
            break
        theta = following
    return theta


@numba.njit(nogil=True)
def _entropic_step(columns, coefficients, begin, end, bound, x, inverse, z, length):
    """How far to go along a row, at most z; NaN where no point of the domain meets it.

    A row that only the domain's boundary meets has no finite step: points count as on it whose
    excess is rounding beside `length`.
    """
    total, slope, size = _curved(columns, coefficients, begin, end, x, inverse, 0.0)
    excess = total - bound
    largest = 0.0
    for t in range(begin, end):
        largest = max(largest, abs(coefficients[t]))
    room = 1e-17 * largest * length
    if excess > max(1e-16 * (size + abs(bound)), room):
        # From where on a step changes nothing, whatever the weights are.
        slowest = np.inf
        for t in range(begin, end):
            slowest = min(slowest, abs(coefficients[t]) * inverse[columns[t]])
        last = -_VANISHED / slowest if slowest > 0.0 else -np.inf
        low = -1.0 if slope <= 0.0 else -excess / slope
        while _curved(columns, coefficients, begin, end, x, inverse, low)[0] > bound + room:
            if low <= last:
                return np.nan
            low *= 2.0
        return _root(columns, coefficients, begin, end, bound, x, inverse, low, 0.0, room)
    if z == 0.0 or excess > -max(1e-16 * (size + abs(bound)), room):
        return 0.0
    if _curved(columns, coefficients, begin, end, x, inverse, z)[0] <= bound:
        return z
    return _root(columns, coefficients, begin, end, bound, x, inverse, 0.0, z, room)


@numba.njit(cache=True, nogil=True)
def sweeps(many, starts, columns, coefficients, bounds, z, x, inverse, entropy, length):
    """Project onto each row in turn, `many` times, as far as z allows; in place.

    `length` is the size of x that excess is compared with.

    Returns False where a row excludes all points of the domain.
    """
    for _ in range(many):
        for i in range(z.size):
            begin, end = starts[i], starts[i + 1]
            if entropy:
                step = _entropic_step(
                    columns, coefficients, begin, end, bounds[i], x, inverse, z[i], length
                )
                if np.isnan(step):
                    return False
            else:
                curvature = 0.0
                for t in range(begin, end):
                    curvature += coefficients[t] * coefficients[t] * inverse[columns[t]]
                step = bounds[i] - _product(columns, coefficients, begin, end, x)
                step = min(step / curvature, z[i])
            if step == 0.0:
                continue
            z[i] -= step
            for t in range(begin, end):
                j = columns[t]
                move = step * coefficients[t] * inverse[j]
                if entropy:
                    x[j] *= np.exp(move)
                else:
                    x[j] += move
    return True
