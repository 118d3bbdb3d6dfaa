"""Lists of cycle inequalities with their multipliers, and the oracle that finds violated ones."""

from typing import Any, NamedTuple

import numpy as np

from resolvent.constrained.metric.graph import Graph

_LARGEST = 1e150  # multipliers beyond it are nonsense, and their sums might overflow
_SHORT = 2**15  # nodes whose numbers fit two bytes


class CycleMultipliers(NamedTuple):
    """Multipliers of some cycle inequalities, those of all others being 0.

    Attributes:
        starts: [rows + 1], where a row begins in `edges`, and where the last ends.
        edges: numbers of edges. The first of a row is at most as long as its others together,
            which are a way between its ends.
        values: [rows], at least 0.
    """

    starts: Any
    edges: Any
    values: Any


class CycleList(NamedTuple):
    """Rows with multipliers, and numbers by which rows are known."""

    starts: Any
    edges: Any
    z: Any
    keys: Any

    def joined(self, other: "CycleList") -> "CycleList":
        """The rows of both."""
        if not other.z.size:
            return self
        parts = zip(self, other, strict=True)
        _, edges, z, keys = (np.concatenate(two) for two in parts)
        return CycleList(
            np.concatenate([self.starts[:-1], self.starts[-1] + other.starts]), edges, z, keys
        )

    def copied(self) -> "CycleList":
        """The same in arrays of its own."""
        return CycleList(*(part.copy() for part in self))

    def multipliers(self, exponent: int) -> CycleMultipliers:
        """As a witness, z times 2 to the exponent."""
        used = np.flatnonzero(self.z > 0)
        if used.size == self.z.size:
            return CycleMultipliers(
                self.starts.copy(), self.edges.copy(), np.ldexp(self.z, exponent)
            )
        lengths = np.diff(self.starts)[used]
        rows = np.repeat(np.arange(used.size), lengths)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(starts[-1]) - starts[rows] + self.starts[used][rows]
        return CycleMultipliers(starts, self.edges[places], np.ldexp(self.z[used], exponent))


def no_cycles() -> CycleList:
    """The empty list."""
    return CycleList(
        np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0, np.uint64)
    )


def admitted(witness: Any, graph: Graph) -> CycleList | None:
    """Multipliers from elsewhere as a list; None unless they are of cycles of this graph."""
    from resolvent.constrained.metric import kernels_cycles as kernels

    if not isinstance(witness, tuple) or len(witness) != 3:
        return None
    try:
        starts, edges, z = (np.asarray(part) for part in witness)
    except ValueError:
        return None
    if any(part.ndim != 1 for part in (starts, edges, z)) or starts.size != z.size + 1:
        return None
    if starts.dtype.kind not in "iu" or edges.dtype.kind not in "iu" or z.dtype.kind != "f":
        return None
    if edges.size and not 0 <= edges.min() <= edges.max() < graph.edges:
        return None
    if not (np.isfinite(z).all() and (z >= 0).all() and (z < _LARGEST).all()):
        return None
    ends = starts[0] == 0 and starts[-1] == edges.size and (np.diff(starts) >= 3).all()
    starts, edges = starts.astype(np.int64), edges.astype(np.int32)
    if not ends or not kernels.are_cycles(starts, edges, graph.heads, graph.tails):
        return None
    keys = np.empty(z.size, np.uint64)
    kernels.keys_of(starts, edges, keys)
    return CycleList(starts, edges, z.astype(np.float64), keys)


def closure(graph: Graph, x: Any) -> Any:
    """The lengths of shortest paths between the ends of edges, negative lengths taken for 0."""
    return _shortest(graph, x)[0] if graph.complete else violated(graph, x, _NONE, no_cycles())[0]


_NONE = np.empty(0)


def _nodes(n: int) -> Any:
    """The type of node numbers; the shorter it is, the faster are shortest paths."""
    return np.int16 if n < _SHORT else np.int32


def _shortest(graph: Graph, x: Any) -> tuple[Any, Any, Any]:
    """The closure, and all distances with the nodes before the last."""
    from resolvent.constrained.metric import kernels_paths as kernels

    n = graph.nodes
    D, before = np.empty((n, n)), np.empty((n, n), _nodes(n))
    kernels.as_matrix(x, n, D)
    kernels.all_shortest(D, before)
    return D[graph.heads, graph.tails], D, before


def violated(
    graph: Graph, x: Any, inverse: Any, known: CycleList, *, slack: float = 0.0,
    sources: Any = None, at_once: bool = False,
) -> tuple[Any, CycleList]:  # fmt: skip
    """Shortest paths from all nodes or from `sources`, and the violated rows that are not known.

    With `at_once` x is moved onto each of them as it is found, in place.

    Returns:
        The closure (of edges at other nodes than sources: anything), and the rows.
    """
    from resolvent.constrained.metric import kernels_cycles as kernels
    from resolvent.constrained.metric import kernels_paths as paths

    n, m = graph.nodes, graph.edges
    every = sources is None
    sources = np.arange(n) if sources is None else sources
    if graph.complete:
        table = kernels.table_of(known.keys, sources.size * n // (2 if every else 1))
        if every:
            shortest, D, before = _shortest(graph, x)
        else:
            D, before = np.empty((sources.size, n)), np.empty((sources.size, n), _nodes(n))
            whole = np.empty((n, n))
            paths.as_matrix(x, n, whole)
            paths.shortest_from_each(whole, sources, D, before)
            shortest = np.maximum(x, 0.0)
        found = kernels.violated_dense(
            n, D, before, sources, x, inverse, table, slack, at_once
        )  # fmt: skip
    else:
        shortest = np.full(m, np.inf)
        table = kernels.table_of(known.keys, 2 * m)
        found = kernels.violated_sparse(
            graph.begins, graph.others, graph.places, graph.heads, graph.tails, sources, x,
            inverse, table, slack, at_once, shortest,
        )  # fmt: skip
    return shortest, CycleList(*found)


def forgotten(rows: CycleList, floor: float) -> CycleList:
    """The rows whose multipliers are above a floor. The list that is given is spoiled."""
    from resolvent.constrained.metric import kernels_cycles as kernels

    many = kernels.kept(rows.starts, rows.edges, rows.z, rows.keys, floor)
    if many == rows.z.size:
        return rows
    return CycleList(
        rows.starts[: many + 1].copy(), rows.edges[: rows.starts[many]].copy(),
        rows.z[:many].copy(), rows.keys[:many].copy(),
    )  # fmt: skip
