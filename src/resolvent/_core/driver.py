"""The one loop of both engines: judge, then advance.

Decisions about the answer depend on step numbers alone, never on the clock, so that the same
problem and key give the same answer however fast the machine is; the clock only sets how many
steps run between two looks.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from resolvent._core.checks import refuse
from resolvent._core.files import Checkpoint
from resolvent._core.history import History
from resolvent._core.interrupts import HeldInterrupt
from resolvent._core.progress import Progress
from resolvent._core.solution import Certificate, Reason, reason_of

_FIRST = 64  # steps of the first chunk
_CAREFUL = 8  # the same under a time limit, before the pace is known
_LOOK = 0.1  # seconds that a chunk should take
_TINY = 100  # unknowns of a system whose chunks are over before anybody can press a key
_DRIFT = 10.0  # how far the method's measure may fall below the certificate's value
_BLOW_UP = 1e30  # growth of the measure that no convergent method shows
_leaves, _map = jax.tree_util.tree_leaves, jax.tree_util.tree_map


@dataclasses.dataclass(frozen=True)
class Report:
    """What a callback is given between two chunks.

    Attributes:
        steps: iterations so far.
        measure: the method's present measure, in the certificate's unit.
        target: what it must come down to.
        seconds: wall time so far.
        point: call it to get the present point.
    """

    steps: int
    measure: float
    target: float
    seconds: float
    point: Callable[[], Any]


@dataclasses.dataclass
class Limits:
    """When a solve must end."""

    rtol: float
    atol: float
    max_steps: int
    seconds: float | None


@dataclasses.dataclass
class Hooks:
    """What looks on between two chunks."""

    callback: Callable[[Report], Any] | None = None
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None
    every: float = 10.0
    mark: Any = None


@dataclasses.dataclass
class Outcome:
    """How the loop ended."""

    x: Any
    witness: Any
    certificate: Certificate
    reason: Reason
    steps: int
    history: History
    notes: list[str]


def drive(stepper: Any, x0: Any, memory: Any, key: Any, limits: Limits, hooks: Hooks) -> Outcome:
    """Run a stepper until the problem's certificate holds or there is a reason to end."""
    began = time.perf_counter()
    history = History()
    notes: list[str] = []
    steps, saved_state, elapsed_before = 0, None, 0.0
    if hooks.checkpoint is not None:
        steps, saved_state, elapsed_before, note = _resume(hooks)
        notes += note
    reason = Reason.running
    passed: Certificate | None = None
    last_claim = math.inf
    strikes = 0
    tighten = 1.0
    refresh = False
    best_before, best_window = math.inf, math.inf
    monitored = stepper.method.monitored
    kept: tuple[Any, Any, Certificate] | None = None
    calls_before = 0.0
    seconds_before = 0.0
    last_saved = began
    try:
        with HeldInterrupt(_size(x0) > _TINY) as held:
            first = _FIRST if limits.seconds is None else _CAREFUL
            limit = _until(steps, first, limits.max_steps, monitored)
            chunk = stepper.first(x0, memory, key, limits.rtol, limits.atol, limit, saved_state)
            chunk_began = began
            started = chunk.measure
            while True:
                now = time.perf_counter()
                calls = float(sum(stepper.calls().values()))
                if chunk.done:
                    history.add(
                        chunk.trace_steps + steps, chunk.trace,
                        (calls_before, calls), (seconds_before, now - began),
                    )  # fmt: skip
                elif steps == 0 and len(history) == 0:
                    history.add(np.zeros(1), np.array([chunk.measure]), (0.0, calls), (0.0, 0.0))
                calls_before, seconds_before = calls, now - began
                steps += chunk.done
                best_window = min(best_window, chunk.best)
                refresh = False
                if chunk.measure <= tighten * chunk.target:
                    certificate = stepper.judge().against(limits.rtol, limits.atol)
                    if certificate.holds:
                        passed, reason = certificate, Reason.target
                        break
                    # The method believes what the data deny: recompute, ask for more, and give up
                    # when that no longer helps, because then the precision is exhausted.
                    value = _worst_ratio(certificate)
                    strikes = strikes + 1 if not value < 0.7 * last_claim else 0
                    last_claim = min(value, last_claim)
                    x, witness = stepper.point()
                    if kept is None or _worst_ratio(certificate) < _worst_ratio(kept[2]):
                        kept = (_copied(x), witness, certificate)
                    if strikes >= 2:
                        reason = Reason.stalled
                        break
                    tighten *= 0.5
                    refresh = True
                elif chunk.status:
                    reason = reason_of(chunk.status)
                    break
                elif not math.isfinite(chunk.measure) or chunk.measure > _BLOW_UP * max(
                    started, chunk.target
                ):
                    reason = Reason.diverged
                    break
                if chunk.interrupted or held.came:
                    reason = Reason.interrupted
                    break
                if steps and steps % monitored == 0 and chunk.done:
                    if not best_window < best_before:
                        reason = Reason.stalled
                        break
                    certificate = stepper.judge().against(limits.rtol, limits.atol)
                    value = _worst_ratio(certificate)
                    if kept is None or value < _worst_ratio(kept[2]):
                        x, witness = stepper.point()
                        kept = (_copied(x), witness, certificate)
                    if value * chunk.target > _DRIFT * chunk.measure:
                        # The recurrences have lost the true residual: begin again from the data.
                        strikes = strikes + 1 if not value < 0.7 * last_claim else 0
                        last_claim = min(value, last_claim)
                        refresh = True
                        if strikes >= 2:
                            reason = Reason.stalled
                            break
                    best_before, best_window = best_window, math.inf
                if steps >= limits.max_steps:
                    reason = Reason.max_steps
                    break
                elapsed = now - began + elapsed_before
                if limits.seconds is not None and elapsed >= limits.seconds:
                    reason = Reason.time
                    break
                if hooks.progress is not None:
                    hooks.progress.solve(steps, chunk.measure, chunk.target)
                if hooks.callback is not None:
                    report = Report(
                        steps, chunk.measure, chunk.target, elapsed, lambda: stepper.point()[0]
                    )
                    if hooks.callback(report):
                        reason = Reason.interrupted
                        break
                if hooks.checkpoint is not None and now - last_saved >= hooks.every:
                    _save(hooks, stepper, steps, elapsed)
                    last_saved = now
                pace = (now - chunk_began) / max(1, chunk.done)
                wish = int(_LOOK / max(pace, 1e-7))
                if limits.seconds is not None:
                    wish = min(wish, int((limits.seconds - elapsed) / max(pace, 1e-7)) + 1)
                wish = max(1, min(wish, 8 * max(limit, 1)))
                limit = _until(steps, wish, limits.max_steps, monitored)
                chunk_began = time.perf_counter()
                chunk = stepper.next(limit, tighten, refresh)
    except KeyboardInterrupt:
        reason = Reason.interrupted
        if stepper.state is None:
            raise
    if reason is Reason.interrupted and hooks.checkpoint is not None:
        _save(hooks, stepper, steps, time.perf_counter() - began + elapsed_before)
    x, witness = stepper.point()
    certificate = stepper.judge().against(limits.rtol, limits.atol) if passed is None else passed
    if reason not in (Reason.target, Reason.infeasible):
        # No answer is worse than what was there at the start.
        known = stepper.known(x0).as_numbers().against(limits.rtol, limits.atol)
        if reason is Reason.diverged:
            stepper.problem.check_start(known)
        for other in (kept, (x0, None, known)):
            if other is None or _worst_ratio(certificate) <= _worst_ratio(other[2]):
                continue
            x, witness, certificate = other
    history.name = certificate.name
    return Outcome(x, witness, certificate, reason, steps, history, notes)


