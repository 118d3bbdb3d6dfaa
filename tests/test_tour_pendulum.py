"""The tour's stop at a pendulum: equations that a real pendulum obeys, and an honest section."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from resolvent.tour.pendulum import DURATION, FRICTION, motion, pendulum, swing_up


def test_a_simulated_pendulum_obeys_the_equations_to_the_midpoint_rules_order():
    def left(pieces):
        step = DURATION / pieces
        times = step * np.arange(pieces + 1)
        held = np.sin(times[:-1] + 0.5 * step)
        found = [np.zeros(2)]
        for torque in held:
            run = solve_ivp(
                lambda t, s, u=torque: [s[1], u - np.sin(s[0]) - FRICTION * s[1]], (0.0, step),
                found[-1], rtol=1e-10, atol=1e-12,
            )  # fmt: skip
            found.append(run.y[:, -1])
        x = np.r_[np.array(found).T.ravel(), held]
        with jax.enable_x64(True):
            c = np.asarray(motion(x, step))
        assert c[-4:] == pytest.approx([0, 0, found[-1][0] - np.pi, found[-1][1]], abs=1e-12)
        return np.abs(c[:-4]).max()

    ratio = left(20) / left(40)
    assert 6 < ratio < 10  # the third power of the step


def test_the_motor_is_too_weak_to_lift_the_pendulum():
    problem = swing_up(10)
    assert problem.upper[-10:].max() < 1.0
    assert not np.isfinite(problem.upper[:-10]).any()


@pytest.mark.slow
def test_the_stop_has_certified_lines_and_one_figure(tmp_path):
    section = pendulum(tmp_path, lambda text: None, pieces=40, repeats=1)
    ours, peer = section.attempts
    assert ours.converged
    assert not ours.peer
    assert peer.peer
    assert section.row.converged
    assert len(section.figures) == 1
    assert section.figures[0][0].exists()
