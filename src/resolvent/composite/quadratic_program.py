"""Quadratic programs: a convex quadratic function between linear bounds."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Float

from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem
from resolvent.composite.design import DenseDesign, SparseDesign, as_design
from resolvent.composite.programs import quadratic_conditions as conditions

_LOOKED_AT = 3000  # unknowns up to which a dense P is factorized to see whether it is convex


class Multipliers(NamedTuple):
    """The witness of a quadratic program.

    At an answer `P x + q + A' rows + bounds = 0`; a multiplier is positive where the upper bound
    holds x, negative where the lower one does. Of a program without an answer either `rows` prove
    that it is infeasible, or `ray` that it is unbounded; `ray` is zero otherwise.
    """

    rows: Any
    bounds: Any
    ray: Any


class QuadraticProgram(TreeProblem):
    """Minimize x' P x / 2 + q' x subject to l <= A x <= u and lower <= x <= upper.

    P is symmetric and positive semidefinite. Equal bounds make an equation, infinite ones none.

    The certificate is the largest of four relative residuals, in the maximum norm: violated rows
    over the size of A x, violated bounds over the size of x, the gradient of the Lagrangian over
    the largest of its terms, and the duality gap x' P x + q' x + (bounds times multipliers) over
    the largest of its own, or over max |q| times the size of x where this is larger: answers near 0
    have no terms to compare with. For the same reason the size of x is at least max |q| / max |P|.
    The multipliers of the rows are the method's, the solution's `witness`; where none are given,
    they are least-squares ones. Those of the bounds follow from x and them.

    A program without an answer ends with reason `infeasible`. The details of the certificate say
    what was proved from the data: `infeasible`, when the rows' multipliers combine the constraints
    into one that nothing meets, or `unbounded`, when along the ray, within the constraints, the
    objective falls without end. Both are up to rounding: points beyond 1 / sqrt(eps) times the
    size of the bounds count as none.

    Args:
        P: [n, n], NumPy, JAX or SciPy sparse; zero for a linear program.
        q: [n].
        A: [m, n], as P; None for no rows, and then l and u are the bounds of x.
        l: [m], or one number for all; may hold -inf. None for no lower bounds.
        u: [m], or one number for all; may hold inf. None for no upper bounds.
        lower: [n], or one number: bounds of x itself, beside rows.
        upper: [n], or one number.
        start: a first guess other than the point of the box next to zero.
        convex: True where P is known to be positive semidefinite, and need not be factorized to
            see it. A dense P of more than 3000 unknowns never is.

    Raises:
        TypeError: for data that are no real numbers.
        ValueError: for shapes that do not fit, NaN, lower bounds above upper ones, or a P that is
            not symmetric or not positive semidefinite.

    Example:
        ```python
        import numpy as np, resolvent as rs
        program = rs.QuadraticProgram(
            np.eye(2), np.zeros(2), np.ones((1, 2)), 1.0, 1.0, lower=0.0, upper=[0.3, 1.0]
        )
        sol = rs.solve(program, rtol=1e-9)
        assert np.allclose(sol.x, [0.3, 0.7])
        assert np.allclose(sol.witness.rows, [-0.7])
        ```
    """

    P: Any
    q: Any
    A: Any
    l: Any  # noqa: E741
    u: Any
    lower: Any
    upper: Any

    exact_forms: ClassVar[bool] = True

    def __init__(
        self,
        P: Float[Any, "n n"],
        q: Float[Any, " n"],
        A: Float[Any, "m n"] | None = None,
        l: Any = None,  # noqa: E741
        u: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        start: Any = None,
        convex: bool | None = None,
    ):
        given = (P, q, A, l, u, lower, upper)
        with scope(needs_double(given) and not is_traced(given)):
            self._take(*given, start, convex)

    def _take(
        self, P: Any, q: Any, A: Any, l: Any, u: Any, lower: Any, upper: Any, start: Any,  # noqa: E741
        convex: bool | None,
    ) -> None:  # fmt: skip
        P, q = as_design("P", P), real_array("q", q)
        n = P.shape[0]
        if P.shape != (n, n) or q.shape != (n,):
            refuse(
                ValueError, "P", given=f"shape {P.shape} beside q of shape {q.shape}",
                needed="a square P with one entry of q a row", advice="Look at their shapes.",
            )  # fmt: skip
        finite("q", q)
        if A is None or np.shape(A)[:1] == (0,):
            if A is None:
                lower, upper = _one("l", l, "lower", lower), _one("u", u, "upper", upper)
            l = u = None  # noqa: E741
            A = None
        else:
            A = as_design("A", A)
            if A.shape[1] != n:
                refuse(
                    ValueError, "A", given=f"shape {A.shape} beside P of shape {P.shape}",
                    needed=f"shape [m, {n}]", advice="One column an unknown.",
                )  # fmt: skip
        m = 0 if A is None else A.shape[0]
        given = [P.numpy, isinstance(q, np.ndarray)] + ([] if A is None else [A.numpy])
        numpy = all(given) and not any(isinstance(v, jax.Array) for v in (l, u, lower, upper))
        xp, dtype = (np if numpy else jnp), P.dtype
        l, u = _limits(xp, dtype, m, "l", l, "u", u)  # noqa: E741
        lower, upper = _limits(xp, dtype, n, "lower", lower, "upper", upper)
        if not numpy:
            P, A = _as_jax(P), _as_jax(A)
        first = xp.clip(xp.zeros(n, dtype), lower, upper)
        vars(self).update(
            P=P, q=xp.asarray(q, dtype), A=A if A is None else A.but(**_cast(xp, A, dtype)),
            l=l, u=u, lower=lower, upper=upper, first=first, unit=1.0, numpy=numpy,
        )  # fmt: skip
        if not is_traced(P):
            _check_convex(P, convex)
        if start is not None:
            vars(self)["first"] = self.admit(start, "start")

    @property
    def rows(self) -> int:
        """How many rows A has."""
        return self.l.shape[-1]

    def objective(self, x: Any) -> Any:
        """x' P x / 2 + q' x."""
        return 0.5 * (x @ self.P.times(x)) + self.q @ x

    def gradient(self, x: Any) -> Any:
        """P x + q."""
        return self.P.times(x) + self.q

    def image(self, x: Any) -> Any:
        """A x."""
        return self.l if self.A is None else self.A.times(x)

    def pulled(self, rows: Any) -> Any:
        """A' y."""
        return self.q * 0 if self.A is None else self.A.transposed_times(rows)

    def residual(self, x: Any) -> Any:
        """The reduced gradient, and what the active constraints lack."""
        return conditions.optimality(self, x)

    def slope_solver(self, x: Any) -> Any:
        """A dense factorization, whatever the size."""
        return conditions.slope_solver(self, x)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """The largest relative residual of the conditions of optimality `<= max(rtol, atol)`."""
        rows = conditions.multipliers(self, x) if witness is None else witness.rows
        found = conditions.conditions(self, x, rows)
        infeasible = unbounded = False
        if witness is not None:
            infeasible = conditions.proves_infeasible(self, witness.rows)
            unbounded = conditions.proves_unbounded(self, x, witness.ray)
        return Certificate(
            found.value, self.unit, name="KKT residual",
            statement="max(primal, dual, gap), each relative, <= max(rtol, atol)",
            details={
                "primal": found.primal, "dual": found.dual, "gap": found.gap,
                "infeasible": infeasible, "unbounded": unbounded,
            },
        )  # fmt: skip

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host where a method runs on it and the data are NumPy's."""
        if "host" in engines and self.numpy and not is_traced(self):
            return "host"
        if "traced" not in engines:
            return "host"
        return super().engine(engines)

    def prepare(self, engine: Engine) -> Any:
        """The same problem with arrays of the engine."""
        if engine == "traced":
            return super().prepare(engine)
        return jax.tree_util.tree_map(
            lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, self
        )

    def restore_witness(self, witness: Any) -> Any:
        """Multipliers in the kind of array that x has."""
        return None if witness is None else self.restore(witness)

    def form(self) -> str:
        return type(self.P).__name__.removesuffix("Design").lower()

    def default_method(self) -> Any:
        """An active-set method for bounds and at most one row, else an interior point method."""
        from resolvent.composite.programs.active_set import ActiveSet
        from resolvent.composite.programs.interior_point import InteriorPoint

        linear = not is_traced(self.P) and not np.any(np.asarray(conditions.entries(self.P)))
        return InteriorPoint() if linear or self.rows > 1 else ActiveSet()

    def describe(self) -> str:
        """Size of the unknown and of the constraints."""
        return f"QuadraticProgram({self.q.shape[-1]} unknowns, {self.rows} rows)"


