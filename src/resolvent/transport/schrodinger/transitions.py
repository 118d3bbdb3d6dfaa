"""Gaussian transitions of a reference process: Euler chains, linearised where they must be.

Over one interval the process dX = b dt + sigma dW is the chain x_{k+1} = x_k + h b(x_k, t_k) +
sqrt(h) sigma noise. Around the path m_k without noise its deviations e_k = x_k - m_k follow
e_{k+1} = F_k e_k + noise, F_k = I + h b'(m_k): exactly where the drift is affine, to first order
in sigma elsewhere (the prediction step of an extended Kalman filter, one for each particle).
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.precision import scope


class Chain(NamedTuple):
    """The linearised chains of all intervals, one a particle.

    Where the drift is affine all particles of an interval share their matrices, and the axis of
    particles has length one there. Snapshots of different sizes are padded to the largest.

    Attributes:
        mean: the path without noise, shape (intervals, steps + 1, particles, d).
        factor: F_k, shape (intervals, steps, particles or 1, d, d).
        spread: covariance of e_k, shape (intervals, steps + 1, particles or 1, d, d).
        ahead: F_{K-1} ... F_k, what takes e_k to e_K, of the shape of `spread`.
    """

    mean: Any
    factor: Any
    spread: Any
    ahead: Any


class Grid(NamedTuple):
    """Snapshots and times as compiled code takes them.

    Attributes:
        points: snapshots, padded with their first point, shape (times, particles, d).
        mass: 1 / N_i at the points of snapshot i, 0 at the padding, shape (times, particles).
        times: shape (times,).
        step: length of an Euler step in each interval, shape (times - 1,).
        variance: sigma^2, shape (d,).
    """

    points: Any
    mass: Any
    times: Any
    step: Any
    variance: Any


def grid_of(snapshots: Any, times: Any, sigma: Any, substeps: int) -> Grid:
    """The arrays of a problem, padded to one shape."""
    most = max(len(points) for points in snapshots)
    padded = [
        np.concatenate([points, np.repeat(points[:1], most - len(points), axis=0)])
        for points in snapshots
    ]
    mass = [np.where(np.arange(most) < len(p), 1.0 / len(p), 0.0) for p in snapshots]
    return Grid(
        np.stack(padded), np.stack(mass), times, np.diff(times) / substeps,
        np.asarray(sigma, float) ** 2,
    )  # fmt: skip


def transitions(family: Any, theta: Any, grid: Grid, substeps: int) -> tuple[Chain, np.ndarray]:
    """The chains, and log p(y_{i+1}^m | y_i^n) of shape (intervals, particles, particles)."""
    with scope(True):
        mean, slope = _paths(family, jnp.asarray(theta), grid, substeps)
    # Small matrices are quick in NumPy, and slow to compile.
    with np.errstate(all="ignore"):
        chain = _chain(np.asarray(mean), np.asarray(slope), grid)
        return chain, _log_densities(chain, grid)


@functools.partial(jax.jit, static_argnums=3)
def _paths(family: Any, theta: Any, grid: Grid, substeps: int) -> tuple[Any, Any]:
    """Paths without noise and the drift's derivatives along them."""
    few = 1 if family.affine else grid.points.shape[1]
    over_points = jax.vmap(family.drift, (None, 0, None))
    slopes_over_points = jax.vmap(jax.jacfwd(family.drift, 1), (None, 0, None))
    move = jax.vmap(over_points, (None, 0, 0))
    slope = jax.vmap(slopes_over_points, (None, 0, 0))
    h = grid.step

    def step(x: Any, k: Any) -> Any:
        now = grid.times[:-1] + k * h
        b, derivative = move(theta, x, now), slope(theta, x[:, :few], now)
        x = x + h[:, None, None] * b
        return x, (x, derivative)

    start = jnp.asarray(grid.points[:-1])
    _, (mean, derivative) = jax.lax.scan(step, start, jnp.arange(substeps))
    mean = jnp.concatenate([start[None], mean])
    return jnp.swapaxes(mean, 0, 1), jnp.swapaxes(derivative, 0, 1)


def _chain(mean: Any, slope: Any, grid: Grid) -> Chain:
    substeps, d = slope.shape[1], mean.shape[-1]
    h = grid.step[:, None, None, None]
    factor = np.eye(d) + h[:, None] * slope
    spread = np.zeros((len(slope), substeps + 1, *slope.shape[2:]))
    ahead = np.empty_like(spread)
    ahead[:, substeps] = np.eye(d)
    noise = h * np.diag(grid.variance)
    for k in range(substeps):
        F = factor[:, k]
        spread[:, k + 1] = F @ spread[:, k] @ np.swapaxes(F, -1, -2) + noise
    for k in reversed(range(substeps)):
        ahead[:, k] = ahead[:, k + 1] @ factor[:, k]
    return Chain(mean, factor, spread, ahead)


def _log_densities(chain: Chain, grid: Grid) -> np.ndarray:
    mean, spread, y = chain.mean[:, -1], chain.spread[:, -1], grid.points[1:]
    d = y.shape[-1]
    if not np.isfinite(spread).all():
        return np.full((*mean.shape[:2], y.shape[1]), np.nan)
    values, vectors = np.linalg.eigh(spread)
    whiten = np.swapaxes(vectors, -1, -2) / np.sqrt(values)[..., None]
    size = 0.5 * np.sum(np.log(values), axis=-1)[..., None] + 0.5 * d * math.log(2 * math.pi)
    if spread.shape[1] == 1:
        z, centre = (_times(whiten[:, 0], points) for points in (y, mean))
        gaps = z[:, None] - centre[:, :, None]
    else:
        gaps = _times(whiten, y[:, None] - mean[:, :, None])
    return -0.5 * np.einsum("inmd,inmd->inm", gaps, gaps) - size


def _times(matrices: Any, vectors: Any) -> Any:
    """Each matrix times all the vectors of its row."""
    return vectors @ np.swapaxes(matrices, -1, -2)
