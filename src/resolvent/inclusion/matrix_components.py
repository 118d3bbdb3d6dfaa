"""Bilinear games as sums of rows and columns, for methods that take few of them at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import is_traced, refuse
from resolvent._core.value import Value
from resolvent.inclusion.bilinear import BilinearGame, BilinearOperator
from resolvent.inclusion.operators import FiniteSum


class _Lines(Value):
    """One row and one column of A, each times the entry that it meets."""

    rows: Any
    columns: Any  # the rows of A^T, so that a column is read in one piece
    b: Any
    c: Any
    count: Any

    def __call__(self, x: Any, place: Any) -> Any:
        row, column, of_row, of_column = place
        u = (self.count * of_column * x[1][column]) * self.columns[column]
        v = (-self.count * of_row * x[0][row]) * self.rows[row]
        return u if self.b is None else u + self.b, v if self.c is None else v - self.c


class MatrixComponents(FiniteSum):
    """The operator (A y + b, -A^T x - c) as the mean of max(n, m) components.

    A component is a row with a column, the long ones with each other:
    `max(n, m) (A[:, j] y_j, -A[i, :] x_i)`, beside (b, -c). It costs n + m multiplications where
    all of F costs 2 n m. Where A is not square, the components beyond the shorter side hold one of
    the two.

    Args:
        A: [n, m].
        b: [n], or None for zero.
        c: [m], or None for zero.
        importance: draw components with probabilities like the squares of their longer line, for
            which the Lipschitz constant on average is between `||A||_F` and sqrt(2) times that;
            else uniformly, for which it is max(n, m)^(1/2) times the longest line.

    Raises:
        ValueError: for a matrix whose longest line is zero.

    Example:
        ```python
        import jax.numpy as jnp
        from resolvent.inclusion.matrix_components import MatrixComponents
        F = MatrixComponents(jnp.array([[1.0, 2.0], [0.0, 1.0]]))
        u, v = F((jnp.ones(2), jnp.ones(2)))
        assert (u == jnp.array([3.0, 1.0])).all() and (v == jnp.array([-1.0, -3.0])).all()
        ```
    """

    def __init__(self, A: Any, b: Any = None, c: Any = None, *, importance: bool = True):
        xp: Any = jnp if isinstance(A, jax.Array) else np
        n, m = A.shape
        most = max(n, m)
        squares = (A * A).sum(axis=1), (A * A).sum(axis=0)
        # Long rows beside long columns: the squares of the longer ones then sum to the least.
        orders = [xp.argsort(-part) for part in squares]
        pairs = [xp.arange(most) < part.shape[0] for part in squares]
        places = [
            xp.concatenate([order, xp.zeros(most - order.shape[0], order.dtype)])
            for order in orders
        ]
        weights = [pair.astype(A.dtype) for pair in pairs]
        longer = xp.maximum(
            *(w * part[place] for w, part, place in zip(weights, squares, places, strict=True))
        )
        if not is_traced(A) and not bool(longer[0] > 0):
            refuse(
                ValueError, "A", given="zeros", needed="some payoffs",
                advice="Every point is a solution.",
            )  # fmt: skip
        lipschitz: Any = (most * longer[0]) ** 0.5
        probabilities = None
        if importance:
            # A component that is zero is drawn now and then: nothing may be left out for ever.
            floor = 1e-3 * longer.sum() / most
            probabilities = xp.maximum(longer, floor)
            lipschitz = ((longer / probabilities).max() * probabilities.sum()) ** 0.5
        if not is_traced(A):
            lipschitz = float(lipschitz)
        lines = _Lines(A, xp.ascontiguousarray(A.T) if xp is np else A.T, b, c, float(most))
        data = (*places, *weights)
        super().__init__(
            lines, data, whole=BilinearOperator(A, b, c), probabilities=probabilities,
            lipschitz=lipschitz,
        )  # fmt: skip

    @property
    def A(self) -> Any:
        """The matrix [n, m]."""
        return self.whole.A

    @property
    def b(self) -> Any:
        """The vector [n], or None."""
        return self.whole.b

    @property
    def c(self) -> Any:
        """The vector [m], or None."""
        return self.whole.c

    def products(self, x: Any) -> Any:
        """(A y, A^T x)."""
        return self.whole.products(x)

    def shifted(self, products: Any) -> Any:
        """F(x) of a point whose products are known."""
        return self.whole.shifted(products)


def by_components(game: BilinearGame, *, importance: bool = True) -> Any:
    """The same game, whose operator can be asked for a row and a column at a time.

    Args:
        game: a `BilinearGame`, such as a `MatrixGame`.
        importance: as in `MatrixComponents`.

    Returns:
        A game with the same certificate, for variance-reduced methods as for all others.

    Raises:
        TypeError: for what is no bilinear game.
        ValueError: for a matrix of zeros.

    Example:
        ```python
        import numpy as np, resolvent as rs
        from resolvent.inclusion.matrix_components import by_components
        from resolvent.inclusion.variance_reduced_baselines import VarianceReducedExtragradient
        game = by_components(rs.MatrixGame(np.array([[0.0, 1.0], [2.0, 0.0]])))
        sol = rs.solve(game, VarianceReducedExtragradient(), rtol=1e-3, key=0)
        assert np.allclose(sol.x[0], [2 / 3, 1 / 3], atol=1e-2)
        ```
    """
    if not isinstance(game, BilinearGame):
        refuse(
            TypeError, "game", given=f"a {type(game).__name__}", needed="a BilinearGame",
            advice="Write other sums as FiniteSum(fn, data).",
        )  # fmt: skip
    F: Any = game.F
    return game.but(F=MatrixComponents(F.A, F.b, F.c, importance=importance))
