"""Penalties that are not convex: prox against a grid of points, slopes against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvent.functions.nonconvex_penalties import L0, MCP, SCAD, Lp

W = 0.8
PENALTIES = {
    "mcp": MCP(W, 2.5),
    "scad": SCAD(W, 3.7),
    "l0": L0(W),
    "half": Lp(W, 0.5),
    "two thirds": Lp(W, 2 / 3),
    "tenth": Lp(W, 0.1),
    "nearly one": Lp(W, 0.97),
}
# Below and above the steps at which MCP (2.5) and SCAD (2.7, and 4.7 for its second jump) change.
STEPS = [0.3, 2.5, 2.6, 3.5, 6.0]
POINTS = np.r_[-np.linspace(0.0, 9.0, 36), np.linspace(0.1, 9.0, 36)]


def by_hand(name, t):
    """The penalty of one number, from its definition."""
    g, t = PENALTIES[name], np.abs(t)
    if name == "mcp":
        return np.where(t <= g.gamma * W, W * t - t**2 / (2 * g.gamma), g.gamma * W**2 / 2)
    if name == "scad":
        middle = (2 * g.gamma * W * t - t**2 - W**2) / (2 * (g.gamma - 1))
        far = W**2 * (g.gamma + 1) / 2
        return np.where(t <= W, W * t, np.where(t <= g.gamma * W, middle, far))
    return W * (t != 0) if name == "l0" else W * t**g.p


def rarely(what):
    """In the long run alone: the same code is compiled once more."""
    return pytest.param(what, marks=pytest.mark.slow)


@jax.jit
def everything(g, x, v, step):
    """All functions as one program: compilation is what takes time."""
    return {"value": g.value(x), "prox": g.prox(x, step), "displacement": g.displacement(x, v),
            "subdifferential_distance": g.subdifferential_distance(x, v)}  # fmt: skip


def double(name, which, x, v=POINTS, step=1.0):
    with jax.enable_x64(True):
        return np.asarray(everything(PENALTIES[name], x, v, step)[which])


@pytest.mark.parametrize("name", PENALTIES)
def test_value_is_the_sum_of_what_is_defined(name):
    expected = by_hand(name, POINTS).sum()
    assert float(double(name, "value", POINTS)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", PENALTIES)
def test_no_point_of_a_grid_is_better_than_prox(name, step):
    near = double(name, "prox", POINTS, step=step)
    grid = np.linspace(-10, 10, 20001)
    grid[10000] = 0.0

    def objective(u, x):
        return by_hand(name, u) + (u - x) ** 2 / (2 * step)

    best = objective(grid[None], POINTS[:, None]).min(axis=1)
    assert (objective(near, POINTS) <= best + 1e-12).all()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", PENALTIES)
def test_what_prox_takes_away_is_a_subgradient(name, step):
    near = double(name, "prox", POINTS, step=step)
    for x, u in list(zip(POINTS, near, strict=True))[::9]:
        at = np.full(POINTS.size, u), np.full(POINTS.size, (x - u) / step)
        assert double(name, "subdifferential_distance", *at) <= 1e-11 * POINTS.size


@pytest.mark.parametrize("name", PENALTIES)
def test_distance_to_the_subdifferential_is_to_the_slope(name):
    """Away from kinks it is the gradient that finite differences have; at zero an interval."""
    x, v = POINTS.copy(), np.linspace(-2, 2, POINTS.size)
    x[np.abs(x) < 0.2] = 0.0
    e = 1e-6
    slope = (by_hand(name, x + e) - by_hand(name, x - e)) / (2 * e)
    wide = W if name in ("mcp", "scad") else np.inf
    apart = np.where(x == 0, np.maximum(np.abs(v) - wide, 0), v - slope)
    found = double(name, "subdifferential_distance", x, v)
    assert float(found) == pytest.approx(np.linalg.norm(apart), abs=1e-8)


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=20)
@given(x=st.floats(-20, 20), v=st.floats(-3, 3))
def test_displacement_is_that_of_prox(name, x, v):
    x, v = np.full(POINTS.size, x), np.full(POINTS.size, v)
    moved = double(name, "displacement", x, v)
    assert np.allclose(moved, x - double(name, "prox", x - v), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["mcp", "scad", "l0"])
def test_displacement_keeps_the_digits_of_a_small_slope(name):
    x, v = np.full(POINTS.size, 1e8), np.full(POINTS.size, 1e-12)
    assert (double(name, "displacement", x, v) == 1e-12).all()


@pytest.mark.parametrize("p", [0.5, 2 / 3, 0.1, rarely(0.999)])
def test_prox_of_powers_has_a_few_rounding_errors(p):
    """The root against Newton's iteration in extended precision, near its threshold and far off."""
    sizes = np.r_[1 + np.logspace(-12, 0, 25), np.logspace(0.5, 30, 47)]
    unit = np.longdouble(2 * (1 - p) * 0.5) ** (1 / np.longdouble(2 - p))
    x = np.asarray(unit * (2 - p) / (2 * (1 - p)) * sizes, float)
    power = np.longdouble(p)
    root = np.asarray(x, np.longdouble)
    for _ in range(100):
        f = root - x + np.longdouble(0.5) * power * root ** (power - 1)
        root = root - f / (1 - np.longdouble(0.5) * power * (1 - power) * root ** (power - 2))
    with jax.enable_x64(True):
        found = np.asarray(everything(Lp(1.0, p), x, x, 0.5)["prox"])
    assert (np.abs(found - root) <= 8 * np.finfo(float).eps * x).all()
    single = np.asarray(everything(Lp(1.0, p), x.astype(np.float32), POINTS, 0.5)["prox"])
    away = sizes > 1 + 1e-5  # nearer, single precision cannot tell the sides of the threshold
    assert (np.abs(single - root) <= 16 * np.finfo(np.float32).eps * x)[away].all()


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_has_the_derivatives_of_differences(name):
    step, e = 0.3, 1e-6
    # Away from kinks and jumps.
    x = np.array([0.05, 0.7, 1.3, 1.85, 2.6, 5.0] * 12)
    with jax.enable_x64(True):
        slope, by_step = slopes(PENALTIES[name], x, step)

    def prox(x, step):
        return double(name, "prox", x, step=step)

    change = (prox(x + e, step) - prox(x - e, step)) / (2 * e)
    assert np.allclose(slope, change, atol=1e-7)
    change = (prox(x, step + e) - prox(x, step - e)) / (2 * e)
    assert float(by_step) == pytest.approx(change.sum(), abs=1e-6)


