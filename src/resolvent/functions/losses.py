"""Losses of predictions against targets: their base, and those of regression."""

import abc
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent._core.value import Value
from resolvent.functions.losses_prox import poisson_near, special
from resolvent.functions.own_kind import own_kind

_EDGE = 64  # rounding errors that a dual point may be outside of a conjugate's domain


def alike(z: Any, *others: Any) -> tuple[Any, ...]:
    """The array module of z and the others together, and all of them in the precision of z."""
    z = real_array("predictions", z)
    xp = jnp if any(isinstance(part, jax.Array) for part in (z, *others)) else np
    return xp, xp.asarray(z), *(xp.asarray(part, z.dtype) for part in others)


def on_interval(xp: Any, v: Any, low: Any, high: Any, value: Any) -> Any:
    """value(v) for low <= v <= high, up to rounding, and infinity elsewhere."""
    near = xp.clip(v, low, high)
    slack = _EDGE * xp.finfo(v.dtype).eps * (1 + abs(near))
    return xp.where(abs(v - near) <= slack, value(near), xp.inf)


class Loss(Value):
    """A convex loss of predictions z against targets y, sample by sample.

    The objective is a sum of `each` over samples, with weights where the caller has some. All
    functions act on the leading axis at once, on NumPy arrays as on JAX's and under their
    transformations, in the precision of z. Targets are those that `targets` returns.
    """

    smooth: ClassVar[bool] = True
    """Whether there is a derivative everywhere."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        own_kind(cls, ("prox",))

    @property
    @abc.abstractmethod
    def smoothness(self) -> Any:
        """The largest curvature; infinite where there is none."""

    @abc.abstractmethod
    def each(self, z: Any, y: Any) -> Any:
        """The loss of each sample, [n]."""

    @abc.abstractmethod
    def slope(self, z: Any, y: Any) -> Any:
        """The derivative in z, of its shape; a subgradient where there is none."""

    @abc.abstractmethod
    def curvature(self, z: Any, y: Any) -> Any:
        """The second derivative in z, of its shape, where there is one."""

    @abc.abstractmethod
    def conjugate(self, v: Any, y: Any) -> Any:
        """sup over z of v z - loss(z, y) for each sample, [n]; infinite outside of its domain."""

    @abc.abstractmethod
    def prox(self, z: Any, y: Any, step: Any) -> Any:
        """The u that minimizes loss(u, y) + (u - z)^2 / (2 step); step a number or [n]."""

    def dual(self, z: Any, y: Any) -> Any:
        """The slope at z, a point where the conjugate is finite."""
        return self.slope(z, y)

    def outputs(self, y: Any) -> tuple[int, ...]:
        """The shape of one sample's prediction."""
        return ()

    def recedes(self, z: Any, y: Any) -> Any:
        """For each sample, whether its loss falls forever along z (1), stays (0), or rises (-1).

        Where no sample rises and one falls, no multiple of z is the best one: without a penalty
        there is no answer. 0 for losses that have a least value which they reach.
        """
        return alike(z)[0].zeros_like(alike(self.each(z, y))[1])

    def balanced(self, v: Any, y: Any, weights: Any) -> Any:
        """Slopes near v, in the domain of the conjugate, whose weighted sum is zero.

        That is what a free intercept asks of a dual point.
        """
        xp, v, weights = alike(v, weights)
        share = weights * v
        up, down = (share * (share > 0)).sum(), -(share * (share < 0)).sum()
        least = xp.minimum(up, down)
        rise, fall = (least / xp.where(part > 0, part, 1) for part in (up, down))
        return xp.where(v > 0, rise, fall) * v

    def targets(self, y: Any) -> Any:
        """Targets as the other functions want them, checked; traced values pass."""
        return vector(y)

    def constant(self, y: Any, weights: Any = None) -> Any:
        """The best prediction that is the same for all samples; None without a closed form."""
        return None

    def check(self, z: Any, y: Any) -> None:
        """Refuse predictions whose shape does not fit the targets."""
        if np.shape(z) != np.shape(y):
            misfit(z, y, "one prediction a target")


