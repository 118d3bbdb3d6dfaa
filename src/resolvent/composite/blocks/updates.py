"""Rules by which block methods move a block."""

from typing import Any, NamedTuple

import numpy as np

from resolvent.composite.blocks.models import Model
from resolvent.composite.blocks.partitions import largest
from resolvent.composite.blocks.small_models import direction, minimized
from resolvent.composite.blocks.terms import Terms

_SHARE = 1e-4  # of the predicted decrease that a step must gain
_NEAR = 1e-4  # how near to its bound a coordinate may be held there
_HALVINGS = 60
_MOST = 2.0**60


class Move(NamedTuple):
    """What an update found: the new values, and what it learned of the constants."""

    y: Any
    constant: float = 0.0
    failed: bool = False
    values: int = 0
    """How often f was evaluated."""


def gradient_step(model: Model, x: Any, g: Any, block: Any, constant: float) -> Move:
    """The proximal gradient step with a known constant."""
    if not constant > 0:
        return Move(model.terms.of(block).near(x[block], 0.0))
    terms = model.terms.of(block)
    return Move(terms.near(x[block] - g / constant, constant), constant)


def searched_step(model: Model, x: Any, z: Any, g: Any, block: Any, constant: float) -> Move:
    """The proximal gradient step whose constant is doubled until its model lies above f."""
    terms, values = model.terms.of(block), 0
    rise, room = _rise(model, x, z, g, block)
    while constant <= _MOST * model.unit:
        y = terms.near(x[block] - g / constant, constant)
        d = y - x[block]
        values += 1
        if rise(y) <= g @ d + 0.5 * constant * (d @ d) + room:
            return Move(y, constant, values=values)
        constant *= 2
    return Move(x[block], constant, True, values)


def matrix_step(model: Model, x: Any, g: Any, block: Any, H: Any) -> Move:
    """The minimizer of the model with a matrix above the Hessian: exact where f is quadratic."""
    return Move(minimized(model.terms.of(block), H, g, x[block]))


def newton_step(model: Model, x: Any, z: Any, g: Any, block: Any) -> Move:
    """Towards the minimizer of the second-order model, as far as a line search allows."""
    H, terms = model.hessian(x, z, block), model.terms.of(block)
    old = x[block]
    d = minimized(terms, H, g, old) - old
    if model.fixed or not d.any():
        return Move(old + d)
    slope = float(g @ d + terms.value(old + d) - terms.value(old))
    return _searched(
        model, terms, x, z, g, block, lambda t: old + t * d, lambda y, t: t * slope
    )  # fmt: skip


def two_metric_step(model: Model, x: Any, z: Any, g: Any, block: Any) -> Move:
    """A Newton step for coordinates that are free to move, a gradient step for those at rest.

    Where signs have a penalty, each coordinate stays in its orthant; then the penalty is linear
    and zero a bound. Both steps are projected, and shortened along the arc of projections.
    """
    terms, old = model.terms.of(block), x[block]
    sign = np.sign(old)
    still = (sign == 0) & (terms.bars > 0) & (terms.lower < 0)
    sign = np.where(still & (abs(g) > terms.bars), -np.sign(g), sign)
    # Those of no sign that no slope moves rest; those at a lower bound of zero move upwards.
    rests = still & (sign == 0)
    sign = np.where((sign == 0) | (terms.lower == 0), 1.0, sign).astype(old.dtype)
    held = (terms.bars > 0) | (terms.lower == 0)
    u, slope = sign * old, sign * g + terms.bars
    steepness = model.lipschitz[block]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(held & (steepness > 0), np.maximum(u - slope / steepness, 0), u)
    near = min(_NEAR, float(abs(u - moved).max(initial=0.0)))
    active = held & (u <= near) & (slope > 0)
    work = np.flatnonzero(~(active | rests))
    d = np.zeros_like(u)
    if work.size:
        H = model.hessian(x, z, block[work])
        d[work] = direction(H * np.outer(sign[work], sign[work]), slope[work])
    total = float(steepness[active].sum())
    if total > 0:
        d[active] = -slope[active] / total

    def arc(t: float) -> Any:
        v = u + t * d
        return sign * np.where(held, np.maximum(v, 0), v)

    def gain(y: Any, t: float) -> float:
        return float(slope @ (sign * y - u))

    return _searched(model, terms, x, z, g, block, arc, gain)


def _searched(
    model: Model, terms: Terms, x: Any, z: Any, g: Any, block: Any, path: Any, slope: Any
) -> Move:
    """The first point of a path, from t = 1 by halving, that gains its share of the slope."""
    t, values, before = 1.0, 0, terms.value(x[block])
    rise, room = _rise(model, x, z, g, block)
    for _ in range(_HALVINGS):
        y = path(t)
        change = rise(y) + terms.value(y) - before
        values += 1
        expected = slope(y, t)
        if change <= _SHARE * min(expected, 0.0) + room:
            return Move(y, values=values)
        t = _shorter(t, change, expected)
    return Move(x[block], values=values)


def _shorter(t: float, change: float, slope: float) -> float:
    """Where the parabola through what was found is least, within reason."""
    if not np.isfinite(change) or not slope < 0:
        return 0.5 * t
    least = -0.5 * slope * t / (change - slope)
    return float(min(max(least, 0.1 * t), 0.5 * t))


def _rise(model: Model, x: Any, z: Any, g: Any, block: Any) -> tuple[Any, float]:
    """f at other values of a block less f at x, as a function, and what rounding does to it."""
    old, eps = x[block], float(np.finfo(model.dtype).eps)
    if model.fixed:
        H = model.bound(block)

        def exact(y: Any) -> float:
            d = y - old
            return float(g @ d + 0.5 * d @ (H @ d))

        return exact, 0.0
    before = model.value(x, z)

    def measured(y: Any) -> float:
        moved = x.copy()
        moved[block] = y
        with np.errstate(over="ignore"):
            return model.value(moved, model.moved(z, block, y - old)) - before

    return measured, 4 * eps * abs(before)


def block_constant(model: Model, block: Any) -> float:
    """The largest eigenvalue of a block's bound."""
    return largest(model.bound(block))
