"""OTT-JAX's Sinkhorn in double precision, compiled outside the clock."""

import numpy as np
from benchmark_utils.children import ChildSolver


class Solver(ChildSolver):
    name = "ott"
    parameters = {"method": ["plain", "momentum", "adaptive-momentum", "anderson"]}
    requirements = ["pip::ott-jax"]
    package = "ott"

    def misfit(self, task, data):
        if task != "solve":
            return True, "shown on single problems with a matrix of costs"
        return False, None


def prepare(data, method, epsilon, rtol):
    """Its exit test is the l1 error of one marginal; with a momentum the other has one, too."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.acceleration import AndersonAcceleration, Momentum
    from ott.solvers.linear.sinkhorn import Sinkhorn

    options = {
        "plain": {},
        "momentum": {"momentum": Momentum(value=1.5)},
        "adaptive-momentum": {"momentum": Momentum(start=100)},
        "anderson": {"anderson": AndersonAcceleration(memory=5)},
    }[method]
    threshold = rtol / 4 if "momentum" in options else rtol
    solver = Sinkhorn(threshold=threshold, max_iterations=10**6, **options)
    geometry = Geometry(cost_matrix=jnp.asarray(data["cost"]), epsilon=epsilon)
    a, b = jnp.asarray(data["a"]), jnp.asarray(data["b"])
    problem = LinearProblem(geometry, a=a, b=b)
    compiled = jax.jit(solver.__call__).lower(problem).compile()

    def solve():
        out = jax.block_until_ready(compiled(problem))
        return out.f, out.g, out.converged, data["a"], data["b"], epsilon

    return solve


def answer(found):
    """Its potentials contain the logarithms of the masses."""
    f, g, converged, a, b, epsilon = found
    return {
        "f": (np.asarray(f) - epsilon * np.log(a))[None],
        "g": (np.asarray(g) - epsilon * np.log(b))[None],
        "claimed": converged,
    }
