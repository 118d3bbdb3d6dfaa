"""Maps with and without fixed points, and proofs that there are none."""

import jax.numpy as jnp
import numpy as np

GAP = np.array([0.0, -1.0])  # from the half-plane y >= 2 to the unit disc


def translation(x, v):
    return x - v


def turning(x, args):
    """Rotations of pairs of coordinates, and a drift along the last one."""
    cosine, sine, drift = args
    a, b = x[:-1:2], x[1:-1:2]
    pairs = jnp.stack([cosine * a - sine * b, sine * a + cosine * b], axis=1)
    return jnp.concatenate([pairs.ravel(), x[-1:] - drift])


def angles(low, high, number, drift):
    """Arguments of `turning`."""
    theta = np.logspace(low, high, number)
    return np.cos(theta), np.sin(theta), drift


def disc_and_half_plane(z):
    """The Douglas-Rachford map of the unit disc and {y >= 2}, which are 1 apart."""
    z = jnp.asarray(z)
    a = z / jnp.maximum(1.0, jnp.linalg.norm(z))
    b = 2 * a - z
    return z + b.at[1].set(jnp.maximum(b[1], 2.0)) - a


def separates(v):
    """Whether v separates the disc from the half-plane, up to rounding."""
    level = abs(v[0]) <= 1e-6 * abs(v[1])
    return level & (-jnp.linalg.norm(v) > 2 * v[1])


class LinearProgram:
    """min c'x over A x = b, x >= 0, with the maps of two methods and their certificates."""

    def __init__(self, A, b, c):
        self.A, self.b, self.c = (np.asarray(part, float) for part in (A, b, c))
        self.inverse = np.linalg.pinv(self.A)
        self.step = 0.9 / np.linalg.norm(self.A, 2)

    @property
    def args(self):
        return self.A, self.b, self.c, self.inverse, self.step

    @property
    def start(self):
        return np.zeros(self.c.size)

    @property
    def pair(self):
        return np.zeros(self.c.size), np.zeros(self.b.size)


def douglas_rachford(z, args):
    A, b, c, inverse, _ = args
    x = z - c
    x = x - inverse @ (A @ x - b)
    return z + jnp.maximum(2 * x - z, 0.0) - x


def primal_dual(z, args):
    A, b, c, _, step = args
    x, y = z
    following = jnp.maximum(x - step * (c - A.T @ y), 0.0)
    return following, y + step * (b - A @ (2 * following - x))


def _primal(w, args, tolerance=1e-6):
    """A'w <= 0 and b'w > 0: Farkas' proof that nothing is feasible."""
    A, b = args[:2]
    size = jnp.linalg.norm(w)
    return (A.T @ w <= tolerance * size).all() & (b @ w > tolerance * size)


def _dual(d, args, tolerance=1e-6):
    """A d = 0, d >= 0, c'd < 0: what is feasible can be improved without end."""
    A, _, c = args[:3]
    size = jnp.linalg.norm(d)
    ray = (jnp.linalg.norm(A @ d) <= tolerance * size) & (d >= -tolerance * size).all()
    return ray & (c @ d < -tolerance * size)


def douglas_rachford_proves(v, args):
    """The part of v in the range of A' against feasibility, the rest against boundedness."""
    A, inverse = args[0], args[3]
    w = inverse.T @ v
    return _primal(w, args) | _dual(A.T @ w - v, args)


def primal_dual_proves(v, args):
    return _primal(-v[1], args) | _dual(-v[0], args)


INFEASIBLE = LinearProgram([[1, 1, 1], [1, 2, 0]], [1, -1], [1, 1, 1])
UNBOUNDED = LinearProgram([[1, -1, 0], [0, 1, -1]], [1, 1], [-1, 0, 0.2])
BOTH = LinearProgram([[1, -1, 0], [0, 0, 1]], [1, -1], [-1, 0, 0])
FEASIBLE = LinearProgram([[1, 1, 1], [1, 2, 0]], [2, 1], [1, 3, 2])
