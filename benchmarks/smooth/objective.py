"""The referee: the norm of the gradient, over that at the start."""

import json
import math

import numpy as np
from benchmark_utils.judge import referee
from benchmark_utils.processes import NOTHING, SETUP, Worker
from benchopt import BaseObjective

JUDGE = Worker(referee)


class Objective(BaseObjective):
    """Find a stationary point of each problem of a collection to `rtol`.

    `value` is the share of the problems that are not solved: a point counts as solved where the
    norm of the gradient, over that at the start, is at most `rtol`, whatever the solver says.
    `wrong` counts claims of success at other points. `seconds` are those of the solves that
    succeeded, compiled beforehand; each has `limit` seconds. `runs` has every problem's own
    numbers.
    """

    name = "Smooth problems"
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
            value, least = math.inf, math.nan
            if answer["x"] is not None:
                came = JUDGE.ask((problem, answer["x"]), SETUP)
                value, least = came[0] if came else (math.inf, math.nan)
            # The referee adds up in another order than solvers do.
            solved = bool(value <= self.rtol * (1 + 1e-6))
            runs.append({
                "name": problem["name"], "value": value, "f": least, "solved": solved,
                "claimed": bool(answer["claimed"]), "wrong": bool(answer["claimed"] and not solved),
                **{name: answer[name] for name in (
                    "seconds", "compiling", "steps", "evaluations", "said"
                )},
            })  # fmt: skip
        solved = [run for run in runs if run["solved"]]
        middle = {
            name: float(np.median([run[name] for run in solved])) if solved else math.nan
            for name in ("seconds", "compiling", "evaluations")
        }
        return {
            "value": 1.0 - len(solved) / max(len(runs), 1), "asked": float(len(runs)),
            "solved": float(len(solved)), "claimed": float(sum(run["claimed"] for run in runs)),
            "wrong": float(sum(run["wrong"] for run in runs)), **middle,
            "runs": json.dumps(runs), "limit": float(self.limit), "rtol": float(self.rtol),
        }  # fmt: skip

    def get_one_result(self):
        return {"answers": [NOTHING for _ in self.problems]}
