"""Bregman functions: what distances are measured by, and where their Lagrangians are least."""

from typing import Any

import numpy as np


class Squares:
    """sum_j w_j (x_j - c_j)^2 / 2."""

    def minimizer(self, centre: Any, inverse: Any, pull: Any) -> Any:
        """Where the function plus <pull, x> is least."""
        return centre - inverse * pull

    def value(self, centre: Any, inverse: Any, x: Any) -> float:
        """The function."""
        return float(0.5 * ((x - centre) ** 2 / inverse).sum())

    def divergence(self, inverse: Any, x: Any, other: Any) -> float:
        """The value at x less that of the tangent at the other point."""
        return float(0.5 * ((x - other) ** 2 / inverse).sum())

    def unit(self, centre: Any, inverse: Any, x: Any) -> float:
        """What gaps are compared with."""
        return float(0.5 * ((x * x + centre * centre) / inverse).sum())


class Entropy:
    """sum_j w_j (x_j log(x_j / c_j) - x_j + c_j) over x >= 0."""

    def minimizer(self, centre: Any, inverse: Any, pull: Any) -> Any:
        """Where the function plus <pull, x> is least.

        A positive number even where it would vanish in this precision: 0 has no logarithm.
        """
        return np.maximum(centre * np.exp(-inverse * pull), np.finfo(np.float64).tiny)

    def value(self, centre: Any, inverse: Any, x: Any) -> float:
        """The function; infinite for negative x."""
        return self.divergence(inverse, x, centre)

    def divergence(self, inverse: Any, x: Any, other: Any) -> float:
        """The value at x less that of the tangent at the other point; infinite for negative x."""
        if (x < 0).any():
            return float("inf")
        ratio = np.where(x > 0, x, 1.0) / np.where(x > 0, other, 1.0)
        terms = np.where(x > 0, x * np.log(ratio), 0.0) - x + other
        return float((np.maximum(terms, 0.0) / inverse).sum())

    def unit(self, centre: Any, inverse: Any, x: Any) -> float:
        """What gaps are compared with."""
        return float(((np.abs(x) + centre) / inverse).sum())


FUNCTIONS: dict[str, Any] = {"squares": Squares(), "entropy": Entropy()}
