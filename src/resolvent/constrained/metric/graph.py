"""Graphs whose edges have lengths: all pairs of some nodes, or some of them."""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from resolvent._core.checks import refuse


class Graph(NamedTuple):
    """Edges in the order of their ends, each from its lesser node to its greater one.

    Attributes:
        heads: [m], the lesser nodes.
        tails: [m], the greater ones.
        begins: [n + 1], where the neighbours of a node begin; empty for a complete graph.
        others: [2 m], the neighbours.
        places: [2 m], the edges to them.
    """

    heads: Any
    tails: Any
    begins: Any
    others: Any
    places: Any

    @property
    def edges(self) -> int:
        """How many edges there are."""
        return self.heads.size

    @property
    def complete(self) -> bool:
        """Whether every pair is an edge."""
        return self.begins.size == 0

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        if self.complete:
            return (1 + math.isqrt(1 + 8 * self.edges)) // 2
        return self.begins.size - 1

    def matrix(self, x: Any) -> Any:
        """Lengths as a symmetric matrix, dense for a complete graph and sparse for another."""
        n = self.nodes
        if self.complete:
            full = np.zeros((n, n), x.dtype)
            full[self.heads, self.tails] = full[self.tails, self.heads] = x
            return full
        return scipy.sparse.csr_array(
            (x[self.places], self.others, self.begins), shape=(n, n)
        )  # fmt: skip


def complete_graph(n: int) -> Graph:
    """All pairs of n nodes."""
    heads, tails = np.triu_indices(n, 1)
    nothing = np.empty(0, np.int32)
    return Graph(heads.astype(np.int32), tails.astype(np.int32), nothing, nothing, nothing)


def graph_of(name: str, heads: Any, tails: Any, n: int) -> Graph:
    """The graph of these edges, which must be sorted, each with its lesser node first."""
    if heads.size == n * (n - 1) // 2:
        return complete_graph(n)
    shape, count = (n, n), np.arange(heads.size, dtype=np.int32)
    # Shifted by one, so that the first edge is no zero.
    half = scipy.sparse.coo_array((count + 1, (heads, tails)), shape=shape)
    whole = (half + half.T).tocsr()
    whole.sort_indices()
    parts = int(connected_components(whole, directed=False, return_labels=False))
    if parts > 1:
        refuse(
            ValueError, name, given=f"a graph of {parts} parts without an edge between them",
            needed="a connected graph",
            advice="Solve each part of its own: scipy.sparse.csgraph.connected_components.",
        )  # fmt: skip
    return Graph(
        heads.astype(np.int32), tails.astype(np.int32), whole.indptr.astype(np.int32),
        whole.indices.astype(np.int32), (whole.data - 1).astype(np.int32),
    )  # fmt: skip
