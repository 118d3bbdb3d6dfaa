"""Generalized linear models: a loss of predictions X w + c, and a penalty on w."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import finite, is_traced, real_array, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.problem import Engine
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import as_jax
from resolvent._core.value import static
from resolvent.composite.descent.dual_form import dual_box
from resolvent.composite.descent.grouped import grouped
from resolvent.composite.descent.separable import separable
from resolvent.composite.design import DenseDesign, as_design
from resolvent.composite.problem import Composite
from resolvent.composite.support_system import dense_columns
from resolvent.functions import Everything, Function, LeastSquares, Loss, Product, SquaredL2


class GeneralizedLinear(Composite):
    """Minimize the mean over samples of loss(x_i . w + c, y_i), plus penalty(w).

    Here x_i are the rows of X. The intercept c is 0 unless it is asked for, and with weights the
    mean is a weighted one. The lasso, sparse logistic regression and support vector machines are
    such problems, with 1 / n before the loss.

    The certificate is the duality gap: the objective less a lower bound of the least objective,
    from a dual point that is made of the slopes of the loss at the predictions of this very point.
    Relative tolerances refer to what the best constant prediction leaves of the loss. Where the
    penalty is not convex or its conjugate is not known, the certificate is that of a `Composite`;
    it is infinite where the predictions separate the classes and the penalty does not grow with
    them, because then there is no answer, or none near this point.

    Args:
        X: [n, p], NumPy, JAX or SciPy sparse.
        y: [n], as the loss takes its targets.
        loss: a `Loss`; None for least squares. With one of k predictions a sample w is [p, k].
        penalty: a `Function` of w; None for none.
        intercept: whether there is a c. Then the unknown is the pair (w, c).
        weights: [n], not negative and not all zero; only their ratios count.
        start: a first guess other than zero.

    Raises:
        TypeError: for a loss that is no Loss, a penalty that is no Function, data that are no real
            numbers.
        ValueError: for shapes that do not fit, data that are not finite, targets that do not suit
            the loss, weights that are negative or all zero.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X, y = np.eye(3), np.array([3.0, -0.3, 0.0])
        lasso = rs.GeneralizedLinear(X, y, penalty=rs.functions.L1(0.2))
        sol = rs.solve(lasso, rtol=1e-8)
        assert np.allclose(sol.x, [2.4, 0.0, 0.0])

        # Answers have derivatives in the weight, as in all else: from a linear system on the
        # support alone. From x0 on, no step is left to be made.
        import jax
        def held_out(weight):
            problem = lasso.penalized(rs.functions.L1(weight))
            w = rs.solve(problem, x0=sol.x, rtol=1e-8).x
            return 0.5 * ((w - 2.0) ** 2).sum()  # or the loss on other samples

        with jax.enable_x64(True):
            loss, slope = jax.jit(jax.value_and_grad(held_out))(0.2)
        assert np.isclose(slope, 0.4 * -3.0)
        ```
    """

    design: Any
    y: Any
    loss: Any
    penalty: Any
    weights: Any
    intercept: bool = static()
    dual: bool = static()
    """Whether there is a duality gap."""

    exact_forms: ClassVar[bool] = True

    def __init__(
        self,
        X: Float[Any, "n p"],
        y: Any,
        loss: Loss | None = None,
        penalty: Function | None = None,
        *,
        intercept: bool = False,
        weights: Float[Any, " n"] | None = None,
        start: Any = None,
    ):
        loss = LeastSquares() if loss is None else loss
        if not isinstance(loss, Loss):
            refuse(
                TypeError, "loss", given=f"a {type(loss).__name__}", needed="a Loss",
                advice="See resolvent.functions for losses.",
            )  # fmt: skip
        penalty = Everything() if penalty is None else penalty
        if not isinstance(penalty, Function):
            refuse(
                TypeError, "penalty", given=f"a {type(penalty).__name__}",
                needed="a Function, or None", advice="See resolvent.functions for penalties.",
            )  # fmt: skip
        design, y = as_design("X", X), loss.targets(y)
        n, p = design.shape
        if y.shape != (n,):
            refuse(
                ValueError, "y", given=f"shape {y.shape} beside X of shape {(n, p)}",
                needed="one target a row of X", advice="Look at the number of samples.",
            )  # fmt: skip
        dtype, outputs = design.dtype, loss.outputs(y)
        y = y if y.dtype.kind in "iu" else y.astype(dtype)
        xp = np if design.numpy and isinstance(y, np.ndarray) else jnp
        first = xp.zeros((p, *outputs), dtype)
        first = (first, xp.zeros(outputs, dtype)) if intercept else first
        own = first[0] if intercept else first
        with scope(needs_double(own) and not is_traced((own, penalty))):
            penalty.check(own)
            dual = penalty.convex and penalty.scaled_conjugate(own) is not None
        vars(self).update(
            design=design, y=y, loss=loss, penalty=penalty, weights=_shares(weights, n, xp, dtype),
            intercept=bool(intercept),
            dual=dual,
            g=Product((penalty, Everything())) if intercept else penalty,
            f=None, args=None, lipschitz=None, strong=None, unit=1.0,
            first=first, numpy=xp is np,
        )  # fmt: skip
        vars(self)["unit"] = self._excess() if dual else self._slope_at_zero()
        self._check_unit()
        if start is not None:
            vars(self)["first"] = self.admit(start, "start")

    def penalized(self, penalty: Function) -> "GeneralizedLinear":
        """The same problem with another penalty, without a second look at the data.

        Args:
            penalty: of the same kind of point.

        Returns:
            The problem; its matrix and targets are those of this one.

        Raises:
            ValueError: for a penalty that does not fit the coefficients.
        """
        own = self.first[0] if self.intercept else self.first
        with self.precision((own, penalty)):
            penalty.check(own)
            dual = penalty.convex and penalty.scaled_conjugate(own) is not None
        g = Product((penalty, Everything())) if self.intercept else penalty
        changed = self.but(penalty=penalty, g=g, dual=dual)
        if dual != self.dual:
            vars(changed)["unit"] = changed._excess() if dual else changed._slope_at_zero()
        return changed

    def reweighted(self, weights: Float[Any, " n"]) -> "GeneralizedLinear":
        """The same problem with other weights of the samples, without a copy of the data.

        Args:
            weights: [n], not negative and not all zero; only their ratios count.

        Returns:
            The problem.

        Raises:
            ValueError: for weights that are negative or all zero.
        """
        xp = np if self.numpy else jnp
        shares = _shares(weights, self.design.shape[0], xp, self.design.dtype)
        changed = self.but(weights=shares)
        vars(changed)["unit"] = changed._excess() if self.dual else changed._slope_at_zero()
        return changed

    def predictions(self, x: Any) -> Any:
        """X w + c, [n] or [n, k]."""
        if self.intercept:
            return self.design.times(x[0]) + x[1]
        return self.design.times(x)

    def smooth(self, x: Any) -> Any:
        """The mean loss."""
        return self.mean_loss(self.predictions(x))

    def mean_loss(self, z: Any) -> Any:
        """The mean loss of predictions."""
        return _sum(self.weights, self.loss.each(z, self.y))

    def slope(self, x: Any) -> tuple[Any, Any]:
        """The mean loss and its gradient."""
        z = self.predictions(x)
        return self.mean_loss(z), self.pulled_back(self.loss.slope(z, self.y))

    def pulled_back(self, v: Any) -> Any:
        """The gradient in x where the slopes of the loss are v."""
        v = _beside(self.weights, v) * v
        w = self.design.transposed_times(v)
        return (w, v.sum(axis=0)) if self.intercept else w

    def second_derivative(self, x: Any, chosen: Any) -> Any:
        """X^T diag(curvature of the loss) X between chosen entries of x."""
        if self.loss.outputs(self.y):
            return None
        columns = dense_columns(self.design, chosen)
        if columns is None:
            return None
        if self.intercept:
            columns = columns + (chosen == self.design.shape[1]).astype(columns.dtype)
        bent = self.weights * self.loss.curvature(self.predictions(x), self.y)
        return columns.T @ (bent[:, None] * columns)

    def objective(self, x: Any) -> Any:
        """The mean loss plus the penalty."""
        return self.smooth(x) + self.penalty.value(x[0] if self.intercept else x)

    def merit(self, x: Any, gradient: Any) -> Any:
        """The certificate's value at a point whose gradient is known."""
        if not self.dual:
            value, x = super().merit(x, gradient), jax.lax.stop_gradient(x)
            w = x[0] if self.intercept else x
            if self.penalty.level(w) is False:
                return value
            return value + self.endless(self.predictions(x), w)
        return self.gap(*jax.lax.stop_gradient((x, self.predictions(x))))

    def endless(self, z: Any, w: Any) -> Any:
        """Infinity where coefficients w and predictions z prove that there is no answer, else 0.

        Where no sample's loss rises along z and one falls, and there is no penalty, the objective
        falls forever: its gradient vanishes, and nothing is found. So it is with a penalty that is
        constant on the ray from w on; but not before 99 parts in 100 of the loss are gone, for
        until then one may turn to fewer coefficients, and stay.
        """
        flat = self.penalty.level(w)
        if flat is False:
            return 0.0
        turns = self.loss.recedes(z, self.y)
        xp = jnp if isinstance(turns, jax.Array) else np
        turns = xp.where(self.weights > 0, turns, 0)
        if flat is not True:
            least = self.loss.conjugate(0 * z, self.y)
            losses = [self.loss.each(u, self.y) + least for u in (z, 0 * z)]
            flat = flat & (_sum(self.weights, losses[0]) <= 0.01 * _sum(self.weights, losses[1]))
        return xp.where(flat & (turns >= 0).all() & (turns > 0).any(), xp.inf, 0.0)

    def gap(self, x: Any, z: Any, pulled: Any = None, v: Any = None) -> Any:
        """The duality gap of a point with predictions z, by the dual point of their slopes.

        `pulled` is the gradient in w there, if it is known (see `bound`); `v` is another dual
        point, which is taken if its bound is higher. Rounding errors of the objective and of its
        bound are part of it: no gap is zero that is only too small to be seen.
        """
        with self.precision(x):
            primal = self.mean_loss(z) + self.penalty.value(x[0] if self.intercept else x)
            bound = self.bound(self.loss.dual(z, self.y), pulled)
            if v is not None:
                other = self.bound(v)
                xp = jnp if isinstance(other, jax.Array) else np
                bound = xp.where(other > bound, other, bound)
            rounding = float(jnp.finfo(self.design.dtype).eps) * (abs(primal) + abs(bound))
            return abs(primal - bound) + rounding

    def precision(self, x: Any) -> Any:
        """The scope in which JAX's parts keep the precision of NumPy's data."""
        return scope(self.numpy and needs_double(self.first) and not is_traced(x))

    def bound(self, v: Any, pulled: Any = None) -> Any:
        """A lower bound of the least objective from slopes v of the loss, [n] or [n, k].

        `pulled` is the gradient in w where they are the slopes, if it is known; with an intercept,
        where their weighted sum is zero.
        """
        balanced = self.loss.balanced(v, self.y, self.weights) if self.intercept else v
        if pulled is None:
            pulled = self.design.transposed_times(_beside(self.weights, v) * balanced)
        scale, rest = self.penalty.scaled_conjugate(-pulled)
        return -_sum(self.weights, self.loss.conjugate(trees.times(scale, balanced), self.y)) - rest

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """Duality gap: `objective - bound <= max(rtol excess, atol)`."""
        with self.precision(x):
            found = self._gap_of(x, witness) if self.dual else super().certify(x, witness)
            # JAX's numbers in double precision mean nothing outside of this scope.
            return found.as_numbers() if self.numpy and not is_traced((x, self)) else found

    def _gap_of(self, x: Any, v: Any) -> Certificate:
        return Certificate(
            self.gap(x, self.predictions(x), None, v), self.unit, kind="bound", name="duality gap",
            statement="objective(x) - lower bound <= max(rtol excess loss of a constant, atol)",
        )  # fmt: skip

    def _excess(self) -> Any:
        """What the best constant prediction leaves of the loss above its least value."""
        z = self._constant()
        least = self.loss.conjugate(0 * z, self.y)
        return self.weights @ (self.loss.each(z, self.y) + least)

    def _constant(self) -> Any:
        """The best constant prediction where it is known, [n] or [n, k]."""
        constant = self.loss.constant(self.y, self.weights) if self.intercept else None
        xp = np if self.numpy else jnp
        z = xp.zeros(self.y.shape + self.loss.outputs(self.y), self.design.dtype)
        return z if constant is None else xp.where(xp.isfinite(constant), constant, 0) + z

    def _check_unit(self) -> None:
        """Refuse targets whose loss overflows, or vanishes where it has a slope."""
        if not self.dual or is_traced(self.unit):
            return
        size, steep = float(self.unit), False
        if self.loss.smooth and size == 0:
            slopes = np.asarray(self.loss.slope(self._constant(), self.y))[self.weights > 0]
            # Beyond the rounding errors of a constant that fits.
            rounding = 64 * np.finfo(slopes.dtype).eps * float(abs(self.y).max())
            steep = bool(abs(slopes).max() > rounding)
        if steep or size == np.inf:
            refuse(
                ValueError, "y", given=f"targets of which the loss is {size}, rounded",
                needed="a loss that neither overflows nor vanishes",
                advice="Divide y by its largest entry, and the penalty to match.",
            )  # fmt: skip

    def _slope_at_zero(self) -> Any:
        """The norm of the gradient at zero."""
        with self.precision(self.first):
            size = trees.norm(self.slope(self.first)[1])
        return float(size) if self.numpy else size

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
        """`separable`, `grouped`, `ridge`: the penalty is none of these; `smooth`, `curved`: the
        loss has a kink; `dual box`: its conjugate is no quadratic."""
        p, dtype = self.design.shape[1], self.design.dtype
        if need == "separable" and separable(self.penalty, p, dtype) is None:
            return f"{type(self.penalty).__name__} is no sum over coordinates that is known here"
        if need == "grouped" and grouped(self.penalty, p, dtype) is None:
            return f"{type(self.penalty).__name__} is no sum of norms over groups that is known"
        if need == "ridge" and not self._ridge():
            return "its penalty is no SquaredL2 around zero, or there is an intercept"
        if need == "dual box" and dual_box(self.loss, np.empty(0)) is None:
            return f"{type(self.loss).__name__} has no conjugate that is quadratic on an interval"
        if need == "smooth" and not self.loss.smooth:
            return f"{type(self.loss).__name__} has no derivative"
        if need == "curved" and (not self.loss.smooth or self.loss.outputs(self.y)):
            return f"{type(self.loss).__name__} has no second derivative in one number"
        return super().lacks(need)

    def samples(self) -> int | None:
        """How many rows a dense X has; None for others."""
        return self.design.shape[0] if isinstance(self.design, DenseDesign) else None

    def sampled(self, rows: Any) -> "GeneralizedLinear":
        """The problem with some of the samples."""
        share = self.weights[rows] * (self.weights.size / rows.size)
        design = self.design.but(matrix=self.design.matrix[rows])
        return self.but(design=design, y=self.y[rows], weights=share)

    def _ridge(self) -> bool:
        penalty = self.penalty
        plain = isinstance(penalty, SquaredL2) and penalty.center is None and penalty.domain is None
        return plain and not self.intercept

    def form(self) -> str:
        return type(self.design).__name__.removesuffix("Design").lower()

    def default_method(self) -> Any:
        """Descent along coordinates or groups where the penalty is a sum over them, on the host."""
        from resolvent.composite.descent.coordinate_descent import CoordinateDescent
        from resolvent.composite.descent.dual_coordinate_descent import DualCoordinateDescent
        from resolvent.composite.descent.group_descent import GroupDescent
        from resolvent.composite.gradients.proximal_gradient import ProximalGradient

        for method in (CoordinateDescent(), GroupDescent(), DualCoordinateDescent()):
            if not is_traced(self) and self.missing(method.needs) is None:
                return method
        return ProximalGradient()

    def describe(self) -> str:
        """Size of the data, loss and penalty."""
        n, p = self.design.shape
        loss, penalty = type(self.loss).__name__, type(self.penalty).__name__
        return f"GeneralizedLinear({n} samples, {p} features, {loss}, {penalty})"


def _sum(weights: Any, terms: Any) -> Any:
    """The weighted sum. Not by BLAS, whose threads take longer to wake up, and then wait busily."""
    return (weights * terms).sum()


def _beside(weights: Any, v: Any) -> Any:
    """One number a sample, shaped to go with slopes of several predictions."""
    return weights.reshape(weights.shape + (1,) * (v.ndim - 1))


def _shares(weights: Any, n: int, xp: Any, dtype: Any) -> Any:
    """Weights of sum 1."""
    if weights is None:
        return xp.full(n, 1.0 / n, dtype)
    weights = real_array("weights", weights)
    finite("weights", weights)
    wrong = weights.shape != (n,)
    if wrong or not (is_traced(weights) or weights.min() >= 0 < weights.max()):
        refuse(
            ValueError, "weights",
            given=f"shape {weights.shape} for {n} samples" if wrong else "negative or only zeros",
            needed="one weight >= 0 a sample, not all zero",
            advice="Leave weights out for equal ones.",
        )  # fmt: skip
    weights = xp.asarray(weights, dtype)
    return weights / weights.sum()
