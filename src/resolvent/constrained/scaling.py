"""Constraints measured so that their gradients have about the length 1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.norm import norm
from resolvent.constrained.conditions import Multipliers
from resolvent.constrained.derivatives import Local
from resolvent.constrained.sparse_rows import SparseRows

_OFF = 7  # binary orders by which a length may be wrong before it is measured again


class Factors(NamedTuple):
    """What equations and inequalities are multiplied by: powers of 2, so that nothing is rounded.

    Attributes:
        equalities: [m]
        inequalities: [p]
    """

    equalities: Any
    inequalities: Any


def unscaled(at: Local) -> Factors:
    """Factors that change nothing."""
    return Factors(jnp.ones_like(at.equalities), jnp.ones_like(at.inequalities))


def adapted(v: Any, at: Local, before: Factors) -> Factors:
    """Other factors for the constraints whose gradients have become much longer or shorter."""
    v, at = jax.lax.stop_gradient((v, at))
    # Where a gradient vanishes: the one that would meet the constraint with a change of x as large.
    far = jnp.maximum(norm(v), 1)

    def one(values: Any, rows: Any, factors: Any) -> Any:
        size = jnp.maximum(jnp.sqrt((rows**2).sum(1)), jnp.abs(values) / far)
        known = (size > 0) & jnp.isfinite(size)
        order = jnp.round(jnp.log2(jnp.where(known, size, 1)))
        off = jnp.abs(order + jnp.log2(factors)) > _OFF
        fresh = jnp.ldexp(jnp.ones_like(size), -order.astype(jnp.int32))
        return jnp.where(known & off, fresh, factors)

    return Factors(
        one(at.equalities, at.jacobian, before.equalities),
        one(at.inequalities, at.slopes, before.inequalities),
    )


def scaled(at: Local, factors: Factors) -> Local:
    """Constraints times their factors."""
    c, h = factors
    return at._replace(
        equalities=c * at.equalities, jacobian=_by_rows(c, at.jacobian),
        inequalities=h * at.inequalities, slopes=_by_rows(h, at.slopes),
    )  # fmt: skip


def _by_rows(factors: Any, rows: Any) -> Any:
    if isinstance(rows, SparseRows):
        return rows.but(values=factors[:, None] * rows.values)
    return factors[:, None] * rows


def inverse(factors: Factors) -> Factors:
    """What takes them back; multipliers change by these where constraints change by the others."""
    return Factors(1 / factors.equalities, 1 / factors.inequalities)


def weighed(pair: Multipliers, factors: Factors) -> Multipliers:
    """Multipliers times factors."""
    return Multipliers(
        pair.equalities * factors.equalities, pair.inequalities * factors.inequalities
    )
