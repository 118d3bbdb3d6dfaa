"""Training of networks on graphs, by optax."""

import functools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from resolvent._core.checks import count, finite, one_of, real_array, refuse
from resolvent._core.randomness import generator
from resolvent.fixed_point.graphs.graph import Graph, GraphBatch, batched, checked_graphs, roomy


class TrainingCurve(NamedTuple):
    """How a training went.

    Attributes:
        losses: of the batch of every update, shape (steps,).
        steps: the updates after which held-out graphs were looked at.
        held_out: the loss on them, of the same length; empty without held-out graphs.
    """

    losses: np.ndarray
    steps: np.ndarray
    held_out: np.ndarray


class Labelled(NamedTuple):
    """Graphs with what is to be predicted of them, one array a graph.

    Attributes:
        graphs: that can be in one batch.
        targets: shape (n, outputs) for nodes, (1, outputs) for graphs; integers are classes.
        kind: what a target belongs to, `node` or `graph`.
        outputs: how many numbers are predicted of each.
    """

    graphs: list[Graph]
    targets: list[np.ndarray]
    kind: str
    outputs: int


def labelled(graphs: Any, targets: Any, loss: str, of_graphs: bool) -> Labelled:
    """Graphs and targets, checked.

    Args:
        graphs: of the same numbers of features.
        targets: one for each graph: shape (n,) or (n, outputs), or for whole graphs a number or a
            vector; for `cross_entropy` classes from 0 on.
        loss: `squared` or `cross_entropy`.
        of_graphs: whether whole graphs have targets.

    Raises:
        ValueError: for another number of targets, shapes that do not fit or wrong classes.
        TypeError: for classes that are no integers.
    """
    one_of("loss", loss, ("squared", "cross_entropy"))
    graphs, targets = checked_graphs(graphs), list(targets)
    if len(targets) != len(graphs):
        refuse(
            ValueError, "targets", given=f"{len(targets)} for {len(graphs)} graphs",
            needed="one for each graph", advice="Look at the lengths.",
        )  # fmt: skip
    found = [
        _target(t, 1 if of_graphs else g.n, loss) for g, t in zip(graphs, targets, strict=True)
    ]
    widths = {target.shape[1] for target in found}
    if len(widths) > 1:
        refuse(
            ValueError, "targets", given=f"{sorted(widths)} numbers each",
            needed="the same number for all", advice="Give each graph the same outputs.",
        )  # fmt: skip
    outputs = widths.pop()
    if loss == "cross_entropy":
        outputs = max(2, 1 + int(max(target.max() for target in found)))
    return Labelled(graphs, found, "graph" if of_graphs else "node", outputs)


def _target(target: Any, rows: int, loss: str) -> np.ndarray:
    array = np.asarray(target)
    if loss == "squared":
        array = np.asarray(real_array("targets", target))
        finite("targets", array)
    if array.ndim == 1 and rows > 1:
        array = array[:, None]
    elif rows == 1 and array.size:
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[0] != rows:
        refuse(
            ValueError, "targets", given=f"shape {np.shape(target)}",
            needed=f"{rows} rows, one for each node" if rows > 1 else "one row",
            advice="Choose a readout where targets belong to whole graphs.",
        )  # fmt: skip
    if loss == "cross_entropy":
        if array.dtype.kind not in "iub":
            refuse(
                TypeError, "targets", given=f"dtype {array.dtype}", needed="classes, integers",
                advice="Convert with .astype(int), or choose loss='squared'.",
            )  # fmt: skip
        if array.shape[1] != 1 or array.min() < 0:
            refuse(
                ValueError, "targets", given=f"shape {array.shape}, least class {array.min()}",
                needed="one class each, from 0 on", advice="Number the classes from 0.",
            )  # fmt: skip
    return array


class Sample(NamedTuple):
    """A batch with targets in its own order; those of idle nodes are 0."""

    batch: GraphBatch
    targets: Any


def sample(data: Labelled, chosen: Any, room: tuple[int, int] | None = None) -> Sample:
    """Some of the graphs as a batch."""
    batch = batched([data.graphs[i] for i in chosen], room)
    targets = np.concatenate([data.targets[i] for i in chosen])
    if data.kind == "node":
        targets = np.pad(targets, ((0, batch.owner.shape[0] - len(targets)), (0, 0)))
    dtype = batch.nodes.dtype if np.issubdtype(targets.dtype, np.floating) else np.int32
    return Sample(batch, jnp.asarray(targets.astype(dtype)))


def mean_loss(network: Any, data: Sample, loss: str) -> Any:
    """The mean loss over real nodes, or over graphs."""
    found, targets = network(data.batch), data.targets
    if loss == "squared":
        each = jnp.mean((found - targets) ** 2, axis=1)
    else:
        each = optax.softmax_cross_entropy_with_integer_labels(found, targets[:, 0])
    if each.shape[0] == data.batch.owner.shape[0]:
        return jnp.where(data.batch.there, each, 0.0).sum() / data.batch.there.sum()
    return each.mean()


