"""The answer of a linear model whose penalty leaves nothing but the intercept."""

import math
from typing import Any, NoReturn

import numpy as np
import scipy.optimize

from resolvent._core import trees
from resolvent._core.checks import refuse
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.functions import L1, MCP, SCAD, ElasticNet


def largest_weight(problem: GeneralizedLinear) -> float:
    """The least weight of the penalty from which on the coefficients are zero.

    That is the dual norm, in the penalty's own geometry, of the gradient at the best constant
    prediction: the largest slope for the l1 norm, the largest norm of a group for groups.

    Args:
        problem: its penalty's present weight has no influence. With a `WeightedL1` the answer is a
            factor of its weights.

    Returns:
        The weight; 0 where zero is an answer for any.

    Raises:
        ValueError: for a penalty of which no such weight is known.

    Example:
        ```python
        import numpy as np, resolvent as rs
        lasso = rs.GeneralizedLinear(np.eye(2), np.array([4.0, 2.0]), penalty=rs.functions.L1(1.0))
        assert rs.composite.largest_weight(lasso) == 2.0
        ```
    """
    penalty = problem.penalty
    with problem.precision(problem.first):
        z = constant_predictions(problem)
        pulled = problem.pulled_back(problem.loss.slope(z, problem.y))
        slope = pulled[0] if problem.intercept else pulled
        size = float(trees.norm(slope))
        if not math.isfinite(size):
            refuse(
                ValueError, "problem", given=f"a gradient of norm {size} at zero",
                needed="products of X and y that do not overflow",
                advice="Divide X or y by its largest entry.",
            )  # fmt: skip
        if not size > 0:
            return 0.0
        if isinstance(penalty, L1 | MCP | SCAD):
            return float(trees.largest(slope))
        if isinstance(penalty, ElasticNet) and penalty.ratio:
            return float(trees.largest(slope)) / float(penalty.ratio)
        return _by_scale(penalty, slope)


def constant_predictions(problem: GeneralizedLinear) -> Any:
    """The predictions [n] or [n, k] of the intercept alone at its best; zeros without one."""
    loss, y = problem.loss, problem.y
    z = np.zeros(np.shape(y) + tuple(loss.outputs(y)), problem.design.dtype)
    if not problem.intercept:
        return z
    best = loss.constant(y, problem.weights)
    if best is None:
        best = _balanced(problem, z)
    if not np.isfinite(np.asarray(best)).all():
        refuse(
            ValueError, "y", given="targets that a constant predicts better the larger it is",
            needed="two classes", advice="Leave the intercept out, or look at y.",
        )  # fmt: skip
    return z + np.asarray(best)


def _balanced(problem: GeneralizedLinear, z: Any) -> float:
    """Where the mean slope of the loss changes its sign."""

    def slope(constant: float) -> float:
        return float(problem.weights @ problem.loss.slope(z + constant, problem.y))

    reach = 1.0
    while not slope(-reach) <= 0 <= slope(reach):
        reach *= 2.0
        if not np.isfinite(reach):
            return np.inf
    return float(scipy.optimize.brentq(slope, -reach, reach, xtol=1e-14 * reach, rtol=1e-14))


def _by_scale(penalty: Any, slope: Any) -> float:
    """The weight at which the conjugate of a norm becomes finite at this slope."""
    weight, size = float(getattr(penalty, "weight", 1.0)), float(trees.norm(slope))
    # So large a multiple of the slope is outside of any domain; by a power of two, for exactness.
    far = 2.0 ** (40 + math.ceil(math.log2(weight / size)))
    found = penalty.scaled_conjugate(-far * slope)
    scale = 1.0 if found is None else float(found[0])
    if not 0 < scale < 1:
        _none(penalty)
    return weight / (scale * far)


def _none(penalty: Any) -> NoReturn:
    refuse(
        ValueError, "lambdas",
        given=f"a number of weights, for {type(penalty).__name__}, whose answer is zero for none",
        needed="the weights themselves", advice="Write for instance np.geomspace(1, 0.01, 50).",
    )  # fmt: skip
