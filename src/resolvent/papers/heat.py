"""The heat equation with a diffusion that swings in time: a sequence of SPD systems with context.

    u_t = kappa(t) (u_xx + u_yy) + f(t, x, y) on the unit square, u = 0 on its boundary,

by the Crank-Nicolson scheme: one system a step, all of one sparsity, each with its own kappa as
context. The right-hand side depends on the last solution, so the simulation hands out a system
and waits for its answer:

    heat = HeatEquation(side=50, steps=200)
    for sol in solve_sequence(heat.systems(), method, warm_start=Previous()):
        heat.u = sol.x
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sparse

END = 5.0
STEPS = 5000


def conductivity(t: float) -> float:
    """kappa(t) = max(0.1 sin 2 pi t, -10 sin 2 pi t): small and large in turn, each half a unit."""
    wave = math.sin(2.0 * math.pi * t)
    return max(0.1 * wave, -10.0 * wave)


class HeatEquation:
    """A simulation that yields its systems one by one.

    Args:
        side: interior grid points a side; side^2 unknowns.
        steps: time steps to do.
        step: length of one; the whole experiment is 5000 steps of 0.001.

    Attributes:
        u: the present temperatures, shape (side^2,); set it after every solve.
        done: steps so far.
        largest: the largest kappa that can occur (the smallest is 0): the range of the contexts.
    """

    largest = 10.0

    def __init__(self, side: int, steps: int = STEPS, step: float = END / STEPS):
        self.side, self.steps, self.step = side, steps, step
        self.spacing = 1.0 / (side + 1)
        self.points = np.linspace(self.spacing, 1.0 - self.spacing, side)
        line = sparse.diags_array(
            [-np.ones(side - 1), 2.0 * np.ones(side), -np.ones(side - 1)], offsets=[-1, 0, 1]
        )
        eye = sparse.eye_array(side)
        laplacian = (sparse.kron(line, eye) + sparse.kron(eye, line)).tocsr()
        laplacian.sum_duplicates()
        self._indices, self._indptr = laplacian.indices, laplacian.indptr
        self._laplacian = laplacian.data
        rows = np.repeat(np.arange(side * side), np.diff(laplacian.indptr))
        self._unit = (laplacian.indices == rows).astype(float)
        self.u = self._bump(0.5, 0.5, 0.25).ravel()
        self.done = 0

    def systems(self) -> Iterator[Any]:
        """The systems of the remaining steps; each is made when it is asked for."""
        from resolvent.linear.problem import LinearSystem

        while self.done < self.steps:
            A, b, kappa = self.next_system()
            yield LinearSystem(A, b, symmetric=True, positive_definite=True, context=kappa)

    def next_system(self) -> tuple[sparse.csr_array, np.ndarray, float]:
        """Matrix, right-hand side and kappa of the next step."""
        t = (self.done + 0.5) * self.step
        kappa = conductivity(t)
        A = self.matrix(kappa)
        # (I - K) u = 2 u - (I + K) u
        b = 2.0 * self.u - A @ self.u
        self._heat(b, t)
        self.done += 1
        return A, b, kappa

    def matrix(self, kappa: float) -> sparse.csr_array:
        """I + (step kappa / 2 h^2) (4 on the diagonal, -1 for each neighbour)."""
        data = (0.5 * self.step * kappa / self.spacing**2) * self._laplacian
        data += self._unit
        n = self.side * self.side
        A = sparse.csr_array((data, self._indices, self._indptr), shape=(n, n), copy=False)
        # Known from the one that was assembled; asking SciPy would read every index again.
        A.has_canonical_format = True
        return A

    def _heat(self, b: np.ndarray, t: float) -> None:
        """Add the source of a step: a bump of radius 1/8 on a circle, eight rounds a unit."""
        angle = 16.0 * math.pi * t
        x, y = 0.5 + 0.25 * math.cos(angle), 0.5 + 0.25 * math.sin(angle)
        rows, columns = self._near(x, 0.125), self._near(y, 0.125)
        field = b.reshape(self.side, self.side)
        field[rows, columns] += (32.0 * self.step) * self._bump(x, y, 0.125, rows, columns)

    def _near(self, centre: float, radius: float) -> slice:
        low = math.ceil((centre - radius) / self.spacing) - 1
        high = math.floor((centre + radius) / self.spacing)
        return slice(max(0, low), min(self.side, high))

    def _bump(
        self,
        x: float,
        y: float,
        radius: float,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> np.ndarray:
        """exp(1 - 1 / (1 - min(1, d^2 / radius^2))), d the distance from (x, y)."""
        across = ((self.points[rows] - x) / radius) ** 2
        along = ((self.points[columns] - y) / radius) ** 2
        rest = 1.0 - np.minimum(1.0, across[:, None] + along[None, :])
        with np.errstate(divide="ignore"):
            return np.exp(1.0 - 1.0 / rest)
