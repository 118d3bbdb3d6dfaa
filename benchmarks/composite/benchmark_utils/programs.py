"""Quadratic programs with bounds and rows, and the referee's arithmetic for them."""

import numpy as np


def program(kind, n, seed, samples):
    """One on the box |x_i| <= 1, on the simplex, or with rows besides the box."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((samples, n))
    P, q = M.T @ M / n, rng.standard_normal(n)
    lower, upper = np.full(n, -1.0), np.full(n, 1.0)
    A, low, u = np.zeros((0, n)), np.zeros(0), np.zeros(0)
    if kind == "simplex":
        lower, upper = np.zeros(n), np.full(n, np.inf)
        A, low, u = np.ones((1, n)), np.ones(1), np.ones(1)
    if kind == "rows":
        A = rng.standard_normal((n // 2, n))
        u = A @ rng.uniform(-0.5, 0.5, n) + rng.uniform(0.0, 1.0, n // 2)
        low = np.full(n // 2, -np.inf)
    return {"P": (P + P.T) / 2, "q": q, "A": A, "l": low, "u": u, "lower": lower, "upper": upper}


def stacked(data):
    """Bounds as rows like the others: (rows, low, high)."""
    A = np.vstack([data["A"], np.eye(data["q"].size)])
    return A, np.r_[data["l"], data["lower"]], np.r_[data["u"], data["upper"]]


def kkt(data, x, y):
    """The largest relative primal, dual or gap residual; y are multipliers of `stacked`."""
    A, low, u = stacked(data)
    y = np.where(np.isinf(u), np.minimum(y, 0), y)
    y = np.where(np.isinf(low), np.maximum(y, 0), y)
    w, Px, pulled, q = A @ x, data["P"] @ x, A.T @ y, data["q"]
    v = np.clip(w, low, u)
    high, down = np.where(np.isinf(u), 0, u), np.where(np.isinf(low), 0, low)
    support = np.sum(np.where(y > 0, y * high, 0) + np.where(y < 0, y * down, 0))
    terms = x @ Px, q @ x, support
    primal = _share(w - v, w, v)
    dual = _share(Px + q + pulled, Px, pulled, q)
    return max(primal, dual, abs(sum(terms)) / max(map(abs, terms)))


def _share(residual, *terms):
    return np.abs(residual).max() / max(np.abs(term).max() for term in terms)
