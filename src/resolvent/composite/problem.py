"""Composite problems: a smooth function plus one that is known by its proximal operator."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem, first_guess
from resolvent._core.value import as_real
from resolvent.composite import second_term
from resolvent.composite.objective import look_at
from resolvent.composite.support_system import support_solver
from resolvent.functions import Everything, Function


class Composite(TreeProblem):
    """Minimize f(x) + g(x), f smooth and g known by its proximal operator.

    The certificate is the proximal gradient residual `||x - prox(x - grad f(x))||`, prox that of g
    with step 1, which is `||grad f(x)||` without g; where g is not convex, it is the distance of
    `-grad f(x)` to the subdifferential of g at x. Both are zero exactly where x is stationary,
    which is where it is a minimizer if f and g are convex.

    Args:
        f: called as `f(x)`, or `f(x, args)` where `args` is given; its value is one number.
        g: a `Function` of `resolvent.functions`, such as a set or a penalty; None for none.
        start: the first guess, an array or a tree of arrays; it says what x looks like.
        args: a tree of arrays that f depends on.
        lipschitz: a number L with `||grad f(x) - grad f(y)|| <= L ||x - y||`, if one is known.
        strong: a number mu such that `f - mu ||x||^2 / 2` is convex, if one is known.
        unit: what a relative tolerance refers to, in the unit of the gradient. None for the norm
            of the gradient of f at `start`, and where that is 0 for the certificate's value there;
            1 where both are. Give a guess that is nearly an answer as `x0` to `solve` instead.

    Raises:
        TypeError: if f cannot be called, computes with NumPy or decides by the values of x, or its
            value is a whole number; if g is no Function, or numbers are not real.
        ValueError: if f(x) is no number, g has another dimension, or a constant is not positive.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        A, b = jnp.array([[2.0, 1.0], [0.0, 1.0]]), jnp.array([1.0, -1.0])
        problem = rs.Composite(
            lambda x, A: 0.5 * ((A @ x - b) ** 2).sum(), rs.functions.L1(0.1), start=jnp.zeros(2),
            args=A,
        )
        assert rs.solve(problem, rtol=1e-5).converged
        ```
    """

    f: Any
    g: Any
    args: Any
    lipschitz: Any
    strong: Any

    def __init__(
        self,
        f: Callable[..., Any],
        g: Function | None = None,
        *,
        start: Any,
        args: Any = None,
        lipschitz: float | None = None,
        strong: float | None = None,
        unit: float | None = None,
    ):
        g = Everything() if g is None else g
        if not isinstance(g, Function):
            refuse(
                TypeError, "g", given=f"a {type(g).__name__}", needed="a Function, or None",
                advice="See resolvent.functions for sets and penalties.",
            )  # fmt: skip
        start, numpy = first_guess("start", start)
        for name, value in (("lipschitz", lipschitz), ("strong", strong)):
            if value is not None:
                between(name, value, 0.0, math.inf, "It is a positive constant of f.")
        if unit is not None:
            between("unit", unit, 0.0, math.inf, "It is a size of the gradient.")
        vars(self).update(
            f=f, g=g, first=start, args=args, lipschitz=as_real(lipschitz),
            strong=as_real(strong), unit=as_real(unit), numpy=numpy,
        )  # fmt: skip
        data = (start, args, g)
        with scope(needs_double(data) and not is_traced(data)):
            g.check(start)
            look_at(f, start, args)

    def smooth(self, x: Any) -> Any:
        """f(x)."""
        value = self.f(x) if self.args is None else self.f(x, self.args)
        if isinstance(value, jax.Array):
            return value
        return jnp.asarray(value, jnp.result_type(*trees.leaves(x)))  # a constant

    def objective(self, x: Any) -> Any:
        """f(x) + g(x)."""
        return self.smooth(x) + self.g.value(x)

    def slope(self, x: Any) -> tuple[Any, Any]:
        """f(x) and its gradient, which is NaN where f(x) is not finite."""
        value, gradient = jax.value_and_grad(self.smooth)(x)
        nothing = trees.map_leaves(lambda leaf: jnp.full_like(leaf, jnp.nan), gradient)
        return value, trees.where(jnp.isfinite(value), gradient, nothing)

    def residual(self, x: Any) -> Any:
        """x - prox(x - grad f(x))."""
        x = trees.map_leaves(jnp.asarray, x)
        return self.g.displacement(x, self.slope(x)[1])

    def merit(self, x: Any, gradient: Any) -> Any:
        """The certificate's value at a point whose gradient is known; no step depends on it."""
        x, gradient = jax.lax.stop_gradient((x, gradient))
        if self.g.convex:
            return trees.norm(self.g.displacement(x, gradient))
        return self.g.subdifferential_distance(x, trees.times(-1.0, gradient))

    def scale(self, x: Any) -> Any:
        """What a relative tolerance refers to: `unit`, or the gradient where one begins."""
        if self.unit is not None:
            return self.unit
        first = jax.lax.stop_gradient(trees.map_leaves(jnp.asarray, self.first))
        gradient = jax.lax.stop_gradient(self.slope(first)[1])
        size = trees.norm(gradient)
        return known_size(size, self.merit(first, gradient).astype(size.dtype))

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||x - prox(x - grad f(x))|| <= max(rtol unit, atol)`."""
        x = trees.map_leaves(jnp.asarray, x)
        value, unit = self.merit(x, self.slope(x)[1]), self.scale(x)
        if self.g.convex:
            return Certificate(
                value, unit, name="proximal gradient residual",
                statement="||x - prox(x - grad f(x))|| <= max(rtol unit, atol)",
            )  # fmt: skip
        return Certificate(
            value, unit, name="distance to stationarity",
            statement="dist(-grad f(x), subdifferential of g at x) <= max(rtol unit, atol)",
        )  # fmt: skip

    def check_start(self, certificate: Certificate) -> None:
        """Refuse NaN in `args`, or a first guess at which f is not finite."""
        for leaf in trees.leaves(self.args):
            host = np.asarray(leaf)
            if host.dtype.kind == "f" and np.isnan(host).any():
                refuse(
                    ValueError, "args", given=f"{int(np.isnan(host).sum())} entries that are NaN",
                    needed="numbers", advice="Find them with numpy.isnan, or drop those samples.",
                )  # fmt: skip
        super().check_start(certificate)

    def second_derivative(self, x: Any, chosen: Any) -> Any:
        """That of f between chosen entries of x, raveled; None where it costs more than products.

        Places beyond the last entry are no entries, and what stands there does not count.
        """
        return None

    def slope_solver(self, x: Any) -> Any:
        """The implicit derivative's system on the support of x, where x is large."""
        return support_solver(self, x)

    def lacks(self, need: str) -> str | None:
        """`convex`, `differentiable`: g is not; `box`, `simplex`, `bounded`: it is no such set."""
        name = type(self.g).__name__
        if need == "convex" and not self.g.convex:
            return f"{name} is not convex"
        if need == "differentiable" and not second_term.differentiable(self.g):
            return f"{name} has no derivative, or none that is known here"
        if need == "box" and not second_term.boxed(self.g):
            return f"{name} is no set of bounds on single entries"
        if need == "simplex" and not second_term.simplices(self.g):
            return f"{name} is no simplex"
        if need == "bounded" and not second_term.bounded(self.g):
            return f"{name} is no set that is known to be bounded"
        return None

    def samples(self) -> int | None:
        """The length that the first axes of all of `args` have; None if they have no such."""
        shapes = [jnp.shape(leaf) for leaf in trees.leaves(self.args)]
        lengths = {shape[0] if shape else None for shape in shapes}
        return lengths.pop() if len(lengths) == 1 else None

    def sampled(self, rows: Any) -> "Composite":
        """The problem with some of the samples: with those rows of `args`."""
        return self.but(args=trees.map_leaves(lambda leaf: jnp.asarray(leaf)[rows], self.args))

    def form(self) -> str:
        return "function"

    def default_method(self) -> Any:
        """The accelerated proximal gradient method."""
        from resolvent.composite.gradients.proximal_gradient import ProximalGradient

        return ProximalGradient()

    def describe(self) -> str:
        """Size of the unknown and the second term."""
        return f"{type(self).__name__}({self.unknowns()} unknowns, {type(self.g).__name__})"


def known_size(*sizes: Any) -> Any:
    """The first of some sizes that is positive and finite, else 1."""
    found = jnp.ones_like(sizes[0])
    for size in reversed(sizes):
        found = jnp.where((size > 0) & jnp.isfinite(size), size, found)
    return found
