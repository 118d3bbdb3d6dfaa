"""Compiled parts of the bandits: drawing an arm, and least squares in a box."""

import math

import numba
import numpy as np

NORMALISATION = 1e-10
"""How far the sum of the probabilities may be from one."""

RANK_CUTOFF = 1e-10
"""Pivots below this fraction of the largest one count as zero in a least-squares problem."""


@numba.njit(cache=True)
def draw(weights, total, uniform):
    """Return the arm whose share of `total` contains `uniform` (between 0 and 1)."""
    level = uniform * total
    cumulative = 0.0
    for arm in range(weights.size - 1):
        cumulative += weights[arm]
        if level < cumulative:
            return arm
    return weights.size - 1


@numba.njit(cache=True)
def even(arms):
    """Return the uniform distribution over the arms."""
    return np.full(arms, 1.0 / arms)


@numba.njit(cache=True, error_model="numpy")
def tsallis_probabilities(estimates, scale, turn):
    """Return the Tsallis-INF distribution of round `turn` and whether it is sound.

    With h_i = (K_i - min K) / (s sqrt(t)) the distribution is p_i = (h_i + w)^-2, where w in
    [1, sqrt(d)] makes the sum one. At w = 1 the sum is at least one and it is convex and
    decreasing in w, so that Newton's iteration from there increases to the root.
    """
    arms = estimates.size
    gaps = (estimates - estimates.min()) / (scale * math.sqrt(turn))
    w = 1.0
    for _ in range(60):
        excess = -1.0
        slope = 0.0
        for i in range(arms):
            inverse = 1.0 / (gaps[i] + w)
            square = inverse * inverse
            excess += square
            slope += square * inverse
        following = w + excess / (2.0 * slope)
        if not excess > 0.0 or following <= w:
            break
        w = following
    p = 1.0 / (gaps + w) ** 2
    return p, abs(p.sum() - 1.0) < NORMALISATION and p.min() > 0.0


@numba.njit(cache=True, error_model="numpy")
def published_tsallis_weights(estimates, scale, turn):
    """Return what twenty published Newton steps from x = -1 give: not always normalised."""
    eta = 2.0 / math.sqrt(turn)
    x = -1.0
    p = np.empty(estimates.size)
    for _ in range(20):
        total = 0.0
        slope = 0.0
        for i in range(estimates.size):
            distance = eta * (estimates[i] / scale - x)
            p[i] = 4.0 / (distance * distance) if distance != 0.0 else np.inf
            total += p[i]
            slope += p[i] ** 1.5
        x -= (total - 1.0) / (eta * slope)
    return p


@numba.njit(cache=True, error_model="numpy")
def choose_tsallis(estimates, scale, turn, published, uniform):
    """Return the arm, the distribution it was drawn from, its importance weight and soundness."""
    if published:
        p = published_tsallis_weights(estimates, scale, turn)
        total = p.sum()
        sound = abs(total - 1.0) < NORMALISATION and p.min() > 0.0
        if math.isfinite(total) and total > 0.0:
            arm = draw(p, total, uniform)
            if p[arm] > 0.0:
                return arm, p / total, p[arm], sound
        sound = False
    else:
        p, sound = tsallis_probabilities(estimates, scale, turn)
    if not sound:
        p = even(estimates.size)
    arm = draw(p, 1.0, uniform)
    return arm, p, p[arm], sound


@numba.njit(cache=True)
def chebyshev(u, terms):
    """Return T_0(u), ..., T_(terms - 1)(u)."""
    values = np.ones(terms)
    if terms > 1:
        values[1] = u
    for j in range(2, terms):
        values[j] = 2.0 * u * values[j - 1] - values[j - 2]
    return values


@numba.njit(cache=True, error_model="numpy")
def choose_chebyshev(theta, eta, u, uniform):
    """Return the arm, its distribution, the cost predicted for it, and soundness."""
    arms, terms = theta.shape
    features = chebyshev(u, terms)
    predicted = np.zeros(arms)
    for i in range(arms):
        for j in range(terms):
            predicted[i] += theta[i, j] * features[j]
    best = 0
    for i in range(1, arms):
        if predicted[i] < predicted[best]:
            best = i
    p = np.empty(arms)
    rest = 0.0
    for i in range(arms):
        if i != best:
            p[i] = 1.0 / (arms + eta * (predicted[i] - predicted[best]))
            rest += p[i]
    p[best] = 1.0 - rest
    sound = abs(p.sum() - 1.0) < NORMALISATION and p.min() > 0.0
    if not sound:
        p = even(arms)
    arm = draw(p, 1.0, uniform)
    return arm, p, predicted[arm] if sound else 0.0, sound


