"""Linear separation: a hyperplane that has every sample on its own side."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core.checks import is_traced, refuse
from resolvent._core.norm import is_safe
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem
from resolvent._core.value import static
from resolvent.composite.design import DenseDesign, as_design
from resolvent.composite.separation.signed_rows import SignedRows
from resolvent.functions import Logistic


class LinearSeparation(TreeProblem):
    """Find w and c with y_i (x_i . w + c) > 0 for all samples, y_i = -1 or +1.

    The certificate is the number of samples that are not on their side, or nearer to the border
    than rounding errors. Relative tolerances refer to one sample: below 1 all of them are asked
    for; `atol=k` admits k exceptions. Its details have the `margin`, the least y_i (x_i . w + c)
    over the length of (w, c): positive, it is a proof, and at most the largest margin of all.

    Where nothing separates the samples, methods end with reason `infeasible` and weights alpha as
    the solution's `witness`: alpha >= 0, of sum 1, with a sum of alpha_i y_i (x_i, 1) that
    vanishes. For any such weights the length of that sum, `margin bound` among the details, bounds
    all margins from above; methods end when it is below the square root of the precision times the
    length of the longest sample.

    Lengths of (w, c) and of (x_i, 1) take the intercept in a unit in which its feature, the 1, is
    as long as the longest x_i.

    Args:
        X: [n, p], NumPy, JAX or SciPy sparse.
        y: [n], labels of two classes; -1 and +1, or others of which the second in sorted order is
            the positive one.
        intercept: whether there is a c. Then the unknown is the pair (w, c).

    Raises:
        TypeError: for data that are no real numbers, or that are traced.
        ValueError: for shapes that do not fit, data that are not finite or whose squares overflow
            or vanish, more than two classes.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.array([[2.0, 1.0], [1.0, -1.0], [-1.0, 0.5], [-3.0, 1.0]])
        sol = rs.solve(rs.LinearSeparation(X, ["a", "a", "b", "b"]))
        assert sol.converged and sol.certificate.details["margin"] > 0
        ```

    Reference:
        P. Gordan (1873), Ueber die Aufloesung linearer Gleichungen mit reellen Coefficienten, for
        the alternative of a separating hyperplane and the weights alpha.
    """

    design: Any
    y: Any
    intercept: bool = static()

    def __init__(self, X: Float[Any, "n p"], y: Any, *, intercept: bool = False):
        if is_traced((X, y)):
            refuse(
                TypeError, "X", given="traced values", needed="arrays of numbers",
                advice="Solve it outside of the transformed function.",
            )  # fmt: skip
        design = as_design("X", X)
        (n, p), dtype = design.shape, design.dtype
        entries = design.matrix if isinstance(design, DenseDesign) else design.data
        largest = float(abs(entries).max(initial=0.0))
        if largest > 0 and not is_safe(p * (largest * largest), np.dtype(dtype)):
            refuse(
                ValueError, "X", given=f"entries up to {largest:.1e}",
                needed="ones whose squares neither overflow nor vanish",
                advice="Divide X by its largest entry, and multiply c by that.",
            )  # fmt: skip
        signs = _signs(y)
        if signs.shape != (n,):
            refuse(
                ValueError, "y", given=f"shape {signs.shape} beside X of shape {(n, p)}",
                needed="one label a row of X", advice="Look at the number of samples.",
            )  # fmt: skip
        xp = np if design.numpy else jnp
        signs = xp.asarray(signs, dtype)
        first = xp.zeros(p, dtype)
        vars(self).update(
            design=design, y=signs, intercept=bool(intercept),
            first=(first, xp.zeros((), dtype)) if intercept else first, unit=1.0,
            numpy=design.numpy,
        )  # fmt: skip

    def rows(self) -> SignedRows:
        """The samples as methods take them."""
        return SignedRows(self)

    def residual(self, x: Any) -> Any:
        """The number of samples that are not on their side."""
        rows = self.rows()
        theta = rows.flat(x)
        return float(rows.wrong(theta, rows.margins(theta)).sum())

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """The number of i with y_i (x_i . w + c) <= 0 is at most max(rtol, atol)."""
        rows = self.rows()
        theta = rows.flat(x)
        margins = rows.margins(theta)
        length = float(np.linalg.norm(theta))
        details = {"margin": float(margins.min()) / length if length > 0 else 0.0}
        if witness is not None:
            details["margin bound"] = rows.margin_bound(witness)
        return Certificate(
            float(rows.wrong(theta, margins).sum()), 1.0, kind="bound", details=details,
            name="samples on the wrong side",
            statement="the number of i with y_i (x_i . w + c) <= 0 is at most max(rtol, atol)",
        )  # fmt: skip

    def engine(self, engines: tuple[Engine, ...]) -> Engine:
        """The host."""
        return "host"

    def prepare(self, engine: Engine) -> Any:
        """The same problem with NumPy's arrays."""
        return jax.tree_util.tree_map(
            lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, self
        )

    def form(self) -> str:
        return type(self.design).__name__.removesuffix("Design").lower()

    def default_method(self) -> Any:
        """Normalized gradient descent on the logistic loss."""
        from resolvent.composite.separation.normalized_logistic import NormalizedLogisticGradient

        return NormalizedLogisticGradient()

    def describe(self) -> str:
        """Size of the data."""
        n, p = self.design.shape
        return f"LinearSeparation({n} samples, {p} features)"


def _signs(y: Any) -> Any:
    """-1 and +1 as they are, also of one class alone; other labels by their order."""
    labels = np.asarray(y)
    if labels.dtype.kind in "iuf" and labels.ndim == 1 and np.isin(labels, (-1, 1)).all():
        return labels.astype(np.float64)
    return np.asarray(Logistic().targets(labels))
