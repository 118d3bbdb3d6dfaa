"""The extragradient method with two steps: its map, its bounds, the steps that it refuses."""

import jax.numpy as jnp
import numpy as np
import pytest
from inclusion.rotations import (
    chained,
    check_counters,
    norms,
    rotation,
    slope,
    strong,
    turning,
)

import resolvent as rs
from resolvent.inclusion import AffineOperator
from resolvent.inclusion.comonotone import observed_comonotonicity
from resolvent.inclusion.extragradient import Extragradient
from resolvent.inclusion.regret import trajectory

START = np.ones(2)


@pytest.mark.parametrize(("g1", "g2", "rho"), [(0.5, 0.5, 0.0), (0.5, 0.3, 0.1), (0.9, 0.25, 0.3)])
def test_iterates_are_powers_of_the_map(g1, g2, rho):
    plays, values = trajectory(turning(rho), Extragradient(g1, g2), 30)
    M, one = rotation(rho), np.eye(2)
    step = one - g2 * M @ (one - g1 * M)
    x = START
    for play, value in zip(plays, values, strict=True):
        x = step @ x
        assert np.allclose(play, x, rtol=1e-12)
        assert np.allclose(value, M @ x, rtol=1e-12)


def test_bilinear_games_contract_as_known():
    g = 0.6
    _, values = trajectory(turning(), Extragradient(g), 30)
    radius = np.sqrt(1 - g**2 + g**4)
    assert np.allclose(norms(values), np.sqrt(2) * radius ** np.arange(1, 31), rtol=1e-12)


def test_mean_bound_is_nearly_reached_on_the_worst_turn():
    rho, g1, g2, n = 0.1, 0.5, 0.3, 30
    _, values = trajectory(turning(rho), Extragradient(g1, g2), n)
    squares = np.r_[2.0, norms(values) ** 2]
    bound = 2.0 / (g1 * g2 * (1 - g1**2) * (n + 1))
    assert squares.mean() == pytest.approx(2 * 0.27965, rel=1e-4)
    assert 0.97 * bound < squares.mean() < bound


@pytest.mark.parametrize(("rho", "g"), [(0.0, 0.5), (0.05, 0.2), (0.124, 0.4999)])
def test_equal_steps_keep_the_potential_and_the_last_iterate_bound(rho, g):
    plays, values = trajectory(turning(rho), Extragradient(g, g), 60)
    k = np.arange(61)
    square = np.r_[2.0, norms(values) ** 2]
    away = np.r_[2.0, norms(plays) ** 2]
    assert (np.diff(square) <= 1e-15).all()
    weight = k * g**2 * (1 - 2.5 * rho / g - g**2) + 40 * g * rho
    assert (np.diff(away + weight * square) <= 1e-12).all()
    assert (square[1:] <= 28 * 2.0 / (k[1:] * g**2 + 320 * g * rho)).all()


def test_residual_falls_like_the_root_of_k_on_a_long_chain():
    problem, distance = chained()
    _, values = trajectory(problem, Extragradient(0.5), 3000)
    size = norms(values)
    k = np.arange(1, 3001)
    # The bound of the last iterate, which a chain holds off for as long as it is.
    assert (size * np.sqrt(k) * 0.5 <= np.sqrt(28) * distance).all()
    assert slope(size, 10, 1000) > -0.6


def test_strongly_monotone_converges_linearly_on_a_box():
    problem, A, q = strong()
    sol = rs.solve(problem, Extragradient(), rtol=1e-11)
    found = np.clip(sol.x - (A @ sol.x + q), -0.2, 0.3)
    assert np.allclose(found, sol.x, atol=1e-10)
    assert sol.steps < 200
    assert (np.abs(sol.x) >= 0.2).any()


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.3, 0.45])
def test_default_steps_converge_up_to_the_limit(rho):
    sol = rs.solve(turning(rho, 2.0 if rho < 0.25 else 1.0), Extragradient(), rtol=1e-8)
    assert sol.converged


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.3])
def test_line_search_needs_no_constant(rho):
    sol = rs.solve(turning(rho, lipschitz=None), Extragradient(), rtol=1e-8)
    assert sol.converged


