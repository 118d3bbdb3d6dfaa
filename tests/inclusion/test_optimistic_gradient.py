"""The optimistic gradient method with two steps: its map, its bounds, its ranges."""

import numpy as np
import pytest
from inclusion.rotations import chained, check_counters, norms, rotation, slope, strong, turning

import resolvent as rs
from resolvent.inclusion import AffineOperator
from resolvent.inclusion.optimistic_gradient import OptimisticGradient
from resolvent.inclusion.regret import trajectory

START = np.ones(2)


def powers(rho, g1, g2, rounds):
    """Looks and their values by the block matrix that acts on (x_k, F at the last look)."""
    M, one = rotation(rho), np.eye(2)
    block = np.block([[one - g2 * M, g1 * g2 * M], [M, -g1 * M]])
    # The first step is a plain gradient step.
    state = np.r_[START - g2 * M @ START, M @ START]
    found = []
    for _ in range(rounds):
        look = state[:2] - g1 * state[2:]
        state = block @ state
        found.append((look, state.copy()))
    return block, found


@pytest.mark.parametrize(("g1", "g2", "rho"), [(0.4, 0.4, 0.0), (0.3, 0.3, 0.05), (0.8, 0.18, 0.3)])
def test_iterates_are_powers_of_the_block_matrix(g1, g2, rho):
    plays, values = trajectory(turning(rho), OptimisticGradient(g1, g2), 30)
    block, found = powers(rho, g1, g2, 30)
    for play, value, (look, state) in zip(plays, values, found, strict=True):
        assert np.allclose(play, look, rtol=1e-11)
        assert np.allclose(value, state[2:], rtol=1e-11)
    # Its eigenvalues are the roots of a quadratic for each eigenvalue of the turn.
    eigenvalue = complex(-rho, np.sqrt(1 - rho**2))
    roots = np.roots([1.0, -(1 - (g1 + g2) * eigenvalue), -g1 * eigenvalue])
    radius = np.abs(np.linalg.eigvals(block)).max()
    assert np.isclose(radius, np.abs(roots).max(), rtol=1e-12)


def test_mean_bound_holds():
    rho, g1, g2, n = 0.1, 0.5, 0.25, 40
    _, found = powers(rho, g1, g2, n)
    M = rotation(rho)
    squares = np.r_[2.0, [((M @ state[:2]) ** 2).sum() for _, state in found]][: n + 1]
    assert squares.mean() <= 2.0 / (g1 * g2 * (1 - (g1 + g2) ** 2) * (n + 1))


@pytest.mark.parametrize(("rho", "g"), [(0.0, 0.32), (0.05, 0.3), (5 / 62, 10 / 31)])
def test_equal_steps_lower_the_potential(rho, g):
    _, values = trajectory(turning(rho), OptimisticGradient(g, g), 60)
    seen = np.vstack([rotation(rho) @ START, values])
    M = rotation(rho)
    _, found = powers(rho, g, g, 60)
    x = np.vstack([START - g * M @ START, [state[:2] for _, state in found]])
    Fx = x @ M.T
    psi = (Fx**2).sum(1) + ((Fx - seen) ** 2).sum(1)
    drop = 0.01 * ((seen[1:] - seen[:-1]) ** 2).sum(1)
    assert (psi[1:] <= psi[:-1] - drop + 1e-15).all()
    k = np.arange(1, 62)
    assert ((Fx**2).sum(1) <= 717 * 2.0 / (k * g * (g - 3 * rho) + 800 * g**2)).all()
    weight = k * g * (g - 3 * rho) / (2 + 6 * g**2) + 400 * g**2
    assert (np.diff((x**2).sum(1) + weight * psi) <= 1e-11).all()


def test_residual_falls_like_the_root_of_k_on_a_long_chain():
    problem, distance = chained()
    _, values = trajectory(problem, OptimisticGradient(1 / 3), 3000)
    size, k = norms(values), np.arange(1, 3001)
    # Psi bounds the value at a look by twice the bound of the last iterate.
    g = 1 / 3
    assert (size**2 <= 2 * 717 * distance**2 / (k * g**2 + 800 * g**2)).all()
    assert slope(size, 10, 1000) > -0.6


def test_strongly_monotone_converges_linearly_on_a_box():
    problem, A, q = strong()
    sol = rs.solve(problem, OptimisticGradient(), rtol=1e-11)
    assert np.allclose(np.clip(sol.x - (A @ sol.x + q), -0.2, 0.3), sol.x, atol=1e-10)
    assert sol.steps < 200
    assert sol.calls["operator"] == sol.steps + 1


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.3, 0.45])
def test_default_steps_converge_up_to_the_limit(rho):
    assert rs.solve(turning(rho), OptimisticGradient(), rtol=1e-8).converged


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_line_search_needs_no_constant(rho):
    sol = rs.solve(turning(rho, lipschitz=None), OptimisticGradient(), rtol=1e-8)
    assert sol.converged


def test_a_wrong_constant_is_noticed():
    wrong = rs.Inclusion(AffineOperator(3 * rotation(0.0)), start=START, lipschitz=1.0)
    sol = rs.solve(wrong, OptimisticGradient(), throw=False)
    assert (sol.reason, sol.converged) == ("diverged", False)


@pytest.mark.parametrize(
    ("rho", "method", "message"),
    [
        (0.1, OptimisticGradient(0.15), r"0.2 < step_size < 1.0"),
        (0.1, OptimisticGradient(0.9, 0.2), r"0 < update_size <= 0.1 .*1 / L - step_size"),
        (0.05, OptimisticGradient(0.33, 0.33), r"0.2 <= step_size <= 0.3225"),
        (0.0, OptimisticGradient(0.7, 0.4), r"0 < update_size <= 0.3\."),
        (0.6, OptimisticGradient(), r"rho < 1 / \(2 L\)"),
    ],
)
def test_steps_outside_the_range_are_refused(rho, method, message):
    with pytest.raises(ValueError, match=message):
        rs.solve(turning(rho), method)


def test_constraints_halve_the_range():
    problem, _, _ = strong()
    L = problem.lipschitz
    with pytest.raises(ValueError, match=r"1 / \(2 L\)"):
        rs.solve(problem, OptimisticGradient(0.6 / L))
    assert rs.solve(problem, OptimisticGradient(0.49 / L)).converged


@pytest.mark.parametrize("lipschitz", [True, False])
def test_calls_are_counted(lipschitz):
    problem, _, _ = strong()
    check_counters(OptimisticGradient(), problem if lipschitz else problem.but(lipschitz=None))
