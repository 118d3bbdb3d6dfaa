"""The house of linear separation, with a referee who counts."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from scipy.optimize import nnls
from suite.vectors import Vectors

import resolvent as rs

STORED = 3000  # samples of problems that nothing separates, whose steps all differ


@dataclasses.dataclass(frozen=True)
class Samples:
    """One problem, its data in double precision, and the direction of the largest margin."""

    problem: Any
    X: np.ndarray
    y: np.ndarray

    scale = 1.0

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The shortest vector of the convex hull of the signed samples, as a direction."""
        rows = self.y[:, None] * self.X
        size = float(np.abs(rows).max())
        system = np.vstack([rows.T / size, np.ones(len(rows))])
        weights, _ = nnls(system, np.append(np.zeros(self.X.shape[1]), 1.0))
        theta = rows.T @ weights
        return theta / np.linalg.norm(theta)

    @property
    def answer(self) -> np.ndarray:
        """What `x` may be, as `solve` takes it as a first guess."""
        return self.solution

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(self.problem.design.matrix), np.array(self.problem.y)]

    @property
    def like(self) -> tuple[Any, ...]:
        return (self.problem.first,)

    def view(self, x: Any) -> np.ndarray:
        """The direction."""
        x = np.asarray(x, np.float64)
        return x / np.linalg.norm(x)

    def measure(self, x: Any) -> float:
        """How many samples are not on their side."""
        margins = self.y * (self.X @ np.asarray(x, np.float64))
        return float((~(margins > 0)).sum())

    def rounding(self, dtype: Any) -> float:
        return 0.0

    def error(self, x: Any) -> float:
        """The share of samples that are not on their side."""
        return self.measure(x) / self.y.size

    def allowed(self, value: float) -> float:
        """None of fewer than one."""
        return np.floor(value) / self.y.size


@dataclasses.dataclass(frozen=True)
class Separations(Vectors):
    """Samples of two classes, many to one, in a thin layer at the border."""

    size = 5
    dtypes = (np.float64, np.float32)
    exact = True
    returns_guesses = True
    scalings = 2
    tight = 1e-9
    floor = 0.0
    endless = False

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance: all that are below one mean the same."""
        return 1e-4 if dtype == np.float32 else self.tight

    kind = "dense"

    def kinds(self, cls: type) -> list[str]:
        return ["dense"]

    def data(self, seed: int = 0, n: int | None = None) -> tuple[Any, Any]:
        """Samples and labels in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 83])
        X, w = rng.standard_normal((60, n)), rng.standard_normal(n)
        w /= np.linalg.norm(w)
        y = np.where(X @ w > 0.8, 1.0, -1.0)
        # Moved along w: to either side of the border, at a distance of at least 0.05.
        X += np.outer(y * 0.05 - np.where(y > 0, 0.8, 0.0), w)
        X += np.outer(np.where(y < 0, -np.maximum(X @ w + 0.05, 0.0), 0.0), w)
        return X, y

    def wrap(self, X: Any, y: Any, engine: str, dtype: Any = np.float64) -> Samples:
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        X = np.asarray(X).astype(dtype)
        whole, y = np.array(X, np.float64), np.asarray(y)
        return Samples(
            rs.LinearSeparation(jnp.asarray(X) if dtype == np.float32 else X, y), whole, y
        )

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Samples:
        return self.wrap(*self.data(seed), engine, dtype)

    storages = ("dense", "sparse", "intercept")

    def stored(self, storage: str) -> Any:
        """Samples that nothing separates, in one of the ways in which they may come."""
        rng = np.random.default_rng(84)
        X = rng.standard_normal((STORED, self.size))
        y = np.sign(X[:, 0] + 0.5 * rng.standard_normal(STORED))
        if storage == "sparse":
            return rs.LinearSeparation(scipy.sparse.csr_matrix(X), y)
        return rs.LinearSeparation(X, y, intercept=storage == "intercept")

    def larger(self, engine: str) -> Samples:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def one_unknown(self, value: float, engine: str) -> Samples:
        return self.wrap(np.array([[value], [-2 * value]]), np.array([-1.0, 1.0]), engine)

    def scaled(self, index: int, engine: str) -> tuple[Samples, Samples, float]:
        """A problem, the same in another unit of X, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        X, y = self.data()
        return self.wrap(X, y, engine), self.wrap(factor * X, y, engine), 1.0

    def permuted(self, engine: str, dtype: Any) -> tuple[Samples, Samples, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        X, y = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(X, y, engine, dtype)
        return plain, self.wrap(X[:, order], y, engine, dtype), lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))
