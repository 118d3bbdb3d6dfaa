"""The house of Schroedinger bridges, with a referee who integrates Gaussian paths himself."""

import dataclasses
import functools
import itertools
from typing import Any

import numpy as np
from scipy.optimize import brentq

from resolvent.transport.schrodinger import BridgedProcess, Brownian, LinearDrift, SchrodingerBridge


@dataclasses.dataclass(frozen=True)
class Bridge:
    """Snapshots on a line, explained by dX = theta X dt + sigma dW, or without any drift."""

    problem: Any
    snapshots: tuple[np.ndarray, ...]
    times: np.ndarray
    sigma: float
    substeps: int
    drifts: bool

    scale = 1.0

    @functools.cached_property
    def answer(self) -> Any:
        """The process whose drift is its own refit."""
        theta = np.zeros(0)
        if self.drifts:

            def move(slope: float) -> float:
                theta = np.array([slope])
                return float(self._refit(theta, self._couplings(theta, *self._bridges(theta)))[0])

            theta = np.array([brentq(move, -3.0, 0.5, xtol=1e-14, rtol=1e-14)])
        f, g = self._bridges(theta)
        return BridgedProcess(theta, tuple(f), tuple(g))

    @property
    def arrays(self) -> list[np.ndarray]:
        """The problem's own data as it stands."""
        return [*map(np.array, self.problem.snapshots), np.array(self.problem.times)]

    @property
    def like(self) -> tuple[Any, ...]:
        """Arrays whose kind, precision and shape the parts of `x` share."""
        sides = [points[:, 0] for points in self.problem.snapshots]
        return (np.zeros(int(self.drifts)), *sides[:-1], *sides[1:])

    def view(self, x: Any) -> np.ndarray:
        """Drift and couplings: potentials may exchange a constant."""
        theta = np.asarray(x.theta)
        couplings = self._couplings(theta, x.f, x.g)
        return np.concatenate([theta, *(coupling.ravel() for coupling in couplings)])

    def measure(self, x: Any) -> float:
        """The worst marginal error, or the distance from the refit if that is more."""
        theta = np.asarray(x.theta)
        couplings = self._couplings(theta, x.f, x.g)
        errors = [
            np.abs(P.sum(1) - 1 / P.shape[0]).sum() + np.abs(P.sum(0) - 1 / P.shape[1]).sum()
            for P in couplings
        ]
        if self.drifts:
            step, information = self._refit(theta, couplings)
            errors.append(abs(step) * np.sqrt(information))
        return float(max(errors))

    def rounding(self, dtype: Any) -> float:
        """What rounding alone can do to the certificate."""
        return 1e-12

    def error(self, x: Any) -> float:
        """Distance of drift and couplings, relative to theirs."""
        answer = self.view(self.answer)
        return float(np.abs(self.view(x) - answer).sum() / np.abs(answer).sum())

    def allowed(self, value: float) -> float:
        """The error that a certificate of `value` can hide, with room for its two parts."""
        gain = 1.0
        if self.drifts:
            theta, h = self.answer.theta, 1e-5
            ends = [
                self._refit(t, self._couplings(t, *self._bridges(t)))
                for t in (theta - h, theta + h)
            ]
            gain += abs(2 * h / (ends[1][0] - ends[0][0])) / np.sqrt(ends[0][1])
        return float(10 * gain * value)

    def _chain(self, theta: np.ndarray, i: int) -> tuple[float, float]:
        """Length of an Euler step, and what it multiplies with."""
        h = float(self.times[i + 1] - self.times[i]) / self.substeps
        return h, 1.0 + h * float(theta.sum())

    def _kernel(self, theta: np.ndarray, i: int) -> np.ndarray:
        """The density of the later particles, given the earlier."""
        h, factor = self._chain(theta, i)
        variance = self.sigma**2 * h * sum(factor ** (2 * k) for k in range(self.substeps))
        gaps = self.snapshots[i + 1] - factor**self.substeps * self.snapshots[i][:, None]
        return np.exp(-0.5 * gaps**2 / variance) / np.sqrt(2 * np.pi * variance)

    def _bridges(self, theta: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The potentials of a drift, by plain Sinkhorn sweeps."""
        f, g = [], []
        for i in range(len(self.times) - 1):
            K = self._kernel(theta, i)
            v = np.ones(K.shape[1])
            for _ in range(400):
                u = 1.0 / (K @ v / K.shape[1])
                v = 1.0 / (K.T @ u / K.shape[0])
            f.append(np.log(u))
            g.append(np.log(v))
        return f, g

    def _couplings(self, theta: np.ndarray, f: Any, g: Any) -> list[np.ndarray]:
        return [
            self._kernel(theta, i) * np.exp(left[:, None] + right) / (left.size * right.size)
            for i, (left, right) in enumerate(zip(f, g, strict=True))
        ]

    def _refit(self, theta: np.ndarray, couplings: list[np.ndarray]) -> tuple[float, float]:
        """The step to the least-squares fit of the bridges' paths, and its information."""
        information = score = 0.0
        for i, P in enumerate(couplings):
            h, factor = self._chain(theta, i)
            k = self.substeps
            D = np.eye(k, k + 1, 1) - factor * np.eye(k, k + 1)
            M = D.T @ D / (self.sigma**2 * h)
            inner, ends = np.arange(1, k), [0, k]
            covariance = np.zeros((k + 1, k + 1))
            covariance[1:k, 1:k] = np.linalg.inv(M[np.ix_(inner, inner)])
            pull = np.zeros((k + 1, 2))
            pull[ends] = np.eye(2)
            pull[inner] = -covariance[1:k, 1:k] @ M[np.ix_(inner, ends)]
            for n, m in np.ndindex(*P.shape):
                mean = pull @ [self.snapshots[i][n], self.snapshots[i + 1][m]]
                second = covariance + np.outer(mean, mean)
                squares, products = np.diagonal(second)[:-1].sum(), np.diagonal(second, 1).sum()
                information += P[n, m] * h * squares / self.sigma**2
                score += P[n, m] * (products - squares) / self.sigma**2
        return score / information - float(theta[0]), information


class Bridges:
    """Few particles that contract towards zero."""

    sizes = (6, 5, 7)
    dtypes = (np.float64,)  # whatever comes is brought to double precision
    tight = 1e-7
    floor = 1e-8  # what bridges within the method's own tolerance leave
    returns_guesses = True
    scalings = 2
    storages = ("drift",)

    def kinds(self, cls: type) -> list[str]:
        """A drift that is to be found, and none."""
        return ["drift", "classical"]

    def rtol(self, dtype: Any) -> float:
        return self.tight

    def data(self, seed: int = 0, sizes: Any = None) -> Any:
        """Snapshots of a process that contracts."""
        rng = np.random.default_rng([seed, 13])
        times = np.array([0.0, 0.5, 1.2])
        points = [
            1.5 * np.exp(-time) + 0.4 * rng.standard_normal(size)
            for time, size in zip(times, self.sizes if sizes is None else sizes, strict=True)
        ]
        return tuple(points), times

    def wrap(self, snapshots: Any, times: Any, sigma: float = 0.5, drifts: bool = True) -> Bridge:
        family = LinearDrift(offset=False) if drifts else Brownian()
        columns = [points[:, None] for points in snapshots]
        problem = SchrodingerBridge(columns, times, sigma, family, 4)
        return Bridge(problem, snapshots, times, sigma, 4, drifts)

    def sample(
        self, engine: str, dtype: Any = np.float64, kind: str = "drift", seed: int = 0
    ) -> Bridge:
        return self.wrap(*self.data(seed), drifts=kind == "drift")

    def stored(self, storage: str) -> Any:
        return self.sample("host", kind=storage).problem

    def larger(self, engine: str) -> Bridge:
        """A problem of another size."""
        return self.wrap(*self.data(sizes=(8, 5, 9)))

    def parts(self, x: Any) -> tuple[Any, ...]:
        """The arrays that an answer consists of."""
        return (x.theta, *x.f, *x.g)

    def guess(self) -> Any:
        """A first guess that is far from the answer."""
        sides = [np.linspace(-0.3, 0.3, size) for size in self.sizes]
        return BridgedProcess(np.array([0.3]), tuple(sides[:-1]), tuple(sides[1:]))

    def integer_guess(self) -> Any:
        sides = [np.arange(size) % 2 for size in self.sizes]
        return BridgedProcess(np.array([0]), tuple(sides[:-1]), tuple(sides[1:]))

    def bad_guesses(self) -> list[tuple[Any, type]]:
        """What is no first guess, and how it is refused."""
        good = self.guess()
        short = tuple(part[:-1] for part in good.f)
        return [
            (good.but(theta=np.array([np.nan])), ValueError),
            (good.but(theta=np.zeros(2)), ValueError),
            (good.but(theta=np.array([1j])), TypeError),
            (good.but(theta="zero"), TypeError),
            (good.but(f=tuple(np.full(part.size, np.inf) for part in good.f)), ValueError),
            (good.but(f=short), ValueError),
            (good.but(f=good.f[:1]), ValueError),
            (good.but(f=(*good.f, good.f[0])), ValueError),
            (good.but(g=tuple(part.astype(np.float16) for part in good.g)), TypeError),
            (1.0, TypeError),
            (np.ones(3), TypeError),
            ("zero", TypeError),
        ]

    def one_unknown(self, value: float, engine: str) -> Bridge:
        points = np.array([0.0]), np.array([value])
        return self.wrap(points, np.array([0.0, 1.0]), value, drifts=False)

    def scaled(self, index: int, engine: str) -> tuple[Bridge, Bridge, float]:
        """A problem, the same in another unit of length, and what brings its views back."""
        factor = [2.0**-20, 2.0**12][index]
        snapshots, times = self.data()
        scaled = self.wrap(tuple(factor * points for points in snapshots), times, 0.5 * factor)
        return self.wrap(snapshots, times), scaled, 1.0

    def permuted(self, engine: str, dtype: Any) -> tuple[Bridge, Bridge, Any]:
        """A problem, the same with its particles in another order, and how views follow."""
        snapshots, times = self.data()
        rng = np.random.default_rng(3)
        orders = [rng.permutation(points.size) for points in snapshots]
        mixed = tuple(points[order] for points, order in zip(snapshots, orders, strict=True))

        def follow(view: np.ndarray) -> np.ndarray:
            moved, begin = [view[:1]], 1
            for left, right in itertools.pairwise(orders):
                end = begin + left.size * right.size
                coupling = view[begin:end].reshape(left.size, right.size)
                moved.append(coupling[np.ix_(left, right)].ravel())
                begin = end
            return np.concatenate(moved)

        return self.wrap(snapshots, times), self.wrap(mixed, times), follow

    def size_of(self, view: Any) -> float:
        """The norm in which views are compared."""
        return float(np.abs(view).sum())
