"""Accelerated gradients for MCP and SCAD: closed forms, limits, and the laws of their weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Lasso

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.composite.gradients.nonconvex_acceleration import (
    concave_slope,
    concavity,
    convex_part,
)
from resolvent.functions import L0, L1, MCP, SCAD, Everything, Product

Method = rs.composite.NonconvexAcceleratedGradient
N, P = 20, 6
POINTS = np.r_[-np.linspace(0.0, 4.0, 41)[::-1], np.linspace(0.05, 4.0, 40)]


def data(seed=0):
    """Columns that are orthonormal in the mean, and centered."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(np.c_[np.ones(N), rng.standard_normal((N, P))])[0][:, 1:]
    return np.sqrt(N) * Q, 2 * rng.standard_normal(N)


def by_hand(name, z, weight):
    """The univariate minimizer for unit curvature."""
    size = np.abs(z)
    soft = np.sign(z) * np.maximum(size - weight, 0)
    if name == "mcp":
        return np.where(size <= 3.0 * weight, soft / (1 - 1 / 3.0), z)
    middle = (2.7 * z - np.sign(z) * 3.7 * weight) / 1.7
    return np.where(size <= 2 * weight, soft, np.where(size <= 3.7 * weight, middle, z))


def penalty(name, weight, gamma=None):
    if name == "mcp":
        return MCP(weight, 3.0 if gamma is None else gamma)
    return SCAD(weight, 3.7 if gamma is None else gamma)


def model(X, y, name, weight, gamma=None):
    return rs.GeneralizedLinear(X, y, penalty=penalty(name, weight, gamma), intercept=True)


@jax.jit
def split(g, x):
    """A penalty of each number, its l1 norm, the rest, and the slope of that."""
    each = (g.value, g.convex_part().value, g.concave_value)
    return *(jax.vmap(function)(x) for function in each), g.concave_slope(x)


@pytest.mark.parametrize("name", ["mcp", "scad"])
def test_penalties_are_an_l1_norm_plus_a_smooth_concave_function(name):
    g = penalty(name, 0.8)
    with jax.enable_x64(True):
        total, norm, rest, slopes = map(np.asarray, split(g, jnp.asarray(POINTS)))
    assert np.allclose(norm + rest, total, rtol=0, atol=1e-15)
    # Trapezoids are exact but for the cells that hold a knot, by an eighth of what a cell bends.
    cells = np.diff(POINTS)
    room = 0.125 * g.concavity * cells.max() ** 2 + 1e-14
    misses = np.abs(np.diff(rest) - 0.5 * (slopes[1:] + slopes[:-1]) * cells)
    assert misses.max() <= room
    assert (misses > 1e-14).sum() <= 4
    slope_of_slope = np.diff(slopes) / np.diff(POINTS)
    assert slope_of_slope.max() <= 1e-12
    assert slope_of_slope.min() == pytest.approx(-g.concavity)
    # Far out the penalty is constant; at zero the concave part has no slope.
    assert np.allclose(slopes[np.abs(POINTS) > g.gamma * 0.8], -0.8 * np.sign(
        POINTS[np.abs(POINTS) > g.gamma * 0.8]
    ))  # fmt: skip
    assert (slopes[np.abs(POINTS) < 1e-9] == 0).all()


def test_products_split_block_by_block():
    g = Product((MCP(0.5, 2.0), Everything()))
    x = (jnp.array([1.5, -0.2]), jnp.ones(()))
    convex = convex_part(g)
    assert isinstance(convex, Product)
    assert convex.parts[0].weight == 0.5
    assert np.allclose(concave_slope(g, x)[0], [-0.5, 0.1])
    assert concave_slope(g, x)[1] == 0
    assert float(concavity(g)) == 0.5


@pytest.mark.parametrize("name", ["mcp", pytest.param("scad", marks=pytest.mark.slow)])
def test_orthonormal_columns_have_answers_in_closed_form(name):
    X, y = data()
    scores = X.T @ y / N
    weight = 0.4 * np.abs(scores).max()
    expected = by_hand(name, scores, weight)
    assert 0 < (expected != 0).sum() < P
    problem = model(X, y, name, weight)
    sol = rs.solve(problem, Method(), rtol=1e-9)
    assert np.allclose(sol.x[0], expected, atol=1e-8)
    assert float(sol.x[1]) == pytest.approx(y.mean(), abs=1e-8)
    assert np.array_equal(sol.x[0] != 0, expected != 0)


def test_the_limits_are_the_lasso_and_a_constant():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((N, P)), rng.standard_normal(N)
    top = np.abs(X.T @ (y - y.mean())).max() / N
    flat = rs.solve(model(X, y, "mcp", 0.3 * top, 1e9), Method(), rtol=1e-9).x
    peer = Lasso(0.3 * top, tol=1e-12, max_iter=100_000).fit(X, y)
    assert np.allclose(flat[0], peer.coef_, atol=1e-7)
    assert float(flat[1]) == pytest.approx(peer.intercept_, abs=1e-7)
    none = rs.solve(model(X, y, "mcp", 1.01 * top), Method(), rtol=1e-9).x
    assert not none[0].any()
    assert float(none[1]) == pytest.approx(y.mean(), abs=1e-8)


