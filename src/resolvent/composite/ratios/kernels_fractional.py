"""Numba kernels of fractional programs: global minimizers along a line, and sweeps of them.

Along coordinate i the numerator is N + slope t + curvature t^2 / 2 + bar (|x + t| - |x|), for
low <= x + t <= high. With alpha = N / D, psi(t) is its change less alpha times that of the
denominator: the ratio changes by psi(t) / D(t), and no large numbers cancel in it.

A line's denominator is one of three:
    SMOOTH   D + g1 t + g2 t^2 / 2
    LARGEST  weight (S + max(|x + t|, tau)), S and tau from the other entries
    QUARTIC  sqrt(P(t)), P a polynomial of degree four
"""

import math

import numba
import numpy as np

SMOOTH, LARGEST, QUARTIC = range(3)
_ROUNDING = 8.0 * np.finfo(np.float64).eps
_FAR = 60  # doublings on the way to an infimum that is not attained


@numba.njit(cache=True, error_model="numpy")
def _take(best, t, psi, size, bottom, parametric):
    """Keep a candidate that is lower than the best of before, and by more than rounding."""
    if not (bottom > 0.0 and math.isfinite(psi)) or psi >= -_ROUNDING * size:
        return
    value = psi if parametric else psi / bottom
    if value < best[1]:
        best[0], best[1], best[2] = t, value, psi / bottom


@numba.njit(cache=True, error_model="numpy")
def _polynomial(c, t):
    total = 0.0
    for j in range(c.size - 1, -1, -1):
        total = total * t + c[j]
    return total


@numba.njit(cache=True, error_model="numpy")
def sign_changes(c, low, high, out):
    """Where a polynomial with coefficients c, the constant first, changes its sign in [low, high].

    Between two sign changes of its derivative a polynomial is monotone, and bisection is safe.
    Returns how many there are.
    """
    degree, largest = c.size - 1, 0.0
    for j in range(c.size):
        largest = max(largest, abs(c[j]))
    while degree > 0 and abs(c[degree]) <= 1e-15 * largest:
        degree -= 1
    if degree == 0:
        return 0
    reach = 0.0
    for j in range(degree):
        reach = max(reach, abs(c[j]))
    reach = 1.0 + reach / abs(c[degree])
    low, high = max(low, -reach), min(high, reach)
    found, number = np.empty(degree + 2), 0
    for k in range(1, degree + 1):
        part = np.empty(k + 1)
        for j in range(k + 1):
            part[j] = c[j + degree - k]
            for factor in range(j + 1, j + degree - k + 1):
                part[j] *= factor
        places = np.empty(number + 2)
        places[0], places[number + 1] = low, high
        for at in range(number):
            places[at + 1] = found[at]
        count = 0
        for at in range(number + 1):
            a, b = places[at], places[at + 1]
            left, right = _polynomial(part, a), _polynomial(part, b)
            if left == 0.0 or right == 0.0 or (left > 0.0) == (right > 0.0):
                if right == 0.0 and b < high:
                    found[count] = b
                    count += 1
                continue
            while True:
                middle = 0.5 * (a + b)
                if middle <= a or middle >= b:
                    break
                value = _polynomial(part, middle)
                if value == 0.0:
                    a = b = middle
                elif (value > 0.0) == (left > 0.0):
                    a = middle
                else:
                    b = middle
            found[count] = 0.5 * (a + b)
            count += 1
        number = count
    for at in range(number):
        out[at] = found[at]
    return number


@numba.njit(cache=True, error_model="numpy")
def _go_far(best, p2, p1, p0, q2, q1, q0, a, b):
    """On an unbounded piece, half of the way from the best value to the limit at infinity."""
    goal = 0.5 * (best[1] + p2 / q2)
    for sign, end, inner in ((-1.0, a, b), (1.0, b, a)):
        if math.isfinite(end):
            continue
        t = sign * (max(1.0, 2.0 * abs(inner)) if math.isfinite(inner) else 1.0)
        for _ in range(_FAR):
            psi, bottom = (p2 * t + p1) * t + p0, (q2 * t + q1) * t + q0
            if bottom > 0.0 and psi / bottom <= goal and psi / bottom < best[1]:
                best[0], best[1], best[2] = t, psi / bottom, psi / bottom
                break
            t *= 2.0


