"""Project and Forget: exact small cases, invariants, other solvers, and every way to look."""

import itertools

import numpy as np
import pytest
import scipy.sparse
from constrained.metric_cases import (
    all_cycles,
    by_program,
    dissimilarities,
    signed_graph,
    sparse_lengths,
    triangles,
)

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.constrained import (
    CorrelationClustering,
    MetricNearness,
    ProjectAndForget,
    TriangleFixing,
)

VARIANTS = {
    "one-sweep": ProjectAndForget(sweeps=1),
    "at-once": ProjectAndForget(sweeps=1, at_once=True),
    "some": ProjectAndForget(oracle="some", share=0.3),
    "some-at-once": ProjectAndForget(oracle="some", at_once=True),
    "all-kept": ProjectAndForget(forget=False),
}
SAMPLED = {
    "sampled": ProjectAndForget(oracle="sampled", samples=2000),
    "sampled-at-once": ProjectAndForget(oracle="sampled", samples=2000, at_once=True, seed=3),
}


def test_one_triangle_takes_one_projection():
    D = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]])
    sol = rs.solve(MetricNearness(D), ProjectAndForget(sweeps=1), rtol=1e-15)
    assert sol.steps == 1
    assert sol.calls == {"oracle": 6, "projection": 1}
    assert sol.x.tolist() == [[0, 2, 4], [2, 0, 2], [4, 2, 0]]
    assert sol.witness.values.tolist() == [1.0]


def test_a_metric_is_left_as_it_is():
    points = np.random.default_rng(0).random((20, 3))
    D = np.linalg.norm(points[:, None] - points, axis=2)
    sol = rs.solve(MetricNearness(D), rtol=1e-15)
    assert sol.steps == 0
    assert sol.witness.values.size == 0
    assert np.allclose(sol.x, D, rtol=0, atol=1e-15)


def test_scaling_and_renaming_carry_over():
    D = dissimilarities(12)
    one = rs.solve(MetricNearness(D), rtol=1e-11)
    three = rs.solve(MetricNearness(3.7 * D), rtol=1e-11)
    assert np.allclose(three.x, 3.7 * one.x, rtol=0, atol=1e-9)
    order = np.random.default_rng(1).permutation(12)
    mixed = rs.solve(MetricNearness(D[np.ix_(order, order)]), rtol=1e-11)
    assert np.allclose(mixed.x, one.x[np.ix_(order, order)], rtol=0, atol=1e-9)
    huge = rs.solve(MetricNearness(2.0**900 * D), rtol=1e-11)
    assert np.array_equal(huge.x, 2.0**900 * one.x)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_all_triangles_written_down_give_the_same(weighted):
    n = 10
    D, w = dissimilarities(n, 5), 0.2 + dissimilarities(n, 6)
    pairs, rows = np.triu_indices(n, 1), triangles(n)
    weights = w[pairs] if weighted else np.ones(pairs[0].size)
    expected = by_program(rows, D[pairs], weights)
    problem = MetricNearness(D, weights=w if weighted else None)
    for method in (ProjectAndForget(), TriangleFixing()):
        sol = rs.solve(problem, method, rtol=1e-10)
        assert np.abs(sol.x[pairs] - expected).max() <= 1e-8
    listed = rs.constrained.Separated(D[pairs], rows, np.zeros(len(rows)), weights=weights)
    sol = rs.solve(listed, rtol=1e-10)
    assert np.abs(sol.x - expected).max() <= 1e-8


def test_all_cycles_of_a_sparse_graph_written_down_give_the_same():
    n = 8
    D = sparse_lengths(n, 1, degree=3.0)
    problem = MetricNearness(scipy.sparse.csr_array(D))
    edges = problem.edges.tolist()
    sol = rs.solve(problem, rtol=1e-10)
    d = D[tuple(problem.edges.T)]
    expected = by_program(all_cycles(edges, n), d, np.ones(len(edges)))
    assert np.abs(expected - d).max() > 0.05
    assert np.abs(sol.x - expected).max() <= 1e-8
    assert np.allclose(problem.graph.matrix(sol.x).toarray()[tuple(problem.edges.T)], sol.x)
    other = rs.solve(MetricNearness(D, graph=D > 0), rtol=1e-10)
    assert np.array_equal(other.x, sol.x)


def test_a_complete_graph_given_by_its_edges_is_one():
    D = dissimilarities(8)
    one = rs.solve(MetricNearness(D), rtol=1e-9)
    other = rs.solve(MetricNearness(scipy.sparse.csr_array(D)), rtol=1e-9)
    assert np.array_equal(one.x, other.x)


BALANCED = {
    "complete": MetricNearness(dissimilarities(15), weights=0.5 + dissimilarities(15, 1)),
    "sparse": MetricNearness(scipy.sparse.csr_array(sparse_lengths(15))),
    "box": CorrelationClustering(signed_graph(15, degree=40.0), gamma=2.0),
}


