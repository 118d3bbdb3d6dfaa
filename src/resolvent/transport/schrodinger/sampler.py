"""Draws from the bridges: particles along the couplings, paths by Gaussian conditioning."""

from typing import Any

import numpy as np
from numpy.random import Generator

from resolvent.transport.schrodinger.process import BridgedProcess, Trajectories
from resolvent.transport.schrodinger.transitions import Chain


def draw(
    process: BridgedProcess, rng: Generator, count: int, through: int, only: int | None = None
) -> Trajectories:
    """Whole paths, or those of one interval, evenly through the particles of one snapshot."""
    problem = process.problem
    chain, logs = problem.transitions(process.theta)
    chain = Chain(*(np.asarray(part) for part in chain))
    couplings = problem.couplings(logs, process.f, process.g)
    first, last = (0, problem.intervals) if only is None else (only, only + 1)
    size = len(problem.snapshots[through])
    whole = np.tile(np.arange(size), -(-count // size))[:count]
    # A last incomplete round takes particles at random, so that none is preferred.
    rest = count % size
    if rest:
        whole[count - rest :] = rng.permutation(size)[:rest]
    particles = np.full((count, problem.intervals + 1), -1)
    particles[:, through] = whole
    for i in range(through, last):
        particles[:, i + 1] = _partners(rng, couplings[i], particles[:, i])
    for i in range(through - 1, first - 1, -1):
        particles[:, i] = _partners(rng, couplings[i].T, particles[:, i + 1])
    steps, d = problem.substeps, problem.d
    paths = np.empty((count, (last - first) * steps + 1, d))
    times = np.empty(paths.shape[1])
    for place, i in enumerate(range(first, last)):
        part = slice(place * steps, (place + 1) * steps + 1)
        ends = problem.snapshots[i + 1][particles[:, i + 1]]
        one = Chain(*(array[i] for array in chain))
        h = (problem.times[i + 1] - problem.times[i]) / steps
        paths[:, part] = bridge(rng, one, particles[:, i], ends, h * problem.sigma**2)
        # Snapshots are hit without the rounding of the chain.
        paths[:, part.start] = problem.snapshots[i][particles[:, i]]
        times[part] = problem.times[i] + h * np.arange(steps + 1)
        times[part.stop - 1] = problem.times[i + 1]
    paths[:, -1] = problem.snapshots[last][particles[:, last]]
    return Trajectories(times, paths, particles[:, first : last + 1])


def _partners(rng: Generator, coupling: Any, sources: Any) -> np.ndarray:
    """For each source a target, by the conditional law of the coupling."""
    rows = coupling / np.maximum(coupling.sum(axis=1, keepdims=True), 1e-300)
    steps = np.cumsum(rows, axis=1)[sources]
    height = rng.random(len(sources)) * steps[:, -1]
    return np.minimum((steps <= height[:, None]).sum(axis=1), coupling.shape[1] - 1)


def bridge(rng: Generator, chain: Chain, sources: Any, ends: Any, noise: Any) -> np.ndarray:
    """The chain of one interval between its particles and given ends, step by step.

    With e_k and the end e_K known, e_{k+1} is Gaussian with mean F e_k + G (e_K - A F e_k) and
    covariance Q - G A Q, where A takes e_{k+1} to e_K, S is the covariance that the steps from k
    on add at the end, and G = Q A^T S^-1.

    Args:
        rng: randomness.
        chain: of the interval.
        sources: the particle that each path starts from, shape (count,).
        ends: where each path ends, shape (count, d).
        noise: variances of one step's noise, shape (d,).

    Returns:
        Paths, shape (count, steps + 1, d).
    """
    steps, d = len(chain.factor), len(noise)
    shared = np.zeros(len(sources), int) if chain.factor.shape[1] == 1 else sources
    Q = np.diag(noise)
    added = np.zeros_like(chain.spread)
    for k in range(steps - 1, -1, -1):
        A = chain.ahead[k + 1]
        added[k] = added[k + 1] + A @ Q @ np.swapaxes(A, -1, -2)
    away = ends - chain.mean[steps][sources]
    e = np.zeros_like(away)
    paths = np.empty((len(sources), steps + 1, d))
    paths[:, 0] = chain.mean[0][sources]
    for k in range(steps - 1):
        F, A = chain.factor[k], chain.ahead[k + 1]
        G = np.swapaxes(np.linalg.solve(added[k], A @ Q), -1, -2)
        covariance = Q - G @ A @ Q
        root = np.linalg.cholesky(0.5 * (covariance + np.swapaxes(covariance, -1, -2)))
        ahead = _times(F[shared], e)
        e = ahead + _times(G[shared], away - _times(A[shared], ahead))
        e += _times(root[shared], rng.standard_normal(e.shape))
        paths[:, k + 1] = chain.mean[k + 1][sources] + e
    paths[:, steps] = ends
    return paths


def _times(matrices: Any, vectors: Any) -> np.ndarray:
    return np.einsum("nij,nj->ni", matrices, vectors)
