"""The house of entropic transport, with a referee who knows potentials and plain NumPy."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from suite.vectors import bad_vectors

import resolvent as rs


@dataclasses.dataclass(frozen=True)
class Transport:
    """One transport problem, its data in double precision, and its answer."""

    problem: Any
    cost: np.ndarray
    a: np.ndarray
    b: np.ndarray
    epsilon: float
    penalty: tuple[float | None, float | None] = (None, None)

    @functools.cached_property
    def answer(self) -> tuple[np.ndarray, np.ndarray]:
        """Potentials that no further digit could improve, as `solve` takes them."""
        f, g = np.zeros(self.a.size), np.zeros(self.b.size)
        powers = [1.0 if tau is None else tau / (tau + self.epsilon) for tau in self.penalty]
        for _ in range(100):
            f = powers[0] * -self.epsilon * _log_sum((g - self.cost) / self.epsilon, self.b)
            g = powers[1] * -self.epsilon * _log_sum((f - self.cost.T) / self.epsilon, self.a)
        for _ in range(4):
            move = np.linalg.pinv(self._slope(f, g), rcond=1e-12) @ np.concatenate(
                self._residual(f, g)
            )
            f, g = f + move[: f.size], g + move[f.size :]
        return f, g

    @property
    def scale(self) -> float:
        """The mass."""
        return float(self.a.sum())

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(leaf) for leaf in jax.tree_util.tree_leaves(self.problem)]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays of the problem whose kind, precision and shape the parts of `x` share."""
        return self.problem.a, self.problem.b

    def view(self, x: Any) -> np.ndarray:
        """The plan: potentials may exchange a constant."""
        f, g = (np.asarray(part, np.float64) for part in _pair(x))
        with np.errstate(all="ignore"):
            exponent = (f[:, None] + g - self.cost) / self.epsilon
            return self.a[:, None] * self.b * np.exp(exponent)

    def measure(self, x: Any) -> float:
        """The marginal error in double precision."""
        with np.errstate(all="ignore"):
            parts = self._residual(*(np.asarray(part, np.float64) for part in _pair(x)))
        return float(sum(np.abs(part).sum() for part in parts))

    def rounding(self, dtype: Any) -> float:
        """What rounding does to the certificate, which is in double precision for all data."""
        return self.rounding_at(self.answer)

    def rounding_at(self, x: Any) -> float:
        """The same at any point."""
        f, g = (np.asarray(part, np.float64) for part in _pair(x))
        size = (np.abs(f)[:, None] + np.abs(g) + np.abs(self.cost)) / self.epsilon + 10.0
        return float(10 * np.finfo(np.float64).eps * (self.view(x) * size).sum())

    def error(self, x: Any) -> float:
        """Distance to the plan, relative to the mass."""
        return float(np.abs(self.view(x) - self.view(self.answer)).sum()) / self.scale

    def allowed(self, value: float) -> float:
        """The error that a marginal error `value` can hide, to first order, and as much again."""
        f, g = self.answer
        P = self.view(self.answer)
        inverse = np.linalg.pinv(self._slope(f, g), rcond=1e-12)
        moves = P[:, :, None] * (inverse[: f.size, None, :] + inverse[None, f.size :, :])
        amplification = np.abs(moves / self.epsilon).sum((0, 1)).max()
        return float(2 * amplification * value / self.scale)

    def _residual(self, f: Any, g: Any) -> tuple[np.ndarray, np.ndarray]:
        P = self.view((f, g))
        wanted = [
            mass if tau is None else mass * np.exp(-potential / tau)
            for mass, tau, potential in zip((self.a, self.b), self.penalty, (f, g), strict=True)
        ]
        return wanted[0] - P.sum(1), wanted[1] - P.sum(0)

    def _slope(self, f: Any, g: Any) -> np.ndarray:
        """Minus the derivative of the residual."""
        P = self.view((f, g))
        slope = np.block([[np.diag(P.sum(1)), P], [P.T, np.diag(P.sum(0))]]) / self.epsilon
        more = [
            np.zeros(mass.size) if tau is None else mass * np.exp(-potential / tau) / tau
            for mass, tau, potential in zip((self.a, self.b), self.penalty, (f, g), strict=True)
        ]
        return slope + np.diag(np.concatenate(more))


