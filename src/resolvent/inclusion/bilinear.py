"""Bilinear saddle points, and among them the zero-sum games of a payoff matrix."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent.functions import Function, Product, Simplex
from resolvent.inclusion.operators import Operator
from resolvent.inclusion.problem import Inclusion


class BilinearOperator(Operator):
    """(A y + b, -A^T x - c).

    Args:
        A: [n, m].
        b: [n], or None for zero.
        c: [m], or None for zero.

    Example:
        ```python
        import jax.numpy as jnp
        from resolvent.inclusion import BilinearOperator
        u, v = BilinearOperator(jnp.ones((2, 3)))((jnp.ones(2), jnp.ones(3)))
        assert (u == 3.0).all() and (v == -2.0).all()
        ```
    """

    A: Any
    b: Any = None
    c: Any = None

    def __call__(self, x: Any) -> Any:
        return self.shifted(self.products(x))

    def products(self, x: Any) -> Any:
        """(A y, A^T x): what costs something."""
        # Not A.T @ x, for which XLA writes the transposed matrix out.
        return self.A @ x[1], x[0] @ self.A

    def shifted(self, products: Any) -> Any:
        """F(x) of a point whose products are known."""
        Ay, xA = products
        u = Ay if self.b is None else Ay + self.b
        return u, -xA if self.c is None else -xA - self.c


class BilinearGame(Inclusion):
    """min over x of max over y of X(x) + x^T A y + b^T x + c^T y - Y(y).

    Linear programs, l1 problems and zero-sum games have this form. The certificate is the natural
    residual; `gap` gives the duality gap where that is finite.

    Args:
        A: [n, m].
        b: [n], or None for zero.
        c: [m], or None for zero.
        X: a `Function` for x, such as a set; None for no constraint.
        Y: a `Function` for y, or None.
        start: the pair of first guesses; None for the points of X and Y that are next to zero.
        lipschitz: the spectral norm of A, if it is known.
        unit: what a relative tolerance refers to, in the unit of b and c; None for the norm of
            (b, c), or the largest entry of A where that is zero.

    Raises:
        TypeError: for an X or Y that is no Function.
        ValueError: for what is no matrix, shapes that do not fit, or numbers that are not finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        # min x_1 + 2 x_2 subject to x_1 + x_2 >= 1, x >= 0, by its Lagrangian.
        game = rs.BilinearGame(
            -np.ones((2, 1)), b=np.array([1.0, 2.0]), c=np.ones(1),
            X=rs.functions.Nonnegative(), Y=rs.functions.Nonnegative(),
        )
        sol = rs.solve(game, rs.inclusion.PrimalDual(), rtol=1e-8)
        assert np.allclose(sol.x[0], [1.0, 0.0])
        ```
    """

    def __init__(
        self,
        A: Float[Any, "n m"],
        b: Float[Any, " n"] | None = None,
        c: Float[Any, " m"] | None = None,
        X: Function | None = None,
        Y: Function | None = None,
        *,
        start: Any = None,
        lipschitz: float | None = None,
        unit: float | None = None,
    ):
        A, b, c = _payoffs(A, b, c)
        xp = jnp if isinstance(A, jax.Array) else np
        sets = Product((X, Y))
        if start is None:
            zero = xp.zeros(A.shape[0], A.dtype), xp.zeros(A.shape[1], A.dtype)
            with scope(needs_double(A)):
                sets.check(zero)
                near = sets.nearest(jax.tree_util.tree_map(jnp.asarray, zero))
                start = jax.tree_util.tree_map(xp.asarray, near)
        elif not isinstance(start, tuple | list) or len(start) != 2:
            refuse(
                ValueError, "start", given=f"a {type(start).__name__}", needed="a pair (x, y)",
                advice="Give a first guess of both variables.",
            )  # fmt: skip
        fields = self._fields(
            BilinearOperator(A, b, c), sets, tuple(start), lipschitz, None, 0.0,
            1.0 if unit is None else unit,
        )  # fmt: skip
        if unit is None:
            fields["unit"] = _unit(A, b, c)
        vars(self).update(fields)

    @property
    def A(self) -> Any:
        """The matrix [n, m]."""
        return self.F.A

    def gap(self, x: Any) -> Any:
        """The duality gap of a point (x, y) of the domains of X and Y, by their conjugates.

        Args:
            x: the pair.

        Returns:
            What either player could still gain at most, both together; infinite where a player
            could gain without bound.

        Example:
            ```python
            import numpy as np, resolvent as rs
            box = rs.functions.Box(-1.0, 1.0)
            game = rs.BilinearGame(np.ones((1, 1)), X=box, Y=box)
            assert game.gap((np.zeros(1), np.zeros(1))) == 0.0
            ```
        """
        with scope(needs_double(self.F.A) and not is_traced(x)):
            x = jax.tree_util.tree_map(jnp.asarray, x)
            u, v = self.F(x)
            own, other = self.G.parts
            dual = own.conjugate(-u) + other.conjugate(-v)
            linear = 0.0 if self.F.b is None else self.F.b @ x[0]
            linear = linear if self.F.c is None else linear - self.F.c @ x[1]
            gap = own.value(x[0]) + other.value(x[1]) + dual + linear
            return gap if is_traced(gap) else float(gap)

    def default_method(self) -> Any:
        """The primal-dual method, restarted."""
        from resolvent.inclusion.primal_dual import PrimalDual

        return PrimalDual()

    def describe(self) -> str:
        n, m = (part.shape[0] for part in self.first)
        return f"{type(self).__name__}({n} x {m})"


class MatrixGame(BilinearGame):
    """A zero-sum game: min over x of max over y of x^T A y, over mixed strategies.

    The certificate is the duality gap `max_j (A^T x)_j - min_i (A y)_i`, which bounds what either
    player can gain by any other strategy: a bound, exact at an equilibrium.

    Args:
        A: [n, m], what the first player pays for each pair of pure strategies.
        lipschitz: the spectral norm of A, if it is known.

    Raises:
        ValueError: for what is no matrix, is empty, or holds numbers that are not finite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        game = rs.MatrixGame(np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]))
        sol = rs.solve(game, rs.inclusion.Extragradient(), rtol=1e-6)
        assert np.allclose(sol.x[0], 1 / 3, atol=1e-5)
        ```
    """

    def __init__(self, A: Float[Any, "n m"], *, lipschitz: float | None = None):
        A, _, _ = _payoffs(A, None, None)
        xp = jnp if isinstance(A, jax.Array) else np
        n, m = A.shape
        start = xp.full(n, 1.0 / n, A.dtype), xp.full(m, 1.0 / m, A.dtype)
        fields = self._fields(
            BilinearOperator(A), Product((Simplex(), Simplex())), start, lipschitz
        )
        vars(self).update({**fields, "unit": _unit(A, None, None)})

    def lacks(self, need: str) -> str | None:
        """As for every inclusion; F turns, and so is not cocoercive."""
        if need == "cocoercive":
            return "the operator of a matrix game turns: it is monotone, but not cocoercive"
        return super().lacks(need)

    def as_answer(self, x: Any) -> Any:
        """Mixed strategies, whatever a first guess was that nothing improved on."""
        return tuple(as_strategy(part) for part in x)

    def as_answers(self, x: Any, problems: Any) -> Any:
        return self.as_answer(x)

    def merit(self, x: Any, Fx: Any) -> Any:
        """The gap of two mixed strategies, from A y and -A^T x."""
        return jax.lax.stop_gradient(-Fx[1].min() - Fx[0].min())

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`max_j (A^T x)_j - min_i (A y)_i <= max(rtol max |A|, atol)`, on the simplices."""
        x = jax.tree_util.tree_map(jnp.asarray, x)
        # What is no mixed strategy is judged as the strategy that is meant: a gap of other points
        # may be negative and proves nothing.
        x = tuple(as_strategy(part) for part in x)
        Fx = self.operator(x)
        gap = self.merit(x, Fx)
        payoff = x[0] @ Fx[0]
        details = {"first player's gain": payoff - Fx[0].min()}
        details |= {"second player's gain": -Fx[1].min() - payoff, "value": payoff}
        return Certificate(
            jnp.maximum(gap, 0.0), self.unit, details=details, kind="bound", name="duality gap",
            statement="max (A^T x) - min (A y) <= max(rtol max |A|, atol)",
        )  # fmt: skip


