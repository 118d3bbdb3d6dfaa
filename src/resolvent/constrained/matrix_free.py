"""Newton directions of the conditions of Lagrange from products alone, by MINRES."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent.constrained import short_recurrences
from resolvent.constrained.derivatives import Local, lagrangian

_CURVED = 1e-8  # the least share of |d|^2 that a model is bent by along a direction to be taken
_GROWTH, _TRIES = 10.0, 40  # of the shift, where the model does not fall


class Direction(NamedTuple):
    """Where a line search goes, and the weights that come with it."""

    z: Any
    """[n + m], the change of the unknowns and of the multipliers."""
    gain: Any
    """What the model of the merit promises."""
    mu: Any
    kappa: Any
    shift: Any
    inner: Any
    convex: Any
    """Whether the Hessian is positive along the equations, as far as it is known."""


class _Search(NamedTuple):
    krylov: Any
    mu: Any
    kappa: Any
    gain: Any
    good: Any
    """Whether the direction will do, or at least nothing is wrong with its curvature."""
    done: Any


class _Attempts(NamedTuple):
    search: _Search
    shift: Any
    inner: Any
    tries: Any
    good: Any


def direction(method: Any, problem: Any, state: Any, at: Local, y: Any) -> Direction:
    """The first direction along which the model falls, with ever larger shifts where none does.

    `at` and y are those of the state, equations times its factors.
    """
    x = state.x
    b = -jnp.concatenate([at.gradient + y @ at.jacobian, at.equalities])
    times = _products(problem, x, state.y, at)
    precondition = _preconditioned(method.preconditioner, problem, x, state.factors.equalities)

    no, zero = jnp.asarray(False), jnp.zeros((), jnp.int32)
    krylov = short_recurrences.begun(precondition, b)
    empty = _Search(krylov, state.mu, state.kappa, 0 * state.mu, no, no)
    begin = _judged(method, at, b, empty)

    def searched(shift: Any) -> _Search:
        def more(search: _Search) -> _Search:
            now = short_recurrences.stepped(lambda z: times(shift, z), precondition, search.krylov)
            return _judged(method, at, b, search._replace(krylov=now))

        def goes_on(search: _Search) -> Any:
            return ~search.done & jnp.isfinite(search.krylov.r).all()

        return jax.lax.while_loop(goes_on, more, begin)

    def again(attempts: _Attempts) -> _Attempts:
        wider = jnp.maximum(_GROWTH * attempts.shift, method.shift)
        shift, tries = jnp.where(attempts.tries > 0, wider, attempts.shift), attempts.tries + 1
        search = searched(shift)
        inner = attempts.inner + search.krylov.used
        return _Attempts(search, shift, inner, tries, search.good | (tries >= _TRIES))

    first = _Attempts(begin, state.shift, zero, zero, no)
    search, shift, inner, _, _ = jax.lax.while_loop(lambda now: ~now.good, again, first)
    convex = shift <= 0
    # Where curvature was found once it is looked for again, less and less.
    shift = jnp.where(shift > method.shift, shift / _GROWTH, 0)
    return Direction(search.krylov.z, search.gain, search.mu, search.kappa, shift, inner, convex)


def _products(problem: Any, x: Any, y: Any, at: Local) -> Callable[[Any, Any], Any]:
    """[[H + shift I, G^T], [G, 0]] times a vector, as a function of shift and vector.

    y are the multipliers of the equations as they were given, G is that of `at`.
    """
    slope = jax.grad(lambda u: lagrangian(problem, u, y, at.inequalities))
    _, push = jax.linearize(slope, x)

    def times(shift: Any, z: Any) -> Any:
        d, u = z[: x.size], z[x.size :]
        return jnp.concatenate([push(d) + shift * d + u @ at.jacobian, at.jacobian @ d])

    return times


def _preconditioned(function: Any, problem: Any, x: Any, factors: Any) -> Callable[[Any], Any]:
    """A user's preconditioner, of points and values of the equations, as one of vectors.

    It knows nothing of the factors of the equations, whose multipliers are divided by them.
    """
    if function is None:
        return lambda r: r

    def apply(r: Any) -> Any:
        given = problem.point(x), problem.point(r[: x.size]), r[x.size :] / factors
        found = function(*given) if problem.args is None else function(*given, problem.args)
        return jnp.concatenate([problem.vector(found[0]), jnp.ravel(found[1]) / factors]).astype(
            r.dtype
        )

    return apply


def _judged(method: Any, at: Local, b: Any, search: _Search) -> _Search:
    """Whether the direction will do: its residual is small and the model falls along it.

    All is told by z and r = b - K z, so that no product is needed: G d = -c - r_y, and
    d^T B d = d^T (b_x - r_x) - (G d)^T dy.
    """
    n, c = at.gradient.size, at.equalities
    krylov, mu, kappa = search.krylov, search.mu, search.kappa
    z, r = krylov.z, krylov.r
    d = z[:n]
    bend = d @ (b[:n] - r[:n]) + (c + r[n:]) @ z[n:]
    curved = bend >= _CURVED * (d @ d)
    size, left = jnp.abs(c).sum(), jnp.abs(r[n:]).sum()
    climb = at.gradient @ d + 0.5 * bend

    def falls(mu: Any) -> tuple[Any, Any]:
        gain = mu * (size - left) - at.gradient @ d
        wanted = 0.5 * bend + method.sigma * mu * jnp.maximum(size, left - size)
        return gain, curved & (gain >= wanted)

    gain, good = falls(mu)
    spent = krylov.spent | (krylov.used >= method.most)
    close = (jnp.abs(r).sum() <= kappa * jnp.abs(b).sum()) | spent
    # The weight for which a direction that nearly meets the linearized equations will do.
    room = (1 - method.sigma) * size - left
    enough = jnp.where(room > 0, 1.01 * climb / jnp.where(room > 0, room, 1), mu)
    fails = close & ~good & curved
    mu = jnp.where(fails & spent, jnp.maximum(mu, enough), jnp.where(fails, method.nu * mu, mu))
    kappa = jnp.where(fails & ~spent, kappa / method.nu**2, kappa)
    gain, _ = falls(mu)
    return _Search(krylov, mu, kappa, gain, curved, (close & (good | ~curved)) | spent)
