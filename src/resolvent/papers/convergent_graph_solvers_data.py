"""The trainings behind the claims on graph solvers."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from resolvent.papers import Settings


class Plan(NamedTuple):
    """How all networks of an experiment are trained.

    Attributes:
        training: graphs and targets.
        held_out: the same, for the curve.
        steps: updates.
        batch: graphs in one.
        rate: learning rate at first.
        loss: `squared` or `cross_entropy`.
        of_graphs: whether whole graphs have targets.
    """

    training: Any
    held_out: Any
    steps: int
    batch: int
    rate: float
    loss: str = "squared"
    of_graphs: bool = False


def learned(network: Any, plan: Plan, key: Any) -> tuple[Any, Any]:
    """A network after the plan's training, and its curve; as it is where that has no steps."""
    from resolvent.fixed_point.graphs.training import TrainingCurve, labelled, trained

    if not plan.steps:
        return network, TrainingCurve(np.ones(1), np.zeros(1, int), np.ones(1))
    data, held = (
        labelled(task.graphs, task.targets, plan.loss, plan.of_graphs)
        for task in (plan.training, plan.held_out)
    )
    return trained(
        network, data, key, loss=plan.loss, steps=plan.steps, batch=plan.batch,
        learning_rate=plan.rate, held_out=held,
    )  # fmt: skip


def predicted(network: Any, tests: dict[Any, Any]) -> dict[Any, list[np.ndarray]]:
    """Predictions of all nodes by size of graph, from one program for all sizes."""
    import equinox as eqx

    from resolvent.fixed_point.graphs import batched

    sums = [
        (sum(graph.n for graph in task.graphs) + 1, sum(graph.m for graph in task.graphs))
        for task in tests.values()
    ]
    room = max(size for size, _ in sums), max(size for _, size in sums)
    program, found = eqx.filter_jit(network), {}
    for size, task in tests.items():
        values = np.asarray(program(batched(task.graphs, room)))
        found[size] = np.split(values, np.cumsum([graph.n for graph in task.graphs]))[:-1]
    return found


def squares(found: list[np.ndarray], targets: list[np.ndarray]) -> float:
    """The mean squared error over all nodes."""
    return float(np.mean((np.concatenate(found) - np.concatenate(targets)) ** 2))


def record(network: Any, curve: Any, tests: dict[Any, Any]) -> dict[str, Any]:
    """What the claims read of a trained network: errors by size, and the curve."""
    from resolvent.fixed_point.graphs.networks import parameters

    found = predicted(network, tests)
    return {
        "parameters": parameters(network),
        "errors": {size: squares(found[size], task.targets) for size, task in tests.items()},
        "steps": curve.steps,
        "held out": curve.held_out,
        "predictions": found,
    }


