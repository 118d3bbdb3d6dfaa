"""The experiments on normalized gradient descent: their parts, and verdicts that can fail."""

import numpy as np
import pytest

from resolvent.papers import Settings
from resolvent.papers import normalized_logistic_gd as paper


def test_the_margin_of_the_rare_class_is_known():
    problem = paper.lonely(7)
    X, y = problem.design.matrix, problem.y
    assert paper.largest_margin(X, y) == pytest.approx(0.5)
    assert (X * X).sum(axis=1).max() == 1.25
    assert y.sum() == -5


def test_normal_samples_have_their_margin():
    X, y = paper.normal_samples(0)
    assert paper.largest_margin(X, y) >= 0.1
    assert X.shape == (200, 10)


def test_another_count_changes_the_verdict(monkeypatch):
    good = {"normalized": dict(paper.NORMALIZED), "plain": {100.0: 308.0}}
    monkeypatch.setattr(paper, "_rare", lambda settings: good)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    good["plain"][100.0] = 309.0
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    good["normalized"][1.0] = np.inf
    assert paper.claim_1(Settings()).verdict == "not confirmed"


def test_counts_by_size_change_the_verdict(monkeypatch):
    found = {n: tuple(map(float, row)) for n, row in paper.SAMPLES.items()}
    monkeypatch.setattr(paper, "_sizes", lambda settings: found)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    found[100] = (31.0, 2.0, 3.0, 11.0)
    assert paper.claim_2(Settings()).verdict == "confirmed in part"


def test_one_run_above_its_bound_refutes(monkeypatch):
    rows = [("one among 10", 1.0, 5.0, 9.0), ("normal 0", 1.0, 5.0, 50.0)]
    monkeypatch.setattr(paper, "_bounds", lambda settings: rows)
    assert paper.claim_3(Settings()).verdict == "confirmed"
    rows.append(("normal 1", 1.0, np.inf, 50.0))
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_other_limits_change_the_verdict(monkeypatch):
    found = {10.0: [0.75] * 30, 100.0: [0.0402] * 30, 1e4: [1e-15] * 30}
    monkeypatch.setattr(paper, "_limits", lambda settings: found)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    found |= {10.0: [0.5] * 30, 100.0: [np.nan] * 30, 1e4: [1e-13] * 30}
    assert paper.claim_4(Settings()).verdict == "not confirmed"


def test_two_samples_are_judged_by_their_numbers(monkeypatch):
    found = paper._two_samples(Settings())
    assert paper.claim_5(Settings()).verdict == "confirmed"
    monkeypatch.setattr(
        paper, "_two_samples", lambda settings: found | {"separates": [False, False]}
    )
    assert paper.claim_5(Settings()).verdict == "confirmed in part"


def test_digits_confirm_no_more_than_a_part(monkeypatch):
    found = {"imbalanced": [(1.0, 2.0)] * 3, "balanced": [(2.0, 1.0)] * 3}
    monkeypatch.setattr(paper, "_digits", lambda settings: found)
    assert paper.claim_6(Settings()).verdict == "confirmed in part"
    found |= {"imbalanced": [(2.0, 2.0)] * 3, "balanced": [(1.0, 2.0)] * 3}
    assert paper.claim_6(Settings()).verdict == "not confirmed"
