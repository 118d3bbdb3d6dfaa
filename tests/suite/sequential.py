"""The house of sequential computations, with a referee who goes through their stages in NumPy."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import resolvent as rs


def cell(y: Any, x: Any, args: Any) -> Any:
    """A recurrent cell whose values are of the size of `unit`."""
    W, unit = args
    return unit * jnp.tanh((W @ y + x) / unit)


def sweep(s: Any, args: Any) -> Any:
    """The same cell as a system: stage t sees all stages before it, the nearest ones most."""
    W, X, first, unit = args
    length = X.shape[0]
    weights = jnp.tril(0.5 ** jnp.maximum(_distances(length), 0.0), -1).astype(s.dtype)
    return unit * jnp.tanh((weights @ s @ W.T + X + first) / unit)


def stage(t: Any, s: Any, args: Any) -> Any:
    W, X, first, unit = args
    numbers = jnp.arange(X.shape[0])
    weights = jnp.where(numbers < t, 0.5 ** jnp.maximum(t - numbers, 0), 0.0).astype(s.dtype)
    return unit * jnp.tanh((W @ (weights @ s) + X[t] + first) / unit)


def _distances(length: int) -> Any:
    numbers = jnp.arange(length)
    return (numbers[:, None] - numbers).astype(float)


@dataclasses.dataclass(frozen=True)
class Stages:
    """One computation, its data in double precision, and its answer."""

    problem: Any
    W: np.ndarray
    X: np.ndarray
    first: np.ndarray
    unit: float
    triangular: bool

    @functools.cached_property
    def answer(self) -> np.ndarray:
        """The stages, one after another."""
        s = np.zeros_like(self.X)
        for t in range(len(self.X)):
            s[t] = self._stage(t, s)
        return s

    @property
    def scale(self) -> float:
        return self.unit

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        leaves = jax.tree_util.tree_leaves(self.problem)
        return [np.array(leaf) for leaf in leaves if hasattr(leaf, "shape")]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays whose kind, precision and shape the parts of `x` share."""
        return (self.problem.start(None),)

    def view(self, x: Any) -> np.ndarray:
        """All stages."""
        return np.asarray(x, np.float64)

    def measure(self, x: Any) -> float:
        """The largest defect in double precision."""
        x = np.asarray(x, np.float64)
        return max(float(np.linalg.norm(self._stage(t, x) - x[t])) for t in range(len(x)))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to a defect that is computed in `dtype`."""
        size = np.abs(self.answer).max() + np.abs(self.X).max() + np.abs(self.first).max()
        width = (1 + np.abs(self.W).sum(1).max()) * np.sqrt(self.first.size)
        return float(10 * np.finfo(dtype).eps * size * width)

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        distance = np.linalg.norm(np.asarray(x, np.float64) - self.answer)
        return float(distance / np.linalg.norm(self.answer))

    def allowed(self, value: float) -> float:
        """The error that defects of `value` can hide: the map contracts by |W|."""
        factor = np.linalg.norm(self.W, 2)
        worst = value / (1 - factor) * np.sqrt(len(self.X))
        return float(worst / np.linalg.norm(self.answer))

    def _stage(self, t: int, s: np.ndarray) -> np.ndarray:
        if self.triangular:
            before = 0.5 ** (t - np.arange(t)) @ s[:t]
            drive = self.X[t] + self.first
        else:
            before = s[t - 1] if t else self.first
            drive = self.X[t]
        return self.unit * np.tanh((self.W @ before + drive) / self.unit)


class Sequential:
    """Recurrences that contract, and systems in which every stage sees all before it."""

    length, size = 18, 3
    dtypes = (np.float64, np.float32)
    tight = 1e-9  # a relative tolerance that double precision carries
    floor = 1e-12  # what is reached where the tolerance cannot be met
    exact = True  # a method may reach a defect of exactly zero
    returns_guesses = True
    engines_step_alike = True
    scalings = 2
    storages = ()

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """Recurrences, and systems that are none."""
        methods: Any = cls
        general = rs.fixed_point.SequentialSystem in methods.solves
        return ["recurrence", "triangular"] if general else ["recurrence"]

    def data(self, seed: int = 0, length: int | None = None) -> Any:
        """Weights, inputs and the first state in double precision."""
        length = self.length if length is None else length
        rng = np.random.default_rng([seed, 41])
        W = rng.standard_normal((self.size, self.size))
        W = 0.7 * W / np.linalg.norm(W, 2)
        return W, rng.standard_normal((length, self.size)), rng.standard_normal(self.size)

    def wrap(
        self, W: Any, X: Any, first: Any, dtype: Any = np.float64, unit: float = 1.0,
        triangular: bool = False,
    ) -> Stages:  # fmt: skip
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        W, X, first = (np.asarray(part).astype(dtype) for part in (W, X, first))
        whole = [np.array(part, np.float64) for part in (W, X, first)]
        size = np.asarray(unit, dtype)
        if dtype == np.float32:
            W, X, first, size = (jnp.asarray(part) for part in (W, X, first, size))
        if triangular:
            problem = rs.fixed_point.SequentialSystem(
                sweep, 0 * X, (W, X, first, size), stage=stage, unit=unit
            )
        else:
            problem = rs.fixed_point.Recurrence(cell, X, first, (W, size), unit=unit)
        return Stages(problem, *whole, unit, triangular)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "recurrence", seed: int = 0
    ) -> Stages:
        return self.wrap(*self.data(seed), dtype, triangular=kind == "triangular")

    def larger(self, engine: str) -> Stages:
        """A problem of another size."""
        return self.wrap(*self.data(length=self.length + 3))

    def parts(self, x: Any) -> tuple[Any, ...]:
        """The arrays that an answer consists of."""
        return (x,)

    def view(self, x: Any) -> Any:
        """What of an answer, or of a batch of them, its problem determines."""
        return np.asarray(x)

    def guess(self) -> Any:
        """A first guess that is far from the answer."""
        return np.linspace(-2.0, 2.0, self.length * self.size).reshape(self.length, self.size)

    def integer_guess(self) -> Any:
        return np.arange(self.length * self.size).reshape(self.length, self.size) % 3

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        shape = self.length, self.size
        spoiled = np.ones(shape)
        spoiled[-1, 0] = np.inf
        return [
            (np.full(shape, np.nan), ValueError),
            (spoiled, ValueError),
            (np.ones((self.length - 1, self.size)), ValueError),
            (np.ones(self.length), ValueError),
            (1.0, ValueError),
            ((np.ones(shape),), ValueError),
            (np.ones((0, self.size)), ValueError),
            (np.ones(shape, complex), TypeError),
            ("zero", TypeError),
            (np.ones(shape, np.float16), TypeError),
        ]

    def effortless(self, engine: str) -> tuple[Stages, list[Any]]:
        """Inputs that keep the first state where it is."""
        W, X, first = self.data()
        first = np.tanh(first)
        X = np.arctanh(first) - W @ first + 0 * X
        sample = self.wrap(W, X, first)
        return sample, [None, np.broadcast_to(first, X.shape)]

    def one_unknown(self, value: float, engine: str) -> Stages:
        W, X = np.array([[0.5]]), np.array([[value]])
        return self.wrap(W, X, np.array([-value]), unit=value)

    def scaled(self, index: int, engine: str) -> tuple[Stages, Stages, float]:
        """A problem, the same in another unit, and what brings views back."""
        factor = [2.0**-20, 2.0**12][index]
        W, X, first = self.data()
        scaled = self.wrap(W, factor * X, factor * first, unit=factor)
        return self.wrap(W, X, first), scaled, 1.0 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Stages, Stages, Any]:
        """A problem, the same with the entries of its state in another order."""
        W, X, first = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(W, X, first, dtype)
        mixed = self.wrap(W[np.ix_(order, order)], X[:, order], first[order], dtype)
        return plain, mixed, lambda view: view[:, order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, W: Any, X: Any, first: Any) -> Any:
        """A problem of JAX values."""
        unit = jnp.ones((), X.dtype)
        return rs.fixed_point.Recurrence(cell, X, first, (W, unit))

    def easy(self, W: Any, X: Any, first: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return W, 0 * X, 0 * first

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        W, X, first = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.1 * rng.standard_normal(W.shape), rng.standard_normal(X.shape)
        drift, weights = rng.standard_normal(first.shape), rng.standard_normal(X.shape)

        def parts(t: Any) -> tuple[Any, Any, Any]:
            return W + t * bump, X + t * slope, first + t * drift

        def reference(t: float) -> float:
            return float((weights * self.wrap(*parts(t)).answer).sum())

        def readout(x: Any) -> Any:
            return (jnp.asarray(weights) * x).sum()

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
