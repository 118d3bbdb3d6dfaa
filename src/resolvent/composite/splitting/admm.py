"""The alternating direction method of multipliers, over-relaxed, with a penalty that adapts."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from resolvent._core import trees
from resolvent._core.checks import between
from resolvent._core.line_search import power_of_two
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.linear_map import POWERS, IdentityMap
from resolvent.composite.split import SplitComposite
from resolvent.composite.splitting.pdhg import finite_merit
from resolvent.functions import Everything, SquaredL2

_LOOK = 5  # steps between two looks at the certificate
_DENSE = 512  # unknowns up to which the system of an x-step is factorized
_FIRST = 10  # steps before the penalty changes first; then after twice as many each time
_APART = 2.0  # how far the residuals must be apart for that
_MOST = 100.0  # factor of one change at most
_NEARLY = 1e-6  # weight of the term that keeps the factorized system regular
_INNER = 0.05  # of the last residuals, to which conjugate gradients solve an x-step
_INNER_STEPS = 200


class DirectionState(NamedTuple):
    x: Any
    image: Any
    """M x: what the terms with a prox are given."""
    z: Any
    u: Any
    gram: Any
    """The matrices of f and of M^T M; empty where no system is factorized."""
    factor: Any
    constant: Any
    """The gradient of a quadratic f at zero."""
    penalty: Any
    curvature: Any
    gap: Any
    """The residuals of the last step together."""
    change: Any
    out: Any
    merit: Any
    steps: Any
    spent: Any
    solves: Any
    gradients: Any


class ADMM(Method):
    """Splits z = K x off, and minimizes the augmented Lagrangian over x and over z in turn.

    Solves `SplitComposite` problems by x' = argmin f(x) + g(x) + (p / 2) ||K x - z + u||^2,
    z' = prox(a K x' + (1 - a) z + u), the proximal operator that of h / p, and u' = u + a K x' +
    (1 - a) z - z'; y = p u is the dual point. The x-step is

    - the proximal operator of g where K is the identity: Douglas's and Rachford's splitting;
    - a linear system where g is 0 or a square: by a Cholesky factorization up to 512 unknowns, by
      conjugate gradients beyond;
    - the same system for any other g, which is then split off as h is, beside z.

    f enters exactly if the problem says that it is `quadratic` (and K is not the identity), by a
    gradient step of length 1 / L otherwise.

    Args:
        penalty: p, positive, in the unit of y over K x: at first, where it is balanced. None takes
            the ratio of the curvature of f and of a square g to that of ||K x||^2 / 2, or 1.
        relaxation: a in (0, 2).
        balancing: make the penalty larger or smaller where K x - z and p (z' - z) are apart,
            each relative to its parts; ever less often, so that the convergence is that of a
            constant penalty.

    Raises:
        ValueError: for a penalty that is not positive, or a relaxation outside (0, 2).

    Cost per iteration:
        A proximal operator of h (and of g), one product with K and one with K^T, and one linear
        solve: n^2 after a factorization of n^3 for each penalty, or some products. Where f is not
        quadratic a gradient. Each fifth step looks at the certificate, for two products.

    Convergence:
        For convex terms whose optimality conditions have an answer the points converge, and the
        residuals are O(1 / sqrt(k)); linear where the conditions are sharp.

    Example:
        ```python
        import numpy as np, resolvent as rs
        signal = np.repeat([1.0, 4.0, 2.0], 10)
        problem = rs.SplitComposite(
            rs.functions.L1(1.0), np.diff(np.eye(30), axis=0),
            g=rs.functions.SquaredL2(1.0, center=signal),
        )
        x, y = rs.solve(problem, rs.composite.ADMM(), rtol=1e-8).x
        assert np.allclose(x, np.repeat([1.1, 3.8, 2.1], 10), atol=1e-3)
        ```

    Reference:
        S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011), Distributed optimization and
        statistical learning via the alternating direction method of multipliers. J. Eckstein, D. P.
        Bertsekas (1992), On the Douglas-Rachford splitting method and the proximal point algorithm
        for maximal monotone operators.
    """

    penalty: Any = None
    relaxation: Any = 1.6
    balancing: bool = static(default=True)

    name: ClassVar[str] = "admm"
    solves: ClassVar = (SplitComposite,)
    engines: ClassVar = ("traced",)
    ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.penalty is not None:
            between("penalty", self.penalty, 0.0, math.inf, "It weighs squares.")
        between("relaxation", self.relaxation, 0.0, 2.0, "Beyond 2 it moves away.")

    def init(self, problem: SplitComposite, x0: Any, memory: Memory, key: Any) -> DirectionState:
        way = _Way(problem)
        x, y = problem.g.nearest(x0[0]), x0[1]
        image = problem.image(x)
        merit = finite_merit(problem.merit((x, y), (image, problem.pulled(y))))
        dtype = merit.dtype
        zero = jnp.zeros((), jnp.int32)
        curvature, looks = (0.0, 0) if way.exact else problem.curvature(x)
        curvature = jnp.asarray(curvature, dtype)
        gram = way.gram(x)
        penalty = self.penalty
        if penalty is None:
            penalty = power_of_two(jax.lax.stop_gradient(way.penalty(gram, x, curvature)))
        penalty = jnp.asarray(penalty, dtype)
        constant = problem.slope(trees.zeros(x)) if way.exact else ()
        images = way.images(x, image)
        scaled = trees.times(1.0 / penalty, y)
        # Where g is split off as well, its dual point is what balances the others.
        if way.copied:
            rest = trees.plus(problem.slope(x), 1.0, problem.pulled(y))
            scaled = trees.times(-1.0 / penalty, rest), scaled
        else:
            scaled = (scaled,)
        return DirectionState(
            x, images, images, scaled, gram, way.factor(gram, penalty, curvature), constant,
            penalty, curvature, jnp.asarray(jnp.inf, dtype), zero + _FIRST, (x, y), merit, zero,
            zero + 2, zero, zero + (problem.f is not None) * (1 + way.exact + way.copied) +
            POWERS * looks,
        )  # fmt: skip

    def step(self, problem: SplitComposite, state: DirectionState) -> DirectionState:
        way = _Way(problem)
        penalty = state.penalty
        slope = problem.slope(state.x) if way.linearized else None
        x = way.nearest(state, slope)
        image = problem.image(x)
        images = way.images(x, image)
        mixed = trees.combined((self.relaxation, images), (1.0 - self.relaxation, state.z))
        ahead = trees.plus(mixed, 1.0, state.u)
        z = tuple(
            term.prox(part, 1.0 / penalty) for term, part in zip(way.terms, ahead, strict=True)
        )
        u = trees.minus(ahead, z)
        fresh = state._replace(
            x=x, image=images, z=z, u=u, steps=state.steps + 1,
            spent=state.spent + (0 if way.direct else 2), solves=state.solves + way.solved,
            gradients=state.gradients + way.linearized,
        )  # fmt: skip
        look = (fresh.steps % _LOOK == 0) | (state.steps == 0)
        fresh = jax.lax.cond(
            look, lambda: self._looked(problem, way, state, fresh, slope), lambda: fresh
        )
        point = (z[0] if way.copied else x), trees.times(penalty, u[-1])
        return fresh._replace(out=point)

    def _looked(
        self,
        problem: SplitComposite,
        way: "_Way",
        before: DirectionState,
        state: DirectionState,
        slope: Any,
    ) -> DirectionState:
        """The state with its merit, and perhaps with another penalty."""
        stop = jax.lax.stop_gradient
        z, u, images, penalty = stop((state.z, state.u, state.image, state.penalty))
        point = (z[0] if way.copied else stop(state.x)), trees.times(penalty, u[-1])
        products = problem.image(point[0]), problem.pulled(point[1])
        there = None if problem.f is None else problem.slope(point[0])
        merit = jnp.asarray(finite_merit(problem.merit(point, products, there)), state.merit.dtype)
        apart = _length(trees.minus(images, z))
        moved = _length(trees.minus(z, stop(before.z)))
        curvature = state.curvature
        if way.linearized and problem.lipschitz is None:
            # The gradient at x, which is what comes next, is seen once more.
            dx = trees.minus(stop(state.x), stop(before.x))
            here = there if not way.copied else problem.slope(stop(state.x))
            bend, square = trees.dot(trees.minus(here, stop(slope)), dx), trees.dot(dx, dx)
            steep = bend > curvature * square * (1.0 + 1e-3)
            curvature = jnp.where(steep, 1.5 * bend / jnp.where(steep, square, 1.0), curvature)
        factor, due = jnp.ones_like(penalty), state.steps >= state.change
        if self.balancing:
            primal, dual = apart * _length(u), moved * jnp.maximum(_length(images), _length(z))
            least = jnp.maximum(primal, dual) / _MOST**2
            wish = jnp.sqrt(jnp.maximum(primal, least) / jnp.maximum(dual, least))
            wish = jnp.where(least > 0, wish, 1.0)
            change = due & ((wish > _APART) | (wish < 1.0 / _APART))
            # Powers of 2, as the first one: they do not follow small changes of the data.
            factor = jnp.where(change, power_of_two(wish), 1.0)
        new = penalty * factor
        again = (new != penalty) | (curvature != state.curvature)
        return state._replace(
            merit=merit, penalty=new, curvature=curvature, gap=apart + moved,
            u=trees.times(1.0 / factor, state.u),
            change=jnp.where(due, 2 * state.change, state.change),
            factor=jax.lax.cond(
                again, lambda: way.factor(state.gram, new, curvature), lambda: state.factor
            ),
            spent=state.spent + 2,
            gradients=state.gradients + (problem.f is not None)
            + (way.linearized and way.copied and problem.lipschitz is None),
        )  # fmt: skip

    def measure(self, problem: SplitComposite, state: DirectionState) -> Any:
        return state.merit

    def iterate(self, problem: SplitComposite, state: DirectionState) -> tuple[Any, Any]:
        return state.out, state.out[1]

    def refresh(self, problem: SplitComposite, state: DirectionState) -> DirectionState:
        """Measure the point that would be returned from the data."""
        x, y = state.out
        merit = finite_merit(problem.merit((x, y), (problem.image(x), problem.pulled(y))))
        return state._replace(
            merit=jnp.asarray(merit, state.merit.dtype), spent=state.spent + 2,
            gradients=state.gradients + (problem.f is not None),
        )  # fmt: skip

    def calls(self, problem: SplitComposite, state: DirectionState) -> dict[str, Any]:
        way = _Way(problem)
        counts = {"prox": (len(way.terms) + way.direct) * state.steps}
        if way.solved:
            counts |= {"product": state.spent, "solve": state.solves}
        return counts if problem.f is None else {**counts, "gradient": state.gradients}


class _Way:
    """How the x-step is taken on a problem."""

    def __init__(self, problem: SplitComposite):
        g = problem.g
        self.problem = problem
        self.direct = isinstance(problem.K, IdentityMap)
        self.square = isinstance(g, SquaredL2) and g.domain is None
        self.solved = not self.direct
        self.copied = self.solved and not (self.square or isinstance(g, Everything))
        self.exact = self.solved and problem.quadratic and problem.f is not None
        self.linearized = problem.f is not None and not self.exact
        self.terms = (g, problem.h) if self.copied else (problem.h,)
        size = sum(leaf.size for leaf in trees.leaves(problem.first[0]))
        self.dense = self.solved and size <= _DENSE

    def images(self, x: Any, image: Any) -> Any:
        """M x: what the terms that are split off are given."""
        return (x, image) if self.copied else (image,)

    def _pulled(self, images: Any) -> Any:
        """M^T of images."""
        back = self.problem.pulled(images[-1])
        return trees.plus(back, 1.0, images[0]) if self.copied else back

    def _curved(self, v: Any, curvature: Any) -> Any:
        """What the smooth terms of the x-step do to a direction."""
        if self.exact:
            _, bent = jax.jvp(self.problem.slope, (trees.zeros(v),), (v,))
        else:
            bent = trees.times(curvature, v)
        return trees.plus(bent, self.problem.g.weight, v) if self.square else bent

    def _squared(self, v: Any) -> Any:
        """M^T M v."""
        return self._pulled(self.images(v, self.problem.image(v)))

    def gram(self, x: Any) -> Any:
        """The matrices of f's second derivative and of M^T M, where a system is factorized."""
        if not self.dense:
            return ()
        flat = trees.raveled(x)
        rows = jnp.eye(flat.size, dtype=flat.dtype)
        parts = [self._squared, lambda v: self._curved(v, jnp.zeros((), flat.dtype))]
        return tuple(
            jax.vmap(lambda row, part=part: trees.raveled(part(trees.unraveled(row, x))))(rows)
            for part in parts
        )

    def penalty(self, gram: Any, x: Any, curvature: Any) -> Any:
        """How strongly the smooth terms curve, beside the square of M x; 1 where they do not."""
        if self.direct:
            bent, square = curvature, 1.0
        elif self.dense:
            n = gram[0].shape[0]
            bent, square = jnp.trace(gram[1]) + n * curvature, jnp.trace(gram[0])
        else:
            flat = trees.raveled(x)
            v = trees.unraveled(jax.random.normal(jax.random.key(0), flat.shape, flat.dtype), x)
            bent = trees.dot(v, self._curved(v, curvature))
            square = trees.dot(v, self._squared(v))
        known = (bent > 0) & (square > 0)
        return jnp.where(known, bent / jnp.where(known, square, 1.0), 1.0)

    def _nearly(self, gram: Any, penalty: Any) -> Any:
        """The weight of the term that keeps the factorized system regular."""
        return _NEARLY * penalty * jnp.trace(gram[0]) / gram[0].shape[0]

    def factor(self, gram: Any, penalty: Any, curvature: Any) -> Any:
        """Cholesky's factor of the system."""
        if not self.dense:
            return ()
        shift = self._nearly(gram, penalty) + curvature
        matrix = gram[1] + penalty * gram[0]
        return cho_factor(matrix + shift * jnp.eye(matrix.shape[0], dtype=matrix.dtype))[0]

    def nearest(self, state: DirectionState, slope: Any) -> Any:
        """The x-step."""
        x, penalty, curvature = state.x, state.penalty, state.curvature
        away = trees.minus(state.z, state.u)
        if self.direct:
            whole = penalty + curvature
            near = trees.times(penalty / whole, away[0])
            if slope is not None:
                pushed = trees.combined((curvature, x), (-1.0, slope))
                near = trees.plus(near, 1.0 / whole, pushed)
            return self.problem.g.prox(near, 1.0 / whole)
        right = trees.times(penalty, self._pulled(away))
        if self.exact:
            right = trees.minus(right, state.constant)
        elif slope is not None:
            right = trees.plus(trees.minus(right, slope), curvature, x)
        g = self.problem.g
        if self.square and g.center is not None:
            center = trees.map_leaves(lambda c, like: jnp.asarray(c, like.dtype), g.center, x)
            right = trees.plus(right, g.weight, center)
        if self.dense:
            flat = trees.raveled(right) + self._nearly(state.gram, penalty) * trees.raveled(x)
            return trees.unraveled(cho_solve((state.factor, False), flat), x)
        guess, gap = jax.lax.stop_gradient((x, state.gap))
        size = _length(jax.lax.stop_gradient(right))
        enough: Any = _INNER * jnp.minimum(penalty * gap, size)

        def product(v: Any) -> Any:
            return trees.plus(self._curved(v, curvature), penalty, self._squared(v))

        return jax.scipy.sparse.linalg.cg(
            product, right, x0=guess, tol=0.0, atol=enough,
            maxiter=_INNER_STEPS,
        )[0]  # fmt: skip


def _length(x: Any) -> Any:
    """The Euclidean norm, for decisions: of what is neither huge nor tiny."""
    return jnp.sqrt(trees.dot(x, x))
