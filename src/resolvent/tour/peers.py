"""The usual tools on the same system, to the same certificate."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import resolvent as rs
from resolvent.tour.section import Attempt, clock

Solver = Callable[[Any, Any, Any, float], tuple[Any, int | None]]


def certified(
    label: str, solver: Solver, problem: Any, rtol: float, x0: Any = None, repeats: int = 1
) -> tuple[Attempt, Any]:
    """Run a peer until its answer holds the same certificate as ours, and time that run.

    A peer stops on its own estimate of the residual. Where the recomputed residual misses the
    tolerance, the peer is asked for less until it holds, and the attempt says so.

    Args:
        label: the peer's name.
        solver: `(A, b, x0, rtol) -> (x, steps)`.
        problem: the linear system.
        rtol: relative tolerance of the certificate.
        x0: first guess, shape (n,), or None for zero.
        repeats: how often to run it; the median of the seconds counts.

    Returns:
        The attempt, and the peer's answer.
    """
    A, b = problem.operator.matrix, problem.b
    asked = rtol
    (x, steps), seconds = clock(partial(solver, A, b, x0, asked))
    verdict = rs.certify(problem, x, rtol=rtol)
    while not verdict.holds and asked > 1e-2 * rtol:
        asked /= 2
        (x, steps), seconds = clock(partial(solver, A, b, x0, asked))
        verdict = rs.certify(problem, x, rtol=rtol)
    if repeats > 1:
        _, seconds = clock(partial(solver, A, b, x0, asked), repeats)
    note = "" if asked == rtol else f"asked for {asked:.1e}: it stops short of {rtol:.0e} otherwise"
    attempt = Attempt(
        label, seconds, float(verdict.relative), bool(verdict.holds), steps, peer=True, note=note
    )
    return attempt, x


def scipy_cg(A: Any, b: Any, x0: Any, rtol: float) -> tuple[Any, int]:
    """`scipy.sparse.linalg.cg`."""
    from scipy.sparse.linalg import cg

    steps = 0

    def count(_: Any) -> None:
        nonlocal steps
        steps += 1

    x, _ = cg(A, b, x0=x0, rtol=rtol, atol=0.0, maxiter=20 * len(b), callback=count)
    return x, steps


def pyamg_cg(A: Any, b: Any, x0: Any, rtol: float) -> tuple[Any, int]:
    """`pyamg.krylov.cg`."""
    from pyamg.krylov import cg

    residuals: list[float] = []
    x, _ = cg(A, b, x0=x0, tol=rtol, maxiter=20 * len(b), residuals=residuals)
    return x, len(residuals) - 1


def pyamg_multigrid(A: Any, b: Any, x0: Any, rtol: float) -> tuple[Any, int]:
    """PyAMG's smoothed aggregation as the preconditioner of its CG, set-up included."""
    from pyamg import smoothed_aggregation_solver

    residuals: list[float] = []
    hierarchy = smoothed_aggregation_solver(A)
    x = hierarchy.solve(
        b, x0=x0, tol=rtol, accel="cg", maxiter=max(100, len(b)), residuals=residuals
    )
    return x, len(residuals) - 1


def scipy_cg_history(A: Any, b: Any, rtol: float) -> tuple[Any, Any]:
    """Steps and recomputed relative residuals of SciPy's CG, for plots (not timed)."""
    from scipy.sparse.linalg import cg

    scale = np.linalg.norm(b)
    ratios = [1.0]
    cg(
        A, b, rtol=rtol, atol=0.0, maxiter=20 * len(b),
        callback=lambda x: ratios.append(float(np.linalg.norm(b - A @ x) / scale)),
    )  # fmt: skip
    return np.arange(len(ratios)), np.asarray(ratios)