@numba.njit(cache=True, error_model="numpy")
def _along(
    best, slope, curvature, alpha, x, bar, low, high, kind, bottom, g1, g2, S, tau, weight,
    parametric,
):  # fmt: skip
    """SMOOTH and LARGEST: on each of at most four pieces both parts are quadratics."""
    places = np.empty(5)
    places[0], count = low - x, 1
    breaks = (-tau - x, -x, tau - x) if kind == LARGEST else (-x, -x, -x)
    for at in range(3):
        inner = breaks[at]
        if (kind == LARGEST or (bar > 0.0 and at == 0)) and places[count - 1] < inner < high - x:
            places[count] = inner
            count += 1
    places[count] = high - x
    size = abs(x)
    p2, q2 = 0.5 * (curvature - alpha * g2), 0.5 * g2
    for piece in range(count):
        a, b = places[piece], places[piece + 1]
        middle = 0.5 * (a + b)
        if not math.isfinite(middle):
            middle = b - 1.0 if math.isfinite(b) else (a + 1.0 if math.isfinite(a) else 0.0)
        sign = 1.0 if x + middle > 0.0 else -1.0
        q1, rise = g1, 0.0
        if kind == LARGEST:
            top = max(size, tau)
            if abs(x + middle) > tau:
                q1, rise = weight * sign, weight * (sign * x - top)
            else:
                q1, rise = 0.0, weight * (tau - top)
        p1, p0 = slope - alpha * q1, -alpha * rise
        if bar > 0.0:
            p1 += bar * sign
            p0 += bar * (sign * x - size)
        q0 = bottom + rise
        roots, number = np.empty(4), 0
        for end in (a, b):
            if math.isfinite(end):
                roots[number] = end
                number += 1
        if parametric:
            if p2 > 0.0:
                roots[number] = -0.5 * p1 / p2
                number += 1
            else:
                left, right = p2 < 0.0 or p1 > 0.0, p2 < 0.0 or p1 < 0.0
                if (left and a == -math.inf) or (right and b == math.inf):
                    return False
        else:
            # (psi / D)' = 0.
            c2, c1, c0 = p2 * q1 - p1 * q2, p2 * q0 - p0 * q2, p1 * q0 - p0 * q1
            inner = c1 * c1 - c2 * c0
            if inner >= 0.0:
                far = -(c1 + math.copysign(math.sqrt(inner), c1))
                if far != 0.0:
                    roots[number] = c0 / far
                    number += 1
                if c2 != 0.0:
                    roots[number] = far / c2
                    number += 1
        for at in range(number):
            t = roots[at]
            if not a <= t <= b:
                continue
            psi, weighed = (p2 * t + p1) * t + p0, (abs(p2 * t) + abs(p1)) * abs(t) + abs(p0)
            _take(best, t, psi, weighed, (q2 * t + q1) * t + q0, parametric)
        if not parametric and q2 > 0.0 and p2 / q2 < best[1] - _ROUNDING * alpha:
            _go_far(best, p2, p1, p0, q2, q1, q0, a, b)
    return True


