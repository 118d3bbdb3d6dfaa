"""Closed forms of the relaxation theory, against dense eigenvalues and real runs."""

import numpy as np
import pytest
import scipy.linalg

from resolvent.papers.relaxation_theory import (
    asymptocity,
    energy_norm_steps,
    grid_jacobi_radius,
    near_asymptotic_steps,
    omega_star,
    sor_matrix,
    sor_radius,
    spectrum,
    ssor_cg_steps,
)

SIDE = 10
SHIFTS = [-0.15, 0.0, 0.3, 0.45]
OMEGA_GRID = np.linspace(1.0, 1.95, 20)


def laplacian(shift, side=SIDE):
    line = 2.0 * np.eye(side) - np.eye(side, k=1) - np.eye(side, k=-1)
    grid = np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)
    return grid + shift * np.eye(side**2)


def sor_sweeps(matrix, b, omega, tolerance=1e-8):
    splitting = np.tril(matrix, -1) + np.diag(np.diag(matrix)) / omega
    residual, first = b.copy(), np.linalg.norm(b)
    x = np.zeros_like(b)
    for k in range(1, 10_001):
        x += scipy.linalg.solve_triangular(splitting, residual, lower=True)
        residual = b - matrix @ x
        if np.linalg.norm(residual) < tolerance * first:
            return k
    raise AssertionError("SOR did not converge")


def ssor_cg_steps_taken(matrix, b, omega, tolerance=1e-8):
    diagonal = np.diag(np.diag(matrix))
    lower = diagonal / omega + np.tril(matrix, -1)
    middle = omega / (2.0 - omega) * lower @ np.linalg.inv(diagonal) @ lower.T
    precondition = np.linalg.inv(middle)
    r = b.copy()
    z = precondition @ r
    p, rz = z.copy(), r @ z
    for k in range(1, 1000):
        product = matrix @ p
        r -= rz / (p @ product) * product
        if np.linalg.norm(r) <= tolerance * np.linalg.norm(b):
            return k
        z = precondition @ r
        rz, old = r @ z, rz
        p = z + rz / old * p
    raise AssertionError("CG did not converge")


@pytest.mark.parametrize("shift", SHIFTS)
def test_jacobi_radius_matches_eigenvalues(shift):
    matrix = laplacian(shift)
    jacobi = np.eye(len(matrix)) - matrix / np.diag(matrix)[:, None]
    dense = np.abs(np.linalg.eigvals(jacobi)).max()
    assert abs(grid_jacobi_radius(shift, SIDE) - dense) < 1e-13
    assert abs(spectrum(matrix).jacobi - dense) < 1e-13


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("offset", [-0.5, -0.2, -0.05, 0.02, 0.1])
def test_sor_radius_matches_eigenvalues(shift, offset):
    beta = grid_jacobi_radius(shift, SIDE)
    omega = float(omega_star(beta)) + offset
    dense = np.abs(np.linalg.eigvals(sor_matrix(laplacian(shift), omega))).max()
    assert abs(sor_radius(beta, omega) - dense) < 1e-13


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.96, 0.9999])
def test_omega_star_minimises_the_radius(beta):
    best = float(omega_star(beta))
    radius = float(sor_radius(beta, best))
    assert abs(radius - (best - 1.0)) < 1e-13
    others = np.linspace(0.01, 1.99, 400)
    assert np.all(sor_radius(beta, others) >= radius - 1e-13)
    # Young's other form of the same number
    assert best == pytest.approx(2.0 / (1.0 + np.sqrt(1.0 - beta**2)), rel=1e-14)


@pytest.mark.parametrize("shift", [-0.1, 0.0, 0.3])
def test_near_asymptotic_bound_holds_and_is_tighter_than_the_energy_bound(shift):
    matrix = laplacian(shift)
    b = np.random.default_rng(0).standard_normal(SIDE**2)
    beta = grid_jacobi_radius(shift, SIDE)
    omegas = OMEGA_GRID[:-2:2]
    taken = np.array([sor_sweeps(matrix, b, omega) for omega in omegas])
    tau = max(asymptocity(matrix, w, k - 1) for w, k in zip(omegas, taken, strict=True))
    numbers = spectrum(matrix)
    near = near_asymptotic_steps(beta, omegas, tau, 1e-8)
    energy = energy_norm_steps(beta, omegas, numbers.coupling, numbers.condition, 1e-8)
    assert 0.0 < tau < 1.0
    assert np.all(taken <= near)
    assert np.all(taken <= energy)
    assert np.all(near < energy)
    below = omegas <= omega_star(beta)
    assert np.all(np.diff(near[below]) < 0.0)


