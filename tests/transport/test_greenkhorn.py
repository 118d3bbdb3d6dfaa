"""Greedy updates: the plan of Sinkhorn, by a dual that grows."""

import numpy as np
import pytest

import resolvent as rs
from resolvent.transport.costs import GridCost, PointCost
from resolvent.transport.greenkhorn import Greenkhorn
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.sinkhorn import Sinkhorn


def problem_of(epsilon, n=25, m=18, zeros=True, **options):
    rng = np.random.default_rng(0)
    C, a, b = rng.random((n, m)), rng.random(n) + 0.1, rng.random(m) + 0.1
    if zeros:
        a[2], b[[4, 7]] = 0, 0
    return EntropicTransport(C, a / a.sum(), b / b.sum(), epsilon, **options)


@pytest.mark.parametrize("penalty", [None, 0.5, (None, 0.2)])
@pytest.mark.parametrize("epsilon", [0.2, 0.02])
def test_the_plan_is_that_of_sinkhorn(epsilon, penalty):
    problem = problem_of(epsilon, penalty=penalty)
    greedy = rs.solve(problem, Greenkhorn(), rtol=1e-10).x.plan
    want = rs.solve(problem, Sinkhorn(), rtol=1e-11).x.plan
    np.testing.assert_allclose(greedy, want, rtol=0, atol=1e-8)


def test_the_dual_grows_with_every_update():
    problem = problem_of(0.05)
    method = Greenkhorn(block=1)
    state = method.init(problem, problem.start(None), rs.Memory(), None)
    duals = []
    for _ in range(60):
        state = method.step(problem, state)
        dual = problem.a @ state.f + problem.b @ state.g
        duals.append(dual - problem.epsilon * (state.rows.sum() - 1.0))
    assert (np.diff(duals) >= -1e-14).all()
    assert duals[-1] > duals[0]


def test_totals_of_a_block_do_not_drift():
    problem = problem_of(0.01)
    one, many = Greenkhorn(block=1), Greenkhorn(block=200)
    state = one.init(problem, problem.start(None), rs.Memory(), None)
    other = many.step(problem, state)
    for _ in range(200):
        state = one.step(problem, state)
    np.testing.assert_allclose(state.f, other.f, rtol=0, atol=1e-12)
    np.testing.assert_allclose(state.g, other.g, rtol=0, atol=1e-12)


def test_few_wrong_masses_cost_few_updates():
    problem = problem_of(0.1, n=60, m=50, zeros=False)
    first = rs.solve(problem, Greenkhorn(), rtol=1e-9)
    b = problem.b.copy()
    b[:2] += np.array([1e-6, -1e-6])
    changed = EntropicTransport(problem.cost, problem.a, b, 0.1)
    warm = rs.solve(changed, Greenkhorn(), rtol=1e-7, memory=first.memory)
    cold = rs.solve(changed, Greenkhorn(), rtol=1e-7)
    assert warm.calls["update"] < 0.2 * cold.calls["update"]


def test_rows_lost_to_underflow_are_found_again():
    n = 20
    x = np.linspace(0, 1, n)
    mass = np.full(n, 1 / n)
    problem = EntropicTransport((x[:, None] - x - 2) ** 2, mass, mass, 2e-3)
    sol = rs.solve(problem, Greenkhorn(), rtol=1e-6)
    want = rs.solve(problem, Sinkhorn(form="log"), rtol=1e-8).x.plan
    np.testing.assert_allclose(sol.x.plan, want, rtol=0, atol=1e-5)


def test_points_transposed_and_single_precision():
    rng = np.random.default_rng(1)
    x, y = rng.random((20, 2)), rng.random((15, 2))
    a, b = np.full(20, 1 / 20), np.full(15, 1 / 15)
    for kind in ("sqeuclidean", "euclidean", "l1"):
        cost = PointCost(x, y, kind)
        cloud = rs.solve(EntropicTransport(cost, a, b, 0.1), Greenkhorn(), rtol=1e-10).x.plan
        C = cost.rows(0, 20)
        turned = EntropicTransport(np.asfortranarray(C), a, b, 0.1)
        plan = rs.solve(turned, Greenkhorn(), rtol=1e-10).x.plan
        np.testing.assert_allclose(cloud, plan, rtol=0, atol=1e-9)
    single = EntropicTransport(C.astype("f"), a.astype("f"), b.astype("f"), 0.1)
    sol = rs.solve(single, Greenkhorn(), rtol=1e-5)
    assert sol.converged
    assert sol.x.f.dtype == np.float32


def test_what_it_cannot_solve_is_refused():
    grid = GridCost([np.linspace(0, 1, 3)])
    mass = np.full(3, 1 / 3)
    with pytest.raises(ValueError, match="cost"):
        rs.solve(EntropicTransport(grid, mass, mass, 0.1), Greenkhorn())
    with pytest.raises(ValueError, match="block"):
        Greenkhorn(block=0)
