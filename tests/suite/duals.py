"""Houses of methods for linear models with a ridge, and with groups."""

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse
from suite.composites import Regression, Regressions

import resolvent as rs

MANY = 60


@dataclasses.dataclass(frozen=True)
class Ridges(Regressions):
    """Ridge regressions, and other losses with a ridge."""

    term: str = "ridge"

    @property
    def _bar(self) -> float:
        return self.bar

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        return ["ridge"]

    def scaled(self, index: int, engine: str) -> tuple[Regression, Regression, float]:
        """A problem, the same in another unit of y and x, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        X, y = self.data()
        return self.wrap(X, y, engine), self.wrap(X, factor * y, engine), 1 / factor

    def one_unknown(self, value: float, engine: str) -> Regression:
        return self.wrap(np.full((2, 1), value), np.array([6.0, 7.0]), engine, bar=self.bar)

    storages = ("dense", "sparse", "quantile")

    def stored(self, storage: str) -> Any:
        """A problem in one of the ways in which its parts may come."""
        rng = np.random.default_rng(85)
        X = rng.standard_normal((MANY, self.size))
        y = X[:, 0] + rng.standard_normal(MANY)
        penalty = rs.functions.SquaredL2(1e-3)
        if storage == "quantile":
            return rs.GeneralizedLinear(X, y, rs.functions.Quantile(0.8), penalty)
        X = scipy.sparse.csr_matrix(X) if storage == "sparse" else X
        return rs.GeneralizedLinear(X, np.sign(y), rs.functions.Hinge(), penalty)


@dataclasses.dataclass(frozen=True)
class Groups(Regressions):
    """What has a penalty that is a sum of norms, as the lasso has."""

    storages = ("dense", "sparse", "intercept", "logistic")

    def stored(self, storage: str) -> Any:
        """Many groups, of which a step takes a part, in one of the ways in which they may come."""
        rng = np.random.default_rng(86)
        X = rng.standard_normal((MANY, 8 * MANY))
        y = X[:, :20].sum(axis=1) + rng.standard_normal(MANY)
        penalty = rs.functions.GroupL2(np.repeat(np.arange(2 * MANY), 4), 0.02)
        if storage == "logistic":
            return rs.GeneralizedLinear(X, np.sign(y), rs.functions.Logistic(), penalty)
        X = scipy.sparse.csr_matrix(X) if storage == "sparse" else X
        return rs.GeneralizedLinear(X, y, penalty=penalty, intercept=storage == "intercept")
