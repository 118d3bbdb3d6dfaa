"""Monotone inclusions 0 in F(x) + G(x): equations, variational inequalities, composite problems."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem, first_guess
from resolvent.functions import Everything, Function, Product
from resolvent.inclusion.operators import FiniteSum, FunctionOperator, Operator


class Inclusion(TreeProblem):
    """Find x with 0 in F(x) + G(x).

    F is single-valued; G is the subdifferential of a function, such as a set's normal cone, that
    is known by its resolvent. With G the normal cone of X this is the variational inequality
    `<F(x), y - x> >= 0` for all y in X. The certificate is the natural residual
    `||x - J(x - F(x))||` with J = (I + G)^-1, which is `||F(x)||` without G.

    Args:
        F: a function `F(x)`, or `F(x, args)` where `args` is given, or an `Operator`
            (`AffineOperator`, `FiniteSum`).
        G: a `Function` of `resolvent.functions`; None for no constraint.
        start: the first guess, an array or a tree of arrays; it says what x looks like.
        args: a tree of arrays that F depends on.
        lipschitz: a number L with `||F(x) - F(y)|| <= L ||x - y||`, if one is known.
        strong: a number mu with `<F(x) - F(y), x - y> >= mu ||x - y||^2`, if one is known.
        comonotone: a number rho >= 0 with `<F(x) - F(y), x - y> >= -rho ||F(x) - F(y)||^2`; 0 says
            that F is monotone.
        unit: what a relative tolerance refers to, in the unit of F.

    Raises:
        TypeError: if F cannot be called, G is no Function, or numbers are not real.
        ValueError: if F(x) does not look like x, G is not convex or has another dimension, or a
            constant is negative.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(lambda x: turn @ x, rs.functions.Box(-1.0, 1.0), start=jnp.ones(2))
        sol = rs.solve(problem, rs.inclusion.Extragradient(), rtol=1e-5)
        assert sol.converged
        ```
    """

    F: Any
    G: Any
    lipschitz: Any
    strong: Any
    comonotone: Any

    def __init__(
        self,
        F: Any,
        G: Function | None = None,
        *,
        start: Any,
        args: Any = None,
        lipschitz: float | None = None,
        strong: float | None = None,
        comonotone: float = 0.0,
        unit: float = 1.0,
    ):
        if isinstance(F, Operator) and args is not None:
            refuse(
                ValueError, "args", given=f"some beside a {type(F).__name__}", needed="none",
                advice="An Operator holds its own data.",
            )  # fmt: skip
        operator = F if isinstance(F, Operator) else FunctionOperator(F, args)
        if not callable(F):
            refuse(
                TypeError, "F", given=f"a {type(F).__name__}", needed="a function or an Operator",
                advice="Write resolvent.inclusion.AffineOperator(A, q) for F(x) = A x + q.",
            )  # fmt: skip
        vars(self).update(self._fields(operator, G, start, lipschitz, strong, comonotone, unit))

    @staticmethod
    def _fields(
        operator: Operator,
        G: Function | None,
        start: Any,
        lipschitz: Any = None,
        strong: Any = None,
        comonotone: Any = 0.0,
        unit: Any = 1.0,
    ) -> dict[str, Any]:
        """Checked fields, for this type and those that derive from it."""
        G = Everything() if G is None else G
        if not isinstance(G, Function):
            refuse(
                TypeError, "G", given=f"a {type(G).__name__}", needed="a Function, or None",
                advice="See resolvent.functions for sets and penalties.",
            )  # fmt: skip
        if names := _not_convex(G):
            refuse(
                ValueError, "G", given=f"{', '.join(names)}, not convex",
                needed="convex Functions: no other subdifferential has a resolvent of one value",
                advice="Take a convex penalty, such as L1.",
            )  # fmt: skip
        start, numpy = first_guess("start", start)
        for name, value in (("lipschitz", lipschitz), ("strong", strong)):
            if value is not None:
                between(name, value, 0.0, math.inf, "It is a positive constant of F.")
        if not is_traced(comonotone) and comonotone != 0.0:
            between("comonotone", comonotone, 0.0, math.inf, "0 says that F is monotone.")
        between("unit", unit, 0.0, math.inf, "It is a size of F.")
        with scope(needs_double((start, operator)) and not is_traced((start, operator))):
            # A point of the set: where F need not be defined elsewhere, it is defined there.
            G.check(start)
            _check_image(operator, start)
        return {
            "F": operator, "G": G, "first": start, "lipschitz": lipschitz, "strong": strong,
            "comonotone": comonotone, "unit": unit,
            "numpy": numpy,
        }  # fmt: skip

    def operator(self, x: Any) -> Any:
        """F(x), in the precision of x."""
        return jax.tree_util.tree_map(
            lambda leaf, like: jnp.asarray(leaf, like.dtype), self.F(x), x
        )

    def resolvent(self, x: Any, step: Any) -> Any:
        """(I + step G)^-1 x."""
        return self.G.prox(x, step)

    def nearest(self, x: Any) -> Any:
        """The point next to x at which G is defined: where methods begin."""
        return self.G.nearest(x)

    def residual(self, x: Any) -> Any:
        """x - J(x - F(x))."""
        x = jax.tree_util.tree_map(jnp.asarray, x)
        return self.natural(x, self.operator(x))

    def natural(self, x: Any, Fx: Any) -> Any:
        """The natural map of a point whose F(x) is known."""
        return self.G.displacement(x, Fx)

    def merit(self, x: Any, Fx: Any) -> Any:
        """The certificate's value at a point whose F(x) is known: what methods stop on.

        Its derivative is zero: a residual of exactly zero has none, and no step depends on it.
        """
        return trees.norm(jax.lax.stop_gradient(self.natural(x, Fx)))

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||x - J(x - F(x))|| <= max(rtol unit, atol)`."""
        x = jax.tree_util.tree_map(jnp.asarray, x)
        return Certificate(
            self.merit(x, self.operator(x)), self.unit, name="natural residual",
            statement="||x - J(x - F(x))|| <= max(rtol unit, atol)",
        )  # fmt: skip

    def lacks(self, need: str) -> str | None:
        """`components`: F is no finite sum; `unconstrained`: there is a G; and so on.

        Cocoercive is what cannot be told of a function: every F counts as such here that may be.
        """
        if need == "components" and not isinstance(self.F, FiniteSum):
            return "F is not a sum of components"
        if need == "unconstrained" and not _is_free(self.G):
            return "there is a constraint or penalty G"
        if need == "players" and not (isinstance(self.first, tuple | list) and self.first[1:]):
            return "x is no tuple of blocks: there are no players"
        if need == "monotone" and not is_traced(self.comonotone) and self.comonotone > 0:
            return "F is only negatively comonotone"
        return None

    def form(self) -> str:
        return type(self.F).__name__.removesuffix("Operator").lower()

    def default_method(self) -> Any:
        """The extragradient method with its line search."""
        from resolvent.inclusion.extragradient import Extragradient

        return Extragradient()

    def describe(self) -> str:
        """Size of the unknown and the constraint."""
        return f"{type(self).__name__}({self.unknowns()} unknowns, {type(self.G).__name__})"


def _is_free(G: Any) -> bool:
    """Whether G is no constraint or penalty on any block."""
    if isinstance(G, Product):
        return all(_is_free(part) for part in G.parts)
    return isinstance(G, Everything)


def _not_convex(G: Any) -> list[str]:
    """The names of the terms that are not."""
    if isinstance(G, Product):
        return [name for part in G.parts for name in _not_convex(part)]
    return [] if G.convex else [type(G).__name__]


def _check_image(operator: Operator, start: Any) -> None:
    try:
        image = jax.eval_shape(operator, start)
    except TypeError as error:
        if isinstance(operator, FunctionOperator):
            raise
        shapes = [leaf.shape for leaf in trees.leaves(start)]
        refuse(
            ValueError, "start", given=f"shapes {shapes}, at which F fails: {error}",
            needed="a point at which F is defined", advice="Compare it with the data of F.",
        )  # fmt: skip
    found, wanted = (jax.tree_util.tree_structure(tree) for tree in (image, start))
    if found != wanted:
        refuse(
            ValueError, "F", given=f"values of structure {found}",
            needed=f"structure {wanted}, that of x", advice="Look at what F returns.",
        )  # fmt: skip
    for leaf, like in zip(trees.leaves(image), trees.leaves(start), strict=True):
        if leaf.shape != like.shape or leaf.dtype.kind not in "fiub":
            refuse(
                ValueError, "F", given=f"values {leaf.dtype}{list(leaf.shape)} at points "
                f"{like.dtype}{list(like.shape)}", needed="real numbers of the same shape",
                advice="Look at what F returns.",
            )  # fmt: skip
