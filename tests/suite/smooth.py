"""The house of smooth problems: logistic regressions with a ridge, solved in NumPy."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from suite.vectors import Vectors, VectorSample

import resolvent as rs

SAMPLES = 12
RIDGE = 0.05


def logistic(x: Any, args: Any) -> Any:
    """The mean logistic loss of margins y X x, plus a ridge, times a weight."""
    X, y, ridge, weight = args
    loss = jnp.logaddexp(0.0, -y * (X @ x)).sum() / y.size
    return weight * (loss + 0.5 * ridge * (x * x).sum())


@dataclasses.dataclass(frozen=True)
class Fit(VectorSample):
    """One regression, its data in double precision, its answer."""

    problem: Any
    X: np.ndarray
    y: np.ndarray
    ridge: float
    weight: float
    gap: bool
    """Whether the certificate is the optimality gap."""

    def _slopes(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian."""
        n = self.y.size
        share = 1 / (1 + np.exp(self.y * (self.X @ w)))
        gradient = -self.X.T @ (self.y * share) / n + self.ridge * w
        curve = (self.y**2 * share * (1 - share))[:, None] * self.X
        return self.weight * gradient, self.weight * (
            self.X.T @ curve / n + self.ridge * np.eye(w.size)
        )

    @functools.cached_property
    def solution(self) -> np.ndarray:
        w = np.zeros(self.X.shape[1])
        for _ in range(100):
            g, H = self._slopes(w)
            # The ridge keeps full steps of Newton's method short enough for these data.
            w = w - np.linalg.solve(H, g)
        return w

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, as `solve` takes it as a first guess."""
        return self.solution

    def _measured(self, size: float) -> float:
        return size * size / (2 * self.weight * self.ridge) if self.gap else size

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        return self.measure(np.zeros(self.X.shape[1])) or 1.0

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(part) for part in self.problem.args[:2]]

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        return self._measured(float(np.linalg.norm(self._slopes(np.asarray(x, np.float64))[0])))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        unit = float(np.finfo(dtype).eps) * self.weight * np.linalg.norm(self.X.T @ self.y)
        sizes = 20 * unit / self.y.size
        # A gap is a square: a gradient that is off by so much changes it by the product, too.
        root = np.sqrt(2 * self.weight * self.ridge * self.scale) if self.gap else 0.0
        return float(self._measured(sizes) + (sizes * root / (self.weight * self.ridge)))

    def error(self, x: Any) -> float:
        """Relative distance to the answer, squared where a gap is: it hides that much."""
        away = float(np.linalg.norm(np.asarray(x, np.float64) - self.solution))
        size = float(np.linalg.norm(self.solution))
        return (away / size) ** 2 if self.gap else away / size

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        strong, size = self.weight * self.ridge, float(np.linalg.norm(self.solution))
        return 2 * value / strong / size**2 if self.gap else value / strong / size


@dataclasses.dataclass(frozen=True)
class Smooths(Vectors):
    """Logistic regressions of few unknowns, with and without a known constant."""

    size = 4
    chief = "TrustRegion"
    dtypes = (np.float64, np.float32)
    alike = True
    scalings = 3
    tight = 1e-9
    floor = 1e-12
    finest = 1e-12
    sharpest = 1e-12
    endless = False
    exact = True
    returns_guesses = True
    slow = True
    storages = ()

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        return ["plain", "strong"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """Samples and labels, not all of them of size 1, in double precision."""
        rng = np.random.default_rng([seed, 93])
        X = rng.standard_normal((SAMPLES, self.size if n is None else n))
        return X, X[:, 0] - X[:, 1] + rng.standard_normal(SAMPLES)

    def wrap(
        self, X: Any, y: Any, engine: str, dtype: Any = np.float64, kind: str | None = None,
        ridge: float = RIDGE, weight: float = 1.0,
    ) -> Fit:  # fmt: skip
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        X, y = np.asarray(X).astype(dtype), np.asarray(y).astype(dtype)
        whole, targets = np.array(X, np.float64), np.array(y, np.float64)
        if dtype == np.float32:
            X, y = jnp.asarray(X), jnp.asarray(y)
        problem = self._written(X, y, ridge, weight, kind == "strong")
        return Fit(problem, whole, targets, ridge, weight, kind == "strong")

    def _written(self, X: Any, y: Any, ridge: float, weight: float, strong: bool) -> Any:
        known = {"strong": ridge * weight} if strong else {}
        return rs.Minimize(logistic, (X, y, ridge, weight), x0=X[0] * 0, **known)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Fit:
        return self.wrap(*self.data(seed), engine, dtype, kind)

    def larger(self, engine: str) -> Fit:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def effortless(self, engine: str) -> tuple[Fit, list[Any]]:
        """Without labels the ridge alone is left, and zero is the answer."""
        return self.wrap(*self.easy(*self.data()), engine), [None, np.zeros(self.size)]

    def one_unknown(self, value: float, engine: str) -> Fit:
        # In the unit that the data have, so that the ridge is as strong against each of them.
        X = value * np.array([[1.0], [-0.5], [0.3]])
        return self.wrap(X, np.array([1.0, 1.0, -2.0]), engine, ridge=RIDGE * value**2)

    def scaled(self, index: int, engine: str) -> tuple[Fit, Fit, float]:
        """A problem, the same in another unit of f or of x, and what brings its views back."""
        X, y = self.data()
        plain = self.wrap(X, y, engine)
        if index == 2:
            return plain, self.wrap(X, y, engine, weight=2.0**-14), 1.0
        factor = (2.0**-8, 2.0**12)[index]
        changed = self.wrap(X / factor, y, engine, ridge=RIDGE / factor**2)
        return plain, changed, 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Fit, Fit, Any]:
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
        return self._written(X, y, RIDGE, 1.0, False)

    def easy(self, X: Any, y: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return X, 0 * y

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        X, y = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.3 * rng.standard_normal(X.shape), rng.standard_normal(y.size)
        weights = rng.standard_normal(self.size)

        def parts(t: Any) -> tuple[Any, Any]:
            return X + t * bump, y + t * slope

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "traced").solution)

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
