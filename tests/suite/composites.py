"""The house of composite problems, with a referee who solves the lasso in NumPy."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from suite import terms
from suite.vectors import Vectors, VectorSample

import resolvent as rs

SAMPLES, MANY = 12, 40
RATIO = 0.75  # of the elastic net
SIZE = 1.5  # of constraints


def squares(x: Any, args: Any) -> Any:
    """Half of the mean squared residual, as a function that says nothing of itself."""
    X, y = args
    residual = X @ x - y
    return 0.5 * (residual * residual).sum() / y.size


@dataclasses.dataclass(frozen=True)
class Regression(VectorSample):
    """One elastic net or constrained least squares, its data in double precision, its answer."""

    problem: Any
    X: np.ndarray
    y: np.ndarray
    bar: float
    """The weight of the l1 norm, or the size of the constraint."""
    ridge: float
    gap: bool
    """Whether the certificate is the duality gap."""
    term: str = "l1"

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The answer: descended until its support is known, then solved."""
        w, (n, p) = np.zeros(self.X.shape[1]), self.X.shape
        gram, pulled = self.X.T @ self.X / n + self.ridge * np.eye(p), self.X.T @ self.y / n
        if self.term != "l1":
            return terms.answer(self.term, gram, pulled, self.bar)
        for _ in range(2000):
            for j in range(p):
                u = pulled[j] - gram[j] @ w + gram[j, j] * w[j]
                w[j] = np.sign(u) * max(abs(u) - self.bar, 0) / gram[j, j]
        on = w != 0
        if on.any():
            right = pulled[on] - self.bar * np.sign(w[on])
            w[on] = np.linalg.solve(gram[np.ix_(on, on)], right)
        return w

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, as `solve` takes it as a first guess."""
        return self.solution

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        if self.gap:
            return 0.5 * float(self.y @ self.y) / self.y.size
        return float(np.linalg.norm(self.X.T @ self.y)) / self.y.size or 1.0

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(part) for part in self._data]

    @property
    def _data(self) -> tuple[Any, ...]:
        if isinstance(self.problem, rs.GeneralizedLinear):
            return self.problem.design.matrix, self.problem.y
        return self.problem.args

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        w = np.asarray(x, np.float64)
        n = self.y.size
        residual = self.X @ w - self.y
        gradient = self.X.T @ residual / n
        if not self.gap:
            # Without a ridge: the function has none.
            if self.term == "free":
                return float(np.linalg.norm(gradient))
            return float(np.linalg.norm(w - terms.project(self.term, w - gradient, self.bar)))
        if self.term not in ("l1", "ridge"):
            bound = terms.support(self.term, -gradient, self.bar)
            return float(residual @ (residual + self.y) / n + bound)
        primal = 0.5 * residual @ residual / n
        if self.term == "l1":
            primal += self.bar * np.abs(w).sum()
        primal += 0.5 * self.ridge * w @ w
        share = 1.0
        if not self.ridge:
            share = min(1.0, self.bar / max(np.abs(gradient).max(), 1e-300))
        dual = share * residual
        over = np.maximum(np.abs(gradient) - (self.bar if self.term == "l1" else 0), 0)
        rest = over @ over / (2 * self.ridge) if self.ridge else 0.0
        return float(primal + (0.5 * dual @ dual + dual @ self.y) / n + rest)

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        size = float(self.y @ self.y) / self.y.size + np.linalg.norm(self.X.T @ self.y)
        return float(20 * np.finfo(dtype).eps * size)

    def error(self, x: Any) -> float:
        """Relative distance to the answer, squared where a gap is: it hides that much."""
        away = float(np.linalg.norm(np.asarray(x, np.float64) - self.solution))
        size = float(np.linalg.norm(self.solution))
        return (away / size) ** 2 if self.gap else away / size

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        strong = float(np.linalg.eigvalsh(self.X.T @ self.X / self.y.size)[0]) + self.ridge
        size = float(np.linalg.norm(self.solution))
        if self.gap:
            return 2 * value / strong / size**2
        return (1 + np.linalg.norm(self.X, 2) ** 2 / self.y.size) / strong * value / size


@dataclasses.dataclass(frozen=True)
class Regressions(Vectors):
    """Linear models of few unknowns, and the same written as a function with a penalty."""

    linear: bool = False
    """Whether the method is for linear models alone."""
    term: str = "l1"
    """What the method is for: penalties, or a kind of constraint."""
    consistent: bool = False
    """Whether the samples can be fitted, as methods that draw them need it."""

    size = 5
    chief = "ProximalGradient"
    dtypes = (np.float64, np.float32)
    alike = True
    scalings = 2
    tight = 1e-9
    floor = 1e-12
    finest = 1e-13
    sharpest = 1e-12
    endless = False
    bar = 0.1

    def method(self, cls: type) -> Any:
        """A method; working sets grow by one coordinate a step, or nothing would grow here."""
        return cls(first=1) if cls is rs.composite.CoordinateDescent else cls()

    def suited(self, cls: type) -> "Regressions":
        """The variant for a method."""
        from suite import duals

        linear = rs.Composite not in cls.solves
        if "ridge" in cls.needs:
            return duals.Ridges(linear)
        if "grouped" in cls.needs:
            return duals.Groups(linear)
        for need in ("differentiable", "box", "simplex", "bounded"):
            if need in cls.needs:
                return Regressions(linear, need, cls.random)
        return Regressions(linear)

    @property
    def exact(self) -> bool:
        """Whether the certificate can come to zero."""
        return self.consistent

    @property
    def returns_guesses(self) -> bool:
        """Whether a guess that is the answer comes back to the bit: projections may change it."""
        return self.term not in ("simplex", "bounded")

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    @property
    def kind(self) -> str:
        """The way that most tests write them in."""
        return self.kinds(type(self))[0]

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        if self.term == "l1":
            return ["l1", "elastic"] if self.linear else ["l1", "elastic", "l1-function"]
        if self.term == "differentiable":
            more = [] if self.consistent else ["ridge"]
            return ["free", *more, "free-function"]
        if self.term == "bounded":
            return ["simplex", "l1-ball", "simplex-function"]
        return [self.term, f"{self.term}-function"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """Samples and targets in double precision."""
        n = self.size if n is None else n
        if self.consistent:
            # Other targets of the same samples are no less consistent.
            X = np.random.default_rng(72).standard_normal((MANY, n))
            return X, X @ np.random.default_rng([seed, 71]).standard_normal(n)
        rng = np.random.default_rng([seed, 71])
        X = rng.standard_normal((SAMPLES, n))
        return X, X[:, 0] - X[:, 1] + 0.3 * rng.standard_normal(SAMPLES)

    def wrap(
        self, X: Any, y: Any, engine: str, dtype: Any = np.float64,
        kind: str | None = None, bar: float | None = None,
    ) -> Regression:  # fmt: skip
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        X, y = np.asarray(X).astype(dtype), np.asarray(y).astype(dtype)
        whole, targets = np.array(X, np.float64), np.array(y, np.float64)
        kind = self.kind if kind is None else kind
        bar = self._bar if bar is None else bar
        if dtype == np.float32:
            X, y = jnp.asarray(X), jnp.asarray(y)
        term = "l1" if kind == "elastic" else kind.removesuffix("-function")
        ridge = {"elastic": bar * (1 - RATIO) / RATIO, "ridge": bar}.get(kind, 0.0)
        problem = self._written(kind, X, y, bar)
        gap = not kind.endswith("-function") and term != "free"
        return Regression(problem, whole, targets, bar, ridge, gap, term)

    @property
    def _bar(self) -> float:
        return self.bar if self.term in ("l1", "differentiable") else SIZE

    def _written(self, kind: str, X: Any, y: Any, bar: float) -> Any:
        if kind == "elastic":
            penalty = rs.functions.ElasticNet(bar / RATIO, RATIO)
            return rs.GeneralizedLinear(X, y, penalty=penalty)
        second = terms.function(kind.removesuffix("-function"), bar)
        if kind.endswith("-function"):
            return rs.Composite(squares, second, start=X[0] * 0, args=(X, y))
        return rs.GeneralizedLinear(X, y, penalty=second)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Regression:
        return self.wrap(*self.data(seed), engine, dtype, kind)

    storages = ("dense", "sparse", "intercept", "logistic", "concave")

    def stored(self, storage: str) -> Any:
        """A problem in one of the ways in which its parts may come."""
        X, y = self.data()
        bar = rs.functions.L1(self.bar)
        if storage == "sparse":
            return rs.GeneralizedLinear(scipy.sparse.csr_matrix(X), y, penalty=bar)
        if storage == "intercept":
            return rs.GeneralizedLinear(X, y, penalty=bar, intercept=True)
        if storage == "logistic":
            return rs.GeneralizedLinear(X, np.sign(y), rs.functions.Logistic(), bar)
        if storage == "concave":
            return rs.GeneralizedLinear(X, y, penalty=rs.functions.MCP(self.bar, 3.0))
        return rs.GeneralizedLinear(X, y, penalty=bar)

    def larger(self, engine: str) -> Regression:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def effortless(self, engine: str) -> tuple[Regression, list[Any]]:
        """The first guess, zero or the nearest point of the constraint, is the answer."""
        X, y = self.data()
        bar = self._bar
        if self.term == "l1":
            bar = 1.1 * float(np.abs(X.T @ y).max()) / SAMPLES
        else:
            X, y = self.easy(X, y)
        return self.wrap(X, y, engine, bar=bar), [None, np.zeros(self.size)]

    def one_unknown(self, value: float, engine: str) -> Regression:
        X = np.full((2, 1), value)
        # Constraints are so narrow that the answer is at their end.
        bar = self.bar if self.term in ("l1", "differentiable") else 1.0 / value
        return self.wrap(X, np.array([6.0, 6.0 if self.consistent else 7.0]), engine, bar=bar)

    def scaled(self, index: int, engine: str) -> tuple[Regression, Regression, float]:
        """A problem, the same in another unit of y and x, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        X, y = self.data()
        plain = self.wrap(X, y, engine)
        return plain, self.wrap(X, factor * y, engine, bar=factor * self._bar), 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Regression, Regression, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        X, y = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(X, y, engine, dtype)
        return plain, self.wrap(X[:, order], y, engine, dtype), lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, X: Any, y: Any) -> Any:
        """A problem of JAX values."""
        return self._written(self.kind, X, y, self._bar)

    def easy(self, X: Any, y: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        if self.returns_guesses:
            return X, 0 * y
        # Every sample sees one unknown, and all unknowns are alike.
        X = 0 * X
        xp = np if isinstance(X, np.ndarray) else jnp
        X = X + xp.eye(*X.shape, dtype=X.dtype)
        return X, X.sum(axis=1)

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        X, y = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.3 * rng.standard_normal(X.shape), rng.standard_normal(y.size)
        weights = rng.standard_normal(self.size)
        truth = rng.standard_normal(self.size)

        def parts(t: Any) -> tuple[Any, Any]:
            if self.consistent:
                return X + t * bump, (X + t * bump) @ (truth + t * weights)
            return X + t * bump, y + t * slope

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "traced").solution)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
