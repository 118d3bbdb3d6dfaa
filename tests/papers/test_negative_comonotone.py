"""The experiments on negative comonotonicity: their operators, and verdicts that can fail."""

import numpy as np
import pytest

from resolvent.inclusion.extragradient import Extragradient
from resolvent.inclusion.optimistic_gradient import OptimisticGradient
from resolvent.papers import Settings
from resolvent.papers import negative_comonotone as paper


@pytest.mark.parametrize("rho", [0.05, 0.3, 0.49])
def test_turns_are_as_comonotone_as_they_say(rho):
    M = paper.turn(rho)
    assert np.isclose(np.linalg.norm(M, 2), 1.0)
    assert np.abs((M + M.T) / 2 + rho * M.T @ M).max() < 1e-15
    worst = paper.worst_turn(rho, 3 * rho, 7)
    assert np.abs((worst + worst.T) / 2 + rho * worst.T @ worst).max() < 1e-14


@pytest.mark.slow
def test_radii_are_those_of_the_polynomials():
    rho, g1, g2 = 0.2, 0.6, 0.15
    eigenvalue = complex(-rho, np.sqrt(1 - rho**2))
    problem = paper._problem(paper.turn(rho))
    extra = abs(1 - g2 * eigenvalue * (1 - g1 * eigenvalue))
    assert np.isclose(paper.radius(problem, Extragradient(g1, g2)), extra, rtol=1e-12)
    roots = np.roots([1.0, -(1 - (g1 + g2) * eigenvalue), -g1 * eigenvalue])
    optimistic = paper.radius(problem, OptimisticGradient(g1, g2))
    assert np.isclose(optimistic, np.abs(roots).max(), rtol=1e-12)


def test_other_radii_change_the_verdict(monkeypatch):
    found = {
        "rho": np.array([0.05, 0.2]),
        "equal": np.array([0.9371, 1.0498]),
        "different": np.array([0.9529, 0.9712]),
    }
    monkeypatch.setattr(paper, "_radii", lambda settings, kind: found)
    monkeypatch.setattr(paper, "_radii_figure", lambda settings: None)
    assert paper.claim_3(Settings()).verdict == "confirmed"
    found["different"] = np.array([0.9529, 1.001])
    result = paper.claim_3(Settings())
    assert result.verdict == "confirmed in part"
    assert "different steps contract" in result.reason.split("met:")[1]
    found["equal"] = np.array([1.1, 0.9])
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_values_above_the_formula_change_the_verdict(monkeypatch):
    rows = {"N": np.array([10.0]), "formula": np.array([0.3]), "bound": np.array([0.8])}
    found = {step: rows | {"measured": np.array([0.3])} for step in (3.0, 2.05)}
    monkeypatch.setattr(paper, "_worst_cases", lambda settings: found)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    found[3.0]["measured"] = np.array([0.31])
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
    found[3.0]["measured"] = np.array([0.9])
    assert paper.claim_1(Settings()).verdict == "not confirmed"
