"""The tour's stop at a path of sparse models: its data, its peer, and honest lines."""

import numpy as np
import pytest

import resolvent as rs
from resolvent.tour.tumors import by_scikit_learn, load_tumors, tumors, worst_gap


def test_measurements_are_in_units_of_their_deviation():
    X, y, names = load_tumors()
    assert X.shape == (569, len(names))
    assert np.allclose(X.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(X.std(axis=0), 1)
    assert (y == 1).sum() == 212  # the malignant ones, as the data's authors count them


def test_the_peer_solves_nearly_the_same_problem():
    X, y, _ = load_tumors()
    problem = rs.GeneralizedLinear(
        X, y, rs.functions.Logistic(), rs.functions.L1(1.0), intercept=True
    )
    weights = np.array([0.1, 0.03])
    answers = by_scikit_learn(problem, weights, 1e-8)
    assert worst_gap(problem, weights, answers) < 5e-3
    spoiled = [(w + 0.1, c) for w, c in answers]
    assert worst_gap(problem, weights, spoiled) > 1e-2


@pytest.mark.slow
def test_the_stop_has_certified_lines_and_one_figure(tmp_path):
    section = tumors(tmp_path, lambda text: None, weights=5, repeats=1)
    ours, peer = section.attempts
    assert ours.converged
    assert not ours.peer
    assert peer.peer
    assert section.row.converged
    assert all(path.exists() for path, _ in section.figures)
