"""Runs a solver in a process of its own: its first call is one, and its time is limited."""

import importlib.util
import multiprocessing
import time

import numpy as np
from benchopt import BaseSolver

QUICK, MOST = 1.0, 9  # seconds up to which a solve is repeated, and how many times it is done
LONG = 30.0  # seconds of a first call, compilation included, behind which there is no other
START = 60.0  # seconds for imports and set-up


def measured(path, parameters, objective, limit):
    """What `prepare(**parameters, **objective)` of a file returns when called, and its seconds.

    `first` are those of the first call in a fresh process, with compilation or the loading of
    compiled code; `seconds` the median of the calls behind it, where it is quick. A solver that is
    not done after `limit` seconds, set-up apart, is killed: it has found nothing.
    """
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    child = context.Process(target=_work, args=(theirs, path, parameters, objective))
    child.start()
    theirs.close()
    try:
        if not mine.poll(START) or mine.recv() != "ready":
            return None
        if not mine.poll(limit):
            return None
        found = mine.recv()
        # What comes behind the first call is repetition.
        return mine.recv() if mine.poll(limit + QUICK) else found
    except EOFError:
        return None
    finally:
        child.kill()
        child.join()


def _work(pipe, path, parameters, objective):
    spec = importlib.util.spec_from_file_location("solver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    solve = module.prepare(**parameters, **objective)
    pipe.send("ready")
    begin = time.perf_counter()
    found = solve()
    once = time.perf_counter() - begin
    # A solver that had to run before this says itself how long its first call took.
    first = found.pop("first", once)
    pipe.send({**found, "first": first, "seconds": once})
    times = []
    while sum(times) < QUICK and len(times) < MOST and once < LONG:
        begin = time.perf_counter()
        found = solve()
        times.append(time.perf_counter() - begin)
    pipe.send({**found, "first": first, "seconds": float(np.median(times)) if times else once})


def loosest(solve, good, tolerances):
    """The first of ever smaller tolerances whose answer is good; the last where none is.

    Packages stop on measures of their own: each is given the tolerance that suffices, and no less.
    """
    for tol in tolerances:
        if good(solve(tol)):
            return tol
    return tolerances[-1]


class Isolated(BaseSolver):
    """A solver whose module has `tasks`, by parameter where it has one, and `prepare`."""

    sampling_strategy = "run_once"
    file = ""
    tasks = ()

    def skip(self, task, **_):
        return task not in self.able(), "another task"

    def able(self):
        """The tasks of these parameters."""
        return self.tasks

    def chosen(self):
        """The parameters, by name."""
        return {}

    def set_objective(self, task, data, rtol, limit):
        self.objective, self.limit = {"task": task, "data": data, "rtol": rtol}, limit

    def run(self, _):
        self.found = measured(self.file, self.chosen(), self.objective, self.limit)

    def get_result(self):
        nothing = {"x": None, "claimed": False, "first": np.nan, "seconds": np.nan, "steps": 0}
        return nothing if self.found is None else {**nothing, **self.found}
