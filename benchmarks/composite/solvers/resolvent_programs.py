"""Resolvent on quadratic programs, images and graphs."""

from benchmark_utils.isolated import Isolated

METHODS = {
    "program": ("active-set", "interior-point", "operator-splitting"),
    "batch": ("active-set", "interior-point", "operator-splitting"),
    "denoising": ("gradient-projection", "pdhg"), "labels": ("block-descent",),
}  # fmt: skip


# How many programs of a batch run together. Of many some wait for the slowest, and their matrices
# leave the cache.
TOGETHER = 5
# The referee's gap is relative to less than the certificate's.
SAFE = 0.5


class Solver(Isolated):
    name = "resolvent-programs"
    parameters = {"method": sorted({name for names in METHODS.values() for name in names})}
    requirements = ["pip::resolvent"]
    file = __file__

    def chosen(self):
        return {"method": self.method}

    def able(self):
        return [task for task, methods in METHODS.items() if self.method in methods]


def prepare(method, task, data, rtol):
    """A function that solves."""
    import resolvent as rs

    if task == "program":
        return _program(rs, _chosen(rs, method), data, rtol)
    if task == "batch":
        return _batch(rs, _chosen(rs, method), data["programs"], rtol)
    if task == "denoising":
        return _denoising(rs, _chosen(rs, method), data, rtol)
    return _labels(rs, data, rtol)


def _chosen(rs, method):
    return {
        "active-set": rs.composite.ActiveSet, "operator-splitting": rs.composite.OperatorSplitting,
        "interior-point": rs.composite.InteriorPoint, "pdhg": rs.composite.PDHG,
        "gradient-projection": rs.composite.FastGradientProjection,
    }[method]()  # fmt: skip


def _program(rs, method, data, rtol):
    import numpy as np

    rows = (data["A"], data["l"], data["u"]) if data["l"].size else ()

    def solve():
        problem = rs.QuadraticProgram(
            data["P"], data["q"], *rows, lower=data["lower"], upper=data["upper"]
        )
        sol = rs.solve(problem, method, rtol=rtol, throw=False)
        y = np.r_[np.asarray(sol.witness.rows)[: data["l"].size], np.asarray(sol.witness.bounds)]
        return {"x": (np.asarray(sol.x), y), "claimed": sol.converged, "steps": sol.steps}

    return solve


def _batch(rs, method, programs, rtol):
    import jax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    names = ("P", "q", "A", "l", "u", "lower", "upper")

    def one(P, q, A, low, u, lower, upper):
        problem = rs.QuadraticProgram(P, q, A, low, u, lower=lower, upper=upper)
        sol = rs.solve(problem, method, rtol=SAFE * rtol, adjoint=None)
        return sol.x, sol.witness.rows, sol.witness.bounds, sol.converged

    run = jax.jit(lambda data: jax.lax.map(lambda each: one(*each), data, batch_size=TOGETHER))

    def solve():
        data = tuple(np.stack([each[name] for each in programs]) for name in names)
        x, rows, bounds, converged = map(np.asarray, run(data))
        return {"x": (x, np.concatenate([rows, bounds], axis=1)), "claimed": converged.all()}

    return solve


def _denoising(rs, method, data, rtol):
    import numpy as np

    def solve():
        problem = rs.TotalVariationDenoising(data["image"], data["weight"])
        sol = rs.solve(problem, method, rtol=rtol, throw=False)
        return {"x": np.asarray(sol.x[0]), "field": tuple(map(np.asarray, sol.x[1])),
                "claimed": sol.converged, "steps": sol.steps}  # fmt: skip

    return solve


def _labels(rs, data, rtol):
    problem = rs.composite.Quadratic(data["A"], data["b"])
    method = rs.composite.BlockCoordinateDescent("tree", "cyclic", "matrix")

    def solve():
        sol = rs.solve(problem, method, rtol=rtol, throw=False)
        return {"x": sol.x, "claimed": sol.converged, "steps": sol.steps}

    return solve
