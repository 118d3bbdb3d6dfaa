"""Graphs with features, and batches of them whose shapes compiled programs can share."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from resolvent._core.checks import count, finite, real_array, refuse
from resolvent._core.value import Value, static


class Graph(Value):
    """A directed graph with numbers on its nodes and edges.

    Edge e leads from node `senders[e]` to node `receivers[e]`. An undirected graph has each edge
    both ways. Features should be of the order of 1, as for any network.

    Args:
        nodes: features, shape (n, features); a vector is one feature.
        senders: shape (m,), from 0 to n - 1.
        receivers: shape (m,), from 0 to n - 1.
        edges: features, shape (m, features); a vector is one feature, None the number 1.

    Raises:
        ValueError: for a graph without nodes, indices outside the graph, lengths that do not fit
            or numbers that are not finite.
        TypeError: for indices that are no integers.

    Example:
        ```python
        import numpy as np
        from resolvent.fixed_point.graphs import Graph
        ring = Graph(np.ones(5), np.arange(5), (np.arange(5) + 1) % 5)
        assert ring.n == 5 and ring.m == 5
        ```
    """

    nodes: Any
    senders: Any
    receivers: Any
    edges: Any

    def __init__(
        self,
        nodes: Float[np.ndarray, "n features"],
        senders: Int[np.ndarray, " m"],
        receivers: Int[np.ndarray, " m"],
        edges: Float[np.ndarray, "m features"] | None = None,
    ):
        nodes = _features("nodes", nodes)
        if not len(nodes):
            refuse(
                ValueError, "nodes", given="no node", needed="at least one",
                advice="Leave empty graphs out.",
            )  # fmt: skip
        senders = _indices("senders", senders, len(nodes))
        receivers = _indices("receivers", receivers, len(nodes))
        edges = _features("edges", np.ones((len(senders), 1)) if edges is None else edges)
        for name, length in (("receivers", len(receivers)), ("edges", len(edges))):
            if length != len(senders):
                refuse(
                    ValueError, name, given=f"{length} of them",
                    needed=f"{len(senders)}, one for each of the senders",
                    advice="Look at the lengths.",
                )  # fmt: skip
        vars(self).update(nodes=nodes, senders=senders, receivers=receivers, edges=edges)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.nodes)

    @property
    def m(self) -> int:
        """Number of edges."""
        return len(self.senders)


class GraphBatch(Value):
    """The disjoint union of graphs, filled up with idle nodes and edges.

    Idle edges are loops at the last node, which is always idle, so that they change no degree and
    no sum of any graph.

    Attributes:
        nodes: features, shape (N, features).
        edges: features, shape (E, features).
        senders: shape (E,).
        receivers: shape (E,).
        owner: the number of each node's graph, shape (N,); `count` for idle nodes.
        real: whether an edge belongs to a graph, shape (E,).
        count: how many graphs.
    """

    nodes: Any
    edges: Any
    senders: Any
    receivers: Any
    owner: Any
    real: Any
    count: int = static()

    @property
    def there(self) -> Any:
        """Whether a node belongs to a graph, shape (N,)."""
        return self.owner < self.count

    def sums(self, values: Any) -> Any:
        """The sum of node values over each graph, shape (count, ...)."""
        return jax.ops.segment_sum(values, self.owner, self.count + 1)[:-1]


def batched(graphs: Sequence[Graph], room: tuple[int, int] | None = None) -> GraphBatch:
    """Graphs as one disjoint union of a given size.

    Args:
        graphs: at least one, with the same numbers of features.
        room: nodes and edges to fill up to, one node more than the graphs have at least. Batches
            with the same room and number of graphs share compiled programs. None takes the next
            sizes out of eight between two powers of two.

    Returns:
        The batch, in JAX's default precision.

    Raises:
        TypeError: for what is no `Graph`.
        ValueError: for no graph, different numbers of features or too little room.

    Example:
        ```python
        import numpy as np
        from resolvent.fixed_point.graphs import Graph, batched
        ring = Graph(np.ones(5), np.arange(5), (np.arange(5) + 1) % 5)
        assert batched([ring, ring], room=(16, 12)).nodes.shape == (16, 1)
        ```
    """
    graphs = checked_graphs(graphs)
    nodes, edges = (sum(sizes) for sizes in zip(*((g.n, g.m) for g in graphs), strict=True))
    if room is None:
        room = roomy(nodes + 1), roomy(edges)
    width, length = (count("room", size) for size in room)
    if width <= nodes or length < edges:
        refuse(
            ValueError, "room", given=f"{width} nodes and {length} edges",
            needed=f"at least {nodes + 1} nodes, one of them idle, and {edges} edges",
            advice="Leave room out.",
        )  # fmt: skip
    begins = np.cumsum([0, *(graph.n for graph in graphs)])
    idle = np.full(length - edges, width - 1)

    def ends(name: str) -> Any:
        parts = [getattr(g, name) + b for g, b in zip(graphs, begins, strict=False)]
        return jnp.asarray(np.concatenate([*parts, idle]).astype(np.int32))

    def filled(name: str, size: int) -> Any:
        joined = np.concatenate([getattr(graph, name) for graph in graphs])
        dtype = jax.dtypes.canonicalize_dtype(np.float64)
        return jnp.asarray(np.pad(joined, ((0, size - len(joined)), (0, 0))).astype(dtype))

    owner = np.repeat(np.arange(len(graphs)), [graph.n for graph in graphs])
    return GraphBatch(
        nodes=filled("nodes", width),
        edges=filled("edges", length),
        senders=ends("senders"),
        receivers=ends("receivers"),
        owner=jnp.asarray(
            np.pad(owner, (0, width - nodes), constant_values=len(graphs)).astype(np.int32)
        ),
        real=jnp.asarray(np.arange(length) < edges),
        count=len(graphs),
    )


def checked_graphs(graphs: Any) -> list[Graph]:
    """Graphs that can be in one batch."""
    graphs = list(graphs)
    for graph in graphs:
        if not isinstance(graph, Graph):
            refuse(
                TypeError, "graphs", given=f"a {type(graph).__name__} among them",
                needed="values of the type Graph", advice="Write Graph(nodes, senders, receivers).",
            )  # fmt: skip
    widths = {(graph.nodes.shape[1], graph.edges.shape[1]) for graph in graphs}
    if len(widths) != 1:
        refuse(
            ValueError, "graphs",
            given=f"features of nodes and edges in the numbers {sorted(widths)}" if widths else
            "none", needed="at least one graph, and the same features on all",
            advice="Give every graph the same features.",
        )  # fmt: skip
    return graphs


def roomy(size: int) -> int:
    """The next number that is m 2^k with m from 8 to 15: at most an eighth too large."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


def _features(name: str, values: Any) -> np.ndarray:
    array = np.asarray(real_array(name, values))
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        refuse(
            ValueError, name, given=f"shape {array.shape}", needed="shape (number, features)",
            advice="Reshape it.",
        )  # fmt: skip
    finite(name, array)
    return array


def _indices(name: str, values: Any, n: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        refuse(
            TypeError, name, given=f"dtype {array.dtype}", needed="integers",
            advice="Convert with .astype(int).",
        )  # fmt: skip
    if array.ndim != 1 or (array.size and not 0 <= array.min() <= array.max() < n):
        refuse(
            ValueError, name, given=f"shape {array.shape}, " + (
                f"numbers from {array.min()} to {array.max()}" if array.size else "empty"
            ),
            needed=f"a vector of numbers of nodes, from 0 to {n - 1}",
            advice="Nodes count from 0.",
        )  # fmt: skip
    return array.astype(np.int64)
