"""Quadratic models of one block with its penalties, minimized to rounding."""

from typing import Any

import numpy as np
from scipy.linalg import lapack

from resolvent.composite.blocks.partitions import inverse
from resolvent.composite.blocks.terms import Terms

_ROUNDS, _EPOCHS, _PATIENT = 200, 10, 200


def direction(H: Any, g: Any) -> Any:
    """-H^+ g for a positive semidefinite H."""
    if g.size == 1:
        return -g / H[0] if H[0, 0] > 0 else np.zeros_like(g)
    potrf, potrs = (lapack.dpotrf, lapack.dpotrs) if g.dtype == np.float64 else (
        lapack.spotrf, lapack.spotrs)  # fmt: skip
    factor, failed = potrf(H, lower=1)
    if not failed:
        pivots, diagonal = factor.diagonal() ** 2, H.diagonal()
        if (pivots > 100 * np.finfo(H.dtype).eps * H.shape[0] * diagonal).all():
            return potrs(factor, -g, lower=1)[0]
    return -(inverse(H) @ g)


def minimized(terms: Terms, H: Any, g: Any, x: Any) -> Any:
    """The y that minimizes g^T (y - x) + (y - x)^T H (y - x) / 2 plus the penalties.

    Sweeps of coordinate descent find where coordinates rest; between them, steps to the minimizer
    over the others, as far as none of these crosses a kink or a bound. Where penalties are not
    convex, sweeps alone.
    """
    from resolvent.composite.blocks import kernels_blocks as kernels

    if terms.absent:
        return x + direction(H, g)
    y, r = x.copy(), g.copy()
    H = np.ascontiguousarray(H)
    parts = terms.bars, terms.lower, terms.upper
    if not terms.convex:
        kernels.epochs(terms.kind, terms.gamma, H, r, y, *parts, _PATIENT)
        return y
    diagonal = np.where(H.diagonal() > 0, H.diagonal(), 1)
    eps = np.finfo(H.dtype).eps
    for _ in range(_ROUNDS):
        kernels.epochs(terms.kind, terms.gamma, H, r, y, *parts, _EPOCHS)
        free = np.flatnonzero(~terms.resting(y) & (H.diagonal() > 0))
        whole = True
        if free.size:
            whole = _to_free_minimizer(terms, H, g, r, x, y, free)
        left = terms.violations(y, r)
        size = abs(g) + terms.bars + abs(H) @ abs(y - x)
        if whole and (left <= 50 * eps * (size + diagonal * abs(y))).all():
            break
    return y


def _to_free_minimizer(
    terms: Terms, H: Any, g: Any, r: Any, x: Any, y: Any, free: Any
) -> bool:  # fmt: skip
    """Move y and its slope r, in place, towards the minimizer with the others at rest.

    Where it lies beyond kinks or bounds, either all that would cross are put there, or the step
    ends where the first one comes to it, whichever is lower.
    """
    old = y[free]
    bars, lower, upper = terms.bars[free], terms.lower[free], terms.upper[free]
    own, slope = H[np.ix_(free, free)], r[free] + bars * np.sign(old)
    # A little more curvature gives a direction downhill also where the system is singular.
    d = direction(own + np.diag(100 * np.finfo(H.dtype).eps * own.diagonal()), slope)
    # A kink bounds a coordinate as a bound does.
    low = np.where((bars > 0) & (old > 0), np.maximum(lower, 0), lower)
    high = np.where((bars > 0) & (old < 0), np.minimum(upper, 0), upper)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(d < 0, (low - old) / d, np.where(d > 0, (high - old) / d, np.inf))
    part = min(1.0, float(room.min()))
    new = np.minimum(np.maximum(old + part * d, low), high)
    if part < 1.0:
        first = int(np.argmin(room))
        new[first] = low[first] if d[first] < 0 else high[first]
        whole = np.minimum(np.maximum(old + d, low), high)
        if _change(own, slope, whole - old) < _change(own, slope, new - old):
            new = whole
    y[free] = new
    r[:] = g + H @ (y - x)
    return part == 1.0


def _change(H: Any, slope: Any, d: Any) -> float:
    return float(slope @ d + 0.5 * d @ (H @ d))
