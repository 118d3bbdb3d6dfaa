"""Accelerated gradients for penalties that are an l1 norm plus a smooth concave function."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.composite.problem import Composite
from resolvent.functions import MCP, SCAD, Function, Product

_LOOK = 10  # steps between two looks at the certificate, which cost a gradient each
_POWERS = 30  # Hessian products that estimate the largest curvature
_SURE = 1.05  # what an estimate is raised by
_SPAN = 3  # steps between two restarts, at least


class NonconvexState(NamedTuple):
    center: Any
    """Where the long proximal steps begin."""
    x: Any
    """The aggregate, which is returned."""
    middle: Any
    """Where the last gradient was taken."""
    gradient: Any
    """That gradient, the penalty's concave part included."""
    speed: Any
    """How far the point of the gradient moved in the last step."""
    alpha: Any
    age: Any
    """Steps since the acceleration began, or began anew."""
    lipschitz: Any
    merit: Any
    k: Any
    gradients: Any
    products: Any


class NonconvexAcceleratedGradient(Method):
    """Accelerated proximal gradients that take the concave part of a penalty as smooth.

    Solves `Composite` problems and linear models. MCP and SCAD are weight ||x||_1 + q(x) with q
    smooth and concave: the gradient is that of f + q, and the proximal operator is that of the l1
    norm (of g itself where g is convex). With weights alpha_k and steps omega and delta_k,
    z_k = (1 - alpha_k) y_{k-1} + alpha_k x_{k-1},
    x_k = prox(x_{k-1} - delta_k grad(z_k), delta_k), y_k = prox(z_k - omega grad(z_k), omega);
    y_k is returned.

    Args:
        variant: "optimal" has alpha_1 = 1, alpha_k = 2 / (1 + sqrt(1 + 4 / alpha_{k-1}^2)) and
            delta_k = omega / alpha_k, which give the least bound on the complexity; "restart" also
            begins again with alpha = 1 when z moves less than in the step before, every third step
            at most; "original" has the alpha_k = 2 / (k + 1) and delta_k = k omega / 2 of Ghadimi
            and Lan; "none" has alpha_k = 1, which is the proximal gradient method.
        step_size: omega, in the unit of x over the gradient. None takes 0.99 / L, for "original"
            1 / (2 L), with L the Lipschitz constant of the gradient of f + q: from the problem's
            own for f, where it states one, else from a power iteration on its Hessian at the first
            guess (for losses of bounded curvature on the bound), raised wherever two gradients
            show more. State it for functions whose curvature varies much.

    Raises:
        ValueError: for a step size outside (0, 1 / L] where the problem states L; for another word
            for the variant; for a penalty that is not convex and has no such parts.

    Cost per iteration:
        One gradient and two proximal operators; one gradient in ten steps more, to look at the
        certificate, and 30 Hessian products at the start where L is not stated.

    Convergence:
        With omega < 1 / L the least squared norm of the gradient mapping in k steps of "optimal"
        and "original" is O(L C / k) where q has curvature C, and O(1 / k^3) where everything is
        convex. Limit points are stationary; which one is found depends on the start. For "restart"
        there is no proof; it is what reaches tight tolerances.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((30, 60))
        model = rs.GeneralizedLinear(X, X[:, 0] - X[:, 1], penalty=rs.functions.MCP(0.2, 3.0))
        sol = rs.solve(model, rs.composite.NonconvexAcceleratedGradient(), rtol=1e-6)
        assert list(np.flatnonzero(sol.x)) == [0, 1]
        ```

    Reference:
        K. Yang, M. Asgharian, S. Bhatnagar (2020), Accelerated gradient methods for sparse
        statistical learning with nonconvex penalties, arXiv 2009.10629. S. Ghadimi, G. Lan (2013),
        Accelerated gradient methods for nonconvex nonlinear and stochastic programming,
        arXiv 1310.3787.
    """

    variant: str = static(default="restart")
    step_size: Any = None

    name: ClassVar[str] = "nonconvex-accelerated-gradient"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth",)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000
    ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("variant", self.variant, ("restart", "optimal", "original", "none"))
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "A step must go forward.")

    def check(self, problem: Composite) -> None:
        convex_part(problem.g)
        known = problem.lipschitz
        if self.step_size is None or known is None or is_traced((self.step_size, known)):
            return
        most = (1.0 + 1e-12) / float(_joint(problem, known))
        between("step_size", self.step_size, 0.0, most, "Theory asks for it, with the L stated.")

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> NonconvexState:
        x = problem.g.nearest(x0)
        value, gradient = problem.slope(x)
        products = 0
        if self.step_size is not None:
            lipschitz = jnp.nan
        elif problem.lipschitz is not None:
            lipschitz = _joint(problem, problem.lipschitz)
        else:
            found = _SURE * _curvature(problem, x, gradient)
            both = _joint(problem, found)
            # Nothing curves: any step will do.
            lipschitz, products = jnp.where(both > 0, both, 1.0), _POWERS
        dtype = value.dtype
        merit = jnp.asarray(problem.merit(x, gradient), dtype)
        one, zero = jnp.ones((), dtype), jnp.zeros((), jnp.int32)
        whole = trees.plus(gradient, 1.0, concave_slope(problem.g, x))
        return NonconvexState(
            x, x, x, whole, 0 * one, one, zero, jnp.asarray(lipschitz, dtype), merit, zero,
            zero + 1, zero + products,
        )  # fmt: skip

    def step(self, problem: Composite, state: NonconvexState) -> NonconvexState:
        age = state.age + 1
        alpha = self._weight(age, state.alpha)
        middle = trees.combined((1.0 - alpha, state.x), (alpha, state.center))
        gradient = trees.plus(problem.slope(middle)[1], 1.0, concave_slope(problem.g, middle))
        lipschitz = self._raised(problem, state, middle, gradient)
        share = 0.5 if self.variant == "original" else 0.99
        omega = share / lipschitz if self.step_size is None else self.step_size
        omega = jnp.asarray(omega, state.merit.dtype)
        delta = 0.5 * age * omega if self.variant == "original" else omega / alpha
        delta = jnp.asarray(delta, omega.dtype)
        near = convex_part(problem.g).prox
        center = near(trees.plus(state.center, -delta, gradient), delta)
        x = near(trees.plus(middle, -omega, gradient), omega)
        speed = trees.norm(jax.lax.stop_gradient(trees.minus(middle, state.middle)))
        if self.variant == "restart":
            age = jnp.where((speed < state.speed) & (age >= _SPAN), 0, age)
        k = state.k + 1
        look = k % _LOOK == 0
        merit = jax.lax.cond(
            look,
            lambda: jnp.asarray(problem.merit(x, problem.slope(x)[1]), state.merit.dtype),
            lambda: state.merit,
        )
        return state._replace(
            center=center, x=x, middle=middle, gradient=gradient, speed=speed, alpha=alpha,
            age=age, lipschitz=lipschitz, merit=merit, k=k, gradients=state.gradients + 1 + look,
        )  # fmt: skip

    def _weight(self, age: Any, before: Any) -> Any:
        """alpha_k."""
        if self.variant == "none":
            return before
        if self.variant == "original":
            return jnp.asarray(2.0 / (age + 1.0), before.dtype)
        return jnp.where(age == 1, 1.0, 2.0 / (1.0 + jnp.sqrt(1.0 + 4.0 / before**2)))

    def _raised(self, problem: Composite, state: NonconvexState, middle: Any, gradient: Any) -> Any:
        """The estimate of L, or what the last two gradients show where that is more."""
        if self.step_size is not None or problem.lipschitz is not None:
            return state.lipschitz
        moved, turned, point, size = jax.lax.stop_gradient(
            (
                trees.norm(trees.minus(middle, state.middle)),
                trees.norm(trees.minus(gradient, state.gradient)),
                trees.norm(middle), trees.norm(gradient),
            )
        )  # fmt: skip
        # Of differences that rounding has spoiled nothing is learned.
        root = jnp.finfo(moved.dtype).eps ** 0.5
        clear = (moved > root * point) & (turned > root * size) & (moved > 0)
        seen = jnp.where(clear, turned / jnp.where(clear, moved, 1.0), 0.0)
        return jnp.where(seen > state.lipschitz, _SURE * seen, state.lipschitz)

    def measure(self, problem: Composite, state: NonconvexState) -> Any:
        return state.merit

    def iterate(self, problem: Composite, state: NonconvexState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: NonconvexState) -> NonconvexState:
        gradient = problem.slope(state.x)[1]
        merit = jnp.asarray(problem.merit(state.x, gradient), state.merit.dtype)
        return state._replace(
            center=state.x, age=jnp.zeros_like(state.age), merit=merit,
            gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: NonconvexState) -> dict[str, Any]:
        return {"gradient": state.gradients, "prox": 2 * state.k, "hessian": state.products}


