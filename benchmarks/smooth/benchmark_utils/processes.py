"""Solvers and the referee in processes of their own: each problem has a limit of time."""

import importlib.util
import multiprocessing
import time

import numpy as np
from benchopt import BaseSolver

QUICK, MOST = 0.5, 5  # seconds up to which a solve is repeated, and how many times it is done
SETUP = 600.0  # seconds for imports, set-up and compilation
SLICE = 0.25
NOTHING = {
    "x": None, "pair": None, "claimed": False, "compiling": np.nan, "seconds": np.nan,
    "steps": np.nan, "evaluations": np.nan, "said": "no answer in its time",
}  # fmt: skip


class Worker:
    """A process that answers one message after the other, and is started again after a kill."""

    def __init__(self, target, *given):
        self.target, self.given, self.pipe = target, given, None

    def ask(self, message, *limits):
        """The answers to a message, one for each limit of time, as many as came in time."""
        if self.pipe is None:
            context = multiprocessing.get_context("fork")
            self.pipe, theirs = context.Pipe()
            self.child = context.Process(
                target=self.target, args=(theirs, *self.given), daemon=True
            )  # fmt: skip
            self.child.start()
            theirs.close()
        found = []
        try:
            self.pipe.send(message)
            for limit in limits:
                if not self._came(limit):
                    break
                found.append(self.pipe.recv())
        except (EOFError, OSError):
            pass
        if len(found) < len(limits):
            self.stop()
        return found

    def _came(self, limit):
        """Whether an answer comes in so many seconds, those not counted in which this process and
        all others were held, by a machine at rest say."""
        while limit > 0:
            began = time.perf_counter()
            if self.pipe.poll(min(limit, SLICE)):
                return True
            limit -= min(time.perf_counter() - began, 2 * SLICE)
        return False

    def stop(self):
        """Kill it, where it runs."""
        if self.pipe is not None:
            self.child.kill()
            self.child.join()
            self.pipe.close()
            self.pipe = None


def _work(pipe, path, parameters):
    import jax

    jax.config.update("jax_enable_x64", True)
    spec = importlib.util.spec_from_file_location("solver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    while True:
        problem, rtol, limit = pipe.recv()
        begin = time.perf_counter()
        solve = module.prepare(problem, rtol, limit, **parameters)
        compiling = time.perf_counter() - begin
        pipe.send("ready")
        begin = time.perf_counter()
        found = solve()
        once = time.perf_counter() - begin
        pipe.send({**found, "compiling": compiling, "seconds": once})
        times = [once]
        while sum(times) < QUICK and len(times) < MOST:
            begin = time.perf_counter()
            solve()
            times.append(time.perf_counter() - begin)
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
                self.answers.append({**NOTHING, "said": "another kind"})
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
