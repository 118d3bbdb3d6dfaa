"""Rounded plans have their marginals, and the bound on the gap is one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transport.toys import clouds, squares

import resolvent as rs
from resolvent.transport import Coupling, PointCost, round_plan


def dense(rounded, P):
    """The rounded plan, formed."""
    R = rounded.u[:, None] * P * rounded.v
    missing = rounded.rest_a.sum()
    return R + np.outer(rounded.rest_a, rounded.rest_b) / missing if missing > 0 else R


def divergence(R, P):
    with np.errstate(all="ignore"):
        return (np.where(R > 0, R * np.log(R / P), 0.0) - R + P).sum()


@given(
    n=st.integers(1, 7),
    m=st.integers(1, 7),
    seed=st.integers(0, 100),
    zeros=st.booleans(),
    size=st.floats(0.01, 100),
)
def test_any_plan_is_moved_onto_the_polytope(n, m, seed, zeros, size):
    rng = np.random.default_rng(seed)
    _, _, a, b = clouds(n, m, seed)
    P = size * rng.random((n, m)) ** 4 / (n * m)
    if zeros:
        P[rng.random((n, m)) < 0.5] = 0.0
    R = round_plan(P, a, b)
    assert R.min() >= 0
    assert np.allclose(R.sum(1), a, atol=1e-14)
    assert np.allclose(R.sum(0), b, atol=1e-14)
    error = np.abs(P.sum(1) - a).sum() + np.abs(P.sum(0) - b).sum()
    assert np.abs(R - P).sum() <= 2 * error + 1e-13


def test_a_plan_with_its_marginals_stays():
    _, _, a, b = clouds()
    assert np.allclose(round_plan(np.outer(a, b), a, b), np.outer(a, b), rtol=1e-14)


@given(
    seed=st.integers(0, 60),
    noise=st.sampled_from([1e-9, 1e-4, 0.01, 0.1, 1.0]),
    epsilon=st.sampled_from([0.02, 0.2, 2.0]),
    points=st.booleans(),
)
@settings(max_examples=60)
def test_the_formula_is_the_dense_rounding(seed, noise, epsilon, points):
    x, y, a, b = clouds(6, 4, seed)
    a[0] = 0.0
    a /= a.sum()
    rng = np.random.default_rng(seed)
    C = squares(x, y)
    problem = rs.EntropicTransport(PointCost(x, y) if points else C, a, b, epsilon)
    f, g = noise * rng.standard_normal(6), noise * rng.standard_normal(4)
    point = Coupling(f, g, problem)
    rounded, P = point.rounded, point.plan
    R = dense(rounded, P)
    assert np.allclose(R, round_plan(P, a, b), rtol=1e-9, atol=1e-14)
    assert rounded.cost == pytest.approx((R * C).sum(), rel=1e-9)
    exact = epsilon * divergence(R, P)
    rounding = 1e-12 * (1 + abs(point.value))
    assert rounded.gap >= exact - rounding
    # Splitting a mixture loses at most its entropy, which is log 2 for each unit of mass.
    assert rounded.gap <= exact + epsilon * np.log(2) + rounding
    Q = np.outer(a, b)
    primal = (R * C).sum() + epsilon * divergence(R, Q)
    assert point.value + exact == pytest.approx(primal, rel=1e-9, abs=rounding)


def test_bad_plans_are_refused():
    voice = r"(?s)^.+: given .+; needed .+\. .+"
    for plan, a, b in (
        (np.ones((2, 2)), np.ones(3), np.ones(2)),
        (np.ones(2), np.ones(2), np.ones(2)),
        (-np.ones((2, 2)), np.ones(2), np.ones(2)),
        (np.full((2, 2), np.nan), np.ones(2), np.ones(2)),
    ):
        with pytest.raises(ValueError, match=voice):
            round_plan(plan, a, b)
