"""The house of problems with bounds alone, with a referee who projects gradients in NumPy."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from suite.vectors import Vectors, VectorSample

import resolvent as rs


def stiffening(x: Any, args: Any) -> Any:
    """Half a squared distance to b in a metric, and a fourth power that grows with it."""
    Q, b, r = args
    away = x - b
    return 0.5 * (away @ (Q @ away)) + 0.25 * ((away / r) ** 2 * away**2).sum()


@dataclasses.dataclass(frozen=True)
class Nearby(VectorSample):
    """The nearest point of a box, in a metric that is no square."""

    problem: Any
    Q: np.ndarray
    b: np.ndarray
    r: float

    def slope(self, x: np.ndarray) -> np.ndarray:
        """The gradient."""
        away = x - self.b
        return self.Q @ away + away**3 / self.r**2

    def most(self) -> float:
        """A bound of the curvature where x is in the box."""
        far = (np.abs(self.b).max() + self.r) / self.r
        return float(np.linalg.norm(self.Q, 2) + 3 * far**2)

    @functools.cached_property
    def answer(self) -> np.ndarray:
        """Projected gradients, until they rest."""
        x, step = np.clip(self.b, -self.r, self.r), 1 / self.most()
        for _ in range(3000):
            x = np.clip(x - step * self.slope(x), -self.r, self.r)
        return x

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        return self.r

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        x = np.asarray(x, np.float64)
        g = self.slope(x)
        plain = x - np.clip(x - g, -self.r, self.r)
        lengths = np.maximum(np.abs(x), 1)
        step = np.where(2 * self.r < lengths, 2 * self.r, lengths) / self.r
        moved = x - np.clip(x - step * g, -self.r, self.r)
        value = np.abs(g * moved).sum() / max(np.linalg.norm(x), 1)
        return float(max(np.linalg.norm(plain), np.linalg.norm(moved / step), value))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        size = self.most() * (self.r + np.linalg.norm(self.b))
        return float(20 * np.finfo(dtype).eps * size)

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        least = np.linalg.eigvalsh(self.Q)[0]
        return float((1 + self.most()) / least * value / np.linalg.norm(self.answer))


@dataclasses.dataclass(frozen=True)
class Boxes(Vectors):
    """Nearest points of boxes, some of whose bounds hold."""

    size = 4
    chief = "L1SQP"
    dtypes = (np.float64, np.float32)
    exact = True
    returns_guesses = True
    slow = True
    scalings = 2
    tight = 1e-9
    floor = 1e-12
    finest = 1e-12
    sharpest = 1e-12
    endless = False
    storages = ()

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        return ["box"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """The metric, the point and half the width of the box, in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 82])
        A = rng.standard_normal((n, n))
        return np.eye(n) + A @ A.T / n, 2 * rng.standard_normal(n), np.array(1.5)

    def wrap(
        self, Q: Any, b: Any, r: Any, engine: str, dtype: Any = np.float64, kind: str = "box"
    ) -> Nearby:
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        parts = [np.asarray(part).astype(dtype) for part in (Q, b, r)]
        whole = [np.array(part, np.float64) for part in parts]
        if dtype == np.float32:
            parts = [jnp.asarray(part) for part in parts]
        return Nearby(self.traced(*parts), whole[0], whole[1], float(whole[2]))

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Nearby:
        return self.wrap(*self.data(seed), engine, dtype)

    def larger(self, engine: str) -> Nearby:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def one_unknown(self, value: float, engine: str) -> Nearby:
        """The answer is `value`."""
        return self.wrap(np.ones((1, 1)), np.array([2 * value]), np.array(value), engine)

    def scaled(self, index: int, engine: str) -> tuple[Nearby, Nearby, float]:
        """A problem, the same in another unit of x, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        Q, b, r = self.data()
        return self.wrap(Q, b, r, engine), self.wrap(Q, factor * b, factor * r, engine), 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Nearby, Nearby, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        Q, b, r = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(Q, b, r, engine, dtype)
        other = self.wrap(Q[np.ix_(order, order)], b[order], r, engine, dtype)
        return plain, other, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, Q: Any, b: Any, r: Any) -> Any:
        """A problem of such values, begun in the middle of the box."""
        xp = np if isinstance(b, np.ndarray) else jnp
        bound = r * xp.ones_like(b)
        return rs.ConstrainedProblem(
            stiffening, bounds=(-bound, bound), args=(Q, b, r), x0=0 * b, unit=r
        )

    def easy(self, Q: Any, b: Any, r: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return Q, 0 * b, r

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        Q, b, r = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.3 * np.diag(rng.uniform(size=b.size)), rng.standard_normal(b.size)
        weights = rng.standard_normal(b.size)

        def parts(t: Any) -> tuple[Any, Any, Any]:
            return Q + t * bump, b + t * slope, r + t

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "traced").answer)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
