"""Sparse signals of the experiments on greedy selection for losses, and how courses are run."""

from typing import Any, NamedTuple

import numpy as np


class Signal(NamedTuple):
    """A sparse vector seen through a matrix.

    Attributes:
        A: [m, n], columns of length 1.
        x: [n].
        b: [m], A x plus noise.
    """

    A: np.ndarray
    x: np.ndarray
    b: np.ndarray

    def error(self, x: Any) -> float:
        """The distance to the truth, relative to its size."""
        return float(np.linalg.norm(x - self.x) / np.linalg.norm(self.x))


def signal(seed: int, m: int, n: int, s: int, noise: float) -> Signal:
    """Gaussian columns and nonzeros, and noise of a given norm."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    A /= np.linalg.norm(A, axis=0)
    x = np.zeros(n)
    x[rng.choice(n, s, replace=False)] = rng.standard_normal(s)
    e = rng.standard_normal(m)
    return Signal(A, x, A @ x + noise * e / np.linalg.norm(e))


def corrupted(seed: int, found: Signal, rows: int, size: float) -> Signal:
    """The same with gross errors in some rows."""
    rng = np.random.default_rng([seed, 1])
    b = found.b.copy()
    b[rng.choice(b.size, rows, replace=False)] += size * rng.standard_normal(rows)
    return found._replace(b=b)


def known_half(seed: int, found: Signal, weight: float) -> np.ndarray:
    """Weights that know half of the support."""
    rng = np.random.default_rng([seed, 2])
    weights, support = np.ones(found.x.size), np.flatnonzero(found.x)
    weights[rng.choice(support, support.size // 2, replace=False)] = weight
    return weights


def course(found: Signal, problem: Any, steps: int) -> np.ndarray:
    """The error after each of so many columns; selection that has ended changes nothing more."""
    from resolvent._core.memory import Memory
    from resolvent.composite import OrthogonalMatchingPursuit

    method = OrthogonalMatchingPursuit().bind(problem)
    state = method.init(problem, problem.start(None), Memory(), None)
    errors = np.ones(steps)
    for k in range(steps):
        if state.measure > 0 and not method.status(state):
            state = method.step(problem, state)
        errors[k] = found.error(method.iterate(problem, state)[0])
    return errors


def losses_at(found: Signal, loss: str, parameter: float, steps: int, weights: Any = None) -> Any:
    """The course of selection for a loss; without one, that of plain or of scaled correlations."""
    from resolvent.composite import SparseRecovery

    if loss == "omp":
        problem = SparseRecovery(found.A, found.b, min(steps, found.b.size), weights=weights)
    else:
        problem = SparseRecovery(
            found.A, found.b, loss=loss, parameter=float(parameter), weights=weights
        )
    return course(found, problem, steps)
