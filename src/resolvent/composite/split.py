"""Sums of a smooth term, a term with a prox, and one with a prox behind a linear map."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.power_iteration import norm_of
from resolvent._core.precision import needs_double, scope
from resolvent._core.solution import Certificate
from resolvent._core.tree_problem import TreeProblem, as_jax, first_guess
from resolvent._core.value import static
from resolvent.composite.linear_map import POWERS, LinearMap, MatrixMap, as_map
from resolvent.composite.problem import known_size
from resolvent.functions import Everything, Function

_DENSE = 256  # unknowns up to which a derivative's system is solved by its singular values
_MARGIN = 1.1  # by which an estimate is raised: power iterations see a little less than the norm


class SplitComposite(TreeProblem):
    """Minimize f(x) + g(x) + h(K x): f smooth, g and h known by their prox, K linear.

    Basis pursuit, the fused lasso, total variation, constraints K x = b or K x in a set, and sums
    of two penalties are such problems. The unknown is the pair (x, y) with the dual point y, which
    at an answer is a slope of h at K x, and -K^T y - grad f(x) one of g at x.

    The certificate is the duality gap `g(x) + h(K x) + g*(-K^T y) + h*(y)` where that can come
    down to zero: there is no f, the conjugates of g and h are known, and h is finite everywhere.
    It bounds what x is away from the least objective. y is shortened first, where that makes the
    conjugates finite. Elsewhere it is the residual of the optimality conditions, the length of
    `x - prox_g(x - grad f(x) - K^T y)` and `K x - prox_h(K x + y)` together, with steps of 1.

    Args:
        h: a `Function` of K x.
        K: a matrix [m, n], dense or SciPy sparse; a linear function that JAX can transpose; a pair
            of functions, the second the transpose; None for the identity.
        g: a `Function` of x, or None.
        f: convex and smooth, called as `f(x)`, or `f(x, args)` where `args` is given; or None. A
            `Function` stands for its value, or is g where there is none.
        start: the first guess of x, an array or a tree of arrays; that of y is zero. None for zero
            where K is a matrix.
        args: a tree of arrays that f depends on, and K where it is a function, which is then
            called as `K(x, args)`.
        lipschitz: a number L with `||grad f(x) - grad f(z)|| <= L ||x - z||`, if one is known.
        norm: the largest singular value of K, or more, if it is known.
        quadratic: whether f has a constant second derivative.
        unit: what a relative tolerance refers to. None for the gap of the first guess x with y = 0,
            or for the length of grad f(x) and K x - prox_h(K x) together where the certificate is
            the residual, or for that of x - prox_g(x) where this is 0; for 1 where nothing is left.
            Give a guess that is nearly an answer as `x0` to `solve` instead.

    Raises:
        TypeError: for an h or g that is no Function, a K of another type, an f that cannot be
            called.
        ValueError: for functions that are not convex or do not fit, f(x) that is no number, a
            constant that is not positive, or no start where one is needed.

    Example:
        ```python
        import numpy as np, resolvent as rs
        steps = np.array([0.0, 0.2, 0.1, 5.0, 5.3])
        problem = rs.SplitComposite(
            rs.functions.L1(0.5), np.diff(np.eye(5), axis=0),
            g=rs.functions.SquaredL2(1.0, center=steps),
        )
        x, y = rs.solve(problem, rtol=1e-8).x
        assert np.allclose(x, [4 / 15] * 3 + [4.9] * 2, atol=1e-3)
        ```
    """

    f: Any
    g: Any
    h: Any
    K: Any
    args: Any
    lipschitz: Any
    norm: Any
    quadratic: bool = static()
    gapped: bool = static()
    """Whether the certificate is the duality gap."""

    def __init__(
        self,
        h: Function,
        K: Any = None,
        *,
        g: Function | None = None,
        f: Callable[..., Any] | Function | None = None,
        start: Any = None,
        args: Any = None,
        lipschitz: float | None = None,
        norm: float | None = None,
        quadratic: bool = False,
        unit: float | None = None,
    ):
        if isinstance(f, Function) and g is None:
            f, g = None, f
        if f is not None and not callable(f) and not isinstance(f, Function):
            refuse(
                TypeError, "f", given=f"a {type(f).__name__}", needed="a function x -> f(x)",
                advice="Pass a function that JAX can differentiate.",
            )  # fmt: skip
        g = Everything() if g is None else g
        _convex("g", g)
        _convex("h", h)
        for name, value in (("lipschitz", lipschitz), ("norm", norm), ("unit", unit)):
            if value is not None:
                between(name, value, 0.0, math.inf, "It is a positive constant.")
        K = as_map(K)
        x, numpy, K = _first(K, start)
        vars(self).update(
            f=f, g=g, h=h, K=K, args=args, lipschitz=lipschitz, norm=norm,
            quadratic=bool(quadratic), gapped=False, first=(x, None), unit=unit, numpy=numpy,
        )  # fmt: skip
        data = (x, args, g, h, K)
        with scope(needs_double(data) and not is_traced(data)):
            g.check(x)
            image = jax.eval_shape(jax.tree_util.tree_map(as_jax, self).image, x)
            xp = np if numpy else jnp
            y = trees.map_leaves(lambda leaf: xp.zeros(leaf.shape, leaf.dtype), image)
            vars(self)["first"] = x, y
            h.check(y)
            if f is not None:
                self._check_f(x)
            known = f is None and _finite_everywhere(h, y) and _conjugate(g, h, x, y)
            vars(self)["gapped"] = known
            if unit is None and self.gapped:
                vars(self)["unit"] = self._first_gap()

    def _check_f(self, x: Any) -> None:
        value = jax.eval_shape(self.smooth, x)
        if not hasattr(value, "shape") or value.shape or value.dtype.kind != "f":
            shape = getattr(value, "shape", type(value).__name__)
            refuse(
                ValueError, "f", given=f"values of shape {shape}", needed="one real number",
                advice="Add up what f returns.",
            )  # fmt: skip

    def _first_gap(self) -> Any:
        """The gap of the first guess, with y = 0; 1 where that is zero or infinite."""
        ready = self.prepare("traced")
        x, y = ready.first
        x, y = ready.g.nearest(x), trees.zeros(y)
        gap = ready.gap(x, y, ready.image(x), ready.pulled(y))
        unit = jnp.where((gap > 0) & jnp.isfinite(gap), gap, 1.0)
        return float(unit) if self.numpy and not is_traced(unit) else unit

    def scale(self, x: Any) -> Any:
        """What a relative tolerance refers to: `unit`, or what is off where one begins."""
        if self.unit is not None:
            return self.unit
        ready = jax.tree_util.tree_map(as_jax, self)
        x, y = ready.first
        away = ready.h.displacement(ready.image(x), trees.zeros(y))
        size = trees.norm(jax.lax.stop_gradient((ready.slope(x), away)))
        rest = jax.lax.stop_gradient(ready.g.displacement(x, trees.zeros(x)))
        return known_size(size, trees.norm(rest))

    def image(self, x: Any) -> Any:
        """K x."""
        return self.K.times(x, self.args)

    def pulled(self, y: Any) -> Any:
        """K^T y."""
        return self.K.transposed_times(y, self.first[0], self.args)

    def smooth(self, x: Any) -> Any:
        """f(x)."""
        if self.f is None:
            return 0.0
        if isinstance(self.f, Function):
            return self.f.value(x)
        return self.f(x) if self.args is None else self.f(x, self.args)

    def slope(self, x: Any) -> Any:
        """The gradient of f."""
        return trees.zeros(x) if self.f is None else jax.grad(self.smooth)(x)

    def objective(self, x: Any) -> Any:
        """f(x) + g(x) + h(K x)."""
        return self.smooth(x) + self.g.value(x) + self.h.value(self.image(x))

    def gap(self, x: Any, y: Any, Kx: Any, KTy: Any) -> Any:
        """The duality gap of a point whose products are known, f being 0.

        Rounding errors of the objective and of its bound are part of it: no gap is zero that is
        only too small to be seen.
        """
        primal = self.g.value(x) + self.h.value(Kx)
        shorter = self.h.scaled_conjugate(y)
        if shorter is not None:
            y, KTy = trees.times(shorter[0], y), trees.times(shorter[0], KTy)
        found = self.g.scaled_conjugate(trees.times(-1.0, KTy))
        assert found is not None
        scale, rest = found
        bound = -rest - self.h.conjugate(trees.times(scale, y))
        rounding = float(jnp.finfo(trees.leaves(x)[0].dtype).eps) * (abs(primal) + abs(bound))
        return abs(primal - bound) + rounding

    def displacements(self, x: Any, y: Any, Kx: Any, pull: Any) -> tuple[Any, Any]:
        """What both optimality conditions are off, from K x and grad f(x) + K^T y."""
        return self.g.displacement(x, pull), self.h.displacement(Kx, trees.times(-1.0, y))

    def merit(self, point: Any, products: Any, slope: Any = None) -> Any:
        """The certificate's value at (x, y) from (K x, K^T y); no step depends on it.

        `slope` is the gradient of f at x, where it is known.
        """
        point, products, slope = jax.lax.stop_gradient((point, products, slope))
        if self.gapped:
            return self.gap(*point, *products)
        if self.f is not None:
            slope = self.slope(point[0]) if slope is None else slope
            products = products[0], trees.plus(slope, 1.0, products[1])
        return trees.norm(self.displacements(*point, *products))

    def residual(self, x: Any) -> Any:
        """(x - prox_g(x - grad f(x) - K^T y), K x - prox_h(K x + y))."""
        x, y = trees.map_leaves(jnp.asarray, x)
        pull = trees.plus(self.pulled(y), 1.0, self.slope(x))
        return self.displacements(x, y, self.image(x), pull)

    def certify(self, x: Any, witness: Any = None) -> Certificate:
        """Duality gap, or residual: `<= max(rtol unit, atol)`."""
        ready = jax.tree_util.tree_map(as_jax, self)
        point = trees.map_leaves(jnp.asarray, x)
        value = ready.merit(point, (ready.image(point[0]), ready.pulled(point[1])))
        if self.gapped:
            return Certificate(
                value, self.unit, kind="bound", name="duality gap",
                statement="objective(x) - lower bound(y) <= max(rtol unit, atol)",
            )  # fmt: skip
        return Certificate(
            value, self.scale(x), name="optimality residual",
            statement="||x - prox_g(x - grad f(x) - K^T y), K x - prox_h(K x + y)|| "
            "<= max(rtol unit, atol)",
        )  # fmt: skip

    def admit(self, x0: Any, name: str = "x0") -> Any:
        """A pair (x, y), or an x, beside which y is made of the slopes of h near K x."""
        structure = jax.tree_util.tree_structure
        if structure(x0) == structure(self.first):
            return super().admit(x0, name)
        x = TreeProblem.admit(self.but(first=self.first[0]), x0, name)
        with scope(needs_double(self.first) and not is_traced((x, self))):
            ready = jax.tree_util.tree_map(as_jax, self)
            u = ready.image(trees.map_leaves(jnp.asarray, x))
            y = trees.minus(u, ready.h.prox(u, 1.0))
            return x, trees.map_leaves(np.asarray, y) if self.numpy and not is_traced(y) else y

    def curvature(self, x: Any) -> tuple[Any, int]:
        """A Lipschitz constant of grad f, as stated or as estimated at x, and the products it took.

        Estimates are right for quadratic f.
        """
        if self.f is None:
            return 0.0, 0
        if self.lipschitz is not None:
            return self.lipschitz, 0
        _, product = jax.linearize(self.slope, x)
        return _MARGIN * norm_of(product, x, POWERS), 1

    def slope_solver(self, x: Any) -> Any:
        """Least squares for small problems: dual points need not be unique where x is."""
        flat = trees.raveled(x)
        if flat.size > _DENSE:
            return None
        matrix = jax.jacfwd(lambda v: trees.raveled(self.optimality(trees.unraveled(v, x))))(flat)

        def solve(target: Any, transposed: bool) -> Any:
            t, A = trees.raveled(target), matrix.T if transposed else matrix
            found = jnp.linalg.lstsq(A, t)[0]
            left = trees.norm(t - A @ found)
            good = left <= jnp.finfo(t.dtype).eps ** 0.5 * trees.norm(t)
            return trees.unraveled(jnp.where(good, found, jnp.nan), target)

        return solve

    def restore_witness(self, witness: Any) -> Any:
        """NumPy where the first guess was NumPy."""
        return self.restore(witness)

    def form(self) -> str:
        return type(self.K).__name__.removesuffix("Map").lower()

    def default_method(self) -> Any:
        """The primal-dual hybrid gradient method."""
        from resolvent.composite.splitting.pdhg import PDHG

        return PDHG()

    def describe(self) -> str:
        """Sizes of x and y, and the terms."""
        n, m = (sum(math.prod(leaf.shape) for leaf in trees.leaves(part)) for part in self.first)
        terms = [type(self.g).__name__, type(self.h).__name__]
        return f"{type(self).__name__}({n} x {m}, {', '.join(terms)})"


def _convex(name: str, term: Any) -> None:
    if not isinstance(term, Function):
        refuse(
            TypeError, name, given=f"a {type(term).__name__}", needed="a Function",
            advice="See resolvent.functions for sets, penalties and losses.",
        )  # fmt: skip
    if not term.convex:
        refuse(
            ValueError, name, given=f"a {type(term).__name__}, which is not convex",
            needed="a convex Function", advice="Dual points mean nothing without convexity.",
        )  # fmt: skip


def _first(K: LinearMap, start: Any) -> tuple[Any, bool, LinearMap]:
    """The first x, whether it is NumPy's, and K in its precision."""
    if start is None:
        if not isinstance(K, MatrixMap):
            refuse(
                ValueError, "start", given="none", needed="a first guess, where K is no matrix",
                advice="Give an array, or a tree of arrays, that looks like x.",
            )  # fmt: skip
        xp = np if K.design.numpy else jnp
        return xp.zeros(K.design.shape[1], K.design.dtype), K.design.numpy, K
    x, numpy = first_guess("start", start)
    if isinstance(K, MatrixMap):
        needed, given = (K.design.shape[1],), getattr(x, "shape", type(x).__name__)
        if given != needed:
            refuse(
                ValueError, "start", given=f"shape {given}",
                needed=f"shape {needed}, one entry a column of K",
                advice="Pass K as a function for unknowns of another shape.",
            )  # fmt: skip
        K = K.but(design=_cast(K.design, x.dtype))
    return x, numpy, K


def _cast(design: Any, dtype: Any) -> Any:
    name = "matrix" if hasattr(design, "matrix") else "data"
    part = getattr(design, name)
    return design if part.dtype == dtype else design.but(**{name: part.astype(dtype)})


def _finite_everywhere(h: Function, like: Any) -> bool:
    """Whether h is known to be finite at every point, whatever its numbers are."""
    # Where there is no constraint the nearest point is the very one that was given.
    near, given = trees.leaves(h.nearest(like)), trees.leaves(like)
    return len(near) == len(given) and all(a is b for a, b in zip(near, given, strict=True))


def _conjugate(g: Function, h: Function, x: Any, y: Any) -> bool:
    """Whether both conjugates are, and that of g at points that follow from any y."""
    try:
        jax.eval_shape(h.conjugate, trees.map_leaves(jnp.asarray, y))
        return g.scaled_conjugate(trees.map_leaves(jnp.zeros_like, x)) is not None
    except NotImplementedError:
        return False
