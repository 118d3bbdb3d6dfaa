"""JAXopt: proximal gradients for linear models, its version of OSQP for programs and batches."""

from benchmark_utils.isolated import Isolated, loosest

MOST = 20_000  # iterations
SOME = 20  # programs of a batch by which the tolerance is chosen: all of them would take too long


class Solver(Isolated):
    name = "jaxopt"
    requirements = ["pip::jaxopt"]
    file = __file__
    tasks = ("lasso", "program", "batch")

    def skip(self, task, data, **_):
        if task == "lasso" and hasattr(data["X"], "tocsc"):
            return True, "only dense ones"
        return task not in self.tasks, "another task"


def prepare(task, data, rtol):
    """A function that solves, set-up included."""
    import time
    import warnings

    import jax

    warnings.simplefilter("ignore")
    jax.config.update("jax_enable_x64", True)
    solve, judged = _model(data) if task == "lasso" else _programs(task, data)
    state: dict = {"tol": rtol}

    def once():
        begin = time.perf_counter()
        found = solve(state["tol"])
        # Compiled once, whatever the tolerance: later calls are not first ones.
        state.setdefault("first", time.perf_counter() - begin)
        return {**found, "first": state["first"]}

    def at(tol):
        state["tol"] = tol
        return judged(once()["x"])

    tolerances = [1e-3 * 10.0**-k for k in range(8)]
    if task == "batch":
        some, judged_some = _programs(task, {"programs": data["programs"][:SOME]})
        state["tol"] = loosest(
            lambda tol: judged_some(some(tol)["x"]), lambda value: value <= rtol, tolerances
        )  # fmt: skip
    else:
        loosest(at, lambda value: value <= rtol, tolerances)
    return once


def _model(data):
    import jax
    import numpy as np
    from benchmark_utils.models import gap
    from jaxopt import ProximalGradient
    from jaxopt.objective import least_squares
    from jaxopt.prox import prox_elastic_net, prox_lasso

    elastic = data["ridge"] > 0
    weights = (data["bar"], data["ridge"] / data["bar"]) if elastic else data["bar"]
    prox = prox_elastic_net if elastic else prox_lasso

    @jax.jit
    def run(X, y, tol):
        solver = ProximalGradient(least_squares, prox, maxiter=MOST, tol=tol, implicit_diff=False)
        found = solver.run(0 * X[0], weights, data=(X, y))
        return found.params, found.state.iter_num, found.state.error <= tol

    def solve(tol):
        x, steps, claimed = run(data["X"], data["y"], tol)
        return {"x": np.asarray(x), "claimed": bool(claimed), "steps": int(steps)}

    return solve, lambda x: gap(data, x)


def _programs(task, data):
    import jax
    import numpy as np
    from benchmark_utils.programs import kkt, stacked
    from jaxopt import BoxOSQP

    programs = data["programs"] if task == "batch" else [data]

    def one(P, q, A, low, u, tol):
        solver = BoxOSQP(
            maxiter=MOST, tol=tol, check_primal_dual_infeasability=False, implicit_diff=False,
            # Under vmap a factorization that is skipped is done all the same.
            eq_qp_solve="cg+jacobi" if task == "batch" else "lu",
        )  # fmt: skip
        found = solver.run(params_obj=(P, q), params_eq=A, params_ineq=(low, u))
        return found.params.primal[0], found.params.dual_eq, found.state.error <= tol

    if task == "batch":
        run = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, 0, 0, None)))
    else:
        run = jax.jit(one)
    rows = [stacked(each) for each in programs]

    def solve(tol):
        parts = [(each["P"], each["q"], *row) for each, row in zip(programs, rows, strict=True)]
        if task == "batch":
            given = tuple(np.stack(part) for part in zip(*parts, strict=True))
        else:
            given = parts[0]
        x, y, claimed = map(np.asarray, run(*given, tol))
        return {"x": (x, y), "claimed": bool(claimed.all())}

    def judged(found):
        if task == "program":
            return kkt(data, *found)
        return max(map(kkt, programs, *found))

    return solve, judged
