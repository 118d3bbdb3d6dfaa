"""The house of sparse recovery, with a referee who tries every change of one coefficient."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from suite.vectors import Vectors, VectorSample

import resolvent as rs

ROWS = 16
SPARSITY = 3
# Squared misfits have closed forms for a change of one coefficient, and so a referee of their own.
LOSSES = {"lasso-l1": 0.2, "lasso-l0": 0.02}
NOISE = 0.05


def turned(n: int) -> np.ndarray:
    """Two orthonormal bases that are far from one another, columns of many lengths, n of them."""
    rng = np.random.default_rng(5)
    bases = np.eye(1)
    for _ in range(4):
        bases = np.block([[bases, bases], [bases, -bases]]) / np.sqrt(2)
    columns = np.hstack([np.eye(ROWS), bases, rng.standard_normal((ROWS, ROWS)) / 4])[:, :n]
    turn = np.linalg.qr(rng.standard_normal((ROWS, ROWS)))[0]
    return turn @ columns * rng.uniform(0.5, 2.0, n)


def lowered(kind: str, p: float, column: Any, r: Any, x: float) -> float:
    """By how much a change t of a coefficient x lowers ||r - t a||^2 plus its price."""

    def loss(t: float) -> float:
        price = p * abs(x + t) if kind == "lasso-l1" else p * float(x + t != 0)
        return float(((r - t * column) ** 2).sum()) + price

    square, inner = column @ column, column @ r
    turns = [-x, inner / square]
    if kind == "lasso-l1":
        turns += [(inner - 0.5 * p) / square, (inner + 0.5 * p) / square]
    return loss(0.0) - min(loss(t) for t in (0.0, *turns))


@dataclasses.dataclass(frozen=True)
class Recovery(VectorSample):
    """One problem, its data in double precision, and its answer."""

    problem: Any
    A: np.ndarray
    b: np.ndarray
    truth: np.ndarray
    kind: str

    @functools.cached_property
    def solution(self) -> np.ndarray:
        """The answer: the sparse one, or that of greedy selection with a referee's gains."""
        if self.kind == "equations":
            return self.truth
        x, support = np.zeros(self.A.shape[1]), []
        while True:
            gains = self._gains(x)
            j = int(gains.argmax())
            if j in support or gains[j] <= 0:
                return x
            support.append(j)
            x[support] = np.linalg.lstsq(self.A[:, support], self.b, rcond=None)[0]

    def _gains(self, x: Any) -> np.ndarray:
        r, p = self.b - self.A @ x, LOSSES[self.kind]
        return np.array([lowered(self.kind, p, a, r, t) for a, t in zip(self.A.T, x, strict=True)])

    @property
    def answer(self) -> np.ndarray:
        """What `x` should be, as `solve` takes it as a first guess."""
        return self.solution

    @property
    def scale(self) -> float:
        """What a relative tolerance refers to."""
        size = float(np.linalg.norm(self.b))
        return size if self.kind == "equations" else size**2

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(self.problem.A), np.array(self.problem.b)]

    def measure(self, x: Any) -> float:
        """The certificate's value in double precision."""
        x = np.asarray(x, np.float64)
        if self.kind == "equations":
            worth = np.sort(np.abs(x) * np.linalg.norm(self.A, axis=0))
            excess = worth[: max(0, x.size - self.problem.sparsity)].sum()
            return float(np.linalg.norm(self.A @ x - self.b) + excess)
        support = np.flatnonzero(x)
        z = np.zeros_like(x)
        z[support] = np.linalg.lstsq(self.A[:, support], self.b, rcond=None)[0]
        least = ((self.A @ z - self.b) ** 2).sum()
        gains = self._gains(z)
        inside = gains[support].max(initial=0.0)
        gains[support] = 0.0
        charge = self.scale if support.size > self.b.size else 0.0
        above = ((self.A @ x - self.b) ** 2).sum() - least
        return float(above + max(gains.max() - inside, 0.0) + charge)

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate in `dtype`."""
        return float(50 * np.finfo(dtype).eps * self.scale)

    def error(self, x: Any) -> float:
        """Relative distance to the answer."""
        away = np.linalg.norm(np.asarray(x, np.float64) - self.solution)
        return float(away / max(np.linalg.norm(self.solution), 1e-300))

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide."""
        size = max(float(np.linalg.norm(self.solution)), 1e-300)
        if self.kind != "equations":
            chosen = self.A[:, self.solution != 0]
            return float(np.sqrt(value) / np.linalg.svd(chosen)[1][-1]) / size
        return value * (1 / self._least + 1 / np.linalg.norm(self.A, axis=0).min()) / size

    @functools.cached_property
    def _least(self) -> float:
        """The least singular value of the answer's columns and as many others."""
        on, off = np.flatnonzero(self.truth), np.flatnonzero(self.truth == 0)
        if not off.size:
            return float(np.linalg.svd(self.A)[1][-1])
        rng = np.arange(off.size)
        i, j, k = (axis.ravel() for axis in np.meshgrid(rng, rng, rng))
        others = off[np.stack([i, j, k], 1)[(i < j) & (j < k)]]
        columns = np.hstack([np.broadcast_to(on, (len(others), on.size)), others])
        return float(np.linalg.svd(self.A.T[columns], compute_uv=False)[:, -1].min())


