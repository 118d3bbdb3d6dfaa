"""What methods ask of the second term g of a composite problem: a gradient, bounds, vertices."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent.functions import (
    L0,
    L1,
    MCP,
    SCAD,
    Box,
    ConvexSet,
    ElasticNet,
    Everything,
    Function,
    Lp,
    MaxBall,
    Nonnegative,
    Product,
    Simplex,
    SquaredL2,
    SVMDual,
    WeightedL1,
)


def differentiable(g: Function) -> bool:
    """Whether g has a gradient everywhere."""
    if isinstance(g, Product):
        return all(differentiable(part) for part in g.parts)
    return isinstance(g, Everything) or (isinstance(g, SquaredL2) and g.domain is None)


def diagonal(g: Function) -> bool:
    """Whether g is known to be a sum over single entries, so that its prox has one for each."""
    if isinstance(g, Product):
        return all(diagonal(part) for part in g.parts)
    if isinstance(g, SquaredL2):
        return g.domain is None or diagonal(g.domain)
    return boxed(g) or isinstance(g, L1 | WeightedL1 | ElasticNet | MCP | SCAD | L0 | Lp | SVMDual)


def boxed(g: Function) -> bool:
    """Whether g is a set of bounds on single entries."""
    if isinstance(g, Product):
        return all(boxed(part) for part in g.parts)
    return isinstance(g, Everything | Box | Nonnegative | MaxBall)


def simplices(g: Function) -> bool:
    """Whether g is a simplex, or a product of some."""
    if isinstance(g, Product):
        return all(simplices(part) for part in g.parts)
    return isinstance(g, Simplex)


def bounded(g: Function) -> bool:
    """Whether g is a bounded convex set."""
    return isinstance(g, ConvexSet) and g.is_set and g.bounded()


def bounds(g: Function, x: Any) -> tuple[Any, Any]:
    """The least and the largest value of each entry, as trees like x."""
    if isinstance(g, Product):
        pairs = [bounds(part, block) for part, block in zip(g.parts, x, strict=True)]
        return tuple(low for low, _ in pairs), tuple(high for _, high in pairs)
    if isinstance(g, MaxBall):
        center, radius = trees.zeros(x) if g.center is None else g.center, g.radius
        low = trees.map_leaves(lambda leaf: leaf - radius, center)
        high = trees.map_leaves(lambda leaf: leaf + radius, center)
        return trees.map_leaves(_like, low, x), trees.map_leaves(_like, high, x)
    low, high = -math.inf, math.inf
    if isinstance(g, Nonnegative):
        low = 0.0
    elif isinstance(g, Box):
        low, high = g.lower, g.upper
    return (
        trees.map_leaves(lambda leaf: _like(low, leaf), x),
        trees.map_leaves(lambda leaf: _like(high, leaf), x),
    )


def _like(bound: Any, leaf: Any) -> Any:
    return jnp.broadcast_to(jnp.asarray(bound, leaf.dtype), leaf.shape)


def whole_slope(problem: Any, x: Any) -> tuple[Any, Any, Any]:
    """f + g, its gradient, and the gradient of f alone, for a g that has one."""
    value, gradient = problem.slope(x)
    if isinstance(problem.g, Everything):
        return value, gradient, gradient
    more, turn = jax.value_and_grad(problem.g.value)(x)
    return value + more.astype(value.dtype), trees.plus(gradient, 1.0, turn), gradient