def _one(name: str, value: Any, other: str, more: Any) -> Any:
    if value is not None and more is not None:
        refuse(
            ValueError, name, given=f"{name} and {other} without A", needed="one of them",
            advice="Without A both are bounds of x.",
        )  # fmt: skip
    return more if value is None else value


def _cast(xp: Any, A: Any, dtype: Any) -> dict[str, Any]:
    name = "matrix" if isinstance(A, DenseDesign) else "data"
    return {name: xp.asarray(getattr(A, name), dtype)}


def _as_jax(design: Any) -> Any:
    return jax.tree_util.tree_map(jnp.asarray, design)


def _limits(
    xp: Any, dtype: Any, size: int, low: str, l: Any, high: str, u: Any  # noqa: E741
) -> tuple[Any, Any]:  # fmt: skip
    """Bounds of full length, checked."""
    ends = []
    for name, value, none in ((low, l, -np.inf), (high, u, np.inf)):
        value = real_array(name, none if value is None else value)
        if value.shape not in ((), (size,)):
            refuse(
                ValueError, name, given=f"shape {value.shape}", needed=f"({size},), or one number",
                advice=f"One bound for each of the {size} {'rows' if low == 'l' else 'unknowns'}.",
            )  # fmt: skip
        if not is_traced(value) and (np.isnan(value).any() or (np.asarray(value) == -none).any()):
            refuse(
                ValueError, name, given=f"NaN, or {-none}", needed=f"numbers, or {none} for none",
                advice="A bound that nothing meets, or that is no number, has no answer.",
            )  # fmt: skip
        ends.append(xp.broadcast_to(xp.asarray(value, dtype), (size,)))
    l, u = ends  # noqa: E741
    if not is_traced(ends) and not (np.asarray(l) <= np.asarray(u)).all():
        where = int(np.flatnonzero(~(np.asarray(l) <= np.asarray(u)))[0])
        refuse(
            ValueError, low, given=f"{l[where]} above {high} = {u[where]}, at {where}",
            needed=f"{low} <= {high}", advice="No point meets both: look at that place.",
        )  # fmt: skip
    return l, u


