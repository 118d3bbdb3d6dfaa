"""Small data: snapshots of a rotating, contracting cloud, and of predators and prey."""

import numpy as np
import pytest

A = np.array([[-0.2, -2.0], [2.0, -0.2]])


def simulate(rng, x, drift, times, sigma, h=0.01):
    """Independent clouds at several times, from the points that `x()` draws."""
    snapshots = []
    for t in times:
        points = x()
        for _ in range(round((t - times[0]) / h)):
            points = points + h * drift(points)
            points = points + sigma * np.sqrt(h) * rng.standard_normal(points.shape)
        snapshots.append(points)
    return snapshots


@pytest.fixture(scope="session")
def rotation():
    rng = np.random.default_rng(0)
    times = np.array([0.0, 0.5, 1.0])
    start = lambda: np.array([1.0, 0.0]) + 0.25 * rng.standard_normal((40, 2))  # noqa: E731
    return simulate(rng, start, lambda x: x @ A.T, times, 0.3), times


@pytest.fixture(scope="session")
def predation():
    rng = np.random.default_rng(1)
    times = np.array([0.0, 1.0, 2.0, 3.0])

    def drift(x):
        met = x[:, 0] * x[:, 1]
        return np.stack([x[:, 0] - 0.4 * met, 0.1 * met - 0.4 * x[:, 1]], axis=1)

    start = lambda: rng.uniform([5.0, 4.0], [5.1, 4.1], (25, 2))  # noqa: E731
    return simulate(rng, start, drift, times, 0.1), times
