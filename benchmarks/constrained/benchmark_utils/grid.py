"""Control of a field on a grid: the problem, its functions in NumPy, and what inverts its middle.

    minimize |w - w*|^2 / 2 + 0.05 |z|^2   subject to   L w - cubic w^3 + z = 0

on N x N inner points, L the five-point Laplacian over h^2: N^2 equations for 2 N^2 unknowns.
"""

import numpy as np
import scipy.sparse as sp

from benchmark_utils.generators import wanted_state

COST = 0.1  # of the squared control


def grid(N, cubic=0.0):
    """The problem of shifts of arrays, with the pattern of its Jacobian."""
    import jax.numpy as jnp

    import resolvent as rs

    m, scale = N * N, float((N + 1) ** 2)

    def f(x, args):
        away = x[:m] - args
        return 0.5 * (away @ away) + 0.5 * COST * (x[m:] @ x[m:])

    def c(x, args):
        w = x[:m].reshape(N, N)
        wide = jnp.pad(w, 1)
        around = wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]
        return (scale * (around - 4 * w) - cubic * w**3).ravel() + x[m:]

    marks = sp.hstack([laplacian(N), sp.eye_array(m)])
    return rs.ConstrainedProblem(f, c, args=wanted_state(N), x0=np.ones(2 * m), pattern=marks)


def laplacian(N):
    """[N^2, N^2], sparse."""
    ones = np.ones(N)
    line = sp.diags_array([ones, -2 * ones, ones], offsets=[-1, 0, 1], shape=(N, N))
    eye = sp.eye_array(N)
    return sp.csr_array((sp.kron(line, eye) + sp.kron(eye, line)) * (N + 1) ** 2)


def preconditioner(N):
    """The inverse of the blocks H and L H^-1 L^T + H^-1 of the linear problem, by sines."""
    import jax.numpy as jnp

    m, k = N * N, np.arange(1, N + 1)
    sines = np.sqrt(2 / (N + 1)) * np.sin(np.pi * np.outer(k, k) / (N + 1))
    line = -4 * (N + 1) ** 2 * np.sin(0.5 * np.pi * k / (N + 1)) ** 2
    inverse = 1 / ((line[:, None] + line[None, :]) ** 2 + 1 / COST)

    def apply(x, force, values, args):
        V = jnp.asarray(sines, force.dtype)
        middle = V @ ((V @ values.reshape(N, N) @ V) * inverse) @ V
        return jnp.concatenate([force[:m], force[m:] / COST]), middle.ravel()

    return apply


class GridOracles:
    """The same functions by hand, sparse, with as many calls as other packages make of them."""

    p = 0

    def __init__(self, N, cubic=0.0):
        self.N, self.m, self.cubic, self.evaluations = N, N * N, cubic, 0
        self.L, self.wanted = laplacian(N), wanted_state(N)
        self.x0 = np.ones(2 * self.m)
        self.low, self.high = np.full(2 * self.m, -np.inf), np.full(2 * self.m, np.inf)
        self.none = sp.csr_array((0, 2 * self.m))
        self.unit = float(np.linalg.norm(self.slopes(self.x0)[0]))

    def parts(self, x):
        """State and control."""
        return x[: self.m], x[self.m :]

    def values(self, x):
        """f, c and h."""
        self.evaluations += 1
        w, z = self.parts(x)
        away = w - self.wanted
        f = 0.5 * (away @ away) + 0.5 * COST * (z @ z)
        return f, self.L @ w - self.cubic * w**3 + z, np.zeros(0)

    def slopes(self, x):
        """The gradient of f and the Jacobians of c and h."""
        w, z = self.parts(x)
        G = sp.hstack([self.L - sp.diags_array(3 * self.cubic * w**2), sp.eye_array(self.m)])
        return np.r_[w - self.wanted, COST * z], sp.csr_array(G), self.none

    def hessian(self, x, weight, y, z):
        """Of weight f + y c."""
        w, ones = x[: self.m], np.ones(self.m)
        return sp.diags_array(np.r_[weight * ones - 6 * self.cubic * w * y, weight * COST * ones])

    def compiled(self):
        """Itself: there is nothing to compile."""
        return self

    def fresh(self):
        """Itself, as before the first call."""
        self.evaluations = 0
        return self
