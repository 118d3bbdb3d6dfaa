"""Problems over metrics: what their certificates prove, and what is refused."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from constrained.metric_cases import by_program, dissimilarities, signed_graph, triangles
from scipy.optimize import linprog

import resolvent as rs
from resolvent.constrained import (
    CorrelationClustering,
    MetricNearness,
    ProjectAndForget,
    TriangleFixing,
)


def test_the_gap_is_what_it_says():
    D = dissimilarities(8, 4)
    problem = MetricNearness(D)
    pairs = np.triu_indices(8, 1)
    best = 0.5 * ((by_program(triangles(8), D[pairs], np.ones(28)) - D[pairs]) ** 2).sum()
    zero = 0.5 * (D[pairs] ** 2).sum()
    for steps in (1, 3, 8):
        sol = rs.solve(
            problem, ProjectAndForget(sweeps=1), rtol=1e-12, max_steps=steps, throw=False
        )
        details = sol.certificate.details
        assert details["objective"] == pytest.approx(0.25 * ((sol.x - D) ** 2).sum())
        assert details["objective"] - details["gap"] * zero <= best * (1 + 1e-9)
        assert best <= details["objective"] * (1 + 1e-9)
        assert details["gap"] > 1e-6
        assert details["violation"] <= 1e-15
        assert (sol.x <= (sol.x[:, :, None] + sol.x[:, None]).min(1) + 1e-15).all()


def test_the_distance_is_what_it_says():
    problem = MetricNearness(dissimilarities(15, 4), weights=0.5 + dissimilarities(15, 5))
    w, D = 0.5 + dissimilarities(15, 5), dissimilarities(15, 4)
    best = rs.solve(problem, rtol=1e-12).x
    for steps in (1, 4, 16):
        sol = rs.solve(problem, ProjectAndForget(sweeps=1), max_steps=steps, throw=False)
        apart = np.sqrt((w * (sol.x - best) ** 2).sum() / (w * D**2).sum())
        assert 0 < apart <= sol.certificate.details["distance"]


def test_false_multipliers_prove_nothing():
    problem = MetricNearness(dissimilarities(15, 4))
    sol = rs.solve(problem, rtol=1e-9)
    witness = sol.witness
    assert not rs.certify(problem, problem.start(None), witness, rtol=1e-3).holds
    assert rs.certify(problem, sol.x, witness, rtol=1e-8).holds
    assert rs.certify(problem, sol.x, witness._replace(values=0 * witness.values)).value > 0.01
    # What is no list of cycles is not believed; multipliers are looked for instead.
    own = rs.certify(problem, sol.x).value
    for other in (
        witness._replace(values=-witness.values),
        witness._replace(edges=np.roll(witness.edges, 1)),
        witness._replace(starts=witness.starts[:-1]),
        witness._replace(edges=witness.edges + 1000),
        witness._replace(values=np.full_like(witness.values, np.nan)),
        "a text",
    ):
        assert rs.certify(problem, sol.x, other).value == own


def test_answers_without_multipliers_are_known_by_them():
    problem = MetricNearness(dissimilarities(15, 4))
    best = rs.solve(problem, rtol=1e-12).x
    assert rs.certify(problem, best, rtol=1e-6).holds
    assert not rs.certify(problem, 0.9 * best, rtol=1e-2).holds
    assert rs.certify(problem, 0.9 * best).details["violation"] <= 1e-15


def test_the_violation_is_that_of_the_longest_cycle_too():
    n = 40
    ring = scipy.sparse.diags_array(np.ones(n - 1), offsets=1).tolil()
    ring[0, n - 1] = 100.0
    problem = MetricNearness(scipy.sparse.csr_array(ring + ring.T))
    certificate = rs.certify(problem, problem.start(None))
    assert certificate.details["violation"] == pytest.approx((100 - (n - 1)) / 100)
    sol = rs.solve(problem, rtol=1e-12)
    # One constraint of n edges: all of them share its excess.
    assert sol.witness.edges.size == n
    assert np.allclose(np.sort(sol.x), np.r_[np.full(n - 1, 1 + 61 / n), 100 - 61 / n])


def test_linear_costs_are_bounded_as_promised():
    n = 7
    signs = signed_graph(n, 3, degree=2.0 * n)
    cost, rows = signs[np.triu_indices(n, 1)], triangles(n)
    alone = -cost[cost < 0].sum()
    best = linprog(cost, rows, np.zeros(len(rows)), bounds=(0, 1)).fun + alone
    found = []
    for gamma in (1.0, 5.0, 25.0):
        sol = rs.solve(CorrelationClustering(signs, gamma=gamma), rtol=1e-8)
        details = sol.certificate.details
        assert details["linear bound"] <= best + 1e-9
        assert best - 1e-9 <= details["linear objective"] <= (1 + 0.5 / gamma) * best + 1e-6
        found.append(details["linear bound"])
        other = rs.solve(CorrelationClustering(signs, gamma=gamma, about="zero"), rtol=1e-8)
        more = other.certificate.details["linear objective"]
        assert best - 1e-9 <= more <= best + np.abs(cost).sum() / (2 * gamma) + 1e-6
    assert best > 0.1
    assert found[-1] >= 0.95 * best


def test_both_weights_are_their_difference_in_cost():
    s, t = dissimilarities(8, 1), dissimilarities(8, 2)
    sol = rs.solve(CorrelationClustering(s, t, gamma=4.0), rtol=1e-9)
    pairs = np.triu_indices(8, 1)
    x, w, c = sol.x[pairs], (s + t)[pairs], (s - t)[pairs]
    a = (c < 0).astype(float)
    value = c @ x + t[pairs].sum() + (w * (x - a) ** 2).sum() / 8
    assert sol.certificate.details["objective"] == pytest.approx(value, rel=1e-9)
    program = rs.QuadraticProgram(
        np.diag(w / 4), c - w * a / 4, triangles(8), None, 0.0, lower=0.0, upper=1.0
    )
    expected = rs.solve(program, rs.composite.InteriorPoint(), rtol=1e-10).x
    assert np.abs(x - expected).max() <= 1e-6
    fixed = rs.solve(CorrelationClustering(s, t, gamma=4.0), TriangleFixing(), rtol=1e-9)
    assert np.abs(fixed.x - sol.x).max() <= 1e-6


PATH = np.zeros((4, 4))
PATH[[0, 1, 2], [1, 2, 3]] = PATH[[1, 2, 3], [0, 1, 2]] = 1.0
WRONG: Any = 1
FOUR = dissimilarities(4)
BAD = {
    "asymmetric": (lambda: MetricNearness(np.triu(FOUR)), ValueError, "transpose"),
    "negative": (lambda: MetricNearness(-FOUR), ValueError, "none below 0"),
    "nan": (lambda: MetricNearness(FOUR * np.nan), ValueError, "finite"),
    "diagonal": (lambda: MetricNearness(np.ones((3, 3))), ValueError, "diagonal"),
    "oblong": (lambda: MetricNearness(np.ones((3, 4))), ValueError, "square"),
    "condensed": (lambda: MetricNearness(np.ones(3)), ValueError, "squareform"),
    "one-node": (lambda: MetricNearness(np.zeros((1, 1))), ValueError, "two nodes"),
    "complex": (lambda: MetricNearness(1j * FOUR), TypeError, "real"),
    "zero-weight": (lambda: MetricNearness(FOUR, weights=PATH), ValueError, "positive"),
    "few-weights": (lambda: MetricNearness(FOUR, weights=np.ones(5)), ValueError, "shape"),
    "empty-graph": (lambda: MetricNearness(FOUR, graph=0 * PATH), ValueError, "connected"),
    "two-parts": (
        lambda: MetricNearness(scipy.sparse.csr_array(np.kron(np.eye(2), PATH))),
        ValueError, "connected",
    ),
    "half-a-graph": (
        lambda: MetricNearness(scipy.sparse.csr_array(np.triu(PATH))), ValueError, "transpose",
    ),
    "missing-weights": (
        lambda: MetricNearness(scipy.sparse.csr_array(PATH), scipy.sparse.eye_array(4)),
        ValueError, "no entry",
    ),
    "gamma": (lambda: CorrelationClustering(PATH, gamma=0.0), ValueError, "gamma"),
    "about": (lambda: CorrelationClustering(PATH, about="one"), ValueError, "labels"),
    "no-weights": (lambda: CorrelationClustering(0 * PATH), ValueError, "no weight"),
    "signed-twice": (lambda: CorrelationClustering(PATH, -PATH), ValueError, "none below 0"),
    "one-sided": (lambda: CorrelationClustering(np.triu(PATH)), ValueError, "transpose"),
    "sweeps": (lambda: ProjectAndForget(sweeps=0), ValueError, "sweeps"),
    "oracle": (lambda: ProjectAndForget(oracle="none"), ValueError, "oracle"),
    "at-once": (lambda: ProjectAndForget(at_once=WRONG), TypeError, "True or False"),
    "share": (lambda: ProjectAndForget(share=1.5), ValueError, "share"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused(name):
    make, kind, words = BAD[name]
    with pytest.raises(kind, match=r"(?s)given .+; needed .+\. .+") as caught:
        make()
    assert words in str(caught.value)


def test_methods_refuse_graphs_that_they_do_not_know():
    sparse = MetricNearness(scipy.sparse.csr_array(PATH))
    for method in (TriangleFixing(), ProjectAndForget(oracle="sampled")):
        with pytest.raises(ValueError, match="needed a complete graph"):
            rs.solve(sparse, method)
    rows = rs.constrained.Separated(np.ones(2), np.ones((1, 2)), 1.0)
    with pytest.raises(ValueError, match="without nodes"):
        rs.solve(rows, ProjectAndForget(oracle="some"))
