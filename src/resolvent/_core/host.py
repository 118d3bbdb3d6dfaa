"""The host engine: chunks are Numba kernels where a method has one, else a Python loop."""

import math
import time
from typing import Any, NamedTuple

import numpy as np

from resolvent._core.memory import Memory
from resolvent._core.randomness import generator


class Chunk(NamedTuple):
    """What the driver learns from some steps."""

    done: int
    measure: float
    status: int
    target: float
    best: float
    trace_steps: Any
    trace: Any
    interrupted: bool = False


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a chunk, with what was done until then."""

    def __init__(self, state: Any, trace: Any):
        super().__init__()
        self.state, self.trace = state, trace


_PAUSE = 0.1  # seconds after which a Python loop lets the driver look


def run_steps(method: Any, problem: Any, state: Any, steps: int, goal: float) -> tuple[Any, Any]:
    """Up to `steps` eager steps, less if they are slow; the default of methods without a kernel."""
    measures = []
    until = time.perf_counter() + _PAUSE
    # Overflow is not hidden by this: the measure that is not finite ends the solve as divergence.
    with np.errstate(all="ignore"):
        try:
            for _ in range(steps):
                state = method.step(problem, state)
                measure = float(method.measure(problem, state))
                measures.append(measure)
                if measure <= goal or method.status(state) or not math.isfinite(measure):
                    break
                if time.perf_counter() > until:
                    break
        except KeyboardInterrupt:
            raise Interrupted(state, np.asarray(measures)) from None
    return state, np.asarray(measures)


class HostStepper:
    """Runs a method on NumPy and SciPy data. `state` may be changed in place by kernels."""

    def __init__(self, problem: Any, method: Any):
        self.problem, self.method = problem, method
        self.state: Any = None
        self._advance = getattr(method, "advance", None)

    def first(
        self, x0: Any, memory: Memory, key: Any, rtol: float, atol: float, steps: int, state: Any
    ) -> Chunk:
        """Make the state (or take a saved one) and run the first chunk."""
        problem, method = self.problem, self.method
        if state is None:
            state = method.init(problem, x0, memory, generator(key) if method.random else None)
        self.state = state
        scale = problem.scale(x0)
        target = max(rtol * scale, atol)
        if isinstance(target, np.generic):
            target = float(target)
        self._target = target
        measure = float(method.measure(problem, state))
        if measure <= target or steps == 0 or method.status(state) or not math.isfinite(measure):
            return Chunk(0, measure, int(method.status(state)), target, measure, _NO, _NO)
        return self._run(steps, target)

    def next(self, steps: int, tighten: float, refresh: bool) -> Chunk:
        """Run up to `steps` more, towards `tighten` times the target."""
        if refresh:
            self.state = self.method.refresh(self.problem, self.state)
            measure = float(self.method.measure(self.problem, self.state))
            if not measure > tighten * self._target:
                status = int(self.method.status(self.state))
                return Chunk(0, measure, status, self._target, measure, _NO, _NO)
        return self._run(steps, tighten * self._target)

    def _run(self, steps: int, goal: float) -> Chunk:
        method, problem = self.method, self.problem
        interrupted = False
        try:
            if self._advance is not None:
                self.state, trace = self._advance(problem, self.state, steps, goal)
            else:
                self.state, trace = run_steps(method, problem, self.state, steps, goal)
        except Interrupted as stop:
            self.state, trace, interrupted = stop.state, stop.trace, True
        done = len(trace)
        measure = float(trace[-1]) if done else float(method.measure(problem, self.state))
        best = float(np.minimum.reduce(trace)) if done and math.isfinite(measure) else measure
        status = int(method.status(self.state))
        steps_done = np.arange(1, done + 1)
        return Chunk(done, measure, status, self._target, best, steps_done, trace, interrupted)

    def judge(self) -> Any:
        """The problem's own view of the present point."""
        x, witness = self.method.iterate(self.problem, self.state)
        return self.problem.certify(x, witness)

    def known(self, x: Any) -> Any:
        """The problem's view of another point."""
        return self.problem.certify(x)

    def point(self) -> tuple[Any, Any]:
        """The present point and its witness."""
        return self.method.iterate(self.problem, self.state)

    def calls(self) -> dict[str, int]:
        """Oracle calls so far."""
        return self.method.calls(self.problem, self.state)

    def remember(self) -> Any:
        """Memory entries of the method."""
        return self.method.remember(self.problem, self.state)


_NO = np.empty(0)
