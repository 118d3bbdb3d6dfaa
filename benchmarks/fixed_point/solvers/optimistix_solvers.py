"""Optimistix's fixed-point iteration and its Newton method, compiled outside the clock."""

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_utils.clock import timed
from benchmark_utils.maps import in_jax
from benchopt import BaseSolver

STEPS = 100_000


class Solver(BaseSolver):
    name = "optimistix"
    parameters = {"method": ["fixed-point", "newton"]}
    requirements = ["pip::optimistix"]
    sampling_strategy = "run_once"

    def skip(self, kind, start, **_):
        if kind == "recurrence":
            return True, "no method for it"
        if self.method == "newton" and start.size > 1000:
            return True, "it takes a matrix of all unknowns"
        return False, None

    def set_objective(self, kind, start, args, target, limit):
        import optimistix

        jax.config.update("jax_enable_x64", start.dtype == np.float64)
        fn = in_jax(kind)
        kinds = {"fixed-point": optimistix.FixedPointIteration, "newton": optimistix.Newton}
        solver = kinds[self.method](rtol=0.0, atol=target, norm=optimistix.two_norm)

        def solve(start, args):
            sol = optimistix.fixed_point(fn, solver, start, args, max_steps=STEPS, throw=False)
            fine = sol.result == optimistix.RESULTS.successful
            return sol.value, fine, sol.stats["num_steps"]

        given = jnp.asarray(start), jax.tree_util.tree_map(jnp.asarray, args)
        compiled = jax.jit(solve).lower(*given).compile()
        self.solve = lambda: jax.block_until_ready(compiled(*given))

    def run(self, _):
        self.found, self.seconds = timed(self.solve)

    def get_result(self):
        x, fine, steps = self.found
        return {
            "x": np.asarray(x), "claimed": bool(fine), "seconds": self.seconds,
            "steps": int(steps), "calls": int(steps),
        }  # fmt: skip
