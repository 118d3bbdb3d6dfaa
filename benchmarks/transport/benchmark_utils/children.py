"""Solves in a process of their own, which can be stopped, and whose memory can be measured.

One process a package is kept for all its solves, so that nothing is imported or compiled inside
the clock. It is stopped when a solve takes longer than its limit; the next solve starts another.
"""

import atexit
import importlib.util
import json
import math
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from benchopt import BaseSolver

PREPARING = 120.0  # seconds in which a process has to import, load and compile


class Child:
    """A process that runs `child.py` for one solver file."""

    def __init__(self, solver: str):
        self.stopped = False
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process is)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), solver],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip

    def ask(self, limit: float, **question) -> dict | None:
        """The reply to a question; None when the process died, or was stopped at the limit."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        stopper = threading.Timer(limit, self._overdue)
        stopper.start()
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            stopper.cancel()
        return json.loads(reply) if reply else None

    def _overdue(self) -> None:
        self.stopped = True
        self.process.kill()

    def last_words(self) -> str:
        """How the process ended, and the end of what it wrote to its standard error."""
        code = self.process.wait(timeout=10)
        self.log.seek(0)
        return f"(exit status {code}) {self.log.read()[-300:].strip()}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


_running: dict[str, Child] = {}


@atexit.register
def stop_all() -> None:
    """End every process that is still there."""
    while _running:
        _running.popitem()[1].stop()


class ChildSolver(BaseSolver):
    """A solver whose file says, in `prepare(data, method, epsilon, rtol)`, how it solves.

    `prepare` returns a function without arguments: one whole solve. What that returns is turned
    by the file's `answer` into a dictionary with `claimed`, `calls` and a plan or potentials.
    """

    sampling_strategy = "run_once"
    package = ""

    def skip(self, task, data, **_):
        if importlib.util.find_spec(self.package) is None:
            return True, f"{self.package} is not installed"
        return self.misfit(task, data)

    def misfit(self, task, data):
        """Whether, and why, a problem is not for this solver."""
        return False, None

    def set_objective(self, task, data, epsilon, rtol, limit):
        self.limit, self.result = limit, {"answers": []}
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        np.savez(path / "data.npz", **data)
        solver = sys.modules[type(self).__module__].__file__
        assert solver is not None
        self.fresh = task == "memory"
        if self.fresh and solver in _running:
            _running.pop(solver).stop()
        self.key = solver
        if solver not in _running:
            _running[solver] = Child(solver)
        self.child = _running[solver]
        reply = self.child.ask(
            PREPARING, do="prepare", data=str(path / "data.npz"), method=self.method,
            epsilon=epsilon, rtol=rtol,
        )  # fmt: skip
        self.ready = self._alive(reply)

    def run(self, _):
        self.reply: dict | None = {"error": "not ready"}
        if self.ready:
            self.reply = self.child.ask(self.limit, do="solve")

    def get_result(self):
        path = Path(self.folder.name) / "answer.npz"
        result = {"answers": [], "seconds": math.nan}
        stopped = self.ready and self.reply is None and self.child.stopped
        if self.ready and self._alive(self.reply):
            # Read before anything is repeated: a repetition that fails must not cost the answer.
            report = self.child.ask(PREPARING, do="answer", path=str(path))
            if self._alive(report):
                with np.load(path) as found:
                    arrays = dict(found)
                count = len(next(iter(arrays.values())))
                answers = [{name: array[t] for name, array in arrays.items()} for t in range(count)]
                result = dict(
                    report, answers=answers, memory=self.reply["memory"],
                    seconds=float(np.median(self._times())),
                )  # fmt: skip
        if self.fresh and _running.get(self.key) is self.child:
            _running.pop(self.key).stop()
        return dict(result, stopped=stopped)

    def _times(self) -> list[float]:
        """Seconds of the solve, and of more of them where one is quick."""
        times = [self.reply["seconds"]]
        while times[0] < 1.0 and len(times) < 5:
            again = self.child.ask(self.limit, do="solve")
            if not self._alive(again):
                break
            times.append(again["seconds"])
        return times

    def _alive(self, reply) -> bool:
        """Whether the process answered; one that did not is forgotten, and it is said why."""
        who = f"{self.name}[{self.method}]"
        if reply is None:
            why = "stopped at its time limit" if self.child.stopped else "its process ended"
            print(f"{who}: {why} {self.child.last_words()}", file=sys.stderr)
            self.child.stop()
            if _running.get(self.key) is self.child:
                del _running[self.key]
            return False
        if "error" in reply:
            print(f"{who}: {reply['error']}", file=sys.stderr)
            return False
        return True
