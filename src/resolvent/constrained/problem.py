"""Constrained problems: a smooth function under equations, inequalities and bounds."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.norm import norm
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.traceable import returned
from resolvent._core.tree_problem import TreeProblem, first_guess
from resolvent.constrained import conditions, derivatives
from resolvent.constrained.bounds import admitted_bounds
from resolvent.constrained.conditions import Multipliers
from resolvent.constrained.pattern import Pattern, admitted_pattern, check_patterns

_FACTORIZED = 2000  # rows of Newton's matrix up to which it is no burden to factorize


class ConstrainedProblem(TreeProblem):
    """Minimize f(x) subject to c(x) = 0, h(x) <= 0 and lower <= x <= upper.

    The three functions are written with `jax.numpy`; gradients, Jacobians and the Hessian of the
    Lagrangian f + y^T c + z^T h are taken from them. A tree of arrays may stand for x.

    The certificate is the error of the conditions of Karush, Kuhn and Tucker, the Euclidean norm of
    `x - clip(x - grad L, lower, upper)`, which is `grad L` without bounds, of `c(x)`, and of
    `min(z, -h(x))`, which vanishes where h <= 0, z >= 0 and h z = 0. It is no less than the same
    error with all parts in the unit of the gradient, so that it does not matter in what constraints
    are measured; and no less than what f may still change by as the multipliers tell,
    `|y|^T |c| + |z|^T |h|` and the slope along bounds times the way there, over `max(|x|, 1)`, so
    that constraints with large multipliers are met so much the better. It is zero exactly at points
    that are stationary; for convex problems these are the minimizers. The multipliers y and z are
    those of the witness, or those that least squares give, whichever make it smaller. Its details
    hold the three parts: `stationarity`, `violation` and `complementarity`, and the
    `violation_slope`, the gradient of half the squared violation within the bounds: where that is 0
    and the violation is not, no nearby point violates less.

    Args:
        f: called as `f(x)`, or `f(x, args)` where `args` is given; its value is one number.
        equalities: c, called alike; its values are an array or a tree of them; None for none.
        inequalities: h, called alike; None for none.
        bounds: a pair (lower, upper) of numbers, arrays like x, or None; infinity is no bound.
        args: a tree of arrays that the functions depend on.
        x0: the first guess, an array or a tree of arrays; it says what x looks like.
        unit: what a relative tolerance refers to, in the unit of the gradient. None for the norm of
            the gradient of f at `x0`, and where that is 0, or so small that no digit of f shows it,
            for the violation there; 1 where both are. Give a guess that is nearly an answer as
            `x0` to `solve` instead.
        pattern: marks where derivatives of the equations may differ from 0: a matrix [m, n], dense
            or of scipy.sparse, or a pair of them for equations and inequalities. The Jacobian then
            takes as many products as its columns take colours, two of one row never sharing one,
            or its rows. None for entries everywhere.

    Raises:
        TypeError: if a function cannot be called, or decides by the values of x; if its values are
            no real numbers, as those of a comparison.
        ValueError: if f(x) is no number, bounds have another shape, are NaN or exclude each other,
            or a pattern lacks entries that the Jacobian has.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.ConstrainedProblem(
            lambda x: jnp.log(1 + x[0] ** 2) - x[1],
            equalities=lambda x: (1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4,
            x0=jnp.array([2.0, 2.0]),
        )
        sol = rs.solve(problem, rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([0.0, 3**0.5]), atol=1e-3)
        ```
    """

    f: Any
    equalities: Any
    inequalities: Any
    lower: Any
    upper: Any
    args: Any
    patterns: tuple[Pattern | None, Pattern | None]

    def __init__(
        self,
        f: Callable[..., Any],
        equalities: Callable[..., Any] | None = None,
        inequalities: Callable[..., Any] | None = None,
        bounds: Any = None,
        args: Any = None,
        *,
        x0: Any,
        unit: float | None = None,
        pattern: Any = None,
    ):
        given = {"f": f, "equalities": equalities, "inequalities": inequalities}
        first, numpy = first_guess("x0", x0)
        lower, upper = admitted_bounds(bounds, first)
        if unit is not None and not is_traced(unit):
            number = float(unit) if isinstance(unit, jax.Array) and not jnp.ndim(unit) else unit
            between("unit", number, 0.0, math.inf, "It is a size of the gradient.")
        vars(self).update(
            f=f, equalities=equalities, inequalities=inequalities, lower=lower, upper=upper,
            args=args, first=first, unit=unit, numpy=numpy, patterns=(None, None),
        )  # fmt: skip
        with scope(needs_double((first, args)) and not is_traced((first, args))):
            for name, function in given.items():
                if function is not None or name == "f":
                    self._look_at(name, function)
            if pattern is not None:
                pair = isinstance(pattern, tuple) and len(pattern) == 2
                both = pattern if pair else (pattern, None)
                vars(self)["patterns"] = tuple(
                    admitted_pattern(one, count, self.unknowns())
                    for one, count in zip(both, self.counts(), strict=True)
                )
                if not is_traced((first, args)):
                    with jax.ensure_compile_time_eval():
                        check_patterns(self)

    def _look_at(self, name: str, function: Any) -> None:
        """Refuse a function whose values cannot be an objective or constraints."""
        values = returned(
            name, function, self.first, self.args,
            numpy="Use jax.numpy in it, or give its derivatives to "
            "resolvent.constrained.HostFunction.",
            decision="Write a constraint as a number, `1 - x[0]` for x[0] >= 1, and a choice "
            "with jax.numpy.where.",
        )  # fmt: skip
        leaves = trees.leaves(values)
        kinds = {leaf.dtype.kind for leaf in leaves}
        if "b" in kinds:
            refuse(
                TypeError, name, given="a function whose values are true or false",
                needed="real numbers", advice="Write x[0] >= 1 as the inequality 1 - x[0] (<= 0).",
            )  # fmt: skip
        if kinds - {"f"}:
            refuse(
                TypeError, name, given=f"a function with values of dtype {leaves[0].dtype}",
                needed="real numbers that have derivatives",
                advice="Let it compute with x, in floating point.",
            )  # fmt: skip
        if name == "f" and (len(leaves) != 1 or leaves[0].shape):
            shapes = ", ".join(str(leaf.shape) for leaf in leaves)
            refuse(
                ValueError, "f", given=f"values of shape {shapes or 'nothing'}",
                needed="one real number", advice="Add up what f returns.",
            )  # fmt: skip

    def _of(self, function: Any, x: Any) -> Any:
        return function(x) if self.args is None else function(x, self.args)

    # Points as one vector, which is what methods work with.

    def vector(self, x: Any) -> Any:
        """All entries of a point in one vector."""
        return trees.raveled(trees.map_leaves(jnp.asarray, x))

    def point(self, v: Float[Any, " n"]) -> Any:
        """The point whose entries are those of a vector."""
        return trees.unraveled(v, self.first)

    def objective_at(self, v: Float[Any, " n"]) -> Any:
        """f."""
        (value,) = trees.leaves(self._of(self.f, self.point(v)))
        return jnp.asarray(value, v.dtype)

    def equalities_at(self, v: Float[Any, " n"]) -> Any:
        """c, in one vector."""
        return self._values(self.equalities, v)

    def inequalities_at(self, v: Float[Any, " n"]) -> Any:
        """h, in one vector."""
        return self._values(self.inequalities, v)

    def _values(self, function: Any, v: Any) -> Any:
        leaves = [] if function is None else trees.leaves(self._of(function, self.point(v)))
        parts = (jnp.ravel(jnp.asarray(leaf, v.dtype)) for leaf in leaves)
        return jnp.concatenate([jnp.zeros(0, v.dtype), *parts])

    def bounds_at(self, v: Float[Any, " n"]) -> Any:
        """Both bounds as vectors, or None where there are none."""
        if self.lower is None:
            return None
        return self.vector(self.lower).astype(v.dtype), self.vector(self.upper).astype(v.dtype)

    # What a user may ask of the problem.

    def objective(self, x: Any) -> Any:
        """f(x)."""
        return self._of(self.f, x)

    def gradient(self, x: Any) -> Any:
        """The gradient of f, like x."""
        return self._asked(x, lambda v: self.point(jax.grad(self.objective_at)(v)))

    def jacobian(self, x: Any) -> Any:
        """[m, n], of the equations."""
        return self._asked(x, lambda v: derivatives.local(self, v).jacobian)

    def jacobian_product(self, x: Any, direction: Any) -> Any:
        """[m], the Jacobian of the equations times a direction like x."""
        return self._asked(
            x, lambda v: jax.jvp(self.equalities_at, (v,), (self.vector(direction),))[1]
        )

    def lagrangian_gradient(self, x: Any, multipliers: Multipliers) -> Any:
        """The gradient of f + y^T c + z^T h, like x: what is left of it bounds bear.

        Its entry is the multiplier of a lower bound that holds there, less that of an upper one.
        """

        def gradient(v: Any) -> Any:
            pair = self.pair(v, multipliers)
            return self.point(jax.grad(lambda u: derivatives.lagrangian(self, u, *pair))(v))

        return self._asked(x, gradient)

    def hessian(self, x: Any, multipliers: Multipliers | None = None) -> Any:
        """[n, n], of the Lagrangian, of f alone without multipliers."""
        return self._asked(x, lambda v: derivatives.hessian(self, v, *self.pair(v, multipliers)))

    def hessian_product(
        self, x: Any, direction: Any, multipliers: Multipliers | None = None
    ) -> Any:
        """The Hessian of the Lagrangian times a direction like x."""

        def product(v: Any) -> Any:
            d, pair = self.vector(direction), self.pair(v, multipliers)
            return self.point(derivatives.hessian_product(self, v, *pair, d))

        return self._asked(x, product)

    def multipliers(self, x: Any) -> Multipliers:
        """Those that least squares give at x, with z >= 0."""

        def least(v: Any) -> Any:
            return conditions.estimated(
                v, derivatives.local(self, v, sparse=True), self.bounds_at(v)
            )

        return self._asked(x, least)

    def _asked(self, x: Any, function: Callable[..., Any]) -> Any:
        """A function of the vector of x in double precision where the first guess has it."""
        with self.data_precision(x):
            return self.restore_witness(function(self.vector(x)))

    def pair(self, v: Float[Any, " n"], multipliers: Any) -> Multipliers:
        """Multipliers in the precision of v, zero where there are none."""
        if multipliers is None:
            return Multipliers(*(jnp.zeros(size, v.dtype) for size in self.counts()))
        shapes = [jnp.shape(part) for part in multipliers]
        if shapes != [(size,) for size in self.counts()]:
            m, p = self.counts()
            refuse(
                ValueError, "multipliers", given=f"arrays of the shapes {shapes}",
                needed=f"two, of the shapes ({m},) and ({p},)",
                advice="There is one for each equation, and one for each inequality.",
            )  # fmt: skip
        return Multipliers(*(jnp.asarray(part, v.dtype) for part in multipliers))

    def counts(self) -> tuple[int, int]:
        """How many equations and how many inequalities there are."""
        sizes = []
        for function in (self.equalities, self.inequalities):
            values = () if function is None else jax.eval_shape(
                lambda x, function=function: self._of(function, x), self.first
            )  # fmt: skip
            sizes.append(sum(math.prod(leaf.shape) for leaf in trees.leaves(values)))
        return sizes[0], sizes[1]

    # What the front door asks.

    def residual(self, x: Any) -> Any:
        """Three vectors that vanish together exactly where x is stationary."""
        v = self.vector(x)
        at, bounds = derivatives.local(self, v, sparse=True), self.bounds_at(v)
        return conditions.parts(v, at, conditions.estimated(v, at, bounds), bounds)

    def optimality(self, x: Any) -> Any:
        """As many equations as unknowns: what holds at x, and the gradient of the Lagrangian where
        nothing does."""
        from resolvent.constrained.sensitivity import square_system

        return square_system(self, x)

    def scale(self, x: Any) -> Any:
        """What a relative tolerance refers to: `unit`, or the gradient where one begins."""
        if self.unit is not None:
            return self.unit
        v = jax.lax.stop_gradient(self.vector(self.first))
        at = jax.lax.stop_gradient(derivatives.local(self, v, sparse=True))
        found = jnp.ones((), v.dtype)
        # A slope that shows in no digit of f is rounding, as where f begins at its least value.
        slope, length = norm(at.gradient), jnp.maximum(norm(v), 1)
        slope = jnp.where(slope * length > jnp.finfo(v.dtype).eps * jnp.abs(at.value), slope, 0)
        for size in (conditions.violated(v, at, self.bounds_at(v))[0], slope):
            found = jnp.where((size > 0) & jnp.isfinite(size), size, found)
        return found

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """`||(x - clip(x - grad L), c(x), min(z, -h(x)))|| <= max(rtol unit, atol)`."""
        v, witness = jax.lax.stop_gradient((self.vector(x), witness))
        at, bounds = derivatives.local(self, v, sparse=True), self.bounds_at(v)
        unit = self.scale(x)
        pairs = [] if witness is None else [self.pair(v, witness)]
        if not (at.is_sparse and pairs):  # where the system of least squares is large
            pairs.append(conditions.estimated(v, at, bounds))
        best, *others = (
            conditions.errors(v, self._exact(v, at, pair), pair, bounds, unit) for pair in pairs
        )
        for other in others:
            better = (other.total < best.total) | jnp.isnan(best.total)
            best = trees.where(better, other, best)
        details = {
            "stationarity": best.stationarity,
            "violation": best.violation,
            "complementarity": best.complementarity,
            "violation_slope": norm(conditions.violated(v, at, bounds)[1]),
        }
        return Certificate(
            best.total, unit, details=details, name="KKT error",
            statement="||(x - clip(x - grad L), c(x), min(z, -h(x)))|| <= max(rtol unit, atol)",
        )  # fmt: skip

    def _exact(self, v: Any, at: Any, pair: Multipliers) -> Any:
        """The same with the gradient that makes the Lagrangian's exact, whatever patterns lack."""
        if not at.is_sparse:
            return at
        whole = jax.grad(lambda u: derivatives.lagrangian(self, u, *pair))(v)
        y, z = pair
        return at._replace(gradient=whole - y @ at.jacobian - z @ at.slopes)

    def restore_witness(self, witness: Any) -> Any:
        """Multipliers as NumPy's arrays where the first guess was one."""
        if witness is None or not self.numpy or is_traced(witness):
            return witness
        return jax.tree_util.tree_map(np.array, witness)

    def lacks(self, need: str) -> str | None:
        """`equality_constraints_alone`, `bounds_alone`: there are others;
        `at_most_as_many_equations_as_unknowns`: there are more."""
        m, p = self.counts()
        if need == "bounds_alone" and (m or p):
            return f"there are {m} equations and {p} inequalities"
        if need == "equality_constraints_alone" and (p or self.lower is not None):
            what = [] if not p else [f"{p} inequalities"]
            what += [] if self.lower is None else ["bounds"]
            return f"there are {' and '.join(what)}"
        if need == "at_most_as_many_equations_as_unknowns" and m > self.unknowns():
            return f"there are {m} equations for {self.unknowns()} unknowns"
        return None

    def form(self) -> str:
        return "function"

    def default_method(self) -> Any:
        """Newton's method for equations that may be independent, or within bounds; else an interior
        point. Where their matrices would be large, methods that take products alone."""
        from resolvent.constrained.augmented_lagrangian import AugmentedLagrangian
        from resolvent.constrained.interior.primal_dual import PrimalDualInteriorPoint
        from resolvent.constrained.projected_newton import ProjectedNewton
        from resolvent.constrained.sketched_newton import SketchedNewton

        n, (m, p) = self.unknowns(), self.counts()
        small = n + m + (p if p <= n else 0) <= _FACTORIZED
        if small and self.missing(SketchedNewton.needs) is None:
            return SketchedNewton("exact", scaled=True, stretch=2.0)
        if self.missing(ProjectedNewton.needs) is None:
            return ProjectedNewton()
        return PrimalDualInteriorPoint() if small else AugmentedLagrangian()

    def describe(self) -> str:
        """Size of the unknown and the kinds of constraints."""
        m, p = self.counts()
        bounds = "" if self.lower is None else ", bounds"
        return (
            f"ConstrainedProblem({self.unknowns()} unknowns, {m} equations, "
            f"{p} inequalities{bounds})"
        )
