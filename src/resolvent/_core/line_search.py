"""Searches for step sizes that derivatives can pass, forwards and in reverse."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_ROUNDING = 8.0  # units in the last place of a value: no decrease is measured by less


def rounding(value: Any) -> Any:
    """What rounding alone can do to the difference of two values of that size."""
    return _ROUNDING * jnp.finfo(value.dtype).eps * jnp.abs(value)


def backtracked(
    look: Callable[[Any], Any], refused: Callable[..., Any], first: Any, data: Any = (), *,
    shrink: float = 0.5, tries: int = 60, floor: Any = 0.0,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The first trial that is not refused, its step, and how many were looked at.

    Trials are `look(step)` for steps that come down to `floor` from `first`, by the factor `shrink`
    each time; `refused(trial, step, *data)` should be true for NaN. What it depends on it should be
    given, not close over. After so many tries the last one is returned, refused or not.

    Derivatives pass through the accepted trial alone, as if its step were a fixed multiple of the
    first one; which trial it is does not vary smoothly.
    """
    converted, constants = jax.closure_convert(look, first)
    shapes = jax.eval_shape(look, first)

    # Reverse differentiation cannot pass a loop of unknown length, and need not.
    @jax.custom_jvp
    def search(first: Any, floor: Any, data: Any, constants: Any) -> Any:
        def again(carry: Any) -> Any:
            trial, step, done = carry
            return (done == 0) | (refused(trial, step, *data) & (done < tries))

        def shorter(carry: Any) -> Any:
            _, step, done = carry
            step = jnp.where(done == 0, step, floor + shrink * (step - floor))
            return converted(step, *constants), step, done + 1

        # Made here: arrays that are closed over have no place in a derivative's rule.
        like = jax.tree_util.tree_map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return jax.lax.while_loop(again, shorter, (like, first, jnp.zeros((), jnp.int32)))

    @search.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        first, *_, constants = primals
        trial, step, done = search(*primals)
        moved = (step / first) * tangents[0]
        _, change = jax.jvp(
            lambda s, c: converted(s, *c), (step, constants), (moved, tangents[-1])
        )  # fmt: skip
        return (trial, step, done), (change, moved, np.zeros((), jax.dtypes.float0))

    return search(first, jnp.asarray(floor, first.dtype), data, constants)


def repeated(
    goes_on: Callable[[Any], Any], body: Callable[[Any], Any], start: Any, limit: int
) -> Any:
    """What a state becomes after `body` as often as `goes_on` holds of it, at most `limit` times.

    `goes_on` should close over nothing that is differentiated.

    A loop of unknown length; its derivative is that of a loop of `limit` rounds that idles once it
    is done.
    """
    converted, constants = jax.closure_convert(body, start)

    @jax.custom_jvp
    def run(start: Any, constants: Any) -> Any:
        def one(carry: Any) -> Any:
            state, k = carry
            return converted(state, *constants), k + 1

        begin = start, jnp.zeros((), jnp.int32)
        return jax.lax.while_loop(lambda c: goes_on(c[0]) & (c[1] < limit), one, begin)[0]

    def bounded(start: Any, constants: Any) -> Any:
        def one(state: Any, _: Any) -> Any:
            on = goes_on(state)
            return jax.lax.cond(on, lambda s: converted(s, *constants), lambda s: s, state), None

        return jax.lax.scan(one, start, length=limit)[0]

    run.defjvp(lambda primals, tangents: jax.jvp(bounded, primals, tangents))
    return run(start, constants)


class _Place(NamedTuple):
    """A place along a line: its step, the value there and the slope along the line."""

    step: Any
    value: Any
    slope: Any


class Found(NamedTuple):
    """Where a line search ended."""

    step: Any
    value: Any
    extra: Any
    """What `look` returned beside value and slope."""
    looks: Any
    good: Any
    """Whether the conditions hold, or at least the value is lower."""
    endless: Any
    """Whether no step was long enough, and the value falls on beyond the last one."""


class _Bracket(NamedTuple):
    at: _Place
    extra: Any
    accepted: Any
    low: _Place
    high: _Place
    """Its step is infinite as long as nothing lies too far."""
    width: Any
    following: Any
    looks: Any


