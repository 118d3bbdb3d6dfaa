"""The maps of the datasets, for arrays of NumPy and of JAX alike."""

import numpy as np


def layer(xp, x, W, given):
    """A layer of a deep equilibrium model: tanh(W x + U x0 + b), a batch in rows."""
    return xp.tanh(x @ W.T + given)


def affine(xp, x, M, c):
    """M x + c."""
    return M @ x + c


def bellman(xp, v, P, R, discount):
    """The best action of every state: P is [actions, states, states]."""
    return (R + discount * (P @ v)).max(axis=0)


def sparse_bellman(xp, v, successors, chances, R, discount):
    """The same where a state has few successors: [actions, states, successors]."""
    return (R + discount * (chances * v[successors]).sum(axis=-1)).max(axis=0)


def cell(xp, y, x, W, U, b):
    """One stage of a recurrence."""
    return xp.tanh(W @ y + U @ x + b)


MAPS = {
    "layer": layer, "affine": affine, "bellman": bellman, "sparse-bellman": sparse_bellman,
}  # fmt: skip


def in_numpy(kind):
    """(x, args) -> T(x)."""
    fn = MAPS[kind]
    return lambda x, args: fn(np, x, *args)


def in_jax(kind):
    """The same for arrays of JAX."""
    import jax.numpy as jnp

    fn = MAPS[kind]
    return lambda x, args: fn(jnp, x, *args)


def stages(start, inputs, weights):
    """All of a recurrence, one stage after another."""
    found, y = np.empty((len(inputs), start.size)), start
    for t, x in enumerate(inputs):
        found[t] = y = cell(np, y, x, *weights)
    return found


def defect(s, start, inputs, weights) -> float:
    """The largest distance of a stage from what follows from the stage before it."""
    W, U, b = weights
    before = np.concatenate([start[None], s[:-1]])
    return float(np.linalg.norm(np.tanh(before @ W.T + inputs @ U.T + b) - s, axis=1).max())
