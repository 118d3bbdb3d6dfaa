"""Newton directions within bounds, by conjugate gradients on the unknowns that are free."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent._core.line_search import repeated
from resolvent._core.norm import norm
from resolvent.constrained.conditions import Multipliers, displacement
from resolvent.constrained.derivatives import hessian_product


class Bent(NamedTuple):
    """The second derivative of an augmented Lagrangian, by its parts."""

    problem: Any
    x: Any
    forces: Multipliers
    rho: Any
    jacobian: Any
    slopes: Any
    pushing: Any
    """[p], 1 for inequalities that bear a force, else 0."""


def product(bent: Bent, d: Any) -> Any:
    """The second derivative times d."""
    y, z = bent.forces
    whole = hessian_product(bent.problem, bent.x, y, z, d)
    rows = bent.pushing * (bent.slopes @ d)
    return whole + bent.rho * ((bent.jacobian @ d) @ bent.jacobian + rows @ bent.slopes)


def _rounding(bent: Bent) -> Any:
    """The curvature that is found along a direction on which no constraint depends."""
    squares = (bent.jacobian**2).sum(1).sum() + bent.pushing @ (bent.slopes**2).sum(1)
    # The direction has rounding, and its product with rows: of both the square is taken.
    return bent.rho * jnp.finfo(bent.x.dtype).eps ** 1.5 * squares


class _Conjugate(NamedTuple):
    d: Any
    r: Any
    p: Any
    square: Any
    most: Any
    """The largest curvature that was seen."""
    products: Any
    done: Any


def direction(bent: Bent, slope: Any, bounds: Any, tolerance: Any, unit: Any) -> tuple[Any, Any]:
    """A direction along which the function falls, and how many products it took.

    Unknowns that are near a bound and pushed against it follow the gradient. For the others, the
    Newton system is solved until its residual is a share of the gradient that shrinks with it.
    Where curvature is not positive the search ends. Where it is negative, the direction that shows
    it is taken too, as far as if it were positive: without it, steps in a bent valley would be no
    more than steps along the gradient. One without curvature is taken as far as x is long, where
    the residual is more than rounding: linear programs go on along such ones. Where the first
    direction shows none, it is long, so that a function without a minimizer is seen to be one.
    """
    x = bent.x
    free = jnp.ones_like(x)
    if bounds is not None:
        low, high = bounds
        near = jnp.minimum(norm(displacement(x, slope, bounds)), 1e-3)
        held = ((x <= low + near) & (slope > 0)) | ((x >= high - near) & (slope < 0))
        free = jnp.where(held, 0, free)
    b = -slope * free
    square = b @ b
    size = jnp.sqrt(jnp.where(square > 0, square, 1))
    # Quadratic in the end, and no more accurate than this minimization will be.
    share = jnp.minimum(0.1, size / jnp.where(unit > 0, unit, 1))
    goal = jnp.maximum(share * size, 0.1 * tolerance) ** 2
    zero = jnp.zeros((), jnp.int32)

    def goes_on(state: tuple[_Conjugate, Any, Any]) -> Any:
        now, goal, _ = state
        return ~now.done & (now.square > goal)

    def once(state: tuple[_Conjugate, Any, Any]) -> tuple[_Conjugate, Any, Any]:
        (d, r, p, square, most, products, _), goal, least = state
        q = free * product(bent, p)
        along, length = p @ q, p @ p
        curvature = along / jnp.where(length > 0, length, 1)
        # A curvature that is rounding beside others says nothing of a step's length.
        rounding = 10 * jnp.finfo(x.dtype).eps * most
        noise = jnp.maximum(rounding, least)
        bad, negative = ~(curvature > noise), curvature < -noise
        most = jnp.maximum(most, curvature)
        step = square / jnp.where(bad, 1, along)
        far = 10 * jnp.maximum(norm(x), 1)
        straight = far / jnp.sqrt(jnp.where(length > 0, length, 1))
        aside = jnp.minimum(-square / jnp.where(negative, along, -1), straight)
        flat = jnp.where(square > rounding**2 * (d @ d), 0.1 * straight, 0)
        ahead = jnp.where(products == 0, far / size, jnp.where(negative, aside, flat))
        d = d + jnp.where(bad, ahead, step) * p
        r = jnp.where(bad, r, r - step * q)
        after = r @ r
        p = r + after / jnp.where(square > 0, square, 1) * p
        return _Conjugate(d, r, p, after, most, products + 1, bad), goal, least

    begin = _Conjugate(0 * b, b, b, square, 0 * square, zero, ~(square > 0))
    end, *_ = repeated(goes_on, once, (begin, goal, _rounding(bent)), x.size)
    return end.d - (1 - free) * slope, end.products