@numba.njit(cache=True)
def append_row(factor, row):
    """Rotate a row into the triangular factor of all rows so far; both are overwritten."""
    size = row.size
    for i in range(size):
        if row[i] == 0.0:
            continue
        length = math.hypot(factor[i, i], row[i])
        cosine = factor[i, i] / length
        sine = row[i] / length
        for j in range(i, size):
            old = factor[i, j]
            factor[i, j] = cosine * old + sine * row[j]
            row[j] = cosine * row[j] - sine * old


@numba.njit(cache=True)
def reflect(vectors, targets, order, pivot, cutoff):
    """Triangularise `vectors` by Householder reflections, in place; return the numerical rank.

    With `pivot` the longest remaining column comes next, `order` records the exchanges and
    the reduction ends at the first pivot below `cutoff` times the first one. The reflections
    are applied to the columns of `targets` too.
    """
    rows, columns = vectors.shape
    first = 0.0
    rank = 0
    for k in range(min(rows, columns)):
        chosen = k
        longest = -1.0
        for j in range(k, columns if pivot else k + 1):
            length = 0.0
            for i in range(k, rows):
                length += vectors[i, j] ** 2
            if length > longest:
                longest = length
                chosen = j
        length = math.sqrt(longest)
        if k == 0:
            first = length
        if not length > cutoff * first:
            break
        rank += 1
        if chosen != k:
            for i in range(rows):
                vectors[i, k], vectors[i, chosen] = vectors[i, chosen], vectors[i, k]
            order[k], order[chosen] = order[chosen], order[k]
        head = -math.copysign(length, vectors[k, k])
        square = 2.0 * length * (length + abs(vectors[k, k]))
        vectors[k, k] -= head
        for j in range(k + 1, columns):
            share = 0.0
            for i in range(k, rows):
                share += vectors[i, k] * vectors[i, j]
            share *= 2.0 / square
            for i in range(k, rows):
                vectors[i, j] -= share * vectors[i, k]
        for j in range(targets.shape[1]):
            share = 0.0
            for i in range(k, rows):
                share += vectors[i, k] * targets[i, j]
            share *= 2.0 / square
            for i in range(k, rows):
                targets[i, j] -= share * vectors[i, k]
        vectors[k, k] = head
        for i in range(k + 1, rows):
            vectors[i, k] = 0.0
    return rank


@numba.njit(cache=True)
def least_norm(matrix, target):
    """Return the shortest minimiser of ||matrix x - target||, by orthogonal decomposition."""
    rows, columns = matrix.shape
    solution = np.zeros(columns)
    upper = matrix.copy()
    right = target.copy().reshape((rows, 1))
    order = np.arange(columns)
    rank = reflect(upper, right, order, True, RANK_CUTOFF)
    if rank == columns:
        for k in range(rank - 1, -1, -1):
            value = right[k, 0]
            for j in range(k + 1, rank):
                value -= upper[k, j] * solution[order[j]]
            solution[order[k]] = value / upper[k, k]
        return solution
    # upper[:rank] has more columns than rows: its transpose, triangularised, gives the row space
    across = np.empty((columns, rank))
    for i in range(columns):
        for j in range(rank):
            across[i, j] = upper[j, i]
    basis = np.eye(columns)
    unused = np.arange(rank)
    reflect(across, basis, unused, False, 0.0)
    inner = np.zeros(rank)
    for k in range(rank):
        value = right[k, 0]
        for j in range(k):
            value -= across[j, k] * inner[j]
        inner[k] = value / across[k, k]
    for j in range(columns):
        value = 0.0
        for k in range(rank):
            value += basis[k, j] * inner[k]
        solution[order[j]] = value
    return solution


@numba.njit(cache=True)
def remainder(matrix, x, target):
    """Return target - matrix x."""
    left = target.copy()
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            left[i] -= matrix[i, j] * x[j]
    return left