@numba.njit(cache=True, error_model="numpy")
def _along_quartic(
    best, top, slope, curvature, alpha, x, bar, low, high, bottom, P, parametric
):  # fmt: skip
    """QUARTIC: stationary points are roots of polynomials."""
    places, count = np.empty(3), 1
    places[0] = low - x
    if bar > 0.0 and low < 0.0 < high:
        places[1], count = -x, 2
    places[count] = high - x
    n2, roots = 0.5 * curvature, np.empty(9)
    if parametric and n2 <= alpha * math.sqrt(P[4]) and not math.isfinite(high - low):
        return False
    for piece in range(count):
        a, b = places[piece], places[piece + 1]
        sign = 1.0 if (a >= -x if math.isfinite(a) else b > -x) else -1.0
        n1, rest = slope + bar * sign, bar * (sign * x - abs(x))
        n0 = top + rest
        if parametric:
            c = np.zeros(7)
            for j in range(5):
                # 4 P (n1 + 2 n2 t)^2 - alpha^2 P'^2
                c[j] += 4.0 * P[j] * n1 * n1
                c[j + 1] += 16.0 * P[j] * n1 * n2
                c[j + 2] += 16.0 * P[j] * n2 * n2
            for j in range(1, 5):
                for k in range(1, 5):
                    c[j + k - 2] -= alpha * alpha * j * k * P[j] * P[k]
        else:
            c = np.zeros(6)
            for j in range(5):
                # 2 N' P - N P'
                c[j] += 2.0 * n1 * P[j]
                c[j + 1] += 4.0 * n2 * P[j]
            for j in range(1, 5):
                c[j - 1] -= n0 * j * P[j]
                c[j] -= n1 * j * P[j]
                c[j + 1] -= n2 * j * P[j]
            c[5] = 0.0
        number = sign_changes(c, a, b, roots)
        for end in (a, b):
            if math.isfinite(end):
                roots[number] = end
                number += 1
        for at in range(number):
            t = roots[at]
            change = (((P[4] * t + P[3]) * t + P[2]) * t + P[1]) * t
            if P[0] + change <= 0.0:
                continue
            new = math.sqrt(P[0] + change)
            change /= new + bottom
            psi = (n2 * t + n1) * t + rest - alpha * change
            weighed = (n2 * abs(t) + abs(n1)) * abs(t) + abs(rest) + alpha * abs(change)
            _take(best, t, psi, weighed, new, parametric)
    return True


@numba.njit(cache=True, error_model="numpy")
def line(i, slope, top, bottom, x, own, kind, vectors, scalars, order, parametric, best):
    """The best move of coordinate i into best = [t, objective, change of the ratio].

    `own` is [4, n] of curvature, bar, low and high. A parametric objective without a minimum is
    replaced by the ratio.
    """
    alpha, weight = top / bottom, scalars[0]
    curvature, bar, low, high = own[0, i], own[1, i], own[2, i], own[3, i]
    g1 = g2 = S = tau = 0.0
    if kind == SMOOTH:
        g1, g2 = vectors[0, i], vectors[1, i]
    elif kind == LARGEST:
        S, tau = _others(i, x, int(scalars[1]), order)
    for _ in range(2):
        best[0] = best[1] = best[2] = 0.0
        if kind == QUARTIC:
            done = _along_quartic(
                best, top, slope, curvature, alpha, x[i], bar, low, high, bottom, vectors[:, i],
                parametric,
            )  # fmt: skip
        else:
            done = _along(
                best, slope, curvature, alpha, x[i], bar, low, high, kind, bottom, g1, g2, S, tau,
                weight, parametric,
            )  # fmt: skip
        if done:
            return
        parametric = False


@numba.njit(cache=True, error_model="numpy")
def _others(i, x, s, order):
    """Of the sizes of the other entries: the sum of the s - 1 largest, and the one after them.

    `order` is [2, n]: the entries by falling size, and the place of each there.
    """
    place, total = order[1, i], 0.0
    last = s if place < s else s - 1
    for k in range(last):
        if k != place:
            total += abs(x[order[0, k]])
    return total, abs(x[order[0, last]]) if last < x.size else 0.0


@numba.njit(cache=True, error_model="numpy")
def _reorder(i, x, order):
    """Move entry i to its place among the sizes."""
    size, place = abs(x[i]), order[1, i]
    while place > 0 and abs(x[order[0, place - 1]]) < size:
        order[0, place] = order[0, place - 1]
        order[1, order[0, place]] = place
        place -= 1
    while place + 1 < x.size and abs(x[order[0, place + 1]]) > size:
        order[0, place] = order[0, place + 1]
        order[1, order[0, place]] = place
        place += 1
    order[0, place], order[1, i] = i, place


@numba.njit(cache=True, error_model="numpy")
def moves(slopes, top, bottom, x, own, kind, vectors, scalars, order, parametric, out):
    """The best moves of all coordinates from one point: out[0] the moves, out[1] the changes."""
    best = np.empty(3)
    for i in range(x.size):
        line(
            i, slopes[i], top, bottom, x, own, kind, vectors, scalars, order, parametric, best
        )  # fmt: skip
        out[0, i], out[1, i] = best[0], best[2]


