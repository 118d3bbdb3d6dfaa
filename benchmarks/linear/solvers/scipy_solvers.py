"""SciPy's Krylov methods, cold at every system, as their users call them."""

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "scipy"
    parameters = {"method": ["cg", "gmres", "gcrotmk"]}
    requirements = ["scipy"]

    def set_objective(self, task, count, system, rtol, preconditioner, largest, start):
        self.task, self.count, self.system, self.rtol = task, count, system, rtol
        self.preconditioner, self.start = preconditioner, start

    def skip(self, task, count, system, rtol, preconditioner, **_):
        if task == "sweep":
            return True, "SciPy has no relaxation sweep"
        if task == "recycle" and preconditioner not in ("none", "jacobi"):
            return True, "SciPy has no such preconditioner"
        if task == "recycle" and count > 100:
            return True, "minutes of GMRES; shown on the short sequences"
        if self.method != "cg" and task != "recycle":
            return True, "shown on the sequence for which it is meant"
        return False, None

    def run(self, _):
        self.xs, space, previous = [], [], None
        for t in range(self.count):
            A, b, _ = self.system(t, previous)
            M = None
            if self.preconditioner == "jacobi":
                M = sparse.diags_array(1.0 / A.diagonal())
            x0 = None
            if self.task == "march":
                x0 = self.start if previous is None else previous
            if self.method == "cg":
                x, _ = linalg.cg(A, b, x0=x0, rtol=self.rtol, atol=0.0, M=M, maxiter=10**6)
            elif self.method == "gmres":
                x, _ = linalg.gmres(A, b, rtol=self.rtol, atol=0.0, M=M, restart=40, maxiter=10**4)
            else:
                # SciPy hands the space over from system to system; C must be recomputed.
                x, _ = linalg.gcrotmk(
                    A, b, rtol=self.rtol, atol=0.0, M=M, m=20, k=20, CU=space, discard_C=True,
                    maxiter=10**4,
                )  # fmt: skip
            self.xs.append(np.asarray(x))
            previous = x

    def get_result(self):
        return {"xs": self.xs}
