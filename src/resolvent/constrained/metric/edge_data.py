"""What users give for each pair of nodes, as one number an edge."""

from typing import Any

import jax
import numpy as np
import scipy.sparse

from resolvent._core.checks import finite, is_traced, real_array, real_dtype, refuse
from resolvent.constrained.metric.graph import Graph, complete_graph, graph_of


def square(name: str, value: Any, *, hollow: bool = True) -> Any:
    """A square matrix of finite numbers, a NumPy or a SciPy sparse array; hollow has diagonal 0."""
    if is_traced(value):
        refuse(
            TypeError, name, given="traced values", needed="arrays of numbers",
            advice="Solve it outside of the transformed function.",
        )  # fmt: skip
    if scipy.sparse.issparse(value):
        real_dtype(name, value.dtype)
        matrix: Any = scipy.sparse.csr_array(value)
        matrix.sum_duplicates()
        finite(name, matrix.data)
    else:
        matrix = np.asarray(real_array(name, value))
        if matrix.ndim == 2:
            finite(name, matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        refuse(
            ValueError, name, given=f"shape {matrix.shape}",
            needed="a square matrix of two nodes or more",
            advice="Make one of condensed distances with scipy.spatial.distance.squareform.",
        )  # fmt: skip
    if hollow and np.any(matrix.diagonal() != 0):
        refuse(
            ValueError, name, given="a diagonal that is not zero",
            needed="no edge from a node to itself", advice="Set its diagonal to zero.",
        )  # fmt: skip
    return matrix


def symmetric(name: str, matrix: Any) -> None:
    """Refuse a matrix that differs from its transpose, or has entries only on one side."""
    if scipy.sparse.issparse(matrix):
        other = scipy.sparse.csr_array(matrix.T)
        other.sort_indices()
        matrix.sort_indices()
        same = (
            np.array_equal(matrix.indptr, other.indptr)
            and np.array_equal(matrix.indices, other.indices)
            and np.array_equal(matrix.data, other.data)
        )
        largest = 0.0
    else:
        same = np.array_equal(matrix, matrix.T)
        largest = 0.0 if same else float(np.abs(matrix - matrix.T).max())
    if not same:
        by = f", by up to {largest:.1e}" if largest else ""
        refuse(
            ValueError, name, given=f"a matrix that differs from its transpose{by}",
            needed="a symmetric one", advice=f"Take ({name} + {name}.T) / 2.",
        )  # fmt: skip


def not_negative(name: str, values: Any) -> None:
    """Refuse numbers below 0."""
    if (values < 0).any():
        refuse(
            ValueError, name, given=f"entries down to {values.min():.3g}", needed="none below 0",
            advice="Look at its signs.",
        )  # fmt: skip


def edges_of(name: str, matrix: Any) -> tuple[Graph, Any]:
    """The graph of a symmetric matrix, all pairs or its stored entries, and its values there."""
    symmetric(name, matrix)
    if not scipy.sparse.issparse(matrix):
        graph = complete_graph(matrix.shape[0])
        return graph, matrix[graph.heads, graph.tails]
    upper = scipy.sparse.triu(matrix, 1, format="coo")
    order = np.lexsort((upper.col, upper.row))
    heads, tails = upper.row[order], upper.col[order]
    return graph_of(name, heads, tails, matrix.shape[0]), upper.data[order]


def at_edges(name: str, value: Any, graph: Graph, needed: str) -> Any:
    """Values at the edges of a graph: [m], or from a symmetric matrix that has all of them."""
    if not scipy.sparse.issparse(value) and np.ndim(value) == 1:
        if is_traced(value):
            square(name, value)  # refuses it
        values = np.asarray(real_array(name, value))
        finite(name, values)
        if values.shape != (graph.edges,):
            refuse(
                ValueError, name, given=f"shape {values.shape}", needed=f"shape ({graph.edges},)",
                advice=needed,
            )  # fmt: skip
        return values
    matrix = square(name, value, hollow=False)
    symmetric(name, matrix)
    if matrix.shape[0] != graph.nodes:
        refuse(
            ValueError, name, given=f"{matrix.shape[0]} nodes", needed=f"{graph.nodes} of them",
            advice=needed,
        )  # fmt: skip
    if scipy.sparse.issparse(matrix):
        ones = scipy.sparse.csr_array(
            (np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape
        )
        if (np.asarray(ones[graph.heads, graph.tails]) == 0).any():
            refuse(
                ValueError, name, given="no entry at some edges", needed="one an edge",
                advice=needed,
            )  # fmt: skip
    return np.asarray(matrix[graph.heads, graph.tails]).ravel()


def restricted(name: str, graph: Any, values: Any) -> tuple[Graph, Any]:
    """The graph of the entries of an adjacency matrix that are not 0, and a matrix's values there.

    A sparse matrix needs an entry at each of its edges.
    """
    pattern = scipy.sparse.csr_array(square("graph", graph) != 0)
    symmetric("graph", pattern)
    upper = scipy.sparse.triu(pattern, 1, format="coo")
    order = np.lexsort((upper.col, upper.row))
    found = graph_of("graph", upper.row[order], upper.col[order], pattern.shape[0])
    return found, at_edges(name, values, found, "Give an entry for every edge of the graph.")


def is_numpy(*values: Any) -> bool:
    """Whether no value is an array of JAX."""
    return not any(isinstance(value, jax.Array) for value in values)