@pytest.mark.parametrize("omega", [0.5, 1.0, 1.5, 1.9])
def test_energy_norm_bound_dominates_the_energy_norm(omega):
    matrix = laplacian(0.0)
    numbers = spectrum(matrix)
    root = np.real(scipy.linalg.sqrtm(matrix))
    # the residual matrix in the norm of the inverse is the error matrix in the energy norm
    dense = np.linalg.norm(np.linalg.solve(root, sor_matrix(matrix, omega) @ root), 2)
    steps = energy_norm_steps(numbers.jacobi, omega, numbers.coupling, numbers.condition, 1e-8)
    bound = np.exp(np.log(1e-8 / (2.0 * np.sqrt(numbers.condition))) / steps)
    assert dense <= bound < 1.0


@pytest.mark.parametrize("shift", SHIFTS)
def test_ssor_cg_bound_holds(shift):
    matrix = laplacian(shift)
    numbers = spectrum(matrix)
    omegas = OMEGA_GRID[::3]
    b = np.random.default_rng(1).standard_normal(SIDE**2)
    bounds = ssor_cg_steps(omegas, numbers.mu, numbers.nu, numbers.condition, 1e-8)
    taken = np.array([ssor_cg_steps_taken(matrix, b, omega) for omega in omegas])
    assert np.all(taken <= bounds)
    assert np.all(bounds < 1000)


def test_ssor_cg_rate_bounds_the_condition_number_of_the_preconditioned_matrix():
    matrix = laplacian(0.0)
    numbers = spectrum(matrix)
    diagonal = np.diag(np.diag(matrix))
    for omega in (0.9, 1.2, 1.6, 1.9):
        lower = diagonal / omega + np.tril(matrix, -1)
        ssor = omega / (2.0 - omega) * lower @ np.linalg.inv(diagonal) @ lower.T
        values = scipy.linalg.eigh(matrix, ssor, eigvals_only=True)
        steps = ssor_cg_steps(omega, numbers.mu, numbers.nu, numbers.condition, 1e-8)
        decay = np.exp(-np.arccosh(np.sqrt(numbers.condition) / 1e-8) / (steps - 1.0))
        bound = ((1.0 + decay) / (1.0 - decay)) ** 2
        assert values[-1] / values[0] <= bound * (1.0 + 1e-10)


def test_spectrum_of_a_diagonal_matrix_has_no_coupling():
    numbers = spectrum(np.diag([1.0, 2.0, 5.0]))
    assert numbers.jacobi == pytest.approx(0.0, abs=1e-15)
    assert numbers.coupling == pytest.approx(0.0, abs=1e-15)
    assert numbers.condition == pytest.approx(5.0)
    assert numbers.mu == pytest.approx(1.0)
    assert numbers.nu == pytest.approx(-0.25)


@pytest.mark.parametrize(
    "call",
    [
        lambda: grid_jacobi_radius(-4.0, 10),
        lambda: grid_jacobi_radius(0.0, 0),
        lambda: omega_star(1.0),
        lambda: omega_star(np.nan),
        lambda: sor_radius(0.5, 2.0),
        lambda: sor_radius(0.5, np.nan),
        lambda: near_asymptotic_steps(0.5, 1.0, 1.0, 1e-8),
        lambda: near_asymptotic_steps(0.5, 1.0, 0.0, 0.0),
        lambda: energy_norm_steps(0.5, 0.0, 0.1, 2.0, 1e-8),
        lambda: ssor_cg_steps(1.0, 1.0, 0.0, 2.0, 1.5),
        lambda: spectrum(np.array([[1.0, 2.0], [2.0, 1.0]])),
        lambda: sor_matrix(np.eye(2), 2.0),
        lambda: asymptocity(np.eye(2), 1.0, 0),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match=r"must|needed|needs|not positive"):
        call()