def _log_sum(exponents: np.ndarray, mass: np.ndarray) -> np.ndarray:
    top = exponents.max(1)
    return top + np.log(np.exp(exponents - top[:, None]) @ mass)


def _pair(x: Any) -> tuple[Any, Any]:
    return (x.f, x.g) if hasattr(x, "f") else x


class Entropic:
    """Squared distances of random points, smoothed until every method of the family converges."""

    shape = (12, 9)
    epsilon = 0.05
    dtypes = (np.float64, np.float32)
    tight = 1e-9  # a relative tolerance that double precision carries
    floor = 1e-12  # what is reached where the tolerance cannot be met
    returns_guesses = False  # what comes out has one of its sides corrected last
    engines_step_alike = False  # the host stores plans, and looks at its pace at other times
    scalings = 2
    storages = ("rows", "columns", "points", "small", "penalized")

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """Marginals that are held, and marginals that are penalized: on both sides, on one."""
        return ["balanced", "penalized", "one-sided"]

    def points(self, seed: int = 0, shape: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Sources and targets in the unit square."""
        n, m = self.shape if shape is None else shape
        rng = np.random.default_rng([seed, 11])
        return rng.random((n, 2)), rng.random((m, 2))

    def data(self, kind: str = "balanced", seed: int = 0, shape: Any = None) -> Any:
        """Costs, masses and penalties in double precision."""
        n, m = self.shape if shape is None else shape
        x, y = self.points(seed, shape)
        cost = ((x[:, None] - y) ** 2).sum(-1)
        rng = np.random.default_rng([seed, 12])
        a, b = rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, m)
        b = b / b.sum()
        if kind == "balanced":
            return cost, a / a.sum(), b, (None, None)
        return cost, 1.3 * a / a.sum(), b, (0.3, 0.5 if kind == "penalized" else None)

    def wrap(
        self,
        cost: Any,
        a: Any,
        b: Any,
        penalty: Any,
        engine: str,
        dtype: Any = np.float64,
        epsilon: float | None = None,
    ) -> Transport:
        """A problem that `engine` runs: NumPy arrays on the host, JAX arrays traced."""
        epsilon = self.epsilon if epsilon is None else epsilon
        data = [part.astype(dtype) for part in (cost, a, b)]
        if engine == "traced":
            with jax.enable_x64(dtype == np.float64):
                data = [jnp.asarray(part) for part in data]
        problem = rs.EntropicTransport(*data, epsilon, penalty=penalty)
        # The total of b is made that of a, to the last digit.
        masses = (np.array(mass, np.float64) for mass in (problem.a, problem.b))
        return Transport(problem, np.array(data[0], np.float64), *masses, epsilon, penalty)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "balanced", seed: int = 0
    ) -> Transport:
        return self.wrap(*self.data(kind, seed), engine, dtype)

    def stored(self, storage: str) -> Any:
        """A problem on the host: its cost by rows, by columns, as points; or a harder one."""
        cost, a, b, penalty = self.data("penalized" if storage == "penalized" else "balanced")
        epsilon = 0.1 * self.epsilon if storage == "small" else self.epsilon
        if storage == "columns":
            cost = np.asfortranarray(cost)
        elif storage == "points":
            cost = rs.transport.PointCost(*self.points())
        return rs.EntropicTransport(cost, a, b, epsilon, penalty=penalty)

    def larger(self, engine: str) -> Transport:
        """A problem of another size."""
        n, m = self.shape
        return self.wrap(*self.data(shape=(n + 3, m + 1)), engine)

    def parts(self, x: Any) -> tuple[Any, ...]:
        """The arrays that an answer consists of."""
        return _pair(x)

    def view(self, x: Any) -> Any:
        """The plan, or a batch of them."""
        return np.asarray(x.plan)

    def guess(self) -> Any:
        """A first guess that is far from the answer."""
        return tuple(np.linspace(-0.3, 0.3, size) for size in self.shape)

    def integer_guess(self) -> Any:
        return tuple(np.arange(size) % 2 for size in self.shape)

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        n, m = self.shape
        good = np.ones(m)
        pairs: list[tuple[Any, type]] = [((bad, good), kind) for bad, kind in bad_vectors(n)]
        return [
            *pairs,
            ((np.ones(n), np.full(m, np.inf)), ValueError),
            ((good, np.ones(n)), ValueError),
            ((np.ones(n),), ValueError),
            ((np.ones(n), good, good), ValueError),
            (np.ones(n), ValueError),
            (3.0, ValueError),
            ("zero", TypeError),
        ]

    def effortless(self, engine: str) -> tuple[Transport, list[Any]]:
        """Where nothing costs anything every unit goes everywhere: the potentials are zero."""
        cost, *rest = self.data()
        return self.wrap(0 * cost, *rest, engine), [None, tuple(map(np.zeros, self.shape))]

    def one_unknown(self, value: float, engine: str) -> Transport:
        mass = np.array([6.0])
        return self.wrap(np.array([[value]]), mass, mass, (None, None), engine, epsilon=value / 4)

    def scaled(self, index: int, engine: str) -> tuple[Transport, Transport, float]:
        """A problem, the same with costs in another unit, and what brings its plans back."""
        factor, kind = [(2.0**-20, "balanced"), (2.0**12, "penalized")][index]
        cost, a, b, penalty = self.data(kind)
        plain = self.wrap(cost, a, b, penalty, engine)
        scaled = tuple(tau if tau is None else factor * tau for tau in penalty)
        other = self.wrap(factor * cost, a, b, scaled, engine, epsilon=factor * self.epsilon)
        return plain, other, 1.0

    def permuted(self, engine: str, dtype: Any) -> tuple[Transport, Transport, Any]:
        """A problem, the same with its points in another order, and how plans follow."""
        cost, a, b, penalty = self.data()
        rng = np.random.default_rng(3)
        rows, columns = rng.permutation(a.size), rng.permutation(b.size)
        both = np.ix_(rows, columns)
        plain = self.wrap(cost, a, b, penalty, engine, dtype)
        mixed = self.wrap(cost[both], a[rows], b[columns], penalty, engine, dtype)
        return plain, mixed, lambda view: view[both]

    def size_of(self, view: Any) -> float:
        """The norm in which plans are compared."""
        return float(np.abs(view).sum())

    # Transformations: a problem as a function of arrays.

    mapped = 0  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return self.data(seed=seed)[:3]

    def traced(self, cost: Any, a: Any, b: Any) -> Any:
        """A problem of JAX values."""
        return rs.EntropicTransport(cost, a, b, self.epsilon)

    def easy(self, cost: Any, a: Any, b: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return 0 * cost, a, b

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out of what is determined, and its slope."""
        cost, a, b, penalty = self.data()
        rng = np.random.default_rng(8)
        bump = rng.uniform(0.1, 1.0, cost.shape)
        drift = rng.standard_normal(a.size) / (4 * a.size)
        drift -= drift.mean()
        # Weights of total zero do not see the constant that the potentials may exchange.
        left, right = (rng.standard_normal(size) for size in self.shape)
        left, right = left - left.mean(), right - right.mean()

        def parts(t: Any) -> tuple[Any, Any, Any]:
            return cost + t * bump, a + t * drift, b

        def reference(t: float) -> float:
            f, g = self.wrap(*parts(t), penalty, "host").answer
            return float(left @ f + right @ g)

        def readout(x: Any) -> Any:
            return jnp.asarray(left) @ x.f + jnp.asarray(right) @ x.g

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