def wolfe(
    look: Callable[[Any], tuple[Any, Any, Any]], first: Any, value: Any, slope: Any, *,
    decrease: float = 1e-4, flat: float = 0.9, tries: int = 25,
) -> Found:  # fmt: skip
    """A step that satisfies the strong Wolfe conditions.

    `look(step)` returns the value there, the slope along the line, and what else the caller wants
    of the point. A step t is accepted if `value(t) <= value(0) + decrease t slope(0)` and
    `|slope(t)| <= flat |slope(0)|`. Where the decrease is too small for its values to show, the
    slope must be at most `(2 decrease - 1) slope(0)` instead. Steps grow until a minimum is
    bracketed; a cubic then tells where to look, or the middle where that does not shrink the
    bracket. The last try goes back to the longest step known that falls, which may be zero.

    Reference:
        J. Nocedal, S. Wright (2006), Numerical Optimization, chapter 3. W. Hager, H. Zhang (2005),
        A new conjugate gradient method with guaranteed descent and an efficient line search.
    """
    near = value + rounding(value)

    def low_enough(place: _Place, value: Any, slope: Any, near: Any) -> Any:
        falls = place.value <= value + decrease * place.step * slope
        unseen = (place.value <= near) & (place.slope <= (2 * decrease - 1) * slope)
        return (falls | unseen) & jnp.isfinite(place.slope)

    def body(carry: tuple[_Bracket, Any, Any, Any]) -> tuple[_Bracket, Any, Any, Any]:
        bracket, value, slope, near = carry
        step = bracket.following
        now, along, extra = look(step)
        at = _Place(step, now, along)
        enough = low_enough(at, value, slope, near)
        accepted = enough & (jnp.abs(along) <= -flat * slope)
        forward = enough & (along < 0)
        low = _chosen(forward, at, bracket.low)
        high = _chosen(forward, bracket.high, at)
        width = high.step - low.step
        open_ = ~jnp.isfinite(high.step)
        middle = low.step + 0.5 * jnp.where(open_, 1.0, width)
        inner = _cubic(low, _chosen(open_, low, high))
        # The cubic of the last two places that fall may tell how far to go.
        outer = _cubic(bracket.low, low)
        room = jnp.where(open_, 1.0, width)
        inner = jnp.clip(inner, low.step + 0.1 * room, high.step - 0.1 * room)
        slow = width > 0.66 * bracket.width
        inner = jnp.where(jnp.isfinite(inner) & ~slow, inner, middle)
        outer = jnp.where(jnp.isfinite(outer) & (outer > low.step), outer, 4.0 * low.step)
        outer = jnp.clip(outer, 1.5 * low.step, 8.0 * low.step)
        following = jnp.where(open_, outer, inner)
        following = jnp.where(bracket.looks + 2 == tries, low.step, following)
        found = _Bracket(at, extra, accepted, low, high, width, following, bracket.looks + 1)
        return found, value, slope, near

    zero = jnp.zeros_like(value)
    infinite = jnp.full_like(value, jnp.inf)
    begin = _Place(zero, value, slope)
    extra = jax.tree_util.tree_map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(look, first)[2]
    )
    start = _Bracket(
        begin, extra, jnp.asarray(False), begin, _Place(infinite, zero, zero), infinite,
        jnp.asarray(first, value.dtype), jnp.zeros((), jnp.int32),
    )  # fmt: skip
    end, *_ = repeated(lambda c: ~c[0].accepted, body, (start, value, slope, near), tries)
    good = end.accepted | (end.at.value < value)
    falls = (end.at.value < value - rounding(value)) & (end.at.slope < 0)
    return Found(end.at.step, end.at.value, end.extra, end.looks, good, ~end.accepted & falls)


def _chosen(condition: Any, one: Any, other: Any) -> Any:
    return jax.tree_util.tree_map(lambda a, b: jnp.where(condition, a, b), one, other)


def _cubic(one: _Place, other: _Place) -> Any:
    """Where the cubic that fits two places is least; not finite where it is not."""
    gap = other.step - one.step
    fine = jnp.isfinite(gap) & (gap != 0)
    gap = jnp.where(fine, gap, 1.0)
    secant = (other.value - one.value) / gap
    bend = one.slope + other.slope - 3.0 * secant
    square = bend * bend - one.slope * other.slope
    root = jnp.sqrt(jnp.where(square > 0, square, 1.0)) * jnp.sign(gap)
    below = other.slope - one.slope + 2.0 * root
    sound = fine & (square > 0) & (below != 0)
    # A line through the slopes is exact for parabolas, and does not subtract values.
    turn = other.slope - one.slope
    straight = one.step - one.slope * gap / jnp.where(turn != 0, turn, 1.0)
    alike = jnp.abs(other.value - one.value) <= rounding(one.value)
    curve = other.step - gap * (other.slope + root - bend) / jnp.where(sound, below, 1.0)
    straight = jnp.where(fine & (turn != 0), straight, jnp.nan)
    return jnp.where(alike | ~sound, straight, curve)


def power_of_two(step: Any) -> Any:
    """The power of 2 next to a step that was guessed: its last digits are rounding."""
    exponent = jnp.round(jnp.log2(step)).astype(jnp.int32)
    return jnp.ldexp(jnp.ones_like(step), exponent)
