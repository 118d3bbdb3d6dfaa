"""Sparse signals of the experiments on HyperLISTA, FISTA beside it, courses with a finish."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.traced import join, split


class Signals(NamedTuple):
    """Sparse vectors seen through one matrix.

    Attributes:
        A: [m, n], columns of length 1.
        x: [count, n].
        b: [count, m].
    """

    A: np.ndarray
    x: np.ndarray
    b: np.ndarray

    def problems(self) -> list[Any]:
        """One for each signal."""
        from resolvent.composite import SparseRecovery

        A = jnp.asarray(self.A)
        return [SparseRecovery(A, jnp.asarray(b)) for b in self.b]

    def levels(self, x: Any) -> np.ndarray:
        """The squared error of each signal, relative to its size, in decibels."""
        return decibels((np.asarray(x) - self.x) ** 2, self.x**2, axis=1)

    def level(self, x: Any) -> float:
        """That of all of them together."""
        return float(decibels((np.asarray(x) - self.x) ** 2, self.x**2, axis=None))


def decibels(errors: Any, sizes: Any, axis: Any) -> Any:
    """10 log10 of the ratio of two sums."""
    floor = np.finfo(np.float64).tiny
    with np.errstate(divide="ignore"):
        return 10 * np.log10((errors.sum(axis=axis) + floor) / sizes.sum(axis=axis))


def matrix(m: int, n: int) -> np.ndarray:
    """Gaussian columns of length 1."""
    A = np.random.default_rng(0).standard_normal((m, n))
    return A / np.linalg.norm(A, axis=0)


def signals(
    A: np.ndarray,
    count: int,
    seed: int,
    *,
    share: float = 0.1,
    sigma: float = 1.0,
    mean: float = 0.0,
    snr: float = np.inf,
) -> Signals:
    """Normal numbers in a random share of the places, and noise by its ratio in decibels."""
    rng = np.random.default_rng(seed)
    on = rng.random((count, A.shape[1])) < share
    on[np.arange(count), rng.integers(A.shape[1], size=count)] |= ~on.any(1)
    values = rng.standard_normal(on.shape)
    x = np.where(on, mean + sigma * values, 0.0)
    b = x @ A.T
    if np.isfinite(snr):
        e = rng.standard_normal(b.shape)
        e *= np.linalg.norm(b, axis=1, keepdims=True) / np.linalg.norm(e, axis=1, keepdims=True)
        b = b + 10 ** (-snr / 20) * e
    return Signals(A, x, b)


def fista(found: Signals, bar: float, steps: int) -> np.ndarray:
    """The l1-regularized least-squares fit of each signal after some accelerated steps."""
    length = 1.0 / np.linalg.norm(found.A, 2) ** 2
    x = ahead = np.zeros_like(found.x)
    t = 1.0
    for _ in range(steps):
        moved = ahead - length * (ahead @ found.A.T - found.b) @ found.A
        new = np.sign(moved) * np.maximum(np.abs(moved) - length * bar, 0)
        later = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        ahead = new + (t - 1) / later * (new - x)
        x, t = new, later
    return x


def after_layers(found: Signals, method: Any, layers: int) -> np.ndarray:
    """The points after each layer, [layers, count, n]."""
    problem = found.problems()[0]
    method = method.bind(problem)
    three = tuple(map(jnp.asarray, method.numbers(problem.A)))
    return np.asarray(_depths(problem, method.layer, jnp.asarray(found.b), three, layers))


@partial(jax.jit, static_argnums=4)
def _depths(problem: Any, layer: Any, b: Any, three: Any, layers: int) -> Any:
    from resolvent.composite.recovery.hyper_lista import depths

    return jax.vmap(lambda b: depths(problem, layer, b, three, layers), out_axes=1)(b)


def courses(found: Signals, method: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors before and after each step, [count, steps + 1], and whether conjugate
    gradients make the step that follows."""
    problem = found.problems()[0]
    method = method.bind(problem)
    b, x = jnp.asarray(found.b), jnp.asarray(found.x)
    errors, running = _courses(*split((problem, method)), b, x, steps)
    return np.asarray(errors), np.asarray(running)


@partial(jax.jit, static_argnums=(0, 4))
def _courses(static: Any, dynamic: Any, b: Any, x: Any, steps: int) -> Any:
    problem, method = join(static, dynamic)

    def one(b: Any, x: Any) -> Any:
        own = problem.but(b=b)
        state = method.init(own, own.first, Memory(), None)

        def seen(state: Any) -> Any:
            error = jnp.linalg.norm(state.x - x) / jnp.linalg.norm(x)
            return error, state.finish.left > 0

        def body(state: Any, _: Any) -> Any:
            new = method.step(own, state)
            return new, seen(new)

        first = seen(state)
        _, rest = jax.lax.scan(body, state, length=steps)
        return tuple(jnp.concatenate([a[None], b]) for a, b in zip(first, rest, strict=True))

    return jax.vmap(one)(b, x)
