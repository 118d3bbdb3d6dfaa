"""Step sizes: by theory where the Lipschitz constant is known, by line search where it is not."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced
from resolvent._core.line_search import backtracked

SAFE = 0.9  # part of the admissible range that default steps use
_GROWTH = 1.2  # by which a step that was accepted at once is tried larger
_SHRINK = 0.6
_TRIES = 40


def positive_step(name: str, step: Any, lipschitz: Any = None, most: float = math.inf) -> None:
    """Refuse a step size outside (0, most / L); without L, outside (0, inf)."""
    if step is None or is_traced((step, lipschitz)):
        return
    if lipschitz is None or not math.isfinite(most):
        between(name, step, 0.0, math.inf, "A step must go forward.")
        return
    limit = most / float(lipschitz)
    between(name, step, 0.0, limit, f"Theory asks for {name} < {most:g} / L.")


def first_step(problem: Any, step: Any, x: Any, Fx: Any, part: Any = SAFE) -> Any:
    """The user's step, `part` / L, or a guess of it from a small move along F."""
    dtype = jnp.result_type(*trees.leaves(x))
    if step is not None:
        return jnp.asarray(step, dtype)
    if problem.lipschitz is not None:
        return jnp.asarray(part / problem.lipschitz, dtype)
    size = trees.norm(Fx)
    here = trees.norm(x)
    length = 1e-3 * jnp.where(here > 0, here, problem.unit) / jnp.where(size > 0, size, 1.0)
    moved = trees.norm(trees.minus(problem.operator(trees.plus(x, -length, Fx)), Fx))
    slope = moved / jnp.where(size > 0, length * size, 1.0)
    good = jnp.isfinite(slope) & (slope > 0)
    return jnp.where(good, part / jnp.where(good, slope, 1.0), 1.0).astype(dtype)


def first_calls(problem: Any, step: Any) -> int:
    """Evaluations of F that a start costs: F(x), and one more where `first_step` must guess."""
    return 1 if step is not None or problem.lipschitz is not None else 2


def searched(
    look: Callable[[Any], tuple[Any, Any]], x: Any, Fx: Any, step: Any, fixed: bool,
    part: float = SAFE, floor: Any = 0.0, growth: float = _GROWTH, cocoercive: bool = False,
    norms: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (trees.norm, trees.norm),
) -> tuple[tuple[Any, Any], Any, Any]:  # fmt: skip
    """y and F(y) for a step with `step ||F(y) - F(x)|| <= part ||y - x||`, the step, the tries.

    Begins with a step larger than the last one by `growth`; a fixed step is taken as it is. Steps
    stay above a floor, which they approach where nothing longer will do. `cocoercive` asks for
    `step ||F(y) - F(x)||^2 <= part <F(y) - F(x), y - x>` instead. `norms` are those of points and
    of values of F.
    """
    if fixed:
        return look(step), step, 1

    def fails(trial: tuple[Any, Any], step: Any, x: Any, Fx: Any) -> Any:
        change, move = trees.minus(trial[1], Fx), trees.minus(trial[0], x)
        if cocoercive:
            return ~(step * trees.dot(change, change) <= part * trees.dot(change, move))
        return ~(step * norms[1](change) <= part * norms[0](move))

    floor = jnp.asarray(floor, step.dtype)
    return backtracked(
        look, fails, floor + growth * (step - floor), (x, Fx), shrink=_SHRINK, tries=_TRIES,
        floor=floor,
    )  # fmt: skip
