"""Penalties that are sums over coordinates, as coordinate descent takes them."""

from typing import Any, NamedTuple

import numpy as np

from resolvent.functions import (
    L0,
    L1,
    MCP,
    SCAD,
    ElasticNet,
    Everything,
    Nonnegative,
    SquaredL2,
    WeightedL1,
)

_SOFT, _NONNEGATIVE, _MCP, _SCAD, _L0 = range(5)  # as in kernels_descent


class Separable(NamedTuple):
    """One penalty a coordinate, beside ridge w^2 / 2 for all of them."""

    kind: int
    bars: Any
    """[p], the penalty's weight for each coordinate."""
    ridge: float
    gamma: float
    free: int = 0
    """How many of the first coordinates have no penalty at all."""

    @property
    def convex(self) -> bool:
        """Whether each of them is."""
        return self.kind in (_SOFT, _NONNEGATIVE)

    def each(self, w: Any) -> Any:
        """The terms at w, less the ridge."""
        size, bars, gamma = np.abs(w), self.bars, self.gamma
        if self.convex:
            return bars * size
        if self.kind == _L0:
            return bars * (size > 0)
        if self.kind == _MCP:
            low = np.minimum(size, gamma * bars)
            return low * (bars - low / (2 * gamma))
        bend = np.clip(size - bars, 0, (gamma - 1) * bars)
        return bars * np.minimum(size, bars) + bend * (bars - bend / (2 * gamma - 2))

    def value(self, w: Any) -> float:
        """Their sum."""
        return float(self.each(w).sum())

    def change(self, old: Any, new: Any) -> Any:
        """The terms at `new` less those at `old`, without cancellation where it counts."""
        if self.convex:
            return self.bars * (np.abs(new) - np.abs(old))
        return self.each(new) - self.each(old)

    def derivatives(self, w: Any) -> tuple[Any, Any]:
        """First and second derivative away from zero."""
        size, bars, gamma, none = np.abs(w), self.bars, self.gamma, np.zeros_like(w)
        if self.convex:
            return bars * np.sign(w), none
        if self.kind == _L0:
            return none, none
        if self.kind == _MCP:
            return np.sign(w) * np.maximum(bars - size / gamma, 0), (size < gamma * bars) / -gamma
        bent = (size > bars) & (size < gamma * bars)
        slope = np.clip((gamma * bars - size) / (gamma - 1), 0, bars)
        return np.sign(w) * slope, bent / (1 - gamma)

    def of(self, chosen: Any, free: int) -> "Separable":
        """Those of chosen coordinates, behind `free` ones without a penalty."""
        bars = self.bars[chosen]
        return self._replace(bars=np.append(np.zeros(free, bars.dtype), bars), free=free)

    def smooth_at_zero(self) -> Any:
        """Which coordinates have no kink at zero."""
        smooth = (self.bars == 0) & (self.kind != _NONNEGATIVE)
        smooth[: self.free] = True
        return smooth

    def kept_signs(self, old: Any, new: Any) -> Any:
        """The new values, but zero where their sign is another one than that of the old."""
        return np.where((new * old < 0) & ~self.smooth_at_zero(), 0.0, new)


def separable(penalty: Any, p: int, dtype: Any) -> Separable | None:
    """The penalty of p coordinates as a sum over them, or None."""
    kind, bar, ridge, gamma = _SOFT, 0.0, 0.0, 0.0
    if isinstance(penalty, L1):
        bar = penalty.weight
    elif isinstance(penalty, WeightedL1):
        bar = penalty.weights
    elif isinstance(penalty, ElasticNet):
        bar, ridge = penalty.weight * penalty.ratio, penalty.weight * (1 - penalty.ratio)
    elif isinstance(penalty, SquaredL2) and penalty.center is None and penalty.domain is None:
        ridge = penalty.weight
    elif isinstance(penalty, Nonnegative):
        kind = _NONNEGATIVE
    elif isinstance(penalty, MCP | SCAD):
        kind = _MCP if isinstance(penalty, MCP) else _SCAD
        bar, gamma = penalty.weight, penalty.gamma
    elif isinstance(penalty, L0):
        kind, bar = _L0, penalty.weight
    elif not isinstance(penalty, Everything):
        return None
    bars = np.array(np.broadcast_to(np.asarray(bar, dtype), (p,)))
    return Separable(kind, bars, float(ridge), float(gamma))
