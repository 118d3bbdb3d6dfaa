"""Problems that every method of a family must solve, with a referee who knows no JAX.

Each family has a house: it chooses problems by what a method needs, and judges answers in plain
NumPy. A family that enters the registry enters `HOUSES` too; a test says so if it does not.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse

import resolvent as rs
from resolvent._core import registry

RTOL = {np.float32: 1e-4, np.float64: 1e-9}


@dataclasses.dataclass(frozen=True)
class Sample:
    """One problem, its data in double precision, and its answer."""

    problem: Any
    matrix: np.ndarray
    rhs: np.ndarray

    @property
    def answer(self) -> np.ndarray:
        return np.linalg.solve(self.matrix, self.rhs)

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


class Linear:
    """Strictly diagonally dominant banded matrices: every iteration of the family converges."""

    size = 24

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

    def wrap(self, matrix: Any, rhs: Any, engine: str, dtype: Any = np.float64) -> Sample:
        """A problem that `engine` runs: SciPy rows on the host; diagonals or JAX arrays traced."""
        cast, b = matrix.astype(dtype), rhs.astype(dtype)
        if engine == "host":
            problem = rs.LinearSystem(sparse.csr_array(cast), b)
        elif dtype == np.float64:
            problem = rs.LinearSystem(sparse.csr_array(cast), b, storage="diagonals")
        else:
            problem = rs.LinearSystem(jnp.asarray(cast), jnp.asarray(b))
        return Sample(problem, cast.astype(np.float64), b.astype(np.float64))

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "definite", seed: int = 0
    ) -> Sample:
        return self.wrap(*self.data(kind, seed), engine, dtype)

    def traced(self, matrix: Any, rhs: Any) -> Any:
        """A problem of JAX values, for transformations."""
        return rs.LinearSystem(matrix, rhs)


HOUSES = {"linear": Linear()}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A method of a family on one of its engines."""

    family: str
    cls: Any
    engine: str

    @property
    def house(self) -> Any:
        return HOUSES[self.family]

    @property
    def method(self) -> Any:
        return self.cls()

    def __str__(self) -> str:
        return f"{self.cls.__name__}-{self.engine}"


PAIRS = [
    Pair(family, cls, engine)
    for family in registry.FAMILIES
    for cls in registry.methods(family).values()
    for engine in cls().runs_on()
]
TRACED = [pair for pair in PAIRS if pair.engine == "traced"]
HOST = [pair for pair in PAIRS if pair.engine == "host"]
CLASSES = [cls for family in registry.FAMILIES for cls in registry.methods(family).values()]
