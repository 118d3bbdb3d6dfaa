"""Constants on average, against dense linear algebra."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from resolvent.inclusion import FiniteSum
from resolvent.inclusion.average_constants import average_constants, evaluations


def affine(x, data):
    return data[0] @ x + data[1]


def components(seed=0, n=40, d=5):
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((n, 4 * d, d)) * np.logspace(0, -1, d)
    return np.einsum("nki,nkj->nij", roots, roots) / (4 * d), rng.standard_normal((n, d))


def truth(H, weights):
    """The three constants of affine components; draw i counts `weights[i]` in squares."""
    square = np.einsum("n,nki,nkj->ij", weights, H, H) / len(H)
    mean = H.mean(0)
    top = scipy.linalg.eigh(square, (mean + mean.T) / 2, eigvals_only=True)[-1]
    return top, np.sqrt(np.linalg.norm(square, 2)), np.linalg.norm(mean, 2)


@pytest.mark.slow
@pytest.mark.parametrize("importance", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_estimates_are_just_below_the_truth(importance, dtype):
    H, g = components()
    p = np.linalg.norm(H, axis=(1, 2))
    p /= p.sum()
    weights = 1 / (len(H) * p) if importance else np.ones(len(H))
    with jax.enable_x64(dtype == np.float64):
        data = jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf.astype(dtype)), (H, g))
        F = FiniteSum(affine, data, probabilities=p.astype(dtype) if importance else None)
        found = average_constants(F, jnp.zeros(5, dtype))
    slack = 1e-9 if dtype == np.float64 else 2e-2
    for estimate, exact in zip(found, truth(H, weights), strict=True):
        assert estimate.dtype == dtype
        assert 0.95 * exact <= float(estimate) <= (1 + slack) * exact


@pytest.mark.parametrize(("dtype", "offset"), [(np.float64, 30.0), (np.float32, 30.0)])
def test_turning_is_not_cocoercive(dtype, offset):
    with jax.enable_x64(dtype == np.float64):
        s = jnp.linspace(0.5, 1.5, 20, dtype=dtype)
        F = FiniteSum(lambda x, s: s * (jnp.stack([x[1], -x[0]]) + offset), s)
        found = average_constants(F, jnp.ones(2, dtype))
    assert np.isinf(found.cocoercive)
    assert np.isclose(float(found.plain), 1.0, rtol=1e-2)
    assert np.isclose(float(found.lipschitz), np.sqrt(np.mean(np.asarray(s) ** 2)), rtol=1e-2)


def test_components_that_cancel_are_not_cocoercive_on_average():
    F = FiniteSum(lambda x, s: x * jnp.stack([1.0 + 0 * s, s]), jnp.array([-1.0, 1.0]))
    assert np.isinf(average_constants(F, jnp.ones(2)).cocoercive)


def test_a_game_that_turns_in_some_directions_is_not_cocoercive():
    rng = np.random.default_rng(2)
    A = jnp.asarray(rng.standard_normal((9, 3, 3)).astype(np.float32))
    F = FiniteSum(lambda x, A: (x[0] + A @ x[1], -x[0] @ A), A)
    assert np.isinf(average_constants(F, (jnp.ones(3), jnp.ones(3))).cocoercive)


def test_a_narrow_space_keeps_the_estimates_below_the_truth(monkeypatch):
    H, g = components(3)
    monkeypatch.setattr(sys.modules[average_constants.__module__], "_ROOM", 3 * g.size)
    with jax.enable_x64(True):
        F = FiniteSum(affine, (jnp.asarray(H), jnp.asarray(g)))
        assert evaluations(F, jnp.zeros(5)) == 44
        found = average_constants(F, jnp.zeros(5))
    exact = truth(H, np.ones(len(H)))[0]
    assert 0.5 * exact <= float(found.cocoercive) <= exact * (1 + 1e-9)


def test_constant_components_have_no_constants():
    F = FiniteSum(lambda x, s: 0 * x + s, jnp.array([-1.0, 2.0]))
    assert [float(part) for part in average_constants(F, jnp.ones(2))] == [0.0, 0.0, 0.0]


def test_trees_and_cost():
    calls = []

    def one(x, s):
        jax.debug.callback(lambda _: calls.append(1), s)
        return {"u": s * x["u"], "v": 2 * s * x["v"]}

    F = FiniteSum(one, jnp.array([1.0, 3.0]))
    found = average_constants(F, {"u": jnp.ones(1), "v": jnp.ones((1, 2))})
    jax.effects_barrier()
    assert len(calls) == 2 * evaluations(F, {"u": jnp.ones(1), "v": jnp.ones((1, 2))})
    assert np.isclose(float(found.plain), 4.0, rtol=1e-2)
    assert np.isclose(float(found.cocoercive), 5.0, rtol=1e-2)


def test_estimates_of_a_shape_are_compiled_once():
    traced = []

    def one(x, s):
        traced.append(1)
        return s * x

    def found(seed):
        s = jnp.asarray(np.random.default_rng(seed).uniform(1, 2, 6).astype(np.float32))
        return float(average_constants(FiniteSum(one, s), jnp.ones(2)).plain)

    first, seen = found(0), len(traced)
    assert found(1) != first
    assert len(traced) == seen
