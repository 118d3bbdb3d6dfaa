"""Many problems of one shape at once: the whole solve under `vmap`, compiled once."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from resolvent._core import traced
from resolvent._core.checks import count, nonnegative, refuse
from resolvent._core.memory import Memory
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Problem
from resolvent._core.randomness import fold, jax_key
from resolvent._core.solution import Solution
from resolvent._core.solve import check_options, check_pair, check_problem


def solve_batch(
    problems: Sequence[Problem],
    method: Any = None,
    *,
    x0: Any = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_steps: int | None = None,
    key: Any = None,
) -> Solution:
    """Solve problems of one shape together, vectorized over a leading axis.

    Each element runs until its own certificate holds; the loop ends with the slowest. Arrays that
    are the same object in all problems (a shared operator) are not copied.

    Args:
        problems: problems of one type whose arrays have the same shapes and dtypes.
        method: a traced method for all of them.
        x0: first guesses with a leading batch axis.
        rtol: relative tolerance of each.
        atol: absolute tolerance of each.
        max_steps: step limit of each.
        key: randomness; element `i` gets its own key.

    Returns:
        One solution whose arrays (`x`, `certificate`, `steps`, `calls`) have a leading batch axis;
        `converged` is an array and `reason` a tuple.

    Raises:
        ValueError: if there are no problems, or their shapes differ.
        TypeError: if the method cannot be traced.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problems = [rs.LinearSystem(np.diag([1.0, 2.0 + i]), np.ones(2)) for i in range(3)]
        sols = rs.solve_batch(problems, rs.linear.CG())
        assert sols.converged.all() and sols.x.shape == (3, 2)
        ```
    """
    began = time.perf_counter()
    problems = [problems] if isinstance(problems, Problem) else list(problems)
    for problem in problems:
        check_problem(problem)
    check_options(key, None, None, None)
    if not problems:
        refuse(
            ValueError, "problems", given="an empty list", needed="at least one problem",
            advice="Pass a list of problems of one shape.",
        )  # fmt: skip
    method = problems[0].default_method() if method is None else method
    for problem in problems:
        check_pair(problem, method)
        problem.engine(("traced",))
    method = problems[0].adapt(method)
    if "traced" not in method.runs_on():
        refuse(
            TypeError, "method", given=f"{method.name}, which runs on the host",
            needed="a traced method", advice="Use resolvent.solve_sequence for host methods.",
        )  # fmt: skip
    rtol, atol = nonnegative("rtol", rtol), nonnegative("atol", atol)
    max_steps = method.limit(problems[0]) if max_steps is None else count("max_steps", max_steps)
    with scope(needs_double(problems)):
        prepared = [problem.prepare("traced") for problem in problems]
        size = len(prepared)
        if x0 is not None and len(x0) != size:
            refuse(
                ValueError, "x0", given=f"{len(x0)} first guesses for {size} problems",
                needed="one a problem", advice="Give x0 a leading batch axis.",
            )  # fmt: skip
        starts = (
            [problem.start(None) for problem in prepared]
            if x0 is None
            else [problem.admit(guess) for problem, guess in zip(prepared, x0, strict=True)]
        )
        keys = [jax_key(fold(key, i)) if method.random else None for i in range(size)]
        parts = [
            traced.split((problem, method.bind(problem), start, Memory(), one))
            for problem, start, one in zip(prepared, starts, keys, strict=True)
        ]
        static = parts[0][0]
        if any(part[0] != static for part in parts):
            refuse(
                ValueError, "problems", given="problems of different types or structure",
                needed="one type and structure", advice="Batch those that are alike.",
            )  # fmt: skip
        stacked, axes = [], []
        for leaves in zip(*(part[1] for part in parts), strict=True):
            first = leaves[0]
            if all(leaf is first for leaf in leaves) or (
                isinstance(first, float) and all(leaf == first for leaf in leaves)
            ):
                stacked.append(first)
                axes.append(None)
                continue
            if isinstance(first, float):
                stacked.append(jax.numpy.asarray(leaves))
                axes.append(0)
                continue
            shapes = {(np.shape(leaf), str(leaf.dtype)) for leaf in leaves}
            if len(shapes) > 1:
                refuse(
                    ValueError, "problems", given=f"arrays of different shapes: {sorted(shapes)}",
                    needed="one shape and dtype", advice="Group the problems by shape.",
                )  # fmt: skip
            stacked.append(jax.numpy.stack(leaves))
            axes.append(0)
        if all(axis is None for axis in axes):
            # vmap needs one mapped argument, even where all elements are the same object.
            stacked = [
                leaf if isinstance(leaf, float) else jax.numpy.stack([leaf] * size)
                for leaf in stacked
            ]
            axes = [None if isinstance(leaf, float) else 0 for leaf in stacked]
        x, witness, certificate, reason, done, calls = traced._batched(
            static, tuple(axes), stacked, rtol, atol, max_steps
        )
        x = problems[0].as_answers(problems[0].restore(x), problems)
        certificate = certificate.as_numbers()
        reason, done, calls = jax.device_get((reason, done, calls))
    return Solution(
        x=x, certificate=certificate, reason_code=reason, steps=done, calls=calls,
        witness=witness, seconds=time.perf_counter() - began, method=str(method),
        problem=f"{size} x {problems[0].describe()}", engine="traced",
    )  # fmt: skip
