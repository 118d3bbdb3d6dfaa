"""The nuclear norm: its laws, also where singular values coincide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions import convex_laws as laws
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from resolvent.functions.matrix_penalties import Nuclear

SHAPE = (4, 3)
NUCLEAR = Nuclear(0.8)
POINTS = hnp.arrays(np.float64, SHAPE, elements=st.floats(-5, 5, allow_subnormal=False))
rng = np.random.default_rng(0)
LEFT, RIGHT = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in SHAPE)


def matrix(*values):
    """With these singular values, and vectors that are nothing special."""
    return LEFT[:, :3] * np.array(values) @ RIGHT.T


@settings(max_examples=20)
@given(x=POINTS, y=POINTS)
def test_prox_and_conjugate(x, y):
    laws.prox_and_conjugate(NUCLEAR, x, y)


@pytest.mark.parametrize("values", [(3, 2, 1), (2, 2, 0), (2, 0, 0), (0, 0, 0)])
@settings(max_examples=8)
@given(v=POINTS)
def test_distance_to_the_subdifferential(values, v):
    laws.distance_is_the_limit_of_prox(NUCLEAR, matrix(*values), v)


# Equal values, equal values on both sides of the threshold 0.48, and zeros.
@pytest.mark.parametrize("values", [(3, 2, 1), (2, 2, 0.1), (2, 0.2, 0.2), (2, 0, 0), (0, 0, 0)])
@pytest.mark.parametrize("wide", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_prox_has_the_derivatives_of_differences(values, wide):
    x = matrix(*values)
    laws.prox_has_the_derivatives_of_differences(NUCLEAR, x.T if wide else x)


def test_what_is_below_the_bar_is_exactly_zero():
    """A rounding error for it would be a matrix with subgradients of its own."""
    x = np.full(SHAPE, 0.125)
    near = laws.everything(NUCLEAR, x)["prox"]
    assert (near == 0).all()
    assert laws.everything(NUCLEAR, near, x / 0.6)["subdifferential_distance"] == 0


def test_prox_as_a_program():
    laws.single_precision_stays(NUCLEAR, SHAPE)
    laws.nan_stays(NUCLEAR, SHAPE)
    laws.scaled_conjugate_is_the_largest(NUCLEAR, matrix(3, 2, 1))


def test_values_of_stacks_and_trees_are_sums():
    x, y = matrix(3, 2, 1), matrix(1, 1, 0)

    @jax.jit
    def program(x, y):
        stack, tree = jnp.stack([x, y]), {"a": x, "b": y.T}
        proxes = [NUCLEAR.prox(point, 1.0) for point in (x, stack, tree)]
        return proxes, NUCLEAR.value(stack), NUCLEAR.value(tree)

    (alone, stacked, tree), *values = laws.in_double(program, x, y)
    assert np.allclose(values, 0.8 * 8, rtol=1e-14)
    assert np.allclose(stacked[0], alone, atol=1e-14)
    assert np.allclose(tree["a"], alone, atol=1e-14)
    assert np.allclose(tree["b"], stacked[1].T, atol=1e-14)


@pytest.mark.parametrize(
    "bad",
    [lambda: Nuclear(0.0), lambda: Nuclear(np.nan), lambda: Nuclear().check(np.ones(3)),
     lambda: Nuclear().check(np.ones((0, 3)))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(bad):
    with pytest.raises(ValueError, match=r"(?s)^.+: given .+; needed .+\. .+"):
        bad()
