"""The referee of smooth problems is right, and the table counts what it should."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import resolvent as rs

GOALS = Path(__file__).parents[2] / "benchmarks" / "smooth" / "plots" / "goals.py"


@pytest.fixture(scope="module")
def oracles(smooth):
    """Of f = |x - 2|^2 / 2 from 0, where the gradient's norm is 2 sqrt 2."""
    with jax.enable_x64(True):
        problem = rs.Minimize(lambda x: 0.5 * ((x - 2) ** 2).sum(), x0=np.zeros(2))
        yield smooth["oracles"].Oracles(problem)


def test_the_referee_measures_against_the_start(smooth, oracles):
    size, value = smooth["judge"].measured(oracles, np.array([2.0, 2.0 + 1e-6]))
    assert size == pytest.approx(1e-6 / 8**0.5, rel=1e-9)
    assert value == pytest.approx(5e-13, rel=1e-9)
    assert smooth["judge"].measured(oracles, np.zeros(2))[0] == pytest.approx(1.0)


@pytest.mark.parametrize("x", [(np.nan, 2.0), (np.inf, 2.0)])
def test_points_without_a_gradient_are_no_answers(smooth, oracles, x):
    assert smooth["judge"].measured(oracles, np.array(x))[0] == np.inf


def test_points_are_counted_once(oracles):
    oracles.fresh()
    for x in (np.zeros(2), np.ones(2), np.ones(2)):
        oracles.slope(x)
    assert oracles.evaluations == 2


def test_the_table_counts_answers_and_not_claims(smooth):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("benchopt")
    spec = importlib.util.spec_from_file_location("smooth_goals", GOALS)
    goals = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(goals)

    def row(solver, *seconds):
        runs = [
            {"name": f"P{i}", "seconds": one or 1.0, "solved": one is not None}
            for i, one in enumerate(seconds)
        ]
        count = sum(run["solved"] for run in runs)
        return {
            "dataset_name": "cutest", "solver_name": solver, "objective_runs": json.dumps(runs),
            "objective_solved": count, "objective_asked": len(runs), "objective_wrong": 1,
            "objective_seconds": 1.0, "objective_compiling": 2.0, "objective_evaluations": 3.0,
        }  # fmt: skip

    table = goals.goals(pandas.DataFrame([row("A", 1.0, None, 9.0), row("B", 3.0, 2.0, 1.0)]))
    known = [dict(zip(goals.COLUMNS, line, strict=True)) for line in table]
    assert [(line["solver"], line["solved"], line["of"]) for line in known] == [
        ("b", 3, 3), ("a", 2, 3)
    ]  # fmt: skip
    # First where nobody was faster; within 4x of the best on P0 as well.
    assert [(line["first"], line["within 4x"]) for line in known] == [(2, 3), (1, 1)]
