"""Restarts of the traced GMRES: no product of their own, also under vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.linear import GMRES, JacobiPreconditioner


def convection(n=40, seed=0):
    rng = np.random.default_rng(seed)
    A = np.diag(np.linspace(1.0, 9.0, n)) + np.diag(rng.uniform(0.2, 0.8, n - 1), 1)
    return A, rng.standard_normal(n)


@pytest.mark.parametrize("M", [None, JacobiPreconditioner()])
def test_the_residual_of_a_restart_is_the_true_one(M):
    with jax.enable_x64(True):
        A, b = convection()
        problem = rs.LinearSystem(jnp.asarray(A), jnp.asarray(b))
        method = GMRES(restart=5, preconditioner=M).bind(problem)
        state = method.init(problem, jnp.zeros(40), Memory(), None)
        for _ in range(15):
            state = method.step(problem, state)
        assert int(state.j) == 0  # three cycles are closed
        x, _ = method.iterate(problem, state)
        true = b - A @ np.asarray(x)
        own = np.asarray(state.basis[0]) * float(state.norm)
        assert np.abs(true - own).max() <= 1e-13 * np.linalg.norm(b)
        assert int(state.products) == 16


@pytest.mark.parametrize("restart", [5, 40])
def test_both_engines_spend_a_product_a_step(restart):
    A, b = convection()
    host = rs.solve(rs.LinearSystem(A, b), GMRES(restart=restart), rtol=1e-9)
    traced = rs.solve(rs.LinearSystem(jnp.asarray(A), jnp.asarray(b)), GMRES(restart=restart))
    assert host.calls["matvec"] == host.steps
    assert traced.calls["matvec"] == traced.steps + 1


def test_products_of_a_batch_are_those_that_are_counted():
    tally = [0]

    def product(x, A):
        jax.debug.callback(lambda *_: tally.__setitem__(0, tally[0] + 1), x[0])
        return A @ x

    n, size = 40, 3
    matrices = [jnp.asarray(convection(n, seed)[0], jnp.float32) for seed in range(size)]
    b = jnp.asarray(convection(n)[1], jnp.float32)
    method = GMRES(restart=4)
    problems = [rs.LinearSystem(product, b, args=A) for A in matrices]
    sols = rs.solve_batch(problems, method, max_steps=10, rtol=1e-12)
    jax.effects_barrier()
    assert (np.asarray(sols.steps) == 10).all()
    assert [int(n) for n in sols.calls["matvec"]] == [11] * size
    plain = tally[0]
    tally[0] = 0
    more = rs.solve_batch(problems, method, max_steps=20, rtol=1e-12)
    jax.effects_barrier()
    # Ten steps and two restarts more: ten products more for each, whatever else is thrown away.
    assert (np.asarray(more.steps) == 20).all()
    assert tally[0] - plain == 10 * size


def test_single_precision_restarts_reach_what_is_asked():
    A, b = convection(200, 1)
    problem = rs.LinearSystem(jnp.asarray(A, jnp.float32), jnp.asarray(b, jnp.float32))
    sol = rs.solve(problem, GMRES(restart=8), rtol=2e-6)
    assert np.linalg.norm(b - A @ np.asarray(sol.x, float)) <= 4e-6 * np.linalg.norm(b)
