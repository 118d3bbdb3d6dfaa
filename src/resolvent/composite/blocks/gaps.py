"""The duality gap of a linear model in NumPy alone: cheap enough to be known after every step."""

from typing import Any

import numpy as np

from resolvent.composite.blocks.terms import Terms


def duality_gap(problem: Any, terms: Terms, x: Any, z: Any, pulled: Any) -> float:
    """The objective less the bound of the dual point that the slopes at z make.

    It is `problem.gap`, less what goes through JAX. `pulled` is the gradient of the mean loss, with
    the slopes of intercepts behind the others.
    """
    loss, y, weights = problem.loss, problem.y, problem.weights
    primal = float(weights @ loss.each(z, y)) + terms.value(x) + 0.5 * float((terms.ridge * x) @ x)
    v = loss.dual(z, y)
    if problem.intercept:
        v = loss.balanced(v, y, weights)
        pulled = problem.design.transposed_times(weights.reshape((-1,) + (1,) * (v.ndim - 1)) * v)
    scale, rest = scaled_conjugate(terms, -np.ravel(pulled))
    bound = -float(weights @ loss.conjugate(scale * v, y)) - rest
    rounding = float(np.finfo(x.dtype).eps) * (abs(primal) + abs(bound))
    return abs(primal - bound) + rounding


def scaled_conjugate(terms: Terms, u: Any) -> tuple[float, float]:
    """The largest s <= 1 for which the conjugate of convex terms at s u is finite, and its value.

    Terms behind the length of u are left out.
    """
    bars, lower, upper, ridge = (
        part[: u.size] for part in (terms.bars, terms.lower, terms.upper, terms.ridge)
    )
    endless = (ridge == 0) & (((u > bars) & (upper == np.inf)) | ((u < -bars) & (lower == -np.inf)))
    scale = float((bars[endless] / abs(u[endless])).min(initial=1.0))
    u = scale * u
    beyond = np.sign(u) * np.maximum(abs(u) - bars, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Without squares the best point is an end; where it is no finite one, rounding alone
        # has left something beyond the bar.
        best = np.where(ridge > 0, beyond / ridge, np.where(beyond > 0, upper, lower))
    best = np.where((beyond == 0) | ~np.isfinite(best), 0, best)
    best = np.minimum(np.maximum(best, lower), upper)
    return scale, float((u * best - bars * abs(best) - 0.5 * ridge * best**2).sum())
