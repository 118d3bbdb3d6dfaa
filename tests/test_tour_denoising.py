"""The tour's stop at a noisy photograph: a referee that knows no dual field, an honest section."""

import numpy as np
import pytest

import resolvent as rs
from resolvent.tour.denoising import chambolle, denoising, gap_of, noisy


def picture():
    image = np.zeros((16, 12))
    image[4:, 3:9] = 0.8
    return noisy(image)


def test_the_referee_of_the_peer_agrees_with_the_certificate():
    problem = rs.TotalVariationDenoising(picture(), 0.1)
    sol = rs.solve(problem, rtol=1e-4)
    assert gap_of(problem, sol.x[0]) == pytest.approx(sol.certificate.value, rel=1e-6)


def test_the_peer_solves_the_same_problem():
    pytest.importorskip("skimage")
    problem = rs.TotalVariationDenoising(picture(), 0.1)
    x = rs.solve(problem, rtol=1e-10).x[0]
    theirs = chambolle(picture(), 0.1, 4000)
    assert np.linalg.norm(theirs - x) <= 2 * np.sqrt(2 * gap_of(problem, theirs))


@pytest.mark.slow
def test_the_stop_has_certified_lines_and_one_figure(tmp_path):
    section = denoising(tmp_path, lambda text: None, image=picture(), near=1e-2)
    assert [one.converged for one in section.attempts] == [True] * 3
    assert [one.peer for one in section.attempts] == [False, False, True]
    assert section.row.converged
    assert len(section.figures) == 1
    assert section.figures[0][0].exists()
