"""IPOPT by the package ipyopt, with exact derivatives, dense."""

from benchmark_utils.collected import Collected

CLOSE = 1e-7


class Solver(Collected):
    name = "ipopt"
    requirements = ["pip::ipyopt", "pip::resolvent"]
    file = __file__

    def able(self, problem):
        return problem["from"] != "grid"


def prepare(problem, rtol, limit):
    """A function that solves."""
    import ipyopt
    import numpy as np
    from benchmark_utils.oracles import oracles

    here = oracles(problem).compiled()
    n, m, p = here.x0.size, here.m, here.p
    dense = tuple(part.ravel() for part in np.indices((m + p, n)))
    lower = np.tril_indices(n)
    tolerance = rtol * here.unit

    def value(x):
        return float(here.values(x)[0])

    def gradient(x, out):
        out[:] = here.slopes(x)[0]
        return out

    def constraints(x, out):
        out[:] = np.concatenate(here.values(x)[1:])
        return out

    def jacobian(x, out):
        out[:] = np.vstack(here.slopes(x)[1:]).ravel()
        return out

    def hessian(x, multipliers, weight, out):
        out[:] = here.hessian(x, weight, multipliers[:m], multipliers[m:])[lower]
        return out

    program = ipyopt.Problem(
        n, np.where(np.isinf(here.low), -2e19, here.low),
        np.where(np.isinf(here.high), 2e19, here.high), m + p,
        np.r_[np.zeros(m), np.full(p, -2e19)], np.zeros(m + p), dense, lower, value, gradient,
        constraints, jacobian, hessian,
        ipopt_options={
            # Its measure takes multipliers times distances, the referee's the lesser of the two,
            # which may be the root of that; its own scaling would loosen both.
            **dict.fromkeys(("tol", "dual_inf_tol", "constr_viol_tol", "compl_inf_tol"),
                            CLOSE * tolerance),
            "nlp_scaling_method": "none", "acceptable_iter": 0, "print_level": 0, "sb": "yes",
            "max_iter": 10_000, "bound_relax_factor": 0.0, "max_cpu_time": 0.95 * limit,
        },
    )  # fmt: skip

    def solve():
        here.fresh()
        forces = np.zeros(m + p)
        x, _, status = program.solve(
            here.x0.copy(), mult_g=forces, mult_x_L=np.zeros(n), mult_x_U=np.zeros(n)
        )
        return {
            "x": np.array(x), "pair": (forces[:m].copy(), forces[m:].copy()),
            "claimed": status == 0, "steps": int(program.stats["n_iter"]),
            "evaluations": here.evaluations, "said": f"status {status}",
        }  # fmt: skip

    return solve
