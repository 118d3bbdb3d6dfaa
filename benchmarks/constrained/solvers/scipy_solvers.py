"""SciPy's SLSQP and trust-constr, with exact derivatives."""

import time

from benchmark_utils.collected import Collected

CLOSE = 1e-7  # its measure takes multipliers times distances, the referee's the lesser of the two


class Solver(Collected):
    name = "scipy"
    parameters = {"method": ["SLSQP", "trust-constr"]}
    requirements = ["pip::scipy", "pip::resolvent"]
    file = __file__

    def able(self, problem):
        # SLSQP keeps a dense matrix of all unknowns.
        return problem["from"] != "grid" or self.method == "trust-constr"

    def chosen(self):
        return {"method": self.method}


def prepare(problem, rtol, limit, method):
    """A function that solves."""
    from benchmark_utils.oracles import oracles

    here = oracles(problem).compiled()
    if method == "SLSQP":
        return lambda: _slsqp(here.fresh())
    return lambda: _trust_constr(here.fresh(), rtol, limit)


def _bounds(here):
    from scipy.optimize import Bounds

    return Bounds(here.low, here.high) if (here.low > -1e300).any() or (
        here.high < 1e300
    ).any() else None  # fmt: skip


def _slsqp(here):
    from scipy.optimize import minimize

    constraints = []
    if here.m:
        constraints.append({
            "type": "eq", "fun": lambda x: here.values(x)[1], "jac": lambda x: here.slopes(x)[1]
        })  # fmt: skip
    if here.p:
        constraints.append({
            "type": "ineq", "fun": lambda x: -here.values(x)[2],
            "jac": lambda x: -here.slopes(x)[2],
        })  # fmt: skip
    # Its tolerance is on the change of f: one that small leaves the referee's measure no excuse.
    found = minimize(
        lambda x: here.values(x)[0], here.x0, jac=lambda x: here.slopes(x)[0], method="SLSQP",
        bounds=_bounds(here), constraints=constraints, options={"ftol": 1e-14, "maxiter": 10_000},
    )  # fmt: skip
    return {
        "x": found.x, "claimed": bool(found.success), "steps": int(found.nit),
        "evaluations": here.evaluations, "said": str(found.message),
    }  # fmt: skip


def _trust_constr(here, rtol, limit):
    import numpy as np
    from scipy.optimize import NonlinearConstraint, minimize

    zero = np.zeros(here.m), np.zeros(here.p)
    constraints = []
    if here.m:
        constraints.append(NonlinearConstraint(
            lambda x: here.values(x)[1], 0.0, 0.0, jac=lambda x: here.slopes(x)[1],
            hess=lambda x, v: here.hessian(x, 0.0, v, zero[1]),
        ))  # fmt: skip
    if here.p:
        constraints.append(NonlinearConstraint(
            lambda x: here.values(x)[2], -np.inf, 0.0, jac=lambda x: here.slopes(x)[2],
            hess=lambda x, v: here.hessian(x, 0.0, zero[0], v),
        ))  # fmt: skip
    tolerance = rtol * here.unit
    began = time.process_time()

    def small(found):
        # Its measure is the largest entry.
        asked = 0.01 * tolerance / np.sqrt(here.x0.size)
        return max(found.optimality, found.constr_violation) <= asked and (
            getattr(found, "barrier_parameter", 0.0) <= CLOSE * tolerance
        )

    def enough(intermediate_result):
        # Its own test, `gtol`, ends at any barrier; and what it has in the end may be an answer.
        if small(intermediate_result) or time.process_time() - began > 0.95 * limit:
            raise StopIteration

    found = minimize(
        lambda x: here.values(x)[0], here.x0, jac=lambda x: here.slopes(x)[0],
        hess=lambda x: here.hessian(x, 1.0, *zero), method="trust-constr", bounds=_bounds(here),
        constraints=constraints, callback=enough,
        options={"gtol": 0.0, "xtol": 1e-14, "barrier_tol": CLOSE * tolerance, "maxiter": 10_000},
    )  # fmt: skip
    forces = iter(found.v)
    pair = tuple(np.asarray(next(forces)) if part.size else part for part in zero)
    return {
        "x": found.x, "pair": pair, "claimed": bool(small(found)), "steps": int(found.nit),
        "evaluations": here.evaluations, "said": str(found.message),
    }  # fmt: skip
