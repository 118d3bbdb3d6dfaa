"""A game as a linear program, by SciPy's HiGHS."""

import numpy as np
from benchmark_utils.clock import timed
from benchopt import BaseSolver
from scipy.optimize import linprog


class Solver(BaseSolver):
    name = "scipy"
    parameters = {"method": ["highs-ds", "highs-ipm"]}
    requirements = ["scipy"]
    sampling_strategy = "run_once"

    def skip(self, task, data, **_):
        if task != "game":
            return True, "no linear program"
        return False, None

    def set_objective(self, task, data, rtol, limit):
        self.A, self.limit = data["A"], limit

    def run(self, _):
        self.sol, self.seconds = timed(self._solve)

    def _solve(self):
        """min v subject to x^T A <= v, x a mixed strategy; the multipliers are the other's."""
        n, m = self.A.shape
        return linprog(
            np.append(np.zeros(n), 1.0), A_ub=np.hstack([self.A.T, -np.ones((m, 1))]),
            b_ub=np.zeros(m), A_eq=np.append(np.ones(n), 0.0)[None], b_eq=[1.0],
            bounds=[(0, None)] * n + [(None, None)], method=self.method,
            options={"time_limit": self.limit},
        )  # fmt: skip

    def get_result(self):
        n, m = self.A.shape
        sol = self.sol
        if sol.x is None:
            x = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
        else:
            x = sol.x[:n], -sol.ineqlin.marginals
        return {
            "x": x, "claimed": sol.status == 0, "seconds": self.seconds,
            "steps": int(getattr(sol, "nit", 0) or 0),
        }  # fmt: skip
