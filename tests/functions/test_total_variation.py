"""Total variation: exact proxes by their optimality conditions, images by duality gaps."""

import jax
import numpy as np
import pytest
from functions import convex_laws as laws
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from resolvent.functions.total_variation import Fused, TotalVariation2D

N = 7
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))
CORNERS = hnp.arrays(np.int64, N, elements=st.integers(-1, 1)).map(lambda x: x.astype(float))
PENALTIES = {"fused": Fused(0.8), "sparse": Fused(0.8, 0.5)}
PROX = jax.jit(lambda g, x, step: g.prox(x, step))


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=20)
@given(x=POINTS, y=POINTS)
def test_prox_and_conjugate(name, x, y):
    laws.prox_and_conjugate(PENALTIES[name], x, y)


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=20)
@given(x=CORNERS, v=POINTS)
def test_distance_to_the_subdifferential(name, x, v):
    laws.distance_is_the_limit_of_prox(PENALTIES[name], x, v)


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_as_a_program(name):
    x = np.array([1.5, -2.0, 0.7, 3.0, -0.4, -2.2, 3.1])
    laws.prox_has_the_derivatives_of_differences(PENALTIES[name], x)
    laws.single_precision_stays(PENALTIES[name], (N,))
    laws.nan_stays(PENALTIES[name], (N,))


LONG = 300