def convex_part(g: Function) -> Function:
    """A term less its smooth concave part; a term that has no such parts is refused.

    Args:
        g: a penalty, or a product of them.

    Returns:
        The l1 norm of MCP and SCAD; a convex term itself.

    Raises:
        ValueError: for any other term.

    Example:
        ```python
        import resolvent as rs
        from resolvent.composite.gradients.nonconvex_acceleration import convex_part
        assert convex_part(rs.functions.MCP(0.5, 3.0)).weight == 0.5
        ```
    """
    if isinstance(g, MCP | SCAD):
        return g.convex_part()
    if g.convex:
        return g
    if isinstance(g, Product):
        return Product(tuple(convex_part(part) for part in g.parts))
    refuse(
        ValueError, "g", given=f"{type(g).__name__}, which is not convex",
        needed="a convex term, MCP or SCAD: a convex function plus a smooth concave one",
        advice="Write ProximalGradient(acceleration='none') for other terms.",
    )  # fmt: skip


def concave_slope(g: Function, x: Any) -> Any:
    """The gradient of the smooth concave part of a term, zero where there is none."""
    if isinstance(g, MCP | SCAD):
        return g.concave_slope(x)
    if isinstance(g, Product):
        return tuple(concave_slope(part, block) for part, block in zip(g.parts, x, strict=True))
    return trees.zeros(x)


