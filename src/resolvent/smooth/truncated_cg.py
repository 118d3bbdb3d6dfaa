"""Conjugate gradients that end on a sphere, or along a curve that bends down."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core.line_search import repeated
from resolvent._core.norm import norm
from resolvent._core.sphere import binary_unit, to_sphere


class Truncated(NamedTuple):
    """The step, and what the model says of it."""

    h: Any
    fall: Any
    """-<g, h> - <h, H h> / 2."""
    length: Any
    products: Any


class _Run(NamedTuple):
    """In units of the radius, and residuals in units of g: their squares are numbers near 1."""

    h: Any
    residual: Any
    """g + H h."""
    way: Any
    square: Any
    """||residual||^2."""
    done: Any
    k: Any
    radius: Any
    goal: Any


def truncated_cg(
    product: Callable[[Any], Any], g: Float[Any, " n"], radius: Any, rtol: Any, limit: int
) -> Truncated:
    """About a minimizer of <g, h> + <h, H h> / 2 for ||h|| <= radius, by products with H alone.

    Reference:
        T. Steihaug (1983), The conjugate gradient method and trust regions in large scale
        optimization.
    """
    unit, length = binary_unit(norm(g)), binary_unit(radius)
    g = g / unit

    def body(run: _Run) -> _Run:
        bent = product(run.way) / unit * length
        curve = run.way @ bent
        step = run.square / jnp.where(curve > 0, curve, 1)
        ahead = run.h + step * run.way
        out = ~(curve > 0) | ~(ahead @ ahead < run.radius**2)
        step = jnp.where(out, to_sphere(run.h, run.way, run.radius), step)
        residual = run.residual + step * bent
        square = residual @ residual
        way = -residual + (square / run.square) * run.way
        return run._replace(
            h=run.h + step * run.way, residual=residual, way=way, square=square,
            done=out | ~(square > run.goal), k=run.k + 1,
        )  # fmt: skip

    square = g @ g
    start = _Run(
        jnp.zeros_like(g), g, -g, square, ~(square > 0), jnp.zeros((), jnp.int32),
        jnp.asarray(radius / length, g.dtype), jnp.asarray(rtol, g.dtype) ** 2 * square,
    )  # fmt: skip
    end = repeated(lambda run: ~run.done, body, start, limit)
    square = end.h @ end.h
    own = jnp.sqrt(jnp.where(square > 0, square, 1)) * (square > 0)
    fall = -0.5 * (end.h @ (g + end.residual))
    return Truncated(length * end.h, unit * fall * length, length * own, end.k)
