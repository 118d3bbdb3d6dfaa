"""Anderson's acceleration against its definition, GMRES, and maps that would break it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point import Anderson, FixedPoint, KrasnoselskiiMann, Picard

SIZE = 12


def affine(seed=0, n=SIZE, factor=0.9, symmetric=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    A = A + A.T if symmetric else A
    return factor * A / np.linalg.norm(A, 2), rng.standard_normal(n)


def numpy_map(x, args):
    return args[0] @ np.array(x) + args[1]


def traced_map(x, args):
    return args[0] @ x + args[1]


def definition(A, b, steps, *, kind, window, damping, first):
    """The points of Anderson's iteration by least squares, from zero."""
    xs = [np.zeros(b.size)]
    fs = [b.copy()]
    xs.append(first * b)
    for _ in range(steps - 1):
        fs.append(A @ xs[-1] + b - xs[-1])
        columns = range(max(0, len(fs) - 1 - window), len(fs) - 1)
        dX = np.stack([xs[i + 1] - xs[i] for i in columns], axis=1)
        dF = np.stack([fs[i + 1] - fs[i] for i in columns], axis=1)
        if kind == 2:
            gamma = np.linalg.lstsq(dF, fs[-1], rcond=None)[0]
        else:
            gamma = np.linalg.solve(dX.T @ dF, dX.T @ fs[-1])
        xs.append(xs[-1] + damping * fs[-1] - (dX + damping * dF) @ gamma)
    return xs


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize(("window", "damping"), [(3, 1.0), (3, 0.6), (20, 1.0), (1, 0.5)])
@pytest.mark.parametrize("fn", [numpy_map, traced_map])
def test_iterates_are_those_of_the_definition(kind, window, damping, fn):
    A, b = affine()
    problem = FixedPoint(fn, np.zeros(SIZE), (A, b))
    method = Anderson(
        window, kind, damping=damping, regularization=1e-300, safeguard=None, fallback=0.7
    )
    expected = definition(A, b, 7, kind=kind, window=window, damping=damping, first=0.7)
    for k in (1, 2, 3, 5, 7):
        with jax.enable_x64(True):
            run = problem if fn is numpy_map else problem.prepare("traced")
            now = method.init(run, run.start(None), None, None)
            for _ in range(k):
                now = method.step(run, now)
            assert np.allclose(now.x, expected[k], rtol=1e-7, atol=1e-9)


def test_type_two_is_gmres_on_affine_maps():
    """The residual after k steps is no larger than that of k products, and zero after n."""
    A, b = affine()
    problem = FixedPoint(numpy_map, np.zeros(SIZE), (A, b))
    method = Anderson(SIZE + 1, regularization=1e-300, safeguard=None, fallback=1.0)
    state = method.init(problem, np.zeros(SIZE), None, None)
    M, krylov = np.eye(SIZE) - A, [b]
    for k in range(1, SIZE):
        state = method.step(problem, state)
        # The point after k steps is T of the minimizer over k - 1 products.
        basis = np.stack(krylov, axis=1)[:, : k - 1]
        y = np.zeros(0) if k == 1 else np.linalg.lstsq(M @ basis, b, rcond=None)[0]
        x = basis @ y if k > 1 else np.zeros(SIZE)
        assert np.allclose(state.x, A @ x + b, rtol=0, atol=1e-6)
        krylov.append(M @ krylov[-1])
    sol = rs.solve(problem, method, rtol=1e-9)
    assert sol.steps <= SIZE + 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1, 2])
def test_it_is_quicker_than_what_it_accelerates(kind):
    A, b = affine(factor=0.99, symmetric=True)
    problem = FixedPoint(traced_map, np.zeros(SIZE), (A, b))
    plain = rs.solve(problem, Picard(), rtol=1e-8)
    fast = rs.solve(problem, Anderson(kind=kind), rtol=1e-8)
    assert fast.steps < plain.steps / 20


def test_value_iteration():
    rng = np.random.default_rng(0)
    P, reward = rng.random((3, 20, 20)) ** 8, rng.random((3, 20))
    P /= P.sum(-1, keepdims=True)

    def bellman(V, args):
        P, reward = args
        return (reward + 0.99 * (P @ V)).max(0)

    problem = FixedPoint(bellman, np.zeros(20), (P, reward), contraction=0.99)
    sol = rs.solve(problem, rtol=1e-8)
    assert sol.method == "anderson"
    assert sol.certificate.kind == "bound"
    assert sol.steps < 60
    exact = sol.x
    for _ in range(20):
        policy = (reward + 0.99 * (P @ exact)).argmax(0)
        chosen = P[policy, np.arange(20)], reward[policy, np.arange(20)]
        exact = np.linalg.solve(np.eye(20) - 0.99 * chosen[0], chosen[1])
    assert np.linalg.norm(sol.x - exact) <= 1.01e-8


def rotation(x, args):
    cosine, sine = args
    return jnp.stack([cosine * x[0] - sine * x[1], sine * x[0] + cosine * x[1]])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1, 2])
