"""From almost a plan to a plan: rounding onto the transport polytope, and what it proves.

Rounding scales rows and columns down until no marginal is exceeded and adds the missing mass as
one rank-one term. The result has the marginals exactly, so that its objective bounds the optimum
from above, while the potentials' dual value bounds it from below.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from resolvent._core.checks import real_array, refuse
from resolvent.transport.costs import Cost
from resolvent.transport.softmin import hard_log, marginals, total_cost


class Rounded(NamedTuple):
    """The rounded plan `diag(u) P diag(v) + rest_a rest_b^T / sum(rest_a)`, never formed.

    Attributes:
        u: factors of the rows, shape (n,).
        v: factors of the columns, shape (m,).
        rest_a: mass that the rows still miss, shape (n,).
        rest_b: mass that the columns still miss, shape (m,).
        cost: <C, R> of the rounded plan R.
        gap: an upper bound of its regularized objective less the dual value of the potentials.
    """

    u: Any
    v: Any
    rest_a: Any
    rest_b: Any
    cost: float
    gap: float


def round_plan(
    plan: Float[np.ndarray, "n m"], a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "n m"]:
    """Anybody's plan, moved onto the transport polytope of `a` and `b`.

    The l1 distance to the given plan is at most twice its marginal error.

    Args:
        plan: shape (n, m), finite and not negative.
        a: wanted row sums, shape (n,).
        b: wanted column sums, shape (m,), of the same total.

    Returns:
        A plan with these marginals, up to rounding.

    Raises:
        ValueError: for shapes that do not match or negative entries.

    Example:
        ```python
        import numpy as np, resolvent as rs
        a = np.array([0.5, 0.5])
        P = rs.transport.round_plan(np.full((2, 2), 0.3), a, a)
        assert np.allclose(P.sum(0), a) and np.allclose(P.sum(1), a)
        ```

    Reference:
        J. Altschuler, J. Weed, P. Rigollet (2017), Near-linear time approximation algorithms for
        optimal transport via Sinkhorn iteration, arXiv 1705.09634, algorithm 2.
    """
    P, a, b = (
        np.asarray(real_array(name, value), np.float64)
        for name, value in (("plan", plan), ("a", a), ("b", b))
    )
    if P.shape != (*a.shape, *b.shape) or P.ndim != 2:
        refuse(
            ValueError, "plan", given=f"shape {P.shape} with marginals {a.shape} and {b.shape}",
            needed="shapes (n, m), (n,) and (m,)", advice="Check the order.",
        )  # fmt: skip
    if not (P.min(initial=0) >= 0 and a.min(initial=0) >= 0 and b.min(initial=0) >= 0):
        refuse(
            ValueError, "plan", given="entries that are negative or NaN", needed="masses >= 0",
            advice="Clip what rounding made negative with numpy.maximum(plan, 0).",
        )  # fmt: skip
    P = P * _shrink(a, P.sum(1))[:, None]
    P *= _shrink(b, P.sum(0))
    rest_a, rest_b = _rest(a, P.sum(1)), _rest(b, P.sum(0))
    missing = min(rest_a.sum(), rest_b.sum())
    if missing > 0:
        P += np.outer(rest_a, rest_b / rest_b.sum())
    return P


def round_potentials(
    cost: Cost, epsilon: float, f: Any, g: Any, a: Any, b: Any, sums: tuple[Any, Any]
) -> Rounded:
    """Round the plan of two potentials without forming it, and bound the duality gap.

    With R the rounded plan and P that of the potentials, primal value less dual value is exactly
    epsilon KL(R | P). R is a mixture of the shrunk plan and the rank-one rest, and KL is convex,
    so that a few sums over either part bound it.

    Args:
        cost: the costs, n x m, NumPy.
        epsilon: regularization, in the unit of the costs.
        f: potential of the rows.
        g: potential of the columns.
        a: wanted row sums.
        b: wanted column sums, of the same total.
        sums: row and column sums of the plan of the potentials.
    """
    log_a, log_b = hard_log(a), hard_log(b)
    u = _shrink(a, sums[0])
    log_u = hard_log(u)
    v = _shrink(b, marginals(cost, epsilon, f, g, log_a + log_u, log_b)[1])
    log_v = hard_log(v)
    weights = log_a + log_u, log_b + log_v
    rows, columns = marginals(cost, epsilon, f, g, *weights)
    moved = total_cost(cost, epsilon, f, g, *weights)
    rest_a, rest_b = _rest(a, rows), _rest(b, columns)
    mass, kept, total = float(a.sum()), float(rows.sum()), float(sums[0].sum())
    missing = float(rest_a.sum())
    with np.errstate(all="ignore"):
        divergence = _dot(log_u, rows) + _dot(log_v, columns) + (total - mass)
        # Mass below rounding is no part of the mixture.
        if missing > 1e-300 and float(rest_b.sum()) > 0:
            rest_b = rest_b * (missing / float(rest_b.sum()))
            share = missing / mass
            if share < 1:
                divergence -= kept * math.log1p(-share)
            own = float(cost.inner(rest_a, rest_b)) / missing
            moved += own
            divergence += (
                _dot(hard_log(rest_a) - log_a, rest_a)
                + _dot(hard_log(rest_b) - log_b, rest_b)
                - missing * (math.log(missing) + math.log(share))
                - (float(rest_a @ f) + float(rest_b @ g) - own) / epsilon
            )
    gap = epsilon * divergence
    if math.isnan(gap) or math.isnan(moved):
        return Rounded(u, v, rest_a, rest_b, math.inf, math.inf)
    return Rounded(u, v, rest_a, rest_b, float(moved), max(0.0, gap))


def divergence(p: Any, log_q: Any) -> float:
    """KL(p | q) = sum p log(p / q) - p + q, for q given by its logarithm."""
    with np.errstate(all="ignore"):
        value = _dot(hard_log(p) - log_q, p) - float(p.sum()) + float(np.exp(log_q).sum())
    return math.inf if math.isnan(value) else max(0.0, value)


def entropy(mass: Any) -> float:
    """-sum p log p of the distribution that masses make."""
    p = mass / mass.sum()
    return -_dot(hard_log(p), p)


def _shrink(wanted: Any, present: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.where(present > wanted, wanted / present, 1.0)


def _rest(wanted: Any, present: Any) -> Any:
    return np.maximum(wanted - present, 0.0)


def _dot(logs: Any, weights: Any) -> float:
    """sum w_i l_i where nothing of weight zero counts, whatever its logarithm."""
    return float(np.where(weights > 0, logs * weights, 0.0).sum())
