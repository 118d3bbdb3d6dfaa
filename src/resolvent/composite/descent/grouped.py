"""Penalties that are sums of norms over groups of coordinates, as group descent takes them."""

from typing import Any, NamedTuple

import numpy as np

from resolvent.composite.descent.kernels_descent import L1
from resolvent.composite.descent.separable import separable
from resolvent.functions import GroupL2


class Grouped(NamedTuple):
    """bars_b |w_b| for the groups of some coordinates, beside ridge |w|^2 / 2 for all of them."""

    starts: Any
    """Where groups begin, and where the last one ends; before the first there is no penalty."""
    bars: Any
    """One a group."""
    ridge: float

    @property
    def free(self) -> int:
        """How many of the first coordinates have no penalty at all."""
        return int(self.starts[0])

    @property
    def convex(self) -> bool:
        return True

    def lengths(self, w: Any) -> Any:
        """The norm of each group."""
        if self.starts.size == 1:
            return np.zeros(0, w.dtype)
        return np.sqrt(np.add.reduceat((w * w)[: self.starts[-1]], self.starts[:-1]))

    def spread(self, numbers: Any, size: int) -> Any:
        """A number of each group beside its coordinates, zero before the first."""
        out = np.zeros(size, self.bars.dtype)
        out[self.free :] = np.repeat(numbers, np.diff(self.starts))
        return out

    def value(self, w: Any) -> float:
        """Their sum, less the ridge."""
        return float(self.bars @ self.lengths(w))

    def change(self, old: Any, new: Any) -> Any:
        """The terms at `new` less those at `old`, by coordinates, without cancellation."""
        total = self.lengths(old) + self.lengths(new)
        slopes = np.divide(self.bars, total, out=np.zeros_like(total), where=total > 0)
        return self.spread(slopes, old.size) * (new - old) * (new + old)


class Groups:
    """The groups of all coordinates.

    Args:
        group: [p], the group of each coordinate.
        bars: one a group.
        ridge: times |w|^2 / 2.
    """

    def __init__(self, group: Any, bars: Any, ridge: float):
        self.group, self.bars, self.ridge = group, bars, ridge
        self.members = np.argsort(group, kind="stable")
        """Coordinates, group by group."""
        self.sizes = np.bincount(group, minlength=bars.size)
        self.starts = np.append(0, np.cumsum(self.sizes))

    def columns(self, some: Any) -> Any:
        """The coordinates of some groups, one group behind the other."""
        sizes = self.sizes[some]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1] if ends.size else 0) - np.repeat(ends - sizes, sizes)
        return self.members[np.repeat(self.starts[some], sizes) + within]

    def sums(self, numbers: Any) -> Any:
        """Sums over groups."""
        return np.bincount(self.group, numbers, self.bars.size)

    def of(self, chosen: Any, free: int) -> Grouped:
        """Those of chosen coordinates, whole groups, behind `free` ones without a penalty."""
        ids = self.group[chosen]
        ends = np.flatnonzero(np.diff(ids)) + 1
        starts = np.concatenate([[0], ends, [ids.size]]) if ids.size else np.zeros(1)
        return Grouped(
            (free + starts).astype(np.intp), self.bars[ids[starts[:-1].astype(np.intp)]], self.ridge
        )


def grouped(penalty: Any, p: int, dtype: Any) -> Groups | None:
    """The penalty of p coordinates as a sum over groups of them, or None."""
    if isinstance(penalty, GroupL2):
        if penalty.groups.ndim != 1:
            return None
        factors = penalty.factors
        factors = np.sqrt(penalty.sizes) if factors is None else np.asarray(factors)
        bars = np.asarray(penalty.weight * factors, dtype)
        return Groups(np.asarray(penalty.groups), bars, 0.0)
    alone = separable(penalty, p, dtype)
    if alone is None or alone.kind != L1:
        return None
    return Groups(np.arange(p), alone.bars, alone.ridge)
