"""The house of the linear systems."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse
from suite.vectors import Vectors

import resolvent as rs


@dataclasses.dataclass(frozen=True)
class System:
    """One linear system, its data in double precision, and its answer."""

    problem: Any
    matrix: np.ndarray
    rhs: np.ndarray

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, in double precision, as `solve` takes it as a first guess."""
        return np.linalg.solve(self.matrix, self.rhs)

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        return float(np.linalg.norm(self.rhs))

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(self.problem.b), self.problem.operator.matrix.toarray()]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays of the problem whose kind, precision and shape the parts of `x` share."""
        return (self.problem.b,)

    def view(self, x: Any) -> np.ndarray:
        """What of `x` the problem determines."""
        return np.asarray(x, np.float64)

    def measure(self, x: Any) -> float:
        """The residual norm in double precision."""
        return float(np.linalg.norm(self.rhs - self.matrix @ np.asarray(x, np.float64)))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to a residual norm that is computed in `dtype`."""
        x, row = np.abs(self.answer), np.abs(self.matrix)
        return float(10 * np.finfo(dtype).eps * np.linalg.norm(row @ x + np.abs(self.rhs)))

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        return float(np.linalg.norm(np.asarray(x, np.float64) - self.answer)) / float(
            np.linalg.norm(self.answer)
        )

    def allowed(self, value: float) -> float:
        """The error that a residual of norm `value` can hide."""
        amplification = np.linalg.norm(np.linalg.inv(self.matrix), 2)
        return float(amplification * value / np.linalg.norm(self.answer))


class Linear(Vectors):
    """Strictly diagonally dominant banded matrices: every iteration of the family converges."""

    size = 24
    dtypes = (np.float64, np.float32)
    tight = 1e-9  # a relative tolerance that double precision carries
    floor = 1e-12  # what is reached where the tolerance cannot be met
    returns_guesses = True  # a solve that starts at an answer returns it to the bit
    engines_step_alike = True
    scalings = 2
    storages = ("rows", "dense")

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The kinds of matrices that a method's needs allow."""
        kinds = ["definite"]
        if "symmetric" not in cls.needs:
            kinds.append("general")
        if "positive_definite" not in cls.needs:
            kinds.append("indefinite")
        return kinds

    def data(self, kind: str = "definite", seed: int = 0, n: int | None = None) -> Any:
        """Matrix and right-hand side in double precision."""
        n = self.size if n is None else n
        rng = np.random.default_rng([seed, 7])
        near, far = -rng.uniform(0.5, 1.5, n - 1), -rng.uniform(0.1, 0.6, n - 2)
        matrix = np.diag(near, 1) + np.diag(far, 2)
        below = 0.4 if kind == "general" else 1.0
        matrix = matrix + below * matrix.T
        rows = np.maximum(np.abs(matrix).sum(0), np.abs(matrix).sum(1))
        diagonal = rows + 1.0 + rng.uniform(0.0, 2.0, n)
        if kind == "indefinite":
            diagonal[::3] *= -1.0
        return matrix + np.diag(diagonal), rng.standard_normal(n)

    def wrap(self, matrix: Any, rhs: Any, engine: str, dtype: Any = np.float64) -> System:
        """A problem that `engine` runs: SciPy rows on the host; diagonals or JAX arrays traced."""
        cast, b = matrix.astype(dtype), rhs.astype(dtype)
        if engine == "host":
            problem = rs.LinearSystem(sparse.csr_array(cast), b)
        elif dtype == np.float64:
            problem = rs.LinearSystem(sparse.csr_array(cast), b, storage="diagonals")
        else:
            problem = rs.LinearSystem(jnp.asarray(cast), jnp.asarray(b))
        return System(problem, cast.astype(np.float64), b.astype(np.float64))

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "definite", seed: int = 0
    ) -> System:
        return self.wrap(*self.data(kind, seed), engine, dtype)

    def stored(self, storage: str) -> Any:
        """The same system on the host, by sparse rows or dense."""
        sample = self.sample("host")
        return sample.problem if storage == "rows" else rs.LinearSystem(sample.matrix, sample.rhs)

    def larger(self, engine: str) -> System:
        """A system of another size."""
        return self.wrap(*self.data(n=self.size + 5), engine)

    def effortless(self, engine: str) -> tuple[System, list[Any]]:
        """A system that is solved before the first step, from each of some first guesses."""
        matrix, rhs = self.data()
        return self.wrap(matrix, 0 * rhs, engine), [None, np.ones(rhs.size)]

    def one_unknown(self, value: float, engine: str) -> System:
        return self.wrap(np.array([[value]]), np.array([6.0]), engine)

    def scaled(self, index: int, engine: str) -> tuple[System, System, float]:
        """A system, the same in other units, and what brings views of the latter back."""
        matrix_scale, rhs_scale = [(2.0**-20, 2.0**9), (2.0**12, 2.0**-30)][index]
        matrix, rhs = self.data()
        plain = self.wrap(matrix, rhs, engine)
        scaled = self.wrap(matrix_scale * matrix, rhs_scale * rhs, engine)
        return plain, scaled, matrix_scale / rhs_scale

    def permuted(self, engine: str, dtype: Any) -> tuple[System, System, Any]:
        """A system, the same with its unknowns in another order, and how views follow."""
        matrix, rhs = self.data()
        order = np.random.default_rng(3).permutation(rhs.size)
        plain = self.wrap(matrix, rhs, engine, dtype)
        mixed = self.wrap(matrix[np.ix_(order, order)], rhs[order], engine, dtype)
        return plain, mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed=seed)

    def traced(self, matrix: Any, rhs: Any) -> Any:
        """A problem of JAX values."""
        return rs.LinearSystem(matrix, rhs)

    def easy(self, matrix: Any, rhs: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return matrix, 0 * rhs

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope at t = 0.3."""
        matrix, rhs = self.data()
        rng = np.random.default_rng(8)
        bump, slope = np.diag(rng.uniform(0.1, 1.0, rhs.size)), rng.standard_normal(rhs.size)
        weights = rng.standard_normal(rhs.size)

        def parts(t: Any) -> tuple[Any, Any]:
            return matrix + t * bump, rhs + t * slope

        def reference(t: float) -> float:
            return float(weights @ np.linalg.solve(*parts(t)))

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
