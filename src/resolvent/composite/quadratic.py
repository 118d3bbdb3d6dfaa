"""Quadratic functions with a sparse or dense matrix, plus a function with a prox."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Float

from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent._core.norm import norm
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import as_jax
from resolvent.composite.design import DenseDesign, as_design
from resolvent.composite.problem import Composite
from resolvent.composite.support_system import block
from resolvent.functions import Everything, Function

_FACTORIZED = 256  # unknowns up to which a dense matrix is factorized to see its signs
_PRODUCTS = 8  # with a larger one, to the same end


class Quadratic(Composite):
    """Minimize x^T A x / 2 - b^T x + g(x), A symmetric and positive semidefinite.

    Without g this is the linear system A x = b, and its certificate the relative residual
    `||b - A x|| / ||b||`, as that of a `LinearSystem`. With g it is the proximal gradient residual
    of a `Composite`, relative to ||b|| too. Either is infinite at a point x with x^T A x < 0,
    which proves that A is not positive semidefinite.

    Args:
        A: [n, n], NumPy, JAX or SciPy sparse.
        b: [n].
        g: a `Function` of x; None for none.
        start: a first guess other than zero.

    Raises:
        TypeError: for data that are no real numbers, a g that is no Function.
        ValueError: for shapes that do not fit, data that are not finite, an A that is not
            symmetric, or is seen to have a negative eigenvalue: by its diagonal, by Cholesky's
            factors up to 256 dense unknowns, by a few Lanczos steps beyond.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A, b = np.array([[2.0, -1.0], [-1.0, 2.0]]), np.array([1.0, -4.0])
        problem = rs.composite.Quadratic(A, b, rs.functions.Nonnegative())
        assert np.allclose(rs.solve(problem, rtol=1e-10).x, [0.5, 0.0])
        ```
    """

    design: Any
    b: Any

    def __init__(
        self,
        A: Float[Any, "n n"],
        b: Float[Any, " n"],
        g: Function | None = None,
        *,
        start: Any = None,
    ):
        design, b = as_design("A", A), real_array("b", b)
        n = design.shape[0]
        if design.shape != (n, n) or b.shape != (n,):
            refuse(
                ValueError, "A" if design.shape != (n, n) else "b",
                given=f"A of shape {design.shape}, b of shape {b.shape}",
                needed="a square matrix and a vector of as many entries", advice="Look at both.",
            )  # fmt: skip
        finite("b", b)
        if not is_traced(design):
            _check_matrix(design)
        g = Everything() if g is None else g
        if not isinstance(g, Function):
            refuse(
                TypeError, "g", given=f"a {type(g).__name__}", needed="a Function, or None",
                advice="See resolvent.functions for sets and penalties.",
            )  # fmt: skip
        numpy = design.numpy and isinstance(b, np.ndarray)
        xp = np if numpy else jnp
        b = xp.asarray(b, design.dtype)
        first = xp.zeros(n, design.dtype)
        with scope(needs_double(first) and not is_traced((first, g))):
            g.check(first)
        size = norm(b)
        if is_traced(size):
            unit = jnp.where(size > 0, size, 1)
        else:
            unit = float(size) or 1.0
        vars(self).update(
            design=design, b=b, f=None, g=g, args=None, lipschitz=None, strong=None, unit=unit,
            first=first, numpy=numpy,
        )  # fmt: skip
        if start is not None:
            vars(self)["first"] = self.admit(start, "start")

    def smooth(self, x: Any) -> Any:
        """x^T A x / 2 - b^T x."""
        return 0.5 * (x @ self.design.times(x)) - self.b @ x

    def slope(self, x: Any) -> tuple[Any, Any]:
        """The quadratic part and its gradient A x - b."""
        product = self.design.times(x)
        return 0.5 * (x @ product) - self.b @ x, product - self.b

    def second_derivative(self, x: Any, chosen: Any) -> Any:
        """A between chosen entries."""
        return block(self.design, chosen)

    def merit(self, x: Any, gradient: Any) -> Any:
        """The certificate's value at a point whose gradient is known."""
        if isinstance(self.g, Everything):
            return norm(jax.lax.stop_gradient(gradient) if is_traced(gradient) else gradient)
        return super().merit(x, gradient)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||b - A x|| <= max(rtol ||b||, atol)`, or the proximal gradient residual with g."""
        host = self.numpy and not is_traced((x, self))
        plain = isinstance(self.g, Everything)
        with scope(self.numpy and needs_double(self.first) and not is_traced(x)):
            x = np.asarray(x) if host else jnp.asarray(x)
            name, statement = "relative residual", "||b - A x||_2 <= max(rtol ||b||_2, atol)"
            if not plain and self.g.convex:
                name = "proximal gradient residual"
                statement = "||x - prox(x - (A x - b))|| <= max(rtol ||b||, atol)"
            elif not plain:
                name = "distance to stationarity"
                statement = "dist(b - A x, subdifferential of g at x) <= max(rtol ||b||, atol)"
            gradient = self.slope(x)[1]
            value = self.merit(x, gradient) + self._falling(x, gradient + self.b)
            found = Certificate(value, self.unit, name=name, statement=statement)
            return found.as_numbers() if host else found

    def _falling(self, x: Any, product: Any) -> Any:
        """Infinity where x itself is a direction of negative curvature, else 0."""
        host = isinstance(x, np.ndarray) and isinstance(product, np.ndarray)
        parts = self.design.matrix if isinstance(self.design, DenseDesign) else self.design.data
        # What rounding can do to x^T A x for an A that is semidefinite: no entry is larger than
        # the diagonal's, and no eigenvalue than n of these.
        room = 100 * float(jnp.finfo(x.dtype).eps) * x.size * abs(parts).max()
        falls = x @ product < -room * norm(x) ** 2
        return (np if host else jnp).where(falls, np.inf, 0.0)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host where a method runs on it and the data are NumPy's."""
        if "host" in engines and (self.numpy or "traced" not in engines):
            return "host"
        return super().engine(engines)

    def prepare(self, engine: Engine) -> Any:
        """The same problem with arrays of the engine."""
        if engine == "traced":
            return jax.tree_util.tree_map(as_jax, self)
        return jax.tree_util.tree_map(
            lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, self
        )

    def lacks(self, need: str) -> str | None:
        """As a composite problem; a quadratic function lacks nothing itself."""
        return None if need == "smooth" else super().lacks(need)

    def form(self) -> str:
        return type(self.design).__name__.removesuffix("Design").lower()

    def default_method(self) -> Any:
        """Block coordinate descent on the host where g is a sum over coordinates: by forests where
        A is sparse and there is no g, else by blocks of a hundred."""
        from resolvent.composite.blocks.block_coordinate_descent import BlockCoordinateDescent
        from resolvent.composite.blocks.terms import terms_of
        from resolvent.composite.gradients.proximal_gradient import ProximalGradient

        known = not is_traced(self) and self.numpy
        if not known or terms_of(self.g, self.b.shape, 0, self.b.dtype) is None:
            return ProximalGradient()
        if isinstance(self.g, Everything) and not isinstance(self.design, DenseDesign):
            return BlockCoordinateDescent("forest", "gs", "matrix")
        return BlockCoordinateDescent(block_size=100)

    def describe(self) -> str:
        """Size of the unknown and the second term."""
        return f"Quadratic({self.b.size} unknowns, {type(self.g).__name__})"