def _until(steps: int, wish: int, max_steps: int, monitored: int) -> int:
    """How many steps to run: no further than the limit and the next monitored step."""
    return max(0, min(wish, max_steps - steps, monitored - steps % monitored))


def _worst_ratio(certificate: Certificate) -> float:
    """How far the value is above its target, at worst; NaN counts as infinitely far."""
    value = np.asarray(certificate.value, float)
    target = np.maximum(np.asarray(certificate.target, float), np.finfo(float).tiny)
    with np.errstate(over="ignore"):
        ratio = np.where(np.isnan(value), math.inf, value / target)
    return float(ratio.max()) if ratio.size else 0.0


def _size(x: Any) -> int:
    return x.size if isinstance(x, np.ndarray) else sum(np.size(leaf) for leaf in _leaves(x))


def _copied(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x.copy()
    return _map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, x)


def _resume(hooks: Hooks) -> tuple[int, Any, float, list[str]]:
    assert hooks.checkpoint is not None
    found, complaint = hooks.checkpoint.read()
    notes = [] if complaint is None else [f"newest checkpoint unusable, previous used: {complaint}"]
    if found is None:
        return 0, None, 0.0, notes
    fields = {"mark", "steps", "seconds", "state"}
    written_for = found["mark"] if isinstance(found, dict) and set(found) == fields else "no solve"
    if written_for != hooks.mark:
        refuse(
            ValueError, "checkpoint",
            given=f"{hooks.checkpoint.path}, written for {written_for}",
            needed=f"one written for {hooks.mark}",
            advice="Give another path, or delete the file to start afresh.",
        )  # fmt: skip
    notes.append(f"resumed from {hooks.checkpoint.path.name} at step {found['steps']}")
    return found["steps"], found["state"], found["seconds"], notes


def _save(hooks: Hooks, stepper: Any, steps: int, seconds: float) -> None:
    assert hooks.checkpoint is not None
    hooks.checkpoint.write(
        {"mark": hooks.mark, "steps": steps, "seconds": seconds, "state": stepper.state}
    )
