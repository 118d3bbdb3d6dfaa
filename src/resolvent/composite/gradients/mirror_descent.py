"""Mirror descent with the entropy, on simplices."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between
from resolvent._core.line_search import backtracked, power_of_two, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite
from resolvent.functions import Product

_GROW = 1.2  # of a step, for the next one
_SHARE = 1e-3  # of the mean entry: what entries of the first guess are raised to


class MirrorState(NamedTuple):
    x: Any
    logs: Any
    """Logarithms of x, finite where x has vanished."""
    value: Any
    gradient: Any
    step_size: Any
    merit: Any
    k: Any
    values: Any
    gradients: Any


class MirrorDescent(Method):
    """Entries of a distribution multiplied by exponentials of the gradient.

    Solves `Composite` problems on a simplex or a product of simplices:
    x <- x exp(-s grad f(x)), each row divided by its sum, which is the gradient step in which the
    relative entropy KL(y, x) = sum y log(y / x) takes the place of half the squared distance. With
    that distance mirror descent is `ProximalGradient(acceleration="none")`.

    Args:
        step_size: s, in the unit of one over the gradient. None searches for steps with
            f(y) <= f(x) + <grad f(x), y - x> + KL(y, x) / s, a fifth longer each time.

    Raises:
        ValueError: for a step size that is not positive, or a g that is no simplex.

    Cost per iteration:
        One gradient, one exponential an entry, and for each step that is tried a value.

    Convergence:
        f(x_k) - f* <= KL(x*, x_0) / (s k) for convex f that satisfy the inequality above, which
        functions with a Lipschitz continuous gradient do for small s. No entry ever is zero: those
        of the answer that are come near it at a linear rate.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        target = jnp.array([0.9, 0.6, -0.3])
        problem = rs.Composite(
            lambda x: ((x - target) ** 2).sum(), rs.functions.Simplex(), start=jnp.ones(3) / 3
        )
        sol = rs.solve(problem, rs.composite.MirrorDescent(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([0.65, 0.35, 0.0]), atol=1e-4)
        ```

    Reference:
        A. Beck, M. Teboulle (2003), Mirror descent and nonlinear projected subgradient methods for
        convex optimization. H. Lu, R. Freund, Y. Nesterov (2018), Relatively smooth convex
        optimization by first-order methods, and applications, arXiv 1610.05708.
    """

    step_size: Any = None

    name: ClassVar[str] = "mirror-descent"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "simplex")
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000

    def __post_init__(self) -> None:
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "A step must go forward.")

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> MirrorState:
        x = problem.g.nearest(x0)
        value, gradient = problem.slope(x)
        step = self.step_size
        if step is None:
            step = secant_step(problem, x, gradient) / _largest_total(problem.g)
            step = power_of_two(step)
        merit = jnp.asarray(problem.merit(x, gradient), value.dtype)
        zero = jnp.zeros((), jnp.int32)
        return MirrorState(
            x, trees.map_leaves(_inner_logs, x), value, gradient, jnp.asarray(step, value.dtype),
            merit, zero, zero, zero + (2 if self.step_size is None else 1),
        )  # fmt: skip

    def step(self, problem: Composite, state: MirrorState) -> MirrorState:
        totals = _totals(problem.g, state.x)
        # The first guess may have lain on the boundary: then its gradient is not that of `logs`.
        x = trees.map_leaves(jnp.exp, state.logs)
        value, gradient = jax.lax.cond(
            state.k == 0, lambda: problem.slope(x), lambda: (state.value, state.gradient)
        )

        def look(step: Any) -> tuple[Any, Any, Any]:
            def one(logs: Any, part: Any, total: Any) -> Any:
                raw = logs - step.astype(logs.dtype) * part
                return jax.nn.log_softmax(raw, axis=-1) + jnp.log(jnp.asarray(total, logs.dtype))

            logs = trees.map_leaves(one, state.logs, gradient, totals)
            new = trees.map_leaves(jnp.exp, logs)
            return new, logs, problem.smooth(new)

        values = 0
        if self.step_size is None:
            data = x, state.logs, value, gradient
            (new, logs, _), step, values = backtracked(look, _above, _GROW * state.step_size, data)
        else:
            step = state.step_size
            new, logs, _ = look(step)
        before = value, gradient
        value, gradient = problem.slope(new)
        if self.step_size is None:
            # Where values no longer show a fall, gradients tell whether a step was too long.
            move, turn = trees.minus(new, x), trees.minus(gradient, before[1])
            unseen = ~(jnp.abs(trees.dot(before[1], move)) > 4 * rounding(before[0]))
            both = trees.dot(move, trees.minus(logs, state.logs))
            long = trees.dot(turn, move) > both / step.astype(both.dtype)
            step = jnp.where(unseen, jnp.where(long, 0.5, 1) * step / _GROW, step)
        return MirrorState(
            new, logs, value, gradient, step,
            jnp.asarray(problem.merit(new, gradient), state.merit.dtype), state.k + 1,
            state.values + values, state.gradients + 1 + (state.k == 0),
        )  # fmt: skip

    def measure(self, problem: Composite, state: MirrorState) -> Any:
        return state.merit

    def iterate(self, problem: Composite, state: MirrorState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: MirrorState) -> MirrorState:
        value, gradient = problem.slope(state.x)
        merit = jnp.asarray(problem.merit(state.x, gradient), state.merit.dtype)
        return state._replace(
            value=value, gradient=gradient, merit=merit, gradients=state.gradients + 1
        )

    def calls(self, problem: Composite, state: MirrorState) -> dict[str, Any]:
        return {"gradient": state.gradients, "value": state.values}


def _above(
    trial: Any, step: Any, x: Any, logs: Any, value: Any, gradient: Any
) -> Any:  # fmt: skip
    """Whether a trial lies above the model of its step."""
    turn = trees.dot(gradient, trees.minus(trial[0], x)).astype(value.dtype)
    model = value + turn + _entropy(x, logs, trial[1]).astype(value.dtype) / step
    # Written so that NaN is refused.
    return ~(trial[2] <= model + rounding(value))


def _entropy(x: Any, logs: Any, new: Any) -> Any:
    """KL of the point with logarithms `new` from x, as a sum of terms that are not negative."""

    def one(leaf: Any, old: Any, later: Any) -> Any:
        change = later - old
        growth = jnp.expm1(change)
        return (leaf * jnp.maximum((1 + growth) * change - growth, 0)).sum()

    return sum(trees.leaves(trees.map_leaves(one, x, logs, new)))


def _inner_logs(leaf: Any) -> Any:
    """Logarithms of a point of the simplex, moved inside."""
    return jnp.log(jnp.maximum(leaf, _SHARE * leaf.mean(axis=-1, keepdims=True)))


def _totals(g: Any, x: Any) -> Any:
    """The total of each leaf's rows."""
    if isinstance(g, Product):
        return tuple(_totals(part, block) for part, block in zip(g.parts, x, strict=True))
    return trees.map_leaves(lambda leaf: g.total, x)


def _largest_total(g: Any) -> Any:
    if isinstance(g, Product):
        return jnp.stack([jnp.asarray(_largest_total(part)) for part in g.parts]).max()
    return g.total
