"""Matrices with given sums of rows and columns: transport plans, doubly stochastic matrices."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent._core.value import static
from resolvent.functions.iterated import IteratedSet
from resolvent.functions.simplex import simplex_projection

_HALVINGS = 40


class _Plans(IteratedSet):
    max_steps: int = static(100, kw_only=True)

    def _sums(self, point: Any) -> tuple[Any, Any]:
        """The sums of rows and columns, in the precision of a point."""
        raise NotImplementedError

    def violation(self, x: Any) -> Any:
        a, b = self._sums(x)
        wrong = jnp.abs(x.sum(axis=1) - a).max(), jnp.abs(x.sum(axis=0) - b).max(), -x.min()
        return jnp.stack(wrong).max()

    def project(self, x: Any) -> Any:
        a, b = self._sums(x)
        limits = self.tolerance(x.dtype), self.max_steps
        # The linear systems are those of the columns.
        if x.shape[0] < x.shape[1]:
            return _plan(limits, x.T, b, a).T
        return _plan(limits, x, a, b)


class TransportPolytope(_Plans):
    """Matrices x >= 0 with sums a of their rows and b of their columns: transport plans.

    The projection is max(x - f - g, 0) with a number f for each row and g for each column. A
    primal-dual interior point method finds them, however uneven the sums are. Then the rows are
    projected onto simplices, and Newton's method with a line search corrects g where the columns do
    not sum to b by that: for single precision mostly.

    Args:
        a: [m], not negative.
        b: [n], not negative, with the same sum.
        rtol: positive, the largest error of a sum relative to the largest one; None for the
            rounding error to the power 2/3: 4e-11 or 2e-5.
        max_steps: limit of steps of either method; where it cuts them short, the value of the
            matrix that comes back is infinite.

    Raises:
        ValueError: for marginals that are negative, not finite, of other sums or that do not fit
            the point; for a tolerance or limit out of range.

    Cost: a few passes over the matrix, a product of two matrices and a factorization [n, n] a step,
        with n the shorter side. Ten to thirty steps are usual. Where x is larger than the sums by
        the number of digits, none are left for the plan.

    Derivatives are those of the projection onto the face, with respect to a and b too.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        plans = rs.functions.TransportPolytope(jnp.array([0.5, 0.5]), jnp.array([0.2, 0.8]))
        x = plans.project(jnp.zeros((2, 2)))
        assert jnp.allclose(x, jnp.array([[0.1, 0.4], [0.1, 0.4]]), atol=1e-6)
        ```

    Reference: S. Mehrotra (1992), On the implementation of a primal-dual interior point method;
    X. Li, D. Sun, K.-C. Toh (2020), On the efficient computation of a generalized Jacobian of the
    projector over the Birkhoff polytope, arXiv:1702.05934, for the derivative.
    """

    a: Any
    b: Any

    def __post_init__(self) -> None:
        vars(self).update(a=real_array("a", self.a), b=real_array("b", self.b))
        for name, sums in (("a", self.a), ("b", self.b)):
            if sums.ndim != 1 or not sums.size:
                refuse(
                    ValueError, name, given=f"shape {sums.shape}", needed="a vector",
                    advice="One sum a row for a, one a column for b.",
                )  # fmt: skip
            finite(name, sums)
            if not is_traced(sums) and np.asarray(sums).min() < 0:
                refuse(
                    ValueError, name, given="a negative sum", needed="sums that are not negative",
                    advice="No matrix without negative entries has it.",
                )  # fmt: skip
        if not is_traced((self.a, self.b)):
            totals = float(np.asarray(self.a).sum()), float(np.asarray(self.b).sum())
            eps = max(np.finfo(self.a.dtype).eps, np.finfo(self.b.dtype).eps)
            if abs(totals[0] - totals[1]) > eps**0.75 * max(totals):
                refuse(
                    ValueError, "b", given=f"sums {totals[0]} of a and {totals[1]} of b",
                    needed="the same sum", advice="Scale one of them: b * a.sum() / b.sum().",
                )  # fmt: skip
        self._check_limits()

    def _sums(self, point: Any) -> tuple[Any, Any]:
        a, b = jnp.asarray(self.a, point.dtype), jnp.asarray(self.b, point.dtype)
        return a, b

    def check(self, point: Any) -> None:
        shape = self.a.shape + self.b.shape
        if getattr(point, "shape", None) != shape:
            refuse(
                ValueError, "set", given=f"sums of a {shape} matrix for a point of shape "
                f"{getattr(point, 'shape', None)}",
                needed="the same shape", advice="a has one entry a row, b one a column.",
            )  # fmt: skip


class Birkhoff(_Plans):
    """Doubly stochastic matrices: x >= 0, every row and every column sums to 1.

    The mixtures of permutation matrices; see `TransportPolytope` for the algorithm.

    Args:
        rtol: positive, the largest error of a sum; None for the rounding error to the power 2/3:
            4e-11 or 2e-5.
        max_steps: limit of steps of either method.

    Raises:
        ValueError: for a point that is no square matrix, a tolerance or limit out of range.

    Cost: that of a `TransportPolytope`.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Birkhoff().project(jnp.array([[2.0, 0.0], [0.0, 0.0]]))
        assert jnp.allclose(x, jnp.eye(2), atol=1e-6)
        ```
    """

    def _sums(self, point: Any) -> tuple[Any, Any]:
        ones = jnp.ones(point.shape[0], point.dtype)
        return ones, ones

    def check(self, point: Any) -> None:
        shape = getattr(point, "shape", ())
        if len(shape) != 2 or shape[0] != shape[1]:
            refuse(
                ValueError, "set", given=f"a point of shape {shape}", needed="a square matrix",
                advice="TransportPolytope takes other shapes.",
            )  # fmt: skip


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
@functools.partial(jax.jit, static_argnums=0)
def _plan(limits: Any, x: Float[Any, "m n"], a: Any, b: Any) -> Float[Any, "m n"]:
    """max(x - f - g, 0) with the sums a and b: Newton's method from what interior points tell."""
    rtol, max_steps = limits
    most = rtol * jnp.maximum(a.max(), b.max())
    eps = jnp.finfo(x.dtype).eps

    def rows(g: Any) -> Any:
        """The plan with right rows, what its columns lack, and the convex function of g."""
        moved = x - g
        # Columns of sum 0 stay empty: this far below the others no entry is.
        moved = jnp.where(b > 0, moved, moved.min() - a.max())
        plan = simplex_projection(moved, a[:, None])
        value = (plan * (moved - plan / 2)).sum() + b @ g
        return plan, b - plan.sum(axis=0), value

    def step(carry: Any) -> Any:
        done, g, (plan, lack, value) = carry
        matrix = _second_derivative(plan)
        diagonal = matrix.diagonal()
        # To add one number to all of g changes nothing: a ridge makes the matrix regular.
        ridge = eps**0.67 * diagonal.max()
        matrix = matrix + jnp.diag(jnp.where(diagonal > 0, ridge, 1))
        turn = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), -lack)
        slope = lack @ turn

        def fits(found: Any, length: Any) -> Any:
            falls = found[2] <= value + 1e-4 * length * slope
            # Values cannot tell points near the end: slopes can.
            level = found[2] <= value + 10 * eps * jnp.abs(value)
            return falls | (level & (found[1] @ turn <= 0.8 * jnp.abs(slope)))

        def searches(carry: Any) -> Any:
            halvings, length, found = carry
            return (halvings < _HALVINGS) & ~fits(found, length)

        def halve(carry: Any) -> Any:
            halvings, length, _ = carry
            return halvings + 1, length / 2, rows(g + length / 2 * turn)

        first = 0, jnp.ones_like(value), rows(g + turn)
        _, length, found = jax.lax.while_loop(searches, halve, first)
        return done + 1, g + length * turn, found

    def goes_on(carry: Any) -> Any:
        done, _, (_, lack, _) = carry
        return (done < max_steps) & (jnp.abs(lack).max() > most)

    g = _interior(x, a, b, max_steps)
    return jax.lax.while_loop(goes_on, step, (0, g, rows(g)))[2][0]


