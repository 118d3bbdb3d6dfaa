"""A quadratic model made small within bounds and a ball: a projected gradient, then faces by CG."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core.line_search import repeated
from resolvent._core.norm import norm
from resolvent._core.sphere import to_sphere

_ENOUGH = 1e-2  # of the slope that the model must fall by
_TRIES = 60
_FACES = 50


class Lowered(NamedTuple):
    """Where the model has come to."""

    x: Any
    bent: Any
    """The Hessian times the step."""
    first: Any
    """The length of the projected gradient's step, as a multiple of the gradient."""
    products: Any


class _Face(NamedTuple):
    w: Any
    bent: Any
    """H (w - x)."""
    first: Any
    products: Any
    k: Any
    done: Any
    x: Any
    g: Any
    bounds: Any
    radius: Any
    goal: Any


def lowered(
    product: Callable[[Any], Any], x: Float[Any, " n"], g: Float[Any, " n"], bounds: Any,
    radius: Any, first: Any, goal: Any, limit: int,
) -> Lowered:  # fmt: skip
    """A point in the box and near the ball at which the model of x + s, <g, s> + <s, H s> / 2, is
    about least on a face of the box.

    First a step along the projected gradient says which bounds may hold, unless one as long as the
    last leads to no others than x is on. Then conjugate gradients run on the unknowns that are
    free, and again on those that are left where more bounds are met, until the slope within the
    face is at most `goal` or the ball's sphere is reached.

    Reference:
        C.-J. Lin, J. J. More (1999), Newton's method for large bound-constrained optimization
        problems.
    """

    def once(face: _Face) -> _Face:
        slope, at_first = face.g + face.bent, face.k == 0
        low, high = face.bounds
        free = ((face.w > low) & (face.w < high)).astype(x.dtype)
        right = jnp.where(at_first, 0, -free * slope)
        run = _conjugate(product, free, right, face.radius, face.goal, limit)
        way = jnp.where(at_first, -face.g, run.p)
        # Where the gradient leads to no other bounds, conjugate gradients go along it themselves.
        skip = at_first & _alike(face.w, _onto(face.w - face.first * face.g, low, high), low, high)
        length = jnp.where(at_first, face.first, 1.0)
        found = _searched(product, face, slope, way, run.bent, length, at_first, skip)
        w, bent = found.there, face.bent + found.bent
        inside = (w > low) & (w < high)
        small = norm(jnp.where(inside, face.g + bent, 0)) <= face.goal
        products = face.products + run.products + found.products
        still = (w == face.w).all()
        size = norm(face.g)
        longer = jnp.maximum(
            length, jnp.minimum(2 * length, face.radius / jnp.where(size > 0, size, 1))
        )
        done = ~at_first & (small | run.out | still | (products >= limit))
        return face._replace(
            w=w, bent=bent,
            first=jnp.where(at_first, jnp.where(skip, longer, found.length), face.first),
            products=products, k=face.k + 1, done=done | (at_first & small),
        )  # fmt: skip

    zero, whole = jnp.zeros((), jnp.int32), jnp.full_like(x, jnp.inf)
    pair = (-whole, whole) if bounds is None else bounds
    start = _Face(x, 0 * x, first, zero, zero, jnp.asarray(False), x, g, pair, radius, goal)
    end = repeated(lambda face: ~face.done, once, start, min(x.size, _FACES) + 1)
    return Lowered(end.w, end.bent, end.first, end.products)


def _onto(w: Any, low: Any, high: Any) -> Any:
    """The nearest point of the box, whose derivative is, on a bound, that of the bound."""
    return jnp.where(w <= low, low, jnp.where(w >= high, high, w))


def _alike(one: Any, other: Any, low: Any, high: Any) -> Any:
    """Whether two points are on the same bounds."""
    below, above = (one <= low) == (other <= low), (one >= high) == (other >= high)
    return (below & above).all()


class _Run(NamedTuple):
    p: Any
    bent: Any
    residual: Any
    way: Any
    square: Any
    products: Any
    out: Any
    """Whether it ended on the sphere."""
    free: Any
    radius: Any
    goal: Any


