"""The Newton system solved no further than the merit needs it, while its weights are set."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.norm import norm
from resolvent.constrained import minimal_residual
from resolvent.constrained.exact_augmented_lagrangian import Penalties, Slope, merit_gradient
from resolvent.constrained.sketches import drawn, projected

_HEAVY, _LIGHT = 1e8, 1e-8  # weights that no longer change
_NEARLY = 0.1  # the share of a right-hand side that may be left of a system nearly solved
_ROUNDED = 10.0  # units in the last place of what a residual is a difference of


class System(NamedTuple):
    """K z = b and what its accuracy is measured by."""

    K: Any
    b: Any
    size: Any
    """The Frobenius norm of K."""
    inverse: Any
    """Psi, a bound or an estimate of the norm of the inverse of K."""
    slope: Slope
    error: Any
    """R, the KKT residual."""
    tightest: Any
    """The accuracy that the descent needs for given weights, times (1 + eta_1 + eta_2) / eta_2."""


class Inner(NamedTuple):
    """How far the inner loop is."""

    z: Any
    krylov: Any
    left: Any
    """The norm of K z - b."""
    weights: Penalties
    tight: Any
    """A factor on the accuracy, for when the weights may not change any more."""
    done: Any
    key: Any
    steps: Any


class Choices(NamedTuple):
    """The method's parameters that the inner loop has."""

    solver: str
    block: int
    burst: int
    theta: Any
    nu: Any
    least: Any
    """What delta does not fall below."""
    most: Any
    """Inner steps after which z is taken, with what the merit's fall still asks for."""


def solved(system: System, weights: Penalties, key: Any, choices: Choices) -> Inner:
    """A direction z along which the merit falls, and the weights for which it does."""
    b = system.b
    direct = choices.solver == "exact"
    z = jnp.linalg.solve(system.K, b) if direct else 0 * b
    krylov = minimal_residual.begun(b, b.size) if choices.solver == "krylov" else None
    weights = weights._replace(accuracy=_accuracy(system, weights, weights.accuracy, choices))
    steps = jnp.asarray(1 if direct else 0, jnp.int32)
    begin = Inner(
        z, krylov, norm(system.K @ z - b), weights, jnp.ones_like(system.size),
        jnp.asarray(False), key, steps,
    )  # fmt: skip
    return jax.lax.while_loop(_goes_on, partial(_round, system, choices), begin)


def _goes_on(inner: Inner) -> Any:
    return ~inner.done & jnp.isfinite(inner.left)


def _accuracy(system: System, weights: Penalties, before: Any, choices: Choices) -> Any:
    trial = system.tightest * weights.force / (1 + weights.violation + weights.force)
    return jnp.maximum(jnp.minimum(before, trial), choices.least)


def falls(system: System, weights: Penalties, z: Any) -> Any:
    """The merit's slope along z, and whether it is steep enough."""
    slope = merit_gradient(system.slope, weights) @ z
    return slope, slope <= -0.5 * weights.force * system.error**2


def _round(system: System, choices: Choices, inner: Inner) -> Inner:
    """More inner steps where z is not accurate yet, else a look at the merit's slope along it."""
    allowed = choices.theta * inner.weights.accuracy * inner.tight * system.error
    exhausted = _is_rounding(system, inner) | (choices.solver == "exact")
    accurate = (system.size * system.inverse * inner.left <= allowed) | exhausted
    ended = jnp.where(accurate, 1, 0) + jnp.where(~accurate & (inner.steps >= choices.most), 2, 0)
    return jax.lax.switch(
        ended,
        (
            partial(_advanced, system, choices),
            partial(_weighed, system, choices, exhausted),
            partial(_cut_short, system, choices),
        ),
        inner,
    )


def _is_rounding(system: System, inner: Inner) -> Any:
    eps = jnp.finfo(system.b.dtype).eps
    return inner.left <= _ROUNDED * eps * (system.size * norm(inner.z) + norm(system.b))


def _weighed(system: System, choices: Choices, exhausted: Any, inner: Inner) -> Inner:
    """Heavier weights where the merit does not fall along z, a more accurate z in the end."""
    _, good = falls(system, inner.weights, inner.z)
    movable = _is_movable(inner.weights)
    move = ~good & movable
    return inner._replace(
        weights=trees.where(move, _heavier(system, choices, inner.weights), inner.weights),
        tight=jnp.where(good | movable, inner.tight, 0.1 * inner.tight),
        done=good | (~movable & exhausted),
    )


def _is_movable(weights: Penalties) -> Any:
    return (weights.violation <= _HEAVY) & (weights.force >= _LIGHT)


def _heavier(system: System, choices: Choices, weights: Penalties) -> Penalties:
    heavier = weights._replace(
        violation=weights.violation * choices.nu**2, force=weights.force / choices.nu
    )
    delta = _accuracy(system, heavier, weights.accuracy / choices.nu**4, choices)
    return heavier._replace(accuracy=delta)


def _cut_short(system: System, choices: Choices, inner: Inner) -> Inner:
    """The direction next to z along which the merit falls by enough, for the weights there are.

    What the merit does along an inaccurate z says little of its weights. They are to blame only
    where z nearly solves both parts of the system, and heavier ones would make the merit fall.
    """
    weights, z = inner.weights, inner.z
    slope, good = falls(system, weights, z)
    left, n = system.K @ z - system.b, system.slope.force.size
    fine = (norm(left[:n]) <= _NEARLY * norm(system.b[:n])) & (
        norm(left[n:]) <= _NEARLY * norm(system.b[n:])
    )
    heaviest = weights._replace(
        violation=jnp.full_like(slope, _HEAVY), force=jnp.full_like(slope, _LIGHT)
    )
    move = ~good & fine & falls(system, heaviest, z)[1] & _is_movable(weights)
    up = merit_gradient(system.slope, weights)
    steep = up @ up
    beyond = slope + 0.5 * weights.force * system.error**2
    beyond = jnp.maximum(beyond, 0) / jnp.where(steep > 0, steep, 1)
    return inner._replace(
        z=jnp.where(move, z, z - beyond * up),
        weights=trees.where(move, _heavier(system, choices, weights), weights),
        done=~move,
    )


def _advanced(system: System, choices: Choices, inner: Inner) -> Inner:
    """Some inner steps."""
    K, b = system.K, system.b
    if choices.solver == "exact":
        return inner
    if choices.solver == "krylov":
        krylov = minimal_residual.stepped(K, inner.krylov)
        z = krylov.z
        inner = inner._replace(krylov=krylov, steps=inner.steps + 1)
    else:
        key, now = jax.random.split(inner.key)
        sketched = drawn(choices.solver, now, K, b, choices.burst, choices.block)
        z = projected(sketched, inner.z)
        inner = inner._replace(key=key, steps=inner.steps + choices.burst)
    # From the data: a recurrence of so many steps would drift away from it.
    return inner._replace(z=z, left=norm(K @ z - b))
