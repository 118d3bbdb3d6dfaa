"""Pairs of a violation and a value that no later point may be worse than in both."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent._core.line_search import rounding

_PLACES = 64
_LESS = 1e-5  # the share of the violation by which it must fall,
_LOWER = 1e-8  # or by which the value must


class Filter(NamedTuple):
    """Violations and values, with their margins; infinite at free places."""

    violations: Any
    values: Any
    most: Any
    """The violation that no point may have."""


def empty(most: Any) -> Filter:
    """Nothing forbidden but violations above `most`."""
    free = jnp.full(_PLACES, jnp.inf, most.dtype)
    return Filter(free, free, most)


def admits(filter: Filter, violation: Any, value: Any) -> Any:
    """Whether a point is better than every pair in one of both."""
    room = rounding(jnp.where(jnp.isfinite(filter.values), filter.values, 0))
    better = (violation <= filter.violations) | (value <= filter.values + room)
    return better.all() & (violation <= filter.most)


def improves(violation: Any, value: Any, before: Any, value_before: Any) -> Any:
    """Whether a point is better than the present one in one of both by enough."""
    lower = value_before - _LOWER * before + rounding(value_before)
    return (violation <= (1 - _LESS) * before) | (value <= lower)


def with_pair(filter: Filter, violation: Any, value: Any, add: Any) -> Filter:
    """With one pair more, where `add`; at the place of one it is stricter than, or the weakest."""
    v, f = (1 - _LESS) * violation, value - _LOWER * violation
    weaker = (filter.violations >= v) & (filter.values >= f)
    rank = jnp.where(weaker, jnp.inf, filter.violations)
    place = jnp.argmax(rank)
    chosen = add & (jnp.arange(_PLACES) == place)
    return filter._replace(
        violations=jnp.where(chosen, v, filter.violations),
        values=jnp.where(chosen, f, filter.values),
    )


def least_step(violation: Any, slope: Any, little: Any) -> Any:
    """The step size below which neither can be expected to fall (Waechter and Biegler, (23))."""
    falls = slope < 0
    down = jnp.where(falls, -slope, 1)
    by_value = jnp.minimum(_LESS, _LOWER * violation / down)
    by_slope = jnp.minimum(by_value, violation**1.1 / down**2.3)
    size = jnp.where(falls, jnp.where(violation <= little, by_slope, by_value), _LESS)
    return 0.05 * size
