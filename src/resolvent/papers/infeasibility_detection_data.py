"""Maps without a fixed point, how iterations on them are followed, and the worst of such maps."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.memory import Memory
from resolvent._core.traced import join, split


def turning(x: Any, args: Any) -> Any:
    """Rotations of pairs of coordinates, and a step of -1 along the last one."""
    cosine, sine = args
    a, b = x[:-1:2], x[1:-1:2]
    pairs = jnp.stack([cosine * a - sine * b, sine * a + cosine * b], axis=1)
    return jnp.concatenate([pairs.ravel(), x[-1:] - 1.0])


def rotations(number: int, seed: int = 0) -> Any:
    """The fixed-point problem of so many rotations by angles from 10^-3.5 to 10^0.3 and a drift."""
    import resolvent as rs

    angles = np.logspace(-3.5, 0.3, number)
    start = np.random.default_rng(seed).standard_normal(2 * number + 1) / 10
    return rs.FixedPoint(turning, start, (np.cos(angles), np.sin(angles)))


def disc_and_half_plane(z: Any) -> Any:
    """The Douglas-Rachford map of the unit disc and {y >= 2}, which are 1 apart."""
    a = z / jnp.maximum(1.0, jnp.linalg.norm(z))
    b = 2 * a - z
    return z + b.at[1].set(jnp.maximum(b[1], 2.0)) - a


class Course(NamedTuple):
    """Distances of two estimates from the infimal displacement vector, after k = 1, 2, ... steps.

    Attributes:
        residual: of x_k - T(x_k).
        normalized: of -(x_k - x_0) / (pace k), pace being the part of v that a step moves by.
    """

    residual: np.ndarray
    normalized: np.ndarray

    @property
    def k(self) -> np.ndarray:
        """1, 2, ..."""
        return np.arange(1, self.residual.size + 1)


def course(problem: Any, method: Any, v: np.ndarray, steps: int, pace: float) -> Course:
    """So many steps of a method of the library."""
    with jax.enable_x64(True):
        static, dynamic = split((problem.prepare("traced"), method, jnp.asarray(v), pace))
        return Course(*(np.asarray(part) for part in _follow(static, dynamic, steps)))


@partial(jax.jit, static_argnums=(0, 2))
def _follow(static: Any, dynamic: Any, steps: int) -> Any:
    problem, method, v, pace = join(static, dynamic)
    first = problem.first

    def body(state: Any, k: Any) -> Any:
        state = method.step(problem, state)
        residual = trees.norm(state.x - state.image - v)
        return state, (residual, trees.norm((first - state.x) / (pace * k) - v))

    begun = method.init(problem, first, Memory(), None)
    begun = jax.tree_util.tree_map(jnp.asarray, begun)
    return jax.lax.scan(body, begun, jnp.arange(1.0, steps + 1.0))[1]


class LinearProgram(NamedTuple):
    """min c'x over A x = b, x >= 0, without an answer, and what proves that.

    Attributes:
        farkas: w with A'w <= 0 and b'w > 0, or None where something is feasible.
        ray: d >= 0 with A d = 0 and c'd < 0, or None where y with A'y <= c exists.
    """

    A: np.ndarray
    b: np.ndarray
    c: np.ndarray
    farkas: np.ndarray | None
    ray: np.ndarray | None

    @property
    def args(self) -> Any:
        """What the maps of both splittings take."""
        inverse = np.linalg.pinv(self.A)
        return self.A, self.b, self.c, inverse, np.array(0.9 / np.linalg.norm(self.A, 2))


def program(kind: str, m: int, n: int, seed: int) -> LinearProgram:
    """A random program that is `infeasible`, `unbounded` or both."""
    rng = np.random.default_rng(seed)
    A, w = rng.standard_normal((m, n)), rng.standard_normal(m)
    w /= np.linalg.norm(w)
    d = np.where(np.arange(n) % 2 == 0, rng.random(n) + 0.5, 0.0)
    slack = rng.random(n) + 0.1
    b, c = A @ rng.random(n), rng.random(n)
    if kind != "infeasible":
        A = A - np.outer(A @ d, d) / (d @ d)
        b, slack = A @ rng.random(n), np.where(d > 0, 0.0, slack)
        c = c - d * (c @ d + 1.0) / (d @ d)
    if kind != "unbounded":
        A = A - np.outer(w, w @ A + slack)
        b = b + w * (1.0 - w @ b)
    return LinearProgram(
        A, b, c, None if kind == "unbounded" else w, None if kind == "infeasible" else d
    )


def douglas_rachford(z: Any, args: Any) -> Any:
    """The map of the splitting into A x = b with the costs, and x >= 0."""
    A, b, c, inverse, _ = args
    x = z - c
    x = x - inverse @ (A @ x - b)
    return z + jnp.maximum(2 * x - z, 0.0) - x


def primal_dual(z: Any, args: Any) -> Any:
    """A step of the primal-dual hybrid gradient method."""
    A, b, c, _, step = args
    x, y = z
    following = jnp.maximum(x - step * (c - A.T @ y), 0.0)
    return following, y + step * (b - A @ (2 * following - x))


def is_farkas(w: Any, args: Any, tolerance: float) -> Any:
    """A'w <= 0 and b'w > 0 up to the tolerance: nothing is feasible."""
    A, b = args[:2]
    size = jnp.linalg.norm(w)
    return (A.T @ w <= tolerance * size).all() & (b @ w > tolerance * size)


def is_ray(d: Any, args: Any, tolerance: float) -> Any:
    """A d = 0, d >= 0, c'd < 0 up to the tolerance: what is feasible has no least costs."""
    A, _, c = args[:3]
    size = jnp.linalg.norm(d)
    flat = (jnp.linalg.norm(A @ d) <= tolerance * size) & (d >= -tolerance * size).all()
    return flat & (c @ d < -tolerance * size)


