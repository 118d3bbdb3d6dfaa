"""Least squares with constraints, solved and measured in NumPy."""

import itertools
from typing import Any

import numpy as np

import resolvent as rs

LOW = -0.3  # of a box, over its upper bound


def function(term: str, bar: float) -> Any:
    """The second term of a problem; `bar` is its weight or its size."""
    return {
        "l1": lambda: rs.functions.L1(bar),
        "ridge": lambda: rs.functions.SquaredL2(bar),
        "free": lambda: None,
        "box": lambda: rs.functions.Box(LOW * bar, bar),
        "simplex": lambda: rs.functions.Simplex(bar),
        "l1-ball": lambda: rs.functions.L1Ball(bar),
    }[term]()


def answer(term: str, H: np.ndarray, c: np.ndarray, bar: float) -> np.ndarray:
    """The minimizer of <w, H w> / 2 - <c, w> under a constraint."""
    if term == "box":
        return _in_box(H, c, LOW * bar, bar)
    free = np.linalg.solve(H, c)
    if term in ("free", "ridge") or (term == "l1-ball" and np.abs(free).sum() <= bar):
        return free
    signs = (0, 1) if term == "simplex" else (-1, 0, 1)
    return _on_faces(H, c, bar, signs)


def _in_box(H: np.ndarray, c: np.ndarray, low: float, high: float) -> np.ndarray:
    """Descended until the free unknowns are known, then solved."""
    w = np.zeros(c.size)
    for _ in range(2000):
        for j in range(c.size):
            w[j] = np.clip((c[j] - H[j] @ w + H[j, j] * w[j]) / H[j, j], low, high)
    free = (w > low) & (w < high)
    if free.any():
        right = c[free] - H[np.ix_(free, ~free)] @ w[~free]
        w[free] = np.linalg.solve(H[np.ix_(free, free)], right)
    return w


def _on_faces(H: np.ndarray, c: np.ndarray, total: float, signs: tuple[int, ...]) -> np.ndarray:
    """The best of the stationary points on all faces of the simplex or the l1 ball."""
    best, least = np.zeros(c.size), np.inf
    for pattern in itertools.product(signs, repeat=c.size):
        side = np.array(pattern, float)
        on = side != 0
        if not on.any():
            continue
        own = side[on]
        matrix = np.block([[H[np.ix_(on, on)], own[:, None]], [own[None], np.zeros((1, 1))]])
        right = np.r_[c[on], total]
        found = np.linalg.solve(matrix, right)
        found = (found + np.linalg.solve(matrix, right - matrix @ found))[:-1]
        if (found * own < 0).any():
            continue
        w = np.zeros(c.size)
        w[on] = found
        value = 0.5 * w @ H @ w - c @ w
        if value < least:
            best, least = w, value
    return best


def project(term: str, w: np.ndarray, bar: float) -> np.ndarray:
    """The nearest point of the constraint, or the proximal point of the l1 norm."""
    if term == "l1":
        return np.sign(w) * np.maximum(np.abs(w) - bar, 0)
    if term == "box":
        return np.clip(w, LOW * bar, bar)
    if term == "simplex":
        return _to_simplex(w, bar)
    if term == "l1-ball":
        inside = np.abs(w).sum() <= bar
        return w if inside else np.sign(w) * _to_simplex(np.abs(w), bar)
    return w


def _to_simplex(w: np.ndarray, total: float) -> np.ndarray:
    sorted_ = np.sort(w)[::-1]
    means = (np.cumsum(sorted_) - total) / np.arange(1, w.size + 1)
    return np.maximum(w - means[np.flatnonzero(sorted_ > means)[-1]], 0)


def support(term: str, v: np.ndarray, bar: float) -> float:
    """sup over w in the constraint of <v, w>."""
    if term == "box":
        return float(np.maximum(LOW * bar * v, bar * v).sum())
    return bar * float(v.max() if term == "simplex" else np.abs(v).max())
