"""The front door: solve one problem, certify any answer."""

import os
import time
import zlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from resolvent._core import traced
from resolvent._core.adjoint import Adjoint, Implicit, Unrolled, attach
from resolvent._core.checks import count, is_traced, nonnegative, refuse
from resolvent._core.driver import Hooks, Limits, Outcome, Report, drive
from resolvent._core.files import Checkpoint
from resolvent._core.host import HostStepper
from resolvent._core.memory import Memory, mark
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Problem
from resolvent._core.progress import Progress, wanted
from resolvent._core.randomness import jax_key, words_of
from resolvent._core.registry import methods_for
from resolvent._core.solution import Certificate, NotConverged, Reason, Solution
from resolvent._core.units import solve_in
from resolvent._core.value import Value

_FAILED = (Reason.breakdown, Reason.stalled, Reason.diverged)
_IMPLICIT = Implicit()
_NOTHING = Memory()


def solve(
    problem: Problem,
    method: Any = None,
    *,
    x0: Any = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_steps: int | None = None,
    seconds: float | None = None,
    key: Any = None,
    memory: Memory | None = None,
    adjoint: Adjoint | None = _IMPLICIT,
    callback: Callable[[Report], Any] | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    throw: bool = True,
) -> Solution:
    """Solve a problem by iteration, and let the problem itself measure what comes out.

    The loop ends when the problem's certificate holds, `value <= max(rtol * scale, atol)`, or for
    one of the other reasons of `Reason`. Works eagerly (with progress, time limit, history) and
    under `jax.jit`, `vmap` and `grad` (as one pure function, where `throw` has no effect).

    Args:
        problem: what to solve.
        method: how; the problem's default method when absent.
        x0: first guess; the problem's own when absent.
        rtol: relative tolerance, a multiple of the certificate's scale.
        atol: absolute tolerance, in the certificate's unit.
        max_steps: step limit; the method's own when absent.
        seconds: time limit, looked at between chunks of about a tenth of a second.
        key: randomness, an integer or a JAX key; the same key gives the same answer.
        memory: what an earlier solve returned as `solution.memory`.
        adjoint: how to differentiate (`Implicit`, `Unrolled` or None for not at all).
        callback: called between chunks with a `Report`; a true value ends the solve.
        progress: show a bar; None shows it in a terminal or notebook after one second.
        checkpoint: a file that the solve's state is written to now and then, and resumed from.
        throw: raise `NotConverged` when the target is missed (not when interrupted).

    Returns:
        The solution with its certificate.

    Raises:
        NotConverged: if `throw` and the target was missed; it carries the solution.
        TypeError: if the method does not solve this type of problem, or an argument has a wrong
            type.
        ValueError: if data or parameters are not admissible.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.array([[4.0, 1.0], [1.0, 3.0]])
        sol = rs.solve(rs.LinearSystem(A, np.array([1.0, 2.0])), rtol=1e-10)
        assert sol.converged
        ```
    """
    began = time.perf_counter()
    if callback is not None and callable(callback):
        callback = _outside(callback)
    check_problem(problem)
    if method is None:
        method = problem.default_method()
    check_pair(problem, method)
    method = problem.adapt(method)
    if is_traced((problem, method, x0, memory, key, rtol, atol)):
        _refuse_outside(seconds, callback, checkpoint, progress)
        check_options(None if is_traced(key) else key, memory, adjoint, None)
        return _solve_pure(problem, method, x0, rtol, atol, max_steps, key, memory, adjoint)
    rtol, atol = nonnegative("rtol", rtol), nonnegative("atol", atol)
    if seconds is not None:
        seconds = nonnegative("seconds", seconds)
    check_options(key, memory, adjoint, callback)
    engine = problem.engine(method.runs_on())
    with scope(engine == "traced" and needs_double(problem)), np.errstate(all="ignore"):
        units = problem.units(method)
        options: dict[str, Any] = {
            "method": method, "engine": engine, "x0": x0, "rtol": rtol, "atol": atol,
            "max_steps": max_steps, "seconds": seconds, "key": key, "memory": memory,
            "callback": callback, "progress": progress, "checkpoint": checkpoint, "throw": throw,
            "began": began,
        }  # fmt: skip
        if units is None:
            return _solve_eager(problem, **options)
        return solve_in(units, _solve_eager, problem, **options)


