"""Simulated snapshots for the experiments on Schroedinger bridges, and their distances."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

ROTATION = np.array([[-0.2, -2.0], [2.0, -0.2]])
RATES = {"alpha": 1.0, "beta": 0.4, "gamma": 0.4, "delta": 0.1}
RING = {"beta": 10.0, "n": 3.0, "k": 1.0, "gamma": 1.0}


class System(NamedTuple):
    """A process to take snapshots of.

    Attributes:
        name: for tables.
        drift: of many points at once.
        first: draws points at the first time.
        sigma: the noise.
        times: of the snapshots; every other one, from the second on, is held out.
        particles: of a snapshot.
    """

    name: str
    drift: Callable[[Any], Any]
    first: Callable[[Generator, int], Any]
    sigma: float
    times: np.ndarray
    particles: int

    def snapshot(self, rng: Generator, t: float, h: float = 0.01) -> np.ndarray:
        """Independent points at a time, by Euler steps of length h."""
        x = self.first(rng, self.particles)
        for _ in range(round((t - self.times[0]) / h)):
            x = x + h * self.drift(x) + self.sigma * np.sqrt(h) * rng.standard_normal(x.shape)
        return x

    def snapshots(self, rng: Generator) -> list[np.ndarray]:
        """Independent points at every time."""
        return [self.snapshot(rng, t) for t in self.times]


def rotation(particles: int = 150, intervals: int = 8) -> System:
    """A cloud that turns and contracts: dX = A X dt + 0.3 dW."""
    return System(
        "rotation", lambda x: x @ ROTATION.T,
        lambda rng, n: np.array([1.0, 0.0]) + 0.25 * rng.standard_normal((n, 2)),
        0.3, 0.25 * np.arange(intervals + 1), particles,
    )  # fmt: skip


def predation(particles: int = 50, intervals: int = 10) -> System:
    """Lotka and Volterra's prey and predators, with noise 0.1."""
    alpha, beta, gamma, delta = RATES.values()

    def drift(x: Any) -> Any:
        prey, predators = x.T
        met = prey * predators
        return np.stack([alpha * prey - beta * met, delta * met - gamma * predators], axis=1)

    return System(
        "Lotka-Volterra", drift, lambda rng, n: rng.uniform([5.0, 4.0], [5.1, 4.1], (n, 2)),
        0.1, 0.5 * np.arange(intervals + 1), particles,
    )  # fmt: skip


def repression(particles: int = 50, intervals: int = 10) -> System:
    """The ring of three genes that repress each other, with noise 0.1."""
    beta, n, k, gamma = RING.values()

    def drift(x: Any) -> Any:
        before = np.maximum(np.roll(x, 1, axis=1), 0.0)
        return beta / (1.0 + (before / k) ** n) - gamma * x

    return System(
        "repressilator", drift,
        lambda rng, n: rng.uniform([1.0, 1.0, 2.0], [1.1, 1.1, 2.1], (n, 3)),
        0.1, 0.5 * np.arange(intervals + 1), particles,
    )  # fmt: skip


def earth_movers_distance(x: Any, y: Any) -> float:
    """The mean distance of the best assignment between two samples of one size."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    distances = cdist(x, y)
    rows, columns = linear_sum_assignment(distances)
    return float(distances[rows, columns].mean())
