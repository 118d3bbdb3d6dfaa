"""A graph solver learns the pressures of pore networks and is certified on a larger one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import resolvent as rs
from resolvent.tour import figures
from resolvent.tour.section import RTOL, Attempt, Section, clock, sum_up

PORES, LARGE, UPDATES, BATCH = 40, 200, 160, 8


class Trained(NamedTuple):
    """A trained solver, and the curves of the networks by label."""

    solver: Any
    curves: dict[str, Any]
    sizes: dict[str, int]


def train(updates: int = UPDATES, say: Callable[[str], Any] = lambda text: None) -> Trained:
    """Train the graph solver, and message passing in three layers with as many parameters."""
    from resolvent.fixed_point.graphs import ConvergentGraphSolver, pore_networks
    from resolvent.fixed_point.graphs.networks import parameters
    from resolvent.fixed_point.graphs.training import labelled, trained
    from resolvent.papers._message_passing import message_passing

    say("pore networks")
    graphs, pressures = pore_networks(updates, PORES, key=1)
    others = pore_networks(BATCH, PORES, key=2)
    solver = ConvergentGraphSolver(contraction=0.9, layers=0)
    say("training the graph solver")
    solver = solver.fit(
        graphs, pressures, key=0, steps=updates, batch=BATCH, held_out=others, looks=10
    )
    say("training message passing")
    rival, curve = trained(
        message_passing(solver, (2, 3), 3, 1, 0),
        labelled(graphs, pressures, "squared", False),
        0,
        steps=updates,
        batch=BATCH,
        held_out=labelled(others.graphs, others.targets, "squared", False),
        looks=10,
    )
    ours, theirs = "graph solver", "message passing, three layers"
    return Trained(
        solver,
        {ours: solver.curve, theirs: curve},
        {ours: parameters(solver.network), theirs: parameters(rival)},
    )


def factorized(problem: Any) -> np.ndarray:
    """The fixed points by SciPy's sparse factorization, one a head."""
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu

    weights, bias, rows, columns, q = (np.asarray(arg) for arg in problem.args)
    n, heads = bias.shape
    found = np.empty_like(bias)
    for head in range(heads):
        A = sparse.csc_array((weights[:, head], (rows, columns)), shape=(n, n))
        found[:, head] = splu(sparse.csc_array(sparse.eye_array(n) - q * A)).solve(bias[:, head])
    return found


def pores(
    out: Path,
    say: Callable[[str], Any],
    updates: int = UPDATES,
    size: int = LARGE,
    repeats: int = 5,
) -> Section:
    """The stop: the training curve of a graph solver, and a certified prediction."""
    from resolvent.fixed_point.graphs import pore_network

    done = train(updates, say)
    say("a larger network")
    made = pore_network(size, key=3)
    problem = done.solver.problem([made.graph])
    attempts = []
    for label, method in (
        ("Picard", rs.fixed_point.Picard()),
        ("Anderson", rs.fixed_point.Anderson()),
    ):
        solve = partial(rs.solve, problem, method, rtol=RTOL, throw=False)
        solve()  # compiles; not timed
        sol, seconds = clock(solve, repeats)
        certificate = sol.certificate
        attempts.append(
            Attempt(label, seconds, certificate.relative, bool(sol.converged), int(sol.steps))
        )
    direct, seconds = clock(partial(factorized, problem), repeats)
    certificate = rs.certify(problem, direct, rtol=RTOL)
    attempts.append(
        Attempt(
            "SciPy splu, head by head", seconds, certificate.relative, bool(certificate.holds),
            peer=True,
        )
    )  # fmt: skip
    predicted = done.solver.predict([made.graph], rtol=RTOL).values[0][:, 0]
    error = float(np.mean((predicted - made.pressure) ** 2))
    last = {label: float(curve.held_out[-1]) for label, curve in done.curves.items()}
    say("figures")
    return Section(
        "A graph solver learns the flow through pores",
        [
            "A graph solver reads a network of pores and throats, and predicts the pressures of a "
            "steady flow through it as the fixed point of an affine map that contracts whatever "
            "the weights of the network are. Beside it: message passing in three layers with as "
            "many parameters, which sees no further than three throats. Positions of the pores are "
            "known to neither.",
            f"After {updates} updates on networks of {PORES} pores, held-out mean squared errors: "
            + ", ".join(
                f"{label} ({done.sizes[label]} parameters) {value:.4f}"
                for label, value in last.items()
            )
            + f". The graph solver's on the network of {size} pores below: {error:.4f}. So few "
            "updates favour the graph solver, which learns faster; after 500, message passing is "
            "as good: `resolvent reproduce convergent-graph-solvers`.",
            f"The table: the fixed point behind that prediction, {problem.first.size} unknowns, "
            "certified by a bound of its largest error, relative to max |b| / (1 - q). What is "
            "certified is the network's fixed point; how far it is from the true pressure is "
            "what the squared error says.",
        ],
        attempts,
        sum_up("pores", "fixed point of a graph solver", problem.first.size, attempts),
        [
            (
                _curves(out / "pores-training.png", done),
                "Held-out errors while the networks learn.",
            ),
            (
                _networks(out / "pores.png", made, predicted),
                f"Pressures of a network of {size} pores, of a kind that training has not seen.",
            ),
        ],
    )


def _curves(path: Path, done: Trained) -> Path:
    figure, (ax,) = figures.new_figure(width=7.0)
    for (label, curve), style in zip(done.curves.items(), ("o-", "s--"), strict=True):
        text = f"{label}, {done.sizes[label]} parameters"
        ax.semilogy(curve.steps, curve.held_out, style, markersize=4, label=text)
    ax.set(xlabel="updates", ylabel="mean squared error of pressures, held out")
    ax.legend(frameon=False)
    figures.tidy(ax)
    return figures.save(figure, path)


def _networks(path: Path, made: Any, predicted: np.ndarray) -> Path:
    from matplotlib.collections import LineCollection

    figure, axes = figures.new_figure(2, width=5.6, height=5.0)
    throats = made.positions[np.stack([made.graph.senders, made.graph.receivers], axis=1)]
    shown = None
    for ax, values, title in zip(
        axes, (made.pressure, predicted), ("direct solve", "graph solver"), strict=True
    ):
        ax.add_collection(LineCollection(list(throats), colors="#bbbbbb", linewidths=0.5))
        shown = ax.scatter(
            *made.positions.T, c=values, s=16, cmap="viridis", vmin=0.0, vmax=1.0, zorder=2
        )
        ax.set_title(title, fontsize=12)
        ax.set_aspect("equal")
        ax.set_axis_off()
    figure.colorbar(shown, ax=list(axes), label="pressure", shrink=0.85)
    return figures.save(figure, path)
