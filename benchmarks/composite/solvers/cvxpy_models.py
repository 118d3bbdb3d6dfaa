"""CVXPY with Clarabel and OSQP behind it: what the modelling language costs is counted."""

from benchmark_utils.isolated import Isolated, loosest


class Solver(Isolated):
    name = "cvxpy"
    parameters = {"package": ["clarabel", "osqp"]}
    requirements = ["pip::cvxpy", "pip::clarabel", "pip::osqp"]
    file = __file__
    tasks = ("lasso", "program")

    def chosen(self):
        return {"package": self.package}

    def skip(self, task, data, **_):
        if task == "lasso" and hasattr(data["X"], "tocsc"):
            return True, "only dense ones"
        return task not in self.tasks, "another task"


def prepare(package, task, data, rtol):
    """A function that solves, set-up included."""
    import warnings

    from benchmark_utils.models import gap
    from benchmark_utils.programs import kkt

    warnings.simplefilter("ignore")
    run = _lasso if task == "lasso" else _program
    state = {"tol": rtol}

    def solve():
        return run(package, data, state["tol"])

    def at(tol):
        state["tol"] = tol
        x = solve()["x"]
        return gap(data, x) if task == "lasso" else kkt(data, *x)

    loosest(at, lambda value: value <= rtol, [10.0 * rtol, rtol, 0.1 * rtol, 0.01 * rtol])
    return solve


def _solved(package, problem, tol):
    if package == "osqp":
        options = {"eps_abs": tol * 1e-3, "eps_rel": tol, "max_iter": 20_000, "polishing": False}
    else:
        options = {"tol_gap_abs": tol * 1e-3, "tol_gap_rel": tol, "tol_feas": tol}
    problem.solve(solver=package.upper(), **options)
    return problem.status == "optimal", problem.solver_stats.num_iters


def _lasso(package, data, tol):
    import cvxpy as cp

    X, y = data["X"], data["y"]
    w = cp.Variable(X.shape[1])
    objective = cp.sum_squares(X @ w - y) / (2 * y.size) + data["bar"] * cp.norm1(w)
    if data["ridge"]:
        objective = objective + data["ridge"] / 2 * cp.sum_squares(w)
    claimed, steps = _solved(package, cp.Problem(cp.Minimize(objective)), tol)
    return {"x": w.value, "claimed": claimed, "steps": steps}


def _program(package, data, tol):
    import cvxpy as cp
    import numpy as np

    n, m = data["q"].size, data["l"].size
    x = cp.Variable(n)
    places, signs, limits = [], [], []
    rows = [(data["A"] @ x, data["l"], data["u"], 0)] if m else []
    for image, low, u, first in [*rows, (x, data["lower"], data["upper"], m)]:
        same = low == u
        for where, sign in (
            (same, 0), (np.isfinite(u) & ~same, 1), (np.isfinite(low) & ~same, -1)
        ):  # fmt: skip
            chosen = np.flatnonzero(where)
            if not chosen.size:
                continue
            part = image[chosen]
            limits.append(
                part == u[chosen] if not sign else
                part <= u[chosen] if sign > 0 else part >= low[chosen]
            )  # fmt: skip
            places.append(first + chosen)
            signs.append(sign or 1)
    # It is known to be semidefinite: without the wrapper CVXPY asks for its eigenvalues.
    objective = cp.quad_form(x, cp.psd_wrap(data["P"])) / 2 + data["q"] @ x
    claimed, steps = _solved(package, cp.Problem(cp.Minimize(objective), limits), tol)
    y = np.zeros(m + n)
    for limit, where, sign in zip(limits, places, signs, strict=True):
        y[where] += sign * limit.dual_value
    return {"x": (x.value, y), "claimed": claimed, "steps": steps}