@pytest.mark.parametrize("name", BALANCED)
def test_multipliers_and_point_stay_in_balance(name):
    """At every step the gradient is what the multipliers pull, and the dual value rises."""
    problem, method = BALANCED[name], ProjectAndForget(sweeps=1)
    state = method.init(problem, problem.start(None), Memory(), None)
    weights = problem.weights if problem.weights.size else np.ones(problem.graph.edges)
    values = []
    for _ in range(15):
        state = method.step(problem, state)
        box = (state.low if state.low.size else 0) - (state.high if state.high.size else 0)
        balance = problem.free_minimizer(state.rows) + box - state.x
        assert np.abs(balance).max() <= 1e-13 * (1 + np.abs(problem.centre).max())
        for z in (state.rows.z, state.low, state.high):
            assert (z >= 0).all()
        # The least value of the Lagrangian with the multipliers of the box as well.
        pull = weights * (problem.centre - state.x)
        above = problem.upper * (weights * state.high).sum() if state.high.size else 0.0
        values.append(problem.objective(state.x) + pull @ state.x - above)
        feasible = problem.objective(problem.closed(state.x))
        assert values[-1] <= feasible * (1 + 1e-12)
    assert (np.diff(values) >= -1e-12 * abs(values[-1])).all()
    assert values[-1] > values[0]


@pytest.mark.parametrize("name", [*VARIANTS, *SAMPLED])
def test_every_way_to_look_has_the_same_limit(name):
    problem = MetricNearness(dissimilarities(20, 3))
    expected = rs.solve(problem, rtol=1e-11).x
    sol = rs.solve(problem, {**VARIANTS, **SAMPLED}[name], rtol=1e-9)
    assert np.abs(sol.x - expected).max() <= 1e-6


@pytest.mark.parametrize("name", VARIANTS)
def test_every_way_to_look_has_the_same_limit_on_a_sparse_graph(name):
    problem = CorrelationClustering(scipy.sparse.csr_array(signed_graph(30)), gamma=3.0)
    expected = rs.solve(problem, rtol=1e-11).x
    sol = rs.solve(problem, VARIANTS[name], rtol=1e-9)
    assert np.abs(sol.x - expected).max() <= 1e-6


def test_random_choices_follow_the_seed():
    problem = MetricNearness(dissimilarities(20, 3))
    one, same, other = (
        rs.solve(problem, ProjectAndForget(oracle="some", seed=seed), rtol=1e-6).x
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_list_is_short_and_all_of_it_pulls():
    n = 50
    problem = MetricNearness(dissimilarities(n, 2))
    method = ProjectAndForget()
    state = method.init(problem, problem.start(None), Memory(), None)
    longest = 0
    while state.error > 1e-6:
        state = method.step(problem, state)
        longest = max(longest, state.rows.z.size)
    assert longest < 0.03 * n * (n - 1) * (n - 2) / 2
    assert state.rows.z.size <= 2 * (state.rows.z > 0).sum()
    # The same cycle is never listed twice, in whichever direction it was found.
    rows = [
        (state.rows.edges[a], frozenset(state.rows.edges[a + 1 : b].tolist()))
        for a, b in itertools.pairwise(state.rows.starts)
    ]
    assert len(set(rows)) == len(rows)


def test_more_sweeps_take_fewer_looks():
    problem = MetricNearness(dissimilarities(30, 1))
    looks = [
        rs.solve(problem, ProjectAndForget(sweeps=sweeps), rtol=1e-6).calls["oracle"]
        for sweeps in (1, 5, 20)
    ]
    assert looks[0] > looks[1] > looks[2]


def test_memory_spares_most_of_the_work():
    D = dissimilarities(30, 1)
    first = rs.solve(MetricNearness(D), rtol=1e-6)
    near = MetricNearness(D + 1e-4 * dissimilarities(30, 7))
    cold = rs.solve(near, rtol=1e-6)
    warm = rs.solve(near, rtol=1e-6, memory=first.memory)
    assert warm.calls["projection"] <= 0.7 * cold.calls["projection"]
    assert np.abs(warm.x - cold.x).max() <= 1e-4
    # Triangle fixing takes over cycles of any length, as sums of triangles.
    fixed = rs.solve(near, TriangleFixing(), rtol=1e-6, memory=first.memory)
    assert fixed.steps < rs.solve(near, TriangleFixing(), rtol=1e-6).steps


def test_cycles_are_sums_of_triangles():
    problem = MetricNearness(dissimilarities(12, 2))
    sol = rs.solve(problem, rtol=1e-12)
    assert (np.diff(sol.witness.starts) > 3).any()
    again = rs.solve(problem, TriangleFixing(), rtol=1e-10, memory=sol.memory)
    assert again.steps == 0
    assert (np.diff(again.witness.starts) == 3).all()
    assert np.abs(again.x - sol.x).max() <= 1e-12