def _check_matrix(design: Any) -> None:
    """Refuse a matrix that is not symmetric, or shows that it is not positive semidefinite."""
    if isinstance(design, DenseDesign):
        matrix = np.asarray(design.matrix)
        away, size, diagonal = abs(matrix - matrix.T).max(), abs(matrix).max(), matrix.diagonal()
    else:
        parts = [np.asarray(part) for part in (design.data, design.rows, design.starts)]
        matrix = scipy.sparse.csc_array(tuple(parts), shape=design.shape)
        away, size, diagonal = abs(matrix - matrix.T).max(), abs(matrix).max(), matrix.diagonal()
    if not away <= 100 * np.finfo(design.dtype).eps * size:
        refuse(
            ValueError, "A", given=f"a matrix that differs from its transpose by {away:.1e}",
            needed="a symmetric one", advice="Pass (A + A.T) / 2, which has the same quadratic.",
        )  # fmt: skip
    what = "a negative diagonal entry" if not diagonal.min() >= 0 else None
    if what is None and size > 0:
        what = _downwards(matrix / size)
    if what is not None:
        refuse(
            ValueError, "A", given=what, needed="a positive semidefinite matrix",
            advice="Such a function has no minimizer.",
        )  # fmt: skip


def _downwards(matrix: Any) -> str | None:
    """What shows that a symmetric matrix with entries up to 1 has a negative eigenvalue.

    Small dense matrices are factorized, which leaves no doubt. Of others a few products are seen:
    there may be a negative eigenvalue where they show none.
    """
    n, eps = matrix.shape[0], float(np.finfo(matrix.dtype).eps)
    slack = 10 * n * eps
    if isinstance(matrix, np.ndarray) and n <= _FACTORIZED:
        try:
            np.linalg.cholesky(matrix + slack * np.eye(n, dtype=matrix.dtype))
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(matrix)[0])
            # Rounding of another kind than that of the factors is no proof.
            return "an eigenvalue below 0" if least < -slack else None
        return None
    v = np.random.default_rng(0).standard_normal(n).astype(matrix.dtype)
    v, before, bend = v / norm(v), 0 * v, 0.0
    diagonal, beside = [], []
    for _ in range(min(n, _PRODUCTS)):
        # Lanczos' recurrence: its small matrix has eigenvalues between those of the large one.
        w = matrix @ v
        # Not by BLAS, whose threads take longer to wake up.
        diagonal.append(float(np.einsum("i,i->", v, w)))
        w -= diagonal[-1] * v
        w -= bend * before
        bend = norm(w)
        if not bend > 1e3 * eps:
            break
        beside.append(bend)
        v, before = w / bend, v
    inner = beside[: len(diagonal) - 1]
    small = np.diag(diagonal) + np.diag(inner, 1) + np.diag(inner, -1)
    values = np.linalg.eigvalsh(small)
    least, most = float(values[0]), float(abs(values).max())
    return "an eigenvalue below 0" if least < -1e3 * slack**0.5 * eps**0.5 * most else None
