"""Anderson's acceleration."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, count, one_of
from resolvent._core.value import static
from resolvent.fixed_point.guarded import Guarded, replaced, silenced, weight
from resolvent.fixed_point.infeasibility import either


class AndersonHistory(NamedTuple):
    """The last changes of f in rows, and with each the step that it calls for.

    `gram` holds the products of the changes of f with one another (type II), or those of the
    changes of x with the changes of f (type I). Rows beyond `count` mean nothing.
    """

    changes: Any
    moves: Any
    gram: Any
    count: Any
    slot: Any
    age: Any


class Anderson(Guarded):
    """Anderson's acceleration, safeguarded: the quasi-Newton method that forgets.

    Solves `FixedPoint` problems by x <- x + damping f - (dX + damping dF) gamma, where f = T(x) - x
    and the columns of dX and dF are the last changes of x and f. Type II chooses gamma to minimize
    `||f - dF gamma||`, type I solves dX^T (f - dF gamma) = 0.

    Args:
        window: how many changes are kept.
        kind: type `2`, or `1`.
        damping: the part of the residual that remains which is stepped along, in (0, 1].
        regularization: what is added to the diagonal of the Gram matrix of the changes, scaled to
            length one; None for about the rounding of that matrix.
        safeguard: an accelerated step is taken back if the residual there is more than so many
            times the present one; None takes all.
        fallback: the weight of the averaged step that is taken then, and at first, in (0, 1].
        restart: empty the window after so many steps; None for never.

    Raises:
        TypeError: for a window or a restart that is no integer.
        ValueError: for parameters outside the ranges above.

    Cost per iteration:
        One evaluation of T, O(window n) operations, and a solve of size `window`. A step that is
        taken back has cost one evaluation.

    Convergence:
        Locally linear, at least at the rate of T's contraction and mostly faster (type II is
        equivalent to GMRES for affine T as long as the window holds all steps). For nonexpansive T
        with a fixed point, and a fallback below 1, the safeguard leaves the averaged iteration's
        convergence intact: accelerated steps are bounded by their residuals, which are summable.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.FixedPoint(jnp.cos, jnp.arange(3.0))
        sol = rs.solve(problem, rs.fixed_point.Anderson())
        assert sol.converged and sol.steps < 12
        ```

    Reference:
        D. G. Anderson (1965), Iterative procedures for nonlinear integral equations. H. Fang,
        Y. Saad (2009), Two classes of multisecant methods for nonlinear acceleration. J. Zhang,
        B. O'Donoghue, S. Boyd (2020), Globally convergent type-I Anderson acceleration for
        nonsmooth fixed-point iterations, arXiv 1808.03971.
    """

    window: int = static(default=10)
    kind: int = static(default=2)
    damping: Any = 1.0
    regularization: Any = None
    restart: int | None = static(default=None)

    name: ClassVar[str] = "anderson"

    def __post_init__(self) -> None:
        super().__post_init__()
        count("window", self.window, least=1)
        one_of("kind", self.kind, (1, 2))
        weight("damping", self.damping)
        if self.regularization is not None:
            between("regularization", self.regularization, 0.0, 1.0, "It is relative.")
        if self.restart is not None:
            count("restart", self.restart, least=1)

    def _empty(self, x: Any) -> AndersonHistory:
        kind = jnp if isinstance(x, jax.Array) else np
        rows = kind.zeros((self.window, x.size), x.dtype)
        return AndersonHistory(
            rows, kind.zeros_like(rows), kind.zeros((self.window, self.window), x.dtype), 0, 0, 0
        )

    def _next(
        self, history: AndersonHistory, dx: Any, df: Any, f: Any, taken: Any, own: bool
    ) -> tuple[AndersonHistory, Any, Any]:
        kind = jnp if isinstance(f, jax.Array) else np
        slot, damping = history.slot, kind.asarray(self.damping, f.dtype)
        df, move = silenced(taken, (df, dx + damping * df))
        changes = replaced(history.changes, slot, df, own)
        moves = replaced(history.moves, slot, move, own)
        # One vector at a time: products with two of them are slower than with one, many times.
        row = column = changes @ df
        target = changes @ f
        if self.kind == 1:
            # dx df' is move df' less its damped part, row by row and column by column.
            row, column = changes @ (move - damping * df), moves @ df - damping * column
            target = moves @ f - damping * target
        gram = replaced(replaced(history.gram, slot, row, own).T, slot, column, own).T
        count, age = history.count + 1, history.age + 1
        count = count - (count > self.window)
        gamma = self._weights(kind, gram, target, count)
        move = damping * f - gamma @ moves
        keeps = taken if self.restart is None else taken & (age < self.restart)
        count, slot, age = either(keeps, (count, (slot + 1) % self.window, age), (0, 0, 0))
        return AndersonHistory(changes, moves, gram, count, slot, age), move, count > 0

    def _weights(self, kind: Any, gram: Any, target: Any, count: Any) -> Any:
        """The weights gamma of the changes, from a Gram matrix whose changes have length one."""
        epsilon = float(np.finfo(gram.dtype).eps)
        ridge = 10.0 * self.window * epsilon if self.regularization is None else self.regularization
        known = kind.arange(self.window) < count
        diagonal = kind.where(known, abs(kind.diagonal(gram)), 0.0)
        known = known & (diagonal > 0)
        scale = kind.where(known, 1.0 / kind.sqrt(kind.where(known, diagonal, 1.0)), 0.0)
        scale = scale.astype(gram.dtype)
        scaled = scale[:, None] * gram * scale
        sign = 1.0 if self.kind == 2 else -1.0
        shift = kind.where(known, sign * ridge, 1.0).astype(gram.dtype)
        return scale * _solved(kind, scaled + kind.diag(shift), scale * target)


def _solved(kind: Any, matrix: Any, target: Any) -> Any:
    """The solution of a small system, or zero where it has none."""
    if kind is np:
        try:
            return np.linalg.solve(matrix, target)
        except np.linalg.LinAlgError:
            return np.zeros_like(target)
    solution = jnp.linalg.solve(matrix, target)
    return jnp.where(jnp.isfinite(solution).all(), solution, 0.0)
