"""The house of fractional programs, with a referee who solves them in NumPy."""

import dataclasses
import functools
from typing import Any

import numpy as np
from suite.vectors import Vectors, VectorSample

import resolvent as rs

SAMPLES = 12
THETA = 1e-6


@dataclasses.dataclass(frozen=True)
class LinearRatio(VectorSample):
    """(||A x - b||^2 / 2 + 1) / (d^T x + 1) on a box, its data in double precision."""

    problem: Any
    A: np.ndarray
    b: np.ndarray
    d: np.ndarray
    high: float

    def ratio(self, x: np.ndarray) -> float:
        """The objective."""
        r = self.A @ x - self.b
        return float((0.5 * r @ r + 1.0) / (self.d @ x + 1.0))

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The answer: descended until the bounds are known, then by Newton's method on the rest."""
        gram, pulled = self.A.T @ self.A, self.A.T @ self.b
        x = np.zeros(self.d.size)
        for _ in range(200):
            alpha = self.ratio(x)
            for j in range(x.size):
                slope = gram[j] @ x - pulled[j] - alpha * self.d[j]
                x[j] = min(max(x[j] - slope / gram[j, j], 0.0), self.high)
        free = (x > 0) & (x < self.high)
        for _ in range(10):
            right = pulled + self.ratio(x) * self.d - gram[:, ~free] @ x[~free]
            x[free] = np.linalg.solve(gram[np.ix_(free, free)], right[free])
        return x

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, as `solve` takes it as a first guess."""
        return self.solution

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        return self.ratio(np.zeros(self.d.size))

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(part) for part in (self.problem.f.A, self.problem.f.b, self.problem.g.d)]

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        x = np.asarray(x, np.float64)
        v = self.A.T @ (self.A @ x - self.b) - self.ratio(x) * self.d
        return float((v * (x - np.where(v > 0, 0.0, self.high))).sum())

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate: single precision is that of x alone."""
        size = np.linalg.norm(self.A, 2) * (np.linalg.norm(self.b) + np.linalg.norm(self.A))
        return float(100 * np.finfo(np.float64).eps * size * max(self.high, 1.0))

    def error(self, x: Any) -> float:
        """Relative distance to the answer, squared: an optimality gap hides that much."""
        away = float(np.linalg.norm(np.asarray(x, np.float64) - self.solution))
        return (away / float(np.linalg.norm(self.solution))) ** 2

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        strong = float(np.linalg.eigvalsh(self.A.T @ self.A)[0])
        most = 1.0 + self.high * float(self.d.sum())
        return 2 * most * value / strong / float(np.linalg.norm(self.solution)) ** 2