@jax.jit
def slopes(g, x, step):
    return jax.grad(lambda x, step: g.prox(x, step).sum(), (0, 1))(x, step)


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_without_a_step_is_the_point_itself(name):
    x = np.r_[POINTS[:-4], 1e-300, 1e300, -1e-30, 1e30]
    assert np.array_equal(double(name, "prox", x, step=0.0), x)
    tiny = double(name, "prox", x, step=1e-290)
    assert np.allclose(tiny[1:], x[1:], rtol=1e-12, atol=1e-200)
    with jax.enable_x64(True):
        slope, by_step = slopes(PENALTIES[name], np.where(np.abs(x) < 1e-40, 0.5, x), 0.0)
        at_zero, _ = slopes(PENALTIES[name], 0.0 * x, 0.3)
    assert np.array_equal(slope, np.ones_like(x))
    assert np.isfinite(by_step)
    assert np.array_equal(at_zero, np.zeros_like(x))


@pytest.mark.parametrize("name", PENALTIES)
def test_nan_stays(name):
    x = np.where(POINTS[5] == POINTS, np.nan, POINTS)
    found = {which: double(name, which, x) for which in ("value", "prox", "displacement")}
    assert np.isnan(found["value"])
    for which in ("prox", "displacement"):
        assert np.array_equal(np.isnan(found[which]), np.isnan(x)), which
    assert np.isnan(double(name, "subdifferential_distance", x))


@pytest.mark.parametrize(
    "name", [name if name in ("mcp", "two thirds", "tenth") else rarely(name) for name in PENALTIES]
)
def test_batches_and_trees_are_each_alone(name):
    g, x = PENALTIES[name], np.linspace(-4, 4, POINTS.size)
    assert not g.convex

    @jax.jit
    def program(x):
        stack, tree = jnp.stack([x, 2 * x]), {"a": x, "b": 2 * x}
        return jax.vmap(g.prox, (0, None))(stack, 1.0), g.prox(tree, 1.0), g.value(tree)

    with jax.enable_x64(True):
        both, tree, value = program(x)
        single = jax.eval_shape(program, jax.ShapeDtypeStruct(x.shape, jnp.float32))
    alone = double(name, "prox", 2 * x)
    assert np.allclose(both[1], alone, rtol=0, atol=1e-13)
    assert np.allclose(tree["b"], alone, rtol=0, atol=1e-13)
    parts = double(name, "value", x) + double(name, "value", 2 * x)
    assert float(value) == pytest.approx(float(parts), rel=1e-13)
    assert all(one.dtype == jnp.float32 for one in jax.tree_util.tree_leaves(single))


@pytest.mark.parametrize(
    "bad",
    [lambda: MCP(0.0), lambda: MCP(1.0, 0.0), lambda: SCAD(-1.0), lambda: SCAD(1.0, 2.0),
     lambda: L0(np.nan), lambda: Lp(np.inf), lambda: Lp(1.0, 1.0), lambda: Lp(1.0, 0.0)],
)  # fmt: skip
def test_what_is_no_penalty_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        bad()
