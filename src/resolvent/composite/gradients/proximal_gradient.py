"""The proximal gradient method and its acceleration."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, one_of, refuse
from resolvent._core.line_search import backtracked, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.problem import Composite

_LOOK = 10  # accelerated steps between two looks at the certificate, which cost a gradient each
_GROW = 1.1  # of a plain step that was accepted, for the next one


class ProximalState(NamedTuple):
    x: Any
    ahead: Any
    """Where the next gradient is taken: x itself without acceleration."""
    value: Any
    """f there, where it is known; else that of some step before."""
    gradient: Any
    """The gradient there, where it is known."""
    momentum: Any
    step_size: Any
    merit: Any
    k: Any
    gradients: Any
    values: Any
    proximals: Any


class ProximalGradient(Method):
    """A step along the negative gradient of f, then the proximal operator of g; accelerated.

    Solves `Composite` problems by x <- prox(z - s grad f(z)), prox being that of s g. Plain steps
    have z = x. Accelerated ones (FISTA) have z_{k+1} = x_{k+1} + ((t_k - 1) / t_{k+1})
    (x_{k+1} - x_k) with t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2, or the constant factor
    (1 - sqrt(mu s)) / (1 + sqrt(mu s)) where the problem states mu = `strong`.

    Args:
        step_size: s, in the unit of x over the gradient. None takes 1 / L where the problem states
            L, and otherwise searches for steps with f(y) <= f(z) + <grad f(z), y - z> +
            ||y - z||^2 / (2 s): accelerated ones never grow, plain ones are tried a tenth longer
            each time.
        acceleration: "fista" or "none".
        restart: begin the acceleration anew when step and momentum point in opposite directions
            (the gradient test of O'Donoghue and Candes).

    Raises:
        ValueError: for a step size outside (0, 2 / L), or (0, 1 / L] with acceleration, where the
            problem states L; for another word for the acceleration; for acceleration where g is
            not convex.

    Cost per iteration:
        One gradient and one proximal operator, and for each step that a search tries a value of f
        and a proximal operator. Accelerated steps take one gradient in ten more, to look at the
        certificate.

    Convergence:
        For convex f and g the objective falls like O(1 / k), accelerated like O(1 / k^2), and
        linearly where f is strongly convex. Without acceleration limit points are stationary for
        any f with a Lipschitz continuous gradient and any g, if f + g is bounded from below.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        target = jnp.array([3.0, -0.2])
        problem = rs.Composite(
            lambda x: 0.5 * ((x - target) ** 2).sum(), rs.functions.L1(1.0), start=jnp.zeros(2)
        )
        sol = rs.solve(problem, rs.composite.ProximalGradient(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([2.0, 0.0]), atol=1e-4)
        ```

    Reference:
        A. Beck, M. Teboulle (2009), A fast iterative shrinkage-thresholding algorithm for linear
        inverse problems. B. O'Donoghue, E. Candes (2015), Adaptive restart for accelerated gradient
        schemes, arXiv 1204.3982.
    """

    step_size: Any = None
    acceleration: str = static(default="fista")
    restart: bool = static(default=True)

    name: ClassVar[str] = "proximal-gradient"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth",)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000
    ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "A step must go forward.")
        one_of("acceleration", self.acceleration, ("fista", "none"))

    def check(self, problem: Composite) -> None:
        if self._accelerated and (why := problem.lacks("convex")) is not None:
            refuse(
                ValueError, "acceleration", given=f"'fista', although {why}", needed="'none'",
                advice="Write ProximalGradient(acceleration='none').",
            )  # fmt: skip
        known = problem.lipschitz
        if self.step_size is None or known is None or is_traced((self.step_size, known)):
            return
        most = (1.0 + 1e-12 if self._accelerated else 2.0) / float(known)
        between("step_size", self.step_size, 0.0, most, "Theory asks for it, with the L stated.")

    @property
    def _accelerated(self) -> bool:
        return self.acceleration == "fista"

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> ProximalState:
        x = problem.g.nearest(x0)
        value, gradient = problem.slope(x)
        looks = 1
        if self.step_size is not None:
            step = self.step_size
        elif problem.lipschitz is not None:
            step = 1.0 / problem.lipschitz
        else:
            step, looks = 2.0 * secant_step(problem, x, gradient), 2
        merit = jnp.asarray(problem.merit(x, gradient), value.dtype)
        one, zero = jnp.ones((), value.dtype), jnp.zeros((), jnp.int32)
        return ProximalState(
            x, x, value, gradient, one, jnp.asarray(step, value.dtype), merit, zero, zero + looks,
            zero, zero,
        )  # fmt: skip

    def step(self, problem: Composite, state: ProximalState) -> ProximalState:
        z = state.ahead
        if self._accelerated:
            value, gradient = problem.slope(z)
        else:
            value, gradient = state.value, state.gradient
        new, step, tries, values = self._moved(problem, state.step_size, z, value, gradient)
        k = state.k + 1
        counted = {
            "k": k, "step_size": step, "values": state.values + values,
            "proximals": state.proximals + tries,
        }  # fmt: skip
        if not self._accelerated:
            value, gradient = problem.slope(new)
            merit = jnp.asarray(problem.merit(new, gradient), state.merit.dtype)
            return state._replace(
                x=new, ahead=new, value=value, gradient=gradient, merit=merit,
                gradients=state.gradients + 1, **counted,
            )  # fmt: skip
        look = k % _LOOK == 0
        merit = jax.lax.cond(
            look,
            lambda: jnp.asarray(problem.merit(new, problem.slope(new)[1]), state.merit.dtype),
            lambda: state.merit,
        )
        momentum, ahead = self._ahead(problem, state, new, step)
        return state._replace(
            x=new, ahead=ahead, momentum=momentum, merit=merit,
            gradients=state.gradients + 1 + look, **counted,
        )  # fmt: skip

    def _moved(
        self, problem: Composite, step: Any, z: Any, value: Any, gradient: Any
    ) -> tuple[Any, Any, Any, Any]:
        """The next point, the step that led there, and how many were tried and valued."""

        def moved(step: Any) -> Any:
            return problem.g.prox(trees.plus(z, -step, gradient), step)

        if self.step_size is not None or problem.lipschitz is not None:
            return moved(step), step, 1, 0

        def look(step: Any) -> tuple[Any, Any]:
            new = moved(step)
            return new, problem.smooth(new)

        first = step if self._accelerated else _GROW * step
        (new, _), step, tries = backtracked(look, _above_model, first, (z, value, gradient))
        return new, step, tries, tries

    def _ahead(
        self, problem: Composite, state: ProximalState, new: Any, step: Any
    ) -> tuple[Any, Any]:
        """The momentum and the point of the next gradient."""
        turn = trees.minus(new, state.x)
        if problem.strong is not None:
            root = jnp.sqrt(jnp.asarray(problem.strong, step.dtype) * step)
            momentum, factor = state.momentum, (1.0 - root) / (1.0 + root)
        else:
            momentum = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * state.momentum**2))
            factor = (state.momentum - 1.0) / momentum
        if self.restart:
            against = trees.dot(trees.minus(state.ahead, new), turn) > 0
            momentum = jnp.where(against, 1.0, momentum)
            factor = jnp.where(against, 0.0, factor)
        return momentum, trees.plus(new, factor, turn)

    def measure(self, problem: Composite, state: ProximalState) -> Any:
        return state.merit

    def iterate(self, problem: Composite, state: ProximalState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: ProximalState) -> ProximalState:
        value, gradient = problem.slope(state.x)
        merit = jnp.asarray(problem.merit(state.x, gradient), state.merit.dtype)
        return state._replace(
            ahead=state.x, value=value, gradient=gradient, merit=merit,
            momentum=jnp.ones_like(state.momentum), gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: ProximalState) -> dict[str, Any]:
        return {"gradient": state.gradients, "value": state.values, "prox": state.proximals}


def _above_model(trial: Any, step: Any, z: Any, value: Any, gradient: Any) -> Any:
    """Whether a trial lies above the quadratic model of its step."""
    turn = trees.minus(trial[0], z)
    model = value + trees.dot(gradient, turn) + trees.dot(turn, turn) / (2.0 * step)
    # Written so that NaN is refused.
    return ~(trial[1] <= model + rounding(value))


def secant_step(problem: Composite, x: Any, gradient: Any) -> Any:
    """One over the curvature along the gradient; 1 where there is none."""
    size, length = trees.norm(gradient), trees.norm(x)
    eps = jnp.finfo(size.dtype).eps
    share = eps**0.25 * (1.0 + length) / jnp.where(size > 0, size, 1.0)
    other = problem.slope(trees.plus(x, -share, gradient))[1]
    change = trees.norm(trees.minus(other, gradient))
    seen = (change > eps**0.75 * size) & jnp.isfinite(change)
    return jnp.where(seen, share * size / jnp.where(seen, change, 1.0), 1.0)
