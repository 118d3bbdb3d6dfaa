"""Limited memories of curvature: pairs of steps and changes of the gradient, the last few."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Pairs(NamedTuple):
    """Steps s and changes y of the gradient, each divided by the root of <s, y>.

    Rows are written in turn; those from `taken` on are not in use.
    """

    steps: Any
    """[m, n]"""
    changes: Any
    """[m, n]"""
    scale: Any
    """<s, y> / <y, y> of the last pair: the length of a step for a unit gradient."""
    taken: Any
    """How many pairs have been written."""


def no_pairs(size: int, vector: Any, scale: Any) -> Pairs:
    """Room for so many pairs."""
    room = jnp.zeros((size, vector.size), vector.dtype)
    return Pairs(room, room, jnp.asarray(scale, vector.dtype), jnp.zeros((), jnp.int32))


def with_pair(pairs: Pairs, step: Any, change: Any) -> Pairs:
    """One more pair, in place of the oldest; none where the curvature is not positive."""
    along, square = step @ change, change @ change
    eps = jnp.finfo(step.dtype).eps
    sound = (along > eps * square * pairs.scale) & (along > 0) & jnp.isfinite(square)
    root = jnp.sqrt(jnp.where(sound, along, 1.0))
    row = pairs.taken % pairs.steps.shape[0]

    def written(rows: Any, vector: Any) -> Any:
        return rows.at[row].set(jnp.where(sound, vector / root, rows[row]))

    return Pairs(
        written(pairs.steps, step),
        written(pairs.changes, change),
        jnp.where(sound, along / jnp.where(sound, square, 1.0), pairs.scale),
        pairs.taken + sound,
    )


def forgotten(pairs: Pairs, condition: Any) -> Pairs:
    """No pairs where the condition holds; the scale stays."""
    return pairs._replace(taken=jnp.where(condition, 0, pairs.taken))


def two_loops(pairs: Pairs, vector: Any) -> Any:
    """The inverse of the approximate Hessian times a vector."""
    size = pairs.steps.shape[0]

    def back(i: Any, carry: Any) -> Any:
        vector, parts = carry
        row = (pairs.taken - 1 - i) % size
        part = jnp.where(row < pairs.taken, pairs.steps[row] @ vector, 0)
        return vector - part * pairs.changes[row], parts.at[row].set(part)

    def forth(i: Any, vector: Any) -> Any:
        row = (pairs.taken + i) % size
        part = jnp.where(row < pairs.taken, parts[row] - pairs.changes[row] @ vector, 0)
        return vector + part * pairs.steps[row]

    begin = vector, jnp.zeros(size, vector.dtype)
    vector, parts = jax.lax.fori_loop(0, size, back, begin)
    return jax.lax.fori_loop(0, size, forth, pairs.scale * vector)


def solved_on(pairs: Pairs, vector: Any, free: Any) -> Any:
    """The inverse of the free block of the approximate Hessian times a vector's free part.

    The approximation is 1 / scale times (identity less a matrix of low rank), in the compact form
    of Byrd, Nocedal and Schnabel (1994); the inverse of its block is of the same kind.
    """
    size = pairs.steps.shape[0]
    unit = jnp.sqrt(pairs.scale)
    rows = jnp.arange(size)
    used = rows[:, None] < pairs.taken
    changes = jnp.where(used, unit * pairs.changes, 0)
    steps = jnp.where(used, pairs.steps / unit, 0)
    on = free.astype(vector.dtype)
    own_changes, own_steps = on * changes, on * steps
    rest = steps - own_steps
    # How many pairs ago a row was written.
    age = (pairs.taken - 1 - rows) % size
    later = age[:, None] < age[None, :]
    lower = jnp.where(later, steps @ changes.T, 0)
    corner = lower - own_steps @ own_changes.T
    last = rest @ rest.T + jnp.diag((~used[:, 0]).astype(vector.dtype))
    inner = jnp.block(
        [[-jnp.eye(size, dtype=vector.dtype) - own_changes @ own_changes.T, corner.T],
         [corner, last]]
    )  # fmt: skip
    right = jnp.concatenate([own_changes @ vector, own_steps @ vector])
    found = jnp.linalg.solve(inner, right)
    turn = found[:size] @ own_changes + found[size:] @ own_steps
    return pairs.scale * (on * vector + turn)
