"""Problems of the experiments on sketched Newton methods, and courses of steps on them."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

ROOT = math.sqrt(2.0)


class Case(NamedTuple):
    """An objective, equations, a start; jnp is handed to both functions."""

    f: Callable[[Any, Any], Any]
    c: Callable[[Any, Any], list[Any]]
    start: tuple[float, ...]
    least: float
    """The objective at the answer that is known."""


# Of W. Hock, K. Schittkowski (1981), Test examples for nonlinear programming codes: those with
# equations alone. The set of the authors holds most of them; another source of problems may be
# added here by its name.
CASES = {
    "HS6": Case(
        lambda x, n: (1 - x[0]) ** 2, lambda x, n: [10 * (x[1] - x[0] ** 2)], (-1.2, 1.0), 0.0
    ),
    "HS7": Case(
        lambda x, n: n.log(1 + x[0] ** 2) - x[1],
        lambda x, n: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
        (2.0, 2.0), -(3**0.5),
    ),
    "HS26": Case(
        lambda x, n: (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4,
        lambda x, n: [(1 + x[1] ** 2) * x[0] + x[2] ** 4 - 3],
        (-2.6, 2.0, 2.0), 0.0,
    ),
    "HS27": Case(
        lambda x, n: 0.01 * (x[0] - 1) ** 2 + (x[1] - x[0] ** 2) ** 2,
        lambda x, n: [x[0] + x[2] ** 2 + 1],
        (2.0, 2.0, 2.0), 0.04,
    ),
    "HS28": Case(
        lambda x, n: (x[0] + x[1]) ** 2 + (x[1] + x[2]) ** 2,
        lambda x, n: [x[0] + 2 * x[1] + 3 * x[2] - 1],
        (-4.0, 1.0, 1.0), 0.0,
    ),
    "HS39": Case(
        lambda x, n: -x[0],
        lambda x, n: [x[1] - x[0] ** 3 - x[2] ** 2, x[0] ** 2 - x[1] - x[3] ** 2],
        (2.0,) * 4, -1.0,
    ),
    "HS40": Case(
        lambda x, n: -x.prod(),
        lambda x, n: [x[0] ** 3 + x[1] ** 2 - 1, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]],
        (0.8,) * 4, -0.25,
    ),
    "HS42": Case(
        lambda x, n: sum((x[i] - i - 1) ** 2 for i in range(4)),
        lambda x, n: [x[0] - 2, x[2] ** 2 + x[3] ** 2 - 2],
        (1.0,) * 4, 28 - 10 * ROOT,
    ),
    "HS46": Case(
        lambda x, n: (x[0] - x[1]) ** 2 + (x[2] - 1) ** 2 + (x[3] - 1) ** 4 + (x[4] - 1) ** 6,
        lambda x, n: [
            x[0] ** 2 * x[3] + n.sin(x[3] - x[4]) - 1, x[1] + x[2] ** 4 * x[3] ** 2 - 2,
        ],
        (ROOT / 2, 1.75, 0.5, 2.0, 2.0), 0.0,
    ),
    "HS47": Case(
        lambda x, n: (
            (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 3 + (x[2] - x[3]) ** 4 + (x[3] - x[4]) ** 4
        ),
        lambda x, n: [
            x[0] + x[1] ** 2 + x[2] ** 3 - 3, x[1] - x[2] ** 2 + x[3] - 1, x[0] * x[4] - 1,
        ],
        (2.0, ROOT, -1.0, 2 - ROOT, 0.5), 0.0,
    ),
    "HS48": Case(
        lambda x, n: (x[0] - 1) ** 2 + (x[1] - x[2]) ** 2 + (x[3] - x[4]) ** 2,
        lambda x, n: [x.sum() - 5, x[2] - 2 * (x[3] + x[4]) + 3],
        (3.0, 5.0, -3.0, 2.0, -2.0), 0.0,
    ),
    "HS49": Case(
        lambda x, n: (x[0] - x[1]) ** 2 + (x[2] - 1) ** 2 + (x[3] - 1) ** 4 + (x[4] - 1) ** 6,
        lambda x, n: [x[0] + x[1] + x[2] + 4 * x[3] - 7, x[2] + 5 * x[4] - 6],
        (10.0, 7.0, 2.0, -3.0, 0.8), 0.0,
    ),
    "HS50": Case(
        lambda x, n: (
            (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 2 + (x[2] - x[3]) ** 4 + (x[3] - x[4]) ** 2
        ),
        lambda x, n: [x[i] + 2 * x[i + 1] + 3 * x[i + 2] - 6 for i in range(3)],
        (35.0, -31.0, 11.0, 5.0, -5.0), 0.0,
    ),
    "HS51": Case(
        lambda x, n: (
            (x[0] - x[1]) ** 2 + (x[1] + x[2] - 2) ** 2 + (x[3] - 1) ** 2 + (x[4] - 1) ** 2
        ),
        lambda x, n: [x[0] + 3 * x[1] - 4, x[2] + x[3] - 2 * x[4], x[1] - x[4]],
        (2.5, 0.5, 2.0, -1.0, 0.5), 0.0,
    ),
    "HS52": Case(
        lambda x, n: (
            (4 * x[0] - x[1]) ** 2 + (x[1] + x[2] - 2) ** 2 + (x[3] - 1) ** 2 + (x[4] - 1) ** 2
        ),
        lambda x, n: [x[0] + 3 * x[1], x[2] + x[3] - 2 * x[4], x[1] - x[4]],
        (2.0,) * 5, 1859 / 349,
    ),
    "HS77": Case(
        lambda x, n: (
            (x[0] - 1) ** 2 + (x[0] - x[1]) ** 2 + (x[2] - 1) ** 2 + (x[3] - 1) ** 4
            + (x[4] - 1) ** 6
        ),
        lambda x, n: [
            x[0] ** 2 * x[3] + n.sin(x[3] - x[4]) - 2 * ROOT,
            x[1] + x[2] ** 4 * x[3] ** 2 - 8 - ROOT,
        ],
        (2.0,) * 5, 0.24150513,
    ),
    "HS78": Case(
        lambda x, n: x.prod(),
        lambda x, n: [
            x @ x - 10, x[1] * x[2] - 5 * x[3] * x[4], x[0] ** 3 + x[1] ** 3 + 1,
        ],
        (-2.0, 1.5, 2.0, -1.0, -1.0), -2.91970041,
    ),
    "HS79": Case(
        lambda x, n: (
            (x[0] - 1) ** 2 + (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 2 + (x[2] - x[3]) ** 4
            + (x[3] - x[4]) ** 4
        ),
        lambda x, n: [
            x[0] + x[1] ** 2 + x[2] ** 3 - 2 - 3 * ROOT, x[1] - x[2] ** 2 + x[3] + 2 - 2 * ROOT,
            x[0] * x[4] - 2,
        ],
        (2.0,) * 5, 0.0787768209,
    ),
}  # fmt: skip


def problem_of(case: Case) -> Any:
    """The case as a problem in double precision."""
    import jax.numpy as jnp

    from resolvent import ConstrainedProblem

    return ConstrainedProblem(
        lambda x: case.f(x, jnp), lambda x: jnp.stack(case.c(x, jnp)), x0=np.array(case.start)
    )


def membrane(N: int) -> Any:
    """A control problem on an N x N grid: a state near a given one, at the least control."""
    from resolvent import ConstrainedProblem

    h, m = 2 / (N + 1), N * N
    line = (np.eye(N, k=1) + np.eye(N, k=-1) - 2 * np.eye(N)) / h**2
    laplacian = np.kron(line, np.eye(N)) + np.kron(np.eye(N), line)
    away = (np.arange(1, N + 1) - (N + 1) / 2) * 0.1 / math.sqrt(15)
    wanted = (np.sin(4 + away)[:, None] + np.cos(3 + away)).ravel()

    def f(x: Any, args: Any) -> Any:
        state, control = x[:m] - args[1], x[m:]
        return 0.5 * state @ state + 0.05 * control @ control

    return ConstrainedProblem(
        f, lambda x, args: args[0] @ x[:m] + x[m:], args=(laplacian, wanted), x0=np.ones(2 * m)
    )


def classification(samples: int, features: int, equations: int, seed: int) -> Any:
    """Logistic regression on normalized rows under random linear equations and |x| = 1."""
    import jax.numpy as jnp

    from resolvent import ConstrainedProblem

    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, features))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    y = np.sign(X @ rng.standard_normal(features) + 0.3 * rng.standard_normal(samples))
    A, inside = rng.standard_normal((equations, features)), rng.standard_normal(features)
    b = A @ (inside / np.linalg.norm(inside))

    def f(x: Any, args: Any) -> Any:
        return jnp.logaddexp(0.0, -args[1] * (args[0] @ x)).mean()

    def c(x: Any, args: Any) -> Any:
        return jnp.append(args[2] @ x - args[3], x @ x - 1)

    return ConstrainedProblem(f, c, args=(X, y, A, b), x0=np.ones(features))


def well_conditioned() -> Any:
    """A strongly convex objective with a quartic, under curved equations of small curvature."""
    import jax.numpy as jnp

    from resolvent import ConstrainedProblem

    rng = np.random.default_rng(5)
    n, m = 8, 3
    A, q = np.linalg.qr(rng.standard_normal((n, m)))[0].T, rng.standard_normal(n)

    def f(x: Any, args: Any) -> Any:
        return 0.5 * x @ x + args[1] @ x + 0.1 * (x**4).sum()

    def c(x: Any, args: Any) -> Any:
        along = args[0] @ x
        return along + 0.1 * jnp.sin(along) + 0.1 * x @ x - 0.5

    return ConstrainedProblem(f, c, args=(A, q), x0=np.ones(n))


class Step(NamedTuple):
    """What is recorded after each step of a method."""

    error: float
    size: float
    """Of the step; NaN for methods that keep none."""
    weights: tuple[float, ...]
    inner: int
    """Inner steps up to now."""
    outer: int
    """Changes of multipliers where these are the outer iterations, else steps."""


def course(problem: Any, method: Any, goal: float, most: int = 200) -> Iterator[Step]:
    """The start and every step of a method, down to a KKT error of `goal` by its multipliers."""
    import jax

    from resolvent import Memory
    from resolvent._core.precision import scope
    from resolvent._core.randomness import jax_key
    from resolvent._core.traced import join, split
    from resolvent.constrained.conditions import errors
    from resolvent.constrained.derivatives import local

    with scope(True):
        static, dynamic = split((problem.prepare("traced"), method))
        key = jax_key(0) if method.random else None

        def residual(problem: Any, method: Any, state: Any) -> Any:
            x, pair = method.iterate(problem, state)
            v = problem.vector(x)
            return errors(v, local(problem, v), pair, None).total

        def begun(dynamic: Any) -> Any:
            problem, method = join(static, dynamic)
            state = method.init(problem, problem.start(None), Memory(), key)
            return state, residual(problem, method, state)

        def stepped(dynamic: Any, state: Any) -> Any:
            problem, method = join(static, dynamic)
            state = method.step(problem, state)
            return state, residual(problem, method, state)

        (state, error), step = jax.jit(begun)(dynamic), jax.jit(stepped)
        yield _row(state, error, 0)
        for k in range(most):
            if float(error) <= goal or int(state.status) or not math.isfinite(error):
                return
            state, error = step(dynamic, state)
            yield _row(state, error, k + 1)


def _row(state: Any, error: Any, steps: int) -> Step:
    weights = getattr(state, "weights", getattr(state, "mu", ()))
    inner = getattr(state, "inner", getattr(state, "products", 0))
    return Step(
        float(error), float(getattr(state, "step", math.nan)),
        tuple(float(w) for w in np.ravel(np.array(weights, float))), int(inner),
        int(getattr(state, "updates", steps)),
    )  # fmt: skip


def operations(which: str, rows: list[Any], size: int) -> float:
    """Floating point operations of the inner solves of a course, `size` unknowns each.

    A projection on a row takes 4 N, one on a Gaussian combination 2 N^2 + 6 N, the k-th step of
    GMRES 2 N^2 + 8 k N with its directions orthogonalized twice.
    """
    total, before = 0.0, 0
    for row in rows[1:]:
        steps, before = row.inner - before, row.inner
        if which == "Kaczmarz":
            total += steps * 4 * size
        elif which == "Gaussian":
            total += steps * (2 * size**2 + 6 * size)
        else:
            total += steps * 2 * size**2 + 4 * size * steps * (steps + 1)
    return total
