"""Frank-Wolfe methods: linear minimization in place of projections."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import one_of, refuse
from resolvent._core.line_search import backtracked, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite
from resolvent.functions import L1Ball, Simplex

_EASE = 0.9  # of the curvature that is tried next, where it is searched
_ROOM = 0.55  # in place of 1 / 2: rounding shall not decide whether an exact step is taken


class Turn(NamedTuple):
    """A direction, how far it may be followed, and the slope along it, which is negative."""

    direction: Any
    most: Any
    slope: Any
    weights: Any
    """The change of the vertices' weights along it."""


class FrankWolfeState(NamedTuple):
    x: Any
    weights: Any
    """Of the vertices that x is a mean of; None if the variant does not look at them."""
    value: Any
    gradient: Any
    curvature: Any
    merit: Any
    k: Any
    gradients: Any
    values: Any
    products: Any


class FrankWolfe(Method):
    """Steps towards, away from or between vertices of a set, found by linear minimization.

    Solves `Composite` problems whose g is a bounded convex set. "plain" steps go towards a vertex s
    where <grad f(x), s> is least. x is a mean of vertices: "away" steps may also go away from that
    one of them, a, where it is largest, and "pairwise" ones move weight from a to s. Those two know
    the vertices of a `Simplex` and of an `L1Ball`.

    Args:
        variant: "plain", "away" or "pairwise"; None takes "pairwise" where the vertices are known.
        step_size: "exact" measures the curvature of f along the direction, which makes the step
            exact for quadratic f; "search" guesses it from the last one; "open" takes
            2 / (k + 2), for plain steps alone. The first two double the curvature until f lies
            below the parabola it makes.

    Raises:
        ValueError: for another word, a set that is not bounded, vertices that are not known, or
            open steps with another variant.

    Cost per iteration:
        One gradient, one linear minimization; a derivative of the gradient along the direction for
        "exact"; one value of f for each curvature that is tried.

    Convergence:
        For convex f the objective falls like O(1 / k). Away and pairwise steps are linear if f is
        strongly convex.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        target = jnp.array([0.9, 0.6, -0.3])
        problem = rs.Composite(
            lambda x: ((x - target) ** 2).sum(), rs.functions.Simplex(), start=jnp.ones(3) / 3
        )
        sol = rs.solve(problem, rs.composite.FrankWolfe(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([0.65, 0.35, 0.0]), atol=1e-4)
        ```

    Reference:
        S. Lacoste-Julien, M. Jaggi (2015), On the global linear convergence of Frank-Wolfe
        optimization variants, arXiv 1511.05932. F. Pedregosa, G. Negiar, A. Askari, M. Jaggi
        (2018), Linearly convergent Frank-Wolfe with backtracking line-search, arXiv 1806.05123.
    """

    variant: str | None = static(default=None)
    step_size: str = static(default="exact")

    name: ClassVar[str] = "frank-wolfe"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "bounded")
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000

    def __post_init__(self) -> None:
        one_of("variant", self.variant, (None, "plain", "away", "pairwise"))
        one_of("step_size", self.step_size, ("exact", "search", "open"))

    def check(self, problem: Composite) -> None:
        known = _indexed(problem)
        if self.variant in ("away", "pairwise") and not known:
            refuse(
                ValueError, "variant", given=f"{self.variant!r} on a {type(problem.g).__name__}",
                needed="a Simplex of one vector, or an L1Ball",
                advice="Write FrankWolfe(variant='plain').",
            )  # fmt: skip
        if self.step_size == "open" and self._variant(problem) != "plain":
            refuse(
                ValueError, "step_size", given=f"'open' with {self._variant(problem)} steps",
                needed="plain ones", advice="Write FrankWolfe('plain', 'open').",
            )  # fmt: skip

    def _variant(self, problem: Composite) -> str:
        if self.variant is not None:
            return self.variant
        return "pairwise" if _indexed(problem) else "plain"

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> FrankWolfeState:
        x, weights = problem.g.nearest(x0), None
        if self._variant(problem) != "plain":
            weights = _weights(problem.g, x)
            x = _mean(problem.g, weights, x)
        value, gradient = problem.slope(x)
        merit = jnp.asarray(problem.merit(x, gradient), value.dtype)
        zero, curvature, looks = jnp.zeros((), jnp.int32), jnp.ones_like(value), 1
        if self.step_size == "search":
            step, looks = secant_step(problem, x, gradient), 2
            curvature = jnp.asarray(1.0 / step, value.dtype)
        return FrankWolfeState(
            x, weights, value, gradient, curvature, merit, zero, zero + looks, zero, zero
        )  # fmt: skip

    def step(self, problem: Composite, state: FrankWolfeState) -> FrankWolfeState:
        x, gradient = state.x, state.gradient
        turn = self._turn(problem, x, state.weights, gradient)
        square = trees.dot(turn.direction, turn.direction)
        tiny = jnp.finfo(state.value.dtype).tiny ** 0.5
        products, curvature = 0, _EASE * state.curvature
        if self.step_size == "exact":
            _, bend = jax.jvp(lambda x: problem.slope(x)[1], (x,), (turn.direction,))
            curvature = trees.dot(bend, turn.direction) / jnp.where(square > 0, square, 1)
            products = 1
        if self.step_size == "exact":
            # With less than half of what makes a whole step exact, halving would not shorten it.
            along = jnp.where(turn.most * square > 0, turn.most * square, 1)
            curvature = jnp.maximum(curvature, -0.5 * turn.slope / along)
        first = 1.0 / jnp.maximum(curvature.astype(state.value.dtype), tiny)

        def look(inverse: Any) -> tuple[Any, Any, Any]:
            if self.step_size == "open":
                share = jnp.asarray(2.0 / (state.k + 2.0), square.dtype)
            else:
                share = _share(inverse, turn.slope, square, turn.most)
            if state.weights is None:
                new, weights = trees.plus(x, share, turn.direction), ()
            else:
                weights = state.weights + share.astype(state.weights.dtype) * turn.weights
                # What is used up is gone, also where rounding would leave some.
                gone = (share >= turn.most) & (turn.weights == turn.weights.min())
                weights = jnp.maximum(jnp.where(gone, 0, weights), 0)
                new = _mean(problem.g, weights, x)
            return new, weights, problem.smooth(new)

        if self.step_size == "open":
            new, weights, _ = look(first)
            inverse, tries = first, 0
        else:
            data = state.value, turn.slope, square, turn.most
            (new, weights, _), inverse, tries = backtracked(look, _above, first, data)
            # Where values no longer show a fall, they say nothing of smaller curvatures.
            fall = _share(inverse, turn.slope, square, turn.most) * -turn.slope
            seen = fall.astype(inverse.dtype) > 4 * rounding(state.value)
            inverse = jnp.where(seen, inverse, _EASE * inverse)
        value, gradient = problem.slope(new)
        return FrankWolfeState(
            new, None if state.weights is None else weights, value, gradient, 1.0 / inverse,
            jnp.asarray(problem.merit(new, gradient), state.merit.dtype), state.k + 1,
            state.gradients + 1, state.values + tries, state.products + products,
        )  # fmt: skip

    def _turn(self, problem: Composite, x: Any, weights: Any, gradient: Any) -> Turn:
        """The direction of the next step."""
        if weights is None:
            vertex = problem.g.response(trees.times(-1.0, gradient))
            direction = trees.minus(vertex, x)
            slope = trees.dot(gradient, direction)
            return Turn(direction, jnp.ones_like(slope), jnp.minimum(slope, 0), None)
        scores = _scores(problem.g, gradient)
        most_left = jnp.where(weights > 0, scores, -jnp.inf).max()
        # An exact step leaves its two vertices with the same score: rounding shall not choose.
        slack = jnp.finfo(scores.dtype).eps ** 0.5 * (most_left - scores.min())
        best = jnp.where(scores <= scores.min() + slack, weights, -1).argmax()
        worst = jnp.where((weights > 0) & (scores >= most_left - slack), weights, -1).argmax()
        towards = jax.nn.one_hot(best, scores.size, dtype=scores.dtype)
        away = jax.nn.one_hot(worst, scores.size, dtype=scores.dtype)
        own, most = weights[worst], jnp.ones_like(weights[worst])
        change = towards - away
        limit = own
        if self._variant(problem) == "away":
            here = scores @ weights
            backwards = (scores[worst] - here > here - scores.min()) & (own < 1)
            change = jnp.where(backwards, weights - away, towards - weights)
            limit = jnp.where(backwards, own / jnp.where(own < 1, 1 - own, 1), most)
        slope = jnp.minimum(scores @ change, 0)
        return Turn(_mean(problem.g, change, x), limit, slope, change)

    def measure(self, problem: Composite, state: FrankWolfeState) -> Any:
        return state.merit

    def iterate(self, problem: Composite, state: FrankWolfeState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: FrankWolfeState) -> FrankWolfeState:
        value, gradient = problem.slope(state.x)
        merit = jnp.asarray(problem.merit(state.x, gradient), state.merit.dtype)
        return state._replace(
            value=value, gradient=gradient, merit=merit, gradients=state.gradients + 1
        )

    def calls(self, problem: Composite, state: FrankWolfeState) -> dict[str, Any]:
        return {"gradient": state.gradients, "value": state.values, "product": state.products}


