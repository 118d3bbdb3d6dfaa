"""Newton's method for composite problems: proximal steps in the metric of the Hessian."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import count
from resolvent._core.line_search import backtracked, repeated, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite

_DECREASE = 1e-4  # of the line search
_TRIES = 30
_FORCING = 0.1  # what the inner steps leave of the first one, at most
_LEAST = 1e-4  # and what they need not go below
_EASE = 0.7  # of the largest curvature that was met, for the next inner steps
_FAILURES = 8  # in a row, before the method gives up


class NewtonState(NamedTuple):
    x: Any
    value: Any
    """f + g."""
    gradient: Any
    """Of f."""
    curvature: Any
    """About the largest eigenvalue of the Hessian."""
    damping: Any
    size: Any
    """Of the first inner step of the last iteration, times the curvature."""
    forcing: Any
    failures: Any
    merit: Any
    gradients: Any
    values: Any
    products: Any


class _Inner(NamedTuple):
    y: Any
    ahead: Any
    bent: Any
    """The damped Hessian times (ahead - x)."""
    bent_y: Any
    momentum: Any
    curvature: Any
    first: Any
    now: Any
    convex: Any
    k: Any


class ProximalNewton(Method):
    """A step to the minimizer of g plus a quadratic model of f, found by accelerated inner steps.

    Solves `Composite` problems with convex g: d = y - x where y minimizes <grad f(x), y - x> +
    <y - x, H (y - x)> / 2 + g(y) and H is the Hessian of f, known by its products alone; then
    x <- x + t d with t = 1, 1/2, ... until f + g falls enough. The inner problem is solved by FISTA
    with restarts, as accurately as the last iteration made progress. Where H is not positive, or
    nothing falls, a multiple of the identity is added to it.

    Args:
        inner: how many inner steps there are at most.

    Raises:
        ValueError: for less than one inner step, or a g that is not convex.

    Cost per iteration:
        One gradient, one product with H and one proximal operator for each inner step, one value
        for each t that is tried.

    Convergence:
        For strongly convex f with a Lipschitz continuous Hessian every limit point is the minimizer
        and t = 1 is accepted in its neighborhood, where convergence is superlinear as long as the
        inner steps suffice.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.Composite(
            lambda x: jnp.exp(x).sum() - 3.0 * x[0], rs.functions.L1(0.5), start=jnp.zeros(2)
        )
        sol = rs.solve(problem, rs.composite.ProximalNewton(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.log(jnp.array([2.5, 0.5])), atol=1e-4)
        ```

    Reference:
        J. D. Lee, Y. Sun, M. A. Saunders (2014), Proximal Newton-type methods for minimizing
        composite functions, arXiv 1206.1623.
    """

    inner: int = static(default=100)

    name: ClassVar[str] = "proximal-newton"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "convex")
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        count("inner", self.inner, least=1)

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> NewtonState:
        x = problem.g.nearest(x0)
        value, gradient = problem.slope(x)
        merit = jnp.asarray(problem.merit(x, gradient), value.dtype)
        curvature = jnp.asarray(1.0 / secant_step(problem, x, gradient), value.dtype)
        zero, none = jnp.zeros((), jnp.int32), jnp.zeros_like(value)
        return NewtonState(
            x, self._whole(problem, x, value), gradient, curvature, none, none,
            jnp.full_like(value, _FORCING), zero, merit, zero + 2, zero, zero,
        )  # fmt: skip

    def _whole(self, problem: Composite, x: Any, value: Any) -> Any:
        return value + jnp.asarray(problem.g.value(x), value.dtype)

    def step(self, problem: Composite, state: NewtonState) -> NewtonState:
        x = state.x
        inner = self._minimized(problem, state)
        move = trees.minus(inner.y, x)
        before = jnp.asarray(problem.g.value(x), state.value.dtype)
        after = jnp.asarray(problem.g.value(inner.y), state.value.dtype)
        fall = trees.dot(state.gradient, move).astype(before.dtype) + after - before

        def look(step: Any) -> tuple[Any, Any]:
            new = trees.plus(x, step, move)
            return new, self._whole(problem, new, problem.smooth(new))

        data = state.value, jnp.minimum(fall, 0)
        first = jnp.ones_like(state.value)
        (new, value), step, tries = backtracked(look, _too_high, first, data, tries=_TRIES)
        # Near the answer a fall is what rounding makes of it.
        failed = _too_high((new, value), step, *data) | ~(fall <= rounding(state.value))
        new = trees.where(failed, x, new)
        smooth, gradient = problem.slope(new)
        bad = failed | ~inner.convex
        more = jnp.maximum(4.0 * state.damping, 1e-3 * inner.curvature)
        less = jnp.where(state.damping > 1e-8 * inner.curvature, 0.25 * state.damping, 0)
        # As accurate as the last iteration was good, by the sizes of first inner steps.
        known = state.size > 0
        progress = jnp.where(known, inner.first / jnp.where(known, state.size, 1), 1)
        return NewtonState(
            new, self._whole(problem, new, smooth), gradient, _EASE * inner.curvature,
            jnp.where(bad, more, less), inner.first, jnp.clip(progress**2, _LEAST, _FORCING),
            jnp.where(failed, state.failures + 1, 0),
            jnp.asarray(problem.merit(new, gradient), state.merit.dtype), state.gradients + 1,
            state.values + tries, state.products + inner.k,
        )  # fmt: skip

    def _minimized(self, problem: Composite, state: NewtonState) -> _Inner:
        """The minimizer of the model, about."""
        x, gradient = state.x, state.gradient

        def product(v: Any) -> Any:
            _, bent = jax.jvp(lambda x: problem.slope(x)[1], (x,), (v,))
            return trees.plus(bent, state.damping, v)

        def body(carry: tuple[_Inner, Any]) -> tuple[_Inner, Any]:
            inner, forcing = carry
            step = 1.0 / inner.curvature
            turn = trees.plus(gradient, 1.0, inner.bent)
            new = problem.g.prox(trees.plus(inner.ahead, -step, turn), step)
            move = trees.minus(new, inner.ahead)
            bent = product(move)
            square = trees.dot(move, move).astype(step.dtype)
            bend = trees.dot(move, bent).astype(step.dtype) / jnp.where(square > 0, square, 1)
            convex = bend >= -1e-6 * inner.curvature
            # Too short a curvature is doubled, and the step taken again.
            fine = bend <= inner.curvature * (1 + 1e-6)
            whole = trees.plus(inner.bent, 1.0, bent)
            turned = trees.dot(trees.minus(inner.ahead, new), trees.minus(new, inner.y)) > 0
            momentum = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * inner.momentum**2))
            share = jnp.where(turned, 0, (inner.momentum - 1.0) / momentum)
            moved = jnp.sqrt(square) * inner.curvature
            taken = _Inner(
                new, trees.plus(new, share, trees.minus(new, inner.y)),
                trees.plus(whole, share, trees.minus(whole, inner.bent_y)), whole,
                jnp.where(turned, 1, momentum), inner.curvature,
                jnp.where(inner.first > 0, inner.first, moved), moved, inner.convex & convex,
                inner.k + 1,
            )  # fmt: skip
            again = inner._replace(
                curvature=jnp.maximum(2.0 * inner.curvature, bend), k=inner.k + 1,
                convex=inner.convex & convex,
            )  # fmt: skip
            return trees.where(fine, taken, again), forcing

        def goes_on(carry: tuple[_Inner, Any]) -> Any:
            inner, forcing = carry
            far = (inner.first == 0) | ~(inner.now <= forcing * inner.first)
            still = (inner.first == 0) & (inner.now == 0)
            return far & inner.convex & ~still

        nothing, one = trees.zeros(x), jnp.ones_like(state.value)
        start = _Inner(
            x, x, nothing, nothing, one, state.curvature + state.damping, 0 * one,
            jnp.full_like(one, jnp.inf), jnp.asarray(True), jnp.zeros((), jnp.int32),
        )  # fmt: skip
        return repeated(goes_on, body, (start, state.forcing), self.inner)[0]

    def measure(self, problem: Composite, state: NewtonState) -> Any:
        return state.merit

    def status(self, state: NewtonState) -> Any:
        return jnp.where(state.failures >= _FAILURES, Reason.stalled.code, 0)

    def iterate(self, problem: Composite, state: NewtonState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: NewtonState) -> NewtonState:
        value, gradient = problem.slope(state.x)
        merit = jnp.asarray(problem.merit(state.x, gradient), state.merit.dtype)
        return state._replace(
            value=self._whole(problem, state.x, value), gradient=gradient, merit=merit,
            gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: NewtonState) -> dict[str, Any]:
        return {
            "gradient": state.gradients, "value": state.values, "product": state.products,
            "prox": state.products,
        }  # fmt: skip


def _too_high(trial: Any, step: Any, value: Any, fall: Any) -> Any:
    """Whether f + g has not fallen enough; true for NaN."""
    return ~(trial[1] <= value + _DECREASE * step * fall + rounding(value))
