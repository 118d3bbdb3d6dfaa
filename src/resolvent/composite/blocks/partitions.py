"""Partitions of coordinates into blocks that stay the same through a solve."""

import functools
from typing import Any

import numpy as np

from resolvent.composite.blocks.models import Model

SIZED = ("order", "random", "average", "sort", "hsort", "havg")
GRAPHS = ("coloring", "tree")


class Blocks:
    """Blocks in one array of members, each from one of `starts` to the next."""

    def __init__(self, members: Any, starts: Any, model: Model):
        self.members, self.starts, self.model = members, starts, model
        self.count = starts.size - 1
        self.most = int(np.diff(starts).max())

    @classmethod
    def made(cls, partition: str, size: int, model: Model) -> "Blocks":
        """Those of a partition that draws nothing."""
        members, starts = fixed_blocks(partition, size, model, None, None)
        return cls(members, starts, model)

    def __getitem__(self, k: int) -> Any:
        return self.members[self.starts[k] : self.starts[k + 1]]

    def sums(self, values: Any) -> Any:
        """The sum of a coordinate's values over each block."""
        return np.add.reduceat(values[self.members], self.starts[:-1])

    def spread(self, values: Any) -> Any:
        """[N], for each coordinate the value of its block."""
        out = np.empty(self.members.size, values.dtype)
        out[self.members] = np.repeat(values, np.diff(self.starts))
        return out

    @functools.cached_property
    def largest(self) -> Any:
        """The largest eigenvalue of each block's bound."""
        return np.array(
            [largest(self.model.bound(self[k])) for k in range(self.count)], self.model.dtype
        )

    @functools.cached_property
    def inverses(self) -> list[Any]:
        """The pseudo-inverse of each block's bound."""
        return [inverse(self.model.bound(self[k])) for k in range(self.count)]

    @functools.cached_property
    def stacked(self) -> tuple[Any, Any]:
        """Places of members and inverses, filled up with zeros to one size."""
        places = np.zeros((self.count, self.most), np.intp)
        filled = np.zeros((self.count, self.most, self.most), self.model.dtype)
        for k, own in enumerate(self.inverses):
            places[k, : len(own)] = self[k]
            filled[k, : len(own), : len(own)] = own
        return places, filled


def largest(H: Any) -> float:
    """The largest eigenvalue of a symmetric matrix."""
    return float(H[0, 0]) if len(H) == 1 else float(np.linalg.eigvalsh(H)[-1])


def inverse(H: Any) -> Any:
    """The pseudo-inverse of a positive semidefinite matrix, judged in units of its diagonal."""
    diagonal = H.diagonal()
    root = np.sqrt(np.where(diagonal > 0, diagonal, 1))
    inner = np.linalg.pinv(
        H / np.outer(root, root), rcond=H.shape[0] * 10 * np.finfo(H.dtype).eps, hermitian=True
    )
    return inner / np.outer(root, root)


def fixed_blocks(partition: str, size: int, model: Model, given: Any, rng: Any) -> Any:
    """Members and starts of a partition into blocks."""
    if partition == "given":
        blocks = [np.asarray(block, np.intp) for block in given]
        starts = np.concatenate([[0], np.cumsum([block.size for block in blocks])])
        return np.concatenate(blocks), starts
    if partition in GRAPHS:
        from resolvent.composite.blocks.forests import by_color, by_forest

        order = np.argsort(-model.lipschitz, kind="stable")
        labels = (by_color if partition == "coloring" else by_forest)(model.matrix, order)
        members = np.argsort(labels, kind="stable")
        return members, np.concatenate([[0], np.cumsum(np.bincount(labels))])
    if partition == "order":
        members = np.arange(model.size)
    elif partition == "random":
        members = rng.permutation(model.size)
    else:
        scores = model.row_sums if partition in ("hsort", "havg") else model.lipschitz
        members = np.argsort(scores, kind="stable")
        if partition in ("average", "havg"):
            mixed = np.empty_like(members)
            half = (model.size + 1) // 2
            mixed[::2], mixed[1::2] = members[:half], members[half:][::-1]
            members = mixed
    return members, np.append(np.arange(0, model.size, size), model.size)
