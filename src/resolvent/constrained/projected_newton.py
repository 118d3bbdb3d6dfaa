"""Newton's method within bounds, in a trust region."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count
from resolvent._core.line_search import rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.constrained.conditions import Multipliers, clipped, displacement, errors
from resolvent.constrained.derivatives import Local, local
from resolvent.constrained.model_in_box import lowered
from resolvent.constrained.problem import ConstrainedProblem

_ACCEPTED = 1e-4  # of the fall that the model promises
_FORCING = 0.1  # what conjugate gradients leave of the gradient, at most


class ProjectedNewtonState(NamedTuple):
    x: Any
    """[n], within the bounds."""
    at: Local
    radius: Any
    first: Any
    """How far the last projected gradient went, as a multiple of the gradient."""
    unit: Any
    """The size of the first projected gradient, no less than `scale`."""
    scale: Any
    """What the certificate is relative to."""
    goal: Any
    status: Any
    evaluations: Any
    products: Any


class ProjectedNewton(Method):
    r"""Newton steps on the unknowns that no bound holds, in a trust region.

    Solves `ConstrainedProblem` with bounds alone, or without any constraint. At x, the model
    <g, s> + <s, H s> / 2 of f(x + s) is made small in two stages. A step along the projected
    gradient, P(x - a g), short enough for the model to fall by a share of its slope, says which
    bounds may hold: many may begin or cease to hold at once. (It is left out where the last a leads
    to the bounds that x is on.) Conjugate gradients then solve the Newton system of the free
    unknowns, ended by the trust region, by negative curvature, or by a residual that is a small
    share of the projected gradient; what they find is projected onto the bounds, and where it meets
    more of them, they go on with the unknowns that are left. The step is taken where f falls by at
    least 1e-4 of what the model says, and the radius follows its success. No bound is ever
    violated, so f need not be defined outside.

    Args:
        radius: that of the first trust region; None for 10 max(|x|, 1).
        inner: how many products with the Hessian a step takes before it ends with the face that it
            is in; None for twice the number of unknowns and 10 more, and 1000 at most.

    Raises:
        ValueError: for a radius that is not positive, less than one product, or a problem with
            equations or inequalities.

    Cost per iteration:
        f and its gradient once, and a product with the Hessian for each inner step, about one more
        for each projection.

    Convergence:
        For f bounded below on the box, with a Lipschitz continuous gradient there, every limit
        point is stationary. Near a minimizer with positive curvature along the bounds that hold,
        each of them with force, those bounds are found after finitely many steps, and convergence
        is superlinear, of order 1.5.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs

        def rosenbrock(x):
            return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

        problem = rs.ConstrainedProblem(rosenbrock, bounds=(None, 0.5), x0=jnp.zeros(2))
        sol = rs.solve(problem, rs.constrained.ProjectedNewton(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([0.5, 0.25]), atol=1e-4)
        ```

    Reference:
        C.-J. Lin, J. J. More (1999), Newton's method for large bound-constrained optimization
        problems, SIAM Journal on Optimization 9. D. P. Bertsekas (1982), Projected Newton methods
        for optimization problems with simple constraints.
    """

    radius: Any = None
    inner: int | None = static(default=None)

    name: ClassVar[str] = "projected-newton"
    solves: ClassVar = (ConstrainedProblem,)
    needs: ClassVar[tuple[str, ...]] = ("bounds_alone",)
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        if self.radius is not None:
            between("radius", self.radius, 0.0, math.inf, "It is the length of a step.")
        if self.inner is not None:
            count("inner", self.inner, least=1)

    def limit(self, problem: Any) -> int:
        return 10_000

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> ProjectedNewtonState:
        x = problem.vector(x0)
        bounds = problem.bounds_at(x)
        x = clipped(x, bounds)
        at, one, zero = local(problem, x), jnp.ones((), x.dtype), jnp.zeros((), jnp.int32)
        radius = 10 * jnp.maximum(norm(x), 1) if self.radius is None else self.radius * one
        scale = jnp.asarray(problem.scale(x0), x.dtype)
        unit = jnp.maximum(norm(displacement(x, at.gradient, bounds)), scale)
        return ProjectedNewtonState(
            x, at, jax.lax.stop_gradient(radius), one, unit, scale, 0 * one, zero, zero + 1, zero
        )

    def aim(self, state: ProjectedNewtonState, goal: Any) -> ProjectedNewtonState:
        return state._replace(goal=jnp.asarray(goal, state.goal.dtype))

    def step(self, problem: Any, state: ProjectedNewtonState) -> ProjectedNewtonState:
        x, at, bounds = state.x, state.at, problem.bounds_at(state.x)
        _, product = jax.linearize(jax.grad(problem.objective_at), x)
        size = norm(displacement(x, at.gradient, bounds))
        share = jnp.sqrt(size / jnp.where(state.unit > 0, state.unit, 1))
        goal = jnp.maximum(jnp.minimum(share, _FORCING) * size, 0.1 * state.goal)
        limits = jax.lax.stop_gradient((state.radius, state.first, goal))
        found = lowered(product, x, at.gradient, bounds, *limits, self._inner(problem))
        step = found.x - x
        along, length = at.gradient @ step, norm(step)
        promised = -(along + 0.5 * (step @ found.bent))
        now = local(problem, found.x)
        noise = rounding(at.value)
        fall = at.value - now.value
        # Where a fall cannot be seen for rounding, the model is trusted.
        ratio = (fall + noise) / (promised + noise)
        good = (ratio >= _ACCEPTED) & (promised > 0) & jnp.isfinite(now.gradient).all()
        # The step at which a parabola through value, slope and the new value is least.
        above = now.value - at.value - along
        best = jnp.where(above > 0, jnp.maximum(0.25, -0.5 * along / above), 4.0)
        before = jnp.where(state.evaluations == 1, length, state.radius)
        before = jnp.minimum(before, state.radius)
        radius = _following(jnp.where(good, ratio, 0), best, length, before)
        still = ~(length > jnp.finfo(x.dtype).eps * norm(x))
        x, at = trees.where(good, (found.x, now), (x, at))
        far = problem.is_beyond(x)
        status = jnp.where(far, Reason.diverged.code, jnp.where(still, Reason.stalled.code, 0))
        return state._replace(
            x=x, at=at, radius=jax.lax.stop_gradient(radius), status=status.astype(jnp.int32),
            first=jax.lax.stop_gradient(found.first), evaluations=state.evaluations + 1,
            products=state.products + found.products,
        )  # fmt: skip

    def _inner(self, problem: Any) -> int:
        return min(2 * problem.unknowns() + 10, 1000) if self.inner is None else self.inner

    def measure(self, problem: Any, state: ProjectedNewtonState) -> Any:
        bounds = problem.bounds_at(state.x)
        return errors(state.x, state.at, _none(state.at), bounds, state.scale).total

    def iterate(self, problem: Any, state: ProjectedNewtonState) -> tuple[Any, Any]:
        return problem.point(state.x), _none(state.at)

    def status(self, state: ProjectedNewtonState) -> Any:
        return state.status

    def calls(self, problem: Any, state: ProjectedNewtonState) -> dict[str, Any]:
        return {"evaluation": state.evaluations, "hessian_product": state.products}


def _none(at: Local) -> Multipliers:
    """The multipliers of no rows."""
    return Multipliers(at.equalities, at.inequalities)


def _following(ratio: Any, best: Any, length: Any, radius: Any) -> Any:
    """The next radius; `ratio` is that of the fall of f to what the model says."""
    poor = jnp.minimum(jnp.maximum(best, 0.25) * length, 0.5 * radius)
    fair = jnp.maximum(0.25 * radius, jnp.minimum(best * length, 0.5 * radius))
    fine = jnp.maximum(0.25 * radius, jnp.minimum(best * length, 4 * radius))
    great = jnp.maximum(radius, jnp.minimum(best * length, 4 * radius))
    found = jnp.where(ratio < 0.75, fine, great)
    found = jnp.where(ratio < 0.25, fair, found)
    return jnp.where(ratio < _ACCEPTED, poor, found)
