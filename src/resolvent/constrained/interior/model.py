"""What a step wants to solve: the program with its barrier, or the search for less violation."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent.constrained.interior import barrier
from resolvent.constrained.interior.scaled import boxes, rows_of, slopes_of


class Model(NamedTuple):
    """At a point, either with the scaled objective or with half the weighted squared violation.

    The latter has the rows' multipliers weights * rows, which makes one system serve both.
    """

    box: Any
    w: Any
    """[n + p]: unknowns and slacks."""
    free: Any
    rows: Any
    slopes: Any
    y: Any
    gradient: Any
    """[n]"""
    on: Any
    """Whether it is the search for less violation."""
    weights: Any
    tie: Any
    """[n]: the curvature of what ties that search to its beginning."""
    home: Any
    value: Any
    """The factor of f."""
    lower: Any
    upper: Any
    mu: Any


def modelled(problem: Any, state: Any) -> Model:
    """The model of the present step."""
    own, box = boxes(problem, state.x)
    free = jnp.where(own.low == own.high, 0, jnp.ones_like(state.x))
    rescue, at = state.rescue, state.at
    rows = rows_of(state.scaling, at.equalities, at.inequalities, state.s)
    tie = jnp.where(rescue.plain, 0, jnp.sqrt(state.mu)) / jnp.maximum(1, jnp.abs(rescue.home)) ** 2
    apart = tie * (state.x - rescue.home)
    return Model(
        box, jnp.concatenate([state.x, state.s]), free, rows,
        slopes_of(state.scaling, at, free), jnp.where(rescue.on, rescue.weights * rows, state.y),
        free * jnp.where(rescue.on, apart, state.scaling.value * at.gradient), rescue.on,
        rescue.weights, tie, rescue.home, state.scaling.value, state.lower, state.upper, state.mu,
    )  # fmt: skip


def merit(model: Model, w: Any, value: Any, rows: Any) -> tuple[Any, Any]:
    """The violation and the value with its barrier, for the filter; 0 and one number for the
    search for less violation."""
    n = model.free.size
    tied = 0.5 * (model.tie * (w[:n] - model.home) ** 2).sum()
    least = 0.5 * (model.weights * rows**2).sum() + tied
    of_bounds = model.mu * barrier.logarithms(model.box, w)
    violation = jnp.where(model.on, 0, jnp.abs(rows).sum())
    return violation, jnp.where(model.on, least, model.value * value) - of_bounds


def slope(model: Model) -> Any:
    """[n + p]: the gradient of the Lagrangian without bounds."""
    p = model.w.size - model.free.size
    return jnp.concatenate([model.gradient + model.y @ model.slopes, model.y[model.y.size - p :]])


def fall(model: Model, d: Any) -> Any:
    """The derivative of what `merit` calls value along d."""
    p = model.w.size - model.free.size
    own = jnp.concatenate([model.gradient, jnp.zeros(p, d.dtype)])
    own = jnp.where(model.on, slope(model), own)
    return (own - barrier.push(model.box, model.w, model.mu)) @ d


def error(model: Model, mu: Any) -> Any:
    """How far the conditions of the barrier problem are from holding, in units of multipliers."""
    lower, upper = model.lower, model.upper
    force = jnp.abs(slope(model) - lower + upper).max(initial=0.0)
    away = jnp.where(model.on, 0, jnp.abs(model.rows).max(initial=0.0))
    bounds = jnp.abs(lower).sum() + jnp.abs(upper).sum()
    count = jnp.maximum(1, (model.box.below.sum() + model.box.above.sum()).astype(mu.dtype))
    of_bounds = jnp.maximum(100, bounds / count) / 100
    whole = (bounds + jnp.abs(model.y).sum()) / (count + model.y.size)
    of_all = jnp.maximum(100, whole) / 100
    apart = barrier.products(model.box, model.w, lower, upper, mu)
    return jnp.maximum(jnp.maximum(force / of_all, away), apart / of_bounds)
