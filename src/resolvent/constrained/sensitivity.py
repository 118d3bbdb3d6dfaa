"""The square system that an answer solves, through which its derivative is taken."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent.constrained.conditions import clipped, estimated, force
from resolvent.constrained.derivatives import local
from resolvent.constrained.newton_system import spanned


def square_system(problem: Any, x: Any) -> Any:
    """The gradient of the Lagrangian along what is held, plus what should vanish across it.

    Which inequalities and bounds are held is decided at x: where z + h > 0, and where a step along
    the force leaves the bounds. The equations of those, multiplied by their gradients, lie across
    the held surface, and with multipliers by least squares the force lies along it: their sum
    vanishes only with both. Its derivative is regular where constraints depend on each other at x
    as they do nearby, every held constraint bears a force, and the Hessian of the Lagrangian is
    positive along the surface.
    """
    v = problem.vector(x)
    bounds = problem.bounds_at(v)
    at = local(problem, v)
    m = at.equalities.size
    still, found = jax.lax.stop_gradient((v, estimated(v, at, bounds)))
    near = jax.lax.stop_gradient(at)
    held = jnp.concatenate(
        [jnp.ones(m, bool), found.inequalities + near.inequalities > 0]
    )  # fmt: skip
    target, free = v, jnp.ones_like(v)
    if bounds is not None:
        moved = still - force(near, found)
        outside = clipped(moved, jax.lax.stop_gradient(bounds)) != moved
        target, free = clipped(jax.lax.stop_gradient(moved), bounds), 1.0 * ~outside
        free = free.astype(v.dtype)
    values = jnp.where(held, jnp.concatenate([at.equalities, at.inequalities]), 0)
    rows = jnp.where(held[:, None], jnp.concatenate([at.jacobian, at.slopes]), 0) * free
    slope = at.gradient * free
    if held.size:
        lengths = jax.lax.stop_gradient(jnp.sqrt((rows**2).sum(1)))
        lengths = jnp.where(lengths > 0, lengths, 1)
        values, rows = values / lengths, rows / lengths[:, None]
        # With as much as makes it regular where rows vanish or depend on each other: the projection
        # is the same.
        gram = rows @ rows.T + spanned(rows, 0.0).idle
        slope = slope - rows.T @ jnp.linalg.solve(gram, rows @ slope) + values @ rows
    # Across the bounds that hold, the unknown itself.
    return problem.point(slope + (1 - free) * (v - target))
