"""The referee: the relative residual of what a solver returned, recomputed from the data."""

import numpy as np
from benchopt import BaseObjective


class Objective(BaseObjective):
    """Solve every system of a dataset to `rtol`; seconds are the whole of `run`."""

    name = "Linear systems"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy", "scipy"]
    sampling_strategy = "run_once"

    def set_data(self, task, count, system, rtol, preconditioner=None, largest=None, start=None):
        self.task, self.count, self.system = task, count, system
        self.rtol, self.preconditioner = rtol, preconditioner
        self.largest, self.start = largest, start

    def get_objective(self):
        return {
            "task": self.task, "count": self.count, "system": self.system, "rtol": self.rtol,
            "preconditioner": self.preconditioner, "largest": self.largest, "start": self.start,
        }  # fmt: skip

    def evaluate_result(self, xs, steps=0):
        worst = np.inf if len(xs) == 0 else 0.0
        previous = None
        for t, x in enumerate(xs):
            A, b, _ = self.system(t, previous)
            size = np.linalg.norm(b)
            residual = np.linalg.norm(b - A @ x) / (size if size > 0 else 1.0)
            # NaN must count as the worst there is.
            worst = worst if residual <= worst else residual
            previous = x
        missed = self.task != "sweep" and not worst <= self.rtol
        return {
            "value": float(worst), "missed": float(missed), "solved": len(xs),
            "steps": float(steps),
        }  # fmt: skip

    def get_one_result(self):
        return {"xs": [np.zeros_like(self.system(t, None)[1]) for t in range(self.count)]}
