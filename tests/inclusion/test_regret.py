"""Regret against NumPy's sums, on sets where the best reply is a corner."""

import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.inclusion.optimistic_gradient import OptimisticGradient
from resolvent.inclusion.regret import dynamic_regret, external_regret, trajectory

RNG = np.random.default_rng(4)
PLAYS = RNG.dirichlet(np.ones(3), 20)
LOSSES = RNG.standard_normal((20, 3))


def test_regret_is_what_it_says():
    paid = (PLAYS * LOSSES).sum(1)
    external = external_regret(PLAYS, LOSSES, rs.functions.Simplex())
    assert external.shape == (20,)
    for T in (1, 7, 20):
        assert np.isclose(external[T - 1], paid[:T].sum() - LOSSES[:T].sum(0).min())
    dynamic = dynamic_regret(PLAYS, LOSSES, rs.functions.Simplex())
    assert np.allclose(dynamic, np.cumsum(paid - LOSSES.min(1)))
    assert (np.diff(dynamic) >= 0).all()


def test_other_sets_and_blocks():
    box = rs.functions.Box(-1.0, 2.0)
    best = np.where(LOSSES > 0, -1.0, 2.0)
    expected = np.cumsum(((PLAYS - best) * LOSSES).sum(1))
    assert np.allclose(dynamic_regret(PLAYS, LOSSES, box), expected)
    both = rs.functions.Product((rs.functions.Simplex(), box))
    pair = dynamic_regret((PLAYS, PLAYS), (LOSSES, LOSSES), both)
    alone = dynamic_regret(PLAYS, LOSSES, rs.functions.Simplex())
    assert np.allclose(pair, alone + expected)
    with pytest.raises(TypeError, match="ConvexSet"):
        external_regret(PLAYS, LOSSES, rs.functions.L1(1.0))  # pyright: ignore[reportArgumentType]


def test_trajectories_are_those_of_a_solve():
    game = rs.MatrixGame(RNG.standard_normal((4, 3)))
    plays, gradients = trajectory(game, OptimisticGradient(), 30)
    sol = rs.solve(game, OptimisticGradient(), max_steps=30, rtol=0.0, throw=False)
    for play, gradient, x, V in zip(plays, gradients, sol.x, game.F(sol.x), strict=True):
        assert isinstance(play, np.ndarray)
        assert np.allclose(play[-1], x, rtol=1e-9)
        assert np.allclose(gradient[-1], V, rtol=1e-8)


def test_first_guesses_and_rounds_are_checked():
    game = rs.MatrixGame(jnp.eye(2))
    with pytest.raises(ValueError, match="rounds"):
        trajectory(game, OptimisticGradient(), 0)
    with pytest.raises(ValueError, match="shape"):
        trajectory(game, OptimisticGradient(), 1, (np.ones(3) / 3, np.ones(2) / 2))
