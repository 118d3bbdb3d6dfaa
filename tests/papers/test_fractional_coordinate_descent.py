"""The experiments on fractional programs: their parts, and verdicts that can fail."""

import numpy as np

from resolvent.papers import Settings
from resolvent.papers import fractional_coordinate_descent as paper


def test_problems_are_what_the_notes_say():
    program, values, vectors = paper.quadratic_forms(6)
    for k in range(6):
        assert np.isclose(program.objective(vectors[:, k]), values[k])
    sparse = paper.recovery(0, 12, 20, 3, 0.1)
    assert np.allclose(np.linalg.norm(sparse.f.A, axis=0), 1.0)
    assert sparse.g.s == 3
    assert sparse.g.weight == sparse.h.weight == 0.1


def test_the_referee_finds_the_least_ratio_of_a_grid():
    program = paper.affine(0, m=3, n=2)
    axis = np.linspace(0.0, 1.0, 201)
    least = min(program.objective(np.array([a, b])) for a in axis for b in axis)
    best = paper.dinkelbach_with_scipy(program)
    assert best <= least
    assert best >= least * (1 - 1e-3)


def test_lines_are_told_from_curves():
    sweeps = np.arange(400)
    falls, factor, correlation, _ = paper.straightness(0.9**sweeps)
    assert falls
    assert np.isclose(factor, 0.9)
    assert correlation < -0.999
    slow = 1.0 / (1.0 + sweeps.astype(float)) ** 4
    assert paper.straightness(slow)[2] > -0.98
    assert not paper.straightness(np.full(400, 1e-5))[0]
    assert not paper.straightness(np.ones(400))[0]


def test_other_gaps_change_the_verdict(monkeypatch):
    found = {"best": [1.0], "runs": np.zeros((2, 2, 2))}
    monkeypatch.setattr(paper, "_affine", lambda settings: found)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    found["runs"][1, 1, 0] = 1e-9
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    found["runs"][:] = np.nan
    assert paper.claim_1(Settings()).verdict == "not confirmed"


def test_eigenvectors_that_are_not_left_change_the_verdict(monkeypatch):
    values = np.arange(1.0, 7.0)
    found = dict.fromkeys(("values", "gradients", "dinkelbach"), values)
    found |= {f"{name}_once": values for name in ("descent", "gradients", "dinkelbach")}
    found["descent"] = np.ones(6)
    monkeypatch.setattr(paper, "_eigenvectors", lambda settings: found)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    found["descent"] = np.where(values > 4, 1.0, values)
    assert paper.claim_2(Settings()).verdict == "confirmed in part"
    found["gradients"] = found["dinkelbach"] = np.ones(6)
    assert paper.claim_2(Settings()).verdict == "not confirmed"


def test_starts_that_end_elsewhere_refute(monkeypatch):
    ends = np.full(4, 1e-9)
    monkeypatch.setattr(paper, "_random_starts", lambda settings: ends)
    assert paper.claim_3(Settings()).verdict == "confirmed"
    ends[2] = np.nan
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_objectives_that_are_higher_change_the_verdicts(monkeypatch):
    found = {"names": ("random", "parametric", "cyclic", "gradients", "dinkelbach"),
             "ends": np.tile([1.0, 1.0, 1.0, 2.0, 2.0], (6, 1)), "shapes": 3,
             "runs": [np.ones(3)] * 5}  # fmt: skip
    monkeypatch.setattr(paper, "_cold", lambda settings: found)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    found["ends"][0, 3] = 0.5
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    found["ends"][0, 0] = np.nan
    assert paper.claim_4(Settings()).verdict == "not confirmed"
    ends = np.tile([1.0, 0.9, 0.9], (10, 1))
    monkeypatch.setattr(paper, "_polish", lambda settings: ends)
    assert paper.claim_5(Settings()).verdict == "confirmed"
    ends[0, 1] = 1.1
    assert paper.claim_5(Settings()).verdict == "confirmed in part"
    ends[:] = 1.0
    ends[:2, 2] = np.nan
    assert paper.claim_5(Settings()).verdict == "not confirmed"
