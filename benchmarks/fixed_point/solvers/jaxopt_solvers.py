"""JAXopt's methods, compiled outside the clock.

`anderson` is what the package does by default; `anderson-10` keeps as many residuals as Resolvent
does by default, with a ridge that is small enough for the tolerances here.
"""

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_utils.clock import timed
from benchmark_utils.maps import in_jax
from benchopt import BaseSolver

STEPS = 100_000


class Solver(BaseSolver):
    name = "jaxopt"
    parameters = {"method": ["anderson", "anderson-10", "fixed-point"]}
    requirements = ["pip::jaxopt"]
    sampling_strategy = "run_once"

    def skip(self, kind, **_):
        if kind == "recurrence":
            return True, "no method for it"
        return False, None

    def set_objective(self, kind, start, args, target, limit):
        import jaxopt

        jax.config.update("jax_enable_x64", start.dtype == np.float64)
        fn, options = in_jax(kind), {"maxiter": STEPS, "tol": target}
        ridge = 1e-10 if start.dtype == np.float64 else 1e-6
        method = {
            "anderson": lambda: jaxopt.AndersonAcceleration(fn, **options),
            "anderson-10": lambda: jaxopt.AndersonAcceleration(
                fn, history_size=10, ridge=ridge, **options
            ),
            "fixed-point": lambda: jaxopt.FixedPointIteration(fn, **options),
        }[self.method]()
        given = jnp.asarray(start), jax.tree_util.tree_map(jnp.asarray, args)
        compiled = jax.jit(method.run).lower(*given).compile()
        self.solve, self.target = lambda: jax.block_until_ready(compiled(*given)), target

    def run(self, _):
        self.found, self.seconds = timed(self.solve)

    def get_result(self):
        x, state = self.found
        return {
            "x": np.asarray(x), "claimed": bool(state.error <= self.target),
            "seconds": self.seconds, "steps": int(state.iter_num),
            "calls": int(state.num_fun_eval),
        }  # fmt: skip
