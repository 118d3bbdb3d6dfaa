"""Steps of models: globally least, whatever the eigenvalues are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from resolvent.smooth import shifted_systems as systems
from resolvent.smooth.truncated_cg import truncated_cg

n = 6
MODELS = ("definite", "indefinite", "hard", "singular", "identity", "flat", "no gradient")


def model(kind):
    rng = np.random.default_rng(5)
    V, g = np.linalg.qr(rng.standard_normal((n, n)))[0], rng.standard_normal(n)
    values = {
        "definite": np.linspace(0.5, 4.0, n), "indefinite": np.linspace(-2.0, 4.0, n),
        "hard": np.linspace(-2.0, 4.0, n), "singular": np.r_[0.0, 0.0, 1.0, 2.0, 3.0, 4.0],
        "identity": np.ones(n), "flat": np.zeros(n), "no gradient": np.linspace(-2.0, 4.0, n),
    }[kind]  # fmt: skip
    if kind == "hard":
        g = 0.1 * (g - V[:, 0] * (V[:, 0] @ g))
    return V @ np.diag(values) @ V.T, 0 * g if kind == "no gradient" else g


@pytest.fixture(scope="module")
def solvers():
    def ball(H, g, radius):
        return systems.in_ball(systems.spectrum(H), g, radius)

    def cubic(H, g, M, root, metric):
        return systems.cubic(systems.spectrum(H, root), g, M, metric)

    return jax.jit(ball), jax.jit(cubic)


def check(H, g, step, B, tight):
    """Stationary with a multiplier under which the model is convex: globally least."""
    H, g, h, shift = (np.asarray(part, np.float64) for part in (H, g, step.h, step.shift))
    size = np.linalg.norm(H) * np.linalg.norm(h) + np.linalg.norm(g)
    assert np.linalg.norm(H @ h + shift * B @ h + g) <= tight * size
    low = np.linalg.cholesky(np.linalg.inv(B))
    assert np.linalg.eigvalsh(low.T @ H @ low)[0] + shift >= -tight * (np.linalg.norm(H) + 1)
    assert float(step.fall) == pytest.approx(-(g @ h + 0.5 * h @ H @ h), rel=100 * tight, abs=tight)
    return h, float(shift)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_steps_in_a_ball_are_globally_least(solvers, kind, dtype):
    tight = 1e-11 if dtype == np.float64 else 1e-4
    with jax.enable_x64(dtype == np.float64):
        H, g = (jnp.asarray(part, dtype) for part in model(kind))
        for radius in (0.01, 1.0, 50.0):
            step = solvers[0](H, g, jnp.asarray(radius, dtype))
            h, shift = check(H, g, step, np.eye(n), tight)
            length = np.linalg.norm(h)
            assert length <= radius * (1 + tight)
            assert shift >= 0
            # Complementary: a multiplier only where the sphere is met.
            assert shift <= tight or abs(length - radius) <= tight * radius


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("metric", [False, True], ids=["identity", "metric"])
def test_cubic_steps_are_globally_least(solvers, kind, dtype, metric):
    tight = 1e-11 if dtype == np.float64 else 1e-4
    B = np.diag(np.linspace(1.0, 3.0, n)) + 0.2 if metric else np.eye(n)
    with jax.enable_x64(dtype == np.float64):
        H, g = (jnp.asarray(part, dtype) for part in model(kind))
        root, own = (jnp.asarray(part, dtype) for part in (np.linalg.cholesky(B), B))
        for M in (1e-2, 1.0, 1e3):
            step = solvers[1](H, g, jnp.asarray(M, dtype), root, own)
            h, shift = check(H, g, step, B, tight)
            length = np.sqrt(h @ B @ h)
            assert shift == pytest.approx(0.5 * M * length, rel=10 * tight, abs=tight)
            decrease = float(step.fall) - M / 6 * length**3
            assert decrease >= M / 12 * length**3 * (1 - 1e3 * tight) - tight


def test_lengths_have_the_derivative_of_their_equation():
    def reads(H, g, turn, t):
        parts = systems.spectrum(H + t * jnp.outer(turn, turn))
        pulled = g + t * turn
        ball = systems.in_ball(parts, pulled, 0.3 + 0.1 * t).h @ turn
        return jnp.stack([ball, systems.cubic(parts, pulled, 2.0 + t).h @ turn])

    @jax.jit
    def derivatives(H, g, turn):
        def read(t):
            return reads(H, g, turn, t)

        forward = jax.jvp(read, (0.0,), (1.0,))[1]
        return (read(1e-6) - read(-1e-6)) / 2e-6, forward, jax.jacrev(read)(0.0)

    with jax.enable_x64(True):
        turn = jnp.asarray(np.random.default_rng(1).standard_normal(n))
        for kind in ("definite", "indefinite", "identity"):
            change, forward, backward = derivatives(*map(jnp.asarray, model(kind)), turn)
            assert np.allclose(forward, change, rtol=1e-6)
            assert np.allclose(backward, change, rtol=1e-6)


def test_truncated_steps_end_at_the_solution_the_sphere_or_negative_curvature():
    def run(H, g, radius):
        return truncated_cg(lambda v: H @ v, g, radius, 1e-12, 50)

    run = jax.jit(run)
    with jax.enable_x64(True):
        H, g = (jnp.asarray(part) for part in model("definite"))
        inside = run(H, g, 100.0)
        assert np.allclose(H @ inside.h, -g, atol=1e-9)
        assert inside.products == n
        for kind in ("definite", "indefinite", "hard"):
            H, g = (jnp.asarray(part) for part in model(kind))
            step = run(H, g, 0.3 if kind == "definite" else 1e3)
            assert float(step.length) == pytest.approx(float(jnp.linalg.norm(step.h)))
            fall = float(-(g @ step.h + 0.5 * step.h @ H @ step.h))
            assert float(step.fall) == pytest.approx(fall, rel=1e-9)
            # No less than the best point along the gradient.
            cauchy = 0.3 if kind == "definite" else 1e3
            size, curve = float(jnp.linalg.norm(g)), float(g @ H @ g)
            length = min(cauchy, size**3 / curve) if curve > 0 else cauchy
            assert fall >= size * length - 0.5 * curve * (length / size) ** 2 - 1e-12
        assert float(run(H, 0 * g, 1.0).length) == 0.0