def signals():
    rng = np.random.default_rng(0)
    steps = np.repeat(rng.normal(0, 3, LONG // 20), 20)
    return {
        "noise": rng.standard_normal(LONG),
        "steps": steps + 0.3 * rng.standard_normal(LONG),
        "ties": np.round(rng.normal(0, 2, LONG)),
        "ramp": np.linspace(-5, 5, LONG),
        "zigzag": 3.0 * (-1.0) ** np.arange(LONG),
        "constant": np.full(LONG, 1.7),
        "spike": 100.0 * (np.arange(LONG) == 40),
        "far": steps + 1e6,
    }


@pytest.mark.parametrize("bar", [1e-3, 0.5, 4.0, 1e4])
@pytest.mark.parametrize("name", signals())
def test_prox_of_a_sequence_has_a_dual_proof(name, bar):
    """u = cumsum(x - z) stays within bar, is there with the sign of z's jumps, and ends at zero.

    These conditions are sufficient: z is the only sequence that satisfies them.
    """
    x = signals()[name]
    near = laws.in_double(PROX, PENALTIES["fused"], x, bar / 0.8)
    u, jumps = np.cumsum(x - near), np.diff(near)
    size = 1e-12 * (1 + np.abs(x).max()) * LONG**0.5
    assert abs(u[-1]) <= size
    assert (np.abs(u[:-1]) <= bar + size).all()
    # u has the sign of what pulls an entry down to the next one.
    assert np.allclose(u[:-1][jumps != 0], -bar * np.sign(jumps[jumps != 0]), rtol=0, atol=size)


@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_shortest_sequences(n):
    x = np.array([3.0, 1.0])[:n]
    expected = x if n == 1 else np.array([2.5, 1.5])
    assert np.allclose(laws.in_double(PROX, Fused(1.0), x, 0.5), expected)


def test_rows_of_a_matrix_are_sequences():
    x = np.stack([[1.5, -2.0, 0.7, 3.0, -0.4, -2.2, 3.1], np.arange(7.0)])
    g = PENALTIES["sparse"]
    prox, value, away = laws.in_double(
        jax.jit(lambda x: (g.prox(x, 0.6), g.value(x), g.subdifferential_distance(x, x))), x
    )
    parts = [laws.everything(g, row) for row in x]
    assert np.allclose(prox, [part["prox"] for part in parts], rtol=0, atol=1e-14)
    assert value == pytest.approx(sum(part["value"] for part in parts), rel=1e-14)
    expected = np.linalg.norm([part["subdifferential_distance"] for part in parts])
    assert away == pytest.approx(expected)


def test_small_turns_keep_their_digits():
    """Where x is constant on pieces, v and the jumps alone make the displacement."""
    x = np.repeat([1e8, -1e8], [3, 4])
    e = 1e-9 * np.arange(7.0)
    pull = 0.8 * np.repeat([1 / 3, -1 / 4], [3, 4])
    expected = np.repeat([e[:3].mean(), e[3:].mean()], [3, 4]) + pull
    found = laws.everything(PENALTIES["fused"], x, e)["displacement"]
    assert np.allclose(found, expected, rtol=0, atol=1e-14)


IMAGE = np.random.default_rng(1).normal(0, 1, (N, 5)) + np.outer(np.arange(N) > 2, np.ones(5)) * 3
IMAGES = {
    kind: TotalVariation2D(0.7, kind == "isotropic", 1e-7, 5000)
    for kind in ("isotropic", "anisotropic")
}


@jax.jit
def of_images(g, x, p):
    near, gap = g.prox_and_gap(x, 0.6)
    away = g.subdifferential_distance(near, (x - near) / 0.6)
    return g.gradient(x), g.divergence(p), g.value(x), near, gap, away


def whole(g, x):
    return laws.in_double(of_images, g, x, np.stack([x, x]))


@pytest.mark.parametrize("kind", IMAGES)
def test_divergence_is_less_the_adjoint_of_the_gradient(kind):
    p = np.random.default_rng(2).standard_normal((2, *IMAGE.shape))
    slopes, spread, value, *_ = laws.in_double(of_images, IMAGES[kind], IMAGE, p)
    slopes = np.stack(slopes)
    assert (slopes * p).sum() == pytest.approx(-(IMAGE * spread).sum(), rel=1e-12)
    assert np.allclose(slopes[0, :-1], np.diff(IMAGE, axis=0))
    assert (slopes[0, -1] == 0).all()
    lengths = np.hypot(*slopes) if kind == "isotropic" else np.abs(slopes).sum(0)
    assert value == pytest.approx(0.7 * lengths.sum(), rel=1e-14)


@pytest.mark.parametrize("kind", IMAGES)
def test_no_other_image_is_better_than_prox(kind):
    rng = np.random.default_rng(3)
    *_, near, gap, away = whole(IMAGES[kind], IMAGE)

    def objective(x):
        return whole(IMAGES[kind], x)[2] + ((x - IMAGE) ** 2).sum() / (2 * 0.6)

    for other in IMAGE + rng.standard_normal((5, *IMAGE.shape)):
        for x in (other, near + 1e-3 * (other - near)):
            least = ((x - near) ** 2).sum() / (2 * 0.6)
            assert objective(x) - objective(near) >= least - 1e-9
    assert 0 <= float(gap) <= 0.5 * (1e-7 * np.linalg.norm(IMAGE - IMAGE.mean())) ** 2
    assert away <= 1e-5


def test_coarse_prox_is_as_near_as_it_says():
    fine = whole(IMAGES["isotropic"], IMAGE)[3]
    for accuracy in (1e-1, 1e-2, 1e-3):
        near = whole(TotalVariation2D(0.7, True, accuracy, 5000), IMAGE)[3]
        assert np.linalg.norm(near - fine) <= (accuracy + 1e-7) * np.linalg.norm(
            IMAGE - IMAGE.mean()
        )
    short = TotalVariation2D(0.7, True, 1e-7, 3)
    near, gap = jax.jit(short.prox_and_gap)(IMAGE.astype(np.float32), 0.6)
    assert near.dtype == np.float32
    assert 1e-6 < np.linalg.norm(near - fine) <= np.sqrt(2 * float(gap)) + 1e-6


def test_equal_columns_are_sequences():
    x = np.repeat(IMAGE[:, :1], 5, axis=1)
    exact = laws.everything(Fused(0.7), x[:, 0])["prox"]
    for g in IMAGES.values():
        assert np.allclose(whole(g, x)[3].T, exact, rtol=0, atol=1e-6)


def test_constant_images_stay():
    g, x = IMAGES["isotropic"], np.full(IMAGE.shape, 2.0)
    *_, near, gap, away = whole(g, x)
    assert (near == x).all()
    assert gap == 0 == away
    assert np.isfinite(laws.in_double(jax.jit(jax.grad(g.value)), x)).all()


@pytest.mark.parametrize(
    "bad",
    [lambda: Fused(0.0), lambda: Fused(1.0, -1.0), lambda: Fused(1.0, np.nan),
     lambda: Fused().check(np.ones(())), lambda: TotalVariation2D(-1.0),
     lambda: TotalVariation2D(accuracy=0.0), lambda: TotalVariation2D(most_steps=0),
     lambda: TotalVariation2D().check(np.ones(4))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        bad()
