"""POT's Sinkhorn iterations: on scalings, in the log domain, and on stabilized scalings."""

import warnings

import numpy as np
from benchmark_utils.children import ChildSolver


class Solver(ChildSolver):
    name = "pot"
    parameters = {"method": ["sinkhorn", "sinkhorn_log", "sinkhorn_stabilized"]}
    requirements = ["pip::POT"]
    package = "ot"

    def misfit(self, task, data):
        if task != "solve":
            return True, "shown on single problems with a matrix of costs"
        return False, None


def prepare(data, method, epsilon, rtol):
    """Its exit test is on the l2 norm of one marginal, whose l1 norm is that times sqrt(m)."""
    import ot

    a, b, cost = data["a"], data["b"], data["cost"]

    def solve():
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            plan = ot.sinkhorn(
                a, b, cost, epsilon, method=method, numItermax=10**8,
                stopThr=rtol / np.sqrt(len(b)),
            )  # fmt: skip
        return plan, told

    return solve


def answer(found):
    """It says that it failed by a warning."""
    plan, told = found
    return {"plan": plan[None], "claimed": not told}
