"""The trust-region Newton method."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, one_of, refuse
from resolvent._core.line_search import rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.sphere import binary_unit
from resolvent._core.value import static, store_reals
from resolvent.smooth.endings import MONITORED, Progress, begun, ending, followed, without_progress
from resolvent.smooth.problem import Minimize
from resolvent.smooth.shifted_systems import in_ball, spectrum
from resolvent.smooth.truncated_cg import truncated_cg

_EXACT = 200  # unknowns up to which the Hessian is factorized by default
_ACCEPTED = 1e-4  # of the fall that the model promises
_FORCING = 0.1  # what conjugate gradients leave of the gradient, at most


class TrustRegionState(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    """In one vector."""
    spectrum: Any
    """Of the Hessian; empty where only products with it are taken."""
    radius: Any
    merit: Any
    progress: Progress
    status: Any
    gradients: Any
    hessians: Any
    products: Any


class TrustRegion(Method):
    """A step to the minimizer of the quadratic model in a ball, whose radius follows its success.

    Solves `Minimize` problems: h minimizes <g, h> + <h, H h> / 2 for ||h|| <= radius, where g and H
    are gradient and Hessian at x, and x <- x + h is taken where f falls by at least 1e-4 of what
    the model says. The radius shrinks to half of ||h|| where f falls by less than a quarter of
    that, and grows to twice ||h|| where it falls by more than three quarters. Where that fall is
    less than half of the digits of f show and the gradient gets smaller, the slopes at both ends of
    the step tell how much f falls.

    With "exact" h is a global minimizer, from the eigenvalues of H, so that the method also leaves
    saddle points. With "truncated" h comes from conjugate gradients, which take products with H
    alone and end at the sphere or at negative curvature.

    Args:
        subproblem: "exact", "truncated", or "auto": exact up to 200 unknowns.
        radius: the first one; None for the length of the steepest descent step of the model.
        inner: how many steps of conjugate gradients there are at most; None for twice the number
            of unknowns, and 1000 at most.

    Raises:
        ValueError: for another subproblem, a radius that is not positive, less than one inner step
            or any number of them with "exact", or truncated steps where second-order points are
            asked for.

    Cost per iteration:
        One gradient; if the last step was taken one Hessian (n products with it) and its
        eigenvalues, O(n^3), or one product for each inner step.

    Convergence:
        For f bounded below with a Lipschitz continuous gradient and Hessian, gradients tend to
        zero, and with "exact" every limit point has a positive semidefinite Hessian. Near a
        minimizer with a positive definite Hessian convergence is quadratic, with "truncated"
        superlinear of order 1.5.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs

        def rosenbrock(x):
            return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

        problem = rs.Minimize(rosenbrock, x0=jnp.zeros(4))
        sol = rs.solve(problem, rs.smooth.TrustRegion(), rtol=1e-4)
        assert jnp.allclose(sol.x, 1.0, atol=1e-2)
        ```

    Reference:
        A. R. Conn, N. I. M. Gould, Ph. L. Toint (2000), Trust-Region Methods. J. J. More, D. C.
        Sorensen (1983), Computing a trust region step.
    """

    subproblem: str = static(default="auto")
    radius: Any = None
    inner: int | None = static(default=None)

    name: ClassVar[str] = "trust-region"
    solves: ClassVar = (Minimize,)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = MONITORED

    def __post_init__(self) -> None:
        one_of("subproblem", self.subproblem, ("auto", "exact", "truncated"))
        if self.radius is not None:
            between("radius", self.radius, 0.0, math.inf, "It is the length of a step.")
        store_reals(self, "radius")
        if self.inner is not None:
            count("inner", self.inner, least=1)
            if self.subproblem == "exact":
                refuse(
                    ValueError, "inner", given=f"{self.inner} for 'exact'", needed="None",
                    advice="Only conjugate gradients take such steps.",
                )  # fmt: skip

    def check(self, problem: Minimize) -> None:
        if self._exact(problem):
            problem.check_size()
        elif problem.second_order:
            refuse(
                ValueError, "subproblem", given=f"{self.subproblem!r} for second-order points",
                needed="'exact'", advice="Conjugate gradients may miss a negative eigenvalue.",
            )  # fmt: skip

    def _exact(self, problem: Minimize) -> bool:
        if self.subproblem == "auto":
            return problem.second_order or problem.unknowns() <= _EXACT
        return self.subproblem == "exact"

    def init(self, problem: Minimize, x0: Any, memory: Memory, key: Any) -> TrustRegionState:
        value, slope = problem.slope(x0)
        gradient, zero = trees.raveled(slope), jnp.zeros((), jnp.int32)
        exact = self._exact(problem)
        parts: Any = spectrum(problem.hessian(x0)) if exact else ()
        radius = self.radius
        if radius is None:
            size = trees.norm(gradient)
            unit = binary_unit(size)
            way = gradient / unit
            bent = parts.matrix @ way if exact else self._product(problem, x0)(way)
            curve = jnp.abs(way @ bent) / jnp.where(size > 0, size / unit, 1) ** 2
            radius = size / jnp.where(curve > 0, curve, 1)
            radius = jnp.where((radius > 0) & jnp.isfinite(radius), radius, 1)
        dtype = value.dtype
        merit = self._merit(problem, x0, gradient, parts).astype(dtype)
        return TrustRegionState(
            x0, value, gradient, parts, jnp.asarray(radius, dtype), merit,
            begun(value, merit), zero, zero + 1, zero + exact,
            zero + (not exact and self.radius is None),
        )  # fmt: skip

    def _merit(self, problem: Minimize, x: Any, gradient: Any, parts: Any) -> Any:
        merit = problem.merit(x, trees.unraveled(gradient, x))
        return jnp.maximum(merit, problem.bend(parts.values)) if problem.second_order else merit

    def _product(self, problem: Minimize, x: Any) -> Any:
        _, product = jax.linearize(jax.grad(problem.smooth), x)
        return lambda v: trees.raveled(product(trees.unraveled(v, x)))

    def step(self, problem: Minimize, state: TrustRegionState) -> TrustRegionState:
        if self._exact(problem):
            found: Any = in_ball(state.spectrum, state.gradient, state.radius)
            products = 0
        else:
            size = problem.merit(state.x, trees.unraveled(state.gradient, state.x))
            share = jnp.asarray(size / problem.scale(None), state.gradient.dtype)
            found = truncated_cg(
                self._product(problem, state.x), state.gradient, state.radius,
                jnp.minimum(jnp.sqrt(share), _FORCING), self._inner(problem),
            )  # fmt: skip
            products = found.products
        x = trees.plus(state.x, 1.0, trees.unraveled(found.h, state.x))
        value, slope = problem.slope(x)
        gradient = trees.raveled(slope)
        noise = rounding(state.value)
        fall = found.fall.astype(value.dtype)
        # Where a fall cannot be seen for rounding, the model is trusted.
        ratio = (state.value - value + noise) / (fall + noise)
        ratio = _by_slopes(state, value, gradient, found.h, fall, ratio)
        good = (ratio >= _ACCEPTED) & jnp.isfinite(gradient).all()
        x, value = trees.where(good, x, state.x), jnp.where(good, value, state.value)
        gradient = jnp.where(good, gradient, state.gradient)
        parts = state.spectrum
        if self._exact(problem):
            parts = jax.lax.cond(
                good, lambda: spectrum(problem.hessian(x)), lambda: state.spectrum
            )  # fmt: skip
        length = found.length.astype(value.dtype)
        radius = _following(jnp.where(good, ratio, 0), length, state.radius)
        merit = self._merit(problem, x, gradient, parts).astype(state.merit.dtype)
        progress = followed(state.progress, value, merit)
        status = without_progress(progress, ending(x, value, gradient, length, ~good))
        return TrustRegionState(
            x, value, gradient, parts, radius, merit, progress, status, state.gradients + 1,
            state.hessians + good if self._exact(problem) else state.hessians,
            state.products + products,
        )  # fmt: skip

    def _inner(self, problem: Minimize) -> int:
        return min(2 * problem.unknowns(), 1000) if self.inner is None else self.inner

    def measure(self, problem: Minimize, state: TrustRegionState) -> Any:
        return state.merit

    def status(self, state: TrustRegionState) -> Any:
        return state.status

    def iterate(self, problem: Minimize, state: TrustRegionState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: Minimize, state: TrustRegionState) -> dict[str, Any]:
        found = {"gradient": state.gradients}
        return found | (
            {"hessian": state.hessians, "factorization": state.hessians}
            if self._exact(problem) else {"product": state.products}
        )  # fmt: skip


def _by_slopes(
    state: TrustRegionState, value: Any, gradient: Any, h: Any, fall: Any, ratio: Any
) -> Any:
    """The ratio with a fall from the slopes at both ends of a step, where differences of f have
    lost half of their digits, or more if terms of f cancel.

    The gradient must get smaller, and the slopes agree with the model: across a kink they do not.
    """
    lost = jnp.finfo(value.dtype).eps ** 0.5 * jnp.abs(state.value)
    hidden = (fall <= lost) & (jnp.abs(value - state.value) <= lost) & (fall > 0)
    smaller = trees.norm(gradient) < trees.norm(state.gradient)
    real = -0.5 * ((state.gradient + gradient) @ h).astype(value.dtype)
    agree = jnp.abs(real - fall) <= 0.5 * fall
    return jnp.where(hidden & smaller & agree, real / jnp.where(fall > 0, fall, 1), ratio)


def _following(ratio: Any, length: Any, radius: Any) -> Any:
    """The next radius; `ratio` is that of the fall of f to what the model says."""
    radius = jnp.where(ratio > 0.75, jnp.maximum(radius, 2 * length), radius)
    return jnp.where(ratio < 0.25, 0.5 * length, radius)
