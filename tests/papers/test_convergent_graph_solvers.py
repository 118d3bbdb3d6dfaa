"""The experiments on graph solvers: their parts, and verdicts that can fail."""

import numpy as np
import pytest

from resolvent.fixed_point.graphs import ConvergentGraphSolver, Graph, batched, decision_graphs
from resolvent.fixed_point.graphs.networks import parameters
from resolvent.papers import Settings
from resolvent.papers import convergent_graph_solvers as paper
from resolvent.papers import convergent_graph_solvers_data as data
from resolvent.papers._message_passing import isomorphism, message_passing


@pytest.mark.slow
def test_random_layers_converge():
    rows = paper._sweeps(Settings(tiny=True))
    assert len(rows) == 18
    assert all(row["sweeps"] <= row["bound"] for row in rows)
    assert max(row["bias"] for row in rows) > 1e3


@pytest.mark.slow
@pytest.mark.parametrize(
    "solver", [ConvergentGraphSolver(layers=0), ConvergentGraphSolver(layers=2, readout="sum")]
)
def test_networks_of_finite_depth_are_as_large_as_the_solver(solver):
    size = parameters(solver.initialised(2, 3, 1, key=0).network)
    makers = [message_passing] if solver.readout is None else [message_passing, isomorphism]
    for make in makers:
        network = make(solver, (2, 3), 3, 1, 0)
        assert 0.93 * size <= parameters(network) <= 1.07 * size


@pytest.mark.slow
def test_finite_depth_reaches_no_further():
    n = 12
    chain = np.arange(n - 1)
    inputs = np.zeros((2, n))
    inputs[1, 0] = 1.0
    first, second = (batched([Graph(x, chain, chain + 1)]) for x in inputs)
    solver = ConvergentGraphSolver(heads=4, layers=0, hidden=8, decoder=(8,), contraction=0.9)
    network = message_passing(solver.but(activation="tanh"), (1, 1), 3, 1, 0)
    moved = np.abs(np.asarray(network(first) - network(second)))[:n, 0]
    assert (moved[:4] > 0).all()
    assert not moved[4:].any()


def test_scores_are_what_they_say():
    (graph,), (values,) = decision_graphs(1, 12, 3, key=0)
    assert data.right_actions([graph], [values], [values]) == 1.0
    assert data.right_actions([graph], [values + 7.0], [values]) == 1.0
    assert data.right_actions([graph], [-values], [values]) < 1.0
    assert data.percentage([1.1 * values], [values]) == pytest.approx(0.1)
    assert data.squares([values + 0.5], [values]) == pytest.approx(0.25)


def test_a_worse_measurement_changes_the_verdict(monkeypatch):
    def run(*errors):
        return {
            "errors": dict(zip((50, 100, 200), errors, strict=True)), "parameters": 1, "dead": 0,
            "steps": np.arange(2), "held out": np.ones(2),
        }  # fmt: skip

    runs = {
        "clip, q = 0.5": run(0.009, 0.008, 0.016),
        "sigmoid, q = 0.9": run(0.009, 0.007, 0.015),
        "no fixed point": run(0.021, 0.021, 0.030),
        "message passing": run(0.019, 0.020, 0.030),
    }
    monkeypatch.setattr(paper, "_pores", lambda settings: runs)
    assert paper.claim_2(Settings()).verdict == "confirmed"
    runs["message passing"] = run(0.01, 0.01, 0.01)
    assert paper.claim_2(Settings()).verdict == "confirmed in part"
    runs["no fixed point"] = run(0.009, 0.009, 0.009)
    assert paper.claim_2(Settings()).verdict == "not confirmed"

    def states(error, percent, right):
        return {
            "errors": {"8, 3": error}, "percent": {"8, 3": percent}, "right": {"8, 3": right},
            "parameters": 1, "steps": np.arange(2), "held out": np.ones(2),
        }  # fmt: skip

    found = {
        "q = 0.5": states(1.0, 0.04, 0.8),
        "no fixed point": states(1.2, 0.05, 0.7),
        "message passing": states(1.3, 0.06, 0.6),
    }
    monkeypatch.setattr(paper, "_values", lambda settings: found)
    assert paper.claim_3(Settings()).verdict == "confirmed"
    found["no fixed point"] = states(1.05, 0.05, 0.9)
    second = paper.claim_3(Settings())
    assert second.verdict == "confirmed in part"
    assert "MSE of the same network without more than 10% above" in second.reason.split(". met:")[0]
    found["no fixed point"] = found["message passing"] = states(0.9, 0.03, 0.9)
    assert paper.claim_3(Settings()).verdict == "not confirmed"

    accuracies = {
        "graph solver": {"accuracy": [0.9, 0.9], "parameters": 1},
        "graph isomorphism network": {"accuracy": [0.91, 0.8], "parameters": 1},
    }
    monkeypatch.setattr(paper, "_paths", lambda settings: accuracies)
    monkeypatch.setattr(paper, "_paths_figure", lambda runs: None)
    assert paper.claim_4(Settings()).verdict == "confirmed in part"
    accuracies["graph solver"]["accuracy"] = [0.7, 0.9]
    assert paper.claim_4(Settings()).verdict == "not confirmed"

    row = {"q": 0.5, "scale": 1.0, "sweeps": 20, "bound": 21, "bias": 1.0, "holds": True}
    rows = [row | {"q": q} for q in paper.CONTRACTIONS]
    monkeypatch.setattr(paper, "_sweeps", lambda settings: rows)
    assert paper.claim_1(Settings()).verdict == "confirmed"
    rows[0]["sweeps"] = 22
    assert paper.claim_1(Settings()).verdict == "confirmed in part"
