"""The experiments on accelerated gradients for MCP and SCAD: parts, and verdicts that can fail."""

import numpy as np

from resolvent.papers import Settings
from resolvent.papers import nonconvex_penalty_acceleration as paper


def test_draws_are_what_the_notes_say():
    X, y, truth = paper.draw(0, 4000, 0.6, zeros=5)
    assert truth.size == 70
    assert (truth != 0).sum() == 50
    assert np.allclose(X.mean(axis=0), 0)
    assert np.allclose((X * X).mean(axis=0), 1)
    correlation = X.T @ X / 4000
    assert np.allclose(correlation[0, :3], [1.0, 0.6, 0.36], atol=0.06)
    noise = y - X @ truth
    assert np.isclose((X @ truth).var() / noise.var(), 5.0, rtol=0.15)
    assert np.isclose((X @ truth).var(), paper.signal(truth, 0.6), rtol=0.15)


def test_the_constant_is_the_largest_curvature():
    X, _, _ = paper.draw(1, 30, 0.2, zeros=3)
    exact = np.linalg.norm(np.c_[np.ones(30), X], 2) ** 2 / 30
    assert np.isclose(paper.constant(X, "mcp"), exact)
    assert np.isclose(paper.constant(X.T[:, :5] / 100, "scad"), 1.0)


def test_iterations_are_counted_from_one_and_never_is_infinite():
    runs = np.array([[[9.0, 1.5, 1.0], [9.0, 9.0, np.nan]]])
    assert (paper.iterations(runs, 0.6) == [[2.0, np.inf]]).all()
    assert (paper.iterations(runs, 0.0) == [[3.0, np.inf]]).all()


def runs_of(*lengths):
    """Runs that come down after so many iterations."""
    return np.array([[np.where(np.arange(3000) + 1 < length, 1e6, 0.0) for length in lengths]] * 3)


def test_other_iterations_change_the_verdicts(monkeypatch):
    found = {("scad", 200, 0.1): runs_of(9, 11, 15, 10), ("mcp", 200, 0.1): runs_of(12, 7, 9, 6)}
    monkeypatch.setattr(paper, "_race", lambda settings: found)
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    assert paper.claim_2(Settings()).verdict == "confirmed"
    assert paper.claim_3(Settings()).verdict == "confirmed"
    found[("mcp", 200, 0.1)] = runs_of(6, 15, 9, 16)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    assert paper.claim_2(Settings()).verdict == "confirmed in part"
    assert paper.claim_3(Settings()).verdict == "not confirmed"
    found[("mcp", 200, 0.1)] = runs_of(5000, 5000, 5000, 1)
    del found[("scad", 200, 0.1)]
    assert paper.claim_1(Settings()).verdict == "not confirmed"
    assert paper.claim_2(Settings()).verdict == "not confirmed"


def test_errors_that_are_equal_refute(monkeypatch):
    found = {"scad": np.array([[0.1, 0.2]]), "mcp": np.array([[0.1, 0.2]])}
    monkeypatch.setattr(paper, "_recovery", lambda settings: found)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    found["mcp"] = np.array([[0.2, 0.2]])
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    found["scad"] = np.array([[np.nan, 0.2]])
    assert paper.claim_4(Settings()).verdict == "not confirmed"
