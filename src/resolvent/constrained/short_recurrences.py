"""MINRES with a preconditioner, which shows its iterate and its residual after every step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

_LOST = 100.0  # units in the last place: a new direction that is shorter is rounding


class ShortKrylov(NamedTuple):
    """Steps so far, in the vectors that the recurrences of Paige and Saunders (1975) keep."""

    z: Any
    r: Any
    """b - K z"""
    before: Any
    """Two vectors of Lanczos, the older first."""
    ahead: Any
    """The newer one, preconditioned."""
    beta: Any
    old_beta: Any
    turn: tuple[Any, Any, Any, Any, Any]
    """Cosine and sine of the last rotation, what it left above and below, and the residual."""
    directions: Any
    """The last two."""
    images: Any
    """K times them, which is what keeps r up to date without products."""
    first: Any
    """The first beta."""
    used: Any
    spent: Any
    """Whether no new direction is left."""


def begun(precondition: Callable[[Any], Any], b: Any) -> ShortKrylov:
    """From z = 0. The preconditioner is symmetric and positive definite."""
    zero, none = 0 * b, jnp.zeros((), b.dtype)
    ahead = precondition(b)
    beta = jnp.sqrt(jnp.maximum(b @ ahead, 0))
    turn = -jnp.ones_like(none), none, none, none, beta
    return ShortKrylov(
        zero, b, (zero, b), ahead, beta, none, turn, (zero, zero), (zero, zero), beta,
        jnp.zeros((), jnp.int32), ~(beta > 0),
    )  # fmt: skip


def stepped(
    product: Callable[[Any], Any], precondition: Callable[[Any], Any], state: ShortKrylov
) -> ShortKrylov:
    """One product and one preconditioner more."""
    older, newer = state.before
    cosine, sine, above, below, left = state.turn
    safe = jnp.where(state.beta > 0, state.beta, 1)
    v = state.ahead / safe
    image = product(v)
    back = state.beta / jnp.where(state.old_beta > 0, state.old_beta, 1)
    back = jnp.where(state.used > 0, back, 0)
    y = image - back * older
    alpha = v @ y
    y = y - alpha / safe * newer
    ahead = precondition(y)
    beta = jnp.sqrt(jnp.maximum(y @ ahead, 0))
    # The rotation that keeps the projected matrix triangular.
    delta = cosine * above + sine * alpha
    bar = sine * above - cosine * alpha
    size = jnp.sqrt(bar * bar + beta * beta)
    size = jnp.where(size > 0, size, jnp.finfo(v.dtype).eps)
    now = bar / size, beta / size
    step, left = now[0] * left, now[1] * left

    def onward(last: Any, new: Any) -> Any:
        return (new - below * last[0] - delta * last[1]) / size

    d, q = onward(state.directions, v), onward(state.images, image)
    least = _LOST * jnp.finfo(v.dtype).eps * state.first
    lost = (beta <= least) | (left <= least)
    return ShortKrylov(
        state.z + step * d, state.r - step * q, (newer, y), ahead, beta, state.beta,
        (*now, -cosine * beta, sine * beta, left), (state.directions[1], d),
        (state.images[1], q), state.first, state.used + 1, lost,
    )  # fmt: skip
