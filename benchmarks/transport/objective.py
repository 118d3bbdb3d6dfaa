"""The referee: the marginal error of the plan that a solver returned, recomputed in float64."""

import math

import numpy as np
from benchmark_utils.pairs import costs, row_blocks
from benchopt import BaseObjective


class Objective(BaseObjective):
    """Transport masses `a` to masses `b` to an l1 marginal error of `rtol` times the mass.

    Seconds are those of whole solves, measured in the process that did them: the median of up to
    five where one takes less than a second. A solver that is not done after `limit` seconds is
    stopped and has missed. `claimed` says that a solver called its answer converged, and `wrong`
    that it did so although the referee finds a larger error.
    """

    name = "Entropic optimal transport"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy"]
    sampling_strategy = "run_once"

    def set_data(self, task, data, epsilon, rtol, limit):
        self.task, self.data, self.epsilon = task, data, epsilon
        self.rtol, self.limit = rtol, limit

    def get_objective(self):
        return {
            "task": self.task, "data": self.data, "epsilon": self.epsilon, "rtol": self.rtol,
            "limit": self.limit,
        }  # fmt: skip

    def evaluate_result(
        self, answers, claimed=False, stopped=False, seconds=math.nan, memory=0.0, calls=0
    ):
        a, b = (np.atleast_2d(self.data[side]) for side in ("a", "b"))
        wanted = len(a)
        errors = [
            marginal_error(self.data, self.epsilon, a[t], b[t], answer)
            for t, answer in enumerate(answers)
        ]
        # The plan that is zero everywhere is what somebody has who returned nothing.
        worst = max(errors) if len(errors) == wanted else 2.0
        missed = not worst <= self.rtol
        return {
            "value": float(worst), "missed": float(missed), "claimed": float(claimed),
            "wrong": float(claimed and missed), "stopped": float(stopped),
            "seconds": float(self.limit if stopped else seconds), "memory": float(memory),
            "calls": float(calls), "limit": float(self.limit),
        }  # fmt: skip

    def get_one_result(self):
        a, b = (np.atleast_2d(self.data[side]) for side in ("a", "b"))
        return {"answers": [{"plan": np.outer(u, v) / u.sum()} for u, v in zip(a, b, strict=True)]}


def marginal_error(data, epsilon, a, b, answer) -> float:
    """`||a - P 1||_1 + ||b - P^T 1||_1` over the mass; infinite for anything not finite.

    A plan comes as the matrix P, or as potentials (f, g) with
    P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon).
    """
    rows, columns = np.zeros(len(a)), np.zeros(len(b))
    with np.errstate(all="ignore"):
        for part in row_blocks(len(a), len(b)):
            if "plan" in answer:
                plan = np.asarray(answer["plan"][part], np.float64)
            else:
                f, g = (np.asarray(answer[name], np.float64) for name in ("f", "g"))
                plan = (f[part, None] + g - costs(data, part)) / epsilon
                plan = a[part, None] * np.exp(plan) * b
            rows[part] = plan.sum(axis=1)
            columns += plan.sum(axis=0)
        error = float(np.abs(a - rows).sum() + np.abs(b - columns).sum()) / float(a.sum())
    # NaN must count as the worst there is.
    return error if error <= math.inf else math.inf
