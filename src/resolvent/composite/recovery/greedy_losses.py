"""Losses of sparse regression: what one more column gains, and the best fit on a support."""

from typing import Any, NamedTuple

import numpy as np

from resolvent._core.norm import norm


class Rule(NamedTuple):
    """A loss: how far data are from their fit, plus a price of coefficients.

    Attributes:
        misfit: "squares" for ||r||_2^2, "root" for ||r||_2, "absolute" for ||r||_1.
        power: 0 for the number of coefficients, 1 for the sum of their sizes.
    """

    misfit: str
    power: int


RULES = {
    f"{name}-l{power}": Rule(misfit, power)
    for name, misfit in (("lasso", "squares"), ("sr-lasso", "root"), ("lad-lasso", "absolute"))
    for power in (0, 1)
}


def misfit(rule: Rule, r: Any) -> float:
    """How far a residual is from zero."""
    if rule.misfit == "absolute":
        return float(np.abs(r).sum())
    size = norm(r)
    return size * size if rule.misfit == "squares" else size


def price(rule: Rule, x: Any, bars: Any) -> float:
    """The price of coefficients; `bars` is that of one, or of one unit."""
    if rule.power:
        return float(bars @ np.abs(x))
    return float(bars[x != 0].sum())


def gains(rule: Rule, rows: Any, r: Any, x: Any, on: Any, bars: Any) -> Any:
    """By how much a change of one coefficient alone can lower the loss, for each of them.

    Args:
        rule: the loss.
        rows: [n, m], the columns of the matrix, of length 1.
        r: [m], the residual of x, which fits the data best among all with its support.
        x: [n].
        on: [n], whether a coefficient belongs to the support.
        bars: [n], the price of a coefficient, or of one unit of it.
    """
    if rule.misfit == "absolute":
        return _absolute_gains(rule, rows, r, x, bars)
    c, size, a = np.abs(rows @ r), norm(r), np.abs(x)
    if rule.misfit == "squares":
        found = _square_gains(rule, c, a, on, bars)
    else:
        found = _root_gains(rule, c, size, a, on, bars)
    return np.maximum(found, 0)


def _square_gains(rule: Rule, c: Any, a: Any, on: Any, bars: Any) -> Any:
    if rule.power == 0:
        return np.where(on, np.where(a > 0, bars - a * a, 0), c * c - bars)
    # Down by half of the bar, or to zero where that is nearer.
    inside = np.where(2 * a > bars, 0.25 * bars * bars, a * (bars - a))
    return np.where(on, inside, np.maximum(c - 0.5 * bars, 0) ** 2)


def _root_gains(rule: Rule, c: Any, size: float, a: Any, on: Any, bars: Any) -> Any:
    left = np.sqrt(np.maximum(size * size - c * c, 0))  # of the residual, less one column
    without = np.hypot(size, a)  # the residual where a coefficient is deleted
    if rule.power == 0:
        inside = np.where(a > 0, size + bars - without, 0)
        return np.where(on, inside, size - left - bars)
    # Beyond a bar of 1 no coefficient is worth its price, whatever the data.
    low = bars < 1
    slope = np.sqrt(np.where(low, 1 - bars * bars, 1))
    outside = np.where(low & (c > bars * size), size - bars * c - slope * left, 0)
    shrunk = size + bars * a - size / slope - bars * np.abs(a - bars * size / slope)
    inside = np.maximum(size + bars * a - without, np.where(low, shrunk, 0))
    return np.where(on, inside, outside)


def _absolute_gains(rule: Rule, rows: Any, r: Any, x: Any, bars: Any) -> Any:
    from resolvent.composite.recovery.kernels_median import along_columns

    whole = np.abs(r).sum()
    x = x.astype(r.dtype)
    if rule.power:
        found = whole + bars * np.abs(x) - along_columns(rows, r, x, bars)
        return np.maximum(found, 0)
    found = whole - along_columns(rows, r, x, np.zeros_like(bars))
    known = x != 0
    found = np.where(known, found, found - bars)
    if known.any():
        deleted = np.abs(r[None] + x[known, None] * rows[known]).sum(1)
        found[known] = np.maximum(found[known], whole + bars[known] - deleted)
    return np.maximum(found, 0)


def best_fit(rule: Rule, A: Any, b: Any) -> Any:
    """The z of the least misfit of A z to b, without a price: the one of the least norm, where
    squares leave a choice."""
    if not A.shape[1]:
        return np.zeros(0, A.dtype)
    if rule.misfit == "absolute":
        return _least_absolute(A, b)
    return np.linalg.lstsq(A, b, rcond=None)[0]


def _least_absolute(A: Any, b: Any) -> Any:
    """A linear program, by its dual: maximize b . y over A^T y = 0 with |y_i| <= 1."""
    import scipy.optimize

    k, size = A.shape[1], np.abs(b).max()
    if size == 0 or not np.isfinite(size):
        return np.zeros(k, A.dtype)
    matrix, target = A.astype(np.float64), b.astype(np.float64) / size
    found = scipy.optimize.linprog(
        -target, A_eq=matrix.T, b_eq=np.zeros(k), bounds=(-1, 1), method="highs"
    )
    if found.status != 0:  # which rounding can do, as y = 0 is admissible
        return np.linalg.lstsq(A, b, rcond=None)[0]
    z = -found.eqlin.marginals
    # A vertex passes through k data points, to which it is solved in full precision.
    through = np.argsort(np.abs(target - matrix @ z))[:k]
    exact = np.linalg.lstsq(matrix[through], target[through], rcond=None)[0]
    if np.abs(target - matrix @ exact).sum() <= np.abs(target - matrix @ z).sum():
        z = exact
    return (size * z).astype(A.dtype)
