"""A problem of the benchmark by its description, and its functions for NumPy."""

import functools

import numpy as np


def built(problem):
    """The problem: one of CUTEst by its name."""
    from resolvent.papers.sif_problems import sif_problem

    return sif_problem(problem["given"])


class Oracles:
    """Compiled functions of vectors; points at which gradients are taken are counted."""

    def __init__(self, problem):
        import jax

        self.problem = problem
        self.evaluations = 0
        self._slope = jax.jit(jax.value_and_grad(problem.smooth))
        self._hessian = jax.jit(jax.hessian(problem.smooth))
        self.x0 = np.array(problem.first)
        self.unit = float(problem.scale(None))
        self._last = functools.lru_cache(4)(self._computed)

    def _computed(self, key):
        self.evaluations += 1
        value, slope = self._slope(np.frombuffer(key))
        return float(value), np.array(slope)

    def slope(self, x):
        """f and its gradient."""
        return self._last(np.array(x, np.float64).tobytes())

    def hessian(self, x):
        """The matrix of second derivatives."""
        return np.array(self._hessian(np.array(x, np.float64)))

    def compiled(self, second):
        """Itself, with its programs made, that of the Hessian where it is asked for."""
        self.slope(self.x0)
        if second:
            self.hessian(self.x0)
        return self

    def fresh(self):
        """Itself, as before the first call."""
        self._last.cache_clear()
        self.evaluations = 0
        return self
