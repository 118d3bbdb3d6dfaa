"""Nonlinear conjugate gradients."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, one_of
from resolvent._core.line_search import power_of_two, wolfe
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.gradients.ending import ending
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite
from resolvent.composite.second_term import whole_slope

_TRUNCATION = 0.4  # of Hager and Zhang's factor from below


class ConjugateState(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    """Of f + g, in one vector."""
    direction: Any
    step_size: Any
    """The next step to try."""
    steepest: Any
    """Whether the direction is that of the gradient."""
    merit: Any
    status: Any
    gradients: Any


class NonlinearCG(Method):
    """Steps along directions that are conjugate for quadratics, with a strong Wolfe line search.

    Solves `Composite` problems whose g has a gradient: d <- -G + beta d and x <- x + t d, where G
    is the gradient of f + g. With y its change over the last step, beta is max(0, <G, y> / |G_-|^2)
    for "polak-ribiere", |G|^2 / |G_-|^2 for "fletcher-reeves", |G|^2 / <d, y> for "dai-yuan", and
    <y - 2 d |y|^2 / <d, y>, G> / <d, y>, truncated from below, for "hager-zhang".

    Args:
        formula: of beta.
        flat: sigma of the strong Wolfe conditions: how much of the slope a step may leave.

    Raises:
        ValueError: for another formula, flat outside (1e-4, 1), or a g without a gradient.

    Cost per iteration:
        One value with its gradient for each step that the line search tries, about two; three
        vectors are kept.

    Convergence:
        Gradients come arbitrarily near to zero if they are Lipschitz continuous and the first level
        set is bounded; for "fletcher-reeves" if flat < 1/2. Where a direction does not fall, the
        next one is the gradient's.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        A = jnp.array([[4.0, 1.0], [1.0, 3.0]])
        problem = rs.Composite(lambda x: 0.5 * x @ A @ x - x.sum(), start=jnp.zeros(2))
        sol = rs.solve(problem, rs.composite.NonlinearCG(), rtol=1e-5)
        assert jnp.allclose(A @ sol.x, 1.0, atol=1e-4)
        ```

    Reference:
        W. W. Hager, H. Zhang (2006), A survey of nonlinear conjugate gradient methods. Y. H. Dai,
        Y. Yuan (1999), A nonlinear conjugate gradient method with a strong global convergence
        property.
    """

    formula: str = static(default="hager-zhang")
    flat: Any = 0.1

    name: ClassVar[str] = "nonlinear-cg"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "differentiable")
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 3000

    def __post_init__(self) -> None:
        one_of(
            "formula", self.formula,
            ("hager-zhang", "polak-ribiere", "dai-yuan", "fletcher-reeves"),
        )  # fmt: skip
        between("flat", self.flat, 1e-4, 1.0, "The theory of Wolfe's conditions asks for it.")

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> ConjugateState:
        value, gradient, own = whole_slope(problem, x0)
        vector = trees.raveled(gradient)
        step = power_of_two(secant_step(problem, x0, own))
        zero = jnp.zeros((), jnp.int32)
        return ConjugateState(
            x0, value, vector, -vector, jnp.asarray(step, value.dtype), jnp.asarray(True),
            jnp.asarray(problem.merit(x0, own), value.dtype), zero, zero + 2,
        )  # fmt: skip

    def step(self, problem: Composite, state: ConjugateState) -> ConjugateState:
        gradient, direction = state.gradient, state.direction
        move = trees.unraveled(direction, state.x)
        along = (gradient @ direction).astype(state.value.dtype)

        def look(step: Any) -> tuple[Any, Any, Any]:
            x = trees.plus(state.x, step, move)
            value, slope, own = whole_slope(problem, x)
            vector = trees.raveled(slope)
            return value, (vector @ direction).astype(value.dtype), (x, vector, own)

        found = wolfe(look, state.step_size, state.value, along, flat=self.flat)
        x, vector, own = found.extra
        failed = ~found.good
        beta = jnp.where(failed, 0, self._factor(vector, gradient, direction))
        following = -vector + beta * direction
        after = vector @ following
        square = vector @ vector
        # Also where it hardly falls: nothing is left of what the directions were conjugate to.
        falls = (after <= -1e-10 * square) & jnp.isfinite(after)
        following = jnp.where(falls, following, -vector)
        after = jnp.where(falls, after, -square)
        # As far as the last step went, in the terms of the slope.
        share = along / jnp.where(after < 0, after, 1).astype(along.dtype)
        guess = jnp.where(failed, 0.1 * state.step_size, found.step * share)
        guess = jnp.where(jnp.isfinite(guess) & (guess > 0), guess, state.step_size)
        return ConjugateState(
            x, found.value, vector, following, guess, failed | ~falls,
            jnp.asarray(problem.merit(x, own), state.merit.dtype),
            ending(problem, x, found.endless, failed & state.steepest),
            state.gradients + found.looks,
        )  # fmt: skip

    def _factor(self, new: Any, old: Any, direction: Any) -> Any:
        """beta; not finite where it is not defined."""
        change = new - old
        if self.formula == "polak-ribiere":
            return jnp.maximum(new @ change, 0) / (old @ old)
        if self.formula == "fletcher-reeves":
            return (new @ new) / (old @ old)
        curve = direction @ change
        if self.formula == "dai-yuan":
            return (new @ new) / curve
        beta = (new @ change - 2 * (change @ change) * (direction @ new) / curve) / curve
        floor = _TRUNCATION * (direction @ old) / (direction @ direction)
        return jnp.maximum(beta, floor)

    def measure(self, problem: Composite, state: ConjugateState) -> Any:
        return state.merit

    def status(self, state: ConjugateState) -> Any:
        return state.status

    def iterate(self, problem: Composite, state: ConjugateState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: ConjugateState) -> ConjugateState:
        value, gradient, own = whole_slope(problem, state.x)
        vector = trees.raveled(gradient)
        merit = jnp.asarray(problem.merit(state.x, own), state.merit.dtype)
        return state._replace(
            value=value, gradient=vector, direction=-vector, merit=merit,
            steepest=jnp.ones_like(state.steepest), gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: ConjugateState) -> dict[str, Any]:
        return {"gradient": state.gradients}