def _conjugate(
    product: Callable[[Any], Any], free: Any, right: Any, radius: Any, goal: Any, limit: int
) -> _Run:
    """Conjugate gradients among the free unknowns, which end on the sphere."""

    def once(run: _Run) -> _Run:
        bent = product(run.way)
        curve = run.way @ bent
        step = run.square / jnp.where(curve > 0, curve, 1)
        ahead = run.p + step * run.way
        out = ~(curve > 0) | ~(ahead @ ahead < run.radius**2)
        step = jnp.where(out, to_sphere(run.p, run.way, run.radius), step)
        residual = run.residual - step * run.free * bent
        square = residual @ residual
        return run._replace(
            p=run.p + step * run.way, bent=run.bent + step * bent, residual=residual,
            way=residual + square / run.square * run.way, square=square,
            products=run.products + 1, out=out,
        )  # fmt: skip

    zero = jnp.zeros((), jnp.int32)
    start = _Run(
        0 * right, 0 * right, right, right, right @ right, zero, jnp.asarray(False), free, radius,
        goal,
    )  # fmt: skip
    return repeated(lambda run: ~run.out & (run.square > run.goal**2), once, start, limit)


class _Search(NamedTuple):
    there: Any
    bent: Any
    length: Any
    following: Any
    products: Any
    back: Any
    """Whether a length was refused: no longer ones are tried then."""
    done: Any
    data: Any


def _searched(
    product: Callable[[Any], Any], face: _Face, slope: Any, way: Any, along: Any, length: Any,
    at_first: Any, skip: Any,
) -> _Search:  # fmt: skip
    """A step along a projected way that the model falls along.

    Of the gradient, one that is neither too long nor far too short; of a face, the longest one of
    1, 1/2, 1/4, ... but not shorter than to the next bound.
    """
    low, high = face.bounds
    rooms = jnp.where(way < 0, low - face.w, high - face.w) / jnp.where(way != 0, way, 1)
    least = jnp.min(jnp.where((way != 0) & (rooms > 0), rooms, jnp.inf))
    least = jax.lax.stop_gradient(least)
    data = face.w, face.bounds, face.radius, slope, way, along, least, at_first

    def once(search: _Search) -> _Search:
        w, bounds, radius, slope, way, along, least, at_first = search.data
        length = search.following
        straight = w + length * way
        there = _onto(straight, *bounds)
        move = there - w
        known = ~at_first & (there == straight).all()
        bent = jax.lax.cond(known, lambda m: length * along, product, move)
        fall, curve, size = -(slope @ move), move @ bent, norm(move)
        enough = fall - 0.5 * curve >= _ENOUGH * jnp.maximum(fall, 0)
        # Where the parabola along this step is least, as a multiple of it.
        best = jnp.where(curve > 0, fall / jnp.where(curve > 0, curve, 1), jnp.inf)
        near = ~at_first | (size <= radius)
        refused = ~(enough & near) & (at_first | (length > least))
        room = radius / jnp.where(size > 0, size, 1)
        moved = (there != search.there).any()
        short = at_first & ~search.back & (best > 4) & (room > 4) & moved & ~refused
        shorter = jnp.where(at_first, jnp.clip(jnp.minimum(best, room), 1e-3, 0.5), 0.5) * length
        shorter = jnp.where(at_first, shorter, jnp.maximum(shorter, jnp.minimum(least, length)))
        longer = length * jnp.clip(jnp.minimum(best, room), 4, 1e3)
        return search._replace(
            there=there, bent=bent, length=length, following=jnp.where(short, longer, shorter),
            products=search.products + ~known, back=search.back | refused, done=~(refused | short),
        )  # fmt: skip

    zero = jnp.zeros((), jnp.int32)
    start = _Search(face.w, 0 * face.w, length, length, zero, jnp.asarray(False), skip, data)
    end = repeated(lambda search: ~search.done, once, start, _TRIES)
    return end._replace(
        there=jnp.where(end.done, end.there, face.w), bent=jnp.where(end.done, end.bent, 0)
    )  # fmt: skip
