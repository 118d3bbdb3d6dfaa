"""OSQP and Clarabel by their own interfaces; batches one program after the other."""

from benchmark_utils.isolated import Isolated


class Solver(Isolated):
    name = "conic"
    parameters = {"package": ["osqp", "clarabel"]}
    requirements = ["pip::osqp", "pip::clarabel"]
    file = __file__
    tasks = ("program", "batch")

    def chosen(self):
        return {"package": self.package}


def prepare(package, task, data, rtol):
    """A function that solves, set-up included."""
    import numpy as np
    import scipy.sparse as sp
    from benchmark_utils.programs import stacked

    run = _osqp if package == "osqp" else _clarabel
    programs = data["programs"] if task == "batch" else [data]
    # What the packages are given is not counted; what they make of it is.
    parts = []
    for each in programs:
        A, low, u = stacked(each)
        parts.append((sp.csc_matrix(np.triu(each["P"])), each["q"], A, low, u))

    def solve():
        found = [run(*part, rtol) for part in parts]
        x, y = (np.stack([each[i] for each in found]) for i in range(2))
        claimed = all(each[2] for each in found)
        return {"x": (x, y) if task == "batch" else (x[0], y[0]), "claimed": claimed}

    return solve


def _osqp(P, q, A, low, u, rtol):
    import osqp
    import scipy.sparse as sp

    solver = osqp.OSQP()
    solver.setup(
        P, q, sp.csc_matrix(A), low, u, verbose=False, eps_abs=rtol * 1e-3, eps_rel=rtol,
        max_iter=20_000, polishing=False,
    )  # fmt: skip
    found = solver.solve()
    return found.x, found.y, found.info.status == "solved"


def _clarabel(P, q, A, low, u, rtol):
    import clarabel
    import numpy as np
    import scipy.sparse as sp

    same = low == u
    high, down = np.isfinite(u) & ~same, np.isfinite(low) & ~same
    rows = sp.csc_matrix(np.vstack([A[same], A[high], -A[down]]))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs, settings.tol_gap_rel, settings.tol_feas = rtol * 1e-3, rtol, rtol
    cones = [clarabel.ZeroConeT(int(same.sum()))] if same.any() else []
    cones.append(clarabel.NonnegativeConeT(int(high.sum() + down.sum())))
    found = clarabel.DefaultSolver(
        P, q, rows, np.r_[u[same], u[high], -low[down]], cones, settings
    ).solve()  # fmt: skip
    z, y = np.array(found.z), np.zeros(low.size)
    first, second = same.sum(), same.sum() + high.sum()
    y[same] = z[:first]
    y[high] += z[first:second]
    y[down] -= z[second:]
    return np.array(found.x), y, str(found.status) == "Solved"