def _refuse_outside(seconds: Any, callback: Any, checkpoint: Any, progress: Any) -> None:
    given = {"seconds": seconds, "callback": callback, "checkpoint": checkpoint}
    given["progress"] = progress or None
    if unused := [name for name, value in given.items() if value is not None]:
        refuse(
            TypeError, ", ".join(unused), given="arguments that need Python between two chunks",
            needed="none of them inside a JAX transformation, where a solve is one pure function",
            advice="Leave them out there, or solve outside of jit, vmap and grad.",
        )  # fmt: skip


def certify(
    problem: Problem, x: Any, witness: Any = None, *, rtol: float = 1e-6, atol: float = 0.0
) -> Certificate:
    """Judge anybody's answer: measure `x` from the problem's data alone.

    Args:
        problem: the problem that `x` claims to solve.
        x: the point.
        witness: a dual point, multipliers or plan, where the problem's certificate uses one.
        rtol: relative tolerance that sets the target.
        atol: absolute tolerance that sets the target.

    Returns:
        The certificate; its `holds` says whether the claim stands.

    Raises:
        ValueError: if `x` has the wrong shape or is not finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A, b = np.diag([1.0, 2.0]), np.array([1.0, 4.0])
        assert rs.certify(rs.LinearSystem(A, b), np.array([1.0, 2.0])).holds
        ```
    """
    check_problem(problem)
    if is_traced((problem, x, rtol, atol)):
        return problem.certify(x, witness).against(rtol, atol)
    rtol, atol = nonnegative("rtol", rtol), nonnegative("atol", atol)
    with scope(needs_double(problem)), np.errstate(all="ignore"):
        certificate = problem.judge(problem.admit(x, "x"), witness)
        return certificate.against(rtol, atol).as_numbers()


def check_problem(problem: Any) -> None:
    """Refuse what is no problem at all."""
    if not isinstance(problem, Problem):
        refuse(
            TypeError, "problem", given=type(problem).__name__, needed="a Problem",
            advice="Wrap the data, for example in resolvent.LinearSystem(A, b).",
        )  # fmt: skip


def check_options(key: Any, memory: Any, adjoint: Any, callback: Any) -> None:
    """Refuse arguments of a wrong type, which would fail late or be ignored."""
    if key is not None:
        words_of(key)
    if memory is not None and not isinstance(memory, Memory):
        refuse(
            TypeError, "memory", given=f"a {type(memory).__name__}", needed="a Memory or None",
            advice="Pass an earlier solution's .memory.",
        )  # fmt: skip
    if adjoint is not None and not isinstance(adjoint, Adjoint):
        refuse(
            TypeError, "adjoint", given=f"{adjoint!r}", needed="Implicit(), Unrolled() or None",
            advice="Write adjoint=resolvent.Implicit().",
        )  # fmt: skip
    if callback is not None and not callable(callback):
        refuse(
            TypeError, "callback", given=f"a {type(callback).__name__}",
            needed="a function of a Report", advice="Pass a function, or None.",
        )  # fmt: skip


def check_pair(problem: Any, method: Any) -> None:
    """Refuse a method that does not solve this problem, in words that name those that do."""
    if not hasattr(method, "solves"):
        refuse(
            TypeError, "method", given=repr(method), needed="an instance of a Method",
            advice=f"Try one of: {', '.join(sorted(methods_for(problem)))}.",
        )  # fmt: skip
    if isinstance(method, type):
        refuse(
            TypeError, "method", given=f"the class {method.__name__}", needed="an instance",
            advice=f"Write {method.__name__}().",
        )  # fmt: skip
    if not isinstance(problem, method.solves):
        refuse(
            TypeError, "method", given=f"{method.name}, which does not solve {problem.describe()}",
            needed=f"a method for {type(problem).__name__}",
            advice=f"Those that do: {', '.join(sorted(methods_for(problem)))}.",
        )  # fmt: skip
    unmet = problem.missing(method.needs)
    if unmet is not None:
        need, why = unmet
        able = [name for name, cls in methods_for(problem).items() if need not in cls.needs]
        refuse(
            ValueError, "method", given=f"{method.name} for a problem where {why}",
            needed=f"a problem that is or has: {need.replace('_', ' ')}",
            advice=f"Methods without this need: {', '.join(sorted(able))}.",
        )  # fmt: skip
    method.check(problem)


