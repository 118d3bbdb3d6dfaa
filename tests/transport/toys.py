"""The plainest Sinkhorn iteration, to test problems and answers without the family's methods."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

import resolvent as rs
from resolvent.transport.softmin import softmin


class State(NamedTuple):
    f: Any
    g: Any
    error: Any
    steps: Any


class Plain(rs.Method):
    """One update of either potential a step, in logarithms."""

    name: ClassVar[str] = "plain"
    solves: ClassVar = (rs.EntropicTransport,)

    def init(self, problem: Any, x0: Any, memory: Any, key: Any) -> State:
        return State(*x0, _error(problem, x0), 0)

    def step(self, problem: Any, state: State) -> State:
        f = _update(problem, 0, softmin(problem.cost, problem.epsilon, state.g, problem.log_b))
        g = _update(problem, 1, softmin(problem.cost.T, problem.epsilon, f, problem.log_a))
        return State(f, g, _error(problem, rs.transport.Potentials(f, g)), state.steps + 1)

    def measure(self, problem: Any, state: State) -> Any:
        return state.error

    def iterate(self, problem: Any, state: State) -> tuple[Any, Any]:
        return rs.transport.Potentials(state.f, state.g), None

    def calls(self, problem: Any, state: State) -> dict[str, Any]:
        return {"softmin": 2 * state.steps}


def _update(problem: Any, side: int, value: Any) -> Any:
    tau = problem.penalty[side]
    return value if tau is None else value * (tau / (tau + problem.epsilon))


def _error(problem: Any, x: Any) -> Any:
    parts = problem.residual(x)
    xp = np if isinstance(parts[0], np.ndarray) else jnp
    return sum(xp.abs(part).sum() for part in parts)


def clouds(n=7, m=5, seed=0, d=2):
    """Points, masses and the squared distances between them."""
    rng = np.random.default_rng([seed, n, m])
    x, y = rng.random((n, d)), rng.random((m, d))
    a, b = rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, m)
    return x, y, a / a.sum(), b / b.sum()


def squares(x, y):
    """||x_i - y_j||^2."""
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)


def solve(problem, **options):
    """A solve far below every tolerance that the tests ask for."""
    return rs.solve(problem, Plain(), **{"rtol": 1e-13, "max_steps": 200_000, **options})
