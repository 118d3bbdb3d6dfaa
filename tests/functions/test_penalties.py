"""Penalties: prox and conjugate against their definitions and against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from resolvent.functions import L1, Ball, Box, Nonnegative, SquaredL2

N = 3
CENTER = np.array([0.5, -1.0, 2.0])
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))
PENALTIES = {
    "l1": L1(0.7),
    "square": SquaredL2(0.7),
    "moved square": SquaredL2(2.0, CENTER),
    "square on a half": SquaredL2(0.7, domain=Nonnegative()),
    "moved square on a box": SquaredL2(0.7, CENTER, Box(-1.0, 1.0)),
    "moved square on a ball": SquaredL2(0.7, CENTER, Ball(1.0)),
}
STEP = 0.6


@jax.jit
def everything(g, x):
    """All functions as one program: compilation is what takes time."""
    return {"prox": g.prox(x, STEP), "value": g.value(x), "nearest": g.nearest(x),
            "conjugate": g.conjugate(x)}  # fmt: skip


def double(name, which, point):
    with jax.enable_x64(True):
        return np.asarray(everything(PENALTIES[name], point)[which])


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=15)
@given(x=POINTS, y=POINTS)
def test_no_other_point_is_better_than_prox(name, x, y):
    """g(u) + ||u - x||^2 / (2 step) is 1/step-strongly convex, with its least value at the prox."""

    def objective(u):
        return float(double(name, "value", u)) + ((u - x) ** 2).sum() / (2 * STEP)

    best = double(name, "prox", x)
    other = double(name, "nearest", y)
    gained = objective(other) - objective(best)
    assert gained >= ((other - best) ** 2).sum() / (2 * STEP) - 1e-10


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=15)
@given(x=POINTS, v=POINTS)
def test_conjugate_is_an_upper_bound_that_is_reached(name, x, v):
    """<v, u> <= g(u) + g*(v), with equality where v is a subgradient."""
    near = double(name, "prox", x)
    slope = (x - near) / STEP
    gap = double(name, "value", near) + double(name, "conjugate", slope) - slope @ near
    assert abs(gap) <= 1e-10 * (1 + np.abs(slope).max() ** 2)
    other = double(name, "nearest", v)
    assert other @ v <= double(name, "value", other) + double(name, "conjugate", v) + 1e-10


@pytest.mark.parametrize("name", [name for name in PENALTIES if "square" in name])
def test_conjugate_agrees_with_minimization(name):
    g = PENALTIES[name]
    v = np.array([1.0, -2.0, 0.3])
    bounds = {"half": (0, None), "box": (-1, 1)}.get(name.split()[-1], (None, None))
    ball = {"type": "ineq", "fun": lambda u: 1 - u @ u} if "ball" in name else ()
    center = 0.0 if g.center is None else g.center
    found = minimize(
        lambda u: 0.5 * g.weight * ((u - center) ** 2).sum() - v @ u, np.zeros(N),
        bounds=[bounds] * N, constraints=ball, method="SLSQP", options={"ftol": 1e-14},
    )  # fmt: skip
    assert float(double(name, "conjugate", v)) == pytest.approx(-found.fun, abs=1e-7)


def test_l1_conjugate_is_that_of_a_ball():
    assert L1(2.0).conjugate(np.array([2.0, -1.0])) == 0.0
    assert L1(2.0).conjugate(np.array([2.1, -1.0])) == np.inf
    assert L1(2.0).conjugate(np.array([np.nan, -1.0])) == np.inf


def test_prox_leaves_single_precision_alone():
    for g in PENALTIES.values():
        with jax.enable_x64(True):  # or nothing else is possible
            near = jax.eval_shape(g.prox, jax.ShapeDtypeStruct((N,), jnp.float32), 0.5)
        assert near.dtype == jnp.float32