def _solve_eager(
    problem: Problem,
    method: Any,
    engine: Any,
    *,
    x0: Any,
    rtol: float,
    atol: float,
    max_steps: int | None,
    seconds: float | None,
    key: Any,
    memory: Memory | None,
    callback: Any,
    progress: bool | None,
    checkpoint: Any,
    throw: bool,
    began: float,
) -> Solution:
    most = method.limit(problem) if max_steps is None else count("max_steps", max_steps)
    prepared = problem.prepare(engine)
    bound = method.bind(prepared)
    # Given or not, a first guess is an argument of the same compiled program.
    start = prepared.start(key) if x0 is None else prepared.admit(x0)
    notes: list[str] = []
    kept = _NOTHING
    if memory is not None and len(memory):
        kept, notes = memory.fresh(problem)
    bar = Progress(method.name) if wanted(progress) else None
    hooks = Hooks(callback, bar)
    if checkpoint is not None:
        hooks.checkpoint = Checkpoint(checkpoint)
        hooks.mark = [
            signature(method), engine, prepared.form(), problem.describe(),
            problem.fingerprint("data"),
        ]  # fmt: skip
    limits = Limits(rtol, atol, most, seconds)
    known = kept.only(method.reads) if len(kept) else kept
    kind = TRACED if engine == "traced" else HOST
    stepper = kind(prepared, bound)
    try:
        calls: dict[str, int] = {}
        try:
            outcome = drive(stepper, start, bound.recall(prepared, known), key, limits, hooks)
            calls = stepper.calls()
            failure = f"ended '{outcome.reason}'" if outcome.reason in _FAILED else None
        except Exception as error:
            # Garbage in memory may break a method anywhere; what is wrong with the problem itself
            # shows again in the cold solve.
            if not len(known):
                raise
            outcome, failure = None, f"failed with {type(error).__name__}"
        if outcome is None or (failure and len(known)):
            notes.append(f"memory rejected: the solve with it {failure}; solved again cold")
            kept = kept.without(*method.reads)
            if hooks.checkpoint is not None:
                hooks.checkpoint.remove()
            # Bound again, so that it finds the set-up done: the first try has counted its cost.
            stepper = kind(prepared, bound.bind(prepared) if calls else bound)
            cold = bound.recall(prepared, _NOTHING)
            outcome = drive(stepper, start, cold, key, limits, hooks)
            calls = _sum(calls, stepper.calls())
    finally:
        if bar is not None:
            bar.close()
    x = problem.as_answer(problem.restore(outcome.x))
    outcome.witness = problem.restore_witness(outcome.witness)
    certificate, reason = _judged(problem, prepared, x, outcome, rtol, atol)
    # A solve that was cut off shows what the clock did, not what the method can do.
    remembered = {} if reason in (Reason.time, Reason.interrupted) else stepper.remember()
    if remembered:
        kept = kept.updated(mark(remembered, problem))
    solution = Solution(
        x=x,
        certificate=certificate,
        reason_code=reason.code,
        steps=outcome.steps,
        calls=calls,
        memory=kept,
        witness=outcome.witness,
        seconds=time.perf_counter() - began,
        history=outcome.history,
        method=str(method),
        problem=problem.describe(),
        engine=", ".join(filter(None, (engine, prepared.form()))),
        notes=tuple(notes + outcome.notes),
    )
    if hooks.checkpoint is not None and solution.converged:
        hooks.checkpoint.remove()
    failed = certificate.kind != "none" and not solution.converged
    if throw and failed and reason is not Reason.interrupted:
        raise NotConverged(solution)
    return solution