def misfit(z: Any, y: Any, needed: str) -> None:
    refuse(
        ValueError, "predictions", given=f"shape {np.shape(z)} for targets of shape {np.shape(y)}",
        needed=needed, advice="Look at the number of samples.",
    )  # fmt: skip


def vector(y: Any) -> Any:
    """Finite real targets, [n]; traced values pass."""
    y = real_array("y", y)
    one_axis(y)
    finite("y", y)
    return y


def one_axis(y: Any) -> None:
    if y.ndim != 1 or y.size == 0:
        refuse(
            ValueError, "y", given=f"shape {y.shape}", needed="one target a sample, shape [n]",
            advice="Pass y.ravel() for a column.",
        )  # fmt: skip


def mean(y: Any, weights: Any) -> Any:
    """The weighted mean of y."""
    if weights is None:
        return y.mean()
    _, y, weights = alike(y, weights)
    return (weights * y).sum() / weights.sum()


class LeastSquares(Loss):
    """Half of the squared residual: (z - y)^2 / 2.

    Its conjugate is v y + v^2 / 2.

    Raises:
        ValueError: for targets that are not finite or not a vector.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.LeastSquares()
        assert loss.each(np.array([3.0]), np.array([1.0])) == 2.0
        ```
    """

    @property
    def smoothness(self) -> Any:
        return 1.0

    def each(self, z: Any, y: Any) -> Any:
        _, z, y = alike(z, y)
        return 0.5 * (z - y) * (z - y)

    def slope(self, z: Any, y: Any) -> Any:
        _, z, y = alike(z, y)
        return z - y

    def curvature(self, z: Any, y: Any) -> Any:
        xp, z = alike(z)
        return xp.ones_like(z)

    def conjugate(self, v: Any, y: Any) -> Any:
        _, v, y = alike(v, y)
        return v * (y + 0.5 * v)

    def prox(self, z: Any, y: Any, step: Any) -> Any:
        _, z, y, step = alike(z, y, step)
        return z - step / (1 + step) * (z - y)

    def constant(self, y: Any, weights: Any = None) -> Any:
        return mean(y, weights)


class Huber(Loss):
    """Squared near the target, linear far from it.

    (z - y)^2 / 2 for |z - y| <= delta, else delta |z - y| - delta^2 / 2. Its conjugate is
    v y + v^2 / 2 on |v| <= delta.

    Args:
        delta: positive, in the units of y.

    Raises:
        ValueError: for a delta that is not positive, targets that are not finite or not a vector.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.Huber(1.0)
        assert loss.slope(np.array([9.0]), np.array([0.0])) == 1.0
        ```

    Reference:
        P. J. Huber, 1964, "Robust estimation of a location parameter".
    """

    delta: Any = 1.0

    def __post_init__(self) -> None:
        between("delta", self.delta, 0.0, math.inf, "LeastSquares is the limit of large delta.")

    @property
    def smoothness(self) -> Any:
        return 1.0

    def each(self, z: Any, y: Any) -> Any:
        xp, z, y, delta = alike(z, y, self.delta)
        near = xp.clip(z - y, -delta, delta)
        return near * ((z - y) - 0.5 * near)

    def slope(self, z: Any, y: Any) -> Any:
        xp, z, y, delta = alike(z, y, self.delta)
        return xp.clip(z - y, -delta, delta)

    def curvature(self, z: Any, y: Any) -> Any:
        _, z, y, delta = alike(z, y, self.delta)
        return (abs(z - y) <= delta).astype(z.dtype)

    def conjugate(self, v: Any, y: Any) -> Any:
        xp, v, y, delta = alike(v, y, self.delta)
        return on_interval(xp, v, -delta, delta, lambda v: v * (y + 0.5 * v))

    def prox(self, z: Any, y: Any, step: Any) -> Any:
        xp, z, y, step, delta = alike(z, y, step, self.delta)
        return z - xp.clip(step / (1 + step) * (z - y), -step * delta, step * delta)


