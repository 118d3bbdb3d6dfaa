"""The primal-dual hybrid gradient method, anchored and restarted, for any linear map."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, one_of
from resolvent._core.line_search import power_of_two
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.power_iteration import norm_of
from resolvent._core.value import static
from resolvent.composite.linear_map import POWERS, IdentityMap
from resolvent.composite.split import SplitComposite

_LOOK = 10  # steps between two looks at the certificate and at the length of the steps
_SAFE = 0.95  # of the longest step that theory allows, where the norm of K is an estimate
_SHRINK = 0.7  # of steps that were too long for the estimate
_ENOUGH = 0.2  # of the length of the first step since a restart, at which the next one is due
_LITTLE = 0.8  # the same where steps begin to grow again
_LONG = 0.36  # part of all steps after which a restart is due anyway


class HybridState(NamedTuple):
    point: Any
    products: Any
    """(K x, K^T y)."""
    anchor: Any
    anchor_products: Any
    out: Any
    """What would be returned: the image of the last point."""
    out_products: Any
    since: Any
    step_size: Any
    balance: Any
    curvature: Any
    first_length: Any
    last_length: Any
    merit: Any
    steps: Any
    spent: Any
    gradients: Any


class PDHG(Method):
    """Proximal steps in x and y in turn, one product with K and one with K^T: Chambolle and Pock's.

    Solves `SplitComposite` problems by x' = prox(x - s (grad f(x) + K^T y)) and y' =
    prox(y + t K (2 x' - x)), the proximal operators those of s g and of t h*, with 1 / s = w / e +
    L and t = e w: a step size e, a balance w, and the constant L of f (Condat's and Vu's steps;
    L = 0 without f). Written (x', y') = T(x, y), plain steps take T; anchored ones begin at z_0
    and take z_{k+1} = ((k + 1) (z_k + r (T(z_k) - z_k)) + z_0) / (k + 2), with r = 2, or 1.5 with
    f, and begin again from T(z_k) when the steps have become short enough. T(z_k) is returned.

    Args:
        step_size: e, in the unit of 1 over K. None takes 1 / ||K||, the norm as the problem states
            it or from 20 steps of the power iteration; an estimate that proves too small shortens
            the steps.
        balance: w, positive; larger ones move y further and x less. None begins with 1 and takes
            the ratio of how far y and x have moved at every restart.
        acceleration: "halpern" for anchored steps, or "none".

    Raises:
        ValueError: for a step size beyond 1 / ||K|| where the problem states the norm, a balance
            that is not positive, or another word for the acceleration.

    Cost per iteration:
        One product with K, one with K^T, a proximal operator of g and one of h, a gradient of f.
        Each tenth step looks at the certificate, which takes another gradient.

    Convergence:
        For convex terms whose optimality conditions have an answer the points converge, and the
        lengths of the steps are O(1 / k); with restarts linear where the optimality conditions are
        sharp, as for l1 norms, polyhedra and quadratics.

    Example:
        ```python
        import numpy as np, resolvent as rs
        A = np.random.default_rng(0).standard_normal((8, 20))
        truth = np.zeros(20)
        truth[[3, 11]] = 1.0, -2.0
        here = rs.functions.Box(A @ truth, A @ truth)
        pursuit = rs.SplitComposite(here, A, g=rs.functions.L1())
        x, y = rs.solve(pursuit, rs.composite.PDHG(), rtol=1e-8).x
        assert np.allclose(x, truth, atol=1e-6)
        ```

    Reference:
        A. Chambolle, T. Pock (2011), A first-order primal-dual algorithm for convex problems with
        applications to imaging. L. Condat (2013), A primal-dual splitting method for convex
        optimization involving Lipschitzian, proximable and linear composite terms. H. Lu, J. Yang
        (2024), Restarted Halpern PDHG for linear programming, arXiv 2407.16144.
    """

    step_size: Any = None
    balance: Any = None
    acceleration: str = static(default="halpern")

    name: ClassVar[str] = "pdhg"
    solves: ClassVar = (SplitComposite,)
    engines: ClassVar = ("traced",)
    in_order: ClassVar[bool] = True
    ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "A step must go forward.")
        if self.balance is not None:
            between("balance", self.balance, 0.0, math.inf, "x and y must both move.")
        one_of("acceleration", self.acceleration, ("halpern", "none"))

    def check(self, problem: SplitComposite) -> None:
        if self.step_size is not None and problem.norm is not None:
            most = (1.0 + 1e-12) / problem.norm
            between("step_size", self.step_size, 0.0, most, "Theory asks for it, with this norm.")

    def init(self, problem: SplitComposite, x0: Any, memory: Memory, key: Any) -> HybridState:
        x, y = point = problem.g.nearest(x0[0]), x0[1]
        products = problem.image(x), problem.pulled(y)
        merit = finite_merit(problem.merit(point, products))
        spent, dtype = 2, merit.dtype
        if self.step_size is not None:
            step = self.step_size
        elif problem.norm is not None:
            step = 1.0 / problem.norm
        else:
            square = norm_of(lambda v: problem.pulled(problem.image(v)), x, POWERS)
            step, spent = _SAFE / jnp.sqrt(jnp.where(square > 0, square, 1.0)), 2 + 2 * POWERS
        curvature, looks = problem.curvature(x)
        one, zero = jnp.ones((), dtype), jnp.zeros((), jnp.int32)
        return HybridState(
            point, products, point, products, point, products, zero, jnp.asarray(step, dtype),
            jnp.asarray(1.0 if self.balance is None else self.balance, dtype),
            jnp.asarray(curvature, dtype), one, one, merit, zero, zero + spent,
            zero + (problem.f is not None) + POWERS * looks,
        )  # fmt: skip

    def step(self, problem: SplitComposite, state: HybridState) -> HybridState:
        (x, y), (Kx, KTy) = state.point, state.products
        short, long = _lengths(state)
        slope = None if problem.f is None else problem.slope(x)
        pull = KTy if slope is None else trees.plus(slope, 1.0, KTy)
        new = problem.g.prox(trees.plus(x, -short, pull), short)
        image = problem.image(new)
        ahead = trees.plus(y, long, trees.combined((2.0, image), (-1.0, Kx)))
        near = problem.h.prox(trees.times(1.0 / long, ahead), 1.0 / long)
        out = new, trees.plus(ahead, -long, near)
        products = image, problem.pulled(out[1])
        fresh = state._replace(
            out=out, out_products=products, since=state.since + 1, steps=state.steps + 1,
            spent=state.spent + 2, gradients=state.gradients + (slope is not None),
        )  # fmt: skip
        if self.acceleration == "none":
            fresh = fresh._replace(point=out, products=products)
        else:
            reach, part = 2.0 if slope is None else 1.5, 1.0 / (state.since + 2.0)
            pairs = (
                (state.point, out, state.anchor),
                (state.products, products, state.anchor_products),
            )
            point, carried = (
                trees.combined(
                    ((1.0 - part) * (1.0 - reach), z), ((1.0 - part) * reach, moved), (part, z0)
                )
                for z, moved, z0 in pairs
            )
            fresh = fresh._replace(point=point, products=carried)
        look = (state.since == 0) | (fresh.steps % _LOOK == 0)
        return jax.lax.cond(
            look,
            lambda: self._looked(problem, state, fresh, slope),
            lambda: fresh,
        )

    def _looked(
        self, problem: SplitComposite, before: HybridState, state: HybridState, slope: Any
    ) -> HybridState:
        """The state with its merit, longer estimates where they were too small, and perhaps a new
        beginning."""
        stop = jax.lax.stop_gradient
        (x, y), out, (image, _) = stop((before.point, state.out, state.out_products))
        dx, dy = trees.minus(out[0], x), trees.minus(out[1], y)
        there = None if slope is None else problem.slope(out[0])
        merit = finite_merit(problem.merit(state.out, state.out_products, there))
        step, balance, curvature = stop((state.step_size, state.balance, state.curvature))
        xx, yy = trees.dot(dx, dx), trees.dot(dy, dy)
        turn = 2.0 * trees.dot(trees.minus(image, stop(before.products[0])), dy)
        room = xx * balance / step + yy / (step * balance)
        again = jnp.zeros((), bool)
        # Decisions have no derivative, but what they decide about has one.
        new_step, new_curvature = state.step_size, state.curvature
        if self.step_size is None and problem.norm is None:
            again = jnp.abs(turn) > room * (1.0 + 1e-3)
            new_step = jnp.where(again, _SHRINK * new_step, new_step)
        if slope is not None and problem.lipschitz is None:
            bend = trees.dot(trees.minus(there, stop(slope)), dx)
            steep = bend > curvature * xx * (1.0 + 1e-3)
            higher = 1.5 * bend / jnp.where(steep, xx, 1.0)
            new_curvature = jnp.where(steep, higher, new_curvature)
            again = again | steep
        state = state._replace(
            merit=jnp.asarray(merit, state.merit.dtype),
            gradients=state.gradients + (slope is not None),
            step_size=new_step, curvature=new_curvature,
        )  # fmt: skip
        if self.acceleration == "none":
            return state
        length = jnp.sqrt(jnp.maximum(room + curvature * xx - turn, 0.0))
        first = jnp.where(before.since == 0, length, state.first_length)
        little = (length <= _LITTLE * first) & (length > state.last_length)
        due = (length <= _ENOUGH * first) | little | (state.since >= _LONG * state.steps)
        again = again | (due & (before.since > 0))
        if self.balance is None:
            balance = jnp.where(again, _balanced(balance, stop(state.anchor), out), balance)
        start = trees.where(again, (state.out, state.out_products), (state.point, state.products))
        anchor = trees.where(
            again, (state.out, state.out_products), (state.anchor, state.anchor_products)
        )
        return state._replace(
            point=start[0], products=start[1], anchor=anchor[0], anchor_products=anchor[1],
            since=jnp.where(again, 0, state.since), balance=balance, first_length=first,
            last_length=length,
        )  # fmt: skip

    def refresh(self, problem: SplitComposite, state: HybridState) -> HybridState:
        """Begin again from the point that would be returned, its products made anew."""
        products = problem.image(state.out[0]), problem.pulled(state.out[1])
        merit = jnp.asarray(finite_merit(problem.merit(state.out, products)), state.merit.dtype)
        return state._replace(
            point=state.out, products=products, anchor=state.out, anchor_products=products,
            out_products=products, since=jnp.zeros_like(state.since), merit=merit,
            spent=state.spent + 2, gradients=state.gradients + (problem.f is not None),
        )  # fmt: skip

    def measure(self, problem: SplitComposite, state: HybridState) -> Any:
        return state.merit

    def iterate(self, problem: SplitComposite, state: HybridState) -> tuple[Any, Any]:
        return state.out, state.out[1]

    def calls(self, problem: SplitComposite, state: HybridState) -> dict[str, Any]:
        counts = {"prox": 2 * state.steps}
        if not isinstance(problem.K, IdentityMap):
            counts["product"] = state.spent
        return counts if problem.f is None else {**counts, "gradient": state.gradients}


def _lengths(state: HybridState) -> tuple[Any, Any]:
    """The steps of x and of y."""
    short = 1.0 / (state.balance / state.step_size + state.curvature)
    return short, state.step_size * state.balance


def _balanced(balance: Any, anchor: Any, out: Any) -> Any:
    """About the geometric mean of the old balance and of how much further y has moved than x.

    It is a power of 2: it does not follow small changes of the data.
    """
    x, y = (_length(trees.minus(new, old)) for new, old in zip(out, anchor, strict=True))
    known = (x > 0) & (y > 0) & jnp.isfinite(x) & jnp.isfinite(y)
    ratio = jnp.where(known, y, 1.0) / jnp.where(known, x, 1.0)
    return jnp.where(known, power_of_two(jnp.sqrt(balance * ratio)), balance)


def finite_merit(merit: Any) -> Any:
    """The merit, as a number that a loop goes on with where a bound is infinite so far."""
    return jnp.where(jnp.isposinf(merit), jnp.finfo(merit.dtype).max, merit)


def _length(x: Any) -> Any:
    """The Euclidean norm, for decisions: of what is neither huge nor tiny."""
    return jnp.sqrt(trees.dot(x, x))
