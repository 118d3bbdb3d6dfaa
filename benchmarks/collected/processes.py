"""Processes on one core each, whose answers have a limit of time: solvers', and the referee.

Time is that of the processor, so that what else runs on a machine takes little part in it.
"""

import multiprocessing
import os

SETUP = 300.0  # seconds for imports, set-up and compilation
SLICE = 0.25
ASLEEP = 20.0  # times its limit on the clock after which a process that does nothing is given up


class Worker:
    """A process that answers one message after the other, and is started again after a kill."""

    def __init__(self, target, *given):
        self.target, self.given, self.pipe = target, given, None

    def ask(self, message, *limits):
        """The answers to a message, one for each limit of time, as many as came in time."""
        if self.pipe is None:
            self._start()
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

    def _start(self):
        import psutil

        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.child = context.Process(
            target=_alone, args=(self.target, theirs, *self.given), daemon=True
        )
        self.child.start()
        theirs.close()
        self.clock = psutil.Process(self.child.pid)

    def _came(self, limit):
        """Whether an answer comes within so many seconds of the process's own."""
        began, slept = self._spent(), 0.0
        while self._spent() - began < limit and slept < ASLEEP * limit:
            if self.pipe.poll(SLICE):
                return True
            slept += SLICE
        return self.pipe.poll(0.0)

    def _spent(self):
        times = self.clock.cpu_times()
        return times.user + times.system

    def stop(self):
        """Kill it, where it runs."""
        if self.pipe is not None:
            self.child.kill()
            self.child.join()
            self.pipe.close()
            self.pipe = None


def _alone(target, pipe, *given):
    """On one core, with one thread of linear algebra."""
    from threadpoolctl import threadpool_limits

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    threadpool_limits(1)
    target(pipe, *given)