@dataclasses.dataclass(frozen=True)
class Rayleigh:
    """x^T Q x / x^T C x, and its least eigenvector."""

    problem: Any
    Q: np.ndarray
    C: np.ndarray

    @functools.cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues, and eigenvectors that are orthonormal in the metric C."""
        root = np.linalg.cholesky(self.C)
        inverse = np.linalg.inv(root)
        values, vectors = np.linalg.eigh(inverse @ self.Q @ inverse.T)
        return values, inverse.T @ vectors

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        x = np.asarray(self.problem.first, np.float64)
        return float((x @ self.Q @ x) / (x @ self.C @ x)) ** 0.5

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision: every coordinate's own minimizer."""
        x = np.asarray(x, np.float64)
        own = np.diag(self.Q) + THETA * np.diag(self.Q).max()
        bottom = 0.5 * x @ self.C @ x
        alpha = 0.5 * (x @ self.Q @ x) / bottom
        slopes, turns = self.Q @ x, self.C @ x
        largest = 0.0
        for i in range(x.size):
            p2, p1 = 0.5 * (own[i] - alpha * self.C[i, i]), slopes[i] - alpha * turns[i]
            q2, q1 = 0.5 * self.C[i, i], turns[i]
            roots = np.roots([p2 * q1 - p1 * q2, 2 * p2 * bottom, p1 * bottom])
            roots = np.append(roots[np.isreal(roots)].real, 0.0)
            changes = (p2 * roots + p1) * roots / ((q2 * roots + q1) * roots + bottom)
            t = roots[np.argmin(changes)]
            largest = max(largest, abs(t) * (own[i] / bottom) ** 0.5)
        return float(largest)

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate."""
        return float(100 * np.finfo(np.float64).eps * np.linalg.cond(self.C) * np.trace(self.Q))

    def error(self, x: Any) -> float:
        """The sine of the angle to the least eigenvector, in the metric C."""
        x = np.asarray(x, np.float64)
        parts = self.spectrum[1].T @ self.C @ x
        return float(np.linalg.norm(parts[1:]) / np.linalg.norm(parts))

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        values = self.spectrum[0]
        steep = self.Q.shape[0] * np.diag(self.Q).max() / (2 * np.linalg.eigvalsh(self.C)[0])
        return float(2 * steep**0.5 * value / (values[1] - values[0]))


class Fractionals(Vectors):
    """Fractional programs of few unknowns."""

    size = 5
    dtypes = (np.float64, np.float32)
    alike = True
    exact = False
    returns_guesses = True
    scalings = 0
    tight = 1e-9
    floor = 1e-12
    endless = False

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """A denominator without other critical points; for coordinate steps one with many."""
        return ["affine", "rayleigh"] if "Coordinate" in cls.__name__ else ["affine"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """A, b and d in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 83])
        A, d = rng.standard_normal((SAMPLES, n)), rng.uniform(0.1, 1.1, n)
        return A, A @ rng.uniform(-0.5, 1.5, n) + 0.5 * rng.standard_normal(SAMPLES), d

    def wrap(
        self, data: tuple[Any, Any, Any], dtype: Any = np.float64, high: float = 1.0
    ) -> LinearRatio:
        """A problem of NumPy arrays."""
        A, b, d = (np.asarray(part).astype(dtype) for part in data)
        f, g = rs.composite.SquaredResidual(A, b, 1.0), rs.composite.AffineTerm(d, 1.0)
        start = np.zeros(d.size, dtype)
        problem = rs.FractionalProgram(f, g, rs.functions.Box(0.0, high), start=start)
        A, b, d = (part.astype(np.float64) for part in (A, b, d))
        return LinearRatio(problem, A, b, d, high)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Any:
        if kind != "rayleigh":
            return self.wrap(self.data(seed), dtype)
        rng = np.random.default_rng([seed, 89])
        Q, C = (M @ M.T + np.eye(self.size) for M in rng.standard_normal((2, self.size, self.size)))
        Q, C = Q.astype(dtype), C.astype(dtype)
        terms = rs.composite.QuadraticTerm(Q), rs.composite.QuadraticTerm(C)
        problem = rs.FractionalProgram(*terms, start=np.ones(self.size, dtype))
        return Rayleigh(problem, Q.astype(np.float64), C.astype(np.float64))

    storages = ("affine", "quadratic", "largest", "quartic")

    def stored(self, storage: str) -> Any:
        """A problem with each kind of denominator."""
        A, b, d = self.data()
        if storage == "affine":
            return self.wrap((A, b, d)).problem
        start = np.linspace(0.5, 1.5, self.size)
        f = rs.composite.SquaredResidual(A, b, 1.0)
        if storage == "quadratic":
            g = rs.composite.QuadraticTerm(np.diag(d), offset=1.0)
        elif storage == "largest":
            g = rs.composite.LargestSum(2, 0.5)
        else:
            g = rs.composite.QuarticNorm(A[:7])
        return rs.FractionalProgram(f, g, rs.functions.L1(0.1), start=start)

    def larger(self, engine: str) -> LinearRatio:
        """A problem of another size."""
        return self.wrap(self.data(n=self.size + 3))

    def one_unknown(self, value: float, engine: str) -> LinearRatio:
        A = np.full((2, 1), value)
        return self.wrap((A, np.array([6.0, 7.0]), np.array([0.5 * value])), high=20.0 / value)

    def permuted(self, engine: str, dtype: Any) -> tuple[LinearRatio, LinearRatio, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        A, b, d = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        mixed = self.wrap((A[:, order], b, d[order]), dtype)
        return self.wrap((A, b, d), dtype), mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))
