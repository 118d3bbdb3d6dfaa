"""The experiments on block coordinate descent: their data, and verdicts that can fail."""

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent.papers import Settings
from resolvent.papers import block_coordinate_descent as paper
from resolvent.papers import block_coordinate_descent_data as data
from resolvent.papers import block_coordinate_descent_runs as runs


def test_regressions_are_sparse_and_badly_scaled():
    A, b = data.regression(100, 300, 0)
    kept = 10 * np.log(100) / 100
    assert abs((A != 0).mean() - kept) < 0.02
    lengths = np.linalg.norm(A, axis=0)
    assert lengths.max() > 30 * np.median(lengths[lengths > 0]) / 10
    assert b.shape == (100,)
    again, _ = data.regression(100, 300, 0)
    other, _ = data.regression(100, 300, 1)
    assert np.array_equal(A, again)
    assert not np.array_equal(A, other)


def test_a_lattice_spreads_its_labels():
    """Each node without a label is the mean of its neighbours; between two labels, a line."""
    path = scipy.sparse.diags_array(np.ones(4), offsets=1, shape=(5, 5))
    system = data.propagation(path + path.T, np.array([1.0, 5.0]), np.array([0, 4]))
    assert np.allclose(scipy.sparse.linalg.spsolve(system.A, system.b), [2.0, 3.0, 4.0])
    square = data.lattice(6, 7, 5, 0)
    assert square.A.shape == (37, 37)
    assert np.linalg.eigvalsh(square.A.toarray())[0] > 0
    assert square.A.diagonal().min() >= 2
    assert square.A.diagonal().max() == 4


def test_moons_are_definite():
    system = data.two_moons(300, 20, 0)
    assert np.linalg.eigvalsh(system.A.toarray())[0] > 0
    assert set(np.unique(system.A.toarray()[~np.eye(system.b.size, dtype=bool)])) <= {0.0, -1.0}
    x = scipy.sparse.linalg.spsolve(system.A, system.b)
    assert abs(x).max() <= 1 + 1e-9


def test_runs_tell_the_objective():
    A, b = data.regression(20, 12, 0)
    problem = rs.GeneralizedLinear(A, b, penalty=rs.functions.L1(0.1))
    method = rs.composite.BlockCoordinateDescent("variable", "gsd", "newton", block_size=4)
    found = data.run(problem, method, 15)
    sol = rs.solve(problem, method, rtol=1e-12, throw=False, max_steps=15)
    assert found.values[0] == pytest.approx(float(problem.objective(np.zeros(12))))
    assert found.values.min() == pytest.approx(float(problem.objective(sol.x)), rel=1e-9)


def curves(partition, update, ends):
    return {
        (partition, rule, update, "lipschitz"): np.array([[1e5, end]]) for rule, end in ends.items()
    }


GRADIENT = curves(
    "sort", "gradient",
    {"random": 3e3, "cyclic": 2e3, "gs": 1e3, "gsl": 10.0, "gsd": 12.0, "gsq": 20.0},
) | curves(
    "variable", "gradient", {"random": 3e3, "cyclic": 2e3, "gs": 500.0, "gsd": 4.0}
)  # fmt: skip


def test_a_rule_that_is_worse_changes_the_verdict(monkeypatch):
    found = dict(GRADIENT)
    monkeypatch.setattr(paper, "by_gradient", lambda settings: found)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    found["sort", "gsl", "gradient", "lipschitz"] = np.array([[1e5, 2e3]])
    result = paper.claim_1(Settings())
    assert result.verdict == "confirmed in part"
    assert "not met: GSL and GSD below GS on fixed" in result.reason
    found["sort", "gsl", "gradient", "lipschitz"] = np.array([[1e5, np.nan]])
    assert paper.claim_1(Settings()).verdict == "confirmed in part"


def test_matrix_steps_have_to_be_much_better(monkeypatch):
    found = curves("sort", "matrix", {"gs": 50.0, "gsl": 0.1, "gsd": 0.1, "gsq": 0.08})
    found |= curves("variable", "matrix", {"gs": 20.0, "gsd": 1e-3, "gsq": 1e-3})
    monkeypatch.setattr(paper, "by_gradient", lambda settings: GRADIENT)
    monkeypatch.setattr(paper, "by_matrix", lambda settings: found)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    found["sort", "gs", "matrix", "lipschitz"] = np.array([[1e5, 200.0]])
    assert paper.claim_2(Settings()).verdict == "confirmed in part"


def test_a_run_beyond_its_bound_refutes(monkeypatch):
    found = {rule: [(5, 10.0), (7, 20.0)] for rule in runs.RULES}
    monkeypatch.setattr(paper, "active_sets", lambda settings: found)
    assert paper.claim_6(Settings()).verdict == "confirmed"
    found["cyclic"] = [(5, 10.0), (21, 20.0)]
    result = paper.claim_6(Settings())
    assert result.verdict == "confirmed in part"
    assert "not met: cyclic" in result.reason
    found["cyclic"] = [(5, np.inf)]
    assert paper.claim_6(Settings()).verdict == "confirmed in part"
