"""The infimal displacement vector, estimated on the way, and when it ends a solve."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, refuse
from resolvent._core.solution import Reason
from resolvent.fixed_point.problem import FixedPoint

CHECKED = 50  # steps from one call of a problem's own check to the next
FIRST = 50  # steps of the first window
_ROUNDING = 100.0  # how many units of the last place of x a displacement must be


class Displacement(NamedTuple):
    """Windows of doubling length, over which steps are averaged.

    `v` is the best estimate so far; `mean` is that of the last complete window, which began where
    `anchor` was left and ended after `ends` steps.
    """

    anchor: Any
    begun: Any
    ends: Any
    mean: Any
    v: Any
    code: Any


def check_detection(detect: bool, agreement: float, patience: int) -> None:
    """Refuse what is no threshold."""
    if not isinstance(detect, bool):
        refuse(
            TypeError, "detect", given=repr(detect), needed="True or False",
            advice="The threshold is another parameter, `agreement`.",
        )  # fmt: skip
    between("agreement", agreement, 0.0, 1.0, "It is the relative distance of two estimates.")
    count("patience", patience, least=1)


def watched(x: Any, residual: Any, steps: Any = 0) -> Displacement:
    """The state of the watch at the beginning; `residual` is T(x) - x."""
    none = trees.zeros(x)
    return Displacement(x, steps, steps + FIRST, none, trees.times(-1.0, residual), 0)


def restarted(watch: Displacement, x: Any, steps: Any, again: Any) -> Displacement:
    """The watch begun anew at x where `again` holds: the method has forgotten its past."""
    return Displacement(
        anchor=either(again, x, watch.anchor),
        begun=either(again, steps, watch.begun),
        ends=either(again, steps + FIRST, watch.ends),
        mean=either(again, trees.zeros(x), watch.mean),
        v=watch.v,
        code=watch.code,
    )


def watching(
    problem: FixedPoint,
    watch: Displacement,
    x: Any,
    residual: Any,
    steps: Any,
    pace: Any,
    agreement: Any,
    patience: int,
) -> Displacement:
    """The watch after one more step.

    `pace` is the part of v that the method moves by in one step: its weight for averaged
    iterations, a half for Halpern's. With a check of the problem's own, only that ends the solve:
    it proves what it accepts. Without one, the averages over two windows must agree, the later one
    twice as long, and no displacement may contradict them: `<v, x - T(x)> >= ||v||^2` everywhere.
    """
    due = steps >= watch.ends
    if problem.verify is not None:
        due = due | (steps % CHECKED == 0)

    def look(watch: Displacement) -> Displacement:
        closes, length = steps >= watch.ends, steps - watch.begun
        span = pace * (length + (length == 0))
        mean = trees.times(1.0 / span, trees.minus(watch.anchor, x))
        own = trees.times(-1.0, residual)
        if problem.verify is not None:
            own_proves = problem.verified(own)
            ends = own_proves | problem.verified(mean)
            v = either(own_proves, own, mean)
        else:
            v, ends = mean, closes & (length >= patience) & (problem.contraction is None)
            ends = ends & _agree(watch.mean, mean, x, own, agreement)
        return Displacement(
            anchor=either(closes, x, watch.anchor),
            begun=either(closes, steps, watch.begun),
            ends=either(closes, steps + 2 * length, watch.ends),
            mean=either(closes, mean, watch.mean),
            v=v,
            code=either(ends, Reason.infeasible.code, watch.code),
        )

    if not isinstance(due, jax.Array):
        return look(watch) if due else watch
    return jax.lax.cond(due, look, lambda watch: watch, watch)


def _agree(before: Any, mean: Any, x: Any, own: Any, agreement: Any) -> Any:
    """Whether two averages are one vector, which is no rounding, and none contradicts it."""
    size = trees.norm(mean)
    near = trees.norm(trees.minus(mean, before)) <= agreement * size
    epsilon = max(float(jnp.finfo(leaf.dtype).eps) for leaf in trees.leaves(x))
    more_than_rounding = size > _ROUNDING * epsilon * trees.norm(x)
    least = size - 10.0 * agreement * (size + trees.norm(own))
    return near & more_than_rounding & (trees.dot(mean, own) >= least * size)


def either(condition: Any, yes: Any, no: Any) -> Any:
    """One of two trees; on the host, itself and no copy."""
    if isinstance(condition, jax.Array):
        return trees.map_leaves(lambda a, b: jnp.where(condition, a, b), yes, no)
    return yes if condition else no
