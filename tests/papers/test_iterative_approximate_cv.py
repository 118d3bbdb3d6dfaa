"""The experiments on iterative approximate cross-validation: parts, and verdicts that can fail."""

import numpy as np
import pytest

from resolvent.papers import Settings
from resolvent.papers import iterative_approximate_cv as paper


def test_labels_follow_five_coefficients():
    X, y = paper.labelled(4000, 20, 0)
    assert X.shape == (4000, 20)
    assert set(y.tolist()) == {-1, 1}
    w = np.linalg.lstsq(X, y, rcond=None)[0]
    assert (abs(w) > 0.08).sum() <= 5
    assert abs(w).max() > 0.15


def test_runs_of_their_own_are_those_that_estimates_are_compared_with():
    rows = paper.exact_runs(*paper.labelled(30, 6, 1), ridge=1e-6, steps=20)
    found = paper.followed(30, 6, 1, 20, every=20)
    away = np.linalg.norm(rows - found.left_out, axis=1).mean()
    assert found.exact.distances["iterative"][-1] == pytest.approx(away, rel=1e-9)
    away = np.linalg.norm(rows - found.x, axis=1).mean()
    assert found.exact.distances["training"][-1] == pytest.approx(away, rel=1e-9)


def test_a_wrong_error_changes_the_verdict(monkeypatch):
    steps = np.arange(0, 1001, 10)
    own = np.interp(steps, list(paper.BEFORE), list(paper.BEFORE.values()))
    rows = {"iterative": own, "newton": 1.2 * own, "jackknife": 0 * own + 0.1}
    rows["training"] = 0 * own + 0.2
    away = {name: row.copy() for name, row in rows.items()}
    away["newton"] = 1000 * own
    one = {"steps": steps, "errors": rows, "distances": away}
    many = {"steps": steps, "errors": {"iterative": own / 2}, "distances": away}
    monkeypatch.setattr(paper, "_along", lambda settings: {200: one, 400: many})
    assert paper.claim_1(Settings()).verdict == "confirmed"
    one["errors"] = rows | {"iterative": np.where(steps == 100, 0.15, own)}
    found = paper.claim_1(Settings())
    assert found.verdict == "confirmed in part"
    assert "not met: below all others at t = 100; within a factor of 10" in found.reason


def test_flat_distances_change_the_verdict(monkeypatch):
    sizes = (100, 200, 400, 800)
    found = {"iterative": {n: n**-2.0 for n in sizes}, "training": {n: 1 / n for n in sizes}}
    monkeypatch.setattr(paper, "_sizes", lambda settings: found)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    found |= {"iterative": {n: n**-1.5 for n in sizes}, "training": {n: n**-1.5 for n in sizes}}
    assert paper.claim_2(Settings()).verdict == "not confirmed"


def test_a_poor_estimate_with_a_penalty_changes_the_verdict(monkeypatch):
    steps = np.arange(0, 1501, 10)
    own = np.interp(steps, list(paper.L1_BEFORE), list(paper.L1_BEFORE.values()))
    rows = {"iterative": own, "newton": 1.5 * own, "jackknife": 2 * own, "training": 11 * own}
    monkeypatch.setattr(paper, "_sparse", lambda settings: {"steps": steps, "errors": rows})
    assert paper.claim_3(Settings()).verdict == "confirmed"
    rows |= {"newton": 0.4 * own, "training": 9 * own, "iterative": 0 * own + 1}
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_seconds_change_the_verdict(monkeypatch):
    found = {100: (1.0, 2.0), 200: (2.0, 8.0), 400: (4.0, 32.0)}
    monkeypatch.setattr(paper, "_times", lambda settings: found)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    found[200] = (2.0, 1.0)
    assert paper.claim_4(Settings()).verdict == "not confirmed"


def test_distances_of_batches_change_the_verdict(monkeypatch):
    one = {n: 1 / n for n in (200, 400)}, {K: 1 / K for K in (25, 50)}
    found = {"n": one[0], "K": one[1], "gained": True, "all": {400: 1e-3}}
    monkeypatch.setattr(paper, "_stochastic", lambda settings: found)
    assert paper.claim_5(Settings()).verdict == "confirmed"
    found |= {"K": {25: 1.0, 50: 1.0}, "gained": False}
    assert paper.claim_5(Settings()).verdict == "confirmed in part"
