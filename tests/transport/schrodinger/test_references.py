"""Reference families: drifts, fits to increments, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resolvent.transport.schrodinger import (
    Brownian,
    GradientField,
    LinearDrift,
    LotkaVolterra,
    ReferenceFamily,
    Repressilator,
)

TRUTHS = [
    (LinearDrift(), 2, np.array([-0.2, -2.0, 2.0, -0.2, 0.3, -0.1])),
    (LinearDrift(offset=False), 3, np.linspace(-1.0, 1.0, 9)),
    (LinearDrift(symmetric=True), 2, np.array([-1.0, 0.5, -2.0, 0.3, 0.1])),
    (LotkaVolterra(), 2, np.array([1.0, 0.4, 0.4, 0.1])),
    (Repressilator(), 3, np.array([10.0, 3.0, 1.0, 1.0])),
]
FAMILIES = [*TRUTHS, (Brownian(), 2, np.zeros(0))]


def points(d, count=80):
    return np.random.default_rng(0).uniform(0.2, 4.0, (count, d))


@pytest.mark.parametrize(("family", "d", "theta"), TRUTHS, ids=lambda v: type(v).__name__)
def test_a_fit_to_its_own_drift_finds_the_parameters(family, d, theta):
    x = points(d)
    found = family.fit(x, family.velocities(theta, x))
    assert np.allclose(found, theta, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("family", "d", "theta"), FAMILIES, ids=lambda v: type(v).__name__)
def test_flags_names_and_start_tell_the_truth(family, d, theta):
    start, names = family.start(d), family.names(d)
    assert len(start) == len(names) == len(theta) == len(family.lower(d))
    assert (start >= family.lower(d)).all()
    x = points(d)
    assert np.array_equal(family.velocities(start, x), np.zeros_like(x))
    rng = np.random.default_rng(1)
    one, other = theta + 0.1 * rng.random(len(theta)), theta + 0.1 * rng.random(len(theta))
    middle = family.velocities((one + other) / 2, x)
    mean = (family.velocities(one, x) + family.velocities(other, x)) / 2
    assert np.allclose(middle, mean, atol=1e-12) == family.linear
    with jax.enable_x64(True):
        second = jax.jacfwd(jax.jacfwd(family.drift, 1), 1)
        bends = np.asarray(second(jnp.asarray(one), jnp.asarray(x[0]), 0.0))
    assert np.allclose(bends, 0.0) == family.affine


def test_least_squares_of_noisy_increments_is_the_normal_equations_solution():
    rng = np.random.default_rng(2)
    x, v = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    weights = rng.uniform(0.5, 2.0, 50)
    root = np.sqrt(weights)[:, None]
    features = np.concatenate([x, np.ones((50, 1))], axis=1)
    expected = np.linalg.lstsq(root * features, root * v, rcond=None)[0].T
    found = LinearDrift().parameters(LinearDrift().fit(x, v, weights=weights), 2)
    assert np.allclose(found["A"], expected[:, :2])
    assert np.allclose(found["b"], expected[:, 2])


def test_bounded_rates_are_those_of_nonnegative_least_squares():
    from scipy.optimize import nnls

    rng = np.random.default_rng(3)
    x, v = rng.uniform(0.5, 2.0, (60, 2)), rng.normal(size=(60, 2))
    prey, predators = x.T
    zero = np.zeros(60)
    design = np.concatenate([
        np.stack([prey, -prey * predators, zero, zero], axis=1),
        np.stack([zero, zero, -predators, prey * predators], axis=1),
    ])  # fmt: skip
    expected, _ = nnls(design, np.concatenate([v[:, 0], v[:, 1]]))
    assert (expected == 0).any()  # else the bounds were not at work
    assert np.allclose(LotkaVolterra().fit(x, v), expected, atol=1e-8)


def test_ridge_of_the_gradient_field_is_kernel_ridge_regression():
    rng = np.random.default_rng(4)
    x, v = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    family = GradientField(centres=x[:10], bandwidth=0.8, ridge=0.3)
    away = family.centres[None] - x[:, None]
    kernel = np.exp(-0.5 * (away**2).sum(2) / 0.8**2)[..., None] * away
    design = kernel.transpose(0, 2, 1).reshape(80, 10)
    expected = np.linalg.solve(design.T @ design + 0.3 * np.eye(10), design.T @ v.ravel())
    assert np.allclose(family.fit(x, v), expected, atol=1e-9)


def test_the_gradient_field_is_a_gradient():
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(7, 3))
    family = GradientField(centres=centres, bandwidth=1.2)
    theta, x = rng.normal(size=7), rng.normal(size=3)
    with jax.enable_x64(True):
        slope = np.asarray(jax.jacfwd(family.drift, 1)(jnp.asarray(theta), jnp.asarray(x), 0.0))
    assert np.allclose(slope, slope.T, atol=1e-12)


def test_time_reaches_the_drift():
    class Pushed(ReferenceFamily):
        linear = affine = True

        def drift(self, theta, x, t):
            return theta[0] * jnp.cos(t) * jnp.ones_like(x)

        def start(self, d):
            return np.zeros(1)

        def names(self, d):
            return ("push",)

    t = np.linspace(0.0, 3.0, 30)
    v = 2.5 * np.cos(t)[:, None]
    assert np.allclose(Pushed().fit(np.zeros((30, 1)), v, t), 2.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearDrift().fit(np.ones((3, 2)), np.ones((2, 2))), "x, v: given shapes"),
        (lambda: LinearDrift().fit(np.ones(3), np.ones(3)), "x, v: given shapes"),
        (lambda: LotkaVolterra().fit(np.ones((3, 3)), np.ones((3, 3))), "needed dimension 2"),
        (lambda: Repressilator().fit(np.ones((3, 2)), np.ones((3, 2))), "needed dimension 3"),
        (lambda: GradientField(centres=np.ones(3)), "centres: given shape"),
        (lambda: GradientField(centres=np.ones((3, 2)), ridge=0.0), "ridge: given 0"),
        (lambda: GradientField(centres=np.ones((3, 2)), bandwidth=-1.0), "bandwidth: given -1"),
        (lambda: GradientField(np.ones((3, 2))).fit(np.ones((4, 1)), np.ones((4, 1))), "centres"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