@dataclasses.dataclass(frozen=True)
class Recoveries(Vectors):
    """Few equations for many unknowns, of which three are not zero."""

    losses: bool = False
    """Whether the method selects for losses too."""

    size = 2 * ROWS
    dtypes = (np.float64, np.float32)
    alike = True
    exact = True
    returns_guesses = True
    scalings = 2
    tight = 1e-9
    floor = 1e-12
    finest = 1e-13
    sharpest = 1e-12
    endless = False
    slow = True
    kind = "equations"

    def suited(self, cls: type) -> "Recoveries":
        """The variant for a method."""
        return Recoveries("equations" not in cls.needs)

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """The ways to ask for few nonzeros."""
        return ["equations", *(LOSSES if self.losses else ())]

    def data(self, seed: int = 0, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A matrix and a sparse vector in double precision."""
        n = self.size if n is None else n
        A, rng = turned(n), np.random.default_rng([seed, 83])
        x = np.zeros(n)
        chosen = rng.choice(n, SPARSITY, replace=False)
        values = rng.permutation([1.0, -0.7, 0.45]) * rng.uniform(0.9, 1.1, SPARSITY)
        x[chosen] = values / np.linalg.norm(A[:, chosen], axis=0)
        return A, x

    def wrap(
        self, A: Any, x: Any, engine: str, dtype: Any = np.float64, kind: str = "equations"
    ) -> Recovery:
        """A problem of NumPy arrays in double precision, of JAX arrays in single."""
        A, b = np.asarray(A).astype(dtype), (A @ x).astype(dtype)
        if kind != "equations":
            b = b + NOISE * np.random.default_rng(2).standard_normal(b.size).astype(dtype)
        whole, right = np.array(A, np.float64), np.array(b, np.float64)
        if dtype == np.float32:
            A, b = jnp.asarray(A), jnp.asarray(b)
        if kind == "equations":
            s = min(SPARSITY, A.shape[1])
            problem = rs.SparseRecovery(A, b, s)
        else:
            problem = rs.SparseRecovery(A, b, loss=kind, parameter=LOSSES[kind])
        return Recovery(problem, whole, right, np.asarray(x, np.float64), kind)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str | None = None, seed: int = 0
    ) -> Recovery:
        return self.wrap(*self.data(seed), engine, dtype, self.kind if kind is None else kind)

    @property
    def storages(self) -> tuple[str, ...]:
        """Data that no few columns fit, so that no method is done in a few steps."""
        return ("dense", "lad-lasso-l1", "sr-lasso-l0") if self.losses else ("dense",)

    def stored(self, storage: str) -> Any:
        """A problem in one of the ways in which its parts may come."""
        rng = np.random.default_rng(4)
        A, b = rng.standard_normal((ROWS, self.size)), rng.standard_normal(ROWS)
        if storage == "dense":
            return rs.SparseRecovery(A, b, 6)
        return rs.SparseRecovery(A, b, loss=storage, parameter=0.01)

    def larger(self, engine: str) -> Recovery:
        """A problem of another size."""
        return self.wrap(*self.data(n=self.size + 3), engine)

    def effortless(self, engine: str) -> tuple[Recovery, list[Any]]:
        """The right-hand side is zero."""
        A, x = self.data()
        return self.wrap(A, 0 * x, engine), [None, np.zeros(self.size)]

    def one_unknown(self, value: float, engine: str) -> Recovery:
        return self.wrap(np.full((2, 1), value), np.array([6.0 / value]), engine)

    def scaled(self, index: int, engine: str) -> tuple[Recovery, Recovery, float]:
        """A problem, the same in another unit of b and x, and what brings its views back."""
        factor = (2.0**-20, 2.0**12)[index]
        A, x = self.data()
        return self.wrap(A, x, engine), self.wrap(A, factor * x, engine), 1 / factor

    def permuted(self, engine: str, dtype: Any) -> tuple[Recovery, Recovery, Any]:
        """A problem, the same with its unknowns in another order, and how views follow."""
        A, x = self.data()
        order = np.random.default_rng(3).permutation(self.size)
        plain = self.wrap(A, x, engine, dtype)
        mixed = self.wrap(A[:, order], x[order], engine, dtype)
        return plain, mixed, lambda view: view[order]

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.linalg.norm(view))

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        A, x = self.data(seed)
        return A, A @ x

    def traced(self, A: Any, b: Any) -> Any:
        """A problem of JAX values."""
        return rs.SparseRecovery(A, b, SPARSITY)

    def easy(self, A: Any, b: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return A, 0 * b

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out, and its slope."""
        A, x = self.data()
        rng = np.random.default_rng(8)
        bump, move = 0.1 * rng.standard_normal(A.shape), rng.standard_normal(x.size) * (x != 0)
        weights = rng.standard_normal(x.size)

        def parts(t: Any) -> tuple[Any, Any]:
            matrix = A + t * bump
            return matrix, matrix @ (x + 0.1 * t * move)

        def readout(x: Any) -> Any:
            return jnp.asarray(weights) @ x

        return parts, readout, float(0.1 * weights @ move)
