"""When methods of proximal steps must have found which coordinates rest at their answer."""

import dataclasses
import math
from typing import Any

import numpy as np

from resolvent._core.checks import between, one_of, refuse
from resolvent.composite.blocks.models import Model, known_terms, model_of
from resolvent.composite.blocks.partitions import Blocks, largest

_RULES = ("all", "cyclic", "random", "greedy")


@dataclasses.dataclass(frozen=True)
class IdentificationBound:
    """How soon the coordinates that rest at an answer rest for good.

    Attributes:
        steps: after so many steps they do; infinite where nothing is known.
        margin: delta, how far inside its subdifferential the least one of their slopes lies.
        radius: within this distance of the answer each step puts those that it touches in place.
        lipschitz: the largest curvature L of the smooth part.
        strong: its least curvature mu.
        contraction: by which part the gap of the objective shrinks in a step, or in an epoch of a
            cyclic rule.
        resting: which coordinates rest, as a row.
    """

    steps: float
    margin: float
    radius: float
    lipschitz: float
    strong: float
    contraction: float
    resting: Any


def identification_bound(
    problem: Any,
    answer: Any,
    *,
    rule: str = "greedy",
    block_size: int = 1,
    partition: str = "order",
    start: Any = None,
    chance: float = 1e-3,
) -> IdentificationBound:
    """Bound the steps until gradient steps on blocks have found the active set of an answer.

    Of the coordinates that rest at the answer, on a kink or a bound, each has a slope inside of an
    interval, its subdifferential; delta is the least distance to an end. Within delta / (2 L) of
    the answer a proximal gradient step of any constant up to L puts such a coordinate in its place
    exactly. With strong convexity, a gap of mu delta^2 / (8 L^2) is as near as that, and then every
    coordinate has to be touched once more. Blocks are fixed, and steps are those of `update`
    "gradient"; for greedy rules, that of "gsl".

    The touches are counted as one epoch for cyclic blocks, by a union bound for random ones, and
    for greedy ones as one for each coordinate that rests, as the paper has it: that is no proof,
    for other blocks may be chosen before.

    Args:
        problem: a `GeneralizedLinear` or `Quadratic` problem with convex penalties that are sums
            over coordinates, and a loss of bounded curvature. Its strong convexity is read from the
            matrix where f is quadratic, else from the squares of the penalty alone.
        answer: its minimizer, as accurate as can be.
        rule: "all" coordinates at once, "cyclic", "random" or "greedy" blocks.
        block_size: of these blocks.
        partition: by which they are made, "order", "sort" or "average".
        start: where the method begins; zero if absent.
        chance: for the random rule, the probability that the bound may fail.

    Returns:
        The bound with what it is made of.

    Raises:
        ValueError: for another rule, a penalty that is not convex or no such sum, a loss without a
            bound of its curvature.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X, y = np.eye(3), np.array([3.0, -0.3, 0.0])
        lasso = rs.GeneralizedLinear(X, y, penalty=rs.functions.L1(0.2))
        found = rs.composite.identification_bound(lasso, [2.4, 0.0, 0.0], rule="all")
        assert abs(found.margin - 0.1) < 1e-12 and found.steps <= 10
        ```
    """
    one_of("rule", rule, _RULES)
    one_of("partition", partition, ("order", "sort", "average"))
    between("chance", chance, 0.0, 1.0, "It is a probability.")
    problem = problem.prepare("host")
    terms = known_terms(problem)
    if terms is None or not terms.convex:
        refuse(
            ValueError, "problem", given=problem.describe(),
            needed="a convex penalty that is a sum over coordinates",
            advice="Active sets are those of kinks and bounds of single coordinates.",
        )  # fmt: skip
    model = model_of(problem)
    if not model.bounded:
        refuse(
            ValueError, "problem", given=problem.describe(), needed="a loss of bounded curvature",
            advice="Without a bound there is no step length to speak of.",
        )  # fmt: skip
    x = _row(problem, model, answer)
    origin = np.zeros_like(x) if start is None else _row(problem, model, start)
    margin, resting = _margin(model, x)
    steepest, flattest = _extremes(model)
    radius = margin / (2 * steepest)
    found = IdentificationBound(
        math.inf, margin, radius, steepest, flattest, 0.0, resting
    )  # fmt: skip
    if not resting.any():
        return dataclasses.replace(found, steps=0.0)
    if not (margin > 0 and flattest > 0):
        return found
    distance = float(np.linalg.norm(origin - x))
    if rule == "all":
        kappa = steepest / flattest
        steps = math.ceil(kappa * _log(distance / radius)) + 1
        return dataclasses.replace(found, steps=float(steps), contraction=1 / kappa)
    gap = max(_objective(model, origin) - _objective(model, x), 0.0)
    wanted = flattest * radius**2 / 2
    blocks = Blocks.made(partition, min(block_size, model.size), model)
    return _by_blocks(found, model, blocks, rule, gap / wanted, chance)


