"""Loops as somebody writes them: T again and again in NumPy, and a scan over stages in JAX."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_utils.clock import timed
from benchmark_utils.maps import cell, in_numpy
from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "loop"
    parameters = {"method": ["numpy", "scan"]}
    requirements = ["numpy", "pip::jax"]
    sampling_strategy = "run_once"

    def skip(self, kind, **_):
        if (kind == "recurrence") != (self.method == "scan"):
            return True, "another kind of problem"
        return False, None

    def set_objective(self, kind, start, args, target, limit):
        self.start, self.args, self.target, self.limit = start, args, target, limit
        if self.method == "numpy":
            self.fn, self.solve = in_numpy(kind), self._iterate
            return
        jax.config.update("jax_enable_x64", start.dtype == np.float64)

        def scan(start, args):
            inputs, *weights = args

            def one(y, x):
                y = cell(jnp, y, x, *weights)
                return y, y

            return jax.lax.scan(one, start, inputs)[1]

        given = jax.tree_util.tree_map(jnp.asarray, (start, args))
        compiled = jax.jit(scan).lower(*given).compile()
        self.solve = lambda: (jax.block_until_ready(compiled(*given)), True, len(args[0]))

    def run(self, _):
        (self.x, self.claimed, self.steps), self.seconds = timed(self.solve)

    def _iterate(self):
        x, end, k = self.start, time.perf_counter() + self.limit, 0
        while time.perf_counter() <= end:
            image, k = self.fn(x, self.args), k + 1
            if np.linalg.norm(image - x) <= self.target:
                return x, True, k
            x = image
        return x, False, k

    def get_result(self):
        return {
            "x": np.asarray(self.x), "claimed": self.claimed, "seconds": self.seconds,
            "steps": self.steps, "calls": self.steps,
        }  # fmt: skip
