"""Bregman functions: what distances are measured by, and where their Lagrangians are least."""

import math
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

    def force(self, centre: Any, inverse: Any, x: Any) -> Any:
        """What multipliers must pull with for x to be optimal: less the gradient."""
        return (centre - x) / inverse

    def depth(self, pull: Any, lost: Any) -> float:
        """A bound of -<pull, x> over the domain for entries of at most 1, `lost` in doubt."""
        return float((np.abs(pull) + lost).sum())


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

    def force(self, centre: Any, inverse: Any, x: Any) -> Any:
        """What multipliers must pull with for x to be optimal: less the gradient."""
        return -np.log(np.maximum(x, np.finfo(float).tiny) / centre) / inverse

    def depth(self, pull: Any, lost: Any) -> float:
        """A bound of -<pull, x> over the domain for entries of at most 1, `lost` in doubt."""
        return float((np.abs(np.minimum(pull, 0.0)) + lost).sum())


class LogDet:
    """tr(C^-1 X) - log det(C^-1 X) - d over positive definite X, which is one vector of d^2."""

    def minimizer(self, centre: Any, inverse: Any, pull: Any) -> Any:
        """Where the function plus <pull, x> is least; NaN where it has no least value."""
        found = _inverse(_inverse(_square(centre)) + _square(pull))
        return found.ravel()

    def value(self, centre: Any, inverse: Any, x: Any) -> float:
        """The function; infinite where X is not positive definite."""
        return self.divergence(inverse, x, centre)

    def divergence(self, inverse: Any, x: Any, other: Any) -> float:
        """The value at x less that of the tangent at the other point."""
        X, other = _square(x), _square(other)
        if not np.isfinite(other).all():
            return float("nan")
        root = np.linalg.cholesky(other)
        # Eigenvalues less 1, so that near each other no digits are lost.
        half = np.linalg.solve(root, X - other)
        apart = np.linalg.eigvalsh(_square(np.linalg.solve(root, half.T).ravel()))
        if not apart.min() > -1:
            return float("inf")
        return float((apart - np.log1p(apart)).sum())

    def unit(self, centre: Any, inverse: Any, x: Any) -> float:
        """What gaps are compared with: the number of rows."""
        return float(np.sqrt(centre.size))

    def force(self, centre: Any, inverse: Any, x: Any) -> Any:
        """What multipliers must pull with for x to be optimal; 0 outside of the domain."""
        found = _inverse(_square(x)) - _inverse(_square(centre))
        return np.nan_to_num(found, nan=0.0).ravel()

    def depth(self, pull: Any, lost: Any) -> float:
        """A bound of -<pull, x> over the domain for entries of at most 1, `lost` in doubt."""
        values = np.linalg.eigvalsh(_square(pull))
        # No eigenvalue of X is above d, and rounding moves each of pull's by less than its sum.
        return float(values.size * (np.abs(np.minimum(values, 0)) + lost.sum()).sum())


def _square(x: Any) -> Any:
    """A vector as a symmetric matrix."""
    d = math.isqrt(x.size)
    matrix = x.reshape(d, d)
    return 0.5 * (matrix + matrix.T)


def _inverse(matrix: Any) -> Any:
    """That of a positive definite matrix, NaN of others."""
    try:
        root = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan)
    half = np.linalg.inv(root)
    return half.T @ half


FUNCTIONS: dict[str, Any] = {"squares": Squares(), "entropy": Entropy(), "logdet": LogDet()}
