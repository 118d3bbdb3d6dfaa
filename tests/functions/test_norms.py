"""Norms of whole points and l1 norms with weights: their laws, and their forms on trees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions import convex_laws as laws
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from resolvent.functions import (
    L1,
    L2,
    MCP,
    Ball,
    Box,
    ElasticNet,
    Everything,
    Intersection,
    L1Ball,
    MaxBall,
    Nonnegative,
    Product,
    Simplex,
    SquaredL2,
    SVMDual,
    WeightedL1,
)
from resolvent.functions.norms import soft

N = 5
CENTER = np.array([0.5, -1.0, 2.0, 0.0, 1.0])
WEIGHTS = np.array([0.3, 1.0, 0.0, 2.0, 0.5])
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))
# Integers: zeros, ties and corners come often.
CORNERS = hnp.arrays(np.int64, N, elements=st.integers(-2, 2)).map(lambda x: x.astype(float))
PENALTIES = {"l2": L2(1.3), "elastic": ElasticNet(1.3, 0.4), "weighted": WeightedL1(WEIGHTS)}
KNOWN = {**PENALTIES, "l1": L1(0.7), "square": SquaredL2(0.7, CENTER)}
BOXED = SquaredL2(0.7, CENTER, Box(-2.0, 1.0))


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=15)
@given(x=POINTS, y=POINTS)
def test_prox_and_conjugate(name, x, y):
    laws.prox_and_conjugate(PENALTIES[name], x, y)


@pytest.mark.parametrize("name", KNOWN)
@settings(max_examples=15)
@given(x=CORNERS, v=POINTS)
def test_distance_to_the_subdifferential(name, x, v):
    laws.distance_is_the_limit_of_prox(KNOWN[name], x, v)


@settings(max_examples=15)
@given(x=CORNERS, v=POINTS)
def test_distance_to_the_subdifferential_on_a_box_is_zero_at_subgradients_alone(x, v):
    near = laws.everything(BOXED, x + v, step=1.0)["prox"]
    at = laws.everything(BOXED, near, x + v - near)
    assert at["subdifferential_distance"] <= 1e-12
    x = np.clip(x, -2.0, 1.0)
    beyond = v - 0.7 * (x - CENTER)
    normal = np.clip(beyond, np.where(x == -2.0, -np.inf, 0), np.where(x == 1.0, np.inf, 0))
    found = laws.everything(BOXED, x, v)["subdifferential_distance"]
    assert found <= np.linalg.norm(beyond - normal) + 1e-12
    assert (found == 0) == np.allclose(beyond, normal, rtol=0, atol=0)


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_as_a_program(name):
    x = np.array([1.5, -2.0, 0.1, 3.0, -0.4])
    laws.prox_has_the_derivatives_of_differences(PENALTIES[name], x)
    laws.single_precision_stays(PENALTIES[name], (N,))
    laws.nan_stays(PENALTIES[name], (N,))


def test_conjugates_of_norms_are_those_of_balls():
    v = np.array([3.0, 4.0, 0.0, 0.0, 0.0]) / 5
    assert PENALTIES["l2"].conjugate(1.3 * v) == 0.0
    assert PENALTIES["l2"].conjugate(1.3001 * v) == np.inf
    assert PENALTIES["weighted"].conjugate(WEIGHTS) == 0.0
    assert PENALTIES["weighted"].conjugate(-WEIGHTS - 1e-6 * np.eye(N)[2]) == np.inf


@pytest.mark.parametrize("name", ["l2", "elastic"])
def test_small_turns_keep_their_digits(name):
    """At the answer x of min g(u) - <s, u>, a turn by e is felt to rounding in e, not in x."""
    x = 1e6 * np.array([3.0, -4.0, 0.0, 0.0, 0.0])
    e = 1e-7 * np.array([4.0, 3.0, 0.0, 0.0, 0.0])  # across from x
    if name == "l2":
        slope = 1.3 * x / 5e6
    else:
        slope = 1.3 * (0.4 * np.sign(x) + 0.6 * x)
    moved = laws.everything(PENALTIES[name], x, -slope + e)["displacement"]
    turned = e if name == "l2" else e / (1 + 1.3 * 0.6)
    size = np.abs(slope).max()
    assert np.allclose(moved, turned, rtol=0, atol=1e-12 + 4e-16 * size)


def test_trees_are_one_point():
    g = WeightedL1({"a": np.array([1.0, 0.0]), "b": np.array([[2.0]])})

    @jax.jit
    def program(x):
        values = L2(2.0).value(x), ElasticNet(2.0, 0.5).value(x), g.value(x)
        return L2(1.0).prox(x, 2.5), values, g.subdifferential_distance(x, x)

    near, values, away = program({"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])})
    assert np.allclose(near["a"], [1.5, 0.0])
    assert near["b"].shape == (1, 1)
    assert np.allclose(values, [10.0, 7.0 + 12.5, 11.0])
    assert float(away) == pytest.approx(np.hypot(2.0, 2.0))


V = np.array([0.3, -1.0, 0.0, 2.0, 1.4])
MIXED = Product((L1(0.7), ElasticNet(1.3, 0.4), Box(-1.0, 2.0), MaxBall(2.0)))


@pytest.mark.parametrize(
    "g", [L1(0.7), L2(1.3), WeightedL1(WEIGHTS + 0.1)], ids=lambda g: type(g).__name__
)
def test_scaled_conjugate_of_norms(g):
    laws.scaled_conjugate_is_the_largest(g, V)


@pytest.mark.parametrize(
    "g",
    [ElasticNet(1.3, 0.4), SquaredL2(0.7, CENTER), SquaredL2(0.7, None, Box(-2.0)), Ball(1.5),
     Box(-1.0, CENTER + 4), Simplex(), MaxBall(2.0),
     SVMDual(np.array([1.0, -1.0, 1.0, -1.0, 1.0]))],
    ids=lambda g: type(g).__name__,
)  # fmt: skip
def test_scaled_conjugate_of_what_needs_no_scale(g):
    laws.scaled_conjugate_is_the_conjugate(g, V)


def test_scaled_conjugate_of_blocks_is_that_of_the_smallest_scale():
    v = np.array([1.4, -0.1]), np.array([0.3, 2.0]), np.array([-1.0, 2.0]), np.ones(2)
    with jax.enable_x64(True):
        scale, value = jax.jit(MIXED.scaled_conjugate)(v)
    assert scale == pytest.approx(0.5)
    # Of what is not homogeneous the conjugate is taken anew.
    elastic = float(ElasticNet(1.3, 0.4).conjugate(0.5 * v[1]))
    assert float(value) == pytest.approx(elastic + 0.5 * (1.0 + 4.0) + 0.5 * 4.0)
    assert Product((L1(0.7), None)).scaled_conjugate(v[:2]) is None


@pytest.mark.parametrize(
    "g",
    [Everything(), Nonnegative(), Box(0.0), WeightedL1(WEIGHTS), MCP(),
     Intersection((Ball(1.0), Box(0.0)))],
    ids=lambda g: type(g).__name__,
)  # fmt: skip
def test_what_tells_nothing_has_no_scaled_conjugate(g):
    assert g.scaled_conjugate(V) is None


def test_sets_know_whether_they_end():
    ends = [Box(0.0, 1.0), Ball(), L1Ball(), Simplex(), MaxBall(), Product((Box(0.0, 1.0),)),
            Product((Simplex(), MaxBall())), Intersection((Nonnegative(), MaxBall()))]  # fmt: skip
    assert all(part.bounded() for part in ends)
    never = [Box(0.0), Nonnegative(), Everything(), Product((Simplex(), None)),
             Product((Simplex(), L1())), Intersection((Nonnegative(), Box(0.0)))]  # fmt: skip
    assert not any(part.bounded() for part in never)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_hosts_keep_their_arrays_and_digits(kind):
    """Without JAX, which has no double precision here."""
    assert not jax.config.jax_enable_x64
    x = V.astype(kind) * kind(1 + 2.0**-40 if kind is np.float64 else 1)
    square, elastic = SquaredL2(0.7, jnp.asarray(CENTER)), ElasticNet(1.3, 0.4)
    found = {
        "l1": L1(0.7).value(x),
        "weighted": WeightedL1(WEIGHTS).value(x),
        "weighted by JAX": WeightedL1(jnp.asarray(WEIGHTS, jnp.float32)).value(x),
        "elastic": elastic.value(x),
        "elastic conjugate": elastic.conjugate(x),
        "square conjugate": square.conjugate(x),
        "scale": L1(0.7).scaled_conjugate(x)[0],
        "weighted scale": WeightedL1(WEIGHTS + 0.1).scaled_conjugate(x)[0],
    }
    cut = np.sign(x) * np.maximum(np.abs(x) - 1.3 * 0.4, 0)
    single = WEIGHTS.astype(np.float32).astype(float)
    expected = {
        "l1": 0.7 * np.abs(x).sum(),
        "weighted": WEIGHTS @ np.abs(x),
        "weighted by JAX": single @ np.abs(x),
        "elastic": 1.3 * (0.4 * np.abs(x).sum() + 0.3 * (x @ x)),
        "elastic conjugate": cut @ cut / (2 * 1.3 * 0.6),
        "square conjugate": CENTER @ x + x @ x / 1.4,
        "scale": 0.7 / np.abs(x).max(),
        "weighted scale": 1 / (np.abs(x) / (WEIGHTS + 0.1)).max(),
    }
    for name, value in found.items():
        assert not isinstance(value, jax.Array), name
        assert np.asarray(value).dtype == kind, name
        rounding = 16 * float(np.finfo(kind).eps)
        assert float(value) == pytest.approx(float(expected[name]), rel=rounding), name
    for point in (elastic.response(x), square.response(x), soft(x, 0.5)):
        assert type(point) is np.ndarray
        assert point.dtype == kind


@pytest.mark.parametrize(
    "bad",
    [lambda: L2(0.0), lambda: L2(np.nan), lambda: ElasticNet(0.0), lambda: ElasticNet(1.0, 1.0),
     lambda: ElasticNet(1.0, 0.0), lambda: WeightedL1(-WEIGHTS),
     lambda: WeightedL1(np.full(3, np.nan)), lambda: WeightedL1(WEIGHTS).check(np.ones(N + 1))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        bad()