def _interior(x: Any, a: Any, b: Any, max_steps: int) -> Any:
    """g by a primal-dual interior point method with Mehrotra's correction.

    It keeps a plan and its slack plan - x + f + g positive, and drives their products to zero.
    """
    eps = jnp.finfo(x.dtype).eps
    used = (a > 0)[:, None] & (b > 0)
    number = jnp.maximum(used.sum(), 1)

    def gap(plan: Any, slack: Any) -> Any:
        return jnp.where(used, plan * slack, 0).sum() / number

    def longest(plan: Any, slack: Any, turn: Any) -> Any:
        """The step at which the first entry of either vanishes."""
        ratios = jnp.maximum(-turn[0] / plan, -turn[1] / slack)
        return 1 / jnp.maximum(jnp.where(used, ratios, 0).max(), eps)

    def step(carry: Any) -> Any:
        done, before, (plan, slack, f, g) = carry
        weights = jnp.where(used, plan / (plan + slack), 0)
        totals = weights.sum(axis=1)
        totals = jnp.where(totals > 0, totals, 1)
        matrix = jnp.diag(weights.sum(axis=0)) - weights.T @ (weights / totals[:, None])
        diagonal = matrix.diagonal()
        # The constant vector is its kernel; columns that are not used have no entries.
        matrix = matrix + diagonal.mean() / diagonal.size
        matrix = matrix + jnp.diag(jnp.where(diagonal > 0, 10 * eps * diagonal.max(), 1))
        factor = jnp.linalg.cholesky(matrix), True
        wrong = slack - (plan - x + f + g)
        held = jnp.where(used, plan, 0)
        row_lack, column_lack = a - held.sum(axis=1), b - held.sum(axis=0)

        def solved(product: Any) -> Any:
            """Turns after which plan * slack is `product`, to first order."""
            free = weights * (product / plan - slack + wrong)
            excess = free.sum(axis=1) - row_lack
            right = free.sum(axis=0) - column_lack - weights.T @ (excess / totals)
            dg = jax.scipy.linalg.cho_solve(factor, right)
            df = ((excess - weights @ dg) / totals)[:, None]
            moved = free - weights * (df + dg)
            return moved, jnp.where(used, (product - slack * moved) / plan - slack, 0), df, dg

        guess = solved(0.0)
        length = jnp.minimum(1, longest(plan, slack, guess))
        least = gap(plan + length * guess[0], slack + length * guess[1])
        turn = solved((least / before) ** 3 * before - guess[0] * guess[1])
        length = jnp.minimum(1, 0.99 * longest(plan, slack, turn))
        moved = tuple(z + length * dz for z, dz in zip(carry[2], turn, strict=True))
        after = gap(*moved[:2])
        # At the end of the digits the last point stays, and its gap of 0 ends the iteration.
        good = jnp.isfinite(after)
        kept = tuple(jnp.where(good, z, old) for z, old in zip(moved, carry[2], strict=True))
        return done + 1, jnp.where(good, after, 0), kept

    plan = jnp.where(used, a[:, None] * b / a.sum(), 1)
    f = jnp.where(used, x - plan, -jnp.inf).max(axis=1, keepdims=True) + plan.mean()
    f = jnp.where(jnp.isfinite(f), f, 0)
    start = plan, jnp.where(used, plan - x + f, 1), f, jnp.zeros_like(b)
    first = gap(*start[:2])

    def goes_on(carry: Any) -> Any:
        return (carry[0] < max_steps) & (carry[1] > eps * first)

    return jax.lax.while_loop(goes_on, step, (0, first, start))[2][3]


def _second_derivative(plan: Any) -> Any:
    """That of the function of g: a Laplacian of the columns that share rows."""
    support = (plan > 0).astype(plan.dtype)
    counts = jnp.maximum(support.sum(axis=1, keepdims=True), 1)
    return jnp.diag(support.sum(axis=0)) - support.T @ (support / counts)


@_plan.defjvp
def _(limits: Any, primals: Any, tangents: Any) -> Any:
    plan = _plan(limits, *primals)
    moved, a_moves, b_moves = tangents
    support = plan > 0
    counts = jnp.maximum(support.sum(axis=1), 1).astype(plan.dtype)

    def by_rows(moves: Any) -> Any:
        moves = jnp.where(support, moves, 0)
        excess = (moves.sum(axis=1) - a_moves) / counts
        return jnp.where(support, moves - excess[:, None], 0)

    right = by_rows(moved)
    values, vectors = jnp.linalg.eigh(_second_derivative(plan))
    cut = 10 * values.size * jnp.finfo(plan.dtype).eps * values.max()
    inverse = jnp.where(values > cut, 1 / values, 0)
    g = vectors @ (inverse * ((right.sum(axis=0) - b_moves) @ vectors))
    return plan, by_rows(moved - g)
