"""Networks that read graphs: perceptrons, message passing, and the graph solver's own."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.solve import solve
from resolvent.fixed_point.graphs.graph import GraphBatch
from resolvent.fixed_point.graphs.maps import (
    GraphFixedPoint,
    Normalization,
    Rows,
    head_weights,
    softmax_over,
    sweeps_needed,
    within_rounding,
)  # fmt: skip

ACTIVATIONS = {
    "leaky_relu": jax.nn.leaky_relu, "silu": jax.nn.silu, "relu": jax.nn.relu, "tanh": jnp.tanh,
}  # fmt: skip


class Perceptron(eqx.Module):
    """Linear maps with an activation between them, and after the last one where `closed`."""

    weights: list[jax.Array]
    biases: list[jax.Array]
    activation: str = eqx.field(static=True)
    closed: bool = eqx.field(static=True)

    def __init__(
        self, sizes: Sequence[int], activation: str, rng: np.random.Generator, closed: bool = False
    ):
        self.weights, self.biases = [], []
        # Uniform within 1 / sqrt(inputs). By NumPy: JAX would compile a program for every shape.
        dtype = jax.dtypes.canonicalize_dtype(np.float64)
        for ins, outs in pairwise(sizes):
            drawn = (rng.uniform(-1.0, 1.0, (ins + 1, outs)) / np.sqrt(ins)).astype(dtype)
            self.weights.append(jnp.asarray(drawn[:-1]))
            self.biases.append(jnp.asarray(drawn[-1]))
        self.activation, self.closed = activation, closed

    def __call__(self, x: Any) -> Any:
        """Rows of x, each by itself."""
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ W + b
            if self.closed or i + 1 < len(self.weights):
                x = ACTIVATIONS[self.activation](x)
        return x


class MessagePassing(eqx.Module):
    """One layer: new edge values, their attention-weighted aggregate at the receivers, new nodes.

    With c = (edge, sender, receiver): edge' = P_e(c); attention is the softmax of P_a(c) over the
    edges that enter a node; message = sum, mean or maximum of attention times edge'; node' =
    P_n(message, node). Each perceptron P has one hidden layer and an activated output.
    """

    edge: Perceptron
    attention: Perceptron
    node: Perceptron
    aggregate: str = eqx.field(static=True)

    def __init__(
        self,
        nodes: int,
        edges: int,
        out: tuple[int, int],
        hidden: int,
        *,
        aggregate: str,
        activation: str,
        rng: np.random.Generator,
    ):
        wide = edges + 2 * nodes
        self.edge = Perceptron((wide, hidden, out[1]), activation, rng, True)
        self.attention = Perceptron((wide, hidden, 1), activation, rng, True)
        self.node = Perceptron((out[1] + nodes, hidden, out[0]), activation, rng, True)
        self.aggregate = aggregate

    def __call__(self, nodes: Any, edges: Any, batch: GraphBatch) -> tuple[Any, Any]:
        """New node and edge values."""
        n, ends = nodes.shape[0], batch.receivers
        c = jnp.concatenate([edges, nodes[batch.senders], nodes[ends]], axis=1)
        new = self.edge(c)
        weighted = softmax_over(self.attention(c), ends, n, batch.real) * new
        if self.aggregate == "max":
            shown = jnp.where(batch.real[:, None], weighted, -jnp.inf)
            message = jax.ops.segment_max(shown, ends, n)
            message = jnp.where(jnp.isfinite(message), message, 0.0)
        else:
            message = jax.ops.segment_sum(weighted, ends, n)
        if self.aggregate == "mean":
            degree = jax.ops.segment_sum(batch.real.astype(message.dtype), ends, n)
            message = message / jnp.maximum(degree, 1.0)[:, None]
        return self.node(jnp.concatenate([message, nodes], axis=1)), new


def encoder(
    nodes: int,
    edges: int,
    *,
    layers: int,
    width: int,
    heads: int,
    hidden: int,
    aggregate: str,
    activation: str,
    rng: np.random.Generator,
) -> list[MessagePassing]:
    """`layers` message-passing layers of a width, and one whose outputs are heads."""
    found = []
    for i in range(layers + 1):
        out = (heads, heads) if i == layers else (width, width)
        found.append(
            MessagePassing(
                nodes, edges, out, hidden, aggregate=aggregate, activation=activation, rng=rng
            )
        )
        nodes, edges = out
    return found


class GraphSolverNetwork(eqx.Module):
    """Encoder, contractive map with its fixed point, decoder."""

    encoder: list[MessagePassing]
    decoder: Perceptron
    method: Any
    adjoint: Any
    contraction: float = eqx.field(static=True)
    normalization: Normalization = eqx.field(static=True)
    rows: Rows = eqx.field(static=True)
    inner: str = eqx.field(static=True)
    readout: str | None = eqx.field(static=True)
    rtol: float = eqx.field(static=True)

    def problem(self, batch: GraphBatch) -> GraphFixedPoint:
        """The fixed-point problem that the encoder makes of a batch."""
        weights, rows, columns, bias = self.maps(batch)
        return GraphFixedPoint(
            weights, rows, columns, bias, self.contraction, activation=self.inner
        )

    def maps(self, batch: GraphBatch) -> tuple[Any, Any, Any, Any]:
        """Entries of A with their rows and columns, and b; all zero where nothing is."""
        nodes, edges = batch.nodes, batch.edges
        for layer in self.encoder:
            nodes, edges = layer(nodes, edges, batch)
        rows, columns = batch.senders, batch.receivers
        if self.rows == "receivers":
            rows, columns = columns, rows
        n = nodes.shape[0]
        weights = head_weights(edges, rows, n, batch.real, self.normalization)
        return weights, rows, columns, jnp.where(batch.there[:, None], nodes, 0.0)

    def fixed_point(self, batch: GraphBatch) -> Any:
        """h of every node and head; NaN in derivatives where it could not be certified."""
        problem = self.problem(batch)
        rtol = within_rounding(self.rtol, self.contraction, batch.nodes.dtype)
        steps = 2 * sweeps_needed(self.contraction, rtol) + 10
        return solve(problem, self.method, rtol=rtol, max_steps=steps, adjoint=self.adjoint).x

    def decode(self, h: Any, batch: GraphBatch) -> Any:
        """Predictions of nodes, or of graphs where there is a readout."""
        return self.decoder(read_out(h, batch, self.readout))

    def __call__(self, batch: GraphBatch) -> Any:
        """Predictions of all nodes of a batch, idle ones too, or of all graphs."""
        return self.decode(self.fixed_point(batch), batch)


def read_out(h: Any, batch: GraphBatch, readout: str | None) -> Any:
    """Node values as they are, or their sum or mean over each graph."""
    if readout is None:
        return h
    total = batch.sums(h)
    if readout == "sum":
        return total
    return total / batch.sums(jnp.ones((h.shape[0], 1), h.dtype))


def parameters(network: Any) -> int:
    """How many numbers a network learns."""
    leaves = jax.tree_util.tree_leaves(eqx.filter(network, eqx.is_inexact_array))
    return sum(leaf.size for leaf in leaves)
