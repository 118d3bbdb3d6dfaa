"""Costs between pairs of points, in blocks of rows."""

import numpy as np

BLOCK = 1 << 22


def row_blocks(n: int, m: int):
    """Slices of rows with about `BLOCK` entries each."""
    step = max(1, BLOCK // m)
    for begin in range(0, n, step):
        yield slice(begin, min(n, begin + step))


def costs(data, rows: slice):
    """A block of the cost matrix, which is given or follows from points."""
    if "cost" in data:
        return data["cost"][rows]
    return pairwise(data["x"][rows], data["y"], str(data["kind"]))


def pairwise(x, y, kind: str):
    """Squared Euclidean or l1 distances of all pairs."""
    total = np.zeros((len(x), len(y)))
    for k in range(x.shape[1]):
        difference = x[:, k, None] - y[:, k]
        total += difference**2 if kind == "sqeuclidean" else np.abs(difference)
    return total


def grid(side: int):
    """The pixels of a square picture as points, in pixels."""
    return np.stack(np.divmod(np.arange(side * side), side), axis=1).astype(float)


def histogram(picture):
    """A picture as masses: a little more than nothing everywhere, of total one."""
    flat = np.clip(np.asarray(picture, float).ravel(), 0.0, 1.0) + 0.01
    return flat / flat.sum()