def pores(settings: Settings) -> dict[str, Any]:
    """Pressures: graph solvers, the same without a fixed point, message passing."""
    from resolvent.fixed_point.graphs import ConvergentGraphSolver, pore_networks
    from resolvent.papers._message_passing import message_passing

    steps, batch = settings.pick(500, full=1000, tiny=8), settings.pick(12, full=32, tiny=2)
    n = settings.pick(50, tiny=12)
    settings.say("pore networks")
    tests = {
        size: pore_networks(settings.pick(8, full=64, tiny=2), size, key=100 + size)
        for size in settings.pick((50, 100, 200), tiny=(12, 16, 24))
    }
    plan = Plan(
        pore_networks(-(-steps // 8) * batch, n, key=1), pore_networks(batch, n, key=2),
        steps, batch, 2e-3,
    )  # fmt: skip
    solver = ConvergentGraphSolver(layers=0)
    kinds = {
        "clip, q = 0.5": solver.but(normalization="clip"),
        "sigmoid, q = 0.9": solver.but(contraction=0.9),
        "no fixed point": solver.but(contraction=0.0),
    }
    runs = {}
    for label, kind in kinds.items():
        settings.say(f"pressures, {label}")
        network, curve = learned(kind.initialised(2, 3, 1, key=0).network, plan, 0)
        runs[label] = record(network, curve, tests)
        if settings.tiny:  # one is enough: its program takes far longer to compile than to run
            plan = plan._replace(steps=0)
        if kind.normalization == "clip":
            last = tests[max(tests)].graphs
            runs[label]["dead"] = len(kind.but(network=network).dead_heads(last))
    settings.say("pressures, message passing")
    network = message_passing(solver, (2, 3), 3, 1, 0)
    runs["message passing"] = record(*learned(network, plan, 0), tests)
    return _without_predictions(runs)


def values(settings: Settings) -> dict[str, Any]:
    """Values of decision problems: the same networks."""
    from resolvent.fixed_point.graphs import ConvergentGraphSolver, decision_graphs
    from resolvent.papers._message_passing import message_passing

    steps, batch = settings.pick(1500, full=5000, tiny=0), settings.pick(16, full=64, tiny=2)
    size = settings.pick((30, 6), full=((20, 50), (5, 10)), tiny=(8, 3))
    settings.say("decision problems")
    tests = {
        f"{n}, {a}": decision_graphs(settings.pick(8, full=64, tiny=2), n, a, key=1000 + n)
        for n, a in settings.pick(((30, 6), (60, 6), (120, 10)), tiny=((8, 3), (12, 3)))
    }
    plan = Plan(
        decision_graphs(max(1, -(-steps // 8)) * batch, *size, key=1),
        decision_graphs(batch, *size, key=2), steps, batch, 1e-3,
    )  # fmt: skip
    solver = ConvergentGraphSolver(layers=1, rows="receivers")
    if settings.full:
        solver = solver.but(heads=64, layers=3, width=64, hidden=128)
    features = (1, 1)
    makers = {
        "q = 0.5": lambda: solver.initialised(*features, 1, key=0).network,
        "no fixed point": lambda: (
            solver.but(contraction=0.0).initialised(*features, 1, key=0).network
        ),
        "message passing": partial(message_passing, solver, features, 3, 1, 0),
    }
    runs = {}
    for label, make in makers.items():
        settings.say(f"values, {label}")
        runs[label] = record(*learned(make(), plan, 0), tests)
        found = runs[label]["predictions"]
        runs[label]["percent"] = {
            size: percentage(found[size], task.targets) for size, task in tests.items()
        }
        runs[label]["right"] = {
            size: right_actions(task.graphs, found[size], task.targets)
            for size, task in tests.items()
        }
    return _without_predictions(runs)


def percentage(found: list[np.ndarray], targets: list[np.ndarray]) -> float:
    """The mean of |error| / |truth|."""
    truth = np.concatenate(targets)
    return float(np.mean(np.abs(np.concatenate(found) - truth) / np.abs(truth)))


def right_actions(graphs: Any, found: list[np.ndarray], targets: list[np.ndarray]) -> float:
    """The share of states whose greedy action is that of the true values."""
    from resolvent.fixed_point.graphs.tasks import backups

    same = []
    for graph, guess, truth in zip(graphs, found, targets, strict=True):
        rewards, a = graph.edges[:, 0], graph.m // graph.n
        chosen, best = (
            backups(rewards, value[:, 0], graph.senders, a).argmax(axis=1)
            for value in (guess, truth)
        )
        same.append(chosen == best)
    return float(np.mean(np.concatenate(same)))


def paths(settings: Settings) -> dict[str, Any]:
    """Whole graphs: is there a path between two nodes?"""
    import equinox as eqx

    from resolvent.fixed_point.graphs import ConvergentGraphSolver, batched, reachability
    from resolvent.papers._message_passing import isomorphism

    steps, batch = settings.pick(800, full=4000, tiny=0), settings.pick(32, tiny=4)
    n = settings.pick(24, tiny=8)
    settings.say("sparse random graphs")
    tests = reachability(settings.pick(400, tiny=8), n, key=2)
    plan = Plan(
        reachability(settings.pick(1600, full=6400, tiny=8), n, key=1), tests, steps, batch, 2e-3,
        "cross_entropy", True,
    )  # fmt: skip
    solver = ConvergentGraphSolver(contraction=0.9, readout="sum", loss="cross_entropy")
    makers = {
        "graph solver": lambda key: solver.initialised(2, 1, 2, key=key).network,
        "graph isomorphism network": lambda key: isomorphism(solver, (2, 1), 5, 2, key),
    }
    runs: dict[str, Any] = {}
    labels = np.array([int(label) for label in tests.targets])
    for name, make in makers.items():
        run = runs[name] = {"accuracy": [], "held out": [], "steps": None, "parameters": 0}
        for seed in range(settings.pick(2, tiny=1)):
            settings.say(f"paths, {name}, seed {seed}")
            network, curve = learned(make(seed), plan, seed)
            found = np.asarray(eqx.filter_jit(network)(batched(tests.graphs)))
            run["accuracy"].append(float(np.mean(found.argmax(axis=1) == labels)))
            run["held out"].append(curve.held_out)
            run["steps"] = curve.steps
            run["parameters"] = _count(network)
    return runs


def _count(network: Any) -> int:
    from resolvent.fixed_point.graphs.networks import parameters

    return parameters(network)


def _without_predictions(runs: dict[str, Any]) -> dict[str, Any]:
    return {
        label: {name: value for name, value in run.items() if name != "predictions"}
        for label, run in runs.items()
    }
