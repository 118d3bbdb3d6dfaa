"""Problems and runs of the experiments on block coordinate descent."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse


def regression(n: int, p: int, seed: int) -> tuple[Any, Any]:
    """A sparse matrix whose columns have very different lengths, and targets.

    Entries are normal around 1, columns are scaled by 10 times a normal number, an entry is kept
    with probability 10 log(n) / n; a tenth of the weights is not zero.
    """
    rng = np.random.default_rng([seed, 17])
    A = (rng.standard_normal((n, p)) + 1.0) * (10 * rng.standard_normal(p))
    A *= rng.random((n, p)) < 10 * np.log(n) / n
    w = rng.standard_normal(p) * (rng.random(p) < 0.1)
    return A, A @ w + rng.standard_normal(n)


class Propagation(NamedTuple):
    """Labels that spread over a graph: A x = b for the nodes without one."""

    A: Any
    b: Any
    free: Any
    """The numbers of these nodes in the graph."""


def propagation(W: Any, labels: Any, known: Any) -> Propagation:
    """The system of the least sum of W_ij (y_i - y_j)^2 with the known labels held."""
    W = scipy.sparse.csr_array(W)
    free = np.setdiff1d(np.arange(W.shape[0]), known)
    degrees = np.asarray(W.sum(axis=0)).ravel()
    A = (scipy.sparse.diags_array(degrees) - W).tocsr()[free][:, free]
    return Propagation(A.tocsc(), W[free][:, known] @ labels, free)


def lattice(rows: int, columns: int, labelled: int, seed: int) -> Propagation:
    """A lattice, node (r, c) of number r + c rows, with some labels 10 N(0, 1)."""
    path = [scipy.sparse.diags_array(np.ones(size - 1), offsets=1, shape=(size, size))
            for size in (columns, rows)]  # fmt: skip
    W = scipy.sparse.kron(path[0], scipy.sparse.eye_array(rows))
    W = W + scipy.sparse.kron(scipy.sparse.eye_array(columns), path[1])
    rng = np.random.default_rng([seed, 18])
    known = rng.choice(rows * columns, labelled, replace=False)
    return propagation(W + W.T, 10 * rng.standard_normal(labelled), known)


def two_moons(points: int, labelled: int, seed: int) -> Propagation:
    """Two half circles that reach into each other, each point tied to its 5 nearest ones.

    Where parts of the graph have no label, they are left out: nothing spreads to them.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng([seed, 19])
    side, angle = np.arange(points) % 2, np.pi * rng.random(points)
    place = np.column_stack([np.cos(angle) + side, np.sin(angle)])
    place[side == 1] = np.column_stack([place[side == 1, 0], 0.5 - place[side == 1, 1]])
    place += 0.1 * rng.standard_normal(place.shape)
    _, near = cKDTree(place).query(place, 6)
    rows = np.repeat(np.arange(points), 5)
    W = scipy.sparse.coo_array((np.ones(5 * points), (rows, near[:, 1:].ravel())), (points,) * 2)
    W = ((W + W.T) > 0).astype(float)
    known = rng.choice(points, labelled, replace=False)
    _, part = scipy.sparse.csgraph.connected_components(W)
    kept = np.isin(part, np.unique(part[known]))
    place_of = np.cumsum(kept) - 1
    W = W.tocsr()[kept][:, kept]
    return propagation(W, 2.0 * side[known] - 1.0, place_of[known])


class Run(NamedTuple):
    """One method on one problem."""

    values: Any
    """The objective before the first step and after each."""
    rests: Any
    """The last step with another set of resting coordinates than at the end."""


def run(problem: Any, method: Any, steps: int, seed: int = 0, least: float = -np.inf) -> Run:
    """Take so many steps, or as many as the objective needs to come down to `least`."""
    problem = problem.prepare("host")
    bound = method.bind(problem)
    key = np.random.default_rng([seed, 20])
    from resolvent._core.memory import Memory

    state = bound.init(problem, problem.start(None), Memory(), key)
    model = bound.working.model
    values = []
    for _ in range(steps + 1):
        values.append(model.value(state.x, state.z, state.g if bound.working.follows else None))
        values[-1] += model.terms.value(state.x)
        if values[-1] <= least or bound.status(state) or len(values) > steps:
            break
        state, _ = bound.advance(problem, state, 1, -1.0)
    return Run(np.array(values), state.changed)


def identified(problem: Any, method: Any, answer: Any, limit: int, seed: int = 0) -> int:
    """The first step from which on every coordinate that rests at the answer is in its place."""
    from resolvent._core.memory import Memory

    problem = problem.prepare("host")
    bound = method.bind(problem)
    state = bound.init(problem, problem.start(None), Memory(), np.random.default_rng([seed, 21]))
    resting = bound.working.model.terms.resting(answer)
    last = 0
    for step in range(1, limit + 1):
        state, trace = bound.advance(problem, state, 1, -1.0)
        if not len(trace):
            break
        if not np.array_equal(state.x[resting], answer[resting]):
            last = step
    return last + 1 if last else 0
