"""The house of sums with a linear map, with a referee who descends the dual in NumPy."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from suite.vectors import Vectors, bad_vectors

import resolvent as rs

ROWS = 4  # of K


def square(x: Any, center: Any) -> Any:
    """Half of the squared distance, as a function that says nothing of itself."""
    return 0.5 * ((x - center) ** 2).sum()


def weighted(x: Any, args: Any) -> Any:
    return args[0] * square(x, args[1])


@dataclasses.dataclass(frozen=True)
class Denoised:
    """min weight ||x - b||^2 / 2 + bar ||K x||_1, its data in double precision, and its answer."""

    problem: Any
    K: np.ndarray
    b: np.ndarray
    bar: float
    gap: bool
    """Whether the certificate is the duality gap."""
    weight: float = 1.0

    @functools.cached_property
    def answer(self) -> Any:
        """x and y: descended until the bounds that y meets are known, then solved."""
        gram, pulled = self.K @ self.K.T / self.weight, self.K @ self.b
        y = np.zeros(pulled.size)
        for _ in range(3000):
            for i in range(y.size):
                u = y[i] + (pulled[i] - gram[i] @ y) / gram[i, i]
                y[i] = np.clip(u, -self.bar, self.bar)
        free = np.abs(y) < self.bar
        if free.any():
            rest = pulled[free] - gram[np.ix_(free, ~free)] @ y[~free]
            y[free] = np.linalg.solve(gram[np.ix_(free, free)], rest)
        return self.b - self.K.T @ y / self.weight, y

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        if self.gap:
            return 0.5 * self.weight * float(self.b @ self.b) or 1.0
        return self.weight * float(np.linalg.norm(self.b))

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        leaves = jax.tree_util.tree_leaves(self.problem)
        return [np.array(leaf) for leaf in leaves if hasattr(leaf, "shape")]

    @property
    def like(self) -> tuple[Any, ...]:
        return tuple(self.problem.first)

    def view(self, x: Any) -> np.ndarray:
        return np.concatenate([np.asarray(part) for part in x], axis=-1)

    def measure(self, point: Any) -> float:
        """The certificate's value in double precision."""
        x, y = (np.asarray(part, np.float64) for part in point)
        if not self.gap:
            moved = self.K @ x + y
            near = np.sign(moved) * np.maximum(np.abs(moved) - self.bar, 0)
            pulled = self.weight * (x - self.b) + self.K.T @ y
            return float(np.linalg.norm(np.r_[pulled, self.K @ x - near]))
        away = x - self.b
        primal = 0.5 * self.weight * away @ away + self.bar * np.abs(self.K @ x).sum()
        y = y * min(1.0, self.bar / max(np.abs(y).max(), 1e-300))
        pulled = self.K.T @ y
        return float(abs(primal + 0.5 * pulled @ pulled / self.weight - pulled @ self.b))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        size = 1.0 if self.gap else np.linalg.norm(self.K, 2)
        size *= self.weight * float(self.b @ self.b) + self.bar * np.abs(self.K @ self.b).sum()
        return float(20 * np.finfo(dtype).eps * size)

    def error(self, point: Any) -> float:
        """Relative distance to the answer, squared where a gap is: it hides that much."""
        truth = self.view(self.answer)
        away = float(np.linalg.norm(self.view(point) - truth) / np.linalg.norm(truth))
        return away**2 if self.gap else away

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        values = np.linalg.svd(self.K, compute_uv=False)
        most, least = values[0], values[-1]
        size = float(np.linalg.norm(self.view(self.answer)))
        if self.gap:
            return 2 * value * (1 / self.weight + self.weight / least**2) / size**2
        dual = (most + 1 + most**2) / least**2 + np.sqrt(most) / least
        return float((1 + (1 + most) * dual) * value / size)


