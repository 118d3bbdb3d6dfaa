"""Resolvent's methods, through the same front door that its users take."""

import numpy as np
from benchmark_utils.children import ChildSolver


class Solver(ChildSolver):
    name = "resolvent"
    parameters = {"method": ["default", "sinkhorn", "newton", "cold"]}
    requirements = ["pip::resolvent"]
    package = "resolvent"

    def misfit(self, task, data):
        if (self.method == "cold") and task != "sequence":
            return True, "shown on the sequence"
        return False, None


def prepare(data, method, epsilon, rtol):
    """Kernels are loaded outside the clock, by a solve before the measured ones."""
    import resolvent as rs

    chosen = {"sinkhorn": "Sinkhorn", "newton": "SinkhornNewtonSparse"}
    iteration = getattr(rs.transport, chosen[method])() if method in chosen else None
    a, b = (np.atleast_2d(data[side]) for side in ("a", "b"))

    def problems(data, a, b):
        for u, v in zip(a, b, strict=True):
            cost = data.get("cost")
            if cost is None:
                cost = rs.transport.PointCost(data["x"], data["y"], str(data["kind"]))
            yield rs.EntropicTransport(cost, u, v, epsilon)

    def solve(data=data, a=a, b=b):
        if len(a) == 1 or method == "cold":
            return [
                rs.solve(problem, iteration, rtol=rtol, throw=False)
                for problem in problems(data, a, b)
            ]
        return list(
            rs.solve_sequence(
                problems(data, a, b), iteration, rtol=rtol, throw=False, progress=False
            )
        )

    if "cost" in data:
        solve(a=a[:2], b=b[:2])
        return solve
    # The memory of the whole problem must not be taken before it is measured.
    few = slice(0, 64)
    u, v = a[:1, few], b[:1, few]
    small = {"x": data["x"][few], "y": data["y"][few], "kind": data["kind"]}
    solve(small, u / u.sum(), v / v.sum())
    return solve


def answer(found):
    """All of a sequence must have converged, and the calls of its oracle add up."""
    return {
        "f": np.stack([np.asarray(sol.x.f) for sol in found]),
        "g": np.stack([np.asarray(sol.x.g) for sol in found]),
        "claimed": all(sol.converged for sol in found),
        "calls": sum(sol.calls.get("kernel", 0) for sol in found),
    }
