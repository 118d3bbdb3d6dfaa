"""The house of quadratic programs, with a referee who tries every set of active bounds."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from suite.vectors import Vectors, VectorSample

import resolvent as rs


@dataclasses.dataclass(frozen=True)
class Program(VectorSample):
    """One program between bounds of x, its data in double precision, and its answer."""

    problem: Any
    P: np.ndarray
    q: np.ndarray
    low: np.ndarray
    high: np.ndarray

    scale = 1.0

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The one point that some choice of active bounds makes optimal."""
        best, found = np.inf, self.low
        for sides in itertools.product((-1, 0, 1), repeat=self.q.size):
            sides = np.array(sides)
            free = sides == 0
            x = np.where(sides < 0, self.low, self.high)
            right = -self.q[free] - self.P[np.ix_(free, ~free)] @ x[~free]
            x[free] = np.linalg.solve(self.P[np.ix_(free, free)], right)
            slope = self.P @ x + self.q
            wrong = np.maximum(self.low - x, x - self.high).max()
            wrong = max(wrong, np.where(free, np.abs(slope), sides * slope).max())
            if wrong < best:
                best, found = wrong, x
        return np.clip(found, self.low, self.high)

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, as `solve` takes it as a first guess."""
        return self.solution

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        problem = self.problem
        return [np.array(part) for part in (problem.P.matrix, problem.q, problem.lower)]

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        x = np.asarray(x, np.float64)
        bent = self.P @ x
        force = -(bent + self.q)
        far = 1 / np.abs(self.P).max()
        near = np.where(force < 0, x - self.low, self.high - x) < far * np.abs(force)
        z = np.where(near, force, 0)
        top = np.abs(self.q).max()
        length = max(np.abs(x).max(), far * top)
        primal = max(np.maximum(self.low - x, x - self.high).max(), 0) / length
        dual = np.abs(force - z).max() / max(np.abs(bent).max(), top, np.abs(z).max())
        bounds = np.where(z > 0, self.high, self.low)
        terms = x @ bent, self.q @ x, float(np.sum(z * bounds))
        gap = abs(sum(terms)) / max(*map(abs, terms), top * length)
        return float(max(primal, dual, gap))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        return float(20 * np.finfo(dtype).eps)

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        away = float(np.linalg.norm(np.asarray(x, np.float64) - self.solution))
        return away / float(np.linalg.norm(self.solution))

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        eigenvalues = np.linalg.eigvalsh(self.P)
        return 10 * float(eigenvalues[-1] / eigenvalues[0]) * value


@dataclasses.dataclass(frozen=True)
class Programs(Vectors):
    """Programs of few unknowns between bounds, some of which are active."""

    size = 5
    chief = "ActiveSet"
    dtypes = (np.float64, np.float32)
    alike = True
    exact = True
    returns_guesses = True
    scalings = 1
    tight = 1e-9
    floor = 1e-12
    finest = 1e-13
    endless = False
    engines_step_alike = False

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        return ["box"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """P, q and the bounds in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 91])
        M = rng.standard_normal((n, n))
        return M @ M.T / n + 0.1 * np.eye(n), rng.standard_normal(n), -0.5 * np.ones(n), np.ones(n)

    def wrap(
        self, P: Any, q: Any, low: Any, high: Any, engine: str, dtype: Any = np.float64
    ) -> Program:  # fmt: skip
        """A problem of NumPy arrays for the host, of JAX arrays for the traced engine."""
        whole = [np.array(part, np.float64) for part in (P, q, low, high)]
        given: list[Any] = [part.astype(dtype) for part in whole]
        whole = [np.array(part, np.float64) for part in given]
        if engine == "traced":
            with jax.enable_x64(dtype == np.float64):
                given = [jnp.asarray(part) for part in given]
        problem = rs.QuadraticProgram(*given[:2], l=given[2], u=given[3])
        return Program(problem, *whole)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Program:
        return self.wrap(*self.data(seed), engine=engine, dtype=dtype)

    storages = ("dense", "sparse", "rows")

    def stored(self, storage: str) -> Any:
        """A problem in one of the ways in which its parts may come."""
        P, q, low, high = self.data()
        if storage == "sparse":
            return rs.QuadraticProgram(
                scipy.sparse.csc_matrix(P), q, scipy.sparse.identity(q.size), low, high
            )
        if storage == "rows":
            return rs.QuadraticProgram(P, q, np.eye(q.size), low, high)
        return rs.QuadraticProgram(P, q, l=low, u=high)

    def larger(self, engine: str) -> Program:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 2), engine=engine)

    def one_unknown(self, value: float, engine: str) -> Program:
        return self.wrap([[value]], [-2 * value], [-3.0], [4.0], engine)

    def scaled(self, index: int, engine: str) -> tuple[Program, Program, float]:
        """A problem, the same in another unit of x, and what brings its views back."""
        factor = 2.0**-20
        P, q, low, high = self.data()
        plain = self.wrap(P, q, low, high, engine)
        return plain, self.wrap(P, factor * q, factor * low, factor * high, engine), 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Program, Program, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        P, q, low, high = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(P, q, low, high, engine, dtype)
        mixed = self.wrap(
            P[np.ix_(order, order)], q[order], low[order], high[order], engine, dtype
        )  # fmt: skip
        return plain, mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, P: Any, q: Any, low: Any, high: Any) -> Any:
        """A problem of JAX values."""
        return rs.QuadraticProgram(P, q, l=low, u=high)

    def easy(self, P: Any, q: Any, low: Any, high: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return P, 0 * q, low, high

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        P, q, low, high = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.1 * rng.standard_normal(P.shape), rng.standard_normal(q.size)
        weights, lift = rng.standard_normal(self.size), rng.standard_normal(self.size)

        def parts(t: Any) -> tuple[Any, ...]:
            turned = P + t * (bump + bump.T) + t * t * bump @ bump.T
            return turned, q + 0.2 * t * slope, low + 0.1 * t * lift, high + 0.1 * t * lift

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), engine="traced").solution)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
