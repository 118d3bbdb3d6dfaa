"""SciPy's quasi-Newton methods for T(x) - x = 0, on the map in NumPy."""

import time

import numpy as np
import scipy.optimize
from benchmark_utils.clock import timed
from benchmark_utils.maps import in_numpy
from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "scipy"
    parameters = {"method": ["anderson", "broyden1", "broyden2"]}
    requirements = ["scipy"]
    sampling_strategy = "run_once"

    def skip(self, kind, **_):
        if kind == "recurrence":
            return True, "no method for it"
        return False, None

    def set_objective(self, kind, start, args, target, limit):
        self.fn, self.start, self.args = in_numpy(kind), start, args
        self.target, self.limit = target, limit

    def run(self, _):
        (self.x, self.claimed, self.steps, self.calls), self.seconds = timed(self._solve)

    def _solve(self):
        end, last = time.perf_counter() + self.limit, [self.start]
        calls = 0

        def residual(x):
            nonlocal calls
            calls += 1
            if time.perf_counter() > end:
                raise TimeoutError
            return self.fn(x, self.args) - x

        options = {"M": 10} if self.method == "anderson" else {"max_rank": 100}
        claimed = False
        try:
            x = getattr(scipy.optimize, self.method)(
                residual, self.start, f_tol=self.target, tol_norm=np.linalg.norm, maxiter=10**6,
                callback=lambda x, f: last.append(x), **options,
            )  # fmt: skip
            claimed = True
        except (TimeoutError, ValueError, scipy.optimize.NoConvergence, np.linalg.LinAlgError):
            x = np.reshape(last[-1], self.start.shape)  # it has come in one row
        return x, claimed, len(last) - 1, calls

    def get_result(self):
        return {
            "x": self.x, "claimed": self.claimed, "seconds": self.seconds, "steps": self.steps,
            "calls": self.calls,
        }  # fmt: skip
