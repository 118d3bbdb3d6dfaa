"""Resolvent: methods for every kind of constraint, and Newton's methods for equations alone."""

from benchmark_utils.collected import Collected


class Solver(Collected):
    name = "resolvent"
    parameters = {
        "method": [
            "default", "augmented-lagrangian", "interior-point", "newton", "l1-sqp", "minres",
            "kaczmarz", "gaussian", "projected-newton",
        ]
    }  # fmt: skip
    requirements = ["pip::resolvent"]
    file = __file__

    def able(self, problem):
        # A preconditioner is known for grids alone, and only without a matrix are they small.
        if (problem["from"] == "grid") != (self.method == "minres"):
            return False
        if self.method in ("kaczmarz", "gaussian"):
            return problem.get("sketched", False)
        if self.method == "projected-newton":
            return problem.get("bounded", False)
        every = self.method in ("default", "augmented-lagrangian", "interior-point")
        return every or problem["equations"]

    def chosen(self):
        return {"method": self.method}


def prepare(problem, rtol, limit, method):
    """A function that solves."""
    import numpy as np
    from benchmark_utils.grid import preconditioner
    from benchmark_utils.oracles import built

    import resolvent as rs

    chosen = {
        "default": lambda: None,
        "augmented-lagrangian": rs.constrained.AugmentedLagrangian,
        "interior-point": rs.constrained.PrimalDualInteriorPoint,
        "projected-newton": rs.constrained.ProjectedNewton,
        "newton": lambda: rs.constrained.SketchedNewton("exact"),
        "kaczmarz": rs.constrained.SketchedNewton,
        "gaussian": lambda: rs.constrained.SketchedNewton("gaussian"),
        "l1-sqp": lambda: rs.constrained.L1SQP(solver="exact"),
        "minres": lambda: rs.constrained.L1SQP(
            solver="minres", preconditioner=preconditioner(problem["given"]["N"]), multipliers=0.0
        ),
    }[method]()
    program = built(problem)

    def solve():
        sol = rs.solve(program, chosen, rtol=rtol, throw=False)
        pair = None if sol.witness is None else tuple(np.asarray(part) for part in sol.witness)
        return {
            "x": np.asarray(program.vector(sol.x)), "pair": pair, "claimed": bool(sol.converged),
            "steps": int(sol.steps), "evaluations": int(sol.calls["evaluation"]),
            "said": str(sol.reason),
        }  # fmt: skip

    solve()  # compiles all that it needs
    return solve
