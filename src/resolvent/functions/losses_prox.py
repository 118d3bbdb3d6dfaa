"""The equations behind those proxes of losses that have no closed form.

Each is solved by a fixed number of Newton steps from a start with a known side, in NumPy as in JAX,
to a few rounding errors of the data (see softmax_near for its limit). Derivatives come from the
equation, not from the steps.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

# Counted on grids: with fewer, the worst case is not at rounding yet. Steps from 1e-12 to 1e12 for
# logistic_near; from 1e-6 to 1e6, with 3 to 300 classes, for softmax_near.
_OMEGA_STEPS = 5
_LOGISTIC_STEPS = 4
_SOFTMAX_STEPS = 10
_POLISHING_STEPS = 3


def special(xp: Any) -> Any:
    """The special functions that go with an array module."""
    return jax.scipy.special if xp is jnp else scipy.special


def log_omega(a: Any) -> Any:
    """The t with t + exp(t) = a; exp(t) is Wright's omega function."""
    return _traced_log_omega(a) if isinstance(a, jax.Array) else _log_omega(np, a)


def _log_omega(xp: Any, a: Any) -> Any:
    # Convex and increasing in t, and the start lies above the root: so do all Newton steps.
    t = xp.where(a <= 1, a, xp.log(xp.maximum(a, 1)))
    for _ in range(_OMEGA_STEPS):
        w = xp.exp(t)
        t = t - (t + w - a) / (1 + w)
    return t


@jax.custom_jvp
@jax.jit
def _traced_log_omega(a: Any) -> Any:
    return _log_omega(jnp, a)


@_traced_log_omega.defjvp
def _(primals: Any, tangents: Any) -> Any:
    t = _traced_log_omega(*primals)
    # 1 / (1 + exp(t)) without overflow.
    return t, tangents[0] * jax.nn.sigmoid(-t)


def poisson_near(z: Any, y: Any, step: Any) -> Any:
    """The u with u + step (exp(u) - y) = z, for step >= 0."""
    return (_traced_poisson_near if isinstance(z, jax.Array) else _poisson_near)(z, y, step)


def _poisson_near(z: Any, y: Any, step: Any) -> Any:
    xp = jnp if isinstance(z, jax.Array) else np
    bar = xp.log(xp.maximum(step, xp.finfo(z.dtype).tiny))
    t = _log_omega(xp, z + step * y + bar)
    # The displacement is exp(t) - step y, and t is the answer plus the logarithm of the step:
    # each form where the other cancels.
    near = xp.where(t > 0, t - bar, z + step * y - xp.exp(xp.minimum(t, 0)))
    return xp.where(step > 0, near, z)


@jax.custom_jvp
@jax.jit
def _traced_poisson_near(z: Any, y: Any, step: Any) -> Any:
    return _poisson_near(z, y, step)


@_traced_poisson_near.defjvp
def _(primals: Any, tangents: Any) -> Any:
    u = _traced_poisson_near(*primals)
    _, y, step = primals
    moved, turned, more = tangents
    # At no step at all the rate may overflow, and zero times it still is zero.
    rate = jnp.minimum(jnp.exp(u), jnp.finfo(u.dtype).max)
    return u, (moved + step * turned - more * (rate - y)) / (1 + step * rate)


def logistic_near(a: Any, step: Any) -> Any:
    """The m with m - step / (1 + exp(m)) = a, for step >= 0."""
    if isinstance(a, jax.Array):
        return _traced_logistic_near(a, step)
    return _logistic_near(np, a, step)


def _logistic_near(xp: Any, a: Any, step: Any) -> Any:
    expit, moves = special(xp).expit, step > 0
    step = xp.maximum(step, xp.finfo(a.dtype).tiny)
    # (a, m) -> (-a - step, -m) leaves the equation as it is: let m be positive.
    turned = a < -0.5 * step
    base = xp.where(turned, -a - step, a)
    bar = xp.log(step)
    # With m = base + exp(t): t + log(1 + exp(m)) = log(step), convex and increasing in t.
    most = bar - base
    t = xp.where(most <= 1, most, xp.log(xp.maximum(most, 1)))
    t = xp.minimum(t, bar - np.log(2.0).astype(a.dtype))
    for _ in range(_LOGISTIC_STEPS):
        d = xp.exp(t)
        m = xp.maximum(base + d, 0)
        t = t - (t + xp.logaddexp(xp.zeros_like(m), m) - bar) / (1 + d * expit(m))
    m = xp.maximum(base + xp.exp(t), 0)
    m = xp.where(turned, -m, m)
    for _ in range(2):  # in the equation's own terms: t is rounded more coarsely than m
        q = expit(-m)
        m = m - (m - a - step * q) / (1 + step * q * (1 - q))
        m = xp.where(turned, xp.minimum(m, 0), xp.maximum(m, 0))
    return xp.where(moves, m, a)


