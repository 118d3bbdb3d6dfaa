"""Anchored extragradient methods: their steps, their bounds, what they refuse."""

import numpy as np
import pytest
from inclusion.rotations import chained, check_counters, norms, slope, strong, turning

import resolvent as rs
from resolvent.inclusion.anchored_extragradient import AnchoredExtragradient
from resolvent.inclusion.regret import trajectory

BOUNDS = {"feg": 2.0, "eag-c": np.sqrt(260.0), "eag-v": np.sqrt(27.0)}


def reference(problem, variant, rounds, rho=0.0, L=1.0):
    """The three methods, written down again."""
    A = problem.F.A
    q = 0.0 if problem.F.q is None else problem.F.q
    first = x = np.array(problem.first)
    step = {"feg": 1.0, "eag-c": 0.125, "eag-v": 0.618}[variant] / L
    found = []
    for k in range(rounds):
        Fx = A @ x + q
        if variant == "feg":
            b = 1 / (k + 1)
            y = x + b * (first - x) - (1 - b) * (step - 2 * rho) * Fx
            x = x + b * (first - x) - step * (A @ y + q) + (1 - b) * 2 * rho * Fx
        else:
            b = 1 / (k + 2)
            y = x + b * (first - x) - step * Fx
            x = x + b * (first - x) - step * (A @ y + q)
        if variant == "eag-v":
            square = (step * L) ** 2
            step *= (1 - (k + 2) ** 2 / ((k + 1) * (k + 3)) * square) / (1 - square)
        found.append(x)
    return np.array(found), step


@pytest.mark.parametrize("variant", list(BOUNDS))
def test_steps_and_bounds_on_a_long_chain(variant):
    problem, distance = chained()
    plays, values = trajectory(problem, AnchoredExtragradient(variant), 3000)
    expected, step = reference(problem, variant, 40)
    assert np.allclose(plays[:40], expected, rtol=1e-10, atol=1e-10)
    size, k = norms(values), np.arange(1, 3001)
    late = k if variant == "feg" else k + 1.0
    assert (size * late <= BOUNDS[variant] * distance).all()
    # The last tenth of the way falls like 1 / k.
    assert slope(size, 300, 3000) < -0.7
    if variant == "eag-v":
        assert 0.437 < step < 0.45


@pytest.mark.parametrize("rho", [0.1, 0.3, 0.45])
def test_negative_comonotonicity_keeps_the_rate(rho):
    plays, values = trajectory(turning(rho), AnchoredExtragradient(), 2000)
    expected, _ = reference(turning(rho), "feg", 20, rho)
    assert np.allclose(plays[:20], expected, rtol=1e-10)
    k = np.arange(1, 2001)
    assert (norms(values) * k <= 2 * np.sqrt(2) / (1 - 2 * rho)).all()


def test_constraints_keep_the_rate():
    problem, _, _ = strong()
    plays, values = trajectory(problem, AnchoredExtragradient(), 2000)
    residual = np.linalg.norm(plays - np.clip(plays - values, -0.2, 0.3), axis=1)
    assert -1.2 < slope(residual, 100, 2000) < -0.8
    assert rs.solve(problem, AnchoredExtragradient(), rtol=1e-4).converged


@pytest.mark.parametrize("variant", ["feg", "eag-c"])
def test_steps_are_found_without_the_constant(variant):
    problem, distance = chained()
    _, values = trajectory(problem.but(lipschitz=None), AnchoredExtragradient(variant), 3000)
    size, k = norms(values), np.arange(1, 3001)
    # Steps of a first guess cost some rounds, not the rate.
    assert (size * k <= 1.5 * BOUNDS[variant] * distance).all()


def test_the_start_is_the_answer():
    problem, _, _ = strong()
    problem = problem.but(G=rs.functions.Everything(), F=problem.F.but(q=0 * problem.F.q))
    plays, _ = trajectory(problem, AnchoredExtragradient(), 20)
    assert (plays == 0).all()


def test_a_wrong_constant_is_noticed():
    sol = rs.solve(turning(0.0, 3.0, lipschitz=1.0), AnchoredExtragradient(), throw=False)
    assert (sol.reason, sol.converged) == ("diverged", False)


@pytest.mark.parametrize(
    ("changes", "method", "message"),
    [
        ({}, AnchoredExtragradient("feg", 1.1), r"0 < step_size <= 1\b"),
        ({"rho": 0.1}, AnchoredExtragradient("feg", 0.15), r"0.2 < step_size <= 1\b"),
        ({}, AnchoredExtragradient("eag-c", 0.2), r"0 < step_size <= 0.125"),
        ({}, AnchoredExtragradient("eag-v", 0.8), r"0 < step_size <= 0.75"),
        ({"rho": 0.1}, AnchoredExtragradient("eag-c"), "rho = 0"),
        ({"rho": 0.5}, AnchoredExtragradient(), r"rho < 1 / \(2 L\)"),
        ({"lipschitz": None}, AnchoredExtragradient("eag-v"), "lipschitz"),
        ({"G": rs.functions.Box(0.0, 2.0)}, AnchoredExtragradient("feg"), "'eag-c'"),
    ],
)
def test_what_theory_does_not_cover_is_refused(changes, method, message):
    with pytest.raises(ValueError, match=message):
        rs.solve(turning(**changes), method)


def test_variants_are_named():
    with pytest.raises(ValueError, match="'eag-v'"):
        AnchoredExtragradient("eag")


@pytest.mark.parametrize("lipschitz", [True, False])
def test_calls_are_counted(lipschitz):
    problem, _, _ = strong()
    check_counters(AnchoredExtragradient(), problem if lipschitz else problem.but(lipschitz=None))