def test_no_room_for_a_step_is_a_breakdown():
    sol = rs.solve(turning(0.45, lipschitz=None), Extragradient(), throw=False)
    assert sol.reason == "breakdown"
    assert not sol.converged


def test_a_wrong_constant_is_noticed():
    wrong = rs.Inclusion(AffineOperator(3 * rotation(0.0)), start=START, lipschitz=1.0)
    sol = rs.solve(wrong, Extragradient(), throw=False)
    assert sol.reason == "diverged"
    assert not sol.converged
    assert sol.steps < 100


@pytest.mark.parametrize(
    ("rho", "method", "message"),
    [
        (0.0, Extragradient(1.1), r"0.0 < step_size < 1.0"),
        (0.1, Extragradient(0.15), r"0.2 < step_size < 1.0.*2 rho < step_size < 1 / L"),
        (0.1, Extragradient(0.9, 0.8), r"0 < update_size <= 0.7 .*0.4 <= step_size <= 0.5"),
        (0.1, Extragradient(0.35, 0.35), r"0 < update_size <= 0.15 .*0.4 <= step_size <= 0.5"),
        (0.0, Extragradient(0.5, 0.6), r"0 < update_size <= 0.5\."),
        (0.0, Extragradient(None, 0.6), r"update_size: given it without step_size"),
        (0.5, Extragradient(), r"rho < 1 / \(2 L\) = 0.5"),
    ],
)
def test_steps_outside_the_range_are_refused(rho, method, message):
    with pytest.raises(ValueError, match=message):
        rs.solve(turning(rho), method)


def test_constraints_take_equal_steps_of_monotone_operators():
    box = rs.functions.Box(-1.0, 1.0)
    boxed = rs.Inclusion(AffineOperator(rotation(0.0)), box, start=START, lipschitz=1.0)
    with pytest.raises(ValueError, match="the same step twice"):
        rs.solve(boxed, Extragradient(0.9, 0.5))
    with pytest.raises(ValueError, match="rho = 0, or no G"):
        rs.solve(boxed.but(comonotone=0.1), Extragradient())
    with pytest.raises(ValueError, match="step_size"):
        Extragradient(-1.0)


def test_a_saddle_point_without_sets_has_no_constraint():
    problem = rs.SaddlePoint(
        lambda x, y: 0.1 * x @ x + x @ y - 0.1 * y @ y, start=(np.ones(2), np.ones(2)),
        lipschitz=1.1, comonotone=0.1,
    )  # fmt: skip
    assert rs.solve(problem, Extragradient(0.9, 0.5)).converged


def test_two_points_tell_how_comonotone_an_operator_is():
    x, y = np.random.default_rng(0).standard_normal((2, 2))
    assert np.isclose(observed_comonotonicity(turning(0.3), x, y), 0.3, atol=1e-6)
    monotone = rs.Inclusion(lambda x: x**3, start=np.ones(2))
    assert observed_comonotonicity(monotone, x, y) == 0.0
    assert observed_comonotonicity(monotone, x, x) == 0.0


@pytest.mark.parametrize("lipschitz", [True, False])
def test_calls_are_counted(lipschitz):
    problem, _, _ = strong()
    problem = problem if lipschitz else problem.but(lipschitz=None)
    check_counters(Extragradient(), problem)


def test_single_precision_stays_single():
    A = jnp.asarray(rotation(0.0), jnp.float32)
    problem = rs.Inclusion(AffineOperator(A), start=jnp.ones(2), lipschitz=1.0)
    sol = rs.solve(problem, Extragradient(), rtol=1e-5)
    assert sol.converged
    assert sol.x.dtype == jnp.float32