@functools.lru_cache(maxsize=64)
def schedule(steps: int, learning_rate: float) -> Any:
    """Adam with a learning rate that falls to zero like a cosine.

    Made once, so that a second training of this kind finds its program compiled; all arrays as one
    vector, which makes that program a third smaller.
    """
    return optax.flatten(optax.adam(optax.cosine_decay_schedule(learning_rate, steps)))


def trained(
    network: Any,
    data: Labelled,
    key: Any = None,
    *,
    loss: str = "squared",
    steps: int = 500,
    batch: int = 16,
    renew: int = 8,
    learning_rate: float = 2e-3,
    optimizer: Any = None,
    held_out: Labelled | None = None,
    looks: int = 20,
) -> tuple[Any, TrainingCurve]:
    """A network after some updates on random batches.

    Args:
        network: an Equinox module that is called with a `GraphBatch`.
        data: what it learns from.
        key: for the order of the graphs.
        loss: `squared` or `cross_entropy`.
        steps: updates.
        batch: graphs in a batch.
        renew: updates on one batch.
        learning_rate: of Adam at the first update; it falls to zero like a cosine.
        optimizer: an optax transformation in place of this.
        held_out: graphs to look at on the way.
        looks: how often, at least.

    Returns:
        The network and its curve.
    """
    steps, renew = count("steps", steps, least=1), count("renew", renew, least=1)
    batch = min(count("batch", batch, least=1), len(data.graphs))
    looks = count("looks", looks, least=1)
    optimizer = schedule(steps, learning_rate) if optimizer is None else optimizer
    arrays = eqx.filter(network, eqx.is_inexact_array)
    state = optimizer.init(arrays)
    draws = _draws(len(data.graphs), batch, -(-steps // renew), generator(key))
    sizes = np.array([(graph.n, graph.m) for graph in data.graphs])
    room = np.array([sizes[draw].sum(axis=0) for draw in draws]).max(axis=0)
    room = roomy(int(room[0]) + 1), roomy(int(room[1]))
    whole = None if held_out is None else sample(held_out, range(len(held_out.graphs)))
    every = max(1, len(draws) // looks)
    losses: list[Any] = []
    seen: list[int] = []
    held: list[Any] = []

    def look() -> None:
        if whole is not None:
            seen.append(min(steps, renew * len(losses)))
            held.append(_look(network, whole, loss))

    look()
    for i, draw in enumerate(draws):
        now = sample(data, draw, room)
        # Their number is an argument, so that a shorter last round needs no program of its own.
        updates = min(renew, steps - i * renew)
        network, state, found = _updates(
            network, state, now, loss, optimizer, jnp.asarray(updates), renew
        )
        losses.append(found[:updates])
        if (i + 1) % every == 0 or i + 1 == len(draws):
            look()
    curve = TrainingCurve(np.concatenate(losses), np.array(seen, int), np.array(held, float))
    if not math.isfinite(curve.losses[-1]):
        refuse(
            FloatingPointError, "fit", given=f"a loss of {curve.losses[-1]} after {steps} updates",
            needed="a finite loss", advice="Lower learning_rate, or scale features and targets to "
            "the order of 1.",
        )  # fmt: skip
    return network, curve


def _draws(total: int, batch: int, number: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random batches; all graphs are used before one comes again."""
    rounds = -(-number * batch // total) + 1
    order = np.concatenate([rng.permutation(total) for _ in range(rounds)])
    return [order[i * batch : (i + 1) * batch] for i in range(number)]


@eqx.filter_jit
def _updates(
    network: Any, state: Any, data: Sample, loss: str, optimizer: Any, updates: Any, room: int
) -> tuple[Any, Any, Any]:
    arrays, rest = eqx.partition(network, eqx.is_inexact_array)

    def one(i: Any, carry: Any) -> Any:
        arrays, state, losses = carry

        def of(arrays: Any) -> Any:
            return mean_loss(eqx.combine(arrays, rest), data, loss)

        value, slope = jax.value_and_grad(of)(arrays)
        change, state = optimizer.update(slope, state, arrays)
        return eqx.apply_updates(arrays, change), state, losses.at[i].set(value)

    losses = jnp.zeros(room, data.batch.nodes.dtype)
    arrays, state, losses = jax.lax.fori_loop(0, updates, one, (arrays, state, losses))
    return eqx.combine(arrays, rest), state, losses


@eqx.filter_jit
def _look(network: Any, data: Sample, loss: str) -> Any:
    return mean_loss(network, data, loss)
