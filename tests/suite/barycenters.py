"""The house of entropic barycenters, with a referee who projects and differentiates in NumPy."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from suite.vectors import bad_vectors

from resolvent.transport import PointCost
from resolvent.transport.barycenter import EntropicBarycenter


@dataclasses.dataclass(frozen=True)
class Average:
    """One barycenter problem, its data in double precision, and its answer.

    A point is one vector here: the potentials g_k one after the other, then h where there is one.
    """

    problem: Any
    costs: tuple[np.ndarray, ...]
    masses: tuple[np.ndarray, ...]
    weights: np.ndarray
    reference: np.ndarray
    epsilon: float
    own: np.ndarray | None = None

    @functools.cached_property
    def answer(self) -> Any:
        """Potentials that no further digit could improve, as `solve` takes them."""
        x = self._flat(self.zero)
        for _ in range(500):
            x = self._projected(x)
        for _ in range(5):
            slope = _derivative(self._residual, x)
            x = x - np.linalg.pinv(slope, rcond=1e-11) @ self._residual(x)
        return self._pair(x)

    @property
    def zero(self) -> Any:
        """The potentials that a solve begins with."""
        h = None if self.own is None else np.zeros(self.reference.size)
        return tuple(np.zeros(b.size) for b in self.masses), h

    @property
    def scale(self) -> float:
        """The mass of each measure."""
        return float(self.masses[0].sum())

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [np.array(leaf) for leaf in jax.tree_util.tree_leaves(self.problem)]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays of the problem whose kind, precision and shape the parts of `x` share."""
        return (*self.problem.masses, *([] if self.own is None else [self.problem.reference]))

    def view(self, x: Any) -> np.ndarray:
        """The barycenter and all plans: potentials may exchange constants."""
        with np.errstate(all="ignore"):
            return self._view(self._flat(x))

    def measure(self, x: Any) -> float:
        """The largest marginal error of a plan; a's plan onto itself has two equal ones."""
        with np.errstate(all="ignore"):
            parts = self._parts(self._residual(self._flat(x)))
        errors = [float(np.abs(part).sum()) for part in parts]
        return max([*errors[: len(self.masses)], *(2 * one for one in errors[len(self.masses) :])])

    def rounding(self, dtype: Any) -> float:
        """What rounding does to the certificate, which is in double precision for all data."""
        return self.rounding_at(self.answer)

    def rounding_at(self, x: Any) -> float:
        """The same at any point: every mass comes from exponents of about this size."""
        x = self._flat(x)
        largest = max(np.abs(x).max(), *(np.abs(cost).max() for cost in self.costs))
        return float(10 * np.finfo(np.float64).eps * self.scale * (3 * largest / self.epsilon + 10))

    def error(self, x: Any) -> float:
        """Distance to the barycenter and the plans, relative to theirs."""
        answer = self.view(self.answer)
        return float(np.abs(self.view(x) - answer).sum() / answer.sum())

    def allowed(self, value: float) -> float:
        """The error that a marginal error `value` can hide, to first order, and as much again."""
        x = self._flat(self.answer)
        inverse = np.linalg.pinv(_derivative(self._residual, x), rcond=1e-11)
        moves = np.abs(_derivative(self._view, x) @ inverse).sum(0)
        # Each of the plans may miss its marginals by that much.
        amplification = sum(part.max() for part in self._parts(moves))
        return float(2 * amplification * value / self.view(self.answer).sum())

    def _flat(self, x: Any) -> np.ndarray:
        g, h = (x.g, x.h) if hasattr(x, "g") else x
        parts = [*g, *([] if h is None else [h])]
        return np.concatenate([np.asarray(part, np.float64) for part in parts])

    def _parts(self, x: np.ndarray) -> list[np.ndarray]:
        ends = list(itertools.accumulate(b.size for b in self.masses))
        return np.split(x, ends if self.own is not None else ends[:-1])

    def _pair(self, x: np.ndarray) -> Any:
        parts = self._parts(x)
        return tuple(parts[: len(self.masses)]), None if self.own is None else parts[-1]

    def _plans(self, x: np.ndarray) -> tuple[Any, list[Any], Any]:
        """The barycenter, its plans onto the measures, and its plan onto itself."""
        g, h = self._pair(x)
        kernels, level = [], 0.0 if h is None else h / self.epsilon
        for cost, b, potential, weight in zip(
            self.costs, self.masses, g, self.weights, strict=True
        ):
            exponents = np.where(b > 0, (potential - cost) / self.epsilon, -np.inf)
            top = exponents.real.max(1, keepdims=True)
            kernel = b * np.exp(exponents - top)
            sums = kernel.sum(1)
            kernels.append(kernel / sums[:, None])
            level = level + weight * (np.log(sums) + top[:, 0])
        r = self.reference
        a = r * np.exp(level)
        plans = [a[:, None] * kernel for kernel in kernels]
        if h is None:
            return a, plans, None
        return a, plans, r[:, None] * r * np.exp((h[:, None] + h - self.own) / self.epsilon)

    def _view(self, x: np.ndarray) -> np.ndarray:
        a, plans, _ = self._plans(x)
        return np.concatenate([a, *(plan.ravel() for plan in plans)])

    def _residual(self, x: np.ndarray) -> np.ndarray:
        a, plans, own = self._plans(x)
        errors = [b - plan.sum(0) for b, plan in zip(self.masses, plans, strict=True)]
        return np.concatenate([*errors, *([] if own is None else [a - own.sum(1)])])

    def _projected(self, x: np.ndarray) -> np.ndarray:
        """The columns of each plan fitted; half a step towards the barycenter's own plan."""
        a, plans, own = self._plans(x)
        g, h = self._pair(x)
        g = [
            potential + self.epsilon * np.log(b / plan.sum(0))
            for b, plan, potential in zip(self.masses, plans, g, strict=True)
        ]
        if own is not None:
            h = h + 0.5 * self.epsilon * np.log(a / own.sum(1))
        return self._flat((g, h))


