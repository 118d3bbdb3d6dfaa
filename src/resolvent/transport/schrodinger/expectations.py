"""Least squares of the drift over the bridges' paths, in closed form instead of by sampling.

Given the coupling, the chain between two particles is Gaussian with known moments, so that the
sums over sampled increments become expectations. Where the drift is affine in x they are exact;
elsewhere x_k is averaged over 2 d cubature points of each pair of particles, which integrate
polynomials of degree three exactly.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.precision import scope
from resolvent.transport.schrodinger.transitions import Chain, Grid

_AT_ONCE = 20_000  # points that are averaged over at once
_NOTHING = 1e-11  # share of the mass of a particle that is left out


class Normal(NamedTuple):
    """The least-squares problem of the reference step, near one theta.

    Attributes:
        cost: E_q integral |v - b(theta, x)|^2 / (2 sigma^2) dt, less what no drift can change.
        gradient: its derivative in theta, shape (p,).
        information: its Gauss-Newton matrix, the information in the paths, shape (p, p).
    """

    cost: float
    gradient: np.ndarray
    information: np.ndarray


_NO_PARAMETERS = Normal(0.0, np.zeros(0), np.zeros((0, 0)))


class Moments(NamedTuple):
    """The bridges' paths in the form that sums over them need.

    Axes: intervals, Euler steps, particles (or 1 where they share), then the matrices.

    Attributes:
        mean: the path without noise at both ends of a step.
        pull: what the end's deviation moves x_k by, and the same for x_{k+1}.
        shift: cubature offsets of x_k, shape (intervals, steps, particles or 1, 2 d, d).
        onward: the mean offset of x_{k+1} that goes with each of them.
        ends: deviations at the end, shape (intervals, particles, ends, d).
        mass: of each end, shape (intervals, particles, ends), the largest first.
    """

    mean: tuple[Any, Any]
    pull: tuple[Any, Any]
    shift: Any
    onward: Any
    ends: Any
    mass: Any


def moments(family: Any, chain: Chain, grid: Grid, coupling: np.ndarray) -> Moments:
    """The law of the paths under the bridges of `chain` and `coupling`."""
    d = grid.points.shape[2]
    with np.errstate(all="ignore"):
        ends, mass, extra = _ends(family.affine, chain, grid, coupling)
        ahead, spread = np.swapaxes(chain.ahead, -1, -2), chain.spread
        pull = np.swapaxes(_solved(spread[:, -1:], np.swapaxes(spread @ ahead, -1, -2)), -1, -2)
        B, B_next = pull[:, :-1], pull[:, 1:]
        inner = spread[:, :-1] - B @ chain.ahead[:, :-1] @ spread[:, :-1]
        cross = spread[:, :-1] @ np.swapaxes(chain.factor, -1, -2)
        cross = cross - B @ chain.ahead[:, 1:] @ spread[:, 1:]
        if extra is not None:
            inner = inner + B @ extra[:, None] @ np.swapaxes(B, -1, -2)
            cross = cross + B @ extra[:, None] @ np.swapaxes(B_next, -1, -2)
        # The chain starts in its particle: there is nothing to spread at k = 0.
        inner[:, 0] = np.eye(d)
        root = _cholesky(0.5 * (inner + np.swapaxes(inner, -1, -2)))
        onward = np.swapaxes(_solved(root, cross), -1, -2)
        root[:, 0], onward[:, 0] = 0.0, 0.0
        signs = math.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
        shift, shift_next = (signs @ np.swapaxes(r, -1, -2) for r in (root, onward))
    path = (chain.mean[:, :-1], chain.mean[:, 1:])
    return Moments(path, (B, B_next), shift, shift_next, ends, mass)


def _ends(
    affine: bool, chain: Chain, grid: Grid, coupling: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Where the deviations end, with what mass, and the spread around it."""
    away = grid.points[1:, None] - chain.mean[:, -1][:, :, None]
    if not affine:
        order = np.argsort(-coupling, axis=2, kind="stable")
        ends = np.take_along_axis(away, order[..., None], axis=2)
        return ends, np.take_along_axis(coupling, order, axis=2), None
    # An affine drift sees two moments of the ends of each particle, and no more.
    mass = coupling.sum(axis=2)
    share = coupling / np.where(mass > 0, mass, 1.0)[..., None]
    mean = np.einsum("inm,inmd->ind", share, away)
    apart = away - mean[:, :, None]
    extra = np.swapaxes(apart, -1, -2) @ (share[..., None] * apart)
    return mean[:, :, None], mass[..., None], extra


def _cholesky(matrices: np.ndarray) -> np.ndarray:
    if not np.isfinite(matrices).all():
        return np.full_like(matrices, np.nan)
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:  # rounding, where the noise is far below the spread of the ends
        values, vectors = np.linalg.eigh(matrices)
        floor = 1e-14 * np.abs(values).max(axis=-1, keepdims=True)
        return vectors * np.sqrt(np.maximum(values, floor))[..., None, :]


