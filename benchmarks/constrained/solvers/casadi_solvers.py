"""IPOPT by CasADi, which differentiates the problem and finds its sparsity by itself."""

from benchmark_utils.collected import Collected


class Solver(Collected):
    name = "casadi-ipopt"
    requirements = ["pip::casadi", "pip::resolvent"]
    file = __file__

    def able(self, problem):
        return problem["from"] == "grid"


def prepare(problem, rtol, limit):
    """A function that solves."""
    import casadi as ca
    import numpy as np
    from benchmark_utils.grid import COST
    from benchmark_utils.oracles import oracles

    here = oracles(problem)
    m = here.m
    x = ca.MX.sym("x", 2 * m)
    w, z = x[:m], x[m:]
    f = 0.5 * ca.sumsqr(w - ca.DM(here.wanted)) + 0.5 * COST * ca.sumsqr(z)
    c = ca.DM(here.L.tocsc()) @ w - here.cubic * w**3 + z
    tolerance = rtol * here.unit
    program = ca.nlpsol("program", "ipopt", {"x": x, "f": f, "g": c}, {
        "print_time": False, "ipopt": {
            # Its measure is the largest entry, ours the norm; its own scaling would loosen both.
            "tol": 0.1 * tolerance, "dual_inf_tol": 0.1 * tolerance,
            "constr_viol_tol": 0.1 * tolerance, "nlp_scaling_method": "none",
            "acceptable_iter": 0, "print_level": 0, "sb": "yes",
        },
    })  # fmt: skip

    def solve():
        found = program(x0=here.x0, lbg=0.0, ubg=0.0)
        stats = program.stats()
        return {
            "x": np.array(found["x"]).ravel(),
            "pair": (np.array(found["lam_g"]).ravel(), np.zeros(0)),
            "claimed": bool(stats["success"]), "steps": int(stats["iter_count"]),
            "evaluations": int(stats["n_call_nlp_f"]), "said": stats["return_status"],
        }  # fmt: skip

    return solve
