"""GMRES that shows its iterate and residual after every step, for those who stop by own tests."""

from typing import Any, NamedTuple

import jax.numpy as jnp

_FELL = 0.9  # the residual's own direction is taken where the last step reduced it to this much


class Krylov(NamedTuple):
    """Steps so far: directions, and their images as an orthonormal set."""

    z: Any
    r: Any
    """b - K z"""
    directions: Any
    """[depth, n]"""
    images: Any
    """[depth, n]"""
    following: Any
    """[n], the next direction."""
    used: Any
    """How many rows are in use."""


def begun(b: Any, depth: int) -> Krylov:
    """From z = 0, with room for so many directions before it begins again."""
    room = jnp.zeros((depth, b.size), b.dtype)
    return Krylov(0 * b, b, room, room, _unit(b), jnp.zeros((), jnp.int32))


def stepped(K: Any, state: Krylov) -> Krylov:
    """One step: the least residual over one more direction.

    Images are orthogonalized twice. Where the residual fell well, it is the next direction, else
    the last image is: the first is the more accurate, and the second never stands still
    (Jiranek, Rozloznik, 2010, adaptive simpler GMRES).
    """
    z, r, directions, images, p, used = state
    depth = directions.shape[0]
    row = used % depth
    # A full room begins again from the present residual.
    fresh = (row == 0) & (used > 0)
    directions, images = (jnp.where(fresh, 0, part) for part in (directions, images))
    p = jnp.where(fresh, _unit(r), p)
    q = K @ p
    size = jnp.sqrt(q @ q)
    for _ in range(2):
        share = images @ q
        q, p = q - share @ images, p - share @ directions
    left = jnp.sqrt(q @ q)
    eps = jnp.finfo(q.dtype).eps
    sound = left > 10 * eps * size
    scale = jnp.where(sound, 1 / jnp.where(sound, left, 1), 0)
    q, p = scale * q, scale * p
    along = q @ r
    after = r - along * q
    fell = jnp.sqrt(after @ after) <= _FELL * jnp.sqrt(r @ r)
    return Krylov(
        z + along * p,
        after,
        directions.at[row].set(p),
        images.at[row].set(q),
        jnp.where(fell | ~sound, _unit(after), q),
        used + 1,
    )


def _unit(vector: Any) -> Any:
    square = vector @ vector
    return vector / jnp.sqrt(jnp.where(square > 0, square, 1))