def as_strategy(x: Any) -> Any:
    """The mixed strategy that a vector means, or a batch of them along leading axes."""
    positive = x * (x > 0)
    return positive / positive.sum(axis=-1, keepdims=True)


def _payoffs(A: Any, b: Any, c: Any) -> tuple[Any, Any, Any]:
    """Checked data of a bilinear game, in one precision."""
    A = real_array("A", A)
    if A.ndim != 2 or not A.size:
        refuse(
            ValueError, "A", given=f"shape {A.shape}", needed="a matrix [n, m]",
            advice="One row an entry of x, one column an entry of y.",
        )  # fmt: skip
    finite("A", A)
    parts = []
    for name, part, size in (("b", b, A.shape[0]), ("c", c, A.shape[1])):
        if part is not None:
            part = real_array(name, part)
            if part.shape != (size,):
                refuse(
                    ValueError, name, given=f"shape {part.shape}", needed=f"shape {(size,)}",
                    advice="b has one entry a row of A, and c one a column.",
                )  # fmt: skip
            finite(name, part)
            part = part.astype(A.dtype)
        parts.append(part)
    return A, *parts


def _unit(A: Any, b: Any, c: Any) -> Any:
    """The size of F at zero, or of A where that is zero; 1 where all is zero."""
    xp = jnp if isinstance(A, jax.Array) else np
    largest = abs(A).max()
    unit = xp.where(largest > 0, largest, 1.0).astype(A.dtype)
    given = [part for part in (b, c) if part is not None]
    if given:
        size = sum((part * part).sum() for part in given) ** 0.5
        unit = xp.where(size > 0, size, unit).astype(A.dtype)
    return unit if isinstance(A, jax.Array) else float(unit)
