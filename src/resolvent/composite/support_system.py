"""The derivative of an answer, from a linear system on its support alone.

The equations r(x) = x - prox(x - grad f(x)) = 0 have the derivative J = I - D + D H, H the second
derivative of f and D that of the prox. D is symmetric, and its rows are zero for entries that rest:
on a kink of a penalty, in a group that is zero, on a bound. Those rows of J are rows of the
identity, so that only the others, the support S, are a system:

    J u = t:    u_N = t_N,  J_SS u_S = t_S - D_SS H_SN t_N,
    J^T w = c:  J_SS^T w_S = c_S,  w_N = c_N - H_NS D_SS w_S.

Where D is diagonal, J_SS is H_SS + (I - D_SS) D_SS^-1 up to a scale of its rows: symmetric,
and positive definite at a strict minimizer.

Reference:
    Q. Bertrand, Q. Klopfenstein, M. Massias, M. Blondel, S. Vaiter, A. Gramfort, J. Salmon (2022),
    Implicit differentiation for fast hyperparameter selection in non-smooth convex learning,
    arXiv 2105.01637.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.adjoint import minimal_residuals
from resolvent._core.checks import is_traced
from resolvent.composite import second_term

_DENSE = 256  # unknowns up to which nothing is gained, and room for a support of unknown size
_MOST = 2048  # the largest support that is factorized where its size is known
_ROOM = 2**24  # numbers that a dense matrix may hold
_GOLDEN = 0.6180339887498949


def support_solver(problem: Any, x: Any) -> Callable[[Any, bool], Any] | None:
    """`slope_solver` of a composite problem; None where it is too small to need one.

    The size of the support is known where x is: then its system is gathered. Inside of a compiled
    program there is room for 256 entries; a larger support is masked, and its system solved by
    conjugate gradients, or by GMRES where D is not diagonal.
    """
    flat = trees.raveled(x)
    if flat.size <= _DENSE:
        return None
    system = _System(problem, x)
    most = _room(system)
    if not most:
        return system.iterated
    chosen = jnp.nonzero(system.on, size=most, fill_value=flat.size)[0]
    factor = system.factorized(chosen)
    if factor is None:
        return system.iterated

    def solve(target: Any, transposed: bool) -> Any:
        if not is_traced(system.on):
            return system.direct(factor, chosen, target, transposed)
        return jax.lax.cond(
            system.on.sum() <= most,
            lambda t: system.direct(factor, chosen, t, transposed),
            lambda t: system.iterated(t, transposed), target,
        )  # fmt: skip

    return solve


def _room(system: "_System") -> int:
    """How many entries the gathered system has place for; 0 for none."""
    if is_traced(system.on):
        return _DENSE
    size = int(np.asarray(system.on).sum())
    # Powers of two, so that few programs serve supports of all sizes.
    return 0 if size > _MOST else min(system.size, 1 << max(4, (size - 1).bit_length()))


class _System:
    """J at a point, in flat vectors."""

    def __init__(self, problem: Any, x: Any):
        self.problem, self.x = problem, x
        self.definite = False
        """Whether f is known to be convex, as g is."""
        like = trees.raveled(x)
        self.size, self.dtype = like.size, like.dtype
        gradient, self._second = jax.linearize(lambda y: problem.slope(y)[1], x)
        _, self._turn = jax.linearize(lambda v: problem.g.displacement(x, v), gradient)
        self.diagonal = second_term.diagonal(problem.g)
        if self.diagonal:
            self.share = self.turned(jnp.ones_like(like))
            self.on = self.share != 0
            self._safe = jnp.where(self.on, self.share, 1)
        else:
            # No row of D but a zero one is orthogonal to numbers without a pattern.
            probe = 1 + (jnp.arange(self.size) * _GOLDEN) % 1
            self.on = self.turned(probe.astype(self.dtype)) != 0

    def bent(self, u: Any) -> Any:
        """H u."""
        return trees.raveled(self._second(trees.unraveled(u, self.x)))

    def turned(self, u: Any) -> Any:
        """D u."""
        return trees.raveled(self._turn(trees.unraveled(u, self.x)))

    def held(self, u: Any) -> Any:
        """u on the support, and zero elsewhere."""
        return jnp.where(self.on, u, 0)

    def reduced(self, t: Any, transposed: bool) -> Any:
        """The right side on the support."""
        if transposed:
            return self.held(t)
        return self.held(t - self.turned(self.bent(t - self.held(t))))

    def whole(self, u: Any, t: Any, transposed: bool) -> Any:
        """What follows for all entries from those on the support."""
        rest = t - self.bent(self.turned(u)) if transposed else t
        return jnp.where(self.on, u, rest)

    def factorized(self, chosen: Any) -> Any:
        """J_SS by its factors, and whether it is regular; None where H_SS is not to be had.

        Places beyond the support have rows of the identity.
        """
        H = self.problem.second_derivative(self.x, chosen)
        if H is None:
            return None
        # Functions whose second derivative is known are convex.
        self.definite = self.problem.g.convex
        filled = chosen < self.size
        if self.diagonal:
            D = jnp.diag(self.share.at[chosen].get(mode="fill", fill_value=0))
        elif chosen.size * self.size > _ROOM:
            return None
        else:
            units = jnp.zeros((chosen.size, self.size), self.dtype)
            units = units.at[jnp.arange(chosen.size), chosen].set(1, mode="drop")
            D = jax.vmap(self.turned)(units).at[:, chosen].get(mode="fill", fill_value=0)
        both = filled[:, None] & filled
        one = jnp.eye(chosen.size, dtype=self.dtype)
        J = one + jnp.where(both, D @ (jnp.where(both, H, 0) - one), 0)
        lu, pivots = jax.scipy.linalg.lu_factor(J)
        sizes = jnp.abs(jnp.diagonal(lu))
        regular = sizes.min() > chosen.size * jnp.finfo(self.dtype).eps * sizes.max()
        return (lu, pivots), regular

    def direct(self, factor: Any, chosen: Any, target: Any, transposed: bool) -> Any:
        """The solution by the factors."""
        t, (parts, regular) = trees.raveled(target), factor
        right = self.reduced(t, transposed).at[chosen].get(mode="fill", fill_value=0)
        found = jax.scipy.linalg.lu_solve(parts, right, trans=int(transposed))
        u = jnp.zeros_like(t).at[chosen].set(found, mode="drop")
        u = self.whole(u, t, transposed)
        return trees.unraveled(jnp.where(regular, u, jnp.nan), target)

    def iterated(self, target: Any, transposed: bool) -> Any:
        """The solution by conjugate gradients, and by GMRES where these do not serve."""
        t = trees.raveled(target)
        right = self.reduced(t, transposed)
        if self.diagonal:
            u, good = self._conjugate_gradients(right, transposed)
            if not self.definite:
                u, good = jax.lax.cond(
                    good, lambda: (u, good), lambda: self._minimal_residuals(right, transposed)
                )
        else:
            u, good = self._minimal_residuals(right, transposed)
        return trees.unraveled(jnp.where(good, self.whole(u, t, transposed), jnp.nan), target)

    def _conjugate_gradients(self, right: Any, transposed: bool) -> tuple[Any, Any]:
        more = (1 - self._safe) / self._safe

        def product(u: Any) -> Any:
            return jnp.where(self.on, self.bent(u) + more * u, 0)

        right = right if transposed else right / self._safe
        u, good = _conjugate_gradients(product, right, self._rtol(), 10 * self.size)
        return u / self._safe if transposed else u, good

    def _minimal_residuals(self, right: Any, transposed: bool) -> tuple[Any, Any]:
        import lineax as lx

        def product(u: Any) -> Any:
            u = self.held(u)
            turn = self.turned(u)
            more = self.held(self.bent(turn)) if transposed else self.turned(self.bent(u))
            return jnp.where(self.on, u - turn + more, u)

        operator = lx.FunctionLinearOperator(product, jax.eval_shape(lambda: right))
        u = minimal_residuals(operator, right, self._rtol())
        return u, jnp.isfinite(u).all()

    def _rtol(self) -> float:
        return max(1e-10, 10 * float(jnp.finfo(self.dtype).eps))


def _conjugate_gradients(
    product: Callable[[Any], Any], right: Any, rtol: float, most: int
) -> tuple[Any, Any]:
    """The solution, and whether it is one. Lineax's own stops at once where an entry is zero."""
    unit = trees.norm(right)
    right = right / jnp.where(unit > 0, unit, 1)

    def goes_on(carry: Any) -> Any:
        _, _, _, square, bend, k = carry
        return (square > rtol**2) & (bend > 0) & (k < most)

    def body(carry: Any) -> Any:
        u, left, way, square, _, k = carry
        image = product(way)
        bend = way @ image
        step = jnp.where(bend > 0, square / jnp.where(bend > 0, bend, 1), 0)
        u, left = u + step * way, left - step * image
        new = left @ left
        return u, left, left + (new / square) * way, new, bend, k + 1

    one = jnp.ones((), right.dtype)
    carry = (jnp.zeros_like(right), right, right, right @ right, one, 0)
    u = jax.lax.while_loop(goes_on, body, carry)[0]
    # Written so that NaN is no success.
    good = trees.norm(product(u) - right) <= 100 * rtol
    return unit * u, good


def dense_columns(design: Any, chosen: Any) -> Any:
    """The chosen columns of a JAX matrix, [n, k], zero for places beyond the last; None where they
    take too much room."""
    (n, p), k = design.shape, chosen.size
    if n * k > _ROOM:
        return None
    if hasattr(design, "matrix"):
        return design.matrix.at[:, chosen].get(mode="fill", fill_value=0)
    place = jnp.full(p, k).at[chosen].set(jnp.arange(k), mode="drop")
    columns = jnp.zeros((n, k), design.dtype)
    return columns.at[design.rows, place[design.columns]].add(design.data, mode="drop")


def block(design: Any, chosen: Any) -> Any:
    """The chosen rows and columns of a square JAX matrix, zero for places beyond the last."""
    n, k = design.shape[0], chosen.size
    if hasattr(design, "matrix"):
        return design.matrix.at[chosen[:, None], chosen].get(mode="fill", fill_value=0)
    place = jnp.full(n, k).at[chosen].set(jnp.arange(k), mode="drop")
    found = jnp.zeros((k, k), design.dtype)
    return found.at[place[design.rows], place[design.columns]].add(design.data, mode="drop")
