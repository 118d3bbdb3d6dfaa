"""Losses of classification."""

import abc
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, finite, is_traced, real_array, refuse
from resolvent.functions.losses import Loss, alike, misfit, on_interval, one_axis, vector
from resolvent.functions.losses_prox import centered, logistic_near, softmax_near, special


class MarginLoss(Loss):
    """A loss h(y z) of two classes, y = -1 or +1: what a class says of h says all of the loss."""

    @abc.abstractmethod
    def _each(self, xp: Any, m: Any) -> Any:
        """h(m)."""

    @abc.abstractmethod
    def _pull(self, xp: Any, m: Any) -> Any:
        """-h'(m), which is not negative."""

    @abc.abstractmethod
    def _bend(self, xp: Any, m: Any) -> Any:
        """h''(m)."""

    @abc.abstractmethod
    def _conjugate(self, xp: Any, q: Any) -> Any:
        """sup over m of -q m - h(m)."""

    @abc.abstractmethod
    def _near(self, xp: Any, m: Any, step: Any) -> Any:
        """The prox of h."""

    def _best(self, xp: Any, up: Any, down: Any) -> Any:
        """The c that minimizes up h(c) + down h(-c)."""
        return None

    def each(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return self._each(xp, y * z)

    def slope(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return -y * self._pull(xp, y * z)

    def curvature(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return self._bend(xp, y * z)

    def conjugate(self, v: Any, y: Any) -> Any:
        xp, v, y = alike(v, y)
        return self._conjugate(xp, -y * v)

    def prox(self, z: Any, y: Any, step: Any) -> Any:
        xp, z, y, step = alike(z, y, step)
        return y * self._near(xp, y * z, step)

    def targets(self, y: Any) -> Any:
        """-1 for the first of two classes in sorted order, +1 for the second.

        Labels of any kind that NumPy can sort. Traced values pass: they must be -1 and +1.
        """
        if is_traced(y):
            return y
        labels = np.asarray(y)
        one_axis(labels)
        if labels.dtype.kind in "fc":
            finite("y", real_array("y", labels))
        try:
            classes = np.unique(labels)
        except TypeError:
            refuse(
                TypeError, "y", given="labels of kinds without an order",
                needed="labels of one kind", advice="Convert them with str.",
            )  # fmt: skip
        if classes.size != 2:
            refuse(
                ValueError, "y", given=f"{classes.size} classes", needed="exactly two",
                advice="MulticlassLogistic takes more; one alone leaves nothing to separate.",
            )  # fmt: skip
        dtype = labels.dtype if labels.dtype == np.float32 else np.float64
        signs = np.where(labels == classes[1], 1.0, -1.0).astype(dtype)
        if isinstance(y, jax.Array):
            return jnp.asarray(signs, jax.dtypes.canonicalize_dtype(dtype))
        return signs

    def constant(self, y: Any, weights: Any = None) -> Any:
        xp, y, weights = alike(y, 1.0 if weights is None else weights)
        up, down = (weights * (y > 0)).sum(), (weights * (y < 0)).sum()
        with np.errstate(divide="ignore"):
            return self._best(xp, up, down)


class Logistic(MarginLoss):
    """The negative log-likelihood of two classes: log(1 + exp(-y z)), y = -1 or +1.

    With q = -y v, its conjugate is q log(q) + (1 - q) log(1 - q) on 0 <= q <= 1.

    Raises:
        ValueError: for targets that are not of exactly two classes.

    Cost: about ten exponentials a prox.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.Logistic()
        y = loss.targets(["no", "yes"])
        assert (loss.slope(np.zeros(2), y) == np.array([0.5, -0.5])).all()
        ```
    """

    @property
    def smoothness(self) -> Any:
        return 0.25

    def _each(self, xp: Any, m: Any) -> Any:
        return xp.logaddexp(xp.zeros_like(m), -m)

    def _pull(self, xp: Any, m: Any) -> Any:
        return special(xp).expit(-m)

    def _bend(self, xp: Any, m: Any) -> Any:
        return special(xp).expit(m) * special(xp).expit(-m)

    def _conjugate(self, xp: Any, q: Any) -> Any:
        more = special(xp)
        return on_interval(
            xp, q, 0, 1, lambda q: more.xlogy(q, q) + more.xlog1py(1 - q, -q)
        )  # fmt: skip

    def _near(self, xp: Any, m: Any, step: Any) -> Any:
        return logistic_near(m, step)

    def recedes(self, z: Any, y: Any) -> Any:
        xp, z, y = alike(z, y)
        return xp.sign(y * z)

    def _best(self, xp: Any, up: Any, down: Any) -> Any:
        return xp.log(up) - xp.log(down)


class Hinge(MarginLoss):
    """The support vector machine's loss: max(0, 1 - y z), y = -1 or +1.

    With q = -y v, its conjugate is -q on 0 <= q <= 1.

    Raises:
        ValueError: for targets that are not of exactly two classes.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.Hinge()
        assert loss.each(np.array([-2.0]), np.array([1.0])) == 3.0
        ```

    Reference:
        C. Cortes and V. Vapnik, 1995, "Support-vector networks".
    """

    smooth: ClassVar[bool] = False

    @property
    def smoothness(self) -> Any:
        return math.inf

    def _each(self, xp: Any, m: Any) -> Any:
        return xp.maximum(1 - m, 0)

    def _pull(self, xp: Any, m: Any) -> Any:
        return (m < 1).astype(m.dtype)

    def _bend(self, xp: Any, m: Any) -> Any:
        return xp.zeros_like(m)

    def _conjugate(self, xp: Any, q: Any) -> Any:
        return on_interval(xp, q, 0, 1, lambda q: -q)

    def _near(self, xp: Any, m: Any, step: Any) -> Any:
        return xp.clip(xp.ones_like(m), m, m + step)

    def _best(self, xp: Any, up: Any, down: Any) -> Any:
        return xp.sign(up - down)


class SmoothedHinge(MarginLoss):
    """The hinge with its corner rounded over a width.

    With m = y z: 0 for m >= 1, (1 - m)^2 / (2 width) for 1 - width <= m <= 1, and 1 - m - width / 2
    below. With q = -y v, its conjugate is -q + width q^2 / 2 on 0 <= q <= 1.

    Args:
        width: positive.

    Raises:
        ValueError: for a width that is not positive, targets that are not of exactly two classes.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.SmoothedHinge(1.0)
        assert loss.each(np.array([0.0]), np.array([1.0])) == 0.5
        ```

    Reference:
        S. Shalev-Shwartz and T. Zhang, 2013, "Stochastic dual coordinate ascent methods for
        regularized loss minimization", arXiv 1209.1873.
    """

    width: Any = 1.0

    def __post_init__(self) -> None:
        between("width", self.width, 0.0, math.inf, "Hinge is the limit of small width.")

    @property
    def smoothness(self) -> Any:
        return 1.0 / self.width

    def _width(self, xp: Any, m: Any) -> Any:
        return xp.asarray(self.width, m.dtype)

    def _each(self, xp: Any, m: Any) -> Any:
        q = self._pull(xp, m)
        return q * ((1 - m) - 0.5 * self._width(xp, m) * q)

    def _pull(self, xp: Any, m: Any) -> Any:
        return xp.clip((1 - m) / self._width(xp, m), 0, 1)

    def _bend(self, xp: Any, m: Any) -> Any:
        width = self._width(xp, m)
        return ((m <= 1) & (m >= 1 - width)) / width

    def _conjugate(self, xp: Any, q: Any) -> Any:
        width = self._width(xp, q)
        return on_interval(xp, q, 0, 1, lambda q: q * (0.5 * width * q - 1))

    def _near(self, xp: Any, m: Any, step: Any) -> Any:
        return m + xp.clip(step * ((1 - m) / (self._width(xp, m) + step)), 0, step)

    def _best(self, xp: Any, up: Any, down: Any) -> Any:
        width = self._width(xp, up)
        # Either both sides are curved there, or the smaller one is linear.
        both = (up - down) / (up + down)
        one = xp.sign(both) * (1 - width * xp.minimum(up, down) / xp.maximum(up, down))
        return xp.where(abs(both) <= width - 1, both, one)


class SquaredHinge(MarginLoss):
    """The square of the hinge: max(0, 1 - y z)^2, y = -1 or +1.

    With q = -y v, its conjugate is -q + q^2 / 4 on q >= 0.

    Raises:
        ValueError: for targets that are not of exactly two classes.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.SquaredHinge()
        assert loss.each(np.array([-2.0]), np.array([1.0])) == 9.0
        ```
    """

    @property
    def smoothness(self) -> Any:
        return 2.0

    def _each(self, xp: Any, m: Any) -> Any:
        return xp.maximum(1 - m, 0) ** 2

    def _pull(self, xp: Any, m: Any) -> Any:
        return 2 * xp.maximum(1 - m, 0)

    def _bend(self, xp: Any, m: Any) -> Any:
        return 2 * (m <= 1).astype(m.dtype)

    def _conjugate(self, xp: Any, q: Any) -> Any:
        return on_interval(xp, q, 0, xp.inf, lambda q: q * (0.25 * q - 1))

    def _near(self, xp: Any, m: Any, step: Any) -> Any:
        return m + xp.maximum(2 * step / (1 + 2 * step) * (1 - m), 0)

    def _best(self, xp: Any, up: Any, down: Any) -> Any:
        return (up - down) / (up + down)


class MulticlassLogistic(Loss):
    """The negative log-likelihood of k classes: log(sum over j of exp(z_j)) - z_y.

    Predictions are [n, k], targets are integers 0..k-1. With p = v + e_y, its conjugate is
    sum p log(p) on the simplex of p. `curvature` is the diagonal of the second derivative,
    [n, k], and `smoothness` bounds the norm of all of it. In single precision its prox is for steps
    below 1e6.

    Raises:
        ValueError: for targets that are no integers >= 0, predictions of another shape.

    Cost: about seventy exponentials an entry a prox.

    Example:
        ```python
        import numpy as np, resolvent as rs
        loss = rs.functions.MulticlassLogistic()
        assert np.allclose(loss.each(np.zeros((1, 4)), np.array([2])), np.log(4.0))
        ```
    """

    @property
    def smoothness(self) -> Any:
        return 0.5

    def each(self, z: Any, y: Any) -> Any:
        xp, z = alike(z)
        xp, true = _one_hot(xp, z, y)
        own = xp.where(true, z, 0).sum(axis=-1, keepdims=True)
        # Not logsumexp(z) - z_y, which loses a loss smaller than rounding errors of z.
        rest = special(xp).logsumexp(xp.where(true, -xp.inf, z - own), axis=-1)
        return xp.logaddexp(xp.zeros_like(rest), rest)

    def slope(self, z: Any, y: Any) -> Any:
        xp, z = alike(z)
        xp, true = _one_hot(xp, z, y)
        return centered(xp, _softmax(xp, z), true)

    def curvature(self, z: Any, y: Any) -> Any:
        xp, z = alike(z)
        p = _softmax(xp, z)
        # Of the largest p, 1 - p as a sum over the others keeps its digits.
        _, top = _one_hot(xp, z, p.argmax(axis=-1))
        return p * xp.where(top, xp.where(top, 0, p).sum(axis=-1, keepdims=True), 1 - p)

    def conjugate(self, v: Any, y: Any) -> Any:
        xp, v = alike(v)
        xp, true = _one_hot(xp, v, y)
        p = xp.where(true, 1 + v, v)
        lack = abs(v.sum(axis=-1))
        slack = 64 * xp.finfo(v.dtype).eps * (1 + abs(v).sum(axis=-1))
        ends = (lack <= slack) & (p.min(axis=-1) >= -slack)
        p = xp.maximum(p, 0)
        return xp.where(ends, special(xp).xlogy(p, p).sum(axis=-1), xp.inf)

    def prox(self, z: Any, y: Any, step: Any) -> Any:
        xp, z, step = alike(z, step)
        xp, true = _one_hot(xp, z, y)
        step = xp.broadcast_to(step, z.shape[:-1])[..., None]
        return softmax_near(xp.asarray(z), true.astype(z.dtype), step)

    def recedes(self, z: Any, y: Any) -> Any:
        xp, z = alike(z)
        xp, true = _one_hot(xp, z, y)
        own = xp.where(true, z, 0).sum(axis=-1, keepdims=True)
        ahead = xp.where(true, xp.inf, own - z)
        # Ahead of all others, level with the best of them, or behind one.
        least, most = ahead.min(axis=-1), xp.where(true, -xp.inf, own - z).max(axis=-1)
        return xp.where(least < 0, -1, xp.where(most > 0, 1, 0))

    def balanced(self, v: Any, y: Any, weights: Any) -> Any:
        """A mixture with the slopes of constant predictions, which the classes' shares make."""
        xp, v, weights = alike(v, weights)
        xp, true = _one_hot(xp, v, y)
        shares = weights @ true.astype(v.dtype) / weights.sum()
        lack = weights @ v / weights.sum()
        # Where all slopes of one class are moved alike, its probabilities must stay positive.
        both = shares + lack
        t = (xp.maximum(lack, 0) / xp.where(both > 0, both, 1)).max()
        return (1 - t) * v + t * (shares - true) - (1 - t) * lack

    def targets(self, y: Any) -> Any:
        y = vector(y) if getattr(y, "dtype", np.dtype(object)).kind not in "iu" else y
        one_axis(y)
        if is_traced(y):
            return y
        known = np.asarray(y)
        wrong = (known < 0) | (known != np.floor(known))
        if wrong.any():
            refuse(
                ValueError, "y", given=f"the label {known[wrong][0]}",
                needed="integers 0..k-1",
                advice="Number other labels by numpy.unique(y, return_inverse=True).",
            )  # fmt: skip
        return y.astype(np.int32 if isinstance(y, jax.Array) else np.intp)

    def constant(self, y: Any, weights: Any = None) -> Any:
        """The logarithms of the classes' shares, for the classes 0..max(y)."""
        if is_traced(y):
            return None
        shares = np.bincount(np.asarray(y), None if weights is None else np.asarray(weights))
        with np.errstate(divide="ignore"):
            return np.log(shares / shares.sum())

    def check(self, z: Any, y: Any) -> None:
        shape = np.shape(z)
        if len(shape) != 2 or shape[:1] != np.shape(y):
            misfit(z, y, "predictions [n, k] for targets [n]")
        if not is_traced(y) and shape[1] <= max(1, int(np.max(y))):
            refuse(
                ValueError, "predictions", given=f"{shape[1]} classes for the label {np.max(y)}",
                needed="one column a class, two at least", advice="Labels count from zero.",
            )  # fmt: skip

    def outputs(self, y: Any) -> tuple[int, ...]:
        """One prediction a class 0..max(y); traced targets have no largest one."""
        if is_traced(y):
            refuse(
                TypeError, "y", given="traced labels", needed="labels that are known",
                advice="Make the problem outside of the transformed function.",
            )  # fmt: skip
        return (max(2, int(np.asarray(y).max()) + 1),)


def _one_hot(xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
    """Where the true classes are, [..., k]."""
    xp = jnp if isinstance(y, jax.Array) else xp
    return xp, xp.asarray(y)[..., None] == xp.arange(z.shape[-1])


def _softmax(xp: Any, z: Any) -> Any:
    p = xp.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
