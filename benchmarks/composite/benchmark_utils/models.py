"""Duality gaps and other measures of linear models, in NumPy: the referee's own arithmetic."""

import numpy as np


def slopes(loss, z, y):
    """The loss's derivative at predictions, one a sample."""
    if loss == "squares":
        return z - y
    return -y / (1.0 + np.exp(np.clip(y * z, -700, 700)))


def mean_loss(loss, z, y):
    """The mean loss."""
    if loss == "squares":
        return 0.5 * np.mean((z - y) ** 2)
    return np.mean(np.logaddexp(0.0, -y * z))


def conjugate(loss, v, y):
    """The mean of the loss's conjugate at slopes v."""
    if loss == "squares":
        return np.mean(v * y + 0.5 * v * v)
    share = np.clip(-v * y, 0.0, 1.0)
    rest = 1.0 - share

    def entropy(p):
        return np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)

    return np.mean(entropy(share) + entropy(rest))


def gap(data, w):
    """The duality gap of w, as a part of what zero leaves of the loss."""
    X, y, loss = data["X"], data["y"], data["loss"]
    bar, ridge, groups = data["bar"], data.get("ridge", 0.0), data.get("groups")
    z = X @ w
    v = slopes(loss, z, y)
    if groups is None:
        size, penalty = np.abs(X.T @ v) / y.size, np.abs(w).sum()
    else:
        size = np.linalg.norm((X.T @ v / y.size).reshape(-1, groups), axis=1)
        penalty = np.linalg.norm(w.reshape(-1, groups), axis=1).sum()
    primal = mean_loss(loss, z, y) + bar * penalty + 0.5 * ridge * (w @ w)
    if ridge:
        over = np.maximum(size - bar, 0.0)
        rest, share = over @ over / (2.0 * ridge), 1.0
    else:
        rest, share = 0.0, min(1.0, bar / max(size.max(), 1e-300))
    dual = -conjugate(loss, share * v, y) - rest
    zero = mean_loss(loss, np.zeros(y.size), y)
    return (primal - dual) / zero


def stationarity(data, w):
    """How far w is from being a stationary point under the MCP, as a part of its weight."""
    X, y, bar, gamma = data["X"], data["y"], data["bar"], data["gamma"]
    g = X.T @ (X @ w - y) / y.size
    on = np.abs(g + np.sign(w) * np.maximum(bar - np.abs(w) / gamma, 0.0))
    off = np.maximum(np.abs(g) - bar, 0.0)
    return float(np.where(w != 0, on, off).max() / bar)
