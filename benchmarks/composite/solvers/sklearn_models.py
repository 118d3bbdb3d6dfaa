"""scikit-learn: cyclic coordinate descent, and liblinear for logistic regression."""

from benchmark_utils.isolated import Isolated, loosest


class Solver(Isolated):
    name = "scikit-learn"
    requirements = ["pip::scikit-learn"]
    file = __file__
    tasks = ("lasso", "path", "logistic")


def prepare(task, data, rtol):
    """A function that solves."""
    import warnings

    import numpy as np
    from benchmark_utils.models import gap
    from sklearn import linear_model
    from sklearn.exceptions import ConvergenceWarning

    X, y = data["X"], data["y"]
    state = {"tol": 0.5 * rtol}

    def fitted():
        shared = {"tol": state["tol"], "max_iter": 100_000}
        if task == "path":
            return linear_model.lasso_path(X, y, alphas=data["weights"], **shared)[1].T, 0
        if task == "logistic":
            model = linear_model.LogisticRegression(
                C=1.0 / (data["weight"] * y.size), l1_ratio=1.0, solver="liblinear",
                fit_intercept=False, **shared
            )  # fmt: skip
        elif data["ratio"] < 1:
            model = linear_model.ElasticNet(
                alpha=data["weight"], l1_ratio=data["ratio"], fit_intercept=False, **shared
            )  # fmt: skip
        else:
            model = linear_model.Lasso(alpha=data["weight"], fit_intercept=False, **shared)
        model.fit(X, y)
        return model.coef_.ravel(), int(np.max(model.n_iter_))

    def solve():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            x, steps = fitted()
            return {"x": x, "claimed": not said, "steps": steps}

    def at(tol):
        state["tol"] = tol
        return gap(data, solve()["x"])

    if task == "logistic":
        # liblinear's tolerance is one of its own kind.
        loosest(at, lambda value: value <= rtol, [1e-3 * 4.0**-k for k in range(14)])
    elif task == "lasso":
        loosest(at, lambda value: value <= rtol, [rtol * 4.0**-k for k in range(-1, 4)])
    return solve