def _share(inverse: Any, slope: Any, square: Any, most: Any) -> Any:
    """How far the parabola of a curvature falls, given its inverse."""
    along = jnp.where(square > 0, -slope / jnp.where(square > 0, square, 1), 0)
    return jnp.clip(inverse.astype(along.dtype) * along, 0, most)


def _above(trial: Any, inverse: Any, value: Any, slope: Any, square: Any, most: Any) -> Any:
    """Whether a trial lies above the parabola of its curvature."""
    share = _share(inverse, slope, square, most)
    model = value + (share * slope + _ROOM * share * share * square / inverse).astype(value.dtype)
    # Written so that NaN is refused.
    return ~(trial[2] <= model + rounding(value))


def _indexed(problem: Composite) -> bool:
    """Whether the vertices are numbered."""
    leaves = trees.leaves(problem.first)
    alone = len(leaves) == 1 and leaves[0].ndim == 1
    return isinstance(problem.g, L1Ball) or (isinstance(problem.g, Simplex) and alone)


def _scores(g: Any, gradient: Any) -> Any:
    """The inner product of each vertex with a gradient."""
    vector = trees.raveled(gradient)
    if isinstance(g, Simplex):
        return g.total * vector
    return g.radius * jnp.concatenate([vector, -vector])


def _mean(g: Any, weights: Any, like: Any) -> Any:
    """The sum of the vertices times their weights."""
    if isinstance(g, Simplex):
        return trees.unraveled(g.total * weights, like)
    up, down = jnp.split(weights, 2)
    return trees.unraveled(g.radius * (up - down), like)


def _weights(g: Any, x: Any) -> Any:
    """Weights of the vertices whose mean a point of the set is."""
    vector = trees.raveled(x)
    if isinstance(g, Simplex):
        return jnp.maximum(vector, 0) / jnp.maximum(vector, 0).sum()
    both = jnp.concatenate([jnp.maximum(vector, 0), jnp.maximum(-vector, 0)]) / g.radius
    return both + jnp.maximum(1 - both.sum(), 0) / both.size
