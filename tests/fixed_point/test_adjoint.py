"""Derivatives of fixed points, by the implicit rule, whose system is solved in several ways."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.fixed_point import (
    Anderson,
    FixedPoint,
    FixedPointSolver,
    Halpern,
    Picard,
)  # fmt: skip

SOLVERS = {
    "own": None,
    "anderson": FixedPointSolver(rtol=1e-12),
    "neumann": FixedPointSolver(Picard(), rtol=1e-12),
}
each = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
N, BATCH = 6, 3


class Layer(eqx.Module):
    """A deep-equilibrium layer whose weights are the module's own."""

    weight: jax.Array
    bias: jax.Array
    activation: object = eqx.field(static=True, default=jnp.tanh)

    def __call__(self, z, u):
        return self.activation(z @ self.weight.T + u + self.bias)  # pyright: ignore[reportCallIssue]


def data(seed=0):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((N, N))
    return 0.7 * W / np.linalg.norm(W, 2), rng.standard_normal(N), rng.standard_normal((BATCH, N))


def reference(W, b, U):
    z = np.zeros((BATCH, N))
    for _ in range(300):
        z = np.tanh(z @ W.T + U + b)
    return float((z**3).sum())


def slope(function, x, direction, step=1e-5):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.slow
@each
def test_gradients_for_arguments_agree_with_finite_differences(solver):
    W, b, U = data()
    rule = rs.Implicit(solver=solver)
    with jax.enable_x64(True):

        @jax.jit
        def loss(W, b, U):
            problem = FixedPoint(
                lambda z, args: jnp.tanh(z @ args[0].T + args[2] + args[1]),
                jnp.zeros((BATCH, N)), (W, b, U),
            )  # fmt: skip
            return (rs.solve(problem, Anderson(), rtol=1e-12, adjoint=rule).x ** 3).sum()

        gradients = jax.grad(loss, argnums=(0, 1, 2))(*map(jnp.asarray, (W, b, U)))
        directions = data(1)
        for i, (gradient, direction) in enumerate(zip(gradients, directions, strict=True)):

            def along(part, i=i):
                return reference(*(part if j == i else one for j, one in enumerate((W, b, U))))

            expected = slope(along, (W, b, U)[i], direction)
            assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-7)


@pytest.mark.slow
@each
def test_gradients_for_a_module_agree_with_finite_differences(solver):
    W, b, U = data()
    rule = rs.Implicit(solver=solver)
    with jax.enable_x64(True):

        @eqx.filter_jit
        @eqx.filter_grad
        def gradient(layer, U):
            problem = FixedPoint(layer, jnp.zeros((BATCH, N)), U)
            return (rs.solve(problem, Picard(), rtol=1e-12, adjoint=rule).x ** 3).sum()

        found = gradient(Layer(jnp.asarray(W), jnp.asarray(b)), jnp.asarray(U))
        directions = data(1)
        expected = slope(lambda W: reference(W, b, U), W, directions[0])
        assert float((found.weight * directions[0]).sum()) == pytest.approx(expected, rel=1e-7)
        expected = slope(lambda b: reference(W, b, U), b, directions[1])
        assert float((found.bias * directions[1]).sum()) == pytest.approx(expected, rel=1e-7)


@pytest.mark.slow
@each
def test_forward_and_second_derivatives(solver):
    rule = rs.Implicit(solver=solver)

    def answer(a):
        """x = a cos x."""
        problem = FixedPoint(lambda x, a: a * jnp.cos(x), jnp.ones(1, a.dtype), a)
        return rs.solve(problem, Anderson(), rtol=1e-13, adjoint=rule).x[0]

    with jax.enable_x64(True):
        a = jnp.asarray(0.7)
        x = float(answer(a))
        first = np.cos(x) / (1 + 0.7 * np.sin(x))
        _, forward = jax.jvp(answer, (a,), (jnp.ones_like(a),))
        assert float(forward) == pytest.approx(first, rel=1e-10)
        change = slope(lambda t: float(jax.grad(answer)(jnp.asarray(t))), 0.7, 1.0)
        assert float(jax.grad(jax.grad(answer))(a)) == pytest.approx(change, rel=1e-6)


def test_a_derivative_that_did_not_converge_is_not_a_number():
    def answer(a, solver):
        problem = FixedPoint(lambda x, a: a * jnp.cos(x), jnp.ones(2), a)
        return rs.solve(problem, Picard(), adjoint=rs.Implicit(solver=solver)).x.sum()

    short = FixedPointSolver(Picard(), max_steps=2)
    assert np.isnan(jax.grad(answer)(jnp.asarray(0.9), short))
    assert np.isfinite(jax.grad(answer)(jnp.asarray(0.9), FixedPointSolver(Picard())))


def test_nothing_to_solve_has_a_derivative_of_zero():
    def answer(a):
        problem = FixedPoint(lambda x, a: a * jnp.cos(x), jnp.ones(2), a)
        x = rs.solve(problem, Picard(), adjoint=rs.Implicit(solver=FixedPointSolver())).x
        return 0.0 * x.sum()

    assert float(jax.grad(answer)(jnp.asarray(0.5))) == 0.0


@pytest.mark.slow
def test_trees_and_single_precision():
    def answer(a):
        def fn(x, a):
            return {"u": a * jnp.cos(x["v"].sum()), "v": 0.3 * jnp.sin(x["u"]) * jnp.ones(2)}

        start = {"u": jnp.zeros(()), "v": jnp.zeros(2)}
        rule = rs.Implicit(solver=FixedPointSolver(Halpern()))
        x = rs.solve(FixedPoint(fn, start, a), rtol=1e-6, adjoint=rule).x
        return x["u"] + x["v"].sum()

    step = jnp.float32(1e-2)
    change = (answer(0.5 + step) - answer(0.5 - step)) / (2 * step)
    assert float(jax.grad(answer)(jnp.float32(0.5))) == pytest.approx(float(change), rel=1e-2)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"rtol": -1.0}, ValueError), ({"rtol": "tight"}, TypeError), ({"max_steps": 0}, ValueError),
     ({"max_steps": 1.5}, TypeError)],
)  # fmt: skip
def test_parameters_are_checked(options, kind):
    with pytest.raises(kind, match=r"given .*needed"):
        FixedPointSolver(**options)
