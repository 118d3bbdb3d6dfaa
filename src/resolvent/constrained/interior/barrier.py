"""Logarithms that keep points within bounds, with the multipliers that stand for their slopes."""

from typing import Any, NamedTuple

import jax.numpy as jnp

_INSIDE = 1e-2  # how far a first guess is moved inside: of the bound's size, and of a box's width
_TIED = 1e-5  # of mu, what each unit of distance costs where a bound has none opposite
_APART = 1e10  # how many times mu a product of distance and multiplier may be, or a part of it


class Box(NamedTuple):
    """Bounds, infinite where there are none, and where there is one to keep a distance from."""

    low: Any
    high: Any
    below: Any
    above: Any


def box(low: Any, high: Any) -> Box:
    """Bounds as they are; where both are equal nothing moves, and no distance is kept."""
    apart = low < high
    return Box(low, high, jnp.isfinite(low) & apart, jnp.isfinite(high) & apart)


def moved_inside(box: Box, w: Any) -> Any:
    """The nearest point that keeps a distance from all bounds."""
    width = jnp.where(box.below & box.above, box.high - box.low, jnp.inf)
    low = jnp.where(box.below, box.low, 0)
    high = jnp.where(box.above, box.high, 0)
    least = jnp.minimum(_INSIDE * jnp.maximum(1, jnp.abs(low)), _INSIDE * width)
    most = jnp.minimum(_INSIDE * jnp.maximum(1, jnp.abs(high)), _INSIDE * width)
    w = jnp.where(box.below, jnp.maximum(w, low + least), w)
    w = jnp.where(box.above, jnp.minimum(w, high - most), w)
    return jnp.clip(w, box.low, box.high)


def gaps(box: Box, w: Any) -> tuple[Any, Any]:
    """Distances to both bounds, no less than rounding shows; 1 where there is no bound."""
    eps = jnp.finfo(w.dtype).eps
    low, high = jnp.where(box.below, box.low, 0), jnp.where(box.above, box.high, 0)
    down = jnp.maximum(w - low, eps * jnp.maximum(jnp.abs(low), eps))
    up = jnp.maximum(high - w, eps * jnp.maximum(jnp.abs(high), eps))
    return jnp.where(box.below, down, 1), jnp.where(box.above, up, 1)


def logarithms(box: Box, w: Any) -> Any:
    """Their sum over all distances, less what keeps it from growing without end; minus infinity
    outside."""
    low, high = jnp.where(box.below, box.low, w - 1), jnp.where(box.above, box.high, w + 1)
    inside = ((w >= low) & (w <= high)).all()
    down, up = gaps(box, w)
    tied = jnp.where(box.below & ~box.above, down, 0) + jnp.where(box.above & ~box.below, up, 0)
    return jnp.where(inside, (jnp.log(down) + jnp.log(up) - _TIED * tied).sum(), -jnp.inf)


def push(box: Box, w: Any, mu: Any) -> Any:
    """mu times the gradient of the logarithms."""
    down, up = gaps(box, w)
    of_low = jnp.where(box.below, mu / down - jnp.where(box.above, 0, _TIED * mu), 0)
    return of_low - jnp.where(box.above, mu / up - jnp.where(box.below, 0, _TIED * mu), 0)


def stiffness(box: Box, w: Any, lower: Any, upper: Any) -> Any:
    """How the multipliers resist a move."""
    down, up = gaps(box, w)
    return jnp.where(box.below, lower / down, 0) + jnp.where(box.above, upper / up, 0)


def changes(box: Box, w: Any, lower: Any, upper: Any, mu: Any, d: Any) -> tuple[Any, Any]:
    """What a move d makes of the multipliers, where the products become mu to first order."""
    down, up = gaps(box, w)
    of_lower = jnp.where(box.below, (mu - lower * (down + d)) / down, 0)
    return of_lower, jnp.where(box.above, (mu - upper * (up - d)) / up, 0)


def reach(value: Any, change: Any, there: Any, keep: Any) -> Any:
    """The longest step, 1 at most, that leaves 1 - keep of positive values."""
    falls = there & (change < 0)
    return jnp.minimum(1, jnp.where(falls, -keep * value / jnp.where(falls, change, -1), 1).min(
        initial=1.0
    ))  # fmt: skip


def longest(box: Box, w: Any, d: Any, keep: Any) -> Any:
    """The same for the distances of a point."""
    down, up = gaps(box, w)
    return jnp.minimum(reach(down, d, box.below, keep), reach(up, -d, box.above, keep))


def held(box: Box, w: Any, lower: Any, upper: Any, mu: Any) -> tuple[Any, Any]:
    """Multipliers whose products with their distances are not too far from mu."""
    down, up = gaps(box, w)
    lower = jnp.clip(lower, mu / (_APART * down), _APART * mu / down)
    upper = jnp.clip(upper, mu / (_APART * up), _APART * mu / up)
    return jnp.where(box.below, lower, 0), jnp.where(box.above, upper, 0)


def products(box: Box, w: Any, lower: Any, upper: Any, mu: Any) -> Any:
    """The largest difference between a product of distance and multiplier, and mu."""
    down, up = gaps(box, w)
    first = jnp.where(box.below, jnp.abs(down * lower - mu), 0)
    return jnp.maximum(first, jnp.where(box.above, jnp.abs(up * upper - mu), 0)).max(initial=0.0)
