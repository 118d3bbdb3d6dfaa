"""Problems and runs of the experiments on lazy Hessians."""

from typing import Any

import numpy as np

THIRD = 1 / (6 * 3**0.5)  # the largest third derivative of log(1 + exp(-z))


def logistic_data(seed: int, n: int, d: int) -> tuple[Any, Any]:
    """Samples whose columns have sizes from 1 to 0.1, and labels with noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.logspace(0, -1, d)
    truth = rng.standard_normal(d)
    return X, np.sign(X @ truth + 0.5 * rng.standard_normal(n))


def logistic(x: Any, args: Any) -> Any:
    """The mean logistic loss with a ridge of 1e-5."""
    import jax.numpy as jnp

    X, y = args
    return jnp.logaddexp(0.0, -y * (X @ x)).mean() + 5e-6 * (x @ x)


def logistic_problem(seed: int, n: int, d: int) -> Any:
    """The regression from zero."""
    from resolvent import Minimize

    X, y = logistic_data(seed, n, d)
    return Minimize(
        logistic, (X, y), x0=np.zeros(d), convex=True,
        hessian_lipschitz=float(THIRD * (np.linalg.norm(X, axis=1) ** 3).mean()),
    )  # fmt: skip


def robust(x: Any, args: Any) -> Any:
    """The mean of log(1 + r^2 / 2) over residuals r: large ones hardly count."""
    import jax.numpy as jnp

    A, b = args
    return jnp.log1p(0.5 * (A @ x - b) ** 2).mean()


def robust_third() -> float:
    """The largest third derivative of log(1 + r^2 / 2), a cubic over a power, on a fine grid."""
    r = np.linspace(0.0, 5.0, 200_001)
    return float(np.abs(r * (r * r - 6) / (1 + 0.5 * r * r) ** 3).max() / 2)


def robust_problem(seed: int, n: int, d: int) -> Any:
    """A regression of which a third of the targets are wrong, from a start with negative curvature.

    Lengths of rows are about 1.
    """
    from resolvent import Minimize

    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d)) / d**0.5
    b = A @ (5 * rng.standard_normal(d))
    wrong = rng.random(n) < 1 / 3
    b = np.where(wrong, 10 * rng.standard_normal(n), b)
    bound = robust_third() * float((np.linalg.norm(A, axis=1) ** 3).mean())
    return Minimize(robust, (A, b), x0=3 * rng.standard_normal(d), hessian_lipschitz=bound)


def run(problem: Any, method: Any, steps: int) -> dict[str, Any]:
    """What is known after 0, 1, ... steps: values, gradient norms, Hessians, constants, points."""
    from resolvent.papers import _stepwise

    fields = ("value", "gradient", "hessians", "M", "rejected", "x")
    found = _stepwise.run(problem, method, steps, fields)
    return {**found, "gradient": np.linalg.norm(found["gradient"], axis=1)}


def least(problem: Any) -> tuple[Any, float]:
    """A minimizer as good as rounding admits, and the value there."""
    import jax
    import jax.numpy as jnp

    from resolvent import solve
    from resolvent.smooth import TrustRegion

    x = np.asarray(solve(problem, TrustRegion(), rtol=1e-15, max_steps=200, throw=False).x)
    with jax.enable_x64(True):
        return x, float(problem.prepare("traced").smooth(jnp.asarray(x)))


def first_below(numbers: Any, bound: float) -> float:
    """The first index at which the numbers are so small; infinity if they never are."""
    there = np.flatnonzero(numbers <= bound)
    return float(there[0]) if there.size else np.inf


def cost(found: dict[str, Any], steps: float, d: int) -> float:
    """Gradients and d times the Hessians of so many steps."""
    return steps + d * float(found["hessians"][int(steps)]) if steps < np.inf else np.inf


def largest(x: Any, args: Any) -> Any:
    """log sum exp(a_i^T x - b_i): nearly the largest of linear functions."""
    import jax.scipy

    A, b = args
    return jax.scipy.special.logsumexp(A @ x - b)


def largest_problem(seed: int, n: int, d: int) -> Any:
    """One whose minimum is not near the start: rows have a mean that is taken away."""
    from resolvent import Minimize

    rng = np.random.default_rng(seed)
    A, b = rng.uniform(-1.0, 1.0, (n, d)), rng.uniform(-1.0, 1.0, n)
    # The mean of rows with these weights is zero, so that some point is a minimizer.
    A -= A.mean(axis=0)
    return Minimize(largest, (A, b), x0=np.ones(d), convex=True)


def gradient_methods() -> dict[str, Any]:
    """Those that lazy Hessians are compared with."""
    from resolvent.composite import ProximalGradient
    from resolvent.smooth import LBFGS

    return {"accelerated gradients": ProximalGradient(), "L-BFGS": LBFGS()}


def raced(problem: Any, methods: dict[str, Any]) -> dict[str, Any]:
    """The least time of five solves by each method, and the calls of each, by name.

    Solves that compile come before. Methods take turns, so that other work meets all of them.
    """
    import time

    from resolvent import solve

    spent: dict[str, list[float]] = {label: [] for label in methods}
    calls: dict[str, Any] = {}
    for _ in range(6):
        for label, method in methods.items():
            began = time.perf_counter()
            sol = solve(problem, method, rtol=1e-6, max_steps=20_000, throw=False)
            spent[label].append(time.perf_counter() - began if sol.converged else np.inf)
            calls[label] = sol.calls
    return {label: {"seconds": min(spent[label][1:]), "calls": calls[label]} for label in methods}
