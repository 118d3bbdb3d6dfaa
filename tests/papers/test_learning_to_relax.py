"""The experiments of learning to relax: their systems are the published ones, their counts true."""

import math

import numpy as np
import pytest
import scipy.sparse as sparse

import resolvent as rs
from resolvent.linear.cg import CG
from resolvent.linear.relaxation import SOR
from resolvent.papers.heat import HeatEquation, conductivity
from resolvent.papers.learning_to_relax import SIDE, ShiftedLaplacian, _stream


def dense_laplacian(side):
    line = 2.0 * np.eye(side) - np.eye(side, k=1) - np.eye(side, k=-1)
    return np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)


def bump(x, y, centre, radius):
    square = np.minimum(1.0, ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2)
    inside = square < 1.0
    return np.where(inside, np.exp(1.0 - 1.0 / np.where(inside, 1.0 - square, 1.0)), 0.0)


@pytest.mark.parametrize("shift", [-0.149, 0.0, 0.4])
@pytest.mark.parametrize("omega", [1.0, 1.55, 1.9])
def test_sweeps_are_those_of_a_certified_solve(shift, omega):
    system = ShiftedLaplacian()
    b = _stream("high", 1, 3)[1][0]
    A = dense_laplacian(SIDE) + shift * np.eye(SIDE**2)
    assert np.array_equal(system.dense, dense_laplacian(SIDE))
    sol = rs.solve(rs.LinearSystem(sparse.csr_array(A), b), SOR(omega), rtol=1e-8)
    assert system.sweeps(shift, b, omega) == sol.steps


@pytest.mark.parametrize("kind", ["high", "low"])
def test_streams_stay_in_the_range_and_the_ball(kind):
    shifts, rhs = _stream(kind, 2000, 0)
    assert shifts.min() >= -0.15
    assert shifts.max() <= 0.45
    assert np.linalg.norm(rhs, axis=1).max() <= SIDE
    mean, spread = -0.15 + 0.6 / 4, 0.6 * math.sqrt({"high": 1 / 16, "low": 1 / 48}[kind])
    assert abs(shifts.mean() - mean) < 5 * spread / math.sqrt(2000)
    assert shifts.std() == pytest.approx(spread, rel=0.1)


def test_heat_systems_are_crank_nicolson():
    side, step = 9, 0.01
    heat = HeatEquation(side, steps=60, step=step)
    points = np.arange(1, side + 1) / (side + 1)
    x, y = np.meshgrid(points, points, indexing="ij")
    np.testing.assert_allclose(heat.u, bump(x, y, (0.5, 0.5), 0.25).ravel(), atol=1e-15)
    L = dense_laplacian(side) * (side + 1) ** 2
    eye = np.eye(side * side)
    for n, problem in enumerate(heat.systems()):
        t = (n + 0.5) * step
        kappa = max(0.1 * math.sin(2 * math.pi * t), -10 * math.sin(2 * math.pi * t))
        centre = (0.5 + math.cos(16 * math.pi * t) / 4, 0.5 + math.sin(16 * math.pi * t) / 4)
        source = 32.0 * bump(x, y, centre, 0.125).ravel()
        half = 0.5 * step * kappa * L
        A = problem.operator.matrix
        np.testing.assert_allclose(A.toarray(), eye + half, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(problem.b, (eye - half) @ heat.u + step * source, atol=1e-12)
        assert problem.context == kappa == conductivity(t)
        assert A.has_sorted_indices
        heat.u = rs.solve(problem, CG(), rtol=1e-12).x
    assert n == 59


def test_heat_follows_the_decay_of_an_eigenfunction():
    side, step, steps = 15, 1e-3, 40
    heat = HeatEquation(side, steps, step)
    points = np.arange(1, side + 1) / (side + 1)
    mode = np.outer(np.sin(np.pi * points), np.sin(np.pi * points)).ravel()
    heat.u = mode
    without = HeatEquation(side, steps, step)
    without.u = np.zeros_like(mode)
    for run in (heat, without):
        for problem in run.systems():
            run.u = rs.solve(problem, CG(), rtol=1e-12).x
    rate = 8.0 * math.sin(0.5 * math.pi / (side + 1)) ** 2 * (side + 1) ** 2
    grown = 0.1 * (1.0 - math.cos(2.0 * math.pi * step * steps)) / (2.0 * math.pi)
    np.testing.assert_allclose(
        heat.u - without.u, math.exp(-rate * grown) * mode, rtol=1e-5, atol=1e-9
    )
