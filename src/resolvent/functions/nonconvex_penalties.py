"""Penalties that leave large entries alone; none of them is convex."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between
from resolvent._core.value import static
from resolvent.functions.function import Function
from resolvent.functions.norms import soft
from resolvent.functions.penalties import L1


class _Separable(Function):
    """A sum over entries of a function of |t|, with derivative `_slope(|t|)` for t that is not 0.

    All of it is written for one array; `_kink` is the largest subgradient at 0.
    """

    convex: ClassVar[bool] = False

    def _one(self, size: Any) -> Any:
        raise NotImplementedError

    def _slope(self, size: Any) -> Any:
        raise NotImplementedError

    def _kink(self) -> Any:
        raise NotImplementedError

    def _near(self, x: Any, step: Any) -> tuple[Any, Any]:
        """The prox, and what it takes away from x without the rounding of a difference."""
        raise NotImplementedError

    def value(self, x: Any) -> Any:
        return sum(self._one(jnp.abs(leaf)).sum() for leaf in trees.leaves(x))

    def prox(self, x: Any, step: Any) -> Any:
        return trees.map_leaves(lambda leaf: self._near(leaf, jnp.asarray(step, leaf.dtype))[0], x)

    def displacement(self, x: Any, v: Any) -> Any:
        def one(leaf: Any, part: Any) -> Any:
            near, taken = self._near(leaf - part, jnp.ones((), leaf.dtype))
            return jnp.where(near == 0, leaf, part + taken)

        return trees.map_leaves(one, x, v)

    def _end(self) -> Any:
        """The |t| from which on the penalty is constant; infinite where there is none."""
        return math.inf

    def level(self, x: Any) -> Any:
        ends = [(abs(leaf) >= self._end()) | (leaf == 0) for leaf in trees.leaves(x)]
        flat = ends[0].all()
        for part in ends[1:]:
            flat = flat & part.all()
        return flat

    def subdifferential_distance(self, x: Any, v: Any) -> Any:
        """The Euclidean distance from v to the limiting subdifferential at x."""

        def one(leaf: Any, part: Any) -> Any:
            slope = jnp.sign(leaf) * self._slope(jnp.where(leaf == 0, 1, jnp.abs(leaf)))
            bar = jnp.asarray(self._kink(), leaf.dtype)
            return jnp.where(leaf == 0, soft(part, bar), part - slope)

        return trees.norm(trees.map_leaves(one, x, v))


class _Folded(_Separable):
    """A penalty that is an l1 norm plus a function that is smooth and concave."""

    weight: Any

    def convex_part(self) -> Function:
        """The l1 norm."""
        return L1(self.weight)

    def concave_value(self, x: Any) -> Any:
        """The rest, which is never positive."""
        return self.value(x) - self.convex_part().value(x)

    def concave_slope(self, x: Any) -> Any:
        """The gradient of the rest, continuous and zero at zero."""

        def one(leaf: Any) -> Any:
            weight = jnp.asarray(self.weight, leaf.dtype)
            return jnp.sign(leaf) * (self._slope(jnp.abs(leaf)) - weight)

        return trees.map_leaves(one, x)

    @property
    def concavity(self) -> Any:
        """The Lipschitz constant of that gradient."""
        raise NotImplementedError


class MCP(_Folded):
    """The minimax concave penalty: weight |t| at first, then flatter, and constant in the end.

    The sum over entries of weight |t| - t^2 / (2 gamma) for |t| <= gamma weight, and of
    gamma weight^2 / 2 beyond. Adding ||x||^2 / (2 gamma) makes it convex.

    For a step below gamma the prox is single-valued and continuous. For any other step it is hard
    thresholding at weight sqrt(gamma step), the global minimizer too: of the minimizers at the
    threshold itself it is zero.

    Args:
        weight: positive.
        gamma: positive.

    Raises:
        ValueError: for numbers that are not positive.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.MCP(1.0, 3.0).prox(jnp.array([0.5, 2.0, 4.0]), 1.0)
        assert jnp.allclose(x, jnp.array([0.0, 1.5, 4.0]))
        ```

    Reference:
        C.-H. Zhang (2010), Nearly unbiased variable selection under minimax concave penalty,
        arXiv 1002.4734.
    """

    weight: Any = 1.0
    gamma: Any = 3.0

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        between("gamma", self.gamma, 0.0, math.inf, "Use L1 for an infinite gamma.")

    @property
    def concavity(self) -> Any:
        """The Lipschitz constant of the gradient of the concave rest."""
        return 1.0 / self.gamma

    def _end(self) -> Any:
        return self.gamma * self.weight

    def _one(self, size: Any) -> Any:
        weight, gamma = _numbers(size, self.weight, self.gamma)
        low = jnp.minimum(size, gamma * weight)
        return low * (weight - low / (2 * gamma))

    def _slope(self, size: Any) -> Any:
        weight, gamma = _numbers(size, self.weight, self.gamma)
        return jnp.maximum(weight - size / gamma, 0)

    def _kink(self) -> Any:
        return self.weight

    def _near(self, x: Any, step: Any) -> tuple[Any, Any]:
        weight, gamma = _numbers(x, self.weight, self.gamma)
        size = jnp.abs(x)
        mild = step < gamma
        room = jnp.where(mild, gamma - step, 1)
        bar = jnp.where(mild, step, jnp.sqrt(step) * jnp.sqrt(gamma)) * weight
        taken = jnp.where(mild, step * jnp.maximum(gamma * weight - size, 0) / room, 0)
        return _cut(x, size <= bar, taken)


class SCAD(_Folded):
    """The smoothly clipped absolute deviation: weight |t| near zero, constant far from it.

    The sum over entries of weight |t| for |t| <= weight, of
    (2 gamma weight |t| - t^2 - weight^2) / (2 (gamma - 1)) up to gamma weight, and of
    weight^2 (gamma + 1) / 2 beyond. Adding ||x||^2 / (2 (gamma - 1)) makes it convex.

    For a step below gamma - 1 the prox is single-valued and continuous. For any other step it is
    soft thresholding up to a size where it jumps to x itself, the global minimizer too: of the
    two minimizers at the jump it is the smaller one.

    Args:
        weight: positive.
        gamma: more than 2.

    Raises:
        ValueError: for a weight that is not positive or a gamma that is not above 2.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.SCAD(1.0, 4.0).prox(jnp.array([0.5, 1.5, 3.0, 5.0]), 1.0)
        assert jnp.allclose(x, jnp.array([0.0, 0.5, 2.5, 5.0]))
        ```

    Reference:
        J. Fan, R. Li (2001), Variable selection via nonconcave penalized likelihood and its
        oracle properties.
    """

    weight: Any = 1.0
    gamma: Any = 3.7

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        between("gamma", self.gamma, 2.0, math.inf, "The usual choice is 3.7.")

    @property
    def concavity(self) -> Any:
        """The Lipschitz constant of the gradient of the concave rest."""
        return 1.0 / (self.gamma - 1.0)

    def _end(self) -> Any:
        return self.gamma * self.weight

    def _one(self, size: Any) -> Any:
        weight, gamma = _numbers(size, self.weight, self.gamma)
        bend = jnp.clip(size - weight, 0, (gamma - 1) * weight)
        return weight * jnp.minimum(size, weight) + bend * (weight - bend / (2 * (gamma - 1)))

    def _slope(self, size: Any) -> Any:
        weight, gamma = _numbers(size, self.weight, self.gamma)
        return jnp.clip((gamma * weight - size) / (gamma - 1), 0, weight)

    def _kink(self) -> Any:
        return self.weight

    def _near(self, x: Any, step: Any) -> tuple[Any, Any]:
        weight, gamma = _numbers(x, self.weight, self.gamma)
        size = jnp.abs(x)
        mild = step < gamma - 1
        room = jnp.where(mild, gamma - 1 - step, 1)
        bend = jnp.clip(step * (gamma * weight - size) / room, 0, step * weight)
        # Where the objectives of soft thresholding and of staying are equal.
        far = step > gamma + 1
        middle, root = (gamma + 1 + step) / 2, jnp.sqrt(step) * jnp.sqrt(gamma + 1)
        jump = weight * jnp.where(far, root, middle)
        taken = jnp.where(mild, bend, jnp.where(size > jump, 0, step * weight))
        bar = weight * jnp.where(mild | ~far, step, root)
        return _cut(x, size <= bar, taken)


class L0(_Separable):
    """weight times the number of entries that are not zero.

    The prox is hard thresholding at sqrt(2 weight step), single-valued away from the threshold;
    of the two minimizers at the threshold it is zero.

    Args:
        weight: positive.

    Raises:
        ValueError: for a weight that is not positive.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.L0(2.0).prox(jnp.array([1.5, -3.0]), 1.0)
        assert (x == jnp.array([0.0, -3.0])).all()
        ```

    Reference:
        T. Blumensath, M. E. Davies (2008), Iterative thresholding for sparse approximations.
    """

    weight: Any = 1.0

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")

    def _end(self) -> Any:
        return 0.0

    def _one(self, size: Any) -> Any:
        counted = jnp.where(size > 0, *_numbers(size, self.weight, 0.0))
        return jnp.where(jnp.isnan(size), size, counted)

    def _slope(self, size: Any) -> Any:
        return jnp.zeros_like(size)

    def _kink(self) -> Any:
        return math.inf

    def _near(self, x: Any, step: Any) -> tuple[Any, Any]:
        weight = jnp.asarray(self.weight, x.dtype)
        return _cut(x, jnp.abs(x) <= jnp.sqrt(2 * weight * step), jnp.zeros_like(x))


class Lp(_Separable):
    """weight times the sum of |x_i|^p, for p between 0 and 1.

    The prox is zero up to a threshold and beyond it the larger stationary point, which is at least
    r = (2 weight step (1 - p))^(1 / (2 - p)): it is single-valued away from the threshold, where
    of the two minimizers it is zero. It is found from the roots of a cubic for p = 1/2 and of a
    quartic for p = 2/3, and by Newton's iteration, which falls to it, for other p; one more step
    brings it to a few rounding errors of x and carries the derivative.

    Args:
        weight: positive.
        p: between 0 and 1.

    Raises:
        ValueError: for a weight that is not positive or a p that is not inside (0, 1).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        x = rs.functions.Lp(1.0, 0.5).prox(jnp.array([1.0, 4.25]), 1.0)
        assert jnp.allclose(x, jnp.array([0.0, 4.0]))
        ```

    Reference:
        Z. Xu, X. Chang, F. Xu, H. Zhang (2012), L1/2 regularization: a thresholding representation
        theory and a fast solver; W. Cao, J. Sun, Z. Xu (2013), Fast image deconvolution using
        closed-form thresholding formulas of Lq (q = 1/2, 2/3) regularization.
    """

    weight: Any = 1.0
    p: float = static(default=0.5)

    def __post_init__(self) -> None:
        between("weight", self.weight, 0.0, math.inf, "Leave the term out for weight 0.")
        between("p", self.p, 0.0, 1.0, "Use L0 for p = 0, and L1 for p = 1.")

    def _one(self, size: Any) -> Any:
        power = jnp.where(size == 0, 1, size) ** self.p
        return jnp.asarray(self.weight, size.dtype) * jnp.where(size == 0, 0, power)

    def _slope(self, size: Any) -> Any:
        return jnp.asarray(self.weight * self.p, size.dtype) * size ** (self.p - 1)

    def _kink(self) -> Any:
        return math.inf

    def _near(self, x: Any, step: Any) -> tuple[Any, Any]:
        p, size = self.p, jnp.abs(x)
        bar = jnp.asarray(self.weight, x.dtype) * step
        # In units of the least size that a minimizer other than zero has, p alone is left.
        unit = jax.lax.stop_gradient((2 * (1 - p) * bar) ** (1 / (2 - p)))
        lift = p / (2 * (1 - p))
        dead = size <= (1 + lift) * unit
        size = jnp.where(dead, (2 + lift) * jnp.maximum(unit, jnp.finfo(x.dtype).tiny), size)
        target = jax.lax.stop_gradient(size / unit)
        # So far out that size / unit has no number, the root is the size.
        far = ~jnp.isfinite(target)
        root = unit * _largest_root(jnp.where(far, 2 + lift, target), p)
        root = jnp.where(far, jax.lax.stop_gradient(size), root)
        taken = bar * p * _slope_power(root, p)
        root = root - (root + taken - size) / (1 - (1 - p) * taken / root)
        return _cut(x, dead, bar * p * _slope_power(root, p))


@jax.jit
def _fallen(target: Any, root: Any, p: Any) -> Any:
    """Newton's iteration on r + p / (2 (1 - p)) r^(p - 1) = target, from above its largest root.

    The left side is convex and its slope is at least 1/2 to the right of that root, so that the
    iterates fall until rounding stops them.
    """
    lift = p / (2 * (1 - p))

    def falls(carry: Any) -> Any:
        before, now, steps = carry
        return (now < before).any() & (steps < 60)

    def fall(carry: Any) -> Any:
        _, now, steps = carry
        power = now ** (p - 1)
        next_ = now - (now + lift * power - target) / (1 - p / 2 * power / now)
        return now, jnp.clip(next_, 1, now), steps + 1

    return jax.lax.while_loop(falls, fall, (jnp.full_like(root, jnp.inf), root, 0))[1]


def _largest_root(target: Any, p: float) -> Any:
    """The largest r with r + p / (2 (1 - p)) r^(p - 1) = target."""
    if p == 0.5:
        # t^3 - target t + 1/2 = 0 for t = sqrt(r), by Viete's cosine.
        angle = jnp.arccos(-0.75 / target * jnp.sqrt(3 / target))
        return (4 / 3) * target * jnp.cos(angle / 3) ** 2
    if p == 2 / 3:
        # t^4 - target t + 1 = 0 for t = r^(1/3), by Ferrari's resolvent; far out, r is target.
        small = jnp.minimum(target, 1e4)
        angle = jnp.arccosh((3 / 16) * math.sqrt(3) * small**2)
        a = jnp.sqrt(4 / math.sqrt(3) * jnp.cosh(angle / 3))
        t = 0.5 * (a + jnp.sqrt(2 * small / a - a**2))
        return jnp.where(target > small, target, t**3)
    return _fallen(target, target, p)


def _slope_power(size: Any, p: float) -> Any:
    """size^(p - 1), where there is a root that costs less than a power."""
    if p == 0.5:
        return 1 / jnp.sqrt(size)
    return 1 / jnp.cbrt(size) if p == 2 / 3 else size ** (p - 1)


def _cut(x: Any, dead: Any, taken: Any) -> tuple[Any, Any]:
    """x less `taken` in size, or 0 where dead, which NaN never is; and what that takes."""
    taken = jnp.where(dead, x, jnp.sign(x) * taken)
    return jnp.where(dead, 0, x - taken), taken


def _numbers(like: Any, *numbers: Any) -> tuple[Any, ...]:
    return tuple(jnp.asarray(number, like.dtype) for number in numbers)
