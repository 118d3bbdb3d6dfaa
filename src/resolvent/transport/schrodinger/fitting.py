"""The reference step: least squares of the drift, with bounds, by damped Gauss-Newton steps."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from resolvent.transport.schrodinger.expectations import Normal, increments

_DIGITS = 1e-12  # directions of less information than this share of the largest carry none


def bounded_step(normal: Normal, theta: np.ndarray, lower: np.ndarray, damping: float = 0.0) -> Any:
    """The s that minimises the quadratic model with theta + s >= lower.

    Directions that carry no information stay as they are.

    Args:
        normal: the model.
        theta: where it was made, shape (p,).
        lower: bounds, shape (p,).
        damping: multiple of the information's diagonal that is added.

    Returns:
        The step, shape (p,).
    """
    if not len(theta):
        return np.zeros(0)
    information, gradient = normal.information, normal.gradient
    if not (np.isfinite(information).all() and np.isfinite(gradient).all()):
        return np.full(len(theta), np.nan)
    units = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    units = np.where(units > 0, units, 1.0)
    scaled = information / np.outer(units, units) + damping * np.eye(len(theta))
    values, vectors = np.linalg.eigh(0.5 * (scaled + scaled.T))
    known = values > _DIGITS * max(values[-1], 1e-300)
    roots = np.sqrt(np.where(known, values, 1.0))
    pushed = np.where(known, -(vectors.T @ (gradient / units)), 0.0)
    step = vectors @ (pushed / roots**2) / units
    if (theta + step >= lower).all():
        return step
    from scipy.optimize import lsq_linear

    matrix = np.where(known, roots, math.sqrt(_DIGITS))[:, None] * vectors.T
    low = (lower - theta) * units
    found = lsq_linear(
        matrix, pushed / roots, (np.minimum(low, 0.0), np.full(len(theta), np.inf)), method="bvls"
    )
    return np.maximum(found.x / units, lower - theta)


def distance(normal: Normal, step: np.ndarray) -> float:
    """sqrt(s^T information s): how far a change of theta moves the process, in nats^(1/2)."""
    square = float(step @ normal.information @ step)
    return math.sqrt(max(square, 0.0)) if math.isfinite(square) else math.inf


def with_decay(normal: Normal, theta: np.ndarray, decay: float) -> Normal:
    """The problem with decay |theta|^2 / 2 added."""
    if not decay:
        return normal
    return Normal(
        normal.cost + 0.5 * decay * float(theta @ theta), normal.gradient + decay * theta,
        normal.information + decay * np.eye(len(theta)),
    )  # fmt: skip


def minimise(
    family: Any, theta: np.ndarray, lower: np.ndarray, normal: Callable[[np.ndarray], Normal],
    first: Normal | None = None, most: int = 50,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Levenberg-Marquardt with bounds, one plain step where the family is linear in theta.

    Args:
        family: the family.
        theta: first guess, shape (p,).
        lower: bounds, shape (p,).
        normal: the normal equations at a theta.
        first: those of the first guess, where they are known.
        most: steps at most, less those that raise the cost and are damped.

    Returns:
        The minimiser, and how often `normal` was called.
    """
    here = normal(theta) if first is None else first
    calls = int(first is None)
    if family.linear or not len(theta):
        return theta + bounded_step(here, theta, lower), calls
    damping, accepted = 0.0, 0
    while accepted < most:
        step = bounded_step(here, theta, lower, damping)
        size = distance(here, step)
        if not size > 1e-9:
            break
        trial = normal(theta + step)
        calls += 1
        if trial.cost <= here.cost:
            theta, here, accepted = theta + step, trial, accepted + 1
            damping = damping / 5 if damping > 1e-4 else 0.0
        elif damping > 1e8 or not math.isfinite(size):
            break
        else:
            damping = max(5 * damping, 1e-3)
    return theta, calls


def fit_increments(family: Any, x: Any, v: Any, t: Any, weights: Any, theta: Any) -> np.ndarray:
    """Weighted least squares of velocities; see `ReferenceFamily.fit`."""
    x, v = np.asarray(x, np.float64), np.asarray(v, np.float64)
    count, d = x.shape
    t = np.broadcast_to(np.asarray(t, np.float64), count)
    w = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    w = np.broadcast_to(w[:, None], x.shape) if w.ndim == 1 else w
    start = family.start(d) if theta is None else np.asarray(theta, np.float64)
    decay = family.weight_decay()

    def normal(theta: np.ndarray) -> Normal:
        return with_decay(increments(family, theta, x, v, t, w), theta, decay)

    return minimise(family, start, family.lower(d), normal, most=200)[0]
