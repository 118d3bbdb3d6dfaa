"""Saddle points whose parts are told apart: a smooth function, a coupling, a strongly convex g."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.power_iteration import norm_of
from resolvent.functions import Function, Product, SquaredL2
from resolvent.inclusion.operators import Operator
from resolvent.inclusion.problem import Inclusion

_POWERS = 30  # products that estimate a norm
_MARGIN = 1.1  # by which an estimate is raised: power iterations see a little less than the norm


class CompositeOperator(Operator):
    """(grad f(x) + grad_x phi(x, y), -grad_y phi(x, y)).

    Args:
        f: a function of x, and of args where there are any.
        coupling: phi, a function of x and y, and of args where there are any.
        args: a tree of arrays that both depend on.
    """

    f: Any
    coupling: Any
    args: Any = None

    def __call__(self, x: Any) -> Any:
        turn = trees.times(-1.0, self.of_y(*x))
        return trees.plus(self.of_f(x[0]), 1.0, self.of_x(*x)), turn

    def of_f(self, x: Any) -> Any:
        """grad f(x)."""
        return jax.grad(lambda u: self.f(u, *self._rest))(x)

    def of_x(self, x: Any, y: Any) -> Any:
        """grad_x phi(x, y)."""
        return jax.grad(lambda u: self.coupling(u, y, *self._rest))(x)

    def of_y(self, x: Any, y: Any) -> Any:
        """grad_y phi(x, y)."""
        return jax.grad(lambda v: self.coupling(x, v, *self._rest))(y)

    @property
    def _rest(self) -> tuple[Any, ...]:
        return () if self.args is None else (self.args,)


class CompositeSaddlePoint(Inclusion):
    """min over x in X of max over y of f(x) + phi(x, y) - g(y), g strongly convex.

    With g = weight / 2 ||y||^2 on y >= 0 and phi(x, y) = <y, c(x)> this is the quadratic penalty
    f(x) + ||max(c(x), 0)||^2 / (2 weight) of the constraints c(x) <= 0.

    Args:
        f: convex and smooth, called as `f(x)`, or `f(x, args)` where `args` is given.
        coupling: phi, convex in x and concave in y, called as `phi(x, y)` or `phi(x, y, args)`.
        X: a set for x, or None.
        g: a strongly convex `Function` of y, such as `SquaredL2(weight, domain=...)`.
        start: the pair of first guesses.
        args: a tree of arrays that f and phi depend on.
        smooth: the constant L_f of grad f; None for an estimate from its derivative at the start,
            which is right for quadratic f.
        coupled: the constant L_xy of grad_y phi in x; None for an estimate in the same way, right
            for bilinear phi.
        curved: the constant L_xx of grad_x phi in x, zero for phi that is linear in x.
        convexity: the modulus mu of g; None takes the weight of a `SquaredL2`.
        lipschitz: of the operator as a whole, for methods that know no parts, if it is known.
        unit: as in `Inclusion`.

    Raises:
        TypeError: for a g that is no Function.
        ValueError: if `start` is no pair, a constant is negative, or the modulus of g is unknown
            or zero.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        g = rs.functions.SquaredL2(0.1, domain=rs.functions.Nonnegative())
        problem = rs.CompositeSaddlePoint(
            lambda x: 0.5 * (x - 1.0) @ (x - 1.0), lambda x, y: y @ x, None, g,
            start=(jnp.zeros(2), jnp.zeros(2)), smooth=1.0, coupled=1.0,
        )
        sol = rs.solve(problem, rs.inclusion.AcceleratedPrimalDual(), rtol=1e-3)
        assert jnp.allclose(sol.x[0], 1 / 11, atol=1e-2)
        ```
    """

    smooth: Any = None
    coupled: Any = None
    curved: Any = 0.0
    convexity: Any = None

    def __init__(
        self,
        f: Callable[..., Any],
        coupling: Callable[..., Any],
        X: Function | None,
        g: Function,
        *,
        start: Any,
        args: Any = None,
        smooth: float | None = None,
        coupled: float | None = None,
        curved: float = 0.0,
        convexity: float | None = None,
        lipschitz: float | None = None,
        unit: float = 1.0,
    ):
        if not isinstance(start, tuple | list) or len(start) != 2:
            refuse(
                ValueError, "start", given=f"a {type(start).__name__}", needed="a pair (x, y)",
                advice="Give a first guess of both variables.",
            )  # fmt: skip
        for name, value in (("smooth", smooth), ("coupled", coupled), ("convexity", convexity)):
            if value is not None:
                between(name, value, 0.0, math.inf, "It is a positive constant.")
        if not is_traced(curved) and curved != 0.0:
            between("curved", curved, 0.0, math.inf, "0 says that phi is linear in x.")
        if convexity is None:
            if not isinstance(g, SquaredL2):
                refuse(
                    ValueError, "convexity", given=f"none for a {type(g).__name__}",
                    needed="the modulus of strong convexity of g, which must not be zero",
                    advice="State it, or use SquaredL2(weight, domain=...).",
                )  # fmt: skip
            convexity = g.weight
        fields = self._fields(
            CompositeOperator(f, coupling, args), Product((X, g)), tuple(start), lipschitz, None,
            0.0, unit,
        )  # fmt: skip
        vars(self).update(
            **fields, smooth=smooth, coupled=coupled, curved=curved, convexity=convexity
        )

    def constants(self, x: Any) -> tuple[Any, Any, int]:
        """L_f and L_xy, as stated or as estimated at a point, and the derivatives that took."""
        spent, (x, y) = 0, x
        smooth, coupled = self.smooth, self.coupled
        if smooth is None:
            _, product = jax.linearize(self.F.of_f, x)
            smooth, spent = _MARGIN * norm_of(product, x, _POWERS), _POWERS
        if coupled is None:
            _, across = jax.linearize(lambda u: self.F.of_y(u, y), x)
            back = jax.linear_transpose(across, x)
            coupled = _MARGIN * jnp.sqrt(norm_of(lambda u: back(across(u))[0], x, _POWERS))
            spent += 2 * _POWERS
        return smooth, coupled, spent
