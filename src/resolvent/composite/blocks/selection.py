"""Rules by which block methods choose the next block."""

from typing import Any

import numpy as np

from resolvent.composite.blocks.forests import forest
from resolvent.composite.blocks.models import Model
from resolvent.composite.blocks.partitions import Blocks
from resolvent.composite.blocks.small_models import minimized

RANDOM = ("random", "lipschitz")
GREEDY = ("gs", "gsl", "gsd", "gsq", "mi")
_SWEEPS = 10  # of hard thresholding


def chosen_fixed(rule: str, blocks: Blocks, x: Any, g: Any, curvatures: Any, rng: Any) -> int:
    """The number of one of the blocks; `curvatures` are those of the rule's diagonal model."""
    model, terms = blocks.model, blocks.model.terms
    if rule == "random":
        return int(rng.integers(blocks.count))
    if rule == "lipschitz":
        ends = np.cumsum(blocks.largest, dtype=np.float64)
        drawn = np.searchsorted(ends, rng.random() * ends[-1], side="right")
        return min(int(drawn), blocks.count - 1)
    if rule == "gs":
        return int(np.argmax(blocks.sums(terms.violations(x, g) ** 2)))
    if rule in ("gsl", "gsd"):
        return int(np.argmax(blocks.sums(terms.gains(x, g, curvatures))))
    if terms.absent:
        places, inverses = blocks.stacked
        parts = g[places]
        return int(np.argmax(np.einsum("bi,bij,bj->b", parts, inverses, parts, optimize=False)))
    scores = np.zeros(blocks.count)
    for k in range(blocks.count):
        block = blocks[k]
        H, own = model.bound(block), terms.of(block)
        y = minimized(own, H, g[block], x[block])
        d = y - x[block]
        scores[k] = -(g[block] @ d + 0.5 * d @ (H @ d) + own.value(y) - own.value(x[block]))
    return int(np.argmax(scores))


def top(scores: Any, size: int) -> Any:
    """The places of the largest scores, in order of place; ties go to the first."""
    if size >= scores.size:
        return np.arange(scores.size)
    if size == 1:
        return np.array([np.argmax(scores)])
    return np.sort(np.argsort(-scores, kind="stable")[:size]) if scores.size < 1000 else np.sort(
        np.argpartition(-scores, size - 1)[:size]
    )  # fmt: skip


def chosen_variable(
    rule: str, model: Model, size: int, x: Any, g: Any, curvatures: Any, rng: Any
) -> Any:
    """Any set of so many coordinates."""
    terms = model.terms
    if rule == "random":
        return np.sort(rng.choice(model.size, min(size, model.size), replace=False))
    if rule == "lipschitz":
        # The first arrivals of exponential clocks are a draw without replacement.
        with np.errstate(divide="ignore"):
            arrivals = rng.exponential(size=model.size) / model.lipschitz
        return top(-arrivals, size)
    scores = terms.violations(x, g) if rule == "gs" else terms.gains(x, g, curvatures)
    if not terms.absent:
        # Of those that promise nothing, the ones that do not rest: with them in the block, steps of
        # second order are exact on the support.
        least = np.finfo(scores.dtype).eps * scores.max()
        scores = np.where(terms.resting(x), scores, np.maximum(scores, least))
    block = top(scores, size)
    if rule == "gs":
        return block
    if rule == "gsd" or size >= model.size:
        return block
    return _thresholded(model, size, x, g, curvatures, block)


def _thresholded(model: Model, size: int, x: Any, g: Any, curvatures: Any, block: Any) -> Any:
    """The support of a step that few coordinates share, by iterative hard thresholding.

    Steps are counted in units of the curvatures' roots: in others the largest ones would decide.
    """
    terms = model.terms
    scale = np.where(curvatures > 0, curvatures, 1) * max(model.steepest, 1.0)
    first = terms.near(x - g / np.where(curvatures > 0, curvatures, 1), curvatures) - x
    d = np.zeros_like(x)
    d[block] = first[block]
    for _ in range(_SWEEPS):
        slope = g + model.bound_times(d)
        moved = terms.near(x + d - slope / scale, scale) - x
        kept = top(moved**2 * scale, size)
        following = np.zeros_like(x)
        following[kept] = moved[kept]
        change = following - d
        d, block = following, kept
        if np.sqrt(scale) @ abs(change) <= 1e-10 * (np.sqrt(scale) @ abs(d)):
            break
    return block


def chosen_forest(rule: str, model: Model, x: Any, g: Any, curvatures: Any, rng: Any) -> Any:
    """A forest of nodes, taken in a random order or by falling scores."""
    if rule == "random":
        order = rng.permutation(model.size)
    else:
        scores = abs(g) if rule == "gs" else model.terms.gains(x, g, curvatures)
        order = np.argsort(-scores, kind="stable")
    return forest(model.matrix, order)
