"""Losses with their targets as terms of objectives, and the dual term of the hinge."""

import math
from typing import Any

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent.functions.function import Function
from resolvent.functions.losses import LeastSquares, Loss, alike
from resolvent.functions.losses_classification import Hinge
from resolvent.functions.sets import as_data, inside, same_shape


class Fit(Function):
    """A loss with its targets, as a function of the predictions: sum over i of w_i loss(z_i, y_i).

    Args:
        loss: a `Loss`.
        y: [n], checked and brought into form by `loss.targets`.
        weights: None for ones, or [n], not negative and not all zero.

    Raises:
        TypeError: for a loss that is no Loss.
        ValueError: for targets that do not fit the loss, or weights that do not fit the targets.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        fit = rs.functions.Fit(rs.functions.LeastSquares(), jnp.array([1.0, 2.0]))
        assert fit.value(jnp.zeros(2)) == 2.5
        assert (fit.prox(jnp.zeros(2), 1.0) == jnp.array([0.5, 1.0])).all()
        ```
    """

    loss: Loss
    y: Any
    weights: Any = None

    def __init__(self, loss: Loss, y: Any, weights: Any = None):
        if not isinstance(loss, Loss):
            refuse(
                TypeError, "loss", given=f"a {type(loss).__name__}", needed="a Loss",
                advice="See resolvent.functions for losses.",
            )  # fmt: skip
        y = loss.targets(y)
        if weights is not None:
            weights = real_array("weights", weights)
            finite("weights", weights)
            known = not is_traced(weights)
            if weights.shape != y.shape or (known and not (weights.min() >= 0 < weights.max())):
                refuse(
                    ValueError, "weights",
                    given=f"shape {weights.shape} beside targets of shape {y.shape}"
                    if weights.shape != y.shape else "negative or only zero weights",
                    needed="one weight >= 0 a target, not all zero",
                    advice="Leave weights out for equal ones.",
                )  # fmt: skip
        vars(self).update(loss=loss, y=y, weights=weights)

    @property
    def smoothness(self) -> Any:
        """A Lipschitz constant of the gradient; infinite where there is none."""
        most = self.loss.smoothness
        return most if self.weights is None else most * self.weights.max()

    def value(self, x: Any) -> Any:
        return self._weighted(self.loss.each(x, self.y)).sum()

    def gradient(self, x: Any) -> Any:
        """The derivative, of the shape of x; a subgradient where there is none."""
        return self._weighted(self.loss.slope(x, self.y))

    def prox(self, x: Any, step: Any) -> Any:
        if self.weights is not None:
            _, x, step, weights = alike(x, step, self.weights)
            step = step * weights
        return self.loss.prox(x, self.y, step)

    def conjugate(self, v: Any) -> Any:
        if self.weights is None:
            return self.loss.conjugate(v, self.y).sum()
        xp, v, weights = alike(v, self.weights)
        counts = weights > 0
        share = v / _beside(xp.where(counts, weights, 1), v)
        each = weights * self.loss.conjugate(xp.where(_beside(counts, v), share, 0), self.y)
        rest = abs(v).reshape(v.shape[0], -1).max(axis=1)
        return xp.where(counts, each, xp.where(rest == 0, 0, xp.inf)).sum()

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any] | None:
        # The one loss here whose conjugate is finite everywhere.
        if not isinstance(self.loss, LeastSquares) or self.weights is not None:
            return None
        return 1.0, self.conjugate(v)

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        # Between kinks a step however small leaves the subdifferential of one: there, the distance
        # by way of the prox is what can become small.
        if not self.loss.smooth:
            return super().subdifferential_distance(x, v)
        return trees.norm(trees.minus(v, self.gradient(x)))

    def check(self, point: Any) -> None:
        self.loss.check(point, self.y)

    def _weighted(self, each: Any) -> Any:
        if self.weights is None:
            return each
        _, each, weights = alike(each, self.weights)
        return _beside(weights, each) * each


def _beside(weights: Any, x: Any) -> Any:
    """One number a sample, shaped to go with predictions of several."""
    return weights.reshape(weights.shape + (1,) * (x.ndim - 1))


class SVMDual(Function):
    """The separable part of a support vector machine's dual: -<labels, x> on 0 <= labels x <= C.

    With half of x^T K x beside it, K a kernel's matrix, the sum is least at the coefficients x of
    the machine sum over i of x_i k(x_i, .), without an intercept. It is the conjugate of C times
    the hinge, at -x.

    Args:
        labels: [n], -1 or +1, or two classes as `Hinge().targets` takes them.
        C: positive, the weight of the hinge.

    Raises:
        ValueError: for labels of another number of classes, a C that is not positive, a point of
            another shape.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        term = rs.functions.SVMDual(jnp.array([-1.0, 1.0]), C=2.0)
        assert (term.prox(jnp.array([5.0, 0.5]), 1.0) == jnp.array([0.0, 1.5])).all()
        ```
    """

    labels: Any
    C: Any

    def __init__(self, labels: Any, C: Any = 1.0):
        between("C", C, 0.0, math.inf, "It weighs the errors.")
        vars(self).update(labels=Hinge().targets(labels), C=C)

    def value(self, x: Any) -> Any:
        y = as_data(self.labels, x)
        outside = trees.norm(x - self.nearest(x))
        return -(y * x).sum() + inside(jnp.asarray(outside), trees.norm(x))

    def nearest(self, x: Any) -> Any:
        y = as_data(self.labels, x)
        return y * jnp.clip(y * x, 0, jnp.asarray(self.C, x.dtype))

    def prox(self, x: Any, step: Any) -> Any:
        return self.nearest(x + jnp.asarray(step, x.dtype) * as_data(self.labels, x))

    def displacement(self, x: Any, v: Any) -> Any:
        y = as_data(self.labels, x)
        return y * jnp.clip(y * v - 1, y * x - jnp.asarray(self.C, x.dtype), y * x)

    def response(self, v: Any) -> Any:
        y = as_data(self.labels, v)
        return y * jnp.where(1 + y * v > 0, jnp.asarray(self.C, v.dtype), 0)

    def conjugate(self, v: Any) -> Any:
        y = as_data(self.labels, v)
        return self.C * jnp.maximum(1 + y * v, 0).sum()

    def scaled_conjugate(self, v: Any) -> tuple[Any, Any]:
        return 1.0, self.conjugate(v)

    def check(self, point: Any) -> None:
        same_shape("labels", self.labels, point)
