"""Functions for tests of smooth problems, and methods step by step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.traced import join, split


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def quadratic(x, args):
    A, b = args
    return 0.5 * x @ A @ x - b @ x


def saddle(x):
    """Stationary at 0, where it bends down along the first axis; least at (1, 0) and (-1, 0)."""
    return (x[0] ** 2 - 1) ** 2 + x[1] ** 2


def soft(x, args):
    """Convex, with a Hessian whose constant `soft_constant` gives."""
    (A,) = args
    z = A @ x
    return (jnp.abs(z) + jnp.log1p(jnp.exp(-2 * jnp.abs(z)))).mean() - 0.3 * x[0]


def soft_constant(A):
    """4 / (3 sqrt 3) is the largest third derivative of log cosh."""
    return 4 / 27**0.5 * (np.linalg.norm(A, axis=1) ** 3).mean()


def definite(n=5, seed=0):
    rng = np.random.default_rng([seed, 17])
    A = rng.standard_normal((n, n))
    return A @ A.T + np.eye(n), rng.standard_normal(n)


def states(problem, method, steps):
    """The states before each of so many steps and after the last, stacked."""
    prepared = problem.prepare("traced")
    known, arguments = split((prepared, method.bind(prepared)))
    return jax.device_get(_states(known, steps, arguments))


@partial(jax.jit, static_argnums=(0, 1))
def _states(known, steps, arguments):
    problem, method = join(known, arguments)

    def one(state, _):
        state = method.step(problem, state)
        return state, state

    first = method.init(problem, problem.start(None), Memory(), None)
    last = jax.lax.scan(one, first, None, length=steps)[1]
    return jax.tree_util.tree_map(lambda a, b: jnp.concatenate([a[None], b]), first, last)