def _definite(matrix: Any, shift: float) -> bool:
    """Whether a symmetric matrix plus a multiple of the identity has positive pivots."""
    eye = scipy.sparse.identity if scipy.sparse.issparse(matrix) else np.eye
    matrix = matrix + shift * eye(matrix.shape[0], dtype=matrix.dtype)
    try:
        if not scipy.sparse.issparse(matrix):
            np.linalg.cholesky(matrix)
            return True
        factors = scipy.sparse.linalg.splu(
            scipy.sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
    except (np.linalg.LinAlgError, RuntimeError):
        return False
    # Pivots off the diagonal are only taken where one of the diagonal is zero.
    return bool((factors.perm_r == factors.perm_c).all() and (factors.U.diagonal() > 0).all())


def _check_convex(P: DenseDesign | SparseDesign, known: bool | None) -> None:
    """Refuse a P that is not symmetric or not positive semidefinite."""
    if known is not None and not known:
        refuse(
            ValueError, "convex", given="False", needed="a convex program",
            advice="Add a multiple of the identity to P, or look for a local method.",
        )  # fmt: skip
    matrix: Any
    matrix = conditions.as_scipy(P) if isinstance(P, SparseDesign) else np.asarray(P.matrix)
    eps, n = float(np.finfo(P.dtype).eps), matrix.shape[0]
    size = float(abs(matrix).max())
    away = float(abs(matrix - matrix.T).max())
    if not away <= 100 * eps * size:
        refuse(
            ValueError, "P", given=f"a matrix that differs from its transpose by {away:.1e}",
            needed="a symmetric one", advice="(P + P.T) / 2 has the same values x' P x.",
        )  # fmt: skip
    lowest = float(matrix.diagonal().min())
    if lowest >= 0 and not known and size and (isinstance(P, SparseDesign) or n <= _LOOKED_AT):
        lowest = 0.0 if _definite(matrix, 10 * n * eps * size) else -size
    if lowest < 0:
        refuse(
            ValueError, "P", given="a matrix with negative curvature", needed="x' P x >= 0",
            advice="Such programs are not convex: look at the signs, or shift P's diagonal.",
        )  # fmt: skip
