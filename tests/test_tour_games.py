"""The tour's stop at Colonel Blotto's game: payoffs by hand, and a section with honest lines."""

import numpy as np
import pytest

from resolvent.tour.games import blotto, by_linear_programs, deployments, payoffs


def test_deployments_are_all_there():
    ways = deployments(3, 2)
    assert sorted(map(tuple, ways)) == [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert len(deployments(6, 4)) == 84
    assert (deployments(6, 4).sum(axis=1) == 6).all()


def test_payoffs_by_hand():
    table = payoffs(np.array([[2, 0], [1, 1]]), np.array([[1, 0], [0, 2]]), (1.0, 3.0))
    # The second side loses field 1 and ties field 2; then it loses one and takes the other.
    assert np.allclose(table, [[-0.25, 0.5], [-0.75, 0.5]])


def test_linear_programs_find_rock_paper_scissors():
    A = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
    for mixture in by_linear_programs(A):
        assert np.allclose(mixture, 1 / 3)


@pytest.mark.slow
def test_the_stop_has_certified_lines(tmp_path):
    section = blotto(tmp_path, lambda text: None, soldiers=(4, 3), worth=(1.0, 2.0), repeats=1)
    assert all(one.converged for one in section.attempts)
    assert [one.peer for one in section.attempts] == [False, False, False, True]
    assert section.row.converged
    assert all(path.exists() for path, _ in section.figures)