def test_answers_are_critical_coordinate_by_coordinate():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((N, P)), rng.standard_normal(N)
    problem = model(X, y, "mcp", 0.1)
    w, c = rs.solve(problem, Method(), rtol=1e-9).x
    r = X @ w + c - y
    whole = X.T @ r / N + np.where(np.abs(w) <= 0.3, -w / 3.0, -0.1 * np.sign(w))
    on = w != 0
    assert on.any()
    assert np.allclose(whole[on], -0.1 * np.sign(w[on]), atol=1e-8)
    assert (np.abs(whole[~on]) <= 0.1 + 1e-12).all()
    assert abs(r.mean()) <= 1e-8


def test_weights_obey_their_recurrences():
    def following(alpha, age):
        alpha = Method("optimal")._weight(age, alpha)
        return alpha, alpha

    with jax.enable_x64(True):
        _, alphas = jax.lax.scan(following, jnp.full((), 0.3), jnp.arange(1, 2001))
        assert float(Method("original")._weight(3, jnp.ones(()))) == 0.5
        assert float(Method("none")._weight(3, jnp.ones(()))) == 1.0
    alphas = np.asarray(alphas)
    assert alphas[0] == 1
    assert np.allclose(alphas[1:] ** 2 / (1 - alphas[1:]), alphas[:-1] ** 2, rtol=1e-12)
    assert 2000 * alphas[-1] == pytest.approx(1.9956, abs=1e-4)


def test_the_first_step_is_a_proximal_gradient_step_and_the_second_is_as_written():
    rng = np.random.default_rng(3)
    X, y, x = rng.standard_normal((N, P)), rng.standard_normal(N), rng.standard_normal(P)
    omega, bar = 0.2, 0.1

    def soft(z, cut):
        return np.sign(z) * np.maximum(np.abs(z) - cut, 0)

    def slope(z):
        return X.T @ (X @ z - y) / N + np.where(np.abs(z) <= 0.3, -z / 3.0, -0.1 * np.sign(z))

    with jax.enable_x64(True):
        problem = rs.GeneralizedLinear(X, y, penalty=MCP(bar, 3.0)).prepare("traced")
        method = Method("optimal", step_size=omega)

        @jax.jit
        def steps(problem, x):
            one = method.step(problem, method.init(problem, x, Memory(), None))
            return one, method.step(problem, one)

        one, two = steps(problem, jnp.asarray(x))
    first = soft(x - omega * slope(x), omega * bar)
    assert np.allclose(one.x, first, atol=1e-14)
    assert np.allclose(one.center, first, atol=1e-14)
    alpha = 2 / (1 + np.sqrt(5))
    middle = (1 - alpha) * first + alpha * first
    g = slope(middle)
    assert np.allclose(two.x, soft(middle - omega * g, omega * bar), atol=1e-14)
    delta = omega / alpha
    assert np.allclose(two.center, soft(first - delta * g, delta * bar), atol=1e-14)


@pytest.mark.slow
def test_curvature_beyond_that_at_the_start_is_noticed():
    """At zero the curvature is 1; at the answer it is 5, and at the first step 50."""

    def f(x):
        return jnp.cosh(x).sum() - 5.0 * x.sum()

    problem = rs.Composite(f, L1(0.1), start=np.zeros(2))
    sol = rs.solve(problem, Method(), rtol=1e-8, max_steps=2000)
    assert np.allclose(sol.x, np.arcsinh(4.9), atol=1e-6)


def test_what_has_no_such_parts_is_refused_in_words():
    X, y = data()
    with pytest.raises(ValueError, match="smooth concave"):
        rs.solve(rs.GeneralizedLinear(X, y, penalty=L0(0.1)), Method())
    with pytest.raises(ValueError, match="variant"):
        Method("fast")
    with pytest.raises(ValueError, match="step_size"):
        Method(step_size=-1.0)
    smooth = rs.Composite(lambda x: 0.5 * (x @ x), MCP(0.1, 0.5), start=np.ones(2), lipschitz=1.0)
    with pytest.raises(ValueError, match="step_size"):
        rs.solve(smooth, Method(step_size=0.5))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["optimal", "original", "none"])
def test_every_variant_reaches_the_closed_form(variant):
    X, y = data()
    scores = X.T @ y / N
    weight = 0.4 * np.abs(scores).max()
    sol = rs.solve(model(X, y, "mcp", weight), Method(variant), rtol=1e-8, max_steps=20_000)
    assert np.allclose(sol.x[0], by_hand("mcp", scores, weight), atol=1e-6)


@pytest.mark.slow
def test_restarts_help_where_curvature_varies():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((60, 90)) @ np.diag(np.linspace(0.05, 1.0, 90))
    y = X[:, -5:].sum(axis=1) + 0.1 * rng.standard_normal(60)
    problem = rs.GeneralizedLinear(X, y, penalty=SCAD(0.02, 3.7))
    restarted, plain = (
        rs.solve(problem, Method(variant), rtol=1e-7, max_steps=50_000).steps
        for variant in ("restart", "none")
    )
    assert restarted < 0.5 * plain