def test_nonexpansive_maps_converge_as_well_as_averaged(kind):
    theta = np.linspace(0.3, 3.0, 6)
    problem = FixedPoint(rotation, np.ones((2, 6)), (np.cos(theta), np.sin(theta)))
    sol = rs.solve(problem, Anderson(kind=kind), rtol=1e-6)
    averaged = rs.solve(problem, KrasnoselskiiMann(), rtol=1e-6)
    assert sol.steps <= 2 * averaged.steps


def cliff(x):
    """Nonexpansive, flat far out: the slope there says nothing of the fixed point."""
    return x - jnp.arctan(x)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("start", [3.0, 30.0, 3e4])
def test_the_safeguard_holds_where_the_model_is_wrong(kind, start):
    problem = FixedPoint(cliff, np.array([start, -start / 2]))
    sol = rs.solve(problem, Anderson(kind=kind), rtol=1e-9, max_steps=10**6)
    assert np.allclose(sol.x, 0.0, atol=1e-8)


def pit(x):
    """Not defined beyond 2, where the steps of the secant lead."""
    return jnp.where(jnp.abs(x) <= 2.0, 0.9 * x + 0.05 * x**3, jnp.nan)


@pytest.mark.slow
def test_what_is_no_number_is_taken_back():
    problem = FixedPoint(pit, np.array([1.2, -0.9]))
    for options in ({}, {"safeguard": None}, {"kind": 1}):
        sol = rs.solve(problem, Anderson(**options), rtol=1e-9)
        assert np.allclose(np.asarray(pit(jnp.asarray(sol.x))), sol.x, atol=1e-6)
    host = FixedPoint(lambda x: np.asarray(pit(np.array(x))), np.array([1.2, -0.9]))
    assert rs.solve(host, Anderson(), rtol=1e-9).converged


def test_refused_steps_cost_one_evaluation_and_forget():
    problem = FixedPoint(lambda x: np.array(cliff(np.array(x))), np.array([30.0]))
    method, seen = Anderson(safeguard=0.5), 0
    state = method.init(problem, np.array([30.0]), None, None)
    for k in range(60):
        following = method.step(problem, state)
        if np.array_equal(following.x, state.x):
            seen += 1
            assert state.bold
            assert not following.bold
            assert following.history.count == 0
            assert np.allclose(following.trial, state.x + 0.5 * state.f)
        assert method.calls(problem, following) == {"map": k + 2}
        state = following
    assert seen > 0


def test_restart_empties_the_window():
    A, b = affine()
    problem = FixedPoint(numpy_map, np.zeros(SIZE), (A, b))
    method = Anderson(5, restart=3)
    state, counts = method.init(problem, np.zeros(SIZE), None, None), []
    for _ in range(9):
        state = method.step(problem, state)
        counts.append(int(state.history.count))
    assert counts == [1, 2, 0] * 3
    assert rs.solve(problem, method).converged


def test_trees_with_a_batch_are_one_vector():
    W, _ = affine(n=6)
    U = np.random.default_rng(1).standard_normal((4, 6))

    def layer(z, args):
        W, U = args
        return {"z": jnp.tanh(z["z"] @ W + U), "mean": z["z"].mean()}

    start = {"z": np.zeros((4, 6)), "mean": np.zeros(())}
    sol = rs.solve(FixedPoint(layer, start, (W, U)), rtol=1e-10)
    assert np.allclose(np.tanh(sol.x["z"] @ W + U), sol.x["z"], atol=1e-9)
    assert sol.x["mean"] == pytest.approx(sol.x["z"].mean(), abs=1e-9)
    assert sol.x["mean"].shape == ()


def test_mixed_precision_of_leaves_is_kept():
    def fn(x):
        return jnp.cos(x[0]), 0.5 * jnp.sin(x[1])

    start = np.ones(2, np.float32), np.ones(3, np.float64)
    sol = rs.solve(FixedPoint(fn, start), rtol=1e-6)
    assert [part.dtype for part in sol.x] == [np.float32, np.float64]


def test_hopeless_gram_matrices_do_no_harm():
    """T is constant: changes are parallel, then zero."""
    problem = FixedPoint(lambda x: 0 * x + 3.0, np.ones(4))
    for kind in (1, 2):
        assert np.allclose(rs.solve(problem, Anderson(kind=kind), rtol=1e-12).x, 3.0)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"window": 0}, ValueError), ({"window": 2.5}, TypeError), ({"kind": 3}, ValueError),
     ({"damping": 0.0}, ValueError), ({"damping": 1.2}, ValueError),
     ({"regularization": -1.0}, ValueError), ({"safeguard": 0.0}, ValueError),
     ({"safeguard": np.nan}, ValueError), ({"fallback": 2.0}, ValueError),
     ({"fallback": "whole"}, TypeError), ({"restart": 0}, ValueError)],
)  # fmt: skip
def test_parameters_are_checked(options, kind):
    with pytest.raises(kind, match=r"given .*needed"):
        Anderson(**options)
