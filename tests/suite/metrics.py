"""The house of problems over metrics, with a referee who tries every set of active cycles."""

import dataclasses
import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from suite.vectors import Vectors

import resolvent as rs

PAGES = 4  # triangles over one edge
SHARED = (0, 1)


def pages(n: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The long edge of each triangle, and the short one that no other triangle has."""
    return [((0, i), (1, i)) for i in range(2, n)]


def closed(X: np.ndarray) -> np.ndarray:
    """All shortest ways, by trying all nodes between."""
    X = X.copy()
    for k in range(len(X)):
        X = np.minimum(X, X[:, k, None] + X[k])
    return X


@dataclasses.dataclass(frozen=True)
class Book:
    """Lengths of a book's edges: triangles over one edge, each longer on one side than allowed.

    No other cycle is ever active, and short sides that only one triangle has tell multipliers.
    """

    problem: Any
    D: np.ndarray
    w: float
    edges: np.ndarray

    scale = 1.0

    def matrix(self, x: Any) -> np.ndarray:
        """Lengths as a matrix, infinite between nodes without an edge."""
        x = np.asarray(x, np.float64)
        if x.ndim == 2:
            return x
        full = np.full(self.D.shape, np.inf)
        np.fill_diagonal(full, 0.0)
        full[self.edges[:, 0], self.edges[:, 1]] = full[self.edges[:, 1], self.edges[:, 0]] = x
        return full

    def pulled(self, z: np.ndarray) -> np.ndarray:
        """The minimizer of the Lagrangian."""
        X = self.D.copy()
        for (long, short), force in zip(pages(len(self.D)), z / self.w, strict=True):
            for edge, sign in ((long, -1.0), (short, 1.0), (SHARED, 1.0)):
                X[edge] = X[edge[::-1]] = X[edge] + sign * force
        return X

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The one matrix that some set of active triangles makes optimal."""
        many = len(self.D) - 2
        for active in itertools.product((False, True), repeat=many):
            chosen = np.flatnonzero(active)
            long = np.array([self.D[a] - self.D[b] for a, b in pages(len(self.D))])
            coupling = (2 * np.eye(many) + 1)[np.ix_(chosen, chosen)] / self.w
            z = np.zeros(many)
            z[chosen] = np.linalg.solve(coupling, long[chosen] - self.D[SHARED])
            X = self.pulled(z)
            if (z >= 0).all() and (X - closed(X))[np.isfinite(X)].max() <= 1e-12 * self.D[SHARED]:
                return X
        raise AssertionError("another cycle is active")

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, as `solve` takes it as a first guess."""
        return self.form(self.solution)

    def form(self, X: np.ndarray) -> np.ndarray:
        """A matrix as the problem's unknown."""
        whole = len(self.edges) == len(X) * (len(X) - 1) // 2
        return X.copy() if whole else X[self.edges[:, 0], self.edges[:, 1]]

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(self.problem.centre), np.array(self.problem.weights)]

    @property
    def like(self) -> tuple[Any, ...]:
        return (self.problem.restore(self.problem.start(None)),)

    def view(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision, for the multipliers that x tells."""
        X = self.matrix(x)
        there = np.isfinite(X)
        Y = closed(X)
        z = np.array([self.w * (X[short] - self.D[short]) for _, short in pages(len(self.D))])
        z = np.where(z > 1e-14 * self.w * self.D[SHARED], z, 0.0)
        least = np.where(there, self.pulled(z), 0.0)
        length = self.D[there].max()
        slack = sum(
            force * abs(Y[SHARED] + Y[short] - Y[long])
            for (long, short), force in zip(pages(len(self.D)), z, strict=True)
        )
        gap = 0.25 * self.w * ((Y - least)[there] ** 2).sum() + slack
        zero = 0.25 * self.w * (self.D[there] ** 2).sum()
        far = np.abs((X - least)[there]).max(), (X - Y)[there].max()
        return float(max(max(far) / length, gap / zero))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        return float(20 * np.finfo(dtype).eps)

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        away = np.linalg.norm(np.asarray(x, np.float64) - self.answer)
        return float(away / np.linalg.norm(self.answer))

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide: the coupling is below 6, above 2."""
        return 10 * float(value)


@dataclasses.dataclass(frozen=True)
class Metrics(Vectors):
    """Books, on the edges of their triangles or on all pairs."""

    complete: bool = False

    size = 2 * PAGES + 1
    dtypes = (np.float64, np.float32)
    alike = True
    exact = True
    returns_guesses = False
    scalings = 1
    tight = 1e-9
    floor = 1e-12
    endless = False

    def suited(self, cls: type) -> "Metrics":
        return Metrics(complete=cls is rs.constrained.TriangleFixing)

    def method(self, cls: Any) -> Any:
        """Few sweeps a step, so that there are some steps."""
        return cls(sweeps=2) if cls is rs.constrained.ProjectAndForget else cls()

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """Plain and weighted."""
        return ["plain", "weighted"]

    def data(self, seed: int = 0, n: int | None = None) -> np.ndarray:
        """Lengths of all pairs."""
        rng = np.random.default_rng([seed, 71])
        n = PAGES + 2 if n is None else n
        D = np.zeros((n, n))
        # Far from each other, but not so far that the ways over 0 and 1 are shorter.
        D[2:, 2:] = 1.5
        D[0, 2:] = 4.0 + 0.5 * rng.random(n - 2)
        D[1, 2:] = 1.6 + 0.3 * rng.random(n - 2)
        D[0, 1] = 1.0
        D = np.triu(D, 1)
        return D + D.T

    def wrap(self, D: Any, engine: str, dtype: Any = np.float64, weight: float = 1.0) -> Book:
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        D = np.asarray(D).astype(dtype)
        n = len(D)
        adjacent = np.ones((n, n)) - np.eye(n)
        if not self.complete and n > 2:
            adjacent[2:, 2:] = 0.0
        given = jnp.asarray(D) if dtype == np.float32 else D
        weights = None if weight == 1.0 else np.full(int(adjacent.sum()) // 2, weight)
        problem = rs.constrained.MetricNearness(given, weights, graph=adjacent)
        whole = np.where(adjacent > 0, D.astype(np.float64), np.inf)
        np.fill_diagonal(whole, 0.0)
        return Book(problem, whole, weight, problem.edges)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Book:
        weight = 3.0 if kind == "weighted" else 1.0
        return self.wrap(self.data(seed), engine, dtype, weight)

    storages = ("plain", "weighted", "graph")

    def stored(self, storage: str) -> Any:
        """Random lengths, in one of the ways in which they may come."""
        rng = np.random.default_rng(84)
        D = np.triu(rng.random((20, 20)) ** 4, 1)
        D = D + D.T
        if storage == "weighted":
            return rs.constrained.MetricNearness(D, weights=0.5 + D)
        if storage == "graph" and not self.complete:
            return rs.constrained.MetricNearness(scipy.sparse.csr_array(np.where(D > 0.05, D, 0)))
        return rs.constrained.MetricNearness(D)

    def guess(self) -> Any:
        """A first guess that is far from the answer."""
        return self._form(np.linspace(1.0, 2.0, (PAGES + 2) * (PAGES + 1) // 2))

    def integer_guess(self) -> Any:
        return self._form(np.arange(1, (PAGES + 2) * (PAGES + 1) // 2 + 1))

    def _form(self, values: np.ndarray) -> np.ndarray:
        if not self.complete:
            return values[: self.size]
        X = np.zeros((PAGES + 2, PAGES + 2), values.dtype)
        X[np.triu_indices(PAGES + 2, 1)] = values
        return X + X.T

    def effortless(self, engine: str) -> tuple[Book, list[Any]]:
        """Lengths that are a metric already."""
        D = np.ones((PAGES + 2, PAGES + 2)) - np.eye(PAGES + 2)
        sample = self.wrap(0.5 * D, engine)
        return sample, [sample.answer]

    def larger(self, engine: str) -> Book:
        """A problem of another size."""
        return self.wrap(self.data(n=PAGES + 4), engine)

    def one_unknown(self, value: float, engine: str) -> Any:
        return Pair(rs.constrained.MetricNearness(np.array([[0.0, value], [value, 0.0]])), value)

    def scaled(self, index: int, engine: str) -> tuple[Book, Book, float]:
        """A problem, the same in another unit of length, and what brings its views back."""
        factor = 2.0**-20
        return self.wrap(self.data(), engine), self.wrap(factor * self.data(), engine), 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Any, Any, Any]:
        """A problem, the same with its pages in another order, and how views follow."""
        D = self.data()
        order = np.r_[0, 1, 2 + np.random.default_rng(3).permutation(PAGES)]
        plain = self.wrap(D, engine, dtype)
        mixed = self.wrap(D[np.ix_(order, order)], engine, dtype)
        return plain, mixed, lambda view: mixed.form(plain.matrix(view)[np.ix_(order, order)])

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two nodes, whose distance is as it is."""

    problem: Any
    value: float

    scale = 1.0

    @property
    def answer(self) -> float:
        return self.value

    def view(self, x: Any) -> float:
        return float(np.asarray(x)[0, 1] if np.ndim(x) else x)
