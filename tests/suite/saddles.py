"""The house of bilinear saddle points, which has matrix games in it."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from suite.inclusions import SPLIT, Equilibrium, Inclusions
from suite.vectors import bad_vectors

import resolvent as rs

ROWS = SPLIT  # entries of x, of all that x and y have together


@dataclasses.dataclass(frozen=True)
class Damped(Equilibrium):
    """A saddle point on a box, some of whose entries pay for their squares in G."""

    weights: Any = 0.0

    def measure(self, x: Any) -> float:
        """The natural residual in double precision: the squares belong to G."""
        x = self.view(x)
        turned = self.matrix @ x + self.offset - self.weights * x
        near = np.clip((x - turned) / (1 + self.weights), -self.bound, self.bound)
        return float(np.linalg.norm(x - near))

    def allowed(self, value: float) -> float:
        """The error that a residual can hide: 1 + (1 + L) / mu of it."""
        turn = np.linalg.norm(self.matrix - self.weights * np.eye(len(self.matrix)), 2)
        strong = np.linalg.eigvalsh(self.matrix + self.matrix.T)[0] / 2
        return float((1 + (1 + turn) / strong) * value / np.linalg.norm(self.solution))


class Bilinear(Inclusions):
    """A few rows and columns, squares for both players, and a box."""

    def suited(self, cls: type) -> "Bilinear":
        """One variant for all methods."""
        return self

    weight = 0.7

    def kinds(self, cls: type) -> list[str]:
        """Squares on a box, squares alone, and a matrix game."""
        return ["damped", "wide", "matrix"]

    def data(self, seed: int = 0, n: int | None = None, kind: str = "damped") -> Any:
        """A matrix, and b and c in one vector."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 33])
        return rng.standard_normal((ROWS, n - ROWS)), rng.standard_normal(n)

    def wrap(
        self, matrix: Any, offset: Any, engine: str, dtype: Any = np.float64,
        kind: str = "damped", lipschitz: bool = True, factor: float = 1.0,
    ) -> Damped:  # fmt: skip
        matrix, offset = np.asarray(matrix).astype(dtype), np.asarray(offset).astype(dtype)
        A, drift = (np.array(part, np.float64) for part in (matrix, offset))
        n, m = A.shape
        whole = self.weight * np.eye(n + m)
        whole[:n, n:], whole[n:, :n] = A, -A.T
        if dtype == np.float32:
            matrix, offset = jnp.asarray(matrix), jnp.asarray(offset)
        bound = np.inf if kind == "wide" else factor * self.bound
        unit = float(np.linalg.norm(drift))
        norm = float(np.linalg.norm(A, 2)) * 1.0001 if lipschitz else None
        problem = self._game(matrix, offset, bound, lipschitz=norm)
        drift[n:] *= -1
        return Damped(problem, whole, drift, bound, unit, self.weight)

    def _game(self, matrix: Any, offset: Any, bound: float, **constants: Any) -> Any:
        n = matrix.shape[0]
        box = None if bound == np.inf else rs.functions.Box(-bound, bound)
        square = rs.functions.SquaredL2(self.weight, domain=box)
        return rs.BilinearGame(matrix, offset[:n], offset[n:], square, square, **constants)

    @property
    def kind(self) -> str:
        return "damped"

    def one_unknown(self, value: float, engine: str) -> Damped:
        """A game of one entry for each player."""
        return self.wrap(np.array([[value]]), value * np.array([-3.0, 2.0]), engine, kind="wide")

    def effortless(self, engine: str) -> tuple[Damped, list[Any]]:
        """Neither has anything to gain from leaving zero."""
        matrix, offset = self.data()
        sample = self.wrap(matrix, 0 * offset, engine)
        return sample, [None, sample.answer]

    def permuted(self, engine: str, dtype: Any) -> tuple[Damped, Damped, Any]:
        """A game, the same with its rows and columns in another order, and how views follow."""
        matrix, offset = self.data()
        rng = np.random.default_rng(3)
        rows, columns = rng.permutation(ROWS), rng.permutation(self.size - ROWS)
        order = np.r_[rows, ROWS + columns]
        plain = self.wrap(matrix, offset, engine, dtype)
        mixed = self.wrap(matrix[np.ix_(rows, columns)], offset[order], engine, dtype)
        return plain, mixed, lambda view: view[order]

    def guess(self) -> Any:
        return self._split(np.linspace(-1.0, 1.0, self.size))

    def integer_guess(self) -> Any:
        return self._split(np.arange(self.size))

    def _split(self, x: Any) -> Any:
        return x[:ROWS], x[ROWS:]

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        good = np.ones(self.size - ROWS)
        pairs: list[tuple[Any, type]] = [((bad, good), kind) for bad, kind in bad_vectors(ROWS)]
        return [
            *pairs, ((good, np.ones(ROWS)), ValueError), ((good,), ValueError),
            (np.ones(self.size), ValueError),
        ]  # fmt: skip

    def view(self, x: Any) -> Any:
        """Both players' variables side by side, or a batch of them."""
        return np.concatenate([np.asarray(part) for part in x], axis=-1)

    def traced(self, matrix: Any, offset: Any) -> Any:
        """A problem of JAX values."""
        return self._game(matrix, offset, self.bound, unit=2.0, lipschitz=4.0)

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        matrix, offset = self.data()
        rng = np.random.default_rng(8)
        bump = rng.uniform(0.1, 0.5, matrix.shape)
        slope, weights = (rng.standard_normal(self.size) for _ in range(2))

        def parts(t: Any) -> tuple[Any, Any]:
            return matrix + t * bump, offset + t * slope

        def reference(t: float) -> float:
            return float(weights @ self.wrap(*parts(t), "traced").solution)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ jnp.concatenate(x)

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5


