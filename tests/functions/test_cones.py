"""Balls, cones and monotone sequences: projections, polar cones and their parts of vectors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.isotonic import isotonic_regression as peer

from resolvent.functions import Affine, Ball, Box, HalfSpace, Nonnegative
from resolvent.functions.balls import MaxBall
from resolvent.functions.cones import PSDCone, SecondOrderCone
from resolvent.functions.isotonic import Isotonic, isotonic_regression

N = 9
VOICE = r"(?s)^.+: given .+; needed .+\. .+"
CENTER = np.linspace(-1, 1, N)
GRID = hnp.arrays(np.float64, N, elements=st.integers(-4, 4).map(float))
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))
SETS = {
    "max": MaxBall(1.5),
    "moved max": MaxBall(1.5, CENTER),
    "second-order": SecondOrderCone(),
    "psd": PSDCone(),
    "rising": Isotonic(),
    "falling": Isotonic(increasing=False),
}

OLDER = {
    "box": Box(-0.5, 2.0),
    "half line": Nonnegative(),
    "ball": Ball(1.5),
    "moved ball": Ball(1.5, CENTER),
    "half": HalfSpace(CENTER, 0.3),
    "affine": Affine(np.stack([CENTER, np.ones(N)]), np.ones(2)),
}


def rarely(name):
    """In the long run alone: the same code is compiled once more."""
    return pytest.param(name, marks=pytest.mark.slow)


@functools.cache
def compiled(name):
    """All functions as one program: compilation is what takes time."""
    part = (SETS | OLDER)[name]

    def called(x, v):
        x, v = (point.reshape(3, 3) if name == "psd" else point for point in (x, v))
        found = {"project": part.project(x), "value": part.value(x),
                 "conjugate": part.conjugate(x), "displacement": part.displacement(x, v),
                 "subdifferential_distance": part.subdifferential_distance(x, v)}  # fmt: skip
        return {which: one.ravel() for which, one in found.items()}

    return jax.jit(called)


def double(name, which, x, v=CENTER):
    with jax.enable_x64(True):
        found = np.asarray(compiled(name)(np.asarray(x, float), np.asarray(v, float))[which])
    return found.item() if found.size == 1 else found


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=25)
@given(x=POINTS, y=POINTS)
def test_projection_is_what_its_inequality_says(name, x, y):
    px, py = double(name, "project", x), double(name, "project", y)
    assert double(name, "value", px) == 0
    assert (x - px) @ (py - px) <= 1e-12
    assert np.allclose(double(name, "project", px), px, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=25)
@given(x=POINTS, v=POINTS)
def test_support_function_bounds_members_and_is_reached(name, x, v):
    """Moreau: v = P(v) + the projection of v on what the support function belongs to."""
    near = double(name, "project", x)
    outward = x - near
    most = double(name, "conjugate", outward)
    assert most == pytest.approx(outward @ near, abs=1e-11)
    assert v @ near <= double(name, "conjugate", v) + 1e-11


@pytest.mark.parametrize("name", SETS)
def test_displacement_keeps_the_digits_of_small_turns(name):
    """At a member, a normal vector moves nothing, however small both are beside the member."""
    rng = np.random.default_rng(3)
    x = double(name, "project", rng.normal(0, 3, N))
    v = rng.normal(size=N)
    v = (v.reshape(3, 3) + v.reshape(3, 3).T).ravel() if name == "psd" else v
    plain = x - double(name, "project", x - v)
    assert np.allclose(double(name, "displacement", x, v), plain, atol=1e-13)
    inner = {"max": np.zeros(N), "moved max": CENTER, "second-order": np.eye(N)[0],
             "psd": np.eye(3).ravel(), "rising": CENTER, "falling": -CENTER}[name]  # fmt: skip
    assert np.allclose(
        double(name, "displacement", inner, 1e-20 * v), 1e-20 * v, rtol=1e-12, atol=0
    )
    assert np.allclose(double(name, "displacement", 1e-20 * x, v), 1e-20 * x
                       - double(name, "project", 1e-20 * x - v), atol=1e-13)  # fmt: skip


@pytest.mark.parametrize("name", [*OLDER, "max", "moved max", "second-order", "psd"])
@settings(max_examples=25)
@given(x=GRID, v=GRID)
def test_distance_to_the_normal_cone(name, x, v):
    """Normal cones are cones: v - (v's part there) by projection from a tiny turn of a member."""
    near = double(name, "project", x)
    if name == "psd":
        v = (v.reshape(3, 3) + v.reshape(3, 3).T).ravel()
    assert double(name, "subdifferential_distance", near, x - near) <= 1e-11
    # The derivative of the projection in the direction v is v's part in the tangent cone.
    tiny = 1e-7
    tangent = (double(name, "project", near + tiny * v) - near) / tiny
    found = double(name, "subdifferential_distance", near, v)
    edges = np.abs(np.linalg.norm(tangent) - found)
    assert edges <= 1e-4 * (1 + np.abs(v).max() ** 2) or _almost_on_an_edge(name, near)


def _almost_on_an_edge(name, near):
    """Where a tiny turn leaves the piece that the point lies on."""
    gaps = {
        "box": np.r_[near + 0.5, 2.0 - near], "half line": near,
        "ball": 1.5 - np.linalg.norm(near), "moved ball": 1.5 - np.linalg.norm(near - CENTER),
        "half": 0.3 - CENTER @ near, "affine": np.ones(1),
        "max": 1.5 - np.abs(near), "moved max": 1.5 - np.abs(near - CENTER),
        "second-order": np.r_[near[0] - np.linalg.norm(near[1:]), near[0]],
        "psd": np.linalg.eigvalsh(near.reshape(3, 3)),
    }  # fmt: skip
    gaps = np.abs(gaps[name])
    return bool(((gaps > 1e-14) & (gaps < 1e-3)).any())


def test_outside_of_a_set_there_is_no_normal_cone():
    for name in [*OLDER, "max", "second-order", "psd"]:
        far = (
            100.0 * (1 + CENTER**3) * np.where(name in ("half line", "second-order", "psd"), -1, 1)
        )
        assert double(name, "subdifferential_distance", far, CENTER) == np.inf


@pytest.mark.parametrize(
    "name", ["max", rarely("moved max"), "second-order", "psd", "rising", rarely("falling")]
)
def test_derivatives_agree_with_differences(name):
    x = np.array([0.4, 2.0, -1.0, 2.5, 0.3, -3.0, 1.1, 0.2, -2.2])
    part, shape = SETS[name], (3, 3) if name == "psd" else (N,)
    slope_at = jax.jit(jax.jacrev(lambda x: part.project(x.reshape(shape)).ravel()))
    with jax.enable_x64(True):
        slope, at_zero = slope_at(x), slope_at(np.zeros(N))
    assert np.isfinite(at_zero).all()
    changes = [
        (double(name, "project", x + 1e-6 * e) - double(name, "project", x - 1e-6 * e)) / 2e-6
        for e in np.eye(N)
    ]
    assert np.allclose(slope.T, np.stack(changes), atol=1e-8)


FITTED = jax.jit(isotonic_regression, static_argnums=2)


@settings(max_examples=40)
@given(
    x=POINTS, weights=hnp.arrays(np.float64, N, elements=st.floats(0.1, 10)), rises=st.booleans()
)
def test_isotonic_regression_agrees_with_scikit_learn(x, weights, rises):
    with jax.enable_x64(True):
        found = FITTED(x, weights, rises)
    assert np.allclose(found, peer(x, sample_weight=weights, increasing=rises), atol=1e-12)


def test_isotonic_regression_differentiates_its_weights():
    x, weights = np.array([1.0, 3.0, 2.0, 0.5, 4.0, 4.5, 4.2, 9.0, 1.0]), np.linspace(1, 2, N)
    with jax.enable_x64(True):
        slope = jax.jit(jax.jacrev(isotonic_regression, argnums=1))(x, weights)
        changes = [
            np.asarray(FITTED(x, weights + 1e-6 * e, True) - FITTED(x, weights - 1e-6 * e, True))
            / 2e-6
            for e in np.eye(N)
        ]
    assert np.allclose(slope.T, np.stack(changes), atol=1e-8)


def test_isotonic_regression_is_linear_in_time():
    """A long falling sequence is one piece: every entry is pooled once."""
    x = np.arange(200_000.0, 0.0, -1.0, np.float32)
    assert np.allclose(FITTED(x, None, True), x.mean(), rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["second-order", "psd", "rising", rarely("falling"), rarely("max")]
)
def test_batches_and_single_precision(name):
    shape = (4, 3, 3) if name == "psd" else (4, N)
    x, part = np.random.default_rng(5).normal(size=shape).astype(np.float32), SETS[name]

    @jax.jit
    def program(x):
        whole = part.project(x)
        return whole, jax.vmap(part.project)(x), part.value(whole)

    whole, mapped, value = program(x)
    assert whole.dtype == jnp.float32
    assert np.allclose(whole, mapped, rtol=0, atol=1e-5)
    alone = [double(name, "project", each.ravel()) for each in x]
    assert np.allclose(np.reshape(whole, (4, N)), alone, rtol=0, atol=1e-5)
    assert value == 0


def test_max_ball_knows_its_farthest_points():
    ball = MaxBall(2.0, {"a": np.zeros((2, 2))})
    assert ball.diameter() == pytest.approx(8.0)
    assert MaxBall(2.0).diameter() == np.inf
    v = {"a": np.array([[1.0, -1.0], [2.0, 0.5]])}
    best, most = jax.jit(lambda v: (ball.response(v), ball.support(v)))(v)
    assert (np.asarray(best["a"]) * v["a"]).sum() == most


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_second_order_cones_are_cones_at_every_size(size):
    """The squares of such entries have no number in single precision."""
    v = np.array([-5.0, 3.0, 4.0, 0, 0, 0, 0, 0, 0], np.float32)
    x, program = np.float32(size) * abs(v), compiled("second-order")
    if size > 1:  # smaller ones are rounding errors, at the tip
        assert program(x, v)["subdifferential_distance"] <= 1e-5
        wrong = program(x, -v)["subdifferential_distance"]
        assert float(wrong[0]) == pytest.approx(np.sqrt(50), rel=1e-6)
    assert np.abs(program(x, -np.float32(size) * v)["displacement"]).max() <= 4e-6 * size


REFUSED = {
    "ball of nothing": lambda: MaxBall(0.0),
    "center of nan": lambda: MaxBall(1.0, np.array([np.nan])),
    "ball of another size": lambda: MaxBall(1.0, np.ones(3)).check(np.ones(4)),
    "no matrix": lambda: PSDCone().check(np.ones(4)),
    "oblong": lambda: PSDCone().check(np.ones((2, 3))),
    "number in a cone": lambda: SecondOrderCone().check(np.ones(())),
    "number in a row": lambda: Isotonic().check(np.ones(())),
    "weights of nothing": lambda: isotonic_regression(jnp.ones(2), np.array([1.0, 0.0])),
    "weights of nan": lambda: isotonic_regression(jnp.ones(2), np.array([1.0, np.nan])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_words(name):
    with pytest.raises(ValueError, match=VOICE):
        REFUSED[name]()


def test_weights_are_not_taken_for_a_direction():
    with pytest.raises(TypeError, match=VOICE):
        Isotonic(np.ones(3))
