"""Derivatives of solutions: right, or NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core.toys import Halve, Shrink

import resolvent as rs


class Root(rs.Problem):
    """Find x > 0 with x^2 = a, entry by entry."""

    a: jax.Array

    def residual(self, x):
        return x * x - self.a

    def start(self, key):
        return jnp.ones_like(self.a) * 2


class Newton(Halve):
    name = "newton"
    solves = (Root,)

    def step(self, problem, state):
        x = state.x
        return state._replace(x=x - (x * x - problem.a) / (2 * x), steps=state.steps + 1)


def root(a, **options):
    return rs.solve(Root(a), Newton(), rtol=0.0, atol=1e-5, **options)


A = jnp.array([2.0, 9.0])


def test_implicit_gradient_of_a_nonlinear_problem():
    slope = jax.grad(lambda a: root(a).x.sum())(A)
    assert np.allclose(slope, 0.5 / np.sqrt(A), rtol=1e-5)


def test_jacobians_in_both_directions():
    forward = jax.jacfwd(lambda a: root(a).x)(A)
    reverse = jax.jacrev(lambda a: root(a).x)(A)
    assert np.allclose(forward, np.diag(0.5 / np.sqrt(A)), rtol=1e-5)
    assert np.allclose(reverse, forward, rtol=1e-5)


def test_second_derivative():
    second = jax.hessian(lambda a: root(a).x.sum())(A)
    assert np.allclose(second, np.diag(-0.25 * A**-1.5), rtol=1e-4)


def test_gradient_under_jit_and_vmap():
    many = jnp.stack([A, 2 * A, 3 * A])
    slopes = jax.jit(jax.vmap(jax.grad(lambda a: root(a).x.sum())))(many)
    assert np.allclose(slopes, 0.5 / np.sqrt(many), rtol=1e-5)


def test_a_missed_target_gives_nan_and_spoils_nothing_else():
    def total(a):
        return root(a, max_steps=1).x.sum()

    assert np.isnan(jax.grad(total)(A)).all()
    many = jnp.stack([jnp.array([4.0, 4.0]), A])  # the first is solved by its start
    slopes = jax.vmap(jax.grad(total))(many)
    assert np.allclose(slopes[0], 0.25)
    assert np.isnan(slopes[1]).all()


def test_a_singular_derivative_is_nan():
    """x^2 = 0 has a double root: the derivative does not exist."""
    slope = jax.grad(lambda a: rs.solve(Root(a), Newton(), x0=jnp.zeros(2)).x.sum())(jnp.zeros(2))
    assert not np.isfinite(slope).any()


def test_the_first_guess_and_the_method_carry_no_derivative():
    def through_start(x0):
        return rs.solve(Root(A), Newton(), x0=x0, rtol=0.0, atol=1e-6).x.sum()

    assert np.array_equal(jax.grad(through_start)(2 * A), np.zeros(2))

    def through_factor(factor):
        return rs.solve(Shrink(A), Halve(factor=factor), rtol=0.0, atol=1e-5).x.sum()

    assert jax.grad(through_factor)(0.5) == 0.0


def test_unrolled_differentiates_the_parameters_of_the_method():
    def left_over(factor):
        sol = rs.solve(
            Shrink(A), Halve(factor=factor), rtol=0.0, atol=0.0, max_steps=3,
            adjoint=rs.Unrolled(),
        )  # fmt: skip
        return (sol.x - A).sum()

    # Two entries at distance factor^3 from the answer.
    assert float(jax.grad(left_over)(0.5)) == pytest.approx(2 * 3 * 0.5**2, rel=1e-5)


def test_unrolled_needs_a_limit():
    with pytest.raises(ValueError, match=r"max_steps: given None with adjoint=Unrolled"):
        jax.grad(lambda a: root(a, adjoint=rs.Unrolled()).x.sum())(A)


def test_unrolled_past_the_target_stays_finite():
    slope = jax.grad(lambda a: root(a, adjoint=rs.Unrolled(), max_steps=40).x.sum())(A)
    assert np.allclose(slope, 0.5 / np.sqrt(A), rtol=1e-4)


def test_large_problems_use_an_iterative_solve():
    n = 300
    diagonal = jnp.linspace(1.0, 2.0, n)

    def total(b):
        return rs.solve(rs.LinearSystem(jnp.diag(diagonal), b), rs.linear.CG(), rtol=1e-5).x.sum()

    assert np.allclose(jax.grad(total)(jnp.ones(n)), 1 / diagonal, rtol=1e-4)


def test_an_iterative_solve_goes_on_where_entries_of_its_right_side_are_zero():
    n = 300
    A = 2.05 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    bump = np.eye(n)[0]

    with jax.enable_x64(True):

        @jax.jit
        def moved(t):
            system = rs.LinearSystem(jnp.asarray(A), 1 + t * jnp.asarray(bump))
            return rs.solve(system, rs.linear.CG(), rtol=1e-10).x

        slope = np.asarray(jax.jvp(moved, (0.0,), (1.0,))[1])
    assert np.allclose(slope, np.linalg.solve(A, bump), rtol=0, atol=1e-8)


def test_a_chosen_solver_is_used():
    import lineax as lx

    def total(a):
        return root(a, adjoint=rs.Implicit(solver=lx.QR())).x.sum()

    assert np.allclose(jax.grad(total)(A), 0.5 / np.sqrt(A), rtol=1e-5)


def test_the_residual_of_eager_data_is_not_differentiated():
    sol = root(A)
    assert sol.converged
    assert np.allclose(sol.x, np.sqrt(A), rtol=1e-5)
