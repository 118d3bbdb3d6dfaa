"""A problem of the benchmark by its description, and its functions for NumPy."""

import functools

import numpy as np


def built(problem):
    """The problem: one of CUTEst by its name, or one of the generators."""
    kind, given = problem["from"], problem["given"]
    if kind == "grid":
        from benchmark_utils.grid import grid

        return grid(**given)
    if kind == "sif":
        from resolvent.papers.sif_problems import sif_problem

        return sif_problem(given)
    from benchmark_utils import generators

    return getattr(generators, kind)(**given)


def oracles(problem):
    """The functions of a problem by its description."""
    if problem["from"] == "grid":
        from benchmark_utils.grid import GridOracles

        return GridOracles(**problem["given"])
    return Oracles(built(problem))


class Oracles:
    """Compiled functions of flat vectors, with as many calls as other packages make of them."""

    def __init__(self, problem):
        import jax

        self.problem = problem
        self.evaluations = 0
        parts = problem.objective_at, problem.equalities_at, problem.inequalities_at
        self._values = jax.jit(lambda v: [part(v) for part in parts])
        self._slopes = jax.jit(
            lambda v: [jax.grad(parts[0])(v), *(jax.jacrev(part)(v) for part in parts[1:])]
        )
        self._hessian = jax.jit(
            jax.hessian(lambda v, w, y, z: w * parts[0](v) + y @ parts[1](v) + z @ parts[2](v))
        )
        self.x0 = np.array(problem.vector(problem.first))
        bounds = problem.bounds_at(self.x0)
        n = self.x0.size
        self.low, self.high = (
            (np.full(n, -np.inf), np.full(n, np.inf)) if bounds is None
            else (np.array(side) for side in bounds)
        )  # fmt: skip
        _, c, h = self._values(self.x0)
        self.m, self.p = c.size, h.size
        self.unit = float(problem.scale(problem.first))
        self._last = functools.lru_cache(8)(self._computed)
        self._steep = functools.lru_cache(8)(self._sloped)

    def _computed(self, key):
        self.evaluations += 1
        return [np.array(part) for part in self._values(np.frombuffer(key))]

    def _sloped(self, key):
        return [np.array(part) for part in self._slopes(np.frombuffer(key))]

    def values(self, x):
        """f, c and h."""
        return self._last(np.array(x, np.float64).tobytes())

    def slopes(self, x):
        """The gradient of f and the Jacobians of c and h."""
        return self._steep(np.array(x, np.float64).tobytes())

    def hessian(self, x, weight, y, z):
        """Of weight f + y c + z h."""
        return np.array(self._hessian(np.array(x, np.float64), float(weight), y, z))

    def compiled(self):
        """Itself, with its programs made and no call counted."""
        zero = np.zeros(self.m), np.zeros(self.p)
        self.values(self.x0), self.slopes(self.x0), self.hessian(self.x0, 1.0, *zero)
        self._last.cache_clear()
        self.evaluations = 0
        return self

    def fresh(self):
        """Itself, as before the first call."""
        self._last.cache_clear()
        self._steep.cache_clear()
        self.evaluations = 0
        return self
