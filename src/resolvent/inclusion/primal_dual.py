"""The primal-dual hybrid gradient method of Chambolle and Pock, averaged and restarted."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, one_of
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.inclusion.bilinear import BilinearGame
from resolvent.inclusion.forward import grown
from resolvent.inclusion.step_size import SAFE, positive_step

_POWERS = 20  # products with A^T A that estimate its norm
_SHRINK = 0.7  # of a step that was too long for the estimate
_ENOUGH = 0.2  # of the residual of the last restart, at which a restart is worth it
_LITTLE = 0.8  # the same where the average no longer improves
_LONG = 0.36  # part of all steps after which a restart is due anyway


class PrimalDualState(NamedTuple):
    point: Any
    products: Any  # (A y, A^T x)
    mean: Any
    mean_products: Any
    mean_merit: Any
    since: Any  # steps in the mean
    anchor_merit: Any  # of the point that was last begun from
    x: Any  # what would be returned
    step_size: Any
    merit: Any
    first: Any
    steps: Any
    powers: Any


class PrimalDual(Method):
    """Chambolle and Pock's method: proximal steps in x and y in turn, two products with A a step.

    Solves min over x of max over y of X(x) + x^T A y + b^T x + c^T y - Y(y) by
    x_{k+1} = prox(x_k - (s / w) (A y_k + b)) and y_{k+1} = prox(y_k + s w (A^T (2 x_{k+1} - x_k) +
    c)), the proximal maps those of X and Y, with a step size s and a balance w.

    Args:
        step_size: s, in the unit of 1 over A. None takes 0.9 / ||A||, the norm as the problem
            states it or from 20 steps of the power iteration; an estimate that proves too small
            shortens the steps.
        balance: w, positive; larger ones move y further and x less.
        averaging: "restarted" begins again from the average of the points so far (or the last
            one, where that is better) whenever the residual has fallen enough; "ergodic" only
            averages; "none" leaves the plain iteration. The better of the average and the last
            point is returned.

    Raises:
        ValueError: for a step size outside (0, 1 / ||A||) where the problem states the norm, a
            balance that is not positive, or another word for averaging.

    Cost per iteration:
        One product with A, one with A^T, and one proximal step each for x and y; a second one for
        the residual of the average, except in matrix games, whose gap needs none.

    Convergence:
        The points converge; the gap of the averages is O(||A|| / k). With restarts linear for
        linear programs and matrix games, at a rate that their sharpness determines.

    Example:
        ```python
        import numpy as np, resolvent as rs
        game = rs.MatrixGame(np.random.default_rng(0).standard_normal((30, 20)))
        sol = rs.solve(game, rs.inclusion.PrimalDual(), rtol=1e-6)
        assert sol.certificate.kind == "bound" and sol.converged
        ```

    Reference:
        A. Chambolle, T. Pock (2011), A first-order primal-dual algorithm for convex problems with
        applications to imaging. D. Applegate, O. Hinder, H. Lu, M. Lubin (2023), Faster
        first-order primal-dual methods for linear programming using restarts and sharpness,
        arXiv 2105.12715.
    """

    step_size: Any = None
    balance: Any = 1.0
    averaging: str = static(default="restarted")

    name: ClassVar[str] = "primal-dual"
    solves: ClassVar = (BilinearGame,)
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        between("balance", self.balance, 0.0, math.inf, "Both players must move.")
        one_of("averaging", self.averaging, ("restarted", "ergodic", "none"))

    def check(self, problem: BilinearGame) -> None:
        positive_step("step_size", self.step_size, problem.lipschitz, 1.0)

    def init(self, problem: BilinearGame, x0: Any, memory: Memory, key: Any) -> PrimalDualState:
        point = problem.nearest(x0)
        products = problem.F.products(point)
        merit = problem.merit(point, problem.F.shifted(products))
        dtype, powers = products[0].dtype, 0
        if self.step_size is not None:
            step = jnp.asarray(self.step_size, dtype)
        elif problem.lipschitz is not None:
            step = jnp.asarray(SAFE / problem.lipschitz, dtype)
        else:
            step, powers = SAFE / _norm(problem.F.A), _POWERS
        return PrimalDualState(
            point, products, point, products, merit, jnp.zeros((), jnp.int32), merit, point, step,
            merit, merit, jnp.zeros((), jnp.int32), powers,
        )  # fmt: skip

    def step(self, problem: BilinearGame, state: PrimalDualState) -> PrimalDualState:
        A, G = problem.F.A, problem.G.parts
        (x, y), (Ay, xA) = state.point, state.products
        u, _ = problem.F.shifted(state.products)
        short, long = state.step_size / self.balance, state.step_size * self.balance
        new_x = G[0].prox(trees.plus(x, -short, u), short)
        new_xA = new_x @ A
        _, v = problem.F.shifted((Ay, 2 * new_xA - xA))
        new_y = G[1].prox(trees.plus(y, -long, v), long)
        point, products = (new_x, new_y), (A @ new_y, new_xA)
        merit = problem.merit(point, problem.F.shifted(products))
        step = state.step_size
        if self.step_size is None and problem.lipschitz is None:
            turn = 2 * abs((new_y - y) @ (new_xA - xA))
            room = _square(new_x - x) / short + _square(new_y - y) / long
            step = jnp.where(turn <= room * (1 + 1e-6), step, _SHRINK * step)
        moved = state._replace(
            point=point, products=products, x=point, merit=merit, step_size=step,
            steps=state.steps + 1,
        )  # fmt: skip
        return moved if self.averaging == "none" else self._averaged(problem, state, moved)

    def _averaged(
        self, problem: BilinearGame, before: PrimalDualState, state: PrimalDualState
    ) -> PrimalDualState:
        """The better of the last point and the average, and perhaps a new beginning there."""
        since = state.since + 1
        part = 1.0 / since
        mean, products = (
            trees.plus(old, part, trees.minus(new, old))
            for old, new in ((state.mean, state.point), (state.mean_products, state.products))
        )
        mean_merit = problem.merit(mean, problem.F.shifted(products))
        nearer = mean_merit < state.merit
        best, best_products = (
            trees.where(nearer, one, other)
            for one, other in ((mean, state.point), (products, state.products))
        )
        merit = jnp.minimum(mean_merit, state.merit)
        state = state._replace(
            mean=mean, mean_products=products, mean_merit=mean_merit, since=since, x=best,
            merit=merit,
        )  # fmt: skip
        if self.averaging == "ergodic":
            return state
        little = (merit <= _LITTLE * state.anchor_merit) & (mean_merit > before.mean_merit)
        again = (merit <= _ENOUGH * state.anchor_merit) | little | (since >= _LONG * state.steps)
        again = again & (since > 1)
        return state._replace(
            point=trees.where(again, best, state.point),
            products=trees.where(again, best_products, state.products),
            since=jnp.where(again, 0, since),
            anchor_merit=jnp.where(again, merit, state.anchor_merit),
        )

    def refresh(self, problem: BilinearGame, state: PrimalDualState) -> PrimalDualState:
        """Begin again from the point that would be returned, its products made anew."""
        products = problem.F.products(state.x)
        merit = problem.merit(state.x, problem.F.shifted(products))
        return state._replace(
            point=state.x, products=products, merit=merit, since=jnp.zeros_like(state.since),
            anchor_merit=merit, powers=state.powers + 1,
        )  # fmt: skip

    def measure(self, problem: BilinearGame, state: PrimalDualState) -> Any:
        return state.merit

    def iterate(self, problem: BilinearGame, state: PrimalDualState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: PrimalDualState) -> Any:
        return grown(state.merit, state.first)

    def calls(self, problem: BilinearGame, state: PrimalDualState) -> dict[str, Any]:
        return {"operator": state.steps + 1 + state.powers, "resolvent": state.steps + 1}


def _norm(A: Any) -> Any:
    """The spectral norm by power iteration, a little less than it is; 1 for a zero matrix."""
    v = jax.random.normal(jax.random.key(0), A.shape[1:], A.dtype)

    def power(_: Any, carry: Any) -> Any:
        v, _ = carry
        v = (A @ v) @ A
        size = trees.norm(v)
        return v / jnp.where(size > 0, size, 1.0), size

    v = v / trees.norm(v)
    _, square = jax.lax.fori_loop(0, _POWERS, power, (v, jnp.ones((), A.dtype)))
    return jnp.where(square > 0, jnp.sqrt(square), 1.0)


def _square(x: Any) -> Any:
    return (x * x).sum()
