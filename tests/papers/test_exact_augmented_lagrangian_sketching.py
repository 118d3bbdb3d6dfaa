"""The experiments on sketched Newton methods: problems that are what they say, true courses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.constrained import L1SQP, SketchedNewton
from resolvent.papers import exact_augmented_lagrangian_sketching as paper
from resolvent.papers import exact_augmented_lagrangian_sketching_data as data


def test_the_control_problem_is_the_five_point_laplacian():
    problem = data.membrane(3)
    laplacian, wanted = problem.args
    w = np.arange(9.0) ** 2
    grid = np.pad(w.reshape(3, 3), 1)
    five = grid[2:, 1:-1] + grid[:-2, 1:-1] + grid[1:-1, 2:] + grid[1:-1, :-2] - 4 * w.reshape(3, 3)
    assert np.allclose(laplacian @ w, five.ravel() * 4)  # h = 2 / 4
    assert problem.counts() == (9, 0)
    assert wanted[4] == pytest.approx(np.sin(4) + np.cos(3))


def test_the_classification_can_be_met():
    problem = data.classification(30, 6, 2, 0)
    X, y, A, b = problem.args
    assert np.allclose(np.linalg.norm(X, axis=1), 1)
    assert set(np.unique(y)) == {-1.0, 1.0}
    # The nearest point to 0 of the plane is inside the sphere that a solution lies on.
    assert np.linalg.norm(np.linalg.lstsq(A, b, rcond=None)[0]) <= 1


def test_a_course_ends_with_its_method():
    problem = data.problem_of(data.CASES["HS28"])
    rows = list(data.course(problem, SketchedNewton("exact", multipliers=0.0), 1e-8))
    assert [row.outer for row in rows] == [0, 1]
    assert rows[0].error > 1
    assert rows[1].error <= 1e-8
    assert (rows[1].size, rows[1].inner) == (1.0, 1)


def test_operations_are_those_of_the_inner_steps():
    rows = [data.Step(1.0, 1.0, (), inner, k) for k, inner in enumerate((0, 3, 5))]
    assert data.operations("Kaczmarz", rows, 10) == 5 * 40
    assert data.operations("Gaussian", rows, 10) == 5 * 260
    by_hand = sum(200 + 80 * k for k in (1, 2, 3, 1, 2))
    assert data.operations("GMRES", rows, 10) == by_hand


def test_verdicts_can_fail():
    def rows(error, steps):
        return [data.Step(1.0, 1.0, (), 0, 0), data.Step(error, 1.0, (), 5, steps)]

    good = dict.fromkeys(paper.SKETCHES, rows(1e-8, 4)) | dict.fromkeys(paper.OTHERS, rows(1e-5, 9))
    bad = dict.fromkeys(paper.SKETCHES, rows(1e-3, 4)) | dict.fromkeys(paper.OTHERS, rows(1e-5, 9))
    assert paper._fewer(paper._summary([good]))
    assert paper._smaller(paper._summary([good]))
    assert paper._summary([bad])["Kaczmarz"]["converged"] == 0
    assert not paper._fewer(paper._summary([bad]))
    assert not paper._smaller(paper._summary([bad]))


@pytest.mark.slow
@pytest.mark.parametrize("name", data.CASES)
def test_problems_have_their_known_least_values(name):
    case = data.CASES[name]
    problem = data.problem_of(case)
    sol = rs.solve(problem, SketchedNewton("exact", multipliers=0.0), atol=1e-7, rtol=0.0)
    with jax.enable_x64(True):
        value = float(problem.objective(jnp.asarray(sol.x)))
    assert value == pytest.approx(case.least, rel=1e-6, abs=1e-6)


@pytest.mark.slow
def test_both_rules_of_gmres_solve_the_control_problem():
    for rule in ("tests", "adaptive"):
        rows = list(data.course(data.membrane(3), L1SQP(rule, multipliers=1.0), 1e-4))
        assert rows[-1].error <= 1e-4