def _solved(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    if not (np.isfinite(matrices).all() and np.isfinite(right).all()):
        return np.full_like(right, np.nan)
    return np.linalg.solve(matrices, right)


def normal_equations(family: Any, theta: Any, paths: Moments, grid: Grid) -> Normal:
    """The normal equations at `theta` under the law of these paths."""
    if not len(theta):
        return _NO_PARAMETERS
    most = paths.mass.shape[2]
    steps, particles, d = paths.mean[0].shape[1:]
    block = max(1, min(most, _AT_ONCE // (2 * d * steps * particles)))
    rest = -most % block
    ends = np.pad(paths.ends, ((0, 0), (0, 0), (0, rest), (0, 0)))
    mass = np.pad(paths.mass, ((0, 0), (0, 0), (0, rest)))
    heaviest = mass.reshape(*mass.shape[:2], -1, block).max(axis=(1, 3))
    # Later blocks hold the unlikely partners, together far below what a solve asks for.
    blocks = np.count_nonzero(heaviest * mass.shape[1] * most > _NOTHING, axis=1)
    whole = paths._replace(ends=ends, mass=mass)
    sums: Any = None
    with scope(True):
        theta = jnp.asarray(theta)
        for i, needed in enumerate(blocks):
            one = jax.tree_util.tree_map(lambda leaf, i=i: leaf[i], whole)
            timing = (grid.times[i], grid.step[i], grid.variance)
            found = _over_paths(family, theta, one, timing, block, max(1, int(needed)))
            sums = found if sums is None else jax.tree_util.tree_map(jnp.add, sums, found)
        cost, gradient, information = sums
        return Normal(float(cost), np.asarray(gradient), np.asarray(information))


def increments(family: Any, theta: Any, x: Any, v: Any, t: Any, weights: Any) -> Normal:
    """The normal equations at `theta` of given points, velocities, times and weights."""
    if not len(theta):
        return _NO_PARAMETERS
    with scope(True):
        cost, gradient, information = _over_points(
            family, jnp.asarray(theta), jnp.asarray(x), jnp.asarray(v), jnp.asarray(t),
            jnp.asarray(weights),
        )  # fmt: skip
        return Normal(float(cost), np.asarray(gradient), np.asarray(information))


def _squares(family: Any, theta: Any, x: Any, v: Any, t: Any, weights: Any) -> Any:
    """Sums over points, all of shape (d, count): coordinates first, as loops over points like."""

    def drifts(theta: Any) -> Any:
        return jax.vmap(family.drift, (None, 1, 0), 1)(theta, x, t)

    b, slope = jax.linearize(drifts, theta)
    miss, weights = (v - b).ravel(), weights.ravel()
    slopes = jax.vmap(slope)(jnp.eye(len(theta))).reshape(len(theta), -1)
    weighted = slopes * weights
    return 0.5 * jnp.sum(weights * miss * miss), -weighted @ miss, weighted @ slopes.T


@jax.jit
def _over_points(family: Any, theta: Any, x: Any, v: Any, t: Any, weights: Any) -> Any:
    return _squares(family, theta, x.T, v.T, t, weights.T)


@functools.partial(jax.jit, static_argnums=4)
def _over_paths(
    family: Any, theta: Any, paths: Moments, timing: Any, block: int, blocks: Any
) -> Any:
    """Sums over the paths of one interval, a block of partners of every particle at a time.

    Axes of the arrays inside: coordinate, Euler step, particle, partner, cubature point.
    """
    steps, particles, d = paths.mean[0].shape
    start, h, variance = timing
    p = len(theta)
    shape = (steps, particles, block, 2 * d)
    times = jnp.broadcast_to((start + h * jnp.arange(steps))[:, None, None, None], shape).ravel()

    def place(path: Any, pull: Any, shift: Any, ends: Any) -> Any:
        # Sums written out: a compiled loop over points beats many products of tiny matrices.
        along = [
            sum(pull[:, :, i, j, None] * ends[None, :, :, j] for j in range(d)) for i in range(d)
        ]
        return jnp.stack([
            jnp.broadcast_to(
                (path[:, :, None, i] + along[i])[..., None] + shift[:, :, None, :, i], shape
            )
            for i in range(d)
        ])  # fmt: skip

    def partners(j: Any, total: Any) -> Any:
        ends, mass = (
            jax.lax.dynamic_slice_in_dim(array, j * block, block, axis=1)
            for array in (paths.ends, paths.mass)
        )
        x = place(paths.mean[0], paths.pull[0], paths.shift, ends)
        v = (place(paths.mean[1], paths.pull[1], paths.onward, ends) - x) / h
        share = jnp.broadcast_to(mass[None, :, :, None] * (h / (2 * d)), shape).ravel()
        weights = share[None] / variance[:, None]
        sums = _squares(family, theta, x.reshape(d, -1), v.reshape(d, -1), times, weights)
        return jax.tree_util.tree_map(jnp.add, total, sums)

    zero = (jnp.zeros(()), jnp.zeros(p), jnp.zeros((p, p)))
    return jax.lax.fori_loop(0, blocks, partners, zero)
