"""What multipliers prove: the minimizer of a Lagrangian, and how far a point is from optimal."""

import math
from typing import Any, NamedTuple

import numpy as np

from resolvent._core.solution import Certificate

ROUNDED = 4 * float(np.finfo(np.float64).eps)  # a share of the data that is rounding


class Measured(NamedTuple):
    """A point and multipliers against the conditions of optimality.

    Attributes:
        violation: by how much the worst constraint is missed.
        stationarity: the largest difference from the minimizer of the Lagrangian.
        gap: Bregman's divergence from that minimizer, and multipliers times slacks; for a feasible
            point it is its value less the dual one.
        length: what the first two are compared with.
        value: what the gap is compared with.
    """

    violation: float
    stationarity: float
    gap: float
    length: float
    value: float

    @property
    def error(self) -> float:
        """The largest of the three, each relative."""
        length = self.length if self.length > 0 else 1.0
        value = self.value if self.value > 0 else 1.0
        parts = self.violation / length, self.stationarity / length, self.gap / value
        return math.nan if any(math.isnan(part) for part in parts) else max(parts)

    def certificate(self, kind: str = "bound", **details: Any) -> Certificate:
        """As the solution tells it."""
        length = self.length if self.length > 0 else 1.0
        value = self.value if self.value > 0 else 1.0
        return Certificate(
            self.error, 1.0, kind=kind, name="KKT error",
            statement="max(violation, stationarity, gap), each relative, <= max(rtol, atol)",
            details={
                "violation": self.violation / length, "stationarity": self.stationarity / length,
                "gap": self.gap / value, **details,
            },
        )  # fmt: skip
