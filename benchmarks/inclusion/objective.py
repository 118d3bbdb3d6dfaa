"""The referee: the duality gap or the natural residual of what a solver returned, in NumPy."""

import math

import numpy as np
from benchmark_utils.judge import gap, residual
from benchopt import BaseObjective


class Objective(BaseObjective):
    """Solve a game or a variational inequality to `rtol`.

    `value` of a game is its duality gap over the largest payoff; that of a variational inequality
    on a box is the natural residual over the one at zero. Seconds are those of whole solves, the
    median of several where one is quick, compiled beforehand. A solver that is not done after
    `limit` seconds has missed. `steps` are iterations, `calls` evaluations of F, where a component
    of n counts as 1 / n.
    """

    name = "Inclusions and games"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy"]
    sampling_strategy = "run_once"

    def set_data(self, task, data, rtol, limit):
        self.task, self.data, self.rtol, self.limit = task, data, rtol, limit

    def get_objective(self):
        return {"task": self.task, "data": self.data, "rtol": self.rtol, "limit": self.limit}

    def evaluate_result(self, x, claimed=False, seconds=math.nan, steps=0, calls=0.0):
        if self.task == "game":
            value = gap(self.data["A"], *x)
        else:
            box = (self.data[name] for name in ("M", "q", "lower", "upper"))
            value = residual(*box, x) / self.data["unit"]
        # NaN must count as the worst there is.
        value = value if value <= math.inf else math.inf
        # The referee adds up in another order than solvers do.
        missed = not value <= self.rtol * (1 + 1e-6) + 1e-12
        return {
            "value": value, "missed": float(missed), "claimed": float(claimed),
            "wrong": float(claimed and missed), "seconds": float(seconds), "steps": float(steps),
            "calls": float(calls), "limit": float(self.limit), "rtol": float(self.rtol),
        }  # fmt: skip

    def get_one_result(self):
        if self.task == "game":
            n, m = self.data["A"].shape
            return {"x": (np.full(n, 1.0 / n), np.full(m, 1.0 / m))}
        return {"x": np.zeros(self.data["q"].size)}