@jax.custom_jvp
@jax.jit
def _traced_logistic_near(a: Any, step: Any) -> Any:
    return _logistic_near(jnp, a, step)


@_traced_logistic_near.defjvp
def _(primals: Any, tangents: Any) -> Any:
    m = _traced_logistic_near(*primals)
    q = jax.nn.sigmoid(-m)
    moved, more = tangents
    return m, (moved + q * more) / (1 + primals[1] * q * (1 - q))


def softmax_near(z: Any, hot: Any, step: Any) -> Any:
    """The u with u + step (softmax(u) - hot) = z along the last axis.

    Good while rounding errors of the step are small beside 1: in single precision the error is 1e-6
    up to steps of 1e5, 2e-5 at 1e6, and from 1e7 on no digit is right.

    Args:
        z: [..., k].
        hot: [..., k], one 1 and else 0 in a row.
        step: [..., 1], >= 0.
    """
    if isinstance(z, jax.Array):
        return _traced_softmax_near(z, hot, step)
    return _softmax_near(np, z, hot, step)


def _softmax_near(xp: Any, z: Any, hot: Any, step: Any) -> Any:
    moves, step = step > 0, xp.maximum(step, xp.finfo(z.dtype).tiny)
    true = hot > 0.5
    moved = z - z.max(axis=-1, keepdims=True)
    own = xp.where(true, moved, 0).sum(axis=-1, keepdims=True)
    bar = xp.log(step) + xp.where(true, step, 0) + moved

    # With w = step softmax(u): w + log(w) = bar - shift, where one number makes w sum to step.
    def weights(shift: Any) -> Any:
        return xp.exp(log_omega(bar - shift))

    def closer(bracket: Any) -> Any:
        low, high, shift = bracket
        w = weights(shift)
        total = w.sum(axis=-1, keepdims=True)
        ratio = total / step
        # Newton's step after the change of variables that makes rows of equal weights linear.
        share = ((w / total) ** 2).sum(axis=-1, keepdims=True)
        slope = (share + 1 / total) * (w / (1 + w)).sum(axis=-1, keepdims=True)
        low = xp.where(ratio >= 1, shift, low)
        high = xp.where(ratio <= 1, shift, high)
        shift = shift + ((total - step) * share + xp.log(ratio)) / slope
        held = (low <= shift) & (shift <= high)
        return low, high, xp.where(held, shift, 0.5 * (low + high))

    low = xp.maximum(own, -step)
    high = xp.maximum(own + step, 0) - step / z.shape[-1] + np.log(z.shape[-1]).astype(z.dtype)
    if xp is jnp:
        bracket = jax.lax.fori_loop(0, _SOFTMAX_STEPS, lambda _, b: closer(b), (low, high, low))
    else:
        bracket = low, high, low
        for _ in range(_SOFTMAX_STEPS):
            bracket = closer(bracket)
    u = z - centered(xp, weights(bracket[2]), true)
    for _ in range(_POLISHING_STEPS):
        p = xp.exp(u - u.max(axis=-1, keepdims=True))
        p = p / p.sum(axis=-1, keepdims=True)
        u = u - _solved(u - z + step * centered(xp, p, true), p, step)
    return xp.where(moves, u, z)


def centered(xp: Any, p: Any, true: Any) -> Any:
    """p less its sum in the true place, without the cancellation there."""
    others = xp.where(true, 0, p)
    return xp.where(true, -others.sum(axis=-1, keepdims=True), p)


def _solved(r: Any, p: Any, step: Any) -> Any:
    """(I + step (diag(p) - p p^T))^-1 r, row by row."""
    near = r / (1 + step * p)
    along = (p * near).sum(axis=-1, keepdims=True) / (p / (1 + step * p)).sum(
        axis=-1, keepdims=True
    )
    return near + step * p / (1 + step * p) * along


@jax.custom_jvp
@jax.jit
def _traced_softmax_near(z: Any, hot: Any, step: Any) -> Any:
    return _softmax_near(jnp, z, hot, step)


@_traced_softmax_near.defjvp
def _(primals: Any, tangents: Any) -> Any:
    u = _traced_softmax_near(*primals)
    _, hot, step = primals
    moved, turned, more = tangents
    p = jax.nn.softmax(u, axis=-1)
    return u, _solved(moved + step * turned - more * (p - hot), p, step)
