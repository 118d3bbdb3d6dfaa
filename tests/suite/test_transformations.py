"""Traced methods under jit, vmap and grad, and what gets compiled when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.problems import RTOL, TRACED

import resolvent as rs
from resolvent._core import traced

each = pytest.mark.parametrize("pair", TRACED, ids=str)
RATE = RTOL[np.float32]


def single(pair, seed=0):
    matrix, rhs = pair.house.data(seed=seed)
    return jnp.asarray(matrix, jnp.float32), jnp.asarray(rhs, jnp.float32)


def solver(pair, **options):
    """A function of matrix and right-hand side that returns the solution."""
    method = pair.method

    def run(matrix, rhs):
        return rs.solve(pair.house.traced(matrix, rhs), method, **options)

    return run


@each
def test_jit_equals_eager(pair):
    matrix, rhs = single(pair)
    run = solver(pair, rtol=RATE, key=3)
    eager, compiled = run(matrix, rhs), jax.jit(run)(matrix, rhs)
    assert compiled.steps == eager.steps
    assert compiled.converged
    assert compiled.reason is rs.Reason.target
    assert jax.tree_util.tree_map(int, compiled.calls) == eager.calls
    assert compiled.x.dtype == eager.x.dtype == jnp.float32
    scale = float(jnp.abs(eager.x).max())
    assert np.allclose(compiled.x, eager.x, rtol=0, atol=1e-5 * scale)


@each
def test_jit_keeps_the_step_limit(pair):
    matrix, rhs = single(pair)
    sol = jax.jit(solver(pair, rtol=RATE, max_steps=2))(matrix, rhs)
    assert sol.steps == 2
    assert not sol.converged
    assert sol.reason is rs.Reason.max_steps


@each
def test_batch_equals_a_loop(pair):
    data = [single(pair, seed) for seed in range(3)]
    problems = [pair.house.traced(*one) for one in data]
    loop = [rs.solve(one, pair.method, rtol=RATE, key=(0, i)) for i, one in enumerate(problems)]
    batch = rs.solve_batch(problems, pair.method, rtol=RATE, key=0)
    assert batch.converged.all()
    assert batch.x.shape == (3, pair.house.size)
    assert list(batch.steps) == [one.steps for one in loop]
    for row, one in zip(batch.x, loop, strict=True):
        assert np.allclose(row, one.x, rtol=0, atol=1e-5 * float(jnp.abs(one.x).max()))


@each
def test_batch_members_end_one_by_one(pair):
    data = [single(pair, seed) for seed in range(2)]
    easy = (data[0][0], jnp.zeros_like(data[0][1]))
    problems = [pair.house.traced(*one) for one in (easy, data[1])]
    batch = rs.solve_batch(problems, pair.method, rtol=RATE)
    assert batch.steps[0] == 0
    assert batch.steps[1] > 0
    assert batch.converged.all()


@each
def test_vmap_equals_a_loop(pair):
    matrix, _ = single(pair)
    sides = jnp.stack([single(pair, seed)[1] for seed in range(3)])
    run = solver(pair, rtol=RATE, key=3)
    many = jax.vmap(lambda rhs: run(matrix, rhs))(sides)
    for i in range(3):
        one = run(matrix, sides[i])
        assert many.steps[i] == one.steps
        assert np.allclose(many.x[i], one.x, rtol=0, atol=1e-5 * float(jnp.abs(one.x).max()))


def scene(pair):
    """A double precision family of problems along a parameter, and a linear read-out."""
    matrix, rhs = pair.house.data()
    rng = np.random.default_rng(8)
    bump, slope = np.diag(rng.uniform(0.1, 1.0, rhs.size)), rng.standard_normal(rhs.size)
    weights = rng.standard_normal(rhs.size)

    def parts(t):
        return matrix + t * bump, rhs + t * slope

    def reference(t):
        return float(weights @ np.linalg.solve(*parts(t)))

    return parts, weights, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5


def readout(pair, **options):
    parts, weights, slope = scene(pair)

    def value(t):
        matrix, rhs = parts(t)
        problem = pair.house.traced(jnp.asarray(matrix), jnp.asarray(rhs))
        return jnp.asarray(weights) @ rs.solve(problem, pair.method, **options).x

    return value, slope


@each
def test_implicit_gradient_agrees_with_finite_differences(pair):
    with jax.enable_x64(True):
        value, slope = readout(pair, rtol=1e-11)
        assert float(jax.jit(jax.grad(value))(0.3)) == pytest.approx(slope, rel=1e-6)


@each
def test_implicit_forward_derivative_agrees(pair):
    with jax.enable_x64(True):
        value, slope = readout(pair, rtol=1e-11)
        _, moved = jax.jit(lambda t: jax.jvp(value, (t,), (1.0,)))(0.3)
        assert float(moved) == pytest.approx(slope, rel=1e-6)


@each
def test_gradient_of_a_missed_target_is_nan(pair):
    with jax.enable_x64(True):
        value, _ = readout(pair, rtol=1e-11, max_steps=1)
        assert np.isnan(jax.jit(jax.grad(value))(0.3))


@each
def test_unrolled_gradient_agrees_with_finite_differences(pair):
    matrix, rhs = pair.house.data()
    parts, weights, slope = scene(pair)
    with jax.enable_x64(True):
        problem = pair.house.traced(jnp.asarray(matrix), jnp.asarray(rhs))
        # Three steps more than needed: the loop idles and its derivative must stay finite.
        limit = 3 + int(rs.solve(problem, pair.method, rtol=1e-11).steps)

        @jax.jit
        def value(t, rtol):
            A, b = parts(t)
            one = pair.house.traced(jnp.asarray(A), jnp.asarray(b))
            sol = rs.solve(one, pair.method, rtol=rtol, max_steps=limit, adjoint=rs.Unrolled())
            return jnp.asarray(weights) @ sol.x

        gradient = jax.jit(jax.grad(value))
        assert float(gradient(0.3, 1e-11)) == pytest.approx(slope, rel=1e-5)
        # An unfinished iterate has a derivative of its own.
        change = float(value(0.3 + 1e-6, 1e-2) - value(0.3 - 1e-6, 1e-2)) / 2e-6
        assert float(gradient(0.3, 1e-2)) == pytest.approx(change, rel=1e-4, abs=1e-7)


@each
def test_no_adjoint_means_no_derivative(pair):
    with jax.enable_x64(True):
        value, _ = readout(pair, rtol=1e-11, adjoint=None)
        assert float(jax.jit(jax.grad(value))(0.3)) == 0.0


@each
def test_second_solve_of_a_shape_compiles_nothing(pair, traces):
    def run(seed, **options):
        rs.solve(pair.house.traced(*single(pair, seed)), pair.method, throw=False, **options)

    run(0, rtol=1e-4)
    run(0, rtol=1e-30)  # the refreshing continuation
    programs, events = traced.compilations(), traces()
    run(1, rtol=1e-3)
    run(2, rtol=1e-5, max_steps=7, key=9)
    run(3, rtol=1e-30)
    assert traced.compilations() == programs
    assert traces() == events


@each
def test_precision_of_the_user_is_untouched(pair):
    sample = pair.house.sample("traced", np.float64)

    def other():
        return jnp.arange(3.0).dtype, (jnp.ones(2) * 2.5).dtype

    before = jax.config.jax_enable_x64, other()
    seen = []
    rs.solve(
        sample.problem, pair.method, rtol=1e-30, throw=False,
        callback=lambda report: seen.append((jax.config.jax_enable_x64, other())),
    )  # fmt: skip
    assert (jax.config.jax_enable_x64, other()) == before
    assert set(seen) <= {before}
