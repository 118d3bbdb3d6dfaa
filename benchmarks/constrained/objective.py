"""The referee: the error of the conditions of Karush, Kuhn and Tucker, in NumPy."""

import json
import math

import numpy as np
from benchmark_utils.judge import referee
from benchmark_utils.processes import NOTHING, SETUP, Worker
from benchopt import BaseObjective

JUDGE = Worker(referee)


class Objective(BaseObjective):
    """Solve each problem of a collection to `rtol`.

    `value` is the share of the problems that are not solved: a point counts as solved where the
    error of the conditions of Karush, Kuhn and Tucker, over the gradient's norm at the start, is
    at most `rtol`, whatever the solver says. `wrong` counts claims of success at other points,
    more than ten times off. `seconds` are those of the solves that succeeded, compiled beforehand;
    each has `limit` seconds. `runs` has every problem's own numbers.
    """

    name = "Constrained problems"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy", "pip::sif2jax"]
    sampling_strategy = "run_once"

    def set_data(self, problems, rtol, limit):
        self.problems, self.rtol, self.limit = problems, rtol, limit

    def get_objective(self):
        return {"problems": self.problems, "rtol": self.rtol, "limit": self.limit}

    def evaluate_result(self, answers):
        runs = []
        for problem, answer in zip(self.problems, answers, strict=True):
            value, violation, least = math.inf, math.inf, math.nan
            if answer["x"] is not None:
                came = JUDGE.ask((problem, answer["x"], answer["pair"]), SETUP)
                value, violation, least = came[0] if came else (math.inf, math.inf, math.nan)
            runs.append({
                "name": problem["name"], "value": value, "violation": violation, "f": least,
                "solved": bool(value <= self.rtol), "claimed": bool(answer["claimed"]),
                # Multipliers of other packages are found by least squares, within a factor.
                "wrong": bool(answer["claimed"] and not value <= 10 * self.rtol),
                **{name: answer[name] for name in (
                    "seconds", "compiling", "steps", "evaluations", "said"
                )},
            })  # fmt: skip
        asked = [run for run in runs if run["said"] != "another kind"]
        solved = [run for run in asked if run["solved"]]
        middle = {
            name: float(np.median([run[name] for run in solved])) if solved else math.nan
            for name in ("seconds", "compiling", "evaluations")
        }
        return {
            "value": 1.0 - len(solved) / max(len(asked), 1), "asked": float(len(asked)),
            "solved": float(len(solved)), "claimed": float(sum(run["claimed"] for run in asked)),
            "wrong": float(sum(run["wrong"] for run in asked)), **middle,
            "runs": json.dumps(runs), "limit": float(self.limit), "rtol": float(self.rtol),
        }  # fmt: skip

    def get_one_result(self):
        return {"answers": [NOTHING for _ in self.problems]}
