"""Resolvent on linear models: coordinate descent on working sets, and the alternatives."""

from benchmark_utils.isolated import Isolated

METHODS = {
    "lasso": ("coordinate-descent", "proximal-gradient"), "path": ("coordinate-descent",),
    "logistic": ("coordinate-descent", "proximal-gradient"),
    "groups": ("group-descent", "proximal-gradient"), "mcp": ("coordinate-descent",),
}  # fmt: skip


class Solver(Isolated):
    name = "resolvent"
    parameters = {"method": ["coordinate-descent", "group-descent", "proximal-gradient"]}
    requirements = ["pip::resolvent"]
    file = __file__

    def chosen(self):
        return {"method": self.method}

    def able(self):
        return [task for task, methods in METHODS.items() if self.method in methods]


def prepare(method, task, data, rtol):
    """A function that solves."""
    import numpy as np

    import resolvent as rs
    from resolvent import functions

    chosen = rs.composite.ProximalGradient()
    if method != "proximal-gradient":
        chosen = {
            "coordinate-descent": "CoordinateDescent", "group-descent": "GroupDescent"
        }[method]  # fmt: skip
        chosen = getattr(rs.composite, chosen)()
    X, y = data["X"], data["y"]
    loss = functions.LeastSquares() if data["loss"] == "squares" else functions.Logistic()
    penalty = functions.L1(data.get("weight", 1.0))
    if task == "lasso" and data["ratio"] < 1:
        penalty = functions.ElasticNet(data["weight"], data["ratio"])
    if task == "groups":
        groups = np.repeat(np.arange(X.shape[1] // data["groups"]), data["groups"])
        # Ones: without them the weight of a group is the root of its size.
        penalty = functions.GroupL2(groups, data["weight"], factors=np.ones(groups[-1] + 1))
    if task == "mcp":
        penalty = functions.MCP(data["weight"], data["gamma"])

    def solve():
        problem = rs.GeneralizedLinear(X, y, loss, penalty)
        if task == "path":
            found = rs.composite.path(
                problem, data["weights"], method=chosen, rtol=rtol, throw=False
            )  # fmt: skip
            return {
                "x": found.coefficients, "claimed": found.converged,
                "steps": sum(each.steps for each in found.solutions),
            }  # fmt: skip
        tolerances = {"rtol": rtol}
        if task == "mcp":
            tolerances = {"rtol": 0.0, "atol": rtol * data["weight"]}
        sol = rs.solve(problem, chosen, **tolerances, throw=False)
        return {"x": np.asarray(sol.x), "claimed": sol.converged, "steps": sol.steps}

    return solve
