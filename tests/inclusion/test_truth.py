"""Certificates far from answers, points that are repaired, steps that are searched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.functions import L1, Ball, Box, Everything, Nonnegative, Product, SquaredL2
from resolvent.inclusion import AffineOperator, DouglasRachford, MirrorProx, PrimalDual

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
SETS = [
    Everything(), Nonnegative(), Box(-2.0, np.inf), SquaredL2(0.5), SquaredL2(0.5, 3.0),
    SquaredL2(2.0, domain=Nonnegative()), L1(0.3),
]  # fmt: skip


@pytest.mark.parametrize("G", SETS, ids=repr)
def test_displacements_are_those_of_the_resolvent(G):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, v = (jnp.asarray(rng.standard_normal(50) * 3) for _ in range(2))
        x = G.nearest(x)
        assert np.allclose(G.displacement(x, v), x - G.prox(x - v, 1.0), atol=1e-13)


@pytest.mark.parametrize("G", [None, Nonnegative()])
def test_a_small_operator_at_a_large_point_is_seen(G):
    far = rs.Inclusion(jnp.tanh, G, start=jnp.full(2, 1e8, jnp.float32))
    assert rs.certify(far, far.first).value == pytest.approx(2**0.5, rel=1e-5)
    slight = rs.Inclusion(lambda x: 1e-2 * (x - 1e4), G, start=jnp.zeros(1, jnp.float32))
    point = jnp.full(1, 10000.04, jnp.float32)
    value = 1e-2 * (float(point[0]) - 1e4)
    assert float(rs.certify(slight, point).value) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("method", [rs.inclusion.Extragradient(), PrimalDual(), MirrorProx()])
def test_what_is_certified_is_what_is_returned(method):
    game = rs.MatrixGame(np.array([[0.0, 1.0], [2.0, 0.0]]))
    x0 = np.array([2.0, 1.0]), np.array([1.0, 2.0])
    sol = rs.solve(game, method, x0=x0, max_steps=1, throw=False)
    for part in sol.x:
        assert (part >= 0).all()
        assert part.sum() == pytest.approx(1.0)
    x, y = sol.x
    gap = (x @ game.F.A).max() - (game.F.A @ y).min()
    assert sol.certificate.value == pytest.approx(max(gap, 0.0), abs=1e-12)


def test_both_constants_give_a_splitting_its_step():
    F = AffineOperator(np.array([[2.0, 1.0], [-1.0, 2.0]]), np.ones(2))
    problem = rs.Inclusion(F, Box(-0.4, 0.4), start=np.zeros(2), lipschitz=2.3, strong=2.0)
    assert rs.solve(problem, DouglasRachford(), rtol=1e-9).converged


def test_a_product_with_a_penalty_is_no_set():
    both = Product((L1(), None))
    assert not both.is_set
    assert Product((Ball(1.0), None)).is_set
    with pytest.raises(TypeError, match=VOICE):
        SquaredL2(domain=both)


@pytest.mark.parametrize(
    "method", [rs.inclusion.AnchoredExtragradient(), rs.inclusion.OptimisticGradient()], ids=repr
)
def test_no_step_is_taken_unsearched(method):
    """exp(x) - 1 from far below: the slope at the start says nothing of where steps lead."""
    problem = rs.Inclusion(lambda x: jnp.exp(x) - 1.0, start=np.full(1, -20.0))
    sol = rs.solve(problem, method, rtol=1e-4, max_steps=20_000, throw=False)
    assert sol.reason is not rs.Reason.diverged
    assert abs(float(sol.x[0])) < 1.0


def test_methods_pass_through_compiled_functions():
    @jax.jit
    def run(A, method):
        return rs.solve(rs.MatrixGame(A), method, rtol=1e-3).converged

    A = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    assert run(A, MirrorProx())
    assert run(A, PrimalDual())


def test_data_of_another_size_are_refused():
    with pytest.raises(ValueError, match=VOICE):
        rs.Inclusion(AffineOperator(np.eye(3)), start=np.ones(2))
    with pytest.raises(ValueError, match=VOICE):
        rs.Inclusion(AffineOperator(np.eye(3)), start=np.ones(3), args=3)
    with pytest.raises(TypeError, match=VOICE):
        rs.Game(lambda x: x[0] @ x[1], start=(np.ones(2), np.ones(2)))
