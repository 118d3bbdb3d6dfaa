"""Solves in other units: data far from 1 are brought near it by powers of two, which is exact.

Squares of very large or small numbers over- and underflow, and every method forms squares.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from resolvent._core.driver import Report
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import NotConverged, Reason, Solution


@dataclasses.dataclass(frozen=True)
class Units:
    """A problem in other units, and the way back.

    Attributes:
        problem: the same problem with data near 1.
        point: exponents of two, numbers or arrays: a point is `2^point` times that of `problem`.
        measure: exponent of two: certified values are `2^measure` times those of `problem`.
    """

    problem: Any
    point: Any
    measure: int


def times_power(array: Any, exponent: Any) -> Any:
    """`array 2^exponent` in the array's kind and dtype, exact but for over- and underflow."""
    if isinstance(array, jax.Array):
        # On the host, because XLA flushes denormal numbers to zero.
        moved = np.ldexp(np.asarray(array), exponent)
        with scope(needs_double(array)):
            return jax.device_put(moved, array.sharding)
    moved = np.ldexp(array, exponent)
    return moved if isinstance(moved, np.ndarray) else float(moved)


def solve_in(
    units: Units,
    run: Callable[..., Solution],
    problem: Any,
    *,
    x0: Any,
    rtol: float,
    atol: float,
    callback: Any,
    throw: bool,
    began: float,
    **options: Any,
) -> Solution:
    """`run(units.problem, ...)` for the user's `problem`, told and answered in the user's units."""
    guess = None
    if x0 is not None:
        guess = times_power(problem.admit(x0), -units.point)
        if not np.isfinite(np.asarray(guess)).all():
            # A guess so far from the answer is what the method must live with.
            return run(
                problem, x0=x0, rtol=rtol, atol=atol, callback=callback, throw=throw, began=began,
                **options,
            )  # fmt: skip
    inner = None if callback is None else _reported(callback, units)
    least = min(times_power(atol, -units.measure), np.finfo(float).max)
    sol = run(
        units.problem, x0=guess, rtol=rtol, atol=least, callback=inner, throw=False, began=began,
        **options,
    )  # fmt: skip
    x, notes, reason = times_power(sol.x, units.point), sol.notes, sol.reason
    if not np.isfinite(np.asarray(x)).all():
        # No answer is worse than what was there at the start.
        x = problem.start(options["key"]) if x0 is None else problem.admit(x0)
        notes = (*notes, "the answer is beyond the largest number of its dtype")
    certificate = problem.certify(x, sol.witness).against(rtol, atol).as_numbers()
    if certificate.holds:
        reason = Reason.target
    elif reason is Reason.target:
        reason = Reason.stalled  # the point lost its digits on the way back
    assert sol.history is not None
    sol = dataclasses.replace(
        sol, x=x, certificate=certificate, reason_code=reason.code, notes=notes,
        seconds=time.perf_counter() - began, history=sol.history.scaled(units.measure),
    )  # fmt: skip
    if throw and not sol.converged and reason is not Reason.interrupted:
        raise NotConverged(sol)
    return sol


def _reported(callback: Any, units: Units) -> Any:
    def call(report: Report) -> Any:
        point = report.point
        own = dataclasses.replace(
            report, measure=times_power(report.measure, units.measure),
            target=times_power(report.target, units.measure),
            point=lambda: times_power(point(), units.point),
        )  # fmt: skip
        return callback(own)

    return call
