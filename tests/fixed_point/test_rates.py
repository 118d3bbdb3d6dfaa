"""How fast residuals fall, by slope, against theory."""

import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point import Halpern, KrasnoselskiiMann, Picard

WITHIN = 0.1
SMALL = np.geomspace(1e-2, np.pi / 2, 64)  # evenly on a logarithmic scale
LARGE = np.linspace(0.5, 2.5, 64)


def turned(x, angles):
    """Turns of many planes."""
    c, s = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    return jnp.concatenate([c * x[:, :1] - s * x[:, 1:], s * x[:, :1] + c * x[:, 1:]], axis=1)


def quarter(x):
    return jnp.stack([-x[1], x[0]])


@pytest.mark.parametrize(
    ("angles", "method", "expected"),
    [
        (SMALL, KrasnoselskiiMann(0.5), -0.5),
        (SMALL, KrasnoselskiiMann(0.9), -0.5),
        (LARGE, Halpern(restart=None), -1.0),
    ],
)
def test_nonexpansive_maps(angles, method, expected):
    problem = rs.FixedPoint(turned, np.ones((64, 2)), angles)
    sol = rs.solve(problem, method, rtol=1e-30, max_steps=3000, throw=False)
    at = np.geomspace(100, 3000, 50)
    values = np.interp(np.log(at), np.log(sol.history.steps), np.log(sol.history.measures))
    assert np.polyfit(np.log(at), values, 1)[0] == pytest.approx(expected, rel=WITHIN)


def test_a_contraction_gives_its_factor():
    problem = rs.FixedPoint(lambda x: 0.9 * quarter(x) + 1.0, np.ones(2))
    sol = rs.solve(problem, Picard(), rtol=1e-30, max_steps=200, throw=False)
    k, values = sol.history.steps, sol.history.measures
    assert np.polyfit(k, np.log(values), 1)[0] == pytest.approx(np.log(0.9), rel=1e-3)
