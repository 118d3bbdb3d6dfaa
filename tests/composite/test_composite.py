"""Composite problems of any function, and the proximal gradient method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent import functions

Gradient = rs.composite.ProximalGradient


def quadratic(x, args):
    A, b = args
    return 0.5 * x @ A @ x - b @ x


def chain(n=20):
    """A badly conditioned quadratic on a box."""
    A = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return A, np.linspace(-1.0, 1.0, n) ** 3


def test_trees_of_arrays():
    target = {"a": jnp.array([3.0, -0.2]), "b": jnp.array(0.5)}

    def f(x):
        return 0.5 * ((x["a"] - target["a"]) ** 2).sum() + (x["b"] - target["b"]) ** 2

    start = {"a": jnp.zeros(2), "b": jnp.zeros(())}
    sol = rs.solve(rs.Composite(f, functions.L1(1.0), start=start), rtol=1e-5)
    assert np.allclose(sol.x["a"], [2.0, 0.0], atol=1e-4)
    assert abs(float(sol.x["b"])) <= 1e-4


@pytest.mark.parametrize(
    ("acceleration", "stated"),
    [
        ("fista", False),
        ("none", True),
        pytest.param("fista", True, marks=pytest.mark.slow),
        pytest.param("none", False, marks=pytest.mark.slow),
    ],
)
def test_objective_falls_as_theory_says(acceleration, stated):
    """f(x_k) - f* <= 2 L ||x_0 - x*||^2 / (k + 1)^2, or L ||x_0 - x*||^2 / (2 k)."""
    A, b = chain()
    constant = {"lipschitz": 4.0} if stated else {}
    problem = rs.Composite(
        quadratic, functions.Box(-2.0, 2.0), start=np.zeros(20), args=(A, b), **constant
    )
    best = rs.solve(problem, rtol=1e-12, max_steps=100_000).x
    method = Gradient(acceleration=acceleration, restart=False)
    # A search may end at half of the longest step that theory allows.
    slack = 1.0 if stated else 2.0
    for k in (5, 20, 80):
        x = rs.solve(problem, method, max_steps=k, rtol=0.0, throw=False).x
        excess = quadratic(x, (A, b)) - quadratic(best, (A, b))
        square = slack * 4.0 * float(best @ best)
        bound = 2 * square / (k + 1) ** 2 if acceleration == "fista" else square / (2 * k)
        assert excess <= bound + 1e-12


def test_strong_convexity_gives_a_linear_rate():
    A, b = chain(8)
    values = np.linalg.eigvalsh(A)
    problem = rs.Composite(
        quadratic, start=np.zeros(8), args=(A, b), lipschitz=values[-1], strong=values[0],
    )  # fmt: skip
    best = np.linalg.solve(A, b)
    errors = []
    for k in (40, 80):
        x = rs.solve(problem, Gradient(restart=False), max_steps=k, rtol=0.0, throw=False).x
        errors.append(quadratic(x, (A, b)) - quadratic(best, (A, b)))
    factor = (errors[1] / errors[0]) ** (1 / 40)
    assert factor <= 1 - np.sqrt(values[0] / values[-1])


@pytest.mark.slow
def test_restarts_help_where_curvature_is_not_known():
    A, b = chain(60)
    problem = rs.Composite(quadratic, start=np.zeros(60), args=(A, b))
    steps = [
        rs.solve(problem, Gradient(restart=restart), rtol=1e-8, max_steps=100_000).steps
        for restart in (True, False)
    ]
    assert steps[0] < 0.5 * steps[1]


def test_proximal_steps_that_are_stated_need_no_values():
    A, b = chain()
    problem = rs.Composite(quadratic, start=np.zeros(20), args=(A, b), lipschitz=4.0)
    sol = rs.solve(problem, Gradient(acceleration="none"), rtol=1e-3)
    assert sol.calls["value"] == 0
    assert sol.calls["prox"] == sol.steps
    assert sol.calls["gradient"] == sol.steps + 1


def test_a_function_without_a_minimum_is_never_solved():
    problem = rs.Composite(lambda x: -(x @ x), start=np.ones(3))
    sol = rs.solve(problem, throw=False, max_steps=300)
    assert not sol.converged


@pytest.mark.slow
def test_derivatives_with_respect_to_the_data():
    A, b = chain(6)

    def first(scale):
        problem = rs.Composite(
            quadratic, functions.L1(0.1), start=jnp.zeros(6),
            args=(jnp.asarray(A), scale * jnp.asarray(b)),
        )  # fmt: skip
        return rs.solve(problem, rtol=1e-11).x[0]

    with jax.enable_x64(True):
        slope = float(jax.grad(first)(2.0))
        change = float(first(2.0 + 1e-4) - first(2.0 - 1e-4)) / 2e-4
    assert slope == pytest.approx(change, rel=1e-5)


BAD = {
    "a number for f": ((3.0,), {}, TypeError, "function"),
    "many values": ((lambda x: x,), {}, ValueError, "one real number"),
    "g that is none": ((quadratic, 0.1), {"args": chain(3)}, TypeError, "Function"),
    "a set that does not fit": (
        (quadratic, functions.Ball(1.0, np.zeros(2))), {"args": chain(3)}, ValueError, "center",
    ),
    "a negative constant": (
        (quadratic,), {"args": chain(3), "lipschitz": -1.0}, ValueError, "lipschitz",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused_in_words(name):
    args, options, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        rs.Composite(*args, start=np.ones(3), **options)


def test_bad_parameters_are_refused_in_words():
    A, b = chain(3)
    problem = rs.Composite(quadratic, start=np.zeros(3), args=(A, b), lipschitz=4.0)
    with pytest.raises(ValueError, match="step_size"):
        rs.solve(problem, Gradient(step_size=0.3))
    assert rs.solve(problem, Gradient(step_size=0.3, acceleration="none")).converged
    with pytest.raises(ValueError, match="acceleration"):
        Gradient(acceleration="nesterov")
    with pytest.raises(ValueError, match="not convex"):
        rs.solve(rs.Composite(quadratic, functions.L0(0.1), start=np.zeros(3), args=(A, b)))


def test_a_start_where_f_is_not_finite_is_refused():
    problem = rs.Composite(lambda x: jnp.log(x).sum(), start=-np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        rs.solve(problem)