def parts(name: str, v: Any, args: Any) -> tuple[Any, Any]:
    """The candidates for w and d in a displacement vector of one of the two maps."""
    if name == "Douglas-Rachford":
        w = args[3].T @ v
        return w, args[0].T @ w - v
    return -v[1], -v[0]


TOLERANCE = 1e-6


def _verify_douglas_rachford(v: Any, args: Any) -> Any:
    w, d = parts("Douglas-Rachford", v, args)
    return is_farkas(w, args, TOLERANCE) | is_ray(d, args, TOLERANCE)


def _verify_primal_dual(v: Any, args: Any) -> Any:
    w, d = parts("primal-dual", v, args)
    return is_farkas(w, args, TOLERANCE) | is_ray(d, args, TOLERANCE)


SPLITTINGS = ("Douglas-Rachford", "primal-dual")


def as_fixed_point(name: str, program: LinearProgram) -> Any:
    """The fixed points of a splitting's map, with the check of its displacement vectors."""
    import resolvent as rs

    x, y = np.zeros(program.c.size), np.zeros(program.b.size)
    if name == "Douglas-Rachford":
        return rs.FixedPoint(douglas_rachford, x, program.args, verify=_verify_douglas_rachford)
    return rs.FixedPoint(primal_dual, (x, y), program.args, verify=_verify_primal_dual)


class Interpolation(NamedTuple):
    """What nonexpansive maps can do to Halpern's iteration, as bounds on numbers z.

    With x* = 0 and T(x*) = -v, write x_k = s_k - (k / 2) v and T(x_k) = r_k - (k / 2 + 1) v. The
    length of v then drops out of all that is known, and with <v, s_0 - r_0> as large as one likes
    so does the pair of x_0 and x_k. What is left is the Gram matrix G of x_0, r_0, ..., r_N, and
    d_k = <v, s_k - r_k> >= 0 for k = 1, ..., N. z holds half of G, row by row, and the d_k.

    Attributes:
        bounds: bounds z <= levels: T is nonexpansive between every two points, v the shortest
            displacement, and x_0 within 1 of x*.
        levels: right-hand sides.
        error: error z = ||x_N - T(x_N) - v||^2 = ||s_N - r_N||^2.
        inside: a z that satisfies all of it strictly, with G of full rank.
        size: of G.
    """

    bounds: np.ndarray
    levels: np.ndarray
    error: np.ndarray
    inside: np.ndarray
    size: int


