"""The experiments on doubly optimal learning: their games, and verdicts that can fail."""

import numpy as np

from resolvent.papers import Settings
from resolvent.papers import accelerated_optimistic_gradient as paper


def test_chain_is_the_known_game():
    matrix, offset, distance = paper.chain(100)
    assert np.abs(matrix + matrix.T).max() == 0.0
    assert np.isclose(np.linalg.norm(matrix, 2), 1.0)
    assert np.isclose(distance, 290.8, atol=0.05)
    # A row couples a variable with two neighbours in reverse order, the corner with one.
    block = matrix[100:, :100]
    assert (np.count_nonzero(block, axis=1)[:-1] == 2).all()
    assert np.count_nonzero(block[-1]) == 1
    assert block[0, 99] > 0 > block[0, 98]
    assert np.count_nonzero(offset) == 101


def test_random_games():
    matrix, offset, distance = paper.random_bilinear(0, 5)
    assert np.abs(matrix + matrix.T).max() == 0.0
    assert np.isclose(np.linalg.norm(np.linalg.solve(matrix, offset)), distance)
    payoffs = paper.burglary(0, 6).F.A
    assert np.isclose(np.linalg.norm(payoffs, 2), 1.0)
    assert (np.diag(payoffs) == 0).all()
    assert (np.diff(payoffs[:, 0]) > 0).all()


def test_slow_residuals_change_the_verdict(monkeypatch):
    t = np.arange(1, 20_001)
    curves = dict.fromkeys(paper.STEPS, 400.0 / t) | {"other": np.full(t.size, 2.0)}
    found = {"curves": curves, "distance": 100.0, "rounds": t.size}
    peaks = {0.408: [3.0, 2.0, 1.0]}
    monkeypatch.setattr(paper, "_chain_curves", lambda settings: found)
    monkeypatch.setattr(paper, "_random_peaks", lambda settings: peaks)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    peaks[0.408][1] = 60.0
    result = paper.claim_1(Settings())
    assert result.verdict == "confirmed in part"
    assert result.reason.startswith("not met: nowhere above 55")
    curves[0.5] = 20.0 / np.sqrt(t)
    curves["other"] = curves[0.408]
    assert paper.claim_1(Settings()).verdict == "not confirmed"


def test_growing_regret_changes_the_verdict(monkeypatch):
    t = np.arange(1, 10_001)
    found = {"accelerated": np.log(t), "optimistic": np.ones(t.size)}
    monkeypatch.setattr(paper, "_pennies", lambda settings: found)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    found["accelerated"] = np.sqrt(t)
    assert paper.claim_2(Settings()).verdict == "not confirmed"


def test_regret_of_adversaries_changes_the_verdict(monkeypatch):
    rounds = 1000 * np.arange(1, 1001)
    curves = np.ones((4, 3, 1)) * np.sqrt(rounds)
    curves[2] = 0.05 * rounds
    found = {"curves": curves, "rounds": rounds}
    monkeypatch.setattr(paper, "_adversary", lambda settings: found)
    assert paper.claim_3(Settings()).verdict == "confirmed"
    curves[1, 1] *= 6.0
    curves[0] *= 4.0
    result = paper.claim_3(Settings())
    assert result.verdict == "confirmed in part"
    assert "the constant step above 5" in result.reason.split("met:")[-1]


def test_the_other_method_must_be_ahead(monkeypatch):
    curves = np.stack([np.full((2, 4000), 2.0), np.full((2, 4000), 1.0)], axis=1)
    monkeypatch.setattr(paper, "_burglars", lambda settings: curves)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    curves[:, 1, 3999] = 3.0
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    curves[:, 1] = np.nan
    assert paper.claim_4(Settings()).verdict == "not confirmed"
