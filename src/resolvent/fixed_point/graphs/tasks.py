"""Graphs with known answers: physics and combinatorics to train graph solvers on."""

from typing import Any, NamedTuple

import numpy as np

from resolvent._core.checks import between, count
from resolvent._core.randomness import generator
from resolvent.fixed_point.graphs.graph import Graph


class Task(NamedTuple):
    """Graphs and what is to be predicted of them.

    Attributes:
        graphs: with features.
        targets: one array a graph.
    """

    graphs: list[Graph]
    targets: list[np.ndarray]


class PoreNetwork(NamedTuple):
    """Pores and the throats between them, with the pressure of a steady flow.

    Attributes:
        graph: nodes (on the boundary, pressure there), edges (log conductance / 3, 3 length, 1).
        pressure: at every pore, shape (n,).
        positions: in the unit square, shape (n, 2).
        conductance: of each directed edge, shape (m,).
    """

    graph: Graph
    pressure: np.ndarray
    positions: np.ndarray
    conductance: np.ndarray


def pore_network(n: int, key: Any = None) -> PoreNetwork:
    """A random pore network with flow from left to right.

    Pores at uniform points of the unit square have diameters d = exp(0.3 z), z normal; throats
    are the edges of their Delaunay triangulation, with conductance min(d_i, d_j)^4 / length and
    length the distance + 0.02. The pressure is 1 at the n // 8 leftmost pores, 0 at the n // 8
    rightmost, and balances the flow at all others: a weighted Laplace equation, solved by a sparse
    factorization.

    Args:
        n: pores, 8 at least.
        key: randomness.

    Returns:
        The network with its pressures. Positions are not among its features.

    Raises:
        ValueError: for fewer than 8 pores.

    Example:
        ```python
        from resolvent.fixed_point.graphs import pore_network
        made = pore_network(40, key=0)
        assert made.pressure.min() == 0.0 and made.pressure.max() == 1.0
        ```
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu
    from scipy.spatial import Delaunay

    count("n", n, least=8)
    rng = generator(key)
    positions = rng.random((n, 2))
    diameters = np.exp(0.3 * rng.standard_normal(n))
    pairs = Delaunay(positions).simplices[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    senders, receivers = np.concatenate([pairs, pairs[:, ::-1]]).T
    length = np.linalg.norm(positions[senders] - positions[receivers], axis=1) + 0.02
    conductance = np.minimum(diameters[senders], diameters[receivers]) ** 4 / length
    order, sides = np.argsort(positions[:, 0]), n // 8
    boundary, pressure = np.zeros(n), np.zeros(n)
    boundary[order[:sides]] = boundary[order[-sides:]] = 1.0
    pressure[order[:sides]] = 1.0
    weights = sparse.csr_array((conductance, (senders, receivers)), shape=(n, n))
    free = boundary == 0.0
    laplacian = sparse.diags_array(weights.sum(axis=1)) - weights
    inner = sparse.csc_array(laplacian.tocsr()[free][:, free])
    known = pressure.copy()
    pressure[free] = splu(inner).solve((weights @ known)[free])
    edges = np.stack([np.log(conductance) / 3.0, 3.0 * length, np.ones_like(length)], axis=1)
    graph = Graph(np.stack([boundary, known], axis=1), senders, receivers, edges)
    return PoreNetwork(graph, pressure, positions, conductance)


def pore_networks(number: int, n: int, key: Any = None) -> Task:
    """Random pore networks and their pressures, see `pore_network`.

    Args:
        number: of networks.
        n: pores of each.
        key: randomness.

    Returns:
        The task; targets have shape (n, 1).

    Example:
        ```python
        from resolvent.fixed_point.graphs import pore_networks
        graphs, pressures = pore_networks(3, 30, key=0)
        assert pressures[0].shape == (30, 1)
        ```
    """
    made = [pore_network(n, one) for one in _keys(number, key)]
    return Task([one.graph for one in made], [one.pressure[:, None] for one in made])


def decision_graphs(
    number: int, n: int | tuple[int, int], actions: int | tuple[int, int], key: Any = None,
    *, discount: float = 0.9,
) -> Task:  # fmt: skip
    """Random deterministic decision problems and the values of their states.

    Each state i has `actions` edges that enter it from random other states s, with rewards r
    uniform in [-1, 1]; its value is V_i = max over them of r + discount V_s, the fixed point of
    value iteration, found here to 1e-6.

    Args:
        number: of graphs.
        n: states of each, or a range (low, high) without its end.
        actions: edges that enter each state, or such a range.
        key: randomness.
        discount: in (0, 1).

    Returns:
        The task: node feature 1, edge feature r, edges in the order of their receivers; targets of
        shape (n, 1).

    Raises:
        ValueError: for fewer than 2 states, no action or a discount outside (0, 1).

    Example:
        ```python
        from resolvent.fixed_point.graphs import decision_graphs
        graphs, values = decision_graphs(2, 30, 6, key=0)
        assert graphs[0].m == 180 and values[0].shape == (30, 1)
        ```
    """
    between("discount", discount, 0.0, 1.0, "Value iteration contracts by it.")
    made = Task([], [])
    for one in _keys(number, key):
        rng = generator(one)
        size = count("n", _within(n, rng), least=2)
        a = count("actions", _within(actions, rng), least=1)
        receivers = np.repeat(np.arange(size), a)
        # One of the other states: those from i on are moved by one.
        senders = rng.integers(0, size - 1, size * a)
        senders = senders + (senders >= receivers)
        rewards = rng.uniform(-1.0, 1.0, size * a)
        values, change = np.zeros(size), np.inf
        while not change <= 1e-6 * (1.0 - discount):
            new = backups(rewards, values, senders, a, discount).max(axis=1)
            values, change = new, np.abs(new - values).max()
        made.graphs.append(Graph(np.ones(size), senders, receivers, rewards))
        made.targets.append(values[:, None])
    return made


def backups(rewards: Any, values: Any, senders: Any, actions: int, discount: float = 0.9) -> Any:
    """r + discount V_s of every edge of a decision graph, shape (n, actions)."""
    return (rewards + discount * values[senders]).reshape(-1, actions)


def reachability(number: int, n: int, key: Any = None, *, degree: float = 2.0) -> Task:
    """Random sparse graphs with two marked nodes: is there a path between them?

    Half of the graphs have one. The number of edges is the same in all.

    Args:
        number: of graphs.
        n: nodes of each, 8 at least.
        key: randomness.
        degree: the mean number of neighbours.

    Returns:
        The task: node features (first, second), edge feature 1, edges both ways; targets are
        classes, 1 where there is a path.

    Raises:
        ValueError: for fewer than 8 nodes, or a degree outside (1, 4), where nearly all pairs are
            alike.

    Example:
        ```python
        from resolvent.fixed_point.graphs import reachability
        graphs, labels = reachability(10, 20, key=0)
        assert sum(int(label) for label in labels) == 5
        ```
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count("n", n, least=8)
    between("degree", degree, 1.0, 4.0, "Nearly all pairs are alike otherwise.")
    made = Task([], [])
    upper = np.stack(np.triu_indices(n, 1), axis=1)
    for i, one in enumerate(_keys(number, key)):
        rng = generator(one)
        while True:
            chosen = upper[rng.choice(len(upper), round(0.5 * degree * n), replace=False)]
            shown = csr_array((np.ones(len(chosen)), chosen.T), shape=(n, n))
            component = connected_components(shown, directed=False)[1]
            first, second = rng.choice(n, 2, replace=False)
            joined = component[first] == component[second]
            if joined == i % 2:
                break
        nodes = np.zeros((n, 2))
        nodes[first, 0] = nodes[second, 1] = 1.0
        senders, receivers = np.concatenate([chosen, chosen[:, ::-1]]).T
        made.graphs.append(Graph(nodes, senders, receivers))
        made.targets.append(np.array(int(joined)))
    return made


def _keys(number: int, key: Any) -> list[Any]:
    rng = generator(key)
    return [int(word) for word in rng.integers(0, 2**62, count("number", number, least=1))]


def _within(value: int | tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(*value)) if isinstance(value, tuple) else value