@numba.njit(cache=True, error_model="numpy")
def quartic_line(G, u, i, P):
    """P(t) = sum of (u + t G[i])^4 over entries, into P[:, i]."""
    for j in range(5):
        P[j, i] = 0.0
    for k in range(u.size):
        a, b = u[k], G[i, k]
        P[0, i] += a * a * a * a
        P[1, i] += 4.0 * a * a * a * b
        P[2, i] += 6.0 * a * a * b * b
        P[3, i] += 4.0 * a * b * b * b
        P[4, i] += b * b * b * b


@numba.njit(cache=True, error_model="numpy")
def quartic_lines(G, u, P):
    """The same for every coordinate."""
    for i in range(G.shape[0]):
        quartic_line(G, u, i, P)


@numba.njit(cache=True, error_model="numpy")
def sweep(
    picks, greedy, theta, top, bottom, x, own, columns, A, r, kind, C, u, vectors, scalars, order,
    parametric,
):  # fmt: skip
    """One coordinate step for each of `picks`, or each along the best coordinate; in place.

    The numerator's smooth part is ||r||^2 / 2 with r = A x - b where `columns`, else a quadratic
    with matrix A and gradient r. Denominators keep vectors[0] their gradient and C their matrix
    (SMOOTH, C empty where affine), or u = C x (QUARTIC). All matrices
    come transposed: row i belongs to coordinate i. `own` has curvatures raised by theta.
    """
    n, pull = x.size, 0.0
    best, trial = np.empty(3), np.empty(3)
    for step in range(picks.size):
        first, last = (0, n) if greedy else (picks[step], picks[step] + 1)
        i = first
        best[0] = best[2] = 0.0
        for j in range(first, last):
            slope = 0.0
            if columns:
                for k in range(r.size):
                    slope += A[j, k] * r[k]
            else:
                slope = r[j]
            if kind == QUARTIC:
                quartic_line(C, u, j, vectors)
            line(j, slope, top, bottom, x, own, kind, vectors, scalars, order, parametric, trial)
            if trial[2] < best[2]:
                i, best[0], best[2], pull = j, trial[0], trial[2], slope
        t = best[0]
        if t == 0.0:
            continue
        old = x[i]
        new = min(max(old + t, own[2, i]), own[3, i])
        t = new - old
        top += t * (pull + 0.5 * (own[0, i] - theta) * t) + own[1, i] * (abs(new) - abs(old))
        if kind == SMOOTH:
            bottom += t * (vectors[0, i] + 0.5 * vectors[1, i] * t)
            for k in range(C.shape[1]):
                vectors[0, k] += t * C[i, k]
        elif kind == LARGEST:
            S, tau = _others(i, x, int(scalars[1]), order)
            bottom = scalars[0] * (S + max(abs(new), tau))
        else:
            total = 0.0
            for k in range(u.size):
                u[k] += t * C[i, k]
                total += u[k] * u[k] * u[k] * u[k]
            bottom = math.sqrt(total)
        x[i] = new
        if kind == LARGEST:
            _reorder(i, x, order)
        for k in range(r.size):
            r[k] += t * A[i, k]


@numba.njit(cache=True, error_model="numpy")
def descend(Q, g, x, own, epochs, tolerance):
    """Cyclic descent on a quadratic with matrix Q and gradient g at x, plus bars and bounds.

    Ends when no coordinate moves further than `tolerance`, in the norm of its curvature. Returns
    the number of epochs.
    """
    for epoch in range(epochs):
        largest = 0.0
        for i in range(x.size):
            curvature = own[0, i]
            u = x[i] - g[i] / curvature
            cut = own[1, i] / curvature
            u = max(u - cut, 0.0) + min(u + cut, 0.0)
            t = min(max(u, own[2, i]), own[3, i]) - x[i]
            if t != 0.0:
                x[i] += t
                largest = max(largest, abs(t) * math.sqrt(curvature))
                for k in range(x.size):
                    g[k] += t * Q[i, k]
        if not largest > tolerance:
            return epoch + 1
    return epochs