def concavity(g: Function) -> Any:
    """The Lipschitz constant of that gradient."""
    if isinstance(g, MCP | SCAD):
        return g.concavity
    if isinstance(g, Product):
        found = [concavity(part) for part in g.parts]
        total = found[0]
        for one in found[1:]:
            total = jnp.maximum(total, one)
        return total
    return 0.0


def _joint(problem: Composite, smooth: Any) -> Any:
    """The constant of f + q from that of f: the larger one where f is convex, else their sum."""
    other = concavity(problem.g)
    if isinstance(problem, GeneralizedLinear):
        return jnp.maximum(smooth, other)
    return smooth + other


def _curvature(problem: Composite, x: Any, gradient: Any) -> Any:
    """The largest curvature of f: for losses that have a bound of it anywhere, else at x."""

    def product(v: Any) -> Any:
        if isinstance(problem, GeneralizedLinear):
            bound = problem.loss.smoothness
            if is_traced(bound) or math.isfinite(bound):
                return problem.pulled_back(bound * problem.predictions(v))
        return jax.jvp(lambda point: problem.slope(point)[1], (x,), (v,))[1]

    def unit(v: Any) -> Any:
        size = trees.norm(v)
        return trees.times(1.0 / jnp.where(size > 0, size, 1.0), v)

    # Nothing here knows the order of the unknowns.
    even = unit(trees.map_leaves(jnp.ones_like, x))
    first = unit(trees.plus(unit(gradient), 0.1, even))
    last = jax.lax.fori_loop(0, _POWERS - 1, lambda _, v: unit(product(v)), first)
    return trees.norm(product(last))
