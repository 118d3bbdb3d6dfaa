"""When a method for smooth problems has nowhere to go, or no longer gets anywhere."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.line_search import rounding
from resolvent._core.solution import Reason

MONITORED = 100_000
"""Through a curved valley f falls for thousands of steps without a new low of the gradient: methods
that watch their `Progress` need nobody else who counts steps without one."""

_IDLE = 1000  # steps without any progress after which there is none to come
_REST = 64.0  # how much room is left below numbers whose squares overflow


def ending(x: Any, value: Any, gradient: Any, length: Any, refused: Any) -> Any:
    """0, or the code of a `Reason`: diverged where points are beyond all bounds, or values with
    their gradients, stalled where a step that was refused is lost in the rounding of x."""
    x, value, gradient, length = jax.lax.stop_gradient((x, value, gradient, length))
    bound = jnp.sqrt(jnp.finfo(value.dtype).max)
    size = trees.norm(x).astype(value.dtype)
    # A low value alone may be the unit of f; a step more may leave nothing that can be squared.
    steep = trees.norm(gradient).astype(value.dtype) > bound / _REST
    away = (size > bound) | ((value < -bound / _REST) & steep)
    lost = refused & (length <= jnp.finfo(value.dtype).eps * size)
    code = jnp.where(lost, Reason.stalled.code, 0)
    return jnp.where(away, Reason.diverged.code, code).astype(jnp.int32)


class Progress(NamedTuple):
    """The lowest value and the lowest merit so far, and steps since one of them came down."""

    value: Any
    merit: Any
    idle: Any


def begun(value: Any, merit: Any) -> Progress:
    """That of the first point."""
    return Progress(value, merit, jnp.zeros((), jnp.int32))


def followed(progress: Progress, value: Any, merit: Any) -> Progress:
    """That after one more step."""
    lowest, least, idle = progress
    gains = (value < lowest - rounding(lowest)) | (merit < least)
    return Progress(
        jnp.where(gains, jnp.minimum(lowest, value), lowest), jnp.minimum(least, merit),
        jnp.where(gains, 0, idle + 1),
    )  # fmt: skip


def without_progress(progress: Progress, status: Any) -> Any:
    """A status, or stalled where all was well but for so many steps without progress."""
    idle = (status == 0) & (progress.idle >= _IDLE)
    return jnp.where(idle, Reason.stalled.code, status).astype(jnp.int32)
