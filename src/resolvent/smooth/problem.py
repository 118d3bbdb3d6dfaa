"""Smooth problems: one function without constraints, with its first and second derivatives."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.line_search import rounding
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import first_guess
from resolvent._core.value import as_real, static
from resolvent.composite.problem import Composite, known_size
from resolvent.smooth.product_blocks import square

_LARGEST = 5000  # unknowns for which a square matrix is made


class Minimize(Composite):
    """Minimize f(x), f twice differentiable, without constraints.

    The certificate is `||grad f(x)||`, which is zero exactly where x is stationary. Where a
    constant mu of strong convexity is known it is a bound of the optimality gap,
    `f(x) - min f <= ||grad f(x)||^2 / (2 mu)`. With `second_order` it is zero only where the
    Hessian H(x) has no negative eigenvalue either: the largest one of `||grad f(x)||`, e and
    `unit e / ||H(x)||`, where -e is the least eigenvalue if that is negative, and e = 0 otherwise.

    Every gradient method for `Composite` problems solves it, too.

    Args:
        f: called as `f(x)`, or `f(x, args)` where `args` is given; its value is one number.
        args: a tree of arrays that f depends on.
        x0: the first guess, an array or a tree of arrays; it says what x looks like.
        convex: whether f is known to be convex.
        strong: a number mu such that `f - mu ||x||^2 / 2` is convex, if one is known.
        lipschitz: a number L with `||grad f(x) - grad f(y)|| <= L ||x - y||`, if one is known.
        hessian_lipschitz: the same for the Hessian and its spectral norm, if one is known.
        second_order: whether an answer must be free of negative curvature. `TrustRegion` and
            `LazyNewton` see it; `LBFGS` and `NonlinearCG` do not, and where they come to a saddle
            they end without an answer.
        unit: what a relative tolerance refers to, in the unit of the certificate. None for the
            certificate's value at `x0`, or 1 where that is 0, or where the slope there is so small
            that no digit of f shows it. With `second_order` it is in the unit of the gradient, and
            None stands for the gradient's norm. Give a guess that is nearly an answer as `x0` to
            `solve` instead.

    Raises:
        TypeError: if f cannot be called, computes with NumPy or decides by the values of x, or its
            value is a whole number; if numbers are not real.
        ValueError: if f(x) is no number, a constant is not positive, `strong` is more than
            `lipschitz`, or `second_order` is asked of a convex function or of more than 5000
            unknowns.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs

        def f(x, b):
            return jnp.log(jnp.cosh(x - b)).sum() + 0.05 * (x @ x)

        problem = rs.Minimize(f, jnp.array([1.0, 3.0]), x0=jnp.zeros(2), strong=0.1)
        sol = rs.solve(problem, rtol=1e-6)
        assert sol.certificate.kind == "bound"
        ```
    """

    hessian_lipschitz: Any
    convex: bool = static()
    second_order: bool = static()

    def __init__(
        self,
        f: Callable[..., Any],
        args: Any = None,
        *,
        x0: Any,
        convex: bool = False,
        strong: float | None = None,
        lipschitz: float | None = None,
        hessian_lipschitz: float | None = None,
        second_order: bool = False,
        unit: float | None = None,
    ):
        x0, _ = first_guess("x0", x0)
        super().__init__(f, start=x0, args=args, lipschitz=lipschitz, strong=strong, unit=unit)
        if hessian_lipschitz is not None:
            between("hessian_lipschitz", hessian_lipschitz, 0.0, math.inf, "It bounds a change.")
        if strong is not None and lipschitz is not None and not is_traced((strong, lipschitz)):
            _check_bounds(strong, lipschitz)
        if second_order and (convex or strong is not None):
            refuse(
                ValueError, "second_order", given="True for a convex function",
                needed="False there", advice="Its Hessian has no negative eigenvalue anywhere.",
            )  # fmt: skip
        vars(self).update(
            hessian_lipschitz=as_real(hessian_lipschitz), convex=bool(convex) or strong is not None,
            second_order=bool(second_order),
        )  # fmt: skip
        if second_order:
            self.check_size()

    def gradient(self, x: Any) -> Any:
        """The gradient of f, of the structure of x."""
        with self.data_precision(x):
            return self.slope(x)[1]

    def residual(self, x: Any) -> Any:
        """The gradient again."""
        with self.data_precision(x):
            return super().residual(x)

    def hessian(self, x: Any) -> Float[Any, "n n"]:
        """The matrix of second derivatives, unknowns in the order of `ravel_pytree`.

        Costs n products with the Hessian, in one pass or, where those go through large arrays, in
        several.
        """
        with self.data_precision(x):
            x = trees.map_leaves(jnp.asarray, x)
            like = trees.raveled(x)

            def turned(flat: Any) -> Any:
                # Not `slope`, whose guard against values that are not finite would be
                # differentiated.
                return trees.raveled(jax.grad(self.smooth)(trees.unraveled(flat, x)))

            _, product = jax.linearize(turned, like)
            found = square(product, like)
            return 0.5 * (found + found.T)

    def hessian_product(self, x: Any, v: Any) -> Any:
        """The Hessian at x times v, both of the structure of x."""
        with self.data_precision(x, v):
            x, v = trees.map_leaves(jnp.asarray, (x, v))
            return jax.jvp(jax.grad(self.smooth), (x,), (v,))[1]

    def merit(self, x: Any, gradient: Any) -> Any:
        """What a gradient alone tells of the certificate's value."""
        size = trees.norm(jax.lax.stop_gradient(gradient))
        if self.strong is None:
            return size
        return size * (size / (2.0 * jnp.asarray(self.strong, size.dtype)))

    def scale(self, x: Any) -> Any:
        """What a relative tolerance refers to: `unit`, or what the gradient tells at `x0`."""
        if self.unit is not None:
            return self.unit
        first = jax.lax.stop_gradient(trees.map_leaves(jnp.asarray, self.first))
        value, gradient = jax.lax.stop_gradient(self.slope(first))
        size = trees.norm(gradient)
        # A slope that shows in no digit of f is rounding, as where f begins at its least value.
        change = size * jnp.maximum(trees.norm(first), 1)
        seen = change > rounding(value)
        return known_size(jnp.where(seen, self.merit(first, gradient), 0))

    def bend(self, eigenvalues: Float[Any, " n"]) -> Any:
        """The larger one of e and `unit e / ||H||`, from the eigenvalues of H: what `second_order`
        adds."""
        values = jax.lax.stop_gradient(eigenvalues)
        size = jnp.abs(values).max()
        deep = jnp.maximum(-values.min(), 0.0)
        share = deep / jnp.where(size > 0, size, 1.0)
        # The share alone is at most the unit, and an absolute tolerance may be more than that.
        return jnp.maximum(deep, jnp.asarray(self.scale(None), share.dtype) * share)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||grad f(x)|| <= max(rtol unit, atol)`, `||grad f(x)||^2 / (2 mu)` where mu is known."""
        with self.data_precision(x):
            return self._certified(x)

    def _certified(self, x: Any) -> Certificate:
        x = trees.map_leaves(jnp.asarray, x)
        value, unit = self.merit(x, self.slope(x)[1]), self.scale(x)
        if self.strong is not None:
            return Certificate(
                value, unit, kind="bound", name="optimality gap",
                statement="f(x) - min f <= ||grad f(x)||^2 / (2 mu) <= max(rtol unit, atol)",
            )  # fmt: skip
        if not self.second_order:
            return Certificate(
                value, unit, name="gradient norm",
                statement="||grad f(x)|| <= max(rtol unit, atol)",
            )  # fmt: skip
        values = jnp.linalg.eigvalsh(self.hessian(jax.lax.stop_gradient(x)))
        return Certificate(
            jnp.maximum(value, self.bend(values)), unit, details={"least eigenvalue": values[0]},
            name="second-order stationarity",
            statement="max(||grad f(x)||, e, unit e / ||H(x)||) <= max(rtol unit, atol), where the "
            "least eigenvalue of H(x) is -e if it is negative, and e = 0 otherwise",
        )  # fmt: skip

    def check_size(self) -> None:
        """Refuse more unknowns than a Hessian has room for."""
        if self.unknowns() > _LARGEST:
            refuse(
                ValueError, "x0", given=f"{self.unknowns()} unknowns",
                needed=f"at most {_LARGEST} where the whole Hessian is made",
                advice="Use a method that takes products with it, such as TrustRegion, or LBFGS.",
            )  # fmt: skip

    def default_method(self) -> Any:
        """The trust-region method."""
        from resolvent.smooth.trust_region import TrustRegion

        return TrustRegion()

    def describe(self) -> str:
        """Size of the unknown."""
        return f"Minimize({self.unknowns()} unknowns)"


def _check_bounds(strong: float, lipschitz: float) -> None:
    """Refuse a lower bound of the eigenvalues of Hessians that is above the upper one."""
    if float(strong) > float(lipschitz):
        refuse(
            ValueError, "strong", given=f"{strong}, with lipschitz {lipschitz}",
            needed="strong <= lipschitz",
            advice="They bound the eigenvalues of one Hessian from below and from above.",
        )  # fmt: skip