def _derivative(function: Callable[[Any], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The Jacobian by complex steps, exact up to rounding."""
    step = 1e-30
    return np.stack([function(x + 1j * step * e).imag / step for e in np.eye(x.size)], axis=1)


class Barycenters:
    """Two measures of few points, whose barycenter is blurred, or debiased."""

    shape = (6, 5)  # points of the support, points of each measure
    epsilon = 0.2
    dtypes = (np.float64, np.float32)
    tight = 1e-9  # a relative tolerance that double precision carries
    floor = 1e-12  # what is reached where the tolerance cannot be met
    returns_guesses = True
    engines_step_alike = True
    scalings = 2
    storages = ("rows", "columns", "points", "debiased")

    def rtol(self, dtype: Any) -> float:
        """A relative tolerance that the precision carries."""
        return 1e-4 if dtype == np.float32 else self.tight

    def kinds(self, cls: type) -> list[str]:
        """One cost for all measures; debiased, measures of their own points, and a reference."""
        return ["shared", "debiased"]

    def points(self, seed: int = 0, shape: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Support of the barycenter, and of the measures, in the unit square."""
        n, m = self.shape if shape is None else shape
        rng = np.random.default_rng([seed, 21])
        return rng.random((n, 2)), rng.random((m, 2))

    def data(self, kind: str = "shared", seed: int = 0, shape: Any = None) -> Any:
        """Costs, measures, weights, reference and debiasing cost in double precision."""
        x, y = self.points(seed, shape)
        rng = np.random.default_rng([seed, 22])
        weights, sizes = np.array([0.3, 0.7]), (len(y), len(y))
        if kind == "debiased":
            # Points that lie further apart than epsilon blurs, or it takes thousands of steps.
            x, sizes = 2 * x, (len(x), len(x) - 1)
            y = x + 0.1 * rng.random(x.shape)
        costs = [((x[:, None] - y[:size]) ** 2).sum(-1) for size in sizes]
        masses = [rng.uniform(0.5, 1.5, size) for size in sizes]
        masses = [b / b.sum() for b in masses]
        if kind == "shared":
            return costs[0], masses, weights, None, None
        return (
            costs,
            masses,
            weights,
            rng.uniform(0.5, 1.5, len(x)),
            ((x[:, None] - x) ** 2).sum(-1),
        )

    def wrap(
        self,
        cost: Any,
        masses: Any,
        weights: Any,
        reference: Any,
        own: Any,
        engine: str,
        dtype: Any = np.float64,
        epsilon: float | None = None,
    ) -> Average:
        """A problem that `engine` runs: NumPy arrays on the host, JAX arrays traced."""
        epsilon = self.epsilon if epsilon is None else epsilon
        kind = jnp.asarray if engine == "traced" else np.asarray
        with jax.enable_x64(dtype == np.float64):
            given, measures, r, onto = jax.tree_util.tree_map(
                lambda part: kind(part, dtype), (cost, list(masses), reference, own)
            )
        problem = EntropicBarycenter(
            given, measures, weights, epsilon, debias=False if own is None else onto, reference=r
        )
        given = [np.array(one.matrix, np.float64) for one in problem.costs]
        measures = [np.array(b, np.float64) for b in problem.masses]
        return Average(
            problem, tuple(given[k % len(given)] for k in range(len(measures))), tuple(measures),
            *(np.array(one, np.float64) for one in (problem.weights, problem.reference)), epsilon,
            None if own is None else np.array(problem.own.matrix, np.float64),
        )  # fmt: skip

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "shared", seed: int = 0
    ) -> Average:
        return self.wrap(*self.data(kind, seed), engine, dtype)

    def stored(self, storage: str) -> Any:
        """A problem on the host: its cost by rows, by columns, as points; or debiased."""
        if storage == "debiased":
            return self.sample("host", kind=storage).problem
        cost, masses, weights, _, _ = self.data()
        if storage == "columns":
            cost = np.asfortranarray(cost)
        elif storage == "points":
            cost = PointCost(*self.points())
        return EntropicBarycenter(cost, masses, weights, self.epsilon)

    def larger(self, engine: str) -> Average:
        """A problem of another size."""
        n, m = self.shape
        return self.wrap(*self.data(shape=(n + 3, m + 1)), engine)

    def parts(self, x: Any) -> tuple[Any, ...]:
        """The arrays that an answer consists of."""
        g, h = (x.g, x.h) if hasattr(x, "g") else x
        return (*g, *([] if h is None else [h]))

    def view(self, x: Any) -> Any:
        """The barycenter, or a batch of them."""
        return np.asarray(x.masses)

    def guess(self) -> Any:
        """A first guess that is far from the answer."""
        return tuple(np.linspace(-0.3, 0.3, self.shape[1]) * sign for sign in (1, -2)), None

    def integer_guess(self) -> Any:
        return (np.arange(self.shape[1]) % 2,) * 2, None

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        n, m = self.shape
        good = np.ones(m)
        points: list[tuple[Any, type]] = [
            (((good, bad), None), kind) for bad, kind in bad_vectors(m)
        ]
        return [
            *points,
            (((good,), None), ValueError),
            (((good, good, good), None), ValueError),
            (((good, good), np.ones(n)), ValueError),
            ((np.ones((2, m + 1)), None), ValueError),
            ((good, None), TypeError),
            ((1.0, None), TypeError),
            (("zero", None), TypeError),
            ((None, None), TypeError),
            (((good, good), "zero"), TypeError),
            (((good, good),), TypeError),
            (good, TypeError),
            (3.0, TypeError),
            ("zero", TypeError),
        ]

    def effortless(self, engine: str) -> tuple[Average, list[Any]]:
        """Where nothing costs anything the barycenter is the reference, at zero potentials."""
        cost, *rest = self.data()
        sample = self.wrap(0 * cost, *rest, engine)
        return sample, [None, sample.zero]

    def one_unknown(self, value: float, engine: str) -> Average:
        mass = np.array([6.0])
        return self.wrap(
            np.array([[value]]), [mass, mass], np.ones(2), None, None, engine, epsilon=value / 4
        )

    def scaled(self, index: int, engine: str) -> tuple[Average, Average, float]:
        """A problem, the same with costs in another unit, and what brings its masses back."""
        factor, kind = [(2.0**-20, "shared"), (2.0**12, "debiased")][index]
        cost, masses, weights, reference, own = self.data(kind)
        plain = self.wrap(cost, masses, weights, reference, own, engine)
        cost, own = jax.tree_util.tree_map(lambda part: factor * part, (cost, own))
        other = self.wrap(
            cost, masses, weights, reference, own, engine, epsilon=factor * self.epsilon
        )
        return plain, other, 1.0

    def permuted(self, engine: str, dtype: Any) -> tuple[Average, Average, Any]:
        """A problem, the same with its points in another order, and how views follow."""
        cost, masses, weights, reference, own = self.data()
        n, m = self.shape
        rng = np.random.default_rng(3)
        rows, columns = rng.permutation(n), rng.permutation(m)
        plain = self.wrap(cost, masses, weights, reference, own, engine, dtype)
        mixed = self.wrap(
            cost[np.ix_(rows, columns)], [b[columns] for b in masses], weights, reference, own,
            engine, dtype,
        )  # fmt: skip

        def follow(view: np.ndarray) -> np.ndarray:
            plans = view[n:].reshape(2, n, m)[:, rows][:, :, columns]
            return np.concatenate([view[:n][rows], plans.ravel()])

        return plain, mixed, follow

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.abs(view).sum())

    # Transformations: a problem as a function of arrays.

    mapped = 1  # which array varies under vmap

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        cost, masses, weights, _, _ = self.data(seed=seed)
        return cost, np.stack(masses), weights

    def traced(self, cost: Any, masses: Any, weights: Any) -> Any:
        """A problem of JAX values."""
        return EntropicBarycenter(cost, masses, weights, self.epsilon)

    def easy(self, cost: Any, masses: Any, weights: Any) -> tuple[Any, ...]:
        """Arrays of the same shapes whose problem is solved before the first step."""
        return 0 * cost, masses, weights

    def scene(self) -> tuple[Any, Any, float]:
        """Arrays along a parameter t, a linear read-out of the barycenter, and its slope."""
        cost, masses, weights = self.arrays()
        rng = np.random.default_rng(8)
        bump, turn = rng.uniform(0.1, 1.0, cost.shape), np.array([0.1, -0.1])
        drift = rng.standard_normal(masses.shape) / (4 * masses.size)
        drift -= drift.mean(1, keepdims=True)
        values = rng.standard_normal(self.shape[0])

        def parts(t: Any) -> tuple[Any, Any, Any]:
            return cost + t * bump, masses + t * drift, weights + t * turn

        def reference(t: float) -> float:
            sample = self.wrap(*parts(t), None, None, "host")
            return float(values @ sample.view(sample.answer)[: self.shape[0]])

        def readout(x: Any) -> Any:
            return jnp.asarray(values) @ x.masses

        return parts, readout, (reference(0.3 + 1e-5) - reference(0.3 - 1e-5)) / 2e-5
