"""The house of constrained problems, with a referee who runs Newton's method in NumPy."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from suite.boxes import Boxes
from suite.vectors import Vectors, VectorSample

import resolvent as rs


def distance(x: Any, args: Any) -> Any:
    """Half the squared distance to b."""
    away = x - args[1]
    return 0.5 * (away * away).sum()


def surface(x: Any, args: Any) -> Any:
    """An ellipsoid of size r, and for several unknowns the plane through its center."""
    W, _, r = args
    around = 0.5 * ((W * x * x).sum() / r - r)
    return around if x.size == 1 else (around, x.sum())


@dataclasses.dataclass(frozen=True)
class Nearest(VectorSample):
    """The nearest point of an ellipsoid in a plane."""

    problem: Any
    W: np.ndarray
    b: np.ndarray
    r: float

    def parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Equations and their Jacobian."""
        c, G = [0.5 * (self.W @ x**2 / self.r - self.r)], [self.W * x / self.r]
        if x.size > 1:
            c.append(x.sum())
            G.append(np.ones_like(x))
        return np.array(c), np.array(G)

    @functools.cached_property
    def answer(self) -> np.ndarray:
        """Newton's method from the start, damped until it converges."""
        x, n = self.b.copy(), self.b.size
        for k in range(200):
            c, G = self.parts(x)
            y = np.linalg.lstsq(G.T, self.b - x, rcond=None)[0]
            H = np.eye(n) + np.diag(y[0] * self.W / self.r)
            K = np.block([[H, G.T], [G, np.zeros((c.size, c.size))]])
            move = np.linalg.solve(K, -np.r_[x - self.b + y @ G, c])[:n]
            x = x + (0.5 if k < 100 else 1.0) * move
        return x

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        return self.r

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        x = np.asarray(x, np.float64)
        c, G = self.parts(x)
        y = np.linalg.lstsq(G.T, self.b - x, rcond=None)[0]
        value = np.abs(y * c).sum() / max(np.linalg.norm(x), 1)
        return float(max(np.linalg.norm(np.r_[x - self.b + y @ G, c]), value))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        size = self.r + np.linalg.norm(self.b) * (1 + self.W.max())
        return float(20 * np.finfo(dtype).eps * size)

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        x = self.answer
        c, G = self.parts(x)
        y = np.linalg.lstsq(G.T, self.b - x, rcond=None)[0]
        H = np.eye(x.size) + np.diag(y[0] * self.W / self.r)
        K = np.block([[H, G.T], [G, np.zeros((c.size, c.size))]])
        return float(2 * value * np.linalg.norm(np.linalg.inv(K), 2) / np.linalg.norm(x))


@dataclasses.dataclass(frozen=True)
class Ellipsoids(Vectors):
    """Projections on ellipsoids in planes."""

    size = 4
    chief = "L1SQP"
    dtypes = (np.float64, np.float32)
    exact = True
    returns_guesses = True
    engines_step_alike = True
    scalings = 2
    tight = 1e-9
    floor = 1e-12
    finest = 1e-12
    sharpest = 1e-12
    endless = False
    storages = ()

    def suited(self, cls: Any) -> Any:
        """Problems that the method solves."""
        return Boxes() if "bounds_alone" in cls.needs else self

    def method(self, cls: type) -> Any:
        """A method; projections on several rows, because those on one take long, and directions
        whose derivative is that of the steps."""
        if cls is rs.constrained.SketchedNewton:
            return cls(block=4)
        return cls(solver="exact") if cls is rs.constrained.L1SQP else cls()

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        return ["surface"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """The ellipsoid's axes, the point and the size, in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 81])
        b = 2 * rng.standard_normal(n)
        return np.linspace(1.0, 2.0, n), b, np.array(1.5)

    def wrap(
        self, W: Any, b: Any, r: Any, engine: str, dtype: Any = np.float64, kind: str = "surface"
    ) -> Nearest:
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        parts = [np.asarray(part).astype(dtype) for part in (W, b, r)]
        whole = [np.array(part, np.float64) for part in parts]
        if dtype == np.float32:
            parts = [jnp.asarray(part) for part in parts]
        return Nearest(self.traced(*parts), whole[0], whole[1], float(whole[2]))

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Nearest:
        return self.wrap(*self.data(seed), engine, dtype)

    def larger(self, engine: str) -> Nearest:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def one_unknown(self, value: float, engine: str) -> Nearest:
        """The answer is `value`."""
        return self.wrap(np.ones(1), np.array([2 * value]), np.array(value), engine)

    def scaled(self, index: int, engine: str) -> tuple[Nearest, Nearest, float]:
        """A problem, the same in another unit of x, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        W, b, r = self.data()
        return self.wrap(W, b, r, engine), self.wrap(W, factor * b, factor * r, engine), 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Nearest, Nearest, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        W, b, r = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(W, b, r, engine, dtype)
        return plain, self.wrap(W[order], b[order], r, engine, dtype), lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, W: Any, b: Any, r: Any) -> Any:
        """A problem of such values."""
        return rs.ConstrainedProblem(distance, surface, args=(W, b, r), x0=b, unit=r)

    def easy(self, W: Any, b: Any, r: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        xp = np if isinstance(b, np.ndarray) else jnp
        inside = xp.asarray(np.r_[1.0, -1.0, np.zeros(b.size - 2)], b.dtype)
        return W, r * inside / xp.sqrt((W * inside**2).sum()), r

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        W, b, r = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.3 * rng.uniform(size=W.size), rng.standard_normal(b.size)
        weights = rng.standard_normal(b.size)

        def parts(t: Any) -> tuple[Any, Any, Any]:
            return W + t * bump, b + t * slope, r + t

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "traced").answer)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
