"""The referee's arithmetic: the error of the conditions of Karush, Kuhn and Tucker, in NumPy."""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls
from scipy.sparse.linalg import spsolve

MOST = 2000  # inequalities whose multipliers are looked for


def error(at, x, pair=None):
    """The norm of what the conditions leave at x, for the better of two pairs of multipliers.

    `at(x)` gives the gradient of f, c and its Jacobian, h <= 0 and its; lower and upper bounds.
    Those multipliers are the solver's own, where it has them, and those that least squares give.
    """
    parts = at(x)
    if not all(np.isfinite(part.data if sp.issparse(part) else part).all() for part in parts[:5]):
        return np.inf, np.inf
    found = [_left(parts, x, *estimated(parts, x))]
    if pair is not None and all(part is not None for part in pair):
        found.append(_left(parts, x, *pair))
    low, high = parts[5:]
    outside = np.maximum(low - x, 0) + np.maximum(x - high, 0)
    violation = np.linalg.norm(np.r_[parts[1], np.maximum(parts[3], 0), outside])
    return min(found), float(violation)


def _left(parts, x, y, z):
    g, c, G, h, A, low, high = parts
    slope = g + G.T @ y + A.T @ z
    still = x - np.clip(x - slope, low, high)
    total = float(np.linalg.norm(np.r_[still, c, np.minimum(z, -h)]))
    return total if total <= np.inf else np.inf


def estimated(parts, x):
    """The multipliers, of bounds too, with the least squares of the Lagrangian's gradient and of
    every multiplier times its slack; of very many inequalities those of the nearest."""
    if parts[3].size > MOST:
        near = np.argsort(np.abs(parts[3]), kind="stable")[:MOST]
        y, some = estimated((*parts[:3], parts[3][near], parts[4][near], *parts[5:]), x)
        z = np.zeros(parts[3].size)
        z[near] = some
        return y, z
    g, c, G, h, A, low, high = parts
    n, m, p = x.size, c.size, h.size
    if sp.issparse(G):  # equations alone
        return spsolve(sp.csc_array(G @ G.T), -(G @ g)), np.zeros(0)
    below, above = (np.flatnonzero(np.isfinite(side)) for side in (low, high))
    columns = np.vstack([G, -G, A, -np.eye(n)[below], np.eye(n)[above]]).T
    slack = np.r_[np.zeros(2 * m), np.abs(h), np.abs(x - low)[below], np.abs(high - x)[above]]
    if not columns.size:
        return np.zeros(0), np.zeros(0)
    try:
        u, _ = nnls(np.vstack([columns, np.diag(slack)]), np.r_[-g, np.zeros(slack.size)])
    except RuntimeError:  # it did not end
        return np.zeros(m), np.zeros(p)
    return u[:m] - u[m : 2 * m], u[2 * m : 2 * m + p]


def referee(pipe):
    """A process that judges: it gets problems and answers, and keeps its compiled functions."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from benchmark_utils.oracles import oracles

    known = {}
    while True:
        problem, x, pair = pipe.recv()
        key = repr(problem)
        if key not in known:
            known[key] = oracles(problem)
        here = known[key]
        if x is None:
            pipe.send((np.inf, np.inf, np.nan))
            continue

        def at(v, here=here):
            (_, c, h), (g, G, A) = here.values(v), here.slopes(v)
            return g, c, G, h, A, here.low, here.high

        value, violation = error(at, np.asarray(x, np.float64), pair)
        pipe.send((value / here.unit, violation / here.unit, float(here.values(x)[0])))
