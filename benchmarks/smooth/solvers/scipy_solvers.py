"""SciPy: quasi-Newton methods and trust regions, with exact derivatives."""

from benchmark_utils.collected import Collected

SECOND = ("trust-exact", "trust-ncg")


class Solver(Collected):
    name = "scipy"
    parameters = {"method": ["BFGS", "L-BFGS-B", *SECOND]}
    requirements = ["pip::scipy", "pip::resolvent"]
    file = __file__

    def chosen(self):
        return {"method": self.method}


def prepare(problem, rtol, limit, method):
    """A function that solves."""
    import numpy as np
    from benchmark_utils.oracles import Oracles, built
    from scipy.optimize import minimize

    here = Oracles(built(problem)).compiled(method in SECOND)
    tolerance = rtol * here.unit
    options = {
        "BFGS": {"gtol": tolerance, "norm": 2, "maxiter": 100_000},
        # Its measure is the largest entry.
        "L-BFGS-B": {"gtol": tolerance / np.sqrt(here.x0.size), "ftol": 0.0, "maxiter": 100_000,
                     "maxfun": 1_000_000},
    }.get(method, {"gtol": tolerance, "maxiter": 100_000})  # fmt: skip

    def solve():
        here.fresh()
        second = {"hess": here.hessian} if method in SECOND else {}
        found = minimize(here.slope, here.x0, jac=True, method=method, options=options, **second)
        said = str(found.message)
        # L-BFGS-B claims success where f changes no more, too; releases differ in the wording.
        idle = "REDUCTION OF F" in said.replace("_", " ")
        return {
            "x": found.x, "claimed": bool(found.success) and not idle,
            "steps": int(found.nit), "evaluations": here.evaluations, "said": said,
        }  # fmt: skip

    return solve
