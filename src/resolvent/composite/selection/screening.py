"""Coefficients of linear models that a duality gap proves to be zero."""

import dataclasses
import math
from typing import Any

import numpy as np

from resolvent._core.checks import refuse
from resolvent.composite.descent.kernels_descent import L1
from resolvent.composite.descent.separable import separable
from resolvent.composite.generalized_linear import GeneralizedLinear


@dataclasses.dataclass(frozen=True)
class ProvedZeros:
    """Which coefficients are zero in every answer.

    Attributes:
        mask: [p], true where that is proved.
        number: of them.
        radius: no further than this are the slopes of the loss at an answer from those of the
            point's dual point, as the root of their weighted mean square.
        gap: the duality gap of the point.
    """

    mask: Any
    number: int
    radius: float
    gap: float


def proved_zeros(problem: GeneralizedLinear, x: Any) -> ProvedZeros:
    """Which coefficients the duality gap of a point proves to be zero in every answer.

    Where no slope of the loss rises faster than L, the dual objective is strongly concave: the dual
    answer lies in a ball around the dual point of x, of radius sqrt(2 L gap) in the norm of the
    samples' weights. A coefficient whose column has a product with all of the ball below the weight
    of its penalty is zero. This holds for any x, and proves the more the smaller its gap is; it
    does not say that the others are not zero.

    Args:
        problem: with an `L1`, `WeightedL1` or `ElasticNet` penalty, and a loss of bounded
            curvature.
        x: any point, for instance that of a solution.

    Returns:
        The coefficients, as a mask.

    Raises:
        ValueError: for another penalty, a loss without such a bound, or a point that does not fit.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X, y = np.eye(3), np.array([3.0, -0.3, 0.0])
        lasso = rs.GeneralizedLinear(X, y, penalty=rs.functions.L1(0.2))
        found = rs.composite.proved_zeros(lasso, rs.solve(lasso, rtol=1e-8).x)
        assert found.mask.tolist() == [False, True, True]
        ```

    Reference:
        E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon (2017), Gap safe screening rules for sparsity
        enforcing penalties, arXiv 1611.05780.
    """
    problem = problem.prepare("host")
    x = problem.admit(x, "x")
    bars = _bars(problem)
    with problem.precision(x), np.errstate(all="ignore"):
        z = problem.predictions(x)
        v = problem.loss.dual(z, problem.y)
        if problem.intercept:
            v = problem.loss.balanced(v, problem.y, problem.weights)
        slopes = problem.design.transposed_times(problem.weights * v)
        scale, rest = problem.penalty.scaled_conjugate(-slopes)
        value = problem.mean_loss(z) + problem.penalty.value(x[0] if problem.intercept else x)
        least = -(problem.weights @ problem.loss.conjugate(scale * v, problem.y)) - rest
        gap = widened(float(value), float(least), problem.design.dtype)
        norms = np.sqrt(problem.design.column_squares(problem.weights))
        length = math.sqrt(float(problem.weights @ (v * v)))
    radius = math.sqrt(2.0 * float(problem.loss.smoothness) * gap)
    mask = outside(float(scale) * np.abs(slopes), norms, bars, radius, length, v.size)
    return ProvedZeros(mask, int(np.count_nonzero(mask)), radius, gap)


def widened(value: float, least: float, dtype: Any) -> float:
    """A duality gap with the rounding errors of its two parts."""
    return abs(value - least) + float(np.finfo(dtype).eps) * (abs(value) + abs(least))


def outside(
    slopes: Any, norms: Any, bars: Any, radius: float, length: float, samples: int
) -> Any:  # fmt: skip
    """Where no point of the ball has a slope as large as the bar, rounding errors included."""
    rounding = samples * float(np.finfo(norms.dtype).eps) * length
    return slopes + norms * (radius + rounding) < bars * (1 - 4 * float(np.finfo(norms.dtype).eps))


def _bars(problem: GeneralizedLinear) -> Any:
    """The weight of each coefficient's absolute value."""
    found = separable(problem.penalty, problem.design.shape[1], problem.design.dtype)
    if not problem.dual or found is None or found.kind != L1:
        refuse(
            ValueError, "problem", given=f"the penalty {type(problem.penalty).__name__}",
            needed="an L1, WeightedL1 or ElasticNet with a duality gap",
            advice="Other penalties have no such rule here.",
        )  # fmt: skip
    if problem.loss.outputs(problem.y) or not np.isfinite(float(problem.loss.smoothness)):
        refuse(
            ValueError, "problem", given=f"the loss {type(problem.loss).__name__}",
            needed="a loss of one prediction whose curvature is bounded",
            advice="Without a bound a gap says nothing of the distance to the dual answer.",
        )  # fmt: skip
    return found.bars
