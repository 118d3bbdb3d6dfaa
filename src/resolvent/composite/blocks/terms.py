"""Penalties and bounds of single coordinates, as block methods take them."""

import dataclasses
import functools
from typing import Any

import numpy as np

from resolvent.composite.descent import kernels_descent
from resolvent.composite.descent.separable import separable
from resolvent.functions import Box, Everything, Nonnegative, SquaredL2, WeightedL1


@dataclasses.dataclass(frozen=True)
class Terms:
    """One penalty a coordinate within bounds; squares belong to the smooth part, by `ridge`."""

    kind: int
    bars: Any
    """[N], the weight of each coordinate's penalty."""
    gamma: float
    lower: Any
    upper: Any
    ridge: Any
    """[N], times x^2 / 2."""

    @property
    def convex(self) -> bool:
        """Whether each penalty is."""
        return self.kind == kernels_descent.L1

    @functools.cached_property
    def absent(self) -> bool:
        """Whether there is nothing but squares."""
        return self.convex and not (self.bars.any() or self.bounded)

    @property
    def bounded(self) -> bool:
        """Whether some coordinate has a bound."""
        return bool((self.lower > -np.inf).any() or (self.upper < np.inf).any())

    def of(self, block: Any) -> "Terms":
        """Those of a block."""
        return dataclasses.replace(
            self, bars=self.bars[block], lower=self.lower[block], upper=self.upper[block],
            ridge=self.ridge[block],
        )  # fmt: skip

    def value(self, x: Any) -> float:
        """The sum of the penalties."""
        from resolvent.composite.blocks import kernels_blocks as kernels

        return kernels.penalties(self.kind, x, self.bars, self.gamma)

    def near(self, u: Any, curvatures: Any) -> Any:
        """The y that minimize curvature (y - u)^2 / 2 plus the penalty."""
        from resolvent.composite.blocks import kernels_blocks as kernels

        out = np.empty_like(u)
        curvatures = np.broadcast_to(np.asarray(curvatures, u.dtype), u.shape)
        kernels.nearest(
            self.kind, u, curvatures, self.bars, self.gamma, self.lower, self.upper, out
        )  # fmt: skip
        return out

    def violations(self, x: Any, g: Any) -> Any:
        """How far -g is from the subdifferential, for each coordinate."""
        from resolvent.composite.blocks import kernels_blocks as kernels

        out = np.empty_like(x)
        kernels.violations(
            self.kind, x, g, self.bars, self.gamma, self.lower, self.upper, out
        )  # fmt: skip
        return out

    def gains(self, x: Any, g: Any, curvatures: Any) -> Any:
        """What steps along single coordinates gain of models with these curvatures."""
        from resolvent.composite.blocks import kernels_blocks as kernels

        out = np.empty_like(x)
        curvatures = np.broadcast_to(np.asarray(curvatures, x.dtype), x.shape)
        kernels.gains(
            self.kind, x, g, curvatures, self.bars, self.gamma, self.lower, self.upper, out
        )  # fmt: skip
        return out

    def resting(self, x: Any) -> Any:
        """Which coordinates lie on a bound or a kink."""
        return (x <= self.lower) | (x >= self.upper) | ((x == 0) & (self.bars > 0))


def terms_of(penalty: Any, shape: tuple[int, ...], free: int, dtype: Any) -> Terms | None:
    """The terms of a penalty of an array of this shape, before so many free ones; or None."""
    size = int(np.prod(shape))

    def whole(value: Any, rest: float) -> Any:
        own = np.broadcast_to(np.asarray(value, dtype), shape).ravel()
        return np.append(own, np.full(free, rest, dtype)).astype(dtype)

    lower, upper, ridge, inner = -np.inf, np.inf, 0.0, penalty
    if isinstance(inner, SquaredL2):
        if inner.center is not None:
            return None
        ridge, inner = float(inner.weight), inner.domain or Everything()
    if isinstance(inner, Box):
        lower, upper, inner = inner.lower, inner.upper, Everything()
    elif isinstance(inner, Nonnegative):
        lower, inner = 0.0, Everything()
    if isinstance(inner, WeightedL1):
        kind, bars, gamma = kernels_descent.L1, inner.weights, 0.0
    else:
        found = separable(inner, size, dtype)
        if found is None:
            return None
        kind, gamma, ridge = found.kind, found.gamma, ridge + found.ridge
        bars = found.bars.reshape(shape)
    return Terms(
        kind, whole(bars, 0.0), gamma, whole(lower, -np.inf), whole(upper, np.inf),
        whole(ridge, 0.0),
    )  # fmt: skip
