"""PyAMG's CG, its compiled relaxation sweep, and smoothed aggregation as the strong peer."""

import numpy as np
import pyamg
from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "pyamg"
    parameters = {"method": ["cg", "sweep", "multigrid-cg"]}
    requirements = ["pyamg"]
    sweeps = 50

    def set_objective(self, task, count, system, rtol, **_):
        self.task, self.count, self.system, self.rtol = task, count, system, rtol

    def skip(self, task, **_):
        if (self.method == "sweep") != (task == "sweep"):
            return True, "another task"
        if task not in ("solve", "sweep"):
            return True, "shown on single systems"
        return False, None

    def run(self, _):
        A, b, _ = self.system(0, None)
        if self.method == "cg":
            # Its exit test is relative to b where x0 is zero, as is the referee's.
            x, _ = pyamg.krylov.cg(A, b, tol=self.rtol, maxiter=10**6)
        elif self.method == "sweep":
            x = np.zeros_like(b)
            pyamg.relaxation.relaxation.gauss_seidel(A, x, b, iterations=self.sweeps)
        else:
            x = pyamg.smoothed_aggregation_solver(A).solve(b, tol=self.rtol, accel="cg")
        self.xs = [x]

    def get_result(self):
        return {"xs": self.xs}