@dataclasses.dataclass(frozen=True)
class Splits(Vectors):
    """A square and an l1 norm behind a matrix, and the same with the square as a function."""

    size = 5
    chief = "PDHG"
    dtypes = (np.float64, np.float32)
    alike = True
    exact = False
    returns_guesses = True
    scalings = 2
    tight = 1e-9
    floor = 1e-12
    finest = 1e-13
    sharpest = 1e-12
    endless = False
    bar = 0.4
    kind = "square"

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The ways to write such a problem."""
        return ["square", "function"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        """K and b in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 75])
        return rng.standard_normal((ROWS, n)), rng.standard_normal(n)

    def wrap(
        self, K: Any, b: Any, engine: str, dtype: Any = np.float64, kind: str = "square",
        bar: float | None = None,
    ) -> Denoised:  # fmt: skip
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        K, b = np.asarray(K).astype(dtype), np.asarray(b).astype(dtype)
        whole, drift = np.array(K, np.float64), np.array(b, np.float64)
        bar = self.bar if bar is None else bar
        if dtype == np.float32:
            K, b = jnp.asarray(K), jnp.asarray(b)
        problem = self._written(kind, K, b, bar, float(np.linalg.norm(drift)))
        return Denoised(problem, whole, drift, bar, kind != "function")

    def _written(self, kind: str, K: Any, b: Any, bar: float, unit: float = 1.0) -> Any:
        norm = rs.functions.L1(bar)
        if kind == "function":
            return rs.SplitComposite(norm, K, f=square, start=0 * b, args=b, unit=unit)
        return rs.SplitComposite(norm, K, g=rs.functions.SquaredL2(1.0, center=b), start=0 * b)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Denoised:
        return self.wrap(*self.data(seed), engine, dtype, self.kind if kind is None else kind)

    def larger(self, engine: str) -> Denoised:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def effortless(self, engine: str) -> tuple[Denoised, list[Any]]:
        """Zero is the answer, and the first guess."""
        K, b = self.data()
        return self.wrap(K, 0 * b, engine), [None, (np.zeros(self.size), np.zeros(ROWS))]

    def one_unknown(self, value: float, engine: str) -> Denoised:
        """The answer is (5, value)."""
        K, b = np.ones((1, 1)), np.array([6.0])
        problem = rs.SplitComposite(
            rs.functions.L1(value), K, f=weighted, start=0 * b, args=(np.array(value), b),
            unit=6.0 * value,
        )  # fmt: skip
        return Denoised(problem, K, b, value, False, value)

    def scaled(self, index: int, engine: str) -> tuple[Denoised, Denoised, float]:
        """A problem, the same in another unit of x and y, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        K, b = self.data()
        scaled = self.wrap(K, factor * b, engine, bar=factor * self.bar)
        return self.wrap(K, b, engine), scaled, 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Denoised, Denoised, Any]:
        """A problem, the same with the entries of x and y in another order, how views follow."""
        K, b = self.data()
        rng = np.random.default_rng(3)
        rows, columns = rng.permutation(ROWS), rng.permutation(self.size)
        plain = self.wrap(K, b, engine, dtype)
        mixed = self.wrap(K[np.ix_(rows, columns)], b[columns], engine, dtype)
        order = np.r_[columns, self.size + rows]
        return plain, mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    def guess(self) -> Any:
        return np.linspace(-1.0, 1.0, self.size), np.linspace(-0.2, 0.3, ROWS)

    def integer_guess(self) -> Any:
        return np.arange(self.size), np.zeros(ROWS, int)

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess of the pair, nor of x alone, and how it is refused."""
        good = np.ones(ROWS)
        bad = bad_vectors(self.size)
        return [*bad, *[((one, good), kind) for one, kind in bad], ((good, good), ValueError)]

    view = Denoised.view

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed)

    def traced(self, K: Any, b: Any) -> Any:
        """A problem of JAX values."""
        return self._written(self.kind, K, b, self.bar)

    def easy(self, K: Any, b: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return K, 0 * b

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        K, b = self.data()
        rng = np.random.default_rng(8)
        bump, slope = 0.3 * rng.standard_normal(K.shape), rng.standard_normal(b.size)
        weights = rng.standard_normal(b.size + ROWS)

        def parts(t: Any) -> tuple[Any, Any]:
            return K + t * bump, b + t * slope

        def reference(t: float) -> float:
            return float(weights @ self.view(self.wrap(*parts(t), "traced").answer))

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ jnp.concatenate(x)

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5


@dataclasses.dataclass(frozen=True)
class Row(Denoised):
    """A picture of one row: total variation in one dimension."""

    @property
    def answer(self) -> Any:
        x, y = super().answer
        return x[None], (np.zeros((1, x.size)), np.append(y, 0.0)[None])

    @property
    def like(self) -> tuple[Any, ...]:
        return tuple(jax.tree_util.tree_leaves(self.problem.first))

    def view(self, x: Any) -> np.ndarray:
        """The picture, and the dual field but for its ends."""
        return np.r_[np.asarray(x[0])[0], np.asarray(x[1][1])[0, :-1]]

    @property
    def scale(self) -> float:
        """What the picture pays for its variation."""
        return self.bar * float(np.abs(self.K @ self.b).sum()) or 1.0

    def measure(self, point: Any) -> float:
        view = self.view(point).astype(np.float64)
        return super().measure((view[: self.b.size], view[self.b.size :]))


@dataclasses.dataclass(frozen=True)
class Rows(Splits):
    """Pictures of one row, for methods that denoise pictures alone."""

    size = 6
    returns_guesses = False
    storages = ("wide", "plain")

    def kinds(self, cls: type) -> list[str]:
        return ["square"]

    def data(self, seed: int = 0, n: int | None = None) -> Any:
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 76])
        return np.diff(np.eye(n), axis=0), rng.standard_normal(n)

    def wrap(
        self, K: Any, b: Any, engine: str, dtype: Any = np.float64, kind: str = "square",
        bar: float | None = None,
    ) -> Row:  # fmt: skip
        b = np.asarray(b).astype(dtype)
        drift = np.array(b, np.float64)
        bar = self.bar if bar is None else bar
        image = jnp.asarray(b)[None] if dtype == np.float32 else b[None]
        return Row(rs.TotalVariationDenoising(image, bar), K, drift, bar, True)

    def stored(self, storage: str) -> Any:
        """A picture of several rows, with both kinds of lengths."""
        picture = np.random.default_rng(5).standard_normal((4, 5))
        return rs.TotalVariationDenoising(picture, 0.3, isotropic=storage == "wide")

    def effortless(self, engine: str) -> tuple[Row, list[Any]]:
        """A picture without noise is its own answer."""
        K, b = self.data()
        return self.wrap(K, 0 * b, engine), [None]

    def one_unknown(self, value: float, engine: str) -> Row:
        return self.wrap(np.zeros((0, 1)), np.array([value]), engine)

    def permuted(self, engine: str, dtype: Any) -> tuple[Row, Row, Any]:
        """A picture and its mirror image."""
        K, b = self.data()
        plain, mixed = (self.wrap(K, one, engine, dtype) for one in (b, b[::-1]))
        return plain, mixed, lambda view: np.r_[view[: b.size][::-1], -view[b.size :][::-1]]

    def guess(self) -> Any:
        shape = 1, self.size
        return np.linspace(-1.0, 1.0, self.size)[None], (np.zeros(shape), np.full(shape, 0.1))

    def integer_guess(self) -> Any:
        shape = 1, self.size
        return np.arange(self.size)[None], (np.zeros(shape, int), np.zeros(shape, int))

    def bad_guesses(self) -> list[tuple[Any, type]]:
        return bad_vectors(self.size)

    def view(self, x: Any) -> np.ndarray:
        return np.r_[np.asarray(x[0])[0], np.asarray(x[1][1])[0, :-1]]
