"""Quasi-Newton, conjugate gradient, Frank-Wolfe and other methods for smooth functions on sets."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import resolvent as rs
from resolvent import functions
from resolvent._core import line_search

composite = rs.composite


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def quadratic(x, args):
    A, b = args
    return 0.5 * x @ A @ x - b @ x


def chain(n=10):
    A = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return A, np.linspace(-1.0, 1.0, n) ** 3


def by_scipy(bounds=None, n=10):
    """SciPy's answer for Rosenbrock's function."""
    found = scipy.optimize.minimize(
        scipy.optimize.rosen, np.zeros(n), jac=scipy.optimize.rosen_der, bounds=bounds,
        method="L-BFGS-B", options={"ftol": 0.0, "gtol": 1e-10, "maxiter": 10_000},
    )  # fmt: skip
    return found.x, found.nfev


def test_curved_valley_takes_no_more_gradients_than_scipy():
    sol = rs.solve(rs.Composite(rosenbrock, start=np.zeros(10)), composite.LBFGS(), rtol=1e-8)
    best, looks = by_scipy()
    assert np.allclose(sol.x, best, atol=1e-7)
    assert sol.calls["gradient"] <= 1.2 * looks


def test_curved_valley_under_bounds():
    bounds = [(-0.5, 0.7)] * 5 + [(-0.1, 0.2)] * 5
    low, high = np.array(bounds).T
    problem = rs.Composite(rosenbrock, functions.Box(low, high), start=np.zeros(10))
    sol = rs.solve(problem, composite.LBFGSB(), rtol=1e-8)
    best, looks = by_scipy(bounds)
    assert np.allclose(sol.x, best, atol=1e-7)
    assert sol.calls["gradient"] <= 1.5 * looks
    assert ((sol.x == low) | (sol.x == high)).any()


def test_free_block_of_the_compact_form_is_that_of_bfgs():
    """B by its rank-two updates, the free block inverted as a matrix."""
    from resolvent.composite.gradients import limited_memory as memory

    rng = np.random.default_rng(4)
    n, size = 6, 3
    A = np.diag(np.linspace(1.0, 5.0, n)) + 0.1
    with jax.enable_x64(True):
        pairs, with_pair = memory.no_pairs(size, jnp.zeros(n), 0.5), jax.jit(memory.with_pair)
        steps = rng.standard_normal((5, n))
        for step in steps:
            pairs = with_pair(pairs, jnp.asarray(step), jnp.asarray(A @ step))
        last = steps[-size:]
        B = np.eye(n) / float(pairs.scale)
        for s in last:
            y = A @ s
            B = B - np.outer(B @ s, B @ s) / (s @ B @ s) + np.outer(y, y) / (s @ y)
        v = rng.standard_normal(n)
        solved_on = jax.jit(memory.solved_on)
        for free in (np.ones(n, bool), np.arange(n) % 2 == 0):
            found = solved_on(pairs, jnp.asarray(v), jnp.asarray(free))
            wanted = np.zeros(n)
            wanted[free] = np.linalg.solve(B[np.ix_(free, free)], v[free])
            assert np.allclose(found, wanted, rtol=1e-10, atol=1e-12)
        assert np.allclose(jax.jit(memory.two_loops)(pairs, jnp.asarray(v)), np.linalg.solve(B, v))


LINES = {
    "parabola": lambda t: (t - 3.0) ** 2,
    "far": lambda t: (t / 500.0 - 1.0) ** 2,
    "near": lambda t: (1e4 * t - 1.0) ** 2,
    "log": lambda t: -jnp.log(1.0 - t) - 3.0 * t,  # not finite from 1 on
    "quartic": lambda t: t**4 - 2.0 * t,
}


def test_wolfe_conditions_hold():
    @jax.jit
    def found(which, flat):
        def at(t):
            return jax.lax.switch(which, list(LINES.values()), t)

        def look(t):
            return *jax.value_and_grad(at)(t), t

        value, slope, _ = look(0.0)
        end = line_search.wolfe(look, 1.0, value, slope, flat=flat)
        return value, slope, end, jax.grad(at)(end.step)

    with jax.enable_x64(True):
        for which in range(len(LINES)):
            for flat in (0.9, 0.01):
                value, slope, end, after = found(which, flat)
                assert bool(end.good)
                assert float(end.value) <= value + 1e-4 * end.step * slope
                assert abs(float(after)) <= flat * abs(slope)
                assert int(end.looks) <= 12


@pytest.mark.parametrize(
    "formula",
    [
        "hager-zhang",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("polak-ribiere", "dai-yuan", "fletcher-reeves")
        ),
    ],
)
def test_conjugate_gradients_end_a_quadratic_in_about_n_steps(formula):
    A, b = chain()
    problem = rs.Composite(quadratic, start=np.zeros(10), args=(A, b))
    sol = rs.solve(problem, composite.NonlinearCG(formula), rtol=1e-8)
    assert np.allclose(sol.x, np.linalg.solve(A, b), atol=1e-6)
    assert sol.steps <= 30


def on_simplex():
    A, b = chain()
    start = np.full(10, 0.1)
    return rs.Composite(quadratic, functions.Simplex(), start=start, args=(A, b))


@pytest.mark.parametrize(
    "method",
    [
        composite.FrankWolfe("away", "search"),
        pytest.param(composite.MirrorDescent(), marks=pytest.mark.slow),
        pytest.param(composite.FrankWolfe("pairwise"), marks=pytest.mark.slow),
        pytest.param(composite.FrankWolfe("pairwise", "search"), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_methods_agree_on_a_simplex(method):
    best = rs.solve(on_simplex(), rtol=1e-12).x
    sol = rs.solve(on_simplex(), method, rtol=1e-8)
    assert np.allclose(sol.x, best, atol=1e-6)
    assert (sol.x >= 0).all()
    assert sol.x.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.slow
def test_open_loop_steps_are_as_good_as_theory_says():
    """f(x_k) - f* <= 2 L diameter^2 / (k + 2)."""
    A, b = chain()
    best = rs.solve(on_simplex(), rtol=1e-12).x
    method = composite.FrankWolfe("plain", "open")
    for k in (10, 100):
        x = rs.solve(on_simplex(), method, max_steps=k, rtol=0.0, throw=False).x
        assert quadratic(x, (A, b)) - quadratic(best, (A, b)) <= 2 * 4.0 * 2.0 / (k + 2)


def test_responses_of_bounded_sets_reach_their_support():
    v = jnp.array([1.0, -2.0, 0.5])
    sets = (
        functions.Box(-1.0, 2.0), functions.Ball(2.0), functions.Simplex(3.0),
        functions.L1Ball(1.5), functions.MaxBall(0.5),
    )  # fmt: skip

    @jax.jit
    def answers(v):
        found = [one.response(v) for one in sets]
        near = [one.project(best) for one, best in zip(sets, found, strict=True)]
        return found, near, [one.support(v) for one in sets]

    for best, near, most in zip(*answers(v), strict=True):
        assert float(best @ v) == pytest.approx(float(most), rel=1e-6)
        assert np.allclose(near, best, atol=1e-6)


@pytest.mark.slow
def test_newton_steps_are_superlinear():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 8))
    y = np.sign(X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(60))
    problem = rs.GeneralizedLinear(X, y, functions.Logistic(), functions.L1(0.02))
    steps = [
        rs.solve(problem, composite.ProximalNewton(), rtol=rtol).steps for rtol in (1e-6, 1e-12)
    ]
    assert steps[1] <= steps[0] + 2


def test_newton_steps_take_few_gradients():
    A, b = chain()
    problem = rs.Composite(quadratic, functions.L1(0.1), start=np.zeros(10), args=(A, b))
    sol = rs.solve(problem, composite.ProximalNewton(), rtol=1e-9)
    plain = rs.solve(problem, rtol=1e-9)
    assert np.allclose(sol.x, plain.x, atol=1e-7)
    assert sol.calls["gradient"] <= 12 < plain.calls["gradient"]


@pytest.mark.parametrize(
    "method",
    [
        composite.PolyakGradient(batch=None, lowest=-0.5),
        pytest.param(composite.ArmijoGradient(batch=None), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_steps_on_all_of_the_data_need_no_samples(method):
    problem = rs.Composite(lambda x: 0.5 * (x @ x) - x[0], start=np.ones(3))
    sol = rs.solve(problem, method, rtol=1e-7)
    assert np.allclose(sol.x, [1.0, 0.0, 0.0], atol=1e-6)
    assert "sampled_gradient" not in sol.calls or sol.calls["sampled_gradient"] == 0
    with pytest.raises(ValueError, match="batch"):
        rs.solve(problem, method.but(batch=2))


def test_armijo_steps_stay_short_where_values_show_no_fall():
    # Single precision: near 1/2 the values are all alike long before the gradient is zero.
    problem = rs.Composite(
        lambda x: 2.0 * x.sum() - jnp.log(x).sum(), start=jnp.full(3, 0.1, jnp.float32)
    )
    sol = rs.solve(problem, composite.ArmijoGradient(batch=None), rtol=1e-5, max_steps=100)
    assert np.allclose(sol.x, 0.5, atol=1e-5)


@pytest.mark.parametrize("step_size", ["exact", "search"])
def test_vertex_steps_are_short_where_curvature_begins_ahead(step_size):
    problem = rs.Composite(
        lambda x: 1e3 * jnp.maximum(x[0] - 0.4, 0.0) ** 3 - x[0], functions.Simplex(),
        start=np.array([0.3, 0.7]),
    )  # fmt: skip
    sol = rs.solve(problem, composite.FrankWolfe("plain", step_size), rtol=1e-8)
    assert np.allclose(sol.x[0], 0.4 + (1 / 3000) ** 0.5, atol=1e-8)
    assert sol.calls["value"] <= 30


WRONG = {
    "differentiable": (composite.LBFGS(), functions.L1(0.1)),
    "box": (composite.LBFGSB(), functions.Ball(1.0)),
    "bounded": (composite.FrankWolfe(), functions.Nonnegative()),
    "simplex": (composite.MirrorDescent(), functions.Box(0.0, 1.0)),
    "convex": (composite.ProximalNewton(), functions.L0(0.1)),
    "variant": (composite.FrankWolfe("away"), functions.Ball(1.0)),
    "step_size": (composite.FrankWolfe(step_size="open"), functions.Simplex()),
}


@pytest.mark.parametrize("name", WRONG)
def test_second_terms_that_do_not_suit_are_refused(name):
    method, g = WRONG[name]
    with pytest.raises(ValueError, match=r"given .*needed"):
        rs.solve(rs.Composite(lambda x: x @ x, g, start=np.ones(3)), method)


def test_bad_parameters_of_smooth_methods_are_refused():
    cases: tuple[tuple[Any, dict[str, Any]], ...] = (
        (composite.LBFGS, {"pairs": 0}), (composite.LBFGS, {"flat": 2.0}),
        (composite.NonlinearCG, {"formula": "newton"}), (composite.FrankWolfe, {"variant": "up"}),
        (composite.FrankWolfe, {"step_size": "long"}),
        (composite.MirrorDescent, {"step_size": 0.0}),
        (composite.ProximalNewton, {"inner": 0}), (composite.PolyakGradient, {"batch": 0}),
        (composite.PolyakGradient, {"most": -1.0}), (composite.ArmijoGradient, {"decrease": 1.0}),
        (composite.PolyakGradient, {"lowest": float("nan")}),
    )  # fmt: skip
    for cls, options in cases:
        with pytest.raises(ValueError, match=next(iter(options))):
            cls(**options)