def _by_blocks(
    found: IdentificationBound, model: Model, blocks: Blocks, rule: str, ratio: float, chance: float
) -> IdentificationBound:
    number, most = blocks.count, float(blocks.largest.max())
    wrong = int(found.resting.sum())
    if rule == "cyclic":
        # An epoch gains sum L_b |d_b|^2 / 2 at least, and leaves a subgradient of R d, R what lies
        # behind the diagonal of blocks and what these have below their constants.
        gain = found.strong * float(blocks.largest.min()) / _behind(model, blocks) ** 2
        share = gain / (1 + gain)
        epochs = math.ceil(_log(ratio) / math.log1p(gain)) if gain > 0 else math.inf
        return dataclasses.replace(found, steps=(epochs + 1.0) * number, contraction=share)
    share = min(found.strong / (number * most), 1.0)
    if rule == "greedy":
        steps = math.ceil(_log(ratio) / share) + wrong
        return dataclasses.replace(found, steps=float(steps), contraction=share)
    near = math.ceil(_log(2 * ratio / chance) / share)
    touched = math.ceil(number * _log(2 * wrong / chance))
    return dataclasses.replace(found, steps=float(near + touched), contraction=share)


def _log(ratio: float) -> float:
    return math.log(max(ratio, 1.0))


def _row(problem: Any, model: Model, point: Any) -> Any:
    point = problem.admit(
        tuple(np.asarray(part) for part in point) if isinstance(problem.first, tuple)
        else np.asarray(point, model.dtype), "answer",
    )  # fmt: skip
    parts = point if isinstance(point, tuple) else (point,)
    return np.concatenate([np.ravel(part) for part in parts])


def _objective(model: Model, x: Any) -> float:
    return model.value(x, model.predictions(x)) + model.terms.value(x)


def _margin(model: Model, x: Any) -> tuple[float, Any]:
    """delta, and which coordinates rest."""
    terms, slope = model.terms, -model.gradient(x, model.predictions(x))
    resting = terms.resting(x) & (terms.lower < terms.upper)
    low = np.where(x > 0, terms.bars, -terms.bars)
    high = np.where(x < 0, -terms.bars, terms.bars)
    low = np.where(x <= terms.lower, -np.inf, low)
    high = np.where(x >= terms.upper, np.inf, high)
    inside = np.minimum(slope - low, high - slope)[resting]
    return max(float(inside.min(initial=np.inf)), 0.0), resting


def _extremes(model: Model) -> tuple[float, float]:
    """The largest and the least curvature."""
    if model.fixed and model.size <= 2000:
        values = np.linalg.eigvalsh(model.bound(np.arange(model.size)))
        # What rounding alone leaves is no curvature.
        least = float(values[0])
        return float(values[-1]), least if least > 1e-12 * values[-1] else 0.0
    if model.size <= 2000:
        return largest(model.bound(np.arange(model.size))), float(model.terms.ridge.min())
    return float(model.row_sums.max()), float(model.terms.ridge.min())


def _behind(model: Model, blocks: Blocks) -> float:
    """A norm of what an epoch of blocks leaves of its moves as a subgradient."""
    H = model.bound(blocks.members)
    labels = np.repeat(np.arange(blocks.count), np.diff(blocks.starts))
    if model.fixed:
        H = np.where(labels[:, None] < labels, H, 0) + np.where(
            labels[:, None] == labels, H - np.diag(blocks.largest[labels]), 0
        )
        return float(np.linalg.norm(H, 2))
    # Where curvature varies on the way, only sizes are known.
    return float(largest(H) * math.sqrt(blocks.count) + blocks.largest.max())
