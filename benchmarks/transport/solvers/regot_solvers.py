"""RegOT's Newton methods on sparsified Hessians."""

import numpy as np
from benchmark_utils.children import ChildSolver

STEPS = 10**5
# With the density that they have by default, these two stall on random assignment.
DENSITY = {"sinkhorn_sparse_newton": 0.5, "sinkhorn_splr": 0.1}


class Solver(ChildSolver):
    name = "regot"
    parameters = {"method": ["sinkhorn_ssns", "sinkhorn_sparse_newton", "sinkhorn_splr"]}
    requirements = ["pip::regot"]
    package = "regot"

    def misfit(self, task, data):
        if task != "solve":
            return True, "shown on single problems with a matrix of costs"
        return False, None


def prepare(data, method, epsilon, rtol):
    """Its exit test is on the l2 norm of both marginals, n + m - 1 numbers."""
    import regot

    a, b, cost = data["a"], data["b"], np.asfortranarray(data["cost"])
    options = {"density": DENSITY[method]} if method in DENSITY else {}
    tolerance = rtol / np.sqrt(len(a) + len(b))

    def solve():
        run = getattr(regot, method)
        return run(cost, a, b, epsilon, tol=tolerance, max_iter=STEPS, **options)

    return solve


def answer(found):
    """Fewer steps than allowed is all that it says."""
    return {"plan": found.plan[None], "claimed": found.niter < STEPS}
