"""Anderson mixing of a fixed-point iteration in the metric of the information."""

import numpy as np

_DIGITS = 1e-8


def mixed(past: np.ndarray, moves: np.ndarray, information: np.ndarray) -> np.ndarray:
    """The next point from the last ones and their moves.

    Minimises |r_k - sum_j gamma_j (r_{j+1} - r_j)| over gamma in the norm of the information, and
    applies the same combination to the points plus moves.

    Args:
        past: the last points, newest last, shape (depth, p).
        moves: the iteration's steps from them, shape (depth, p).
        information: the metric, shape (p, p), positive semidefinite.

    Returns:
        The mixed point, shape (p,).
    """
    differences = np.diff(moves, axis=0)
    metric = differences @ information
    gram, right = metric @ differences.T, metric @ moves[-1]
    # Old differences, much larger than the new, must not decide what directions count.
    sizes = np.sqrt(np.maximum(np.diagonal(gram), 1e-300))
    scaled = gram / np.outer(sizes, sizes)
    gamma = np.linalg.lstsq(scaled, right / sizes, rcond=_DIGITS)[0] / sizes
    return past[-1] + moves[-1] - gamma @ (np.diff(past, axis=0) + differences)
