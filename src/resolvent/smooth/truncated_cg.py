"""Conjugate gradients that end on a sphere, or along a curve that bends down."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core.line_search import repeated


class Truncated(NamedTuple):
    """The step, and what the model says of it."""

    h: Any
    fall: Any
    """-<g, h> - <h, H h> / 2."""
    length: Any
    products: Any


class _Run(NamedTuple):
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

    def body(run: _Run) -> _Run:
        bent = product(run.way)
        curve = run.way @ bent
        step = run.square / jnp.where(curve > 0, curve, 1)
        ahead = run.h + step * run.way
        out = ~(curve > 0) | ~(ahead @ ahead < run.radius**2)
        step = jnp.where(out, _to_sphere(run.h, run.way, run.radius), step)
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
        jnp.asarray(radius, g.dtype), jnp.asarray(rtol, g.dtype) ** 2 * square,
    )  # fmt: skip
    end = repeated(lambda run: ~run.done, body, start, limit)
    length = end.h @ end.h
    length = jnp.sqrt(jnp.where(length > 0, length, 1)) * (length > 0)
    return Truncated(end.h, -0.5 * (end.h @ (g + end.residual)), length, end.k)


def _to_sphere(h: Any, way: Any, radius: Any) -> Any:
    """How far along a way the sphere is."""
    square, along = way @ way, h @ way
    room = jnp.maximum(radius**2 - h @ h, 0)
    inner = along**2 + square * room
    return room / (along + jnp.sqrt(jnp.where(inner > 0, inner, 1)))