def smooth(x: Any, args: Any) -> Any:
    """The part of x alone."""
    matrix, offset = args
    return 0.5 * x @ matrix[:SPLIT, :SPLIT] @ x + offset[:SPLIT] @ x


def coupling(x: Any, y: Any, args: Any) -> Any:
    matrix, offset = args
    return x @ matrix[:SPLIT, SPLIT:] @ y - offset[SPLIT:] @ y


def line(x: Any, value: Any) -> Any:
    return 0.5 * value * (x @ x) - 6.0 * x.sum()


def product(x: Any, y: Any, value: Any) -> Any:
    return x @ y


@dataclasses.dataclass(frozen=True)
class Composites(Inclusions):
    """Quadratic f, a bilinear coupling, and squares for y, on a box."""

    slow: bool = True
    weight = 1.0

    def suited(self, cls: type) -> "Composites":
        """One variant for all methods."""
        return self

    @property
    def kind(self) -> str:
        return "boxed"

    def kinds(self, cls: type) -> list[str]:
        """On a box, and on all of the space."""
        return ["boxed", "wide"]

    def data(self, seed: int = 0, n: int | None = None, kind: str = "boxed") -> Any:
        """The blocks P and B of a saddle point's matrix, and its offset."""
        return super().data(seed, n, "saddle")

    def wrap(
        self, matrix: Any, offset: Any, engine: str, dtype: Any = np.float64,
        kind: str = "boxed", lipschitz: bool = True, factor: float = 1.0,
    ) -> Damped:  # fmt: skip
        matrix, offset = np.asarray(matrix).astype(dtype), np.asarray(offset).astype(dtype)
        whole, drift = (np.array(part, np.float64) for part in (matrix, offset))
        if dtype == np.float32:
            matrix, offset = jnp.asarray(matrix), jnp.asarray(offset)
        bound = np.inf if kind == "wide" else factor * self.bound
        unit = 100.0 * float(np.linalg.norm(drift)) or 1.0
        P, B = whole[:SPLIT, :SPLIT], whole[:SPLIT, SPLIT:]
        rest = whole.shape[0] - SPLIT
        whole = np.block([[P, B], [-B.T, self.weight * np.eye(rest)]])
        norms = {"smooth": P, "coupled": B} if lipschitz else {}
        constants = {name: 1.001 * float(np.linalg.norm(part, 2)) for name, part in norms.items()}
        problem = self._composite(matrix, offset, bound, unit=unit, **constants)
        weights = np.r_[np.zeros(SPLIT), np.full(rest, self.weight)]
        return Damped(problem, whole, drift, bound, unit, weights)

    def _composite(self, matrix: Any, offset: Any, bound: float, **constants: Any) -> Any:
        box = None if bound == np.inf else rs.functions.Box(-bound, bound)
        square = rs.functions.SquaredL2(self.weight, domain=box)
        start = 0 * offset[:SPLIT], 0 * offset[SPLIT:]
        return rs.CompositeSaddlePoint(
            smooth, coupling, box, square, start=start, args=(matrix, offset), **constants
        )

    def one_unknown(self, value: float, engine: str) -> Damped:
        """One unknown for each player."""
        unit, square = 600.0, rs.functions.SquaredL2(self.weight)
        problem = rs.CompositeSaddlePoint(
            line, product, None, square, start=(np.zeros(1), np.zeros(1)), args=value, unit=unit
        )
        whole = np.array([[value, 1.0], [-1.0, self.weight]])
        return Damped(problem, whole, np.array([-6.0, 0.0]), np.inf, unit, np.r_[0, self.weight])

    def effortless(self, engine: str) -> tuple[Damped, list[Any]]:
        """Neither has anything to gain from leaving zero."""
        matrix, offset = self.data()
        sample = self.wrap(matrix, 0 * offset, engine)
        return sample, [None, sample.answer]

    def permuted(self, engine: str, dtype: Any) -> tuple[Damped, Damped, Any]:
        """A problem, the same with the entries of x and of y in another order."""
        matrix, offset = self.data()
        rng = np.random.default_rng(3)
        order = np.r_[rng.permutation(SPLIT), SPLIT + rng.permutation(self.size - SPLIT)]
        plain = self.wrap(matrix, offset, engine, dtype)
        mixed = self.wrap(matrix[np.ix_(order, order)], offset[order], engine, dtype)
        return plain, mixed, lambda view: view[order]

    guess = Bilinear.guess
    integer_guess = Bilinear.integer_guess
    _split = Bilinear._split
    bad_guesses = Bilinear.bad_guesses
    view = Bilinear.view

    def traced(self, matrix: Any, offset: Any) -> Any:
        """A problem of JAX values."""
        return self._composite(matrix, offset, self.bound, unit=200.0, smooth=2.5, coupled=2.5)

    def scene(self) -> tuple[Any, Any, float]:
        parts, _, slope = super().scene()
        weights = np.random.default_rng(8).standard_normal((2, self.size))[1]

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ jnp.concatenate(x)

        return parts, readout, slope
