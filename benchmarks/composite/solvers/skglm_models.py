"""skglm: working sets with Anderson acceleration, for many losses and penalties."""

from benchmark_utils.isolated import Isolated, loosest


class Solver(Isolated):
    name = "skglm"
    requirements = ["pip::skglm"]
    file = __file__
    tasks = ("lasso", "logistic", "groups", "mcp")


def prepare(task, data, rtol):
    """A function that solves."""
    import time
    import warnings

    import numpy as np
    import skglm
    from sklearn.exceptions import ConvergenceWarning

    X, y, weight = data["X"], data["y"], data["weight"]
    # It stops on violations of optimality: the loosest tolerance of these whose gap suffices.
    from benchmark_utils.models import gap, stationarity

    def fitted(tol):
        if task == "groups":
            return skglm.GroupLasso(
                groups=data["groups"], alpha=weight, fit_intercept=False, tol=tol, max_iter=200
            ).fit(X, y)  # fmt: skip
        if task == "mcp":
            return skglm.MCPRegression(
                alpha=weight, gamma=data["gamma"], fit_intercept=False, tol=tol, max_iter=200
            ).fit(X, y)  # fmt: skip
        if task == "logistic":
            return skglm.SparseLogisticRegression(
                alpha=weight, fit_intercept=False, tol=tol, max_iter=200
            ).fit(X, y)  # fmt: skip
        if data["ratio"] < 1:
            return skglm.ElasticNet(
                alpha=weight, l1_ratio=data["ratio"], fit_intercept=False, tol=tol, max_iter=200,
                max_epochs=100_000,
            ).fit(X, y)  # fmt: skip
        return skglm.Lasso(
            alpha=weight, fit_intercept=False, tol=tol, max_iter=200, max_epochs=100_000
        ).fit(X, y)  # fmt: skip

    judge = stationarity if task == "mcp" else gap
    state: dict = {"tol": None}

    def solve():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            begin = time.perf_counter()
            model = fitted(state["tol"])
            # Its kernels are compiled in each process anew.
            state.setdefault("first", time.perf_counter() - begin)
            claimed = not any(issubclass(each.category, ConvergenceWarning) for each in said)
            x = np.ravel(model.coef_)
            return {"x": x, "claimed": claimed, "first": state["first"]}

    def at(tol):
        state["tol"] = tol
        return judge(data, solve()["x"])

    loosest(at, lambda value: value <= rtol, [10.0**-k * weight for k in range(3, 10)])
    return solve
