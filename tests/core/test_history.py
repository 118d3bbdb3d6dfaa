"""Histories: what was measured when, kept small."""

import numpy as np

from resolvent._core.history import History


def test_a_million_points_stay_small_and_right():
    history = History("residual")
    for chunk in range(500):
        steps = np.arange(1, 2001) + 2000 * chunk
        history.add(
            steps, 1.0 / steps, (2000.0 * chunk, 2000.0 * (chunk + 1)), (chunk, chunk + 1.0)
        )
    assert 256 <= len(history) <= 2048
    assert history.steps[-1] == 1_000_000
    assert np.array_equal(history.measures, 1.0 / history.steps)
    assert (np.diff(history.steps) > 0).all()
    assert np.allclose(history.calls, history.steps)
    assert np.allclose(history.seconds, history.steps / 2000)


def test_thinning_keeps_points_along_the_whole_run():
    history = History()
    for chunk in range(40):
        steps = np.arange(1, 1001) + 1000 * chunk
        history.add(steps, steps * 1.0, (0.0, 0.0), (0.0, 0.0))
    gaps = np.diff(history.steps)
    assert history.steps[0] <= 100
    # No stretch of the run is thinned much more than another.
    assert gaps.max() <= 40_000 / 64


def test_reading_in_between_changes_nothing():
    one, two = History(), History()
    for chunk in range(10):
        steps = np.arange(1, 301) + 300 * chunk
        one.add(steps, steps * 1.0, (0.0, 1.0), (0.0, 1.0))
        two.add(steps, steps * 1.0, (0.0, 1.0), (0.0, 1.0))
        assert len(two) <= 2048
    assert one.steps[-1] == two.steps[-1] == 3000


def test_empty_history():
    history = History("residual")
    assert len(history) == 0
    assert history.steps.shape == (0,)
    history.add(np.empty(0), np.empty(0), (0.0, 0.0), (0.0, 0.0))
    assert len(history) == 0
    assert "residual" in repr(history)
