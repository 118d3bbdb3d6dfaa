"""celer: working sets and dual extrapolation."""

from benchmark_utils.isolated import Isolated, loosest


class Solver(Isolated):
    name = "celer"
    requirements = ["pip::celer"]
    file = __file__
    tasks = ("lasso", "path", "logistic", "groups")


def prepare(task, data, rtol):
    """A function that solves."""
    import warnings

    import celer
    import numpy as np
    from benchmark_utils.models import gap
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore")
    X, y = data["X"], data["y"]
    state = {"tol": 0.5 * rtol}

    def solve():
        shared = {"tol": state["tol"], "max_iter": 200, "max_epochs": 100_000}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            if task == "path":
                _, x, _ = celer.celer_path(X, y, "lasso", alphas=data["weights"], **shared)
                return {"x": x.T, "claimed": not said}
            if task == "logistic":
                model = celer.LogisticRegression(
                    C=1.0 / (data["weight"] * y.size), fit_intercept=False, **shared
                )  # fmt: skip
            elif task == "groups":
                model = celer.GroupLasso(
                    groups=data["groups"], alpha=data["weight"], fit_intercept=False, **shared
                )  # fmt: skip
            elif data["ratio"] < 1:
                model = celer.ElasticNet(
                    alpha=data["weight"], l1_ratio=data["ratio"], fit_intercept=False, **shared
                )  # fmt: skip
            else:
                model = celer.Lasso(alpha=data["weight"], fit_intercept=False, **shared)
            model.fit(X, y)
            steps = int(np.max(getattr(model, "n_iter_", 0)))
            return {"x": model.coef_.ravel(), "claimed": not said, "steps": steps}

    def at(tol):
        state["tol"] = tol
        return gap(data, solve()["x"])

    if task != "path":
        loosest(at, lambda value: value <= rtol, [rtol * 4.0**-k for k in range(-1, 8)])
    return solve
