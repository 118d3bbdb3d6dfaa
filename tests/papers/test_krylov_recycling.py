"""The experiments on Krylov recycling: their parts at a small scale, and the table they give."""

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent.papers import krylov_recycling as paper
from resolvent.papers.krylov_recycling_data import ParametricSystem, darcy_systems


@pytest.fixture(scope="module")
def result(tiny_run):
    return tiny_run("krylov-recycling").result


def test_every_claim_is_measured_with_a_verdict(result):
    assert [row["claim"] for row in result["claims"]] == [1, 2, 3]
    for row in result["claims"]:
        assert row["verdict"] in ("confirmed", "confirmed in part", "not confirmed")
        assert row["published"]
        assert row["measured"]


def test_the_table_holds_every_column_and_every_answer_is_certified(result):
    table = result["claims"][0]["numbers"]
    assert set(table) == {case.name for case in paper.CASES}
    for case in paper.CASES:
        runs = table[case.name]
        needed = {paper.GMRES, paper.FRESH, paper.UNSORTED, paper.SORTED, "SciPy gmres"}
        assert needed | {"SciPy gcrotmk"} <= set(runs)
        assert (paper.SHORT in runs) == (case.family != "published")
        for name in (paper.FRESH, paper.UNSORTED, paper.SORTED):
            assert runs[name]["missed"] == 0
            assert runs[name]["seconds"] > 0
        assert runs[paper.SORTED]["products"] > runs[paper.SORTED]["steps"]


def test_the_ratios_of_claim_3_are_those_of_the_steps(result):
    numbers = result["claims"][2]["numbers"]
    for ratios in numbers.values():
        assert len(ratios) == 4
        assert {"0.01", "0.0001", "1e-06"} <= set(ratios)
        assert all(ratio > 0 for ratio in ratios.values())


def test_the_sweep_solves_with_the_lower_triangle():
    matrix = darcy_systems(np.random.default_rng(0), 10, 1, official=True)[0].matrix
    r = np.random.default_rng(1).standard_normal(matrix.shape[0])
    d = paper.forward_sweep(matrix)(r)
    assert np.allclose(scipy.sparse.tril(matrix) @ d, r, rtol=1e-12)


def test_each_system_gets_the_sweep_of_its_own_matrix():
    first, second = darcy_systems(np.random.default_rng(2), 10, 2)
    r = np.ones(first.matrix.shape[0])
    M = paper._preconditioner()
    for system in (first, second):
        ready = M.setup(rs.LinearSystem(system.matrix, system.rhs).prepare("host"))
        assert np.array_equal(ready.apply(r), paper.forward_sweep(system.matrix)(r))


def test_a_run_that_misses_is_counted():
    systems = darcy_systems(np.random.default_rng(3), 14, 2)
    problems = [rs.LinearSystem(system.matrix, system.rhs) for system in systems]
    run, sols = paper._sequence(problems, rs.linear.GMRES(restart=2, patience=1000), 1e-12)
    assert run.missed == 0
    assert np.isclose(run.steps, np.mean([sol.steps for sol in sols]))
    run, _ = paper._sequence(problems, rs.linear.GMRES(restart=2), 1e-30)
    assert run.missed == 2


def test_scipy_is_held_to_the_same_residual():
    systems = darcy_systems(np.random.default_rng(4), 14, 3)
    for case in paper.CASES[:2]:
        for name in ("gmres", "gcrotmk"):
            run = paper._scipy(systems, case, name, 4000)
            assert run.missed == 0
            assert run.products > 5


def test_steps_at_a_looser_tolerance_are_those_of_a_looser_solve():
    system = darcy_systems(np.random.default_rng(6), 20, 1)[0]
    problem = rs.LinearSystem(system.matrix, system.rhs)
    method = rs.linear.GMRES(restart=10)
    tight = rs.solve(problem, method, rtol=1e-8)
    for rtol in (1e-2, 1e-5):
        assert paper._reached(tight, rtol) == rs.solve(problem, method, rtol=rtol).steps


def test_the_gap_measures_how_much_of_the_slow_space_is_missed():
    # Eigenvalues apart: of two that nearly coincide a Krylov space holds one direction only.
    matrix = scipy.sparse.diags(np.arange(1.0, 61.0)).tocsr()
    system = ParametricSystem(matrix, np.ones(60), np.ones(1))
    rich = rs.linear.GCRODR(cycle=60, recycle=20)
    poor = rs.linear.GCRODR(cycle=60, recycle=2)  # two vectors cannot hold eight
    assert paper._gap([system, system], [0, 1], rich) < 0.5
    assert paper._gap([system, system], [0, 1], poor) > 0.99
