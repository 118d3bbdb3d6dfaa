"""Dissimilarities and signed graphs of the experiments on metrics, and how courses are recorded."""

import time
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from resolvent import constrained
from resolvent._core.memory import Memory


class Course(NamedTuple):
    """How a solve went, step by step.

    Attributes:
        errors: the certificate's value, at the start and after each step.
        rows: the length of the list after each step, new rows included.
        pulling: how many rows of the last list have positive multipliers.
        looks: shortest-path trees that were computed.
        seconds: processor time.
        bytes: the largest size of lists and multipliers.
    """

    errors: np.ndarray
    rows: np.ndarray
    pulling: int
    looks: int
    seconds: float
    bytes: int


def dissimilarities(n: int, seed: int) -> np.ndarray:
    """Absolute values of normal numbers for all pairs."""
    D = np.triu(np.abs(np.random.default_rng([seed, n]).standard_normal((n, n))), 1)
    return D + D.T


def planted(n: int, degree: float, seed: int) -> Any:
    """Signs on a sparse graph: two groups of nodes, every tenth sign wrong; one part of it."""
    rng = np.random.default_rng([seed, n, 1])
    there = np.triu(rng.random((n, n)) < degree / (n - 1), 1)
    group = np.arange(n) < n // 2
    same = (group[:, None] == group) ^ (rng.random((n, n)) < 0.1)
    signs = there * np.where(same, 1.0, -1.0)
    whole = scipy.sparse.csr_array(signs + signs.T)
    _, labels = connected_components(whole, directed=False)
    largest = np.flatnonzero(labels == np.bincount(labels).argmax())
    return whole[largest][:, largest]


def _size(rows: Any) -> int:
    return sum(part.nbytes for part in rows)


def forget(problem: Any, method: Any, target: float, most: int = 100_000) -> Course:
    """The steps of Project and Forget until the error is at most `target`."""
    began = time.process_time()
    state = method.init(problem, problem.start(None), Memory(), None)
    errors, rows, largest = [state.error], [state.rows.z.size], _size(state.rows)
    while not state.error <= target and len(errors) <= most:
        state = method.step(problem, state)
        errors.append(state.error)
        rows.append(state.rows.z.size)
        largest = max(largest, _size(state.rows))
    seconds = time.process_time() - began
    pulling = int((state.rows.z > 0).sum())
    return Course(np.array(errors), np.array(rows), pulling, state.asked, seconds, largest)


def fix(problem: Any, target: float) -> Course:
    """The same for triangle fixing; its multipliers are its list."""
    method = constrained.TriangleFixing()
    began = time.process_time()
    state = method.init(problem, problem.start(None), Memory(), None)
    state, trace = method.advance(problem, state, 100_000, target)
    seconds = time.process_time() - began
    pulling = int((state.z > 0).sum())
    whole = np.full(len(trace) + 1, state.z.size)
    return Course(np.r_[np.nan, trace], whole, pulling, 0, seconds, state.z.nbytes)


def warm_up() -> None:
    """Compile the kernels, so that no course pays for it."""
    problem = constrained.MetricNearness(dissimilarities(8, 0))
    forget(problem, constrained.ProjectAndForget(), 1e-3)
    fix(problem, 1e-3)