@numba.njit(cache=True)
def box_least_squares(matrix, target, bound, start):
    """Minimise ||matrix x - target|| over |x_j| <= bound_j (> 0) by an active set.

    Every move lowers the residual and stays in the box, so that the point is admissible even
    when the limit on the number of moves ends the search.
    """
    rows, columns = matrix.shape
    side = np.zeros(columns)
    x = start.copy()
    lengths = np.zeros(columns)
    for j in range(columns):
        if not abs(x[j]) < bound[j]:
            side[j] = 1.0 if x[j] > 0.0 else -1.0
            x[j] = side[j] * bound[j]
        for i in range(rows):
            lengths[j] += matrix[i, j] ** 2
        lengths[j] = math.sqrt(lengths[j])
    size = math.sqrt(np.sum(target * target)) + np.sum(lengths * bound)
    free = np.empty(columns, np.int64)
    for _ in range(20 * columns):
        while True:
            count = 0
            for j in range(columns):
                if side[j] == 0.0:
                    free[count] = j
                    count += 1
            if count == 0:
                break
            chosen = np.empty((rows, count))
            for i in range(rows):
                for k in range(count):
                    chosen[i, k] = matrix[i, free[k]]
            step = least_norm(chosen, remainder(matrix, x, target))
            length = 1.0
            blocker = -1
            for k in range(count):
                j = free[k]
                moved = x[j] + step[k]
                if abs(moved) > bound[j]:
                    reach = (math.copysign(bound[j], moved) - x[j]) / step[k]
                    if blocker < 0 or reach < length:
                        length = max(min(reach, 1.0), 0.0)
                        blocker = k
            for k in range(count):
                x[free[k]] += length * step[k]
            if blocker < 0:
                break
            j = free[blocker]
            side[j] = 1.0 if step[blocker] > 0.0 else -1.0
            x[j] = side[j] * bound[j]
        left = remainder(matrix, x, target)
        worst = -1
        largest = 0.0
        for j in range(columns):
            if side[j] != 0.0:
                inward = 0.0
                for i in range(rows):
                    inward -= side[j] * matrix[i, j] * left[i]
                if inward > 1e-13 * size * lengths[j] and inward > largest:
                    largest = inward
                    worst = j
        if worst < 0:
            break
        side[worst] = 0.0
    return x


@numba.njit(cache=True)
def fit_arm(factor, scale, bound, coefficients):
    """Overwrite one arm's coefficients with its fit; return what the box costs in residual.

    `factor` is the triangular factor of the arm's rows (features, target): the fit to the
    targets divided by `scale` needs nothing else. Zero is returned where the box does not bind.
    """
    terms = bound.size
    matrix = factor[:terms, :terms].copy()
    target = factor[:terms, terms] / scale
    best = least_norm(matrix, target)
    inside = True
    for j in range(terms):
        inside = inside and abs(best[j]) <= bound[j]
    if inside:
        coefficients[:] = best
        return 0.0
    coefficients[:] = box_least_squares(matrix, target, bound, best)
    left = remainder(matrix, coefficients, target)
    return np.sum(left * left) + (factor[terms, terms] / scale) ** 2


@numba.njit(cache=True)
def half_widths(terms, norm):
    """Return the box of coefficients: 1 / norm, then 2 / (norm j) for j = 1, 2, ..."""
    widths = np.empty(terms)
    widths[0] = 1.0 / norm
    for j in range(1, terms):
        widths[j] = 2.0 / (norm * j)
    return widths


@numba.njit(cache=True)
def learn_chebyshev(theta, factors, arm, u, target, largest, rescaled, norm):
    """Add one observation and refit its arm, or every arm when the scale changed, in place.

    Returns the residual sum of squares of the observed arm's fit where the box binds, else 0.
    """
    terms = theta.shape[1]
    bound = half_widths(terms, norm)
    scale = largest * norm
    row = np.empty(terms + 1)
    row[:terms] = chebyshev(u, terms)
    row[terms] = target
    append_row(factors[arm], row)
    if rescaled:
        for other in range(theta.shape[0]):
            if other != arm:
                fit_arm(factors[other], scale, bound, theta[other])
    return fit_arm(factors[arm], scale, bound, theta[arm])
