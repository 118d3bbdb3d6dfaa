"""Resolvent's methods, through the same front door that its users take.

`anderson-jit` is the whole solve inside one compiled function, as a layer of a network has it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_utils.clock import timed
from benchmark_utils.maps import cell, in_jax
from benchopt import BaseSolver

import resolvent as rs

MAPS = {
    "anderson": "Anderson", "anderson-jit": "Anderson", "picard": "Picard", "halpern": "Halpern",
    "squarem": "Squarem", "broyden": "Broyden",
}  # fmt: skip
STAGES = {
    "sequential": "GaussSeidelSweep", "deer": "DEER", "quasi-deer": "QuasiDEER",
    "jacobi": "JacobiSweeps",
}  # fmt: skip
WARM = 70  # steps; more than the first chunk of a solve, so that all programs are compiled
MOST = 10**7


def stage(y, x, weights):
    return cell(jnp, y, x, *weights)


class Solver(BaseSolver):
    name = "resolvent"
    parameters = {"method": [*MAPS, *STAGES]}
    requirements = ["pip::resolvent"]
    sampling_strategy = "run_once"

    def skip(self, kind, **_):
        if (kind == "recurrence") != (self.method in STAGES):
            return True, "another kind of problem"
        return False, None

    def set_objective(self, kind, start, args, target, limit):
        jax.config.update("jax_enable_x64", start.dtype == np.float64)
        self.target, self.limit = target, limit
        start, args = jnp.asarray(start), jax.tree_util.tree_map(jnp.asarray, args)
        if kind == "recurrence":
            inputs, *weights = args
            self.problem = rs.fixed_point.Recurrence(stage, inputs, start, tuple(weights))
            self.iteration = getattr(rs.fixed_point, STAGES[self.method])()
        else:
            self.problem = rs.FixedPoint(in_jax(kind), start, args)
            self.iteration = getattr(rs.fixed_point, MAPS[self.method])()
        if self.method.endswith("jit"):
            whole = jax.jit(self._purely).lower(start, args).compile()
            self.solve = lambda: jax.block_until_ready(whole(start, args))
            return
        self._eagerly(0.0, WARM)
        if kind == "recurrence":
            self._eagerly()  # what these end with exactly is another program
        self.solve = self._eagerly

    def _purely(self, start, args):
        problem = rs.FixedPoint(self.problem.fn, start, args)
        sol = rs.solve(problem, self.iteration, rtol=0.0, atol=self.target, max_steps=MOST)
        return sol.x, sol.converged, sol.steps, sol.calls["map"]

    def _eagerly(self, atol=None, max_steps=MOST):
        sol = rs.solve(
            self.problem, self.iteration, rtol=0.0, atol=self.target if atol is None else atol,
            max_steps=max_steps, throw=False, progress=False,
            callback=lambda report: report.seconds > self.limit,
        )  # fmt: skip
        return jax.block_until_ready(sol.x), sol.converged, sol.steps, sol.calls.get("map", 0)

    def run(self, _):
        self.found, self.seconds = timed(self.solve)

    def get_result(self):
        x, converged, steps, calls = self.found
        return {
            "x": np.asarray(x), "claimed": bool(converged), "steps": int(steps),
            "calls": int(calls), "seconds": self.seconds,
        }  # fmt: skip
