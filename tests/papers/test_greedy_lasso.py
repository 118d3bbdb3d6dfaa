"""The experiments on greedy selection for losses: signals, courses, verdicts that can fail."""

import numpy as np
import pytest

from resolvent.papers import Settings
from resolvent.papers import greedy_lasso as paper
from resolvent.papers import greedy_lasso_data as data


def test_signals_are_what_they_say():
    found = data.signal(3, 20, 40, 4, 0.1)
    assert np.allclose(np.linalg.norm(found.A, axis=0), 1.0)
    assert np.count_nonzero(found.x) == 4
    assert np.linalg.norm(found.b - found.A @ found.x) == pytest.approx(0.1)
    wrong = data.corrupted(3, found, 5, 100.0)
    assert np.count_nonzero(wrong.b != found.b) == 5
    weights = data.known_half(3, found, 1e-3)
    assert (found.x[weights < 1] != 0).sum() == 2
    assert found.error(found.x) == 0.0
    assert found.error(0 * found.x) == 1.0


def test_courses_end_where_solves_do():
    import resolvent as rs

    found = data.signal(0, 20, 40, 3, 0.05)
    errors = data.losses_at(found, "lasso-l1", 0.1, 15)
    sol = rs.solve(rs.SparseRecovery(found.A, found.b, loss="lasso-l1", parameter=0.1))
    assert found.error(sol.x) == pytest.approx(errors[-1])
    assert sol.steps < 15
    # Selection by correlations goes on until its number of columns is reached.
    assert np.unique(data.losses_at(found, "omp", 0.0, 15)).size == 15


def test_other_parameters_change_the_verdict(monkeypatch):
    grid = 10 ** np.arange(-4, 1.01, 0.5)
    errors = {
        "lasso-l1": np.array([np.abs(np.arange(11) - k) + 0.1 for k in (1, 3, 5)]),
        "sr-lasso-l1": np.array([np.abs(np.arange(11) - k) + 0.1 for k in (6, 6, 7)]),
    }
    monkeypatch.setattr(paper, "_sweep", lambda settings: (grid, errors, np.ones(3)))
    assert paper.claim_1(Settings()).verdict == "confirmed"
    errors["lasso-l1"] = errors["sr-lasso-l1"]
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    errors["sr-lasso-l1"] = errors["lasso-l1"][:, ::-1] * [[1], [1], [0]]
    assert paper.claim_1(Settings()).verdict == "not confirmed"


def test_over_fitting_changes_the_verdict(monkeypatch):
    flat, growing = np.array([1.0, 0.1, 0.1]), np.array([1.0, 0.1, 0.3])
    courses = dict.fromkeys(paper.SQUARES, (0.1, flat)) | {"omp": (0.0, growing)}
    monkeypatch.setattr(paper, "_growth", lambda settings: courses)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    courses["sr-lasso-l0"] = (0.1, growing)
    result = paper.claim_2(Settings())
    assert result.verdict == "confirmed in part"
    assert "not met: sr-lasso-l0" in result.reason


def test_gross_errors_change_the_verdict(monkeypatch):
    lad, lasso = np.full((5, 3), 1e-3), np.ones((5, 4))
    monkeypatch.setattr(paper, "_gross", lambda settings: (lad, lasso))
    assert paper.claim_3(Settings()).verdict == "confirmed"
    lad[2, 1] = np.nan
    assert paper.claim_3(Settings()).verdict == "confirmed in part"
    lasso[0, 0] = 0.1
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_weights_that_save_nothing_change_the_verdict(monkeypatch):
    numbers = np.array([30, 40, 60])
    few, many = np.array([0.9, 1.0, 1.0]), np.array([0.2, 0.85, 1.0])
    shares = {(loss, known): few if known else many
              for loss in (*paper.RULES, "omp") for known in (False, True)}  # fmt: skip
    monkeypatch.setattr(paper, "_successes", lambda settings: (numbers, shares))
    assert paper.claim_4(Settings()).verdict == "confirmed"
    shares["lasso-l1", True] = many
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    # A lucky number of equations before others that fail does not count.
    shares["sr-lasso-l1", True] = np.array([0.9, 0.7, 1.0])
    assert paper.claim_4(Settings()).verdict == "not confirmed"
    shares["lasso-l1", False] = shares["lasso-l1", True] = 0 * few
    assert paper.claim_4(Settings()).verdict == "not confirmed"
