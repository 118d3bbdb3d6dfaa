"""JAXopt's projected steps and fixed-point methods on x <- P(x - step F(x)), compiled beforehand.

It has no method for monotone operators; these are what applies to a strongly monotone one, with
the step mu / L^2 of theory.
"""

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_utils.clock import timed
from benchopt import BaseSolver

STEPS = 100_000


class Solver(BaseSolver):
    name = "jaxopt"
    parameters = {"method": ["projected-gradient", "fixed-point", "anderson"]}
    requirements = ["pip::jaxopt"]
    sampling_strategy = "run_once"

    def skip(self, task, data, **_):
        if task == "game" or data["strong"] is None:
            return True, "needs strong monotonicity"
        return False, None

    def set_objective(self, task, data, rtol, limit):
        import jaxopt

        jax.config.update("jax_enable_x64", True)
        step = data["strong"] / data["lipschitz"] ** 2
        M, q = jnp.asarray(data["M"]), jnp.asarray(data["q"])
        bounds = data["lower"], data["upper"]
        # A step shorter than 1 moves less than the natural residual, but not less than this part.
        tol = min(step, 1.0) * rtol * data["unit"]

        def moved(x, M, q):
            return jnp.clip(x - step * (M @ x + q), *bounds)

        if self.method == "projected-gradient":
            method = jaxopt.ProjectedGradient(
                lambda x, M, q: (0.0, M @ x + q), lambda x, box: jnp.clip(x, *box),
                value_and_grad=True, stepsize=step, acceleration=False, maxiter=STEPS, tol=tol,
            )  # fmt: skip
            given = jnp.zeros(q.size), bounds, M, q
            run = jax.jit(lambda x, box, M, q: method.run(x, box, M=M, q=q))
        else:
            kind = {
                "fixed-point": jaxopt.FixedPointIteration, "anderson": jaxopt.AndersonAcceleration
            }[self.method]  # fmt: skip
            method = kind(moved, maxiter=STEPS, tol=tol)
            given = jnp.zeros(q.size), M, q
            run = jax.jit(method.run)
        compiled = run.lower(*given).compile()
        self.solve = lambda: jax.block_until_ready(compiled(*given))
        self.tol = tol

    def run(self, _):
        self.found, self.seconds = timed(self.solve)

    def get_result(self):
        x, state = self.found
        steps = int(state.iter_num)
        return {
            "x": np.asarray(x), "claimed": bool(state.error <= self.tol), "seconds": self.seconds,
            "steps": steps, "calls": steps,
        }  # fmt: skip
