"""The exact augmented Lagrangian, a merit function of unknowns and multipliers together."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from resolvent.constrained.derivatives import Local


class Penalties(NamedTuple):
    """The weights of the merit, and the accuracy that goes with them."""

    violation: Any
    """eta_1, of |c|^2 / 2."""
    force: Any
    """eta_2, of |grad L|^2 / 2."""
    accuracy: Any
    """delta, the share of the KKT residual that an inner residual may have."""


def merit(at: Local, y: Any, weights: Penalties) -> tuple[Any, Any]:
    """L + eta_1 |c|^2 / 2 + eta_2 |grad L|^2 / 2, and the size of its terms."""
    c, force = at.equalities, at.gradient + y @ at.jacobian
    extra = 0.5 * (weights.violation * (c @ c) + weights.force * (force @ force))
    along = y * c
    size = jnp.abs(at.value) + jnp.abs(along).sum() + extra
    return at.value + along.sum() + extra, size


class Slope(NamedTuple):
    """What the merit's gradient is combined of, for any weights."""

    force: Any
    """grad L"""
    bent: Any
    """Hessian of L times grad L"""
    pull: Any
    """G^T c"""
    values: Any
    """c"""
    turned: Any
    """G grad L"""


def slope_of(at: Local, y: Any, hessian: Any) -> Slope:
    """The Hessian is that of the Lagrangian, without any modification."""
    force = at.gradient + y @ at.jacobian
    return Slope(
        force, hessian @ force, at.equalities @ at.jacobian, at.equalities, at.jacobian @ force
    )


def merit_gradient(slope: Slope, weights: Penalties) -> Any:
    """[n + m], in the unknowns and in the multipliers."""
    in_x = slope.force + weights.force * slope.bent + weights.violation * slope.pull
    return jnp.concatenate([in_x, slope.values + weights.force * slope.turned])
