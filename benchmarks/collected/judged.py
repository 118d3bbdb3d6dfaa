"""What benchmarks of collections measure: answers that a referee judges, whatever solvers say."""

import json
import math

import numpy as np
from benchmark_utils.collected import NOTHING, OTHER
from benchmark_utils.processes import SETUP, Worker
from benchopt import BaseObjective

UNJUDGED = "the referee had no answer"


class Judged(BaseObjective):
    """Solve each problem of a collection to `rtol`, within `limit` seconds each.

    `value` is the share of the problems that are not solved. `wrong` counts claims of success at
    other points. `seconds` are those of the solves that succeeded, compiled beforehand. `runs` has
    every problem's own numbers.
    """

    name = "Judged"
    min_benchopt_version = "1.8"
    url = "https://github.com/resolvent/resolvent"
    requirements = ["numpy", "pip::sif2jax"]
    sampling_strategy = "run_once"

    referee = None
    """A target for a process, which gets problems, points and multipliers and sends a measure, 0 at
    an answer, with the violation of the constraints and f."""
    slack = 1.0
    """How many times the tolerance a claim may be off before it counts as wrong."""

    def set_data(self, problems, rtol, limit):
        self.problems, self.rtol, self.limit = problems, rtol, limit
        self.judge = Worker(type(self).referee)

    def get_objective(self):
        return {"problems": self.problems, "rtol": self.rtol, "limit": self.limit}

    def evaluate_result(self, answers):
        runs = [self._run(*pair) for pair in zip(self.problems, answers, strict=True)]
        self.judge.stop()
        asked = [run for run in runs if run["said"] not in (OTHER, UNJUDGED)]
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

    def _run(self, problem, answer):
        value, violation, least = math.inf, math.inf, math.nan
        if answer["x"] is not None:
            message = problem, answer["x"], answer["pair"]
            came = self.judge.ask(message, SETUP) or self.judge.ask(message, SETUP)
            if came:
                value, violation, least = came[0]
            else:  # it must not look like a failure of the solver, nor lose all other problems
                answer = {**answer, "said": UNJUDGED, "claimed": False}
        # The referee adds up in another order than solvers do.
        most = self.rtol * (1 + 1e-6)
        return {
            "name": problem["name"], "value": value, "violation": violation, "f": least,
            "solved": bool(value <= most), "claimed": bool(answer["claimed"]),
            "wrong": bool(answer["claimed"] and not value <= self.slack * most),
            **{name: answer[name] for name in (
                "seconds", "compiling", "steps", "evaluations", "said"
            )},
        }  # fmt: skip

    def get_one_result(self):
        return {"answers": [NOTHING for _ in self.problems]}
