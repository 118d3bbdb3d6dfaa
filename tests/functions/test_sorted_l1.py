"""The sorted l1 norm: its laws, and its prox against isotonic regression of SciPy."""

import jax
import numpy as np
import pytest
from functions import convex_laws as laws
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import isotonic_regression

from resolvent.functions.sorted_l1 import SortedL1

N = 7
WEIGHTS = np.array([2.0, 1.6, 1.0, 1.0, 0.4, 0.1, 0.0])
SLOPE = SortedL1(WEIGHTS)
PROX = jax.jit(lambda g, x, step: g.prox(x, step))
POINTS = hnp.arrays(np.float64, N, elements=st.floats(-5, 5, allow_subnormal=False))
CORNERS = hnp.arrays(np.int64, N, elements=st.integers(-2, 2)).map(lambda x: x.astype(float))


@settings(max_examples=25)
@given(x=POINTS, y=POINTS)
def test_prox_and_conjugate(x, y):
    laws.prox_and_conjugate(SLOPE, x, y)


@settings(max_examples=25)
@given(x=CORNERS, v=POINTS)
def test_distance_to_the_subdifferential(x, v):
    laws.distance_is_the_limit_of_prox(SLOPE, x, v)


def test_prox_as_a_program():
    x = np.array([1.5, -2.0, 0.7, 3.0, -0.4, -2.2, 3.1])
    laws.prox_has_the_derivatives_of_differences(SLOPE, x)
    laws.single_precision_stays(SLOPE, (N,))
    laws.nan_stays(SLOPE, (N,))


@pytest.mark.parametrize("seed", range(4))
def test_prox_agrees_with_isotonic_regression(seed):
    rng = np.random.default_rng(seed)
    n = 300
    weights = np.sort(rng.uniform(0, 2, n))[::-1]
    x = np.round(rng.normal(0, 2, n), 2)  # with ties
    order = np.argsort(-np.abs(x))
    fit = isotonic_regression(np.abs(x)[order] - 0.7 * weights, increasing=False).x
    expected = np.zeros(n)
    expected[order] = np.maximum(fit, 0)
    found = laws.in_double(PROX, SortedL1(weights), x, 0.7)
    assert np.allclose(found, np.sign(x) * expected, rtol=0, atol=1e-13)


def test_equal_weights_are_the_l1_norm():
    x = np.array([1.5, -2.0, 0.7, 3.0, -0.4, -2.2, 3.1])
    found = laws.everything(SortedL1(np.full(N, 0.5)), x, step=1.0)
    assert found["value"] == pytest.approx(0.5 * np.abs(x).sum(), rel=1e-14)
    expected = np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)
    assert np.allclose(found["prox"], expected, rtol=0, atol=1e-15)


def test_scaled_conjugate_is_that_of_the_fullest_sum():
    v = np.array([0.3, -1.0, 0.0, 2.0, 1.4, 0.7, 0.1])
    laws.scaled_conjugate_is_the_largest(SLOPE, v)


def test_small_turns_keep_their_digits():
    """With |x| equal on a cluster, a turn inside of it is felt to rounding in the turn alone."""
    x = 1e8 * np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    e = 1e-9 * np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    moved = laws.everything(SLOPE, x, e)["displacement"]
    assert np.allclose(moved, np.sign(x) * (np.sign(x) * e + WEIGHTS).mean(), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "bad",
    [lambda: SortedL1([1.0, 2.0]), lambda: SortedL1([1.0, -1.0]), lambda: SortedL1([0.0, 0.0]),
     lambda: SortedL1([np.nan, 1.0]), lambda: SortedL1([]), lambda: SortedL1(1.0),
     lambda: SortedL1(WEIGHTS).check(np.ones(N + 1))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        bad()
