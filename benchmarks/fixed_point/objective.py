"""The referee: the residual of what a solver returned, in NumPy and double precision."""

import math

import numpy as np
from benchmark_utils.maps import defect, in_numpy, stages
from benchopt import BaseObjective


class Objective(BaseObjective):
    """Find the fixed point of a map to `rtol`, or all stages of a recurrence.

    `value` is `||T(x) - x||` over that of the first guess; for a recurrence it is the largest
    defect of a stage, and `apart` the largest distance from sequential evaluation. Seconds are
    those of whole solves, the median of several where one is quick, compiled beforehand. `steps`
    are iterations, `calls` evaluations of T.
    """

    name = "Fixed points"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy"]
    sampling_strategy = "run_once"

    def set_data(self, kind, start, args, rtol, limit):
        self.kind, self.start, self.args = kind, start, args
        self.rtol, self.limit = rtol, limit
        self.unit = 1.0 if kind == "recurrence" else self._residual(start)

    def _residual(self, x) -> float:
        x, *args = (np.asarray(part) for part in (x, *self.args))
        x, *args = (
            part.astype(np.float64) if part.dtype.kind == "f" else part for part in (x, *args)
        )
        return float(np.linalg.norm(in_numpy(self.kind)(x, args) - x))

    def get_objective(self):
        return {
            "kind": self.kind, "start": self.start, "args": self.args,
            "target": self.rtol * self.unit, "limit": self.limit,
        }  # fmt: skip

    def evaluate_result(self, x, claimed=False, seconds=math.nan, steps=0, calls=0):
        apart = 0.0
        if self.kind == "recurrence":
            x = np.asarray(x)
            inputs, *weights = self.args
            value = defect(x, self.start, inputs, weights)
            apart = float(np.abs(x - stages(self.start, inputs, weights)).max())
        else:
            value = self._residual(x) / self.unit
        # NaN must count as the worst there is.
        value = value if value <= math.inf else math.inf
        # In single precision the residual that a solver sees is as exact as that of T itself.
        slack = 1e-2 if self.start.dtype == np.float32 else 1e-6
        missed = not value <= self.rtol * (1 + slack)
        return {
            "value": value, "missed": float(missed), "claimed": float(claimed),
            "wrong": float(claimed and missed), "seconds": float(seconds), "steps": float(steps),
            "calls": float(calls), "apart": apart, "limit": float(self.limit),
        }  # fmt: skip

    def get_one_result(self):
        if self.kind == "recurrence":
            inputs, *_ = self.args
            return {"x": np.zeros((len(inputs), self.start.size))}
        return {"x": self.start}
