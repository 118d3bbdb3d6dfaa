"""Rounded plans have their marginals, and the bound on the gap is one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transport.toys import clouds, squares

import resolvent as rs
from resolvent.transport import Coupling, PointCost, round_plan
from resolvent.transport.rounding import round_potentials, totals


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


@pytest.mark.parametrize("noise", [1e-9, 0.01, 1.0])
def test_the_side_that_is_stored_first_is_shrunk_first(noise):
    x, y, a, b = clouds(6, 4)
    C = np.asfortranarray(squares(x, y))
    rng = np.random.default_rng(0)
    f, g = noise * rng.standard_normal(6), noise * rng.standard_normal(4)
    point = Coupling(f, g, rs.EntropicTransport(C, a, b, 0.2))
    rounded = point.rounded
    R = dense(rounded, point.plan)
    assert np.allclose(R, round_plan(point.plan.T, b, a).T, rtol=1e-9, atol=1e-14)
    assert rounded.cost == pytest.approx((R * C).sum(), rel=1e-9)
    assert rounded.gap >= 0.2 * divergence(R, point.plan) - 1e-13
    back = point.T.rounded
    assert np.array_equal(back.u, rounded.v)
    assert np.array_equal(back.rest_b, rounded.rest_a)
    assert back.gap == pytest.approx(rounded.gap, rel=1e-14)


@given(seed=st.integers(0, 20), rtol=st.sampled_from([1e-4, 1e-7, 1e-10]), points=st.booleans())
@settings(max_examples=20)
def test_few_passes_prove_as_much_as_many(seed, rtol, points):
    x, y, a, b = clouds(30, 40, seed)
    cost = PointCost(x, y) if points else squares(x, y)
    problem = rs.EntropicTransport(cost, a, b, 0.05)
    sol = rs.solve(problem, rs.transport.Sinkhorn(), rtol=rtol)
    arguments = problem.cost, 0.05, sol.x.f, sol.x.g, a, problem.b
    known = totals(*arguments)
    quick = round_potentials(*arguments, known)
    slow = round_potentials(*arguments, known._replace(excess=None))
    assert slow.gap * (1 - 1e-12) - 1e-15 <= quick.gap <= 1.002 * slow.gap + 1e-14
    assert abs(quick.cost - slow.cost) <= 1e-3 * sol.certificate.value + 1e-14


@pytest.mark.parametrize("form", ["matrix", "columns", "points"])
def test_a_solve_judges_its_answer_in_one_pass(monkeypatch, form):
    from resolvent.transport import kernels_rounding

    x, y, a, b = clouds(30, 40)
    C = squares(x, y)
    cost = {"matrix": C, "columns": np.asfortranarray(C), "points": PointCost(x, y)}[form]
    passes = []
    for name in ("judge", "shrink"):
        whole = getattr(kernels_rounding, name)

        def told(*arguments, whole=whole):
            # Costs that the missing mass would have are no pass over the plan.
            passes.append(whole.__name__ == "judge" or arguments[-2] is not None)
            return whole(*arguments)

        monkeypatch.setattr(kernels_rounding, name, told)
    problem = rs.EntropicTransport(cost, a, b, 0.1)
    assert rs.solve(problem, rs.transport.Sinkhorn(), rtol=1e-9).certificate.details["gap"] < 1e-8
    assert sum(passes) == 1


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
