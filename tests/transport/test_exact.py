"""The reference without regularization: its solvers agree, and its plans are plans."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transport.toys import clouds, squares

from resolvent.transport import PointCost, exact_transport

SOLVERS = ["highs", *(["network"] if importlib.util.find_spec("ot") else [])]


@given(n=st.integers(1, 8), m=st.integers(1, 8), seed=st.integers(0, 50))
@settings(max_examples=30)
def test_plans_have_their_marginals_and_solvers_agree(n, m, seed):
    x, y, a, b = clouds(n, m, seed)
    found = [exact_transport(squares(x, y), 3 * a, 3 * b, solver=solver) for solver in SOLVERS]
    for best in found:
        assert best.plan.shape == (n, m)
        assert best.plan.nnz <= n + m - 1
        assert best.plan.toarray().min(initial=0) >= -1e-12
        assert np.allclose(best.plan.sum(1), 3 * a, atol=1e-9)
        assert np.allclose(best.plan.sum(0), 3 * b, atol=1e-9)
        assert best.cost == pytest.approx((best.plan.toarray() * squares(x, y)).sum())
        assert best.cost == pytest.approx(found[0].cost, rel=1e-7)


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_equal_masses_are_an_assignment(size):
    rng = np.random.default_rng(2)
    C, a = size * rng.random((7, 7)), np.full(7, 1 / 7)
    best = exact_transport(C, a, a)
    assert best.solver == "assignment"
    assert np.count_nonzero(best.plan.toarray()) == 7
    for solver in SOLVERS:
        assert exact_transport(C, a, a, solver=solver).cost == pytest.approx(best.cost, rel=1e-7)


def test_on_a_line_sorting_is_optimal():
    rng = np.random.default_rng(0)
    x, y, a = rng.standard_normal(9), rng.standard_normal(9), np.full(9, 1 / 9)
    best = exact_transport(PointCost(x, y), a, a)
    assert best.cost == pytest.approx(np.mean((np.sort(x) - np.sort(y)) ** 2))


def test_points_without_mass_are_left_out():
    x, y, a, b = clouds(5, 5)
    a[2] = 0.0
    a /= a.sum()
    for solver in SOLVERS:
        best = exact_transport(squares(x, y), a, b, solver=solver)
        assert not best.plan.toarray()[2].any()


def test_solvers_that_cannot_are_refused():
    with pytest.raises(ValueError, match="solver: given 'assignment'; needed one of"):
        exact_transport(np.ones((2, 3)), np.full(2, 1 / 2), np.full(3, 1 / 3), solver="assignment")
    with pytest.raises(ValueError, match="solver: given 'simplex'"):
        exact_transport(np.ones((2, 2)), np.ones(2), np.ones(2), solver="simplex")
