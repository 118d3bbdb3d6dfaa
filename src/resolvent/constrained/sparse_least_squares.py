"""Multipliers by least squares, and steps of Gauss and Newton, where products are all there is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_STEPS = 500  # of conjugate gradients: what they have found by then is taken as it is


class _Conjugate(NamedTuple):
    u: Any
    r: Any
    p: Any
    along: Any
    """r^T M r"""
    steps: Any


def conjugate_gradients(
    product: Callable[[Any], Any], right: Any, diagonal: Any, share: float
) -> Any:
    """u with product(u) = right up to a share of right, scaled by the diagonal; 0 where that is."""
    inverse = jnp.where(diagonal > 0, 1 / jnp.where(diagonal > 0, diagonal, 1), 0)
    r = right
    p = inverse * r
    begin = _Conjugate(0 * r, r, p, r @ p, jnp.zeros((), jnp.int32))
    goal = share**2 * begin.along

    def goes_on(state: _Conjugate) -> Any:
        return (state.along > goal) & (state.steps < _STEPS)

    def once(state: _Conjugate) -> _Conjugate:
        q = product(state.p)
        bend = state.p @ q
        step = jnp.where(bend > 0, state.along / jnp.where(bend > 0, bend, 1), 0)
        u, r = state.u + step * state.p, state.r - step * q
        along = jnp.where(bend > 0, r @ (inverse * r), 0)
        p = inverse * r + along / jnp.where(state.along > 0, state.along, 1) * state.p
        return _Conjugate(u, r, p, along, state.steps + 1)

    return jax.lax.while_loop(goes_on, once, begin).u


class Stack(NamedTuple):
    """The derivatives of equations over those of inequalities, for products with both."""

    jacobian: Any
    slopes: Any

    def of(self, d: Any) -> Any:
        """Times a vector."""
        return jnp.concatenate([self.jacobian @ d, self.slopes @ d])

    def back(self, u: Any) -> Any:
        """The transpose times a vector."""
        m = self.jacobian.shape[0]
        return u[:m] @ self.jacobian + u[m:] @ self.slopes

    def squares(self) -> tuple[Any, Any]:
        """The squared norms of rows and of columns."""
        parts = [part**2 for part in self]
        return (
            jnp.concatenate([part.sum(1) for part in parts]),
            sum(part.sum(0) for part in parts),
        )


def nonnegative_solution_by_products(
    stack: Stack, damping: Any, right: Any, signless: int, exchanged: Any
) -> Any:
    """The minimizer of |stack^T u|^2 / 2 + u^T damping u / 2 - right^T u.

    Entries from `signless` on are at least 0; `exchanged` finds which are positive.
    """
    diagonal = stack.squares()[0] + damping
    ridge = 10 * jnp.finfo(right.dtype).eps * jnp.mean(diagonal)

    def product(u: Any) -> Any:
        return stack.of(stack.back(u)) + (damping + ridge) * u

    def solved(taken: Any) -> Any:
        share = float(jnp.finfo(right.dtype).eps) ** 0.75
        return conjugate_gradients(
            lambda u: jnp.where(taken, product(u), 0), jnp.where(taken, right, 0), diagonal, share
        )

    return exchanged(solved, product, right, ridge, signless)
