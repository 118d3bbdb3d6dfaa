"""The house of fixed points, with a referee who iterates in NumPy."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from suite.vectors import Vectors

import resolvent as rs

SPLIT = 3  # entries of the first part of a tree
SMALL = 0.4  # the factor of the contraction of one unknown


def layer(x: Any, args: Any) -> Any:
    """A contraction. Its two large terms cancel, and leave enough rounding that hardly a point is
    fixed to the last bit."""
    matrix, large, offset, unit = args
    return unit * jnp.tanh((matrix + large) @ (x / unit) - large @ (x / unit) + offset)


def numpy_layer(x: Any, args: Any) -> Any:
    """The same for NumPy arrays alone."""
    matrix, large, offset, unit = args
    y = np.array(x) / unit
    return unit * np.tanh((matrix + large) @ y - large @ y + offset)


def branches(x: Any, args: Any) -> Any:
    """The same for an unknown in two parts."""
    image = layer(jnp.concatenate([x[0], x[1].ravel()]), args)
    return image[:SPLIT], image[SPLIT:].reshape(x[1].shape)


def numpy_branches(x: Any, args: Any) -> Any:
    image = numpy_layer(np.concatenate([np.array(x[0]), np.array(x[1]).ravel()]), args)
    return image[:SPLIT], image[SPLIT:].reshape(x[1].shape)


def slope(x: Any, args: Any) -> Any:
    return SMALL * x + args


def numpy_slope(x: Any, args: Any) -> Any:
    return SMALL * np.array(x) + args


@dataclasses.dataclass(frozen=True)
class Fixed:
    """One contraction, its data in double precision, and its fixed point."""

    problem: Any
    matrix: np.ndarray
    offset: np.ndarray
    large: np.ndarray
    unit: float = 1.0
    tree: bool = False

    @functools.cached_property
    def solution(self) -> np.ndarray:
        x = np.zeros(self.offset.size)
        for _ in range(200):
            x = self._map(x)
        return x

    @property
    def answer(self) -> Any:
        return self._as_tree(self.solution)

    @property
    def scale(self) -> float:
        return self.unit

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [
            np.array(leaf)
            for leaf in jax.tree_util.tree_leaves((self.problem.first, self.problem.args))
        ]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays whose kind, precision and shape the parts of `x` share."""
        return tuple(jax.tree_util.tree_leaves(self.problem.first))

    def view(self, x: Any) -> np.ndarray:
        parts = [np.asarray(part, np.float64).ravel() for part in jax.tree_util.tree_leaves(x)]
        return np.concatenate(parts)

    def measure(self, x: Any) -> float:
        """What the certificate should be, in double precision."""
        x = self.view(x)
        return self._bound(float(np.linalg.norm(self._map(x) - x)))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to it."""
        size = np.linalg.norm(self.large, 2) + 10
        return self._bound(float(10 * np.finfo(dtype).eps * size * self.unit * self.offset.size))

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        return float(np.linalg.norm(self.view(x) - self.solution) / np.linalg.norm(self.solution))

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        value = value if self.tree else value / (1 - np.linalg.norm(self.matrix, 2))
        return float(value / np.linalg.norm(self.solution))

    def _map(self, x: np.ndarray) -> np.ndarray:
        return self.unit * np.tanh(self.matrix @ (x / self.unit) + self.offset)

    def _bound(self, residual: float) -> float:
        """The contraction is told with the tree."""
        return residual / (1 - self.problem.contraction) if self.tree else residual

    def _as_tree(self, x: np.ndarray) -> Any:
        return (x[:SPLIT], x[SPLIT:].reshape(-1, 1)) if self.tree else x


@dataclasses.dataclass(frozen=True)
class Line(Fixed):
    """An affine contraction of one unknown."""

    @functools.cached_property
    def solution(self) -> np.ndarray:
        return self.offset / (1 - SMALL)


class FixedPoints(Vectors):
    """Layers of few units: all iterations of the family converge."""

    size = 8
    dtypes = (np.float64, np.float32)
    tight = 1e-9  # a relative tolerance that double precision carries
    floor = 1e-12  # what is reached where the tolerance cannot be met
    alike = True  # the kinds are ways to write such a problem, and no other numbers
    exact = True  # NumPy's sums may leave a point where it is, to the bit
    returns_guesses = True
    engines_step_alike = True
    endless = True  # anchored iterations are given long before they count as stalled
    scalings = 2
    storages = ("array", "tree")

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """One array, and two of which a contraction is known."""
        return ["array", "tree"]

    def data(self, seed: int = 0, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Weights and offsets in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 31])
        matrix = rng.standard_normal((n, n))
        return 0.6 * matrix / np.linalg.norm(matrix, 2), rng.standard_normal(n)

    def large(self, n: int) -> np.ndarray:
        """What cancels."""
        return 10 * np.random.default_rng(32).standard_normal((n, n))

    def wrap(
        self,
        matrix: np.ndarray,
        offset: np.ndarray,
        engine: str,
        dtype: Any = np.float64,
        large: Any = None,
        unit: float = 1.0,
        tree: bool = False,
    ) -> Fixed:
        """A problem that `engine` runs: a map for NumPy on the host, NumPy or JAX arrays traced."""
        n = offset.size
        large = self.large(n) if large is None else large
        matrix, offset, large = (part.astype(dtype) for part in (matrix, offset, large))
        kind = jnp.asarray if engine == "traced" and dtype == np.float32 else np.asarray
        args = (kind(matrix), kind(large), kind(offset), unit)
        start: Any = np.zeros(n, dtype)
        if tree:
            start = (start[:SPLIT], start[SPLIT:].reshape(-1, 1))
        start = jax.tree_util.tree_map(kind, start)
        fn = branches if tree else layer
        if engine == "host":
            fn = numpy_branches if tree else numpy_layer
        contraction = 0.65 if tree else None
        problem = rs.FixedPoint(fn, start, args, unit=unit, contraction=contraction)
        double = (np.asarray(part, np.float64) for part in (matrix, offset, large))
        return Fixed(problem, *double, unit, tree)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "array", seed: int = 0
    ) -> Fixed:
        return self.wrap(*self.data(seed), engine, dtype, tree=kind == "tree")

    def stored(self, storage: str) -> Any:
        return self.sample("host", kind=storage).problem

    def larger(self, engine: str) -> Fixed:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        return [*super().bad_guesses(), ((np.ones(self.size),) * 2, ValueError)]

    def effortless(self, engine: str) -> tuple[Fixed, list[Any]]:
        """Without offsets zero is a fixed point, which everything starts at."""
        matrix, offset = self.data()
        return self.wrap(matrix, 0 * offset, engine), [None, np.zeros(offset.size)]

    def one_unknown(self, value: float, engine: str) -> Fixed:
        fn = numpy_slope if engine == "host" else slope
        problem = rs.FixedPoint(fn, np.zeros(1), np.array([value]), unit=value)
        zero = np.zeros((1, 1))
        return Line(problem, zero + SMALL, np.array([value]), zero, value)

    def scaled(self, index: int, engine: str) -> tuple[Fixed, Fixed, float]:
        """A problem, the same in another unit, and what brings views of the latter back."""
        unit = [2.0**-20, 2.0**12][index]
        data = self.data()
        return self.wrap(*data, engine), self.wrap(*data, engine, unit=unit), 1 / unit

    def permuted(self, engine: str, dtype: Any) -> tuple[Fixed, Fixed, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        matrix, offset = self.data()
        order = np.random.default_rng(3).permutation(offset.size)
        square = np.ix_(order, order)
        large = self.large(offset.size)
        plain = self.wrap(matrix, offset, engine, dtype)
        mixed = self.wrap(matrix[square], offset[order], engine, dtype, large[square])
        return plain, mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, matrix: Any, offset: Any) -> Any:
        """A problem of JAX values."""
        large = jnp.asarray(self.large(self.size), matrix.dtype)
        return rs.FixedPoint(
            layer, jnp.zeros(self.size, matrix.dtype), (matrix, large, offset, 1.0)
        )

    def easy(self, matrix: Any, offset: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return matrix, 0 * offset

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        matrix, offset = self.data()
        rng = np.random.default_rng(8)
        bump, drift = 0.1 * rng.standard_normal(matrix.shape), rng.standard_normal(offset.size)
        weights = rng.standard_normal(offset.size)

        def parts(t: Any) -> tuple[Any, Any]:
            return matrix + t * bump, offset + t * drift

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "host").solution)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