def interpolation(steps: int) -> Interpolation:
    """For N = `steps`."""
    size = steps + 2
    unit, below = np.eye(size), np.eye(steps)
    half = np.triu_indices(size)
    root = np.where(half[0] == half[1], 1.0, 2.0)
    r = unit[1:]
    s = [unit[0] / (k + 1) + k / (k + 1) * (r[k - 1] if k else 0.0) for k in range(steps + 1)]

    def square(vector: np.ndarray) -> np.ndarray:
        return root * np.outer(vector, vector)[half]

    rows = [
        np.append(
            square(r[i] - r[j]) - square(s[i] - s[j]), (i - j) * (below[i - 1] - below[j - 1])
        )
        for i in range(1, steps + 1)
        for j in range(1, i)
    ]
    rows += [np.append(square(r[i]) - square(s[i]), i * below[i - 1]) for i in range(1, steps + 1)]
    rows.append(np.append(square(r[0]) - square(s[0]), 0 * below[0]))
    rows += [np.append(square(0 * unit[0]), -one) for one in below]
    rows.append(np.append(square(unit[0]), 0 * below[0]))
    levels = np.zeros(len(rows))
    levels[-1] = 1.0
    error = np.append(square(s[-1] - r[-1]), 0 * below[0])
    # A contraction whose values are each moved a little by themselves.
    own = 0.8 * np.eye(size)
    for k in range(steps + 1):
        own[1 + k] = 0.3 * (s[k] @ own) + 0.02 * 0.85**k * unit[1 + k]
    inside = np.append((own @ own.T)[half], np.full(steps, 1e-8))
    return Interpolation(np.array(rows), levels, error, inside, size)


def worst_case(steps: int, accuracy: float = 1e-7) -> tuple[float, float]:
    """The supremum of ||x_N - T(x_N) - v||^2 over nonexpansive T with ||x_0 - x*|| <= 1.

    Newton's method on the logarithmic barrier of what is possible.

    Returns:
        What is attained by possible numbers, and with the duality gap of their multipliers added.
    """
    task = interpolation(steps)
    size, z, bounds = task.size, task.inside, task.bounds
    rows, columns = np.triu_indices(size)
    once, number = np.where(rows == columns, 1.0, 2.0), rows.size
    weight, shrink = 1.0, 0.3

    def full(z: np.ndarray) -> np.ndarray:
        G = np.zeros((size, size))
        G[rows, columns] = z[:number]
        return G + np.triu(G, 1).T

    def barrier(z: np.ndarray) -> float:
        slack = task.levels - bounds @ z
        if not (slack > 0).all():
            return np.inf
        try:
            factor = np.linalg.cholesky(full(z))
        except np.linalg.LinAlgError:
            return np.inf
        return -task.error @ z / weight - 2 * np.log(np.diag(factor)).sum() - np.log(slack).sum()

    def centered(z: np.ndarray) -> np.ndarray:
        for _ in range(100):
            slack, W = task.levels - bounds @ z, np.linalg.inv(full(z))
            scaled = bounds / slack[:, None]
            slope, hessian = scaled.sum(axis=0) - task.error / weight, scaled.T @ scaled
            slope[:number] -= once * W[rows, columns]
            crossed = W[np.ix_(rows, rows)] * W[np.ix_(columns, columns)]
            crossed += W[np.ix_(rows, columns)] * W[np.ix_(columns, rows)]
            hessian[:number, :number] += np.outer(once, once) * crossed / 2
            even = 1 / np.sqrt(np.diag(hessian))
            step = -even * np.linalg.solve(hessian * np.outer(even, even), even * slope)
            decrement, here, length = -slope @ step, barrier(z), 1.0
            if decrement < 1e-8:
                return z
            while barrier(z + length * step) > here - 0.1 * length * decrement:
                length *= 0.5
                if length < 1e-9:
                    return z
            z = z + length * step
        return z

    gap = np.inf
    while gap > accuracy:
        z = centered(z)
        gap = weight * (size + len(bounds))
        weight *= shrink
    value = float(task.error @ z)
    return value, value + gap
