"""Convergent graph solvers: networks whose predictions are fixed points of contractive maps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from resolvent._core.adjoint import Adjoint, Implicit
from resolvent._core.checks import between, count, one_of, refuse
from resolvent._core.method import Method
from resolvent._core.randomness import generator
from resolvent._core.solve import solve
from resolvent._core.value import Value, static
from resolvent.fixed_point.graphs.graph import Graph, batched, checked_graphs
from resolvent.fixed_point.graphs.maps import GraphFixedPoint, Normalization, Rows
from resolvent.fixed_point.picard import Picard


class Prediction(NamedTuple):
    """What a graph solver says of some graphs.

    Attributes:
        values: one array a graph: shape (n, outputs), or (outputs,) for whole graphs; scores of
            the classes where these were learned.
        solution: of the fixed-point problem behind them, in float64, with its certificate.
    """

    values: list[np.ndarray]
    solution: Any

    @property
    def certificate(self) -> Any:
        """The proved bound of the largest error of an entry of the fixed point."""
        return self.solution.certificate


class ConvergentGraphSolver(Value):
    """A network that predicts a stationary property of graphs through a fixed point.

    Message passing reads a graph and emits, for each of several heads, a matrix A >= 0 with the
    graph's edges as entries and row sums of at most 1, and a vector b. The states of the nodes are
    the fixed points h = act(q A h + b), which exist for all inputs and all weights of the network
    as q < 1; a decoder turns the heads of a node, or their sum or mean over a graph, into the
    prediction. `fit` returns a trained copy; `predict` solves to a certificate.

    Args:
        heads: number of maps.
        contraction: q, from 0 to below 1. Sweeps grow like 1 / log(1 / q). With 0 there is no fixed
            point, and b is decoded.
        layers: message-passing layers before the one that emits A and b.
        width: of nodes and edges in these.
        hidden: width of the hidden layer of their perceptrons.
        decoder: widths of the decoder's hidden layers.
        aggregate: of messages: `sum`, `mean` or `max`.
        activation: of the networks: `leaky_relu`, `silu`, `relu` or `tanh`.
        normalization: of A: `clip`, `sigmoid` or `softmax`, see `head_weights`. With `clip` heads
            can die: see `dead_heads`.
        rows: which end of an edge is the row of its entry. With `senders` a node's state depends on
            those that its edges lead to, with `receivers` on those that they come from; the same
            for undirected graphs.
        inner: act: `identity`, `tanh`, `relu` or `leaky_relu`.
        readout: `sum` or `mean` over nodes, where whole graphs have targets; None for nodes.
        loss: `squared`, or `cross_entropy` for classes.
        method: a traced method for fixed points.
        rtol: tolerance of the fixed points in training, relative to max |b| / (1 - q).
        adjoint: how fixed points are differentiated: `Implicit()` solves a transposed system by
            the same kind of iteration, and its memory does not grow with sweeps.
        network: what has been learned; None before `fit`.
        curve: a `TrainingCurve` of the last `fit`.

    Raises:
        ValueError: for parameters outside their ranges.
        TypeError: for what has the wrong type.

    Cost per iteration:
        One product with A a sweep, E heads multiplications, forwards as backwards.

    Convergence:
        A sweep shrinks the largest error of an entry by q, whatever the network's weights: no more
        than log(rtol) / log(q) sweeps. Nothing is proved about the prediction's distance from
        the truth: look at graphs that were held out.

    Example:
        ```python
        from resolvent.fixed_point.graphs import ConvergentGraphSolver, pore_networks
        graphs, pressures = pore_networks(6, 20, key=0)
        solver = ConvergentGraphSolver(heads=4, layers=0, hidden=8, decoder=(8,))
        solver = solver.fit(graphs, pressures, key=0, steps=8, batch=3)
        prediction = solver.predict(graphs[:2], rtol=1e-8)
        assert prediction.certificate.holds and prediction.values[0].shape == (20, 1)
        ```

    Reference:
        J. Park, J. Choo, J. Park (2022), Convergent Graph Solvers, arXiv 2106.01680.
    """

    heads: int = static(default=16)
    contraction: float = static(default=0.5)
    layers: int = static(default=1)
    width: int = static(default=32)
    hidden: int = static(default=64)
    decoder: tuple[int, ...] = static(default=(64, 32))
    aggregate: str = static(default="sum")
    activation: str = static(default="leaky_relu")
    normalization: Normalization = static(default="sigmoid")
    rows: Rows = static(default="senders")
    inner: str = static(default="identity")
    readout: str | None = static(default=None)
    loss: str = static(default="squared")
    method: Method = Picard()
    rtol: float = static(default=1e-6)
    adjoint: Adjoint = Implicit()
    network: Any = None
    curve: Any = None

    def __post_init__(self) -> None:
        for name in ("heads", "width", "hidden"):
            count(name, getattr(self, name), least=1)
        count("layers", self.layers)
        for size in self.decoder:
            count("decoder", size, least=1)
        if self.contraction != 0.0:
            between("contraction", self.contraction, 0.0, 1.0, "No map contracts otherwise.")
        between("rtol", self.rtol, 0.0, 1.0, "Longer sweeps do not help.")
        one_of("aggregate", self.aggregate, ("sum", "mean", "max"))
        one_of("activation", self.activation, ("leaky_relu", "silu", "relu", "tanh"))
        one_of("normalization", self.normalization, ("clip", "sigmoid", "softmax"))
        one_of("rows", self.rows, ("senders", "receivers"))
        one_of("inner", self.inner, ("identity", "tanh", "relu", "leaky_relu"))
        one_of("readout", self.readout, (None, "sum", "mean"))
        one_of("loss", self.loss, ("squared", "cross_entropy"))
        method: Any = self.method
        solves = isinstance(method, Method) and issubclass(GraphFixedPoint, method.solves)
        if not solves or "traced" not in method.runs_on():
            refuse(
                TypeError, "method", given=f"{method!r}", needed="a traced method for fixed points",
                advice="Picard() is the default.",
            )  # fmt: skip
        if not isinstance(self.adjoint, Adjoint):
            refuse(
                TypeError, "adjoint", given=f"{self.adjoint!r}", needed="Implicit() or Unrolled()",
                advice="Implicit() is the default.",
            )  # fmt: skip

    def initialised(self, nodes: int, edges: int, outputs: int, key: Any = None) -> Any:
        """An untrained copy for graphs with so many features of nodes and edges.

        Args:
            nodes: features of a node.
            edges: features of an edge.
            outputs: numbers that are predicted.
            key: randomness of the weights.

        Returns:
            The solver with its `network`.
        """
        from resolvent.fixed_point.graphs.networks import GraphSolverNetwork, Perceptron, encoder

        rng = generator(key)
        layers = encoder(
            nodes, edges, layers=self.layers, width=self.width, heads=self.heads,
            hidden=self.hidden, aggregate=self.aggregate, activation=self.activation, rng=rng,
        )  # fmt: skip
        network = GraphSolverNetwork(
            layers, Perceptron((self.heads, *self.decoder, outputs), self.activation, rng),
            self.method, self.adjoint, float(self.contraction), self.normalization, self.rows,
            self.inner, self.readout, float(self.rtol),
        )  # fmt: skip
        return self.but(network=network)

    def fit(
        self,
        graphs: Sequence[Graph],
        targets: Sequence[Any],
        key: Any = None,
        *,
        steps: int = 500,
        batch: int = 16,
        renew: int = 8,
        learning_rate: float = 2e-3,
        optimizer: Any = None,
        held_out: tuple[Sequence[Graph], Sequence[Any]] | None = None,
        looks: int = 20,
    ) -> "ConvergentGraphSolver":
        """Train on graphs; a solver that is trained already goes on from there.

        Args:
            graphs: with the same features.
            targets: one a graph: shape (n,) or (n, outputs), or what belongs to the whole graph
                where there is a readout; integers from 0 on for `cross_entropy`.
            key: randomness of the weights and of the batches.
            steps: updates.
            batch: graphs in a batch, drawn without replacement.
            renew: updates on one batch.
            learning_rate: of Adam at first; it falls to zero like a cosine.
            optimizer: an optax transformation in place of this.
            held_out: graphs and targets whose loss is followed.
            looks: how often, at least.

        Returns:
            A copy with `network` and `curve`.

        Raises:
            ValueError: for data that do not fit one another or the network.
            TypeError: for data of a wrong type.
            FloatingPointError: if the loss is no finite number any more.
        """
        from resolvent.fixed_point.graphs.training import labelled, trained

        data = labelled(graphs, targets, self.loss, self.readout is not None)
        ready: Any = self
        if self.network is None:
            first = data.graphs[0]
            features = first.nodes.shape[1], first.edges.shape[1]
            ready = self.initialised(*features, data.outputs, key)
        self._fits(ready.network, data.graphs)
        others = None
        if held_out is not None:
            others = labelled(*held_out, self.loss, self.readout is not None)
            self._fits(ready.network, others.graphs)
        network, curve = trained(
            ready.network, data, key, loss=self.loss, steps=steps, batch=batch, renew=renew,
            learning_rate=learning_rate, optimizer=optimizer, held_out=others, looks=looks,
        )  # fmt: skip
        return self.but(network=network, curve=curve)

    def problem(self, graphs: Sequence[Graph]) -> GraphFixedPoint:
        """The fixed-point problem of some graphs as one, in float64: nodes in their order, idle
        ones at the end.

        Raises:
            ValueError: before `fit`, or for graphs with other features.
        """
        return self._problem(self._batch(graphs))

    def predict(self, graphs: Sequence[Graph], *, rtol: float = 1e-6) -> Prediction:
        """What the trained solver says of graphs, whatever their size.

        Args:
            graphs: with the features of those it was trained on.
            rtol: tolerance of the fixed point, relative to max |b| / (1 - q).

        Returns:
            Values of each graph and the certified solution of the fixed-point problem.

        Raises:
            ValueError: before `fit`, or for graphs with other features.
            NotConverged: if the method missed the tolerance.
        """
        graphs = list(graphs)
        batch = self._batch(graphs)
        solution = solve(self._problem(batch), self.method, rtol=rtol)
        h = jnp.asarray(solution.x, batch.nodes.dtype)
        values = np.asarray(_compiled("decode")(self.network, h, batch))
        if self.readout is not None:
            return Prediction(list(values), solution)
        ends = np.cumsum([graph.n for graph in graphs])
        return Prediction(np.split(values, ends)[:-1], solution)

    def dead_heads(self, graphs: Sequence[Graph]) -> np.ndarray:
        """Heads whose matrix is zero on all these graphs: they pass b on, and learn no more
        of A where the normalization is `clip`.

        Returns:
            Their numbers, from 0 on.
        """
        weights = _compiled("maps")(self.network, self._batch(graphs))[0]
        return np.flatnonzero(np.asarray(weights).max(axis=0, initial=0.0) == 0.0)

    def _batch(self, graphs: Sequence[Graph]) -> Any:
        if self.network is None:
            refuse(
                ValueError, "network", given="none", needed="a trained one",
                advice="Call fit(graphs, targets, key) and use what it returns.",
            )  # fmt: skip
        graphs = checked_graphs(graphs)
        self._fits(self.network, graphs)
        return batched(graphs)

    def _problem(self, batch: Any) -> GraphFixedPoint:
        weights, rows, columns, bias = _compiled("maps")(self.network, batch)
        # Beyond the rounding of the network's own precision the fixed point is that of these data.
        weights, bias = np.asarray(weights, np.float64), np.asarray(bias, np.float64)
        sums = np.zeros((len(bias), weights.shape[1]))
        np.add.at(sums, np.asarray(rows), weights)
        return GraphFixedPoint(
            weights / max(1.0, sums.max(initial=0.0)), np.asarray(rows), np.asarray(columns), bias,
            self.contraction, activation=self.inner,
        )  # fmt: skip

    def _fits(self, network: Any, graphs: list[Graph]) -> None:
        first = network.encoder[0]
        nodes = first.node.weights[0].shape[0] - first.edge.weights[-1].shape[1]
        edges = first.edge.weights[0].shape[0] - 2 * nodes
        given = graphs[0].nodes.shape[1], graphs[0].edges.shape[1]
        if given != (nodes, edges):
            refuse(
                ValueError, "graphs", given=f"{given[0]} features of nodes, {given[1]} of edges",
                needed=f"{nodes} and {edges}, as in training", advice="Fit a new solver.",
            )  # fmt: skip


_PROGRAMS: dict[str, Any] = {}


def _compiled(name: str) -> Any:
    """A method of the network as a compiled program."""
    if name not in _PROGRAMS:
        import equinox as eqx

        def program(network: Any, *given: Any) -> Any:
            return getattr(network, name)(*given)

        _PROGRAMS[name] = eqx.filter_jit(program)
    return _PROGRAMS[name]