def _outside(callback: Any) -> Any:
    """The user's function runs under the user's precision setting, not under the solve's."""
    setting = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    def call(report: Report) -> Any:
        with jax.enable_x64(setting):
            return callback(report)

    return call


HOST = HostStepper
TRACED = traced.TracedStepper


def signature(value: Any) -> Any:
    """What a method is, in numbers and texts that are the same in another process."""
    if isinstance(value, Value):
        fields = {name: signature(field) for name, field in vars(value).items()}
        return {type(value).__qualname__: fields}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [signature(item) for item in value]
    if isinstance(value, np.ndarray | jax.Array):
        array = np.ascontiguousarray(np.asarray(value))
        return [str(array.dtype), list(array.shape), zlib.crc32(array.data)]
    return getattr(value, "__qualname__", type(value).__qualname__)


def _judged(
    problem: Problem, prepared: Problem, x: Any, outcome: Outcome, rtol: float, atol: float
) -> tuple[Certificate, Reason]:
    """The certificate on the user's own data, and the reason that fits it."""
    certificate = outcome.certificate
    if prepared is not problem and not problem.exact_forms:
        certificate = problem.certify(x, outcome.witness).against(rtol, atol)
        if isinstance(certificate.value, jax.Array):
            certificate = certificate.as_numbers()
    if certificate.holds:
        return certificate, Reason.target
    if outcome.reason is Reason.target:
        # The engine's form of the data and the user's differ in the last digits.
        return certificate, Reason.stalled
    return certificate, outcome.reason


def _sum(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in (*first, *second)}


def _solve_pure(
    problem: Problem,
    method: Any,
    x0: Any,
    rtol: Any,
    atol: Any,
    max_steps: int | None,
    key: Any,
    memory: Memory | None,
    adjoint: Adjoint | None,
) -> Solution:
    if "traced" not in method.runs_on():
        able = [
            name for name, cls in methods_for(problem).items() if "traced" in cls.engines
        ]  # fmt: skip
        refuse(
            TypeError, "method",
            given=f"{method.name}, which runs on the host, inside a JAX transformation",
            needed="a traced method there", advice=f"Traced methods: {', '.join(sorted(able))}.",
        )  # fmt: skip
    problem.engine(("traced",))
    if max_steps is None:
        if adjoint is not None and adjoint.needs_bound():
            refuse(
                ValueError, "max_steps", given="None with adjoint=Unrolled()",
                needed="a step limit", advice="Pass max_steps: memory grows with it.",
            )  # fmt: skip
        max_steps = method.limit(problem)
    problem = problem.prepare("traced")
    start = problem.start(key) if x0 is None else problem.admit(x0)
    key = jax_key(key) if method.random else None
    known = _NOTHING if memory is None else memory
    memory = known.only(method.reads)
    still = jax.tree_util.tree_map(_stopped, problem)
    if isinstance(adjoint, Unrolled):
        run: Any = traced.unrolled
        given: tuple[Any, ...] = (problem, method.bind(problem), start)
    else:
        run = traced.pure
        given = (still, *jax.tree_util.tree_map(_stopped, (method.bind(still), start)))
    x, witness, certificate, reason, done, calls, state = run(
        *given, memory, key, rtol, atol, max_steps
    )
    if isinstance(adjoint, Implicit):
        x = attach(problem, x, certificate.holds, adjoint)
    # What an answer tells besides its point depends on the data as well.
    x = (still if adjoint is None else problem).as_answer(x)
    remembered = method.remember(problem, state)
    return Solution(
        x=x, certificate=certificate, reason_code=reason, steps=done, calls=calls,
        memory=known.updated(mark(remembered, problem)) if remembered else known,
        witness=witness, method=str(method), problem=problem.describe(), engine="traced",
    )  # fmt: skip


def _stopped(leaf: Any) -> Any:
    return jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.Array) else leaf
