"""The experiments on Newton's method over sequences: their parts, and the numbers they give."""

import jax
import numpy as np
import pytest

from resolvent.papers import Settings
from resolvent.papers import deer as paper


@pytest.fixture(scope="module")
def result(tiny_run):
    return tiny_run("deer").result


@pytest.mark.slow
def test_every_claim_is_measured_with_a_verdict(result):
    assert [row["claim"] for row in result["claims"]] == [1, 2]
    for row in result["claims"]:
        assert row["verdict"] in ("confirmed", "confirmed in part", "not confirmed")
        assert row["published"]
        assert row["measured"]


@pytest.mark.slow
def test_iterations_end_at_the_sequential_values(result):
    for run in result["claims"][0]["numbers"].values():
        assert run["deviation"] <= 1e-11
        assert run["errors"][-1] <= 1e-13 < run["errors"][0]
        assert 0 < run["iterations"] <= run["sweeps"]
        assert min(run["solve"], run["step"], run["scan"]) > 0


def test_the_cell_is_a_gated_recurrent_unit():
    n = 3
    W, U, b, c = paper._gru(4, n)
    rng = np.random.default_rng(0)
    h, x = rng.standard_normal(n), rng.standard_normal(n)
    r, z = (1 / (1 + np.exp(-(W[i] @ x + b[i] + U[i] @ h + c[i]))) for i in range(2))
    new = np.tanh(W[2] @ x + b[2] + r * (U[2] @ h + c[2]))
    with jax.enable_x64(True):
        found = paper._cell(jax.numpy.asarray(h), jax.numpy.asarray(x), (W, U, b, c))
    assert np.allclose(found, (1 - z) * new + z * h, rtol=1e-14)
    assert np.abs(W).max() <= 1 / np.sqrt(n)


def test_the_published_iteration_is_newtons():
    problem = paper._problem(0, 2, 40)
    with jax.enable_x64(True):
        ready = problem.prepare("traced")
        truth = paper._scan(ready)
        steps, error = paper._published(ready, truth)
    assert 2 <= steps <= 8
    assert error <= 1e-10


def test_squares_are_told_from_halves():
    assert paper._is_quadratic(np.array([1.0, 1e-2, 1e-4, 1e-8, 1e-15]))
    assert not paper._is_quadratic(np.array([1.0, 1e-2, 5e-3, 2e-3]))


def test_a_worse_measurement_changes_the_verdict(monkeypatch):
    good = paper.Run(5, 40, np.array([1.0, 1e-2, 1e-4, 1e-8, 1e-15]), 1e-15, 0.5, 0.1, 1.0)
    runs = {(2, 1000): good, (2, 10_000): good}
    monkeypatch.setattr(paper, "_runs", lambda settings: runs)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    runs[2, 1000] = good._replace(solve=20.0)
    runs[2, 10_000] = good._replace(solve=20.0)
    slow = paper.claim_1(Settings())
    assert slow.verdict == "confirmed in part"
    assert "not met: less time" in slow.reason
    calm, wild = paper.Trial(-0.1, 5, 1e-12, 50, True, 0), paper.Trial(0.3, 201, 1e5, 900, True, 3)
    trials = {(1.0, 0): calm, (10.0, 0): wild}
    monkeypatch.setattr(paper, "_trials", lambda settings: trials)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    trials[1.0, 0] = calm._replace(plain=201)
    assert paper.claim_2(Settings()).verdict == "confirmed in part"
    del trials[1.0, 0], trials[10.0, 0]
    trials[2.0, 0] = calm._replace(exponent=0.0, sweeps=1001, ours=False)
    assert paper.claim_2(Settings()).verdict == "not confirmed"
