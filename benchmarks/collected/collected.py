"""A solver of a whole collection of problems, in a process of its own."""

import importlib.util
import time

import numpy as np
from benchmark_utils.processes import SETUP, Worker
from benchopt import BaseSolver

QUICK, MOST = 0.5, 5  # seconds up to which a solve is repeated, and how many times it is done
OTHER = "another kind"  # of problem, which a solver is not asked to solve
NOTHING = {
    "x": None, "pair": None, "claimed": False, "compiling": np.nan, "seconds": np.nan,
    "steps": np.nan, "evaluations": np.nan, "said": "no answer in its time",
}  # fmt: skip


def _work(pipe, path, parameters):
    import jax

    jax.config.update("jax_enable_x64", True)
    spec = importlib.util.spec_from_file_location("solver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    while True:
        problem, rtol, limit = pipe.recv()
        begin = time.process_time()
        solve = module.prepare(problem, rtol, limit, **parameters)
        compiling = time.process_time() - begin
        pipe.send("ready")
        begin = time.process_time()
        found = solve()
        once = time.process_time() - begin
        pipe.send({**found, "compiling": compiling, "seconds": once})
        times = [once]
        while sum(times) < QUICK and len(times) < MOST:
            begin = time.process_time()
            solve()
            times.append(time.process_time() - begin)
        pipe.send(float(np.median(times)))


class Collected(BaseSolver):
    """A solver of a whole collection; its module has `prepare(problem, rtol, limit, ...)`."""

    sampling_strategy = "run_once"
    file = ""

    def able(self, problem):
        """Whether a problem is of the kind that these parameters solve."""
        return True

    def chosen(self):
        """The parameters, by name."""
        return {}

    def set_objective(self, problems, rtol, limit):
        self.problems, self.rtol, self.limit = problems, rtol, limit

    def run(self, _):
        worker = Worker(_work, self.file, self.chosen())
        self.answers = []
        for problem in self.problems:
            if not self.able(problem):
                self.answers.append({**NOTHING, "said": OTHER})
                continue
            came = worker.ask((problem, self.rtol, self.limit), SETUP, self.limit, self.limit)
            answer = {**NOTHING, **(came[1] if len(came) > 1 else {})}
            if not came:
                answer["said"] = "failed, or was not set up in its time"
            if len(came) > 2:
                answer["seconds"] = came[2]
            self.answers.append(answer)
        worker.stop()

    def get_result(self):
        return {"answers": self.answers}
