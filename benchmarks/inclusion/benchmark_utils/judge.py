"""Projections and measures in NumPy, which the referee and the loops in NumPy share."""

import numpy as np


def simplex(v):
    """The mixed strategy next to v."""
    ordered = np.sort(v)[::-1]
    excess = (np.cumsum(ordered) - 1.0) / np.arange(1, v.size + 1)
    shift = excess[np.count_nonzero(ordered > excess) - 1]
    return np.maximum(v - shift, 0.0)


def gap(A, x, y) -> float:
    """What both players could still gain, as a part of the largest payoff.

    Points that are no mixed strategies are judged as the strategies next to them.
    """
    x, y = (simplex(np.asarray(part, np.float64)) for part in (x, y))
    return float(((x @ A).max() - (A @ y).min()) / np.abs(A).max())


def residual(M, q, lower, upper, x) -> float:
    """`||x - P(x - M x - q)||` with P the projection on the box."""
    x = np.asarray(x, np.float64)
    return float(np.linalg.norm(x - np.clip(x - M @ x - q, lower, upper)))
