"""Resolvent: trust regions, lazy Hessians, and the methods that take gradients alone."""

from benchmark_utils.collected import Collected


class Solver(Collected):
    name = "resolvent"
    parameters = {
        "method": [
            "trust-region", "trust-region-cg", "lazy-newton", "damped-newton", "lbfgs",
            "nonlinear-cg", "polynomial-gradient",
        ]
    }  # fmt: skip
    requirements = ["pip::resolvent"]
    file = __file__

    def chosen(self):
        return {"method": self.method}


def prepare(problem, rtol, limit, method):
    """A function that solves."""
    import numpy as np
    from benchmark_utils.oracles import built

    import resolvent as rs

    chosen = {
        "trust-region": rs.smooth.TrustRegion,
        "trust-region-cg": lambda: rs.smooth.TrustRegion("truncated"),
        "lazy-newton": lambda: rs.smooth.LazyNewton(m=5),
        "damped-newton": rs.smooth.DampedNewton,
        "lbfgs": rs.smooth.LBFGS,
        "nonlinear-cg": rs.smooth.NonlinearCG,
        "polynomial-gradient": rs.smooth.PolynomialGradient,
    }[method]()
    program = built(problem)

    def solve():
        sol = rs.solve(program, chosen, rtol=rtol, throw=False)
        return {
            "x": np.asarray(sol.x), "claimed": bool(sol.converged), "steps": int(sol.steps),
            "evaluations": int(sol.calls["gradient"]), "said": str(sol.reason),
        }  # fmt: skip

    solve()  # compiles all that it needs
    return solve
