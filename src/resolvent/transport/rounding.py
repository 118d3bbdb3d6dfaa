"""From almost a plan to a plan: rounding onto the transport polytope, and what it proves.

Rounding scales rows and columns down until no marginal is exceeded and adds the missing mass as
one rank-one term. The result has the marginals exactly, so that its objective bounds the optimum
from above, while the potentials' dual value bounds it from below.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from resolvent._core.checks import real_array, refuse
from resolvent.transport.costs import Cost
from resolvent.transport.softmin import (
    hard_log,
    kernel_form,
    marginals,
    plan_blocks,
    rounds_alike,
    total_cost,
)

_ROUNDED = 1e-11  # rounding of an exponent that no marginal error shows
_EVEN = 1e-3  # share of the missing mass that may be added to find the rest without a pass
_SPECK = 4e-15  # mass that may be added anyway, relative to all


class Totals(NamedTuple):
    """Sums over the plan P of two potentials.

    Attributes:
        rows: P 1, shape (n,).
        columns: P^T 1, shape (m,).
        logs: logarithms of the wanted sums of rows and columns.
        excess: what one side gets from points of the other that send more than their mass, beyond
            that mass; None where one pass did not tell.
        expenses: costs of the plan, point by point of the side that was summed first.
        exact: whether exponents are so large that the order of their operations decides.
        sides: the potentials as the kernels read them.
    """

    rows: Any
    columns: Any
    logs: tuple[Any, Any]
    excess: Any = None
    expenses: Any = None
    exact: bool = False
    sides: Any = None


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


def totals(cost: Cost, epsilon: float, f: Any, g: Any, a: Any, b: Any) -> Totals:
    """Sums over the plan of NumPy potentials, of the very plan that the user is given.

    Args:
        cost: the costs, n x m, NumPy.
        epsilon: regularization, in the unit of the costs.
        f: potential of the rows.
        g: potential of the columns.
        a: wanted row sums.
        b: wanted column sums.
    """
    log_a, log_b = hard_log(a), hard_log(b)
    with np.errstate(all="ignore"):
        # Where the plan is not nothing, costs are of the size of the potentials.
        largest = float(np.abs(f).max() + np.abs(g).max())
        exact = not largest * np.finfo(float).eps <= _ROUNDED * epsilon
        known = kernel_form(cost)
        if known is not None and not (exact and not rounds_alike(cost)):
            form, flipped = known
            sides = _sides(epsilon, f, g, log_a, log_b, flipped)
            mass = _owned(b if flipped else a)
            sums = _kernels().judge(form, exact, epsilon, sides, mass)
            rows, columns, excess, expenses = sums
            if flipped:
                rows, columns = columns, rows
            return Totals(rows, columns, (log_a, log_b), excess, expenses, exact, sides)
        arguments = (cost, epsilon, f, g, log_a, log_b)
        if not exact:
            return Totals(*marginals(*arguments), (log_a, log_b))
        # Exponents so large are rounded differently where they are added in another order.
        rows, columns = np.empty(len(a)), np.zeros(len(b))
        for begin, end, _, block in plan_blocks(*arguments):
            rows[begin:end] = block.sum(1)
            columns += block.sum(0)
    return Totals(rows, columns, (log_a, log_b), exact=True)


def round_potentials(
    cost: Cost, epsilon: float, f: Any, g: Any, a: Any, b: Any, sums: Any = None
) -> Rounded:
    """Round the plan of two potentials without forming it, and bound the duality gap.

    With R the rounded plan and P that of the potentials, primal value less dual value is exactly
    epsilon KL(R | P). R is a mixture of the shrunk plan and the rank-one rest, and KL is convex,
    so that a few sums over either part bound it. A matrix that is stored the other way round has
    its columns shrunk before its rows.

    Args:
        cost: the costs, n x m, NumPy.
        epsilon: regularization, in the unit of the costs.
        f: potential of the rows.
        g: potential of the columns.
        a: wanted row sums.
        b: wanted column sums, of the same total.
        sums: what `totals` told of these potentials, or None.
    """
    if not isinstance(sums, Totals):
        sums = totals(cost, epsilon, f, g, a, b)
    known = kernel_form(cost)
    if known is not None and known[1]:
        back = sums._replace(rows=sums.columns, columns=sums.rows, logs=sums.logs[::-1])
        R = _round(cost.T, epsilon, g, f, b, a, back)
        return Rounded(R.v, R.u, R.rest_b, R.rest_a, R.cost, R.gap)
    return _round(cost, epsilon, f, g, a, b, sums)


def _round(
    cost: Cost, epsilon: float, f: Any, g: Any, a: Any, b: Any, sums: Totals
) -> Rounded:  # fmt: skip
    mass, total = float(a.sum()), float(sums.rows.sum())
    log_a, log_b = sums.logs
    with np.errstate(all="ignore"):
        u = _shrink(a, sums.rows)
        shrunk = _shrunk_near(cost, epsilon, a, b, sums, u, mass)
        if shrunk is None:
            shrunk = _shrunk(cost, epsilon, f, g, a, b, u)
        v, rows, columns, moved, rest_a, rest_b, own = shrunk
        kept, missing = float(rows.sum()), float(rest_a.sum())
        divergence = _dot(np.log(u), rows) + _dot(np.log(v), columns) + (total - mass)
        # Mass below rounding is no part of the mixture.
        if missing > 1e-300 and own is not None:
            share = missing / mass
            if share < 1:
                divergence -= kept * math.log1p(-share)
            moved += own
            divergence += (
                _dot(np.log(rest_a) - log_a, rest_a)
                + _dot(np.log(rest_b) - log_b, rest_b)
                - missing * (math.log(missing) + math.log(share))
                - (float(rest_a @ f) + float(rest_b @ g) - own) / epsilon
            )
    gap = epsilon * divergence
    if math.isnan(gap) or math.isnan(moved):
        return Rounded(u, v, rest_a, rest_b, math.inf, math.inf)
    return Rounded(u, v, rest_a, rest_b, float(moved), max(0.0, gap))


def _shrunk(
    cost: Cost, epsilon: float, f: Any, g: Any, a: Any, b: Any, u: Any
) -> tuple[Any, ...]:  # fmt: skip
    """v, row and column sums and cost of diag(u) P diag(v), what both sides miss, and its cost."""
    log_a, log_b = hard_log(a) + hard_log(u), hard_log(b)
    v = _shrink(b, marginals(cost, epsilon, f, g, log_a, log_b)[1])
    log_b = log_b + hard_log(v)
    rows, columns = marginals(cost, epsilon, f, g, log_a, log_b)
    moved = total_cost(cost, epsilon, f, g, log_a, log_b)
    rest_a, rest_b = _rest(a, rows), _rest(b, columns)
    rest_b, there = _leveled(rest_a, rest_b)
    own = float(cost.inner(rest_a, rest_b)) / float(rest_a.sum()) if there else None
    return v, rows, columns, moved, rest_a, rest_b, own


def _shrunk_near(
    cost: Cost, epsilon: float, a: Any, b: Any, sums: Totals, u: Any, mass: float
) -> tuple[Any, ...] | None:
    """The same in one pass at most, where not much is shrunk; None elsewhere."""
    if sums.excess is None or not u.min() >= 0.5:
        return None
    before = sums.columns - sums.excess
    v = _shrink(b, before)
    least = float(v.min())
    if not least >= 0.5:
        return None
    known = kernel_form(cost)
    assert known is not None
    run = known[0], sums.exact, epsilon, sums.sides
    sent = u * sums.rows
    lost = (1.0 - least) * float(before.sum())
    if lost <= max(_EVEN * float(_rest(a, sent).sum()), _SPECK * mass):
        # Less than a thousandth is lost where one factor serves all columns: no pass is needed.
        v = np.full_like(v, least)
        rows, columns = least * sent, least * before
        moved = least * float(u @ sums.expenses)
        rest_b = _rest(b, columns)
        *_, spread = _kernels().shrink(*run, None, rest_b)
    else:
        columns = v * before
        rest_b = _rest(b, columns)
        rows, moved, spread = _kernels().shrink(*run, v, rest_b)
        rows, moved = u * rows, float(u @ moved)
    rest_a, total = _rest(a, rows), float(rest_b.sum())
    rest_b, there = _leveled(rest_a, rest_b)
    own = float(rest_a @ spread) / total if there else None
    return v, rows, columns, moved, rest_a, rest_b, own


def _leveled(rest_a: Any, rest_b: Any) -> tuple[Any, bool]:
    """What the columns miss, of exactly the total that the rows miss, if there is any."""
    missing, other = float(rest_a.sum()), float(rest_b.sum())
    there = missing > 1e-300 and other > 0
    return rest_b * (missing / other) if there else rest_b, there


def _sides(epsilon: float, f: Any, g: Any, log_a: Any, log_b: Any, flipped: bool) -> Any:
    """The potentials as the kernels read them."""
    if flipped:
        f, g, log_a, log_b = g, f, log_b, log_a
    f, g = _owned(f), _owned(g)
    return f, g, log_a, log_b, f / epsilon + log_a, g / epsilon + log_b


def _owned(vector: Any) -> Any:
    # Kernels would be compiled once more for views, and for what JAX lends.
    return np.array(vector, np.float64)


@functools.lru_cache(maxsize=1)
def _kernels() -> Any:
    """The compiled kernels, loaded at first use."""
    from resolvent.transport import kernels_rounding

    return kernels_rounding


def divergence(p: Any, log_q: Any) -> float:
    """KL(p | q) = sum p log(p / q) - p + q, for q given by its logarithm."""
    with np.errstate(all="ignore"):
        value = _dot(hard_log(p) - log_q, p) - float(p.sum()) + float(np.exp(log_q).sum())
    return math.inf if math.isnan(value) else max(0.0, value)


def entropy(mass: Any, log_mass: Any) -> float:
    """-sum p log p of the distribution that masses make."""
    total = float(mass.sum())
    return math.log(total) - _dot(log_mass, mass) / total


def _shrink(wanted: Any, present: Any) -> Any:
    out = np.ones_like(present)
    return np.divide(wanted, present, out=out, where=present > wanted)


def _rest(wanted: Any, present: Any) -> Any:
    return np.maximum(wanted - present, 0.0)


def _dot(logs: Any, weights: Any) -> float:
    """sum w_i l_i where nothing of weight zero counts, whatever its logarithm."""
    return float(np.where(weights > 0, logs * weights, 0.0).sum())
