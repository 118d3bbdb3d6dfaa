"""The experiments on refined Schroedinger bridges: their parts, and the numbers they give."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

import resolvent as rs
from resolvent.papers import Settings
from resolvent.papers import schrodinger_bridge_refinement as paper
from resolvent.papers import schrodinger_bridge_refinement_data as data
from resolvent.transport.schrodinger import LinearDrift, SchrodingerBridge


@pytest.fixture(scope="module")
def result(tiny_run):
    return tiny_run("schrodinger-bridge-refinement").result


def test_every_claim_is_measured_with_a_verdict(result):
    assert [row["claim"] for row in result["claims"]] == [1, 2, 3, 4]
    for row in result["claims"]:
        assert row["verdict"] in ("confirmed", "confirmed in part", "not confirmed")
        assert row["published"]
        assert row["measured"]


def test_curves_begin_with_the_classical_bridge_of_both_families(result):
    right, wrong = (row["numbers"] for row in result["claims"][:2])
    assert np.isclose(right["J"][0], wrong["J"][0], atol=1e-3)
    assert right["J"][-1] < wrong["J"][-1] < wrong["J"][0]
    assert np.isclose(right["matrix error"][0], np.linalg.norm(data.ROTATION))
    assert right["floor"] == wrong["floor"]


@pytest.mark.parametrize("make", [data.rotation, data.predation, data.repression])
def test_snapshots_follow_the_drift(make):
    system = make(4000, 2)
    assert len(system.times) == 3
    first, later = (system.snapshot(np.random.default_rng(1), t) for t in (0.0, 0.01))
    # One Euler step from the same first points: the noise has standard deviation 0.1 sigma.
    moved = later - first - 0.01 * system.drift(first)
    assert np.allclose(moved.std(axis=0), 0.1 * system.sigma, rtol=0.06)
    assert np.allclose(moved.mean(axis=0), 0.0, atol=5 * 0.1 * system.sigma / np.sqrt(4000))


def test_the_distance_is_the_exact_transport_cost():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 1)), rng.normal(size=(40, 1)) + 0.5
    expected = wasserstein_distance(x[:, 0], y[:, 0])
    assert np.isclose(data.earth_movers_distance(x, y), expected)


def test_rounds_are_those_of_the_front_door():
    system = data.rotation(20, 4)
    run = paper._run(Settings(), system, LinearDrift(), 3, 2)
    assert run.emd.shape == (3, 2)
    assert run.objectives_fall
    snapshots = system.snapshots(np.random.default_rng(3))
    problem = SchrodingerBridge(snapshots[::2], system.times[::2], system.sigma, LinearDrift())
    method = rs.transport.schrodinger.IterativeReferenceRefinement(acceleration=0)
    sol = rs.solve(problem, method, max_steps=3, throw=False)
    assert np.allclose(sol.x.theta, run.theta[-1])
    assert np.isclose(sol.certificate.details["J"], run.J[-1])
    for (t, points), held in zip(run.held_out, snapshots[1::2], strict=True):
        assert t in system.times[1::2]
        assert np.array_equal(points, held)


def test_a_rising_objective_and_a_small_gain_are_noticed():
    def run(emd, J):
        return paper.Run(np.array(emd), np.array(J), np.zeros(1), np.ones(2), None, None, [])

    assert not run([[1.0, 1.0]], [0.0, -1.0, -0.9]).objectives_fall
    assert not run([[1.0, 1.0]], [0.0, np.nan]).objectives_fall
    runs = [run([[2.0, 4.0], [1.0, 1.0]], [0.0]), run([[2.0, 2.0], [1.0, 3.0]], [0.0])]
    first, last, error = paper._gain(runs)
    assert (first, last) == (2.5, 1.5)
    assert np.isclose(error, np.std([2.0, 0.0], ddof=1) / np.sqrt(2))