class Poisson(Loss):
    """Counts whose logarithmic mean is predicted: exp(z) - y z.

    That is the negative log-likelihood of y events at the rate exp(z), less what z does not touch.
    Its conjugate is (v + y) log(v + y) - (v + y) on v >= -y. Its curvature has no bound.

    Raises:
        ValueError: for targets that are negative, not finite or not a vector.

    Cost: five exponentials a prox.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.Poisson()
        assert loss.slope(np.zeros(1), np.array([3.0])) == -2.0
        ```
    """

    @property
    def smoothness(self) -> Any:
        return math.inf

    def each(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return _exp(xp, z) - y * z

    def slope(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return _exp(xp, z) - y

    def curvature(self, z: Any, y: Any) -> Any:
        return _exp(*alike(z))

    def conjugate(self, v: Any, y: Any) -> Any:
        xp, v, y = alike(v, y)

        def value(v: Any) -> Any:
            rate = xp.maximum(v + y, 0)
            return special(xp).xlogy(rate, rate) - rate

        return on_interval(xp, v, -y, xp.inf, value)

    def prox(self, z: Any, y: Any, step: Any) -> Any:
        xp, z, y, step = alike(z, y, step)
        return poisson_near(*xp.broadcast_arrays(z, y, step))

    def recedes(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return xp.where((z > 0) | (y * z < 0), -1, xp.where(z < 0, 1, 0))

    def targets(self, y: Any) -> Any:
        y = vector(y)
        if not is_traced(y) and not bool((y >= 0).all()):
            refuse(
                ValueError, "y", given=f"the count {y.min()}", needed="counts >= 0",
                advice="Use LeastSquares or Huber for targets of both signs.",
            )  # fmt: skip
        return y

    def constant(self, y: Any, weights: Any = None) -> Any:
        xp, average = alike(mean(y, weights))
        with np.errstate(divide="ignore"):
            return xp.log(average)


def _exp(xp: Any, z: Any) -> Any:
    with np.errstate(over="ignore"):  # infinity is the answer in this precision
        return xp.exp(z)


class Quantile(Loss):
    """The pinball loss, which a quantile of the targets minimizes.

    level (y - z) where z is below y, (1 - level) (z - y) where it is above. Its conjugate is v y on
    -level <= v <= 1 - level.

    Args:
        level: in (0, 1); 1/2 is half of the absolute error.

    Raises:
        ValueError: for a level outside of (0, 1), targets that are not finite or not a vector.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.Quantile(0.9)
        assert loss.constant(np.arange(1.0, 11.0)) == 9.0
        ```

    Reference:
        R. Koenker and G. Bassett, 1978, "Regression quantiles".
    """

    smooth: ClassVar[bool] = False
    level: Any = 0.5

    def __post_init__(self) -> None:
        between("level", self.level, 0.0, 1.0, "A quantile lies between the extremes.")

    @property
    def smoothness(self) -> Any:
        return math.inf

    def each(self, z: Any, y: Any) -> Any:
        xp, z, y, level = alike(z, y, self.level)
        return xp.maximum(level * (y - z), (1 - level) * (z - y))

    def slope(self, z: Any, y: Any) -> Any:
        xp, z, y, level = alike(z, y, self.level)
        return xp.where(z > y, 1 - level, xp.where(z < y, -level, 0))

    def curvature(self, z: Any, y: Any) -> Any:
        xp, z = alike(z)
        return xp.zeros_like(z)

    def conjugate(self, v: Any, y: Any) -> Any:
        xp, v, y, level = alike(v, y, self.level)
        return on_interval(xp, v, -level, 1 - level, lambda v: v * y)

    def prox(self, z: Any, y: Any, step: Any) -> Any:
        xp, z, y, step, level = alike(z, y, step, self.level)
        return xp.clip(y, z - step * (1 - level), z + step * level)

    def constant(self, y: Any, weights: Any = None) -> Any:
        xp, y, weights, level = alike(y, 1.0 if weights is None else weights, self.level)
        order = xp.argsort(y)
        below = xp.cumsum(xp.broadcast_to(weights, y.shape)[order])
        return y[order][xp.argmax(below >= level * below[-1])]
