"""The referee: duality gaps, stationarity and optimality of what a solver returned, in NumPy."""

import math

import numpy as np
from benchmark_utils.images import denoising_gap
from benchmark_utils.models import gap, stationarity
from benchmark_utils.programs import kkt
from benchopt import BaseObjective


class Objective(BaseObjective):
    """Solve a regularized problem to `rtol`.

    `value` of a convex linear model is its duality gap over the loss of zero, of a path the worst
    of all its weights; with the concave penalty it is the distance to a stationary point over the
    penalty's weight; of quadratic programs it is the largest relative residual of optimality, of
    a batch the worst one; of images the duality gap over what the noisy one pays for its
    variation. `seconds` are those of whole solves, `first` those of the first call in a
    process of its own. A solver that is not done after `limit` seconds has missed.
    """

    name = "Composite problems"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy"]
    sampling_strategy = "run_once"

    def set_data(self, task, data, rtol, limit):
        self.task, self.data, self.rtol, self.limit = task, data, rtol, limit

    def get_objective(self):
        return {"task": self.task, "data": self.data, "rtol": self.rtol, "limit": self.limit}

    def evaluate_result(
        self, x, field=None, claimed=False, first=math.nan, seconds=math.nan, steps=0, **_
    ):  # fmt: skip
        value, extra = math.inf, math.nan
        if x is not None:
            value, extra = self._judged(x, field)
        # NaN must count as the worst there is.
        value = value if value <= math.inf else math.inf
        # The referee adds up in another order than solvers do.
        missed = not value <= self.rtol * (1 + 1e-3) + 1e-15
        return {
            "value": value, "missed": float(missed), "claimed": float(claimed),
            "wrong": float(claimed and missed), "first": float(first), "seconds": float(seconds),
            "steps": float(steps), "extra": float(extra), "limit": float(self.limit),
            "rtol": float(self.rtol),
        }  # fmt: skip

    def _judged(self, x, field):
        """The measure, and what else one wants to know of an answer."""
        data = self.data
        if self.task == "program":
            return kkt(data, *x), math.nan
        if self.task == "batch":
            return max(map(kkt, data["programs"], *x)), math.nan
        if self.task == "denoising":
            return denoising_gap(data, x, field), math.nan
        x = np.asarray(x, np.float64)
        if self.task == "labels":
            return np.linalg.norm(data["A"] @ x - data["b"]) / np.linalg.norm(data["b"]), math.nan
        if self.task == "path":
            worst = max(
                gap({**data, "bar": weight}, w)
                for weight, w in zip(data["weights"], x, strict=True)
            )
            return worst, np.count_nonzero(x[-1])
        if self.task == "mcp":
            return stationarity(data, x), _concave(data, x)
        return gap(data, x), np.count_nonzero(x)

    def get_one_result(self):
        if self.task not in ("lasso", "path", "logistic", "groups", "mcp"):
            return {"x": None}
        p = self.data["X"].shape[1]
        return {"x": np.zeros((self.data["weights"].size, p) if self.task == "path" else p)}


def _concave(data, w):
    """The objective with the minimax concave penalty: answers are compared by it."""
    residual = data["X"] @ w - data["y"]
    low = np.minimum(np.abs(w), data["gamma"] * data["bar"])
    terms = low * (data["bar"] - low / (2 * data["gamma"]))
    return 0.5 * np.mean(residual**2) + terms.sum()
