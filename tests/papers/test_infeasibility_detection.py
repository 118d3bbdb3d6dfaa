"""The experiments on infeasibility detection: maps and programs, and verdicts that can fail."""

import numpy as np
import pytest
from scipy.optimize import linprog

from resolvent.fixed_point import Halpern, Picard
from resolvent.papers import Settings
from resolvent.papers import infeasibility_detection as paper
from resolvent.papers import infeasibility_detection_data as data


@pytest.mark.parametrize("kind", paper.KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_programs_are_what_they_say(kind, seed):
    program = data.program(kind, 6, 14, seed)
    A, b, c, w, d = program
    assert (w is None) == (kind == "unbounded")
    assert (d is None) == (kind == "infeasible")
    status = linprog(c, A_eq=A, b_eq=b, bounds=(0, None)).status
    assert status in {"infeasible": (2,), "unbounded": (3,), "both": (2, 3, 4)}[kind]
    if w is not None:
        assert (A.T @ w).max() <= 1e-12
        assert b @ w == pytest.approx(1.0)
        assert bool(data.is_farkas(w, program.args, 1e-6))
        assert not bool(data.is_farkas(-w, program.args, 1e-6))
        # The vectors of displacement that stand for it.
        assert paper.proves("Douglas-Rachford", A.T @ w, program)
        assert paper.proves("primal-dual", (0 * c, -w), program)
        assert not paper.proves("primal-dual", (0 * c, w), program)
    if d is not None:
        assert np.abs(A @ d).max() <= 1e-12
        assert c @ d == pytest.approx(-1.0)
        assert bool(data.is_ray(d, program.args, 1e-6))
        assert not bool(data.is_ray(-d, program.args, 1e-6))
        assert paper.proves("Douglas-Rachford", -d, program)
        assert paper.proves("primal-dual", (-d, 0 * b), program)


def test_a_proof_of_something_false_is_not_accepted():
    program = data.program("unbounded", 6, 14, 0)
    liar = program._replace(farkas=np.ones(6), ray=None)
    assert program.ray is not None
    assert not paper.proves("primal-dual", (-program.ray, 0 * program.b), liar)


def test_courses_on_a_translation_are_exact():
    problem = data.rotations(0)
    assert problem.first.shape == (1,)
    for method, pace in ((Picard(), 1.0), (Halpern(restart=None), 0.5)):
        one = data.course(problem, method, np.ones(1), 30, pace)
        assert one.k[-1] == one.residual.size == 30
        assert max(one.residual.max(), one.normalized.max()) < 1e-13


def test_slopes_and_bounds():
    k = np.arange(1, 1001)
    assert paper.slope(k, 3.0 / np.sqrt(k), 25) == pytest.approx(-0.5)
    assert paper.bound(25) ** 2 == pytest.approx(0.036642, abs=5e-7)
    assert paper.bound(np.array([1, 25]))[0] == pytest.approx((np.sqrt(13) + 1) / 2)


@pytest.mark.parametrize(("steps", "known"), [(1, 4.0), (2, None), (3, 1.0)])
def test_worst_cases(steps, known):
    low, high = data.worst_case(steps)
    assert 0 <= high - low <= 1e-6
    assert high <= paper.bound(steps) ** 2
    if known is not None:
        assert low <= known * (1 + 1e-9)
        assert high >= known * (1 - 1e-9)
    # No map of the family is worse: a turn of the plane, where v = 0.
    turns = np.exp(1j * np.linspace(0.05, np.pi, 60))
    x = np.ones_like(turns)
    for k in range(steps):
        x = 1 / (k + 2) + (1 - 1 / (k + 2)) * turns * x
    assert (np.abs(x - turns * x) ** 2).max() <= high


def test_interior_points_are_inside():
    for steps in (2, 25):
        task = data.interpolation(steps)
        assert (task.bounds @ task.inside < task.levels).all()


def synthetic(power, scale=1.0, size=2000):
    k = np.arange(1, size + 1)
    return data.Course(scale * k**power, scale / k)


def test_other_rates_change_the_verdicts(monkeypatch):
    far = data.Course(np.full(2000, 0.5), 1.0 / np.arange(1, 2001))
    courses = {"plain": far, "averaged": synthetic(-0.5), "Halpern": synthetic(-1.0)}
    monkeypatch.setattr(paper, "_rotations", lambda settings: (courses, 1.0))
    for claim in (paper.claim_1, paper.claim_2, paper.claim_3):
        assert claim(Settings()).verdict == "confirmed"
    courses["plain"] = synthetic(-0.5)
    courses["averaged"] = synthetic(-1.0)
    courses["Halpern"] = synthetic(-0.5)
    for claim in (paper.claim_1, paper.claim_2, paper.claim_3):
        assert claim(Settings()).verdict == "confirmed in part"
    courses["plain"] = synthetic(-0.5, 3.0)
    result = paper.claim_1(Settings())
    assert "within 2 D / k at every k" in result.reason.split("met:")[1]
    courses["Halpern"] = data.Course(1e3 * far.residual, far.residual)
    assert paper.claim_3(Settings()).verdict == "not confirmed"


def test_a_slow_plain_iteration_changes_the_verdict(monkeypatch):
    k = np.arange(1, 5001)
    fast = data.Course(np.where(k < 100, 10.0 ** -k.astype(float), 0.0), 1.0 / k)
    courses = {"plain": fast, "Halpern": data.Course(4.93 / (k + 0.17), 1.0 / k)}
    monkeypatch.setattr(paper, "_disc", lambda settings: courses)
    assert paper.claim_4(Settings()).verdict == "confirmed"
    courses["plain"] = courses["Halpern"]
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    courses["Halpern"] = data.Course(1.0 / k**2, 1.0 / k)
    assert paper.claim_4(Settings()).verdict == "not confirmed"


def test_another_worst_case_changes_the_verdict(monkeypatch):
    found = {"worst": (0.0268, 0.0268)}
    monkeypatch.setattr(data, "worst_case", lambda steps: found["worst"])
    assert paper.claim_5(Settings()).verdict == "confirmed"
    found["worst"] = 0.030, 0.030
    assert paper.claim_5(Settings()).verdict == "confirmed in part"
    found["worst"] = 0.001, 0.002
    assert paper.claim_5(Settings()).verdict == "not confirmed"


def test_missing_and_slow_proofs_change_the_verdict(monkeypatch):
    steps = {(name, label): np.full(3, 50.0) for name in data.SPLITTINGS for label in paper.METHODS}
    found = {"steps": steps, "sound": True, "number": 1}
    monkeypatch.setattr(paper, "_programs", lambda settings: found)
    assert paper.claim_6(Settings()).verdict == "confirmed"
    steps["primal-dual", "Halpern"] = np.array([50.0, 100.0, np.inf])
    steps["Douglas-Rachford", "Halpern"] = np.full(3, 100.0)
    result = paper.claim_6(Settings())
    assert result.verdict == "confirmed in part"
    assert "Halpern iteration proves all" in result.reason.split("met:")[1]
    assert "proved: plain 6 of 6, averaged 6 of 6, Halpern 5 of 6" in result.measured
