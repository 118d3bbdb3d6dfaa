"""Projections onto polyhedra that are known by a list of rows, or by an oracle that finds them."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Float

from resolvent._core.checks import finite, is_traced, one_of, real_array, real_dtype, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine, Problem
from resolvent._core.solution import Certificate
from resolvent._core.value import static
from resolvent.constrained.metric.bregman import FUNCTIONS
from resolvent.constrained.metric.edge_data import is_numpy
from resolvent.constrained.metric.lagrangian import ROUNDED, Measured
from resolvent.constrained.metric.matrix_rows import check_covariance, symmetric
from resolvent.constrained.metric.rows import (
    RowList,
    RowMultipliers,
    admitted,
    rows_of,
    witness_of,
)

_FAR = 1e6  # points so many times as large as the data count as none


class Separated(Problem):
    """Minimize a Bregman function f(x) subject to <a_i, x> <= b_i for all rows of a polyhedron.

    The rows are written down as A and b, or an oracle finds those that a point violates; with both,
    the written ones are the few that methods always keep. f is a weighted square,
    `sum_j w_j (x_j - c_j)^2 / 2`, an entropy, `sum_j w_j (x_j log(x_j / c_j) - x_j + c_j)`, or the
    divergence `tr(C^-1 X) - log det(C^-1 X) - d` of positive definite matrices X, [d, d], x being
    X row by row. Rows that are not symmetric then stand for their symmetric parts.

    The certificate is the largest of three numbers, for the multipliers of the witness. `violation`
    is the largest `<a_i, x> - b_i` over the largest entry of a_i and the largest of x and c.
    `stationarity` is the largest difference of x from the minimizer of the Lagrangian. `gap` is the
    divergence of these two points plus multipliers times slacks, over the value of sum_j w_j (x_j^2
    + c_j^2) / 2 (entropy: sum_j w_j (x_j + c_j), "logdet": d); for a feasible x it is f(x) less the
    dual value. Without a witness, multipliers of the written rows that x attains are looked for by
    nonnegative least squares. The rows of a witness that an oracle has given are taken for true.

    Where no point meets all rows methods end with reason `infeasible`. If the detail `infeasible`
    is true it is proved, up to points a million times as large as the data: the witness adds up
    rows to one that nothing meets.

    Args:
        centre: [n], c: finite, and positive for the entropy; a positive definite matrix, row by
            row, for "logdet".
        A: [m, n], NumPy or SciPy sparse.
        b: [m], or one number.
        oracle: called as `oracle(x)`; returns rows (A, b) that x violates, or as many as it likes,
            but some while there are any; None or no rows where there are none.
        weights: [n], positive; None for 1, as it must be for "logdet".
        function: "squares", "entropy" or "logdet".
        lower: [n], or one number: bounds of x, which are kept as written rows.
        upper: the same.

    Raises:
        TypeError: for data that are no real numbers or are traced; for an oracle that is none.
        ValueError: for shapes that do not fit, NaN, weights that are not positive, a centre outside
            the function's domain, lower bounds above upper ones, rows without entries.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problem = rs.constrained.Separated(np.array([1.0, 2.0, 3.0]), np.ones((1, 3)), 3.0)
        sol = rs.solve(problem, rtol=1e-9)
        assert np.allclose(sol.x, [0.0, 1.0, 2.0]) and np.allclose(sol.witness.written, [1.0])
        ```
    """

    centre: Any
    inverse: Any
    """One over the weights."""
    A: Any
    b: Any
    oracle: Any = static()
    function: str = static()
    dtype: str = static()
    numpy: bool = static()

    exact_forms: ClassVar[bool] = True

    def __init__(
        self,
        centre: Float[Any, " n"],
        A: Float[Any, "m n"] | None = None,
        b: Any = None,
        *,
        oracle: Callable[[Any], Any] | None = None,
        weights: Float[Any, " n"] | None = None,
        function: str = "squares",
        lower: Any = None,
        upper: Any = None,
    ):
        if is_traced((centre, A, b, weights, lower, upper)):
            refuse(
                TypeError, "centre", given="traced values", needed="arrays of numbers",
                advice="Solve it outside of the transformed function.",
            )  # fmt: skip
        one_of("function", function, FUNCTIONS)
        if oracle is not None and not callable(oracle):
            refuse(
                TypeError, "oracle", given=f"a {type(oracle).__name__}", needed="a function of x",
                advice="Return the violated rows as a pair (A, b), or None.",
            )  # fmt: skip
        c = np.asarray(real_array("centre", centre))
        if c.ndim != 1 or not c.size:
            refuse(
                ValueError, "centre", given=f"shape {c.shape}", needed="a vector",
                advice="Flatten it.",
            )  # fmt: skip
        finite("centre", c)
        if function == "entropy" and not (c > 0).all():
            refuse(
                ValueError, "centre", given=f"entries down to {c.min():.3g}",
                needed="positive ones for the entropy",
                advice="Leave unknowns out whose centre is 0: they stay 0.",
            )  # fmt: skip
        if function == "logdet":
            check_covariance(c, weights)
        w = _vector("weights", 1.0 if weights is None else weights, c.size)
        finite("weights", w)
        if not (w > 0).all():
            refuse(
                ValueError, "weights", given=f"weights down to {w.min():.3g}",
                needed="positive ones", advice="f must be strictly convex.",
            )  # fmt: skip
        A, b = _with_bounds(*written("A", A, "b", b, c.size), lower, upper)
        A = symmetric("A", A) if function == "logdet" else A
        vars(self).update(
            centre=c.astype(np.float64), inverse=1.0 / w, A=A, b=b, oracle=oracle,
            function=function, dtype=np.dtype(c.dtype).name, numpy=is_numpy(centre),
        )  # fmt: skip

    @property
    def bregman(self) -> Any:
        """The function f."""
        return FUNCTIONS[self.function]

    @property
    def n(self) -> int:
        """The number of unknowns."""
        return self.centre.size

    def start(self, key: Any) -> Any:
        """The centre."""
        return self.centre.astype(self.dtype)

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host."""
        return "host"

    def restore(self, x: Any) -> Any:
        """NumPy where the centre was NumPy's, else JAX."""
        if self.numpy:
            return np.array(x)
        with scope(needs_double(x)):
            return jnp.asarray(x)

    def form(self) -> str:
        return "rows" if self.oracle is None else "oracle"

    def asked(self, x: Any) -> tuple[Any, Any]:
        """The oracle's answer at a point: a sparse matrix and its bounds."""
        answer = self.oracle(x.copy())
        if answer is None:
            return written("oracle", None, "oracle", None, self.n)
        if not isinstance(answer, tuple) or len(answer) != 2:
            refuse(
                TypeError, "oracle", given=f"a {type(answer).__name__} as its answer",
                needed="a pair (A, b), or None", advice="Return the violated rows of A x <= b.",
            )  # fmt: skip
        A, b = written("oracle", answer[0], "oracle", answer[1], self.n)
        return (symmetric("oracle", A) if self.function == "logdet" else A), b

    def measured(self, x: Any, rows: RowList, asked: Any = None) -> Measured:
        """A point and multipliers against the conditions of optimality.

        `asked` is what the oracle says at x, where that is known already.
        """
        function = self.bregman
        pull = rows.matrix(self.n).T @ rows.z
        least = function.minimizer(self.centre, self.inverse, pull)
        violation = _violation(self.A, self.b, x)
        if self.oracle is not None:
            A, b = self.asked(x) if asked is None else asked
            violation = max(violation, _violation(A, b, x))
        slack = rows.bounds - rows.matrix(self.n) @ x
        gap = function.divergence(self.inverse, x, least) + float((rows.z * np.abs(slack)).sum())
        length = max(float(np.abs(x).max()), float(np.abs(self.centre).max()))
        unit = function.unit(self.centre, self.inverse, x)
        return Measured(violation, float(np.abs(x - least).max()), gap, length, unit)

    def residual(self, x: Any) -> Any:
        """The difference from the minimizer of the Lagrangian, whose multipliers fit x best."""
        v = np.asarray(x, np.float64)
        rows = self.multipliers_at(v)
        pull = rows.matrix(self.n).T @ rows.z
        return (v - self.bregman.minimizer(self.centre, self.inverse, pull)).astype(self.dtype)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """max(violation, stationarity, gap), each relative, `<= max(rtol, atol)`."""
        v = np.asarray(x, np.float64)
        rows = None if witness is None else self.admitted(witness)
        if rows is None:
            rows = self.multipliers_at(v)
        found = self.measured(v, rows)
        value = self.bregman.value(self.centre, self.inverse, v)
        # A point that meets all rows disproves what multipliers seem to prove.
        missed = found.violation > ROUNDED * found.length
        return found.certificate(
            "residual", objective=value, infeasible=missed and self.proves_infeasible(rows)
        )

    def proves_infeasible(self, rows: RowList) -> bool:
        """Whether multipliers add rows up to one that no point of the domain meets.

        No point whose entries are at most `_FAR` times as large as the data: the centre, and the
        distances of the rows from 0.
        """
        used = rows.where(rows.z > 0)
        if not used.z.size:
            return False
        matrix = used.matrix(self.n)
        # Of one size each, so that it does not matter how rows are written.
        sizes = np.abs(matrix).max(axis=1).toarray().ravel()
        z, bounds = used.z * sizes, used.bounds / sizes
        total = float(z @ bounds)
        if not total < 0:
            return False
        pull = matrix.T @ used.z
        # What adding up the rows may have lost.
        lost = ROUNDED * (abs(matrix).T @ used.z)
        length = max(float(np.abs(self.centre).max()), float(np.abs(bounds).max()))
        return self.bregman.depth(pull, lost) * _FAR * length < -total

    def multipliers_at(self, x: Any) -> RowList:
        """Multipliers of written rows that are attained, which make x optimal if any do."""
        from scipy.optimize import nnls

        force = self.bregman.force(self.centre, self.inverse, x)
        slack = self.b - self.A @ x
        size = np.abs(self.A).max(axis=1).toarray().ravel() * max(float(np.abs(x).max()), 1.0)
        tight = np.flatnonzero(slack <= 1e-6 * (size + np.abs(self.b)))
        always = self.oracle is not None
        chosen = np.arange(self.b.size) if always else tight
        rows = rows_of(self.A[chosen], self.b[chosen], chosen + 1, always=always)
        if tight.size and force.any():
            z, _ = nnls(self.A[tight].T.toarray(), force)
            rows.z[np.isin(chosen, tight)] = z
        return rows

    def admitted(self, witness: Any) -> RowList | None:
        """Multipliers from elsewhere as a list; None where they do not fit."""
        rows = admitted(witness, self.A, self.b, self.oracle is not None)
        # Rows beside the written ones can have come from an oracle alone.
        foreign = rows is not None and self.oracle is None and bool(np.asarray(witness[5]).size)
        return None if foreign else rows

    def witness(self, rows: RowList) -> RowMultipliers:
        """Multipliers as a solution tells them."""
        return witness_of(rows, self.b.size)

    def default_method(self) -> Any:
        """Project and Forget."""
        from resolvent.constrained.metric.project_and_forget import ProjectAndForget

        return ProjectAndForget()

    def describe(self) -> str:
        """How large it is."""
        more = "" if self.oracle is None else " and an oracle"
        return f"Separated({self.n} unknowns, {self.b.size} rows{more})"


def _violation(A: Any, b: Any, x: Any) -> float:
    """The largest excess of a row over its largest entry."""
    if not b.size:
        return 0.0
    size = np.abs(A).max(axis=1).toarray().ravel()
    return max(float(((A @ x - b) / size).max()), 0.0)


def _vector(name: str, value: Any, n: int) -> Any:
    v = np.asarray(real_array(name, value))
    if v.shape not in ((), (n,)):
        refuse(
            ValueError, name, given=f"shape {v.shape}", needed=f"shape ({n},) or one number",
            advice="Give one entry for each.",
        )  # fmt: skip
    return np.broadcast_to(v, (n,)).astype(np.float64)


def written(name: str, A: Any, name_b: str, b: Any, n: int) -> tuple[Any, Any]:
    """Rows as a sparse matrix in double precision and a vector, checked."""
    if A is None or 0 in np.shape(A):
        if A is None and b is not None:
            refuse(
                ValueError, name_b, given="bounds without rows", needed="both of them, or none",
                advice=f"Give {name} as well.",
            )  # fmt: skip
        return scipy.sparse.csr_array((0, n)), np.empty(0)
    if scipy.sparse.issparse(A):
        real_dtype(name, A.dtype)
        matrix = scipy.sparse.csr_array(A, dtype=np.float64)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    else:
        dense = np.asarray(real_array(name, A))
        if dense.ndim != 2:
            refuse(
                ValueError, name, given=f"shape {dense.shape}", needed=f"shape [m, {n}]",
                advice="One row a constraint.",
            )  # fmt: skip
        matrix = scipy.sparse.csr_array(dense.astype(np.float64))
    finite(name, matrix.data)
    if matrix.shape[1] != n:
        refuse(
            ValueError, name, given=f"shape {matrix.shape}", needed=f"shape [m, {n}]",
            advice="One column an unknown.",
        )  # fmt: skip
    if (np.diff(matrix.indptr) == 0).any():
        refuse(
            ValueError, name, given="a row without entries other than 0", needed="none such",
            advice="0 <= b holds for all x or for none: leave it out.",
        )  # fmt: skip
    if b is None:
        refuse(
            ValueError, name_b, given="None", needed="one bound a row",
            advice=f"They are rows {name} x <= b.",
        )  # fmt: skip
    bounds = _vector(name_b, b, matrix.shape[0])
    if np.isnan(bounds).any() or (bounds == -np.inf).any():
        refuse(
            ValueError, name_b, given="bounds that are NaN or -inf", needed="numbers or inf",
            advice="A row with bound inf constrains nothing.",
        )  # fmt: skip
    used = bounds < np.inf
    return (matrix, bounds) if used.all() else (matrix[used], bounds[used])


def _with_bounds(A: Any, b: Any, lower: Any, upper: Any) -> tuple[Any, Any]:
    """The rows, and below them those of the bounds that are finite."""
    n = A.shape[1]
    low = _vector("lower", -np.inf if lower is None else lower, n)
    high = _vector("upper", np.inf if upper is None else upper, n)
    if not (low <= high).all():
        refuse(
            ValueError, "lower", given="bounds that are NaN, or above the upper ones",
            needed="lower <= upper", advice="Look at their order.",
        )  # fmt: skip
    eye = scipy.sparse.eye_array(n, format="csr")
    below, above = np.isfinite(low), np.isfinite(high)
    stack = scipy.sparse.vstack([A, -eye[below], eye[above]], format="csr")
    return scipy.sparse.csr_array(stack), np.concatenate([b, -low[below], high[above]])


def fresh_rows(A: Any, b: Any, keys: Any, x: Any, rows: RowList, slack: float) -> RowList:
    """Those of some rows that x violates and the list does not have."""
    excess = A @ x - b
    size = np.abs(A).max(axis=1).toarray().ravel() if b.size else np.empty(0)
    new = (excess > slack * size) & ~np.isin(keys, rows.keys)
    _, first = np.unique(keys[new], return_index=True)
    picked = np.flatnonzero(new)[np.sort(first)]
    return rows_of(A[picked], b[picked], keys[picked])
