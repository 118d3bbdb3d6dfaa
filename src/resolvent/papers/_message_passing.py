"""Networks of finite depth on graphs: what graph solvers are compared with."""

from bisect import bisect_left
from typing import Any

import equinox as eqx
import jax

from resolvent._core.randomness import generator
from resolvent.fixed_point.graphs.graph import GraphBatch
from resolvent.fixed_point.graphs.networks import Perceptron, encoder, parameters, read_out


class FiniteDepth(eqx.Module):
    """Message-passing layers and a decoder, without a fixed point."""

    encoder: list[Any]
    decoder: Perceptron
    readout: str | None = eqx.field(static=True)

    def __call__(self, batch: GraphBatch) -> Any:
        """Predictions of all nodes of a batch, or of all graphs."""
        nodes, edges = batch.nodes, batch.edges
        for layer in self.encoder:
            nodes, edges = layer(nodes, edges, batch)
        return self.decoder(read_out(nodes, batch, self.readout))


class Isomorphism(eqx.Module):
    """The network of Xu et al. (2019): x_i <- P((1 + epsilon) x_i + sum of its neighbours' x)."""

    layers: list[Perceptron]
    epsilons: jax.Array
    decoder: Perceptron
    readout: str = eqx.field(static=True)

    def __call__(self, batch: GraphBatch) -> Any:
        """Predictions of all graphs."""
        x = batch.nodes
        for i, layer in enumerate(self.layers):
            shown = jax.numpy.where(batch.real[:, None], x[batch.senders], 0.0)
            message = jax.ops.segment_sum(shown, batch.receivers, x.shape[0])
            x = layer((1.0 + self.epsilons[i]) * x + message)
        return self.decoder(read_out(x, batch, self.readout))


def message_passing(solver: Any, features: tuple[int, int], depth: int, outputs: int, key: Any):
    """A network of the solver's kind of layers, `depth` of them, with as many parameters.

    The width is the one whose number of parameters comes nearest to that of the solver's own
    network; perceptrons have a hidden layer of twice the width.
    """

    def made(width: int) -> FiniteDepth:
        rng = generator(key)
        layers = encoder(
            *features, layers=depth - 1, width=width, heads=width, hidden=2 * width,
            aggregate=solver.aggregate, activation=solver.activation, rng=rng,
        )  # fmt: skip
        sizes = (width, *solver.decoder, outputs)
        return FiniteDepth(layers, Perceptron(sizes, solver.activation, rng), solver.readout)

    return _of_size(made, _size(solver, features, outputs))


def isomorphism(solver: Any, features: tuple[int, int], depth: int, outputs: int, key: Any):
    """The same for the network of Xu et al.; it does not read edges."""

    def made(width: int) -> Isomorphism:
        rng = generator(key)
        sizes = [features[0], *[width] * depth]
        layers = [
            Perceptron((sizes[i], width, width), solver.activation, rng, True) for i in range(depth)
        ]
        decoder = Perceptron((width, *solver.decoder, outputs), solver.activation, rng)
        return Isomorphism(layers, jax.numpy.zeros(depth), decoder, solver.readout)

    return _of_size(made, _size(solver, features, outputs))


def _size(solver: Any, features: tuple[int, int], outputs: int) -> int:
    return parameters(solver.initialised(*features, outputs, 0).network)


def _of_size(made: Any, size: int) -> Any:
    """The network of the width, up to 512, whose number of parameters is nearest to `size`."""
    high = bisect_left(range(2, 513), size, key=lambda width: parameters(made(width))) + 2
    near = [made(width) for width in (high - 1, high) if width >= 2]
    return min(near, key=lambda network: abs(parameters(network) - size))
