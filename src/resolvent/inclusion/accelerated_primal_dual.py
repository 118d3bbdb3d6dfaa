"""Accelerated linearized primal-dual methods for convex-strongly-concave saddle points."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import count, is_traced, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.inclusion.composite_saddle import CompositeSaddlePoint
from resolvent.inclusion.forward import grown

_VARIANTS = ("accelerated", "linearized", "inexact")
_STILL = 1e-12  # change of an inner iterate, relative to its size, that ends the inner steps


class AcceleratedState(NamedTuple):
    last: Any  # (x_k, y_k)
    mean: Any
    turn: Any  # grad_y phi at (x_k, y_k)
    turn_before: Any
    x: Any  # what would be returned
    c: Any
    k: Any
    merit: Any
    first: Any
    gradients: Any
    couplings: Any
    derivatives: Any


class AcceleratedPrimalDual(Method):
    """Khalafi and Boob's ALPD: dual first, gradients of f at averaged points, growing steps.

    Solves min over x in X of max over y of f(x) + phi(x, y) - g(y), g strongly convex, by
    y_{k+1} = argmin g(y) - <v, y> + s_k ||y - y_k||^2 / 2 with v = (1 + t_k) grad_y phi(x_k, y_k) -
    t_k grad_y phi(x_{k-1}, y_{k-1}), and x_{k+1} = P(x_k - (k / c) (grad f(z_k) + grad_x phi(x_k,
    y_{k+1}))), with t_k = (k - 1) / k, s_k = mu (k - 1) / 2, z_k = (1 - 2 / (k + 1)) xbar_k +
    2 / (k + 1) x_k, and the averages xbar, ybar of weights 2 / (k + 1).

    Args:
        variant: "accelerated" as above; "linearized" with grad f at x_k; "inexact" minimizes phi
            over x by inner accelerated steps instead of its linearization, for phi that is
            strongly curved in x.
        horizon: N, how many steps are planned. "linearized" needs it, and "accelerated" where phi
            is not linear in x: their c contains it.
        last: return the last points instead of the averages. No theory speaks of them; they are
            often better.
        inner_steps: of "inexact"; None takes what the theory asks for, which grows like the root
            of k times log k.

    Raises:
        ValueError: for another word for the variant, a missing horizon, or a horizon or inner
            steps that are not positive.

    Cost per iteration:
        One gradient of f, one gradient of phi in x and one in y, a projection and a prox; "inexact"
        takes several gradients of phi in x. The stopping test takes one more of each.

    Convergence:
        The gap of the averages is at most c ||x_0 - x*||^2 / (N (N + 1)), with c = 2 L_f +
        2 L_xy^2 / mu for phi linear in x, and N L_xx more for others; c = N L_f + 2 L_xy^2 / mu for
        "linearized".

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.CompositeSaddlePoint(
            lambda x: jnp.sum((x - 1.0) ** 2), lambda x, y: y @ x, rs.functions.Box(-1.0, 1.0),
            rs.functions.SquaredL2(1.0), start=(jnp.zeros(2), jnp.zeros(2)),
        )
        sol = rs.solve(problem, rs.inclusion.AcceleratedPrimalDual(last=True), rtol=1e-4)
        assert jnp.allclose(sol.x[0], 2 / 3, atol=1e-3)
        ```

    Reference:
        M. Khalafi, D. Boob (2023), Accelerated primal-dual methods for convex-strongly-concave
        saddle point problems, arXiv 2209.04604.
    """

    variant: str = static(default="accelerated")
    horizon: int | None = static(default=None)
    last: bool = static(default=False)
    inner_steps: int | None = static(default=None)

    name: ClassVar[str] = "accelerated-primal-dual"
    solves: ClassVar = (CompositeSaddlePoint,)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 100_000

    def __post_init__(self) -> None:
        one_of("variant", self.variant, _VARIANTS)
        one_of("last", self.last, (False, True))
        for name in ("horizon", "inner_steps"):
            if getattr(self, name) is not None:
                count(name, getattr(self, name), least=1)

    def check(self, problem: CompositeSaddlePoint) -> None:
        curved = is_traced(problem.curved) or problem.curved > 0
        needed = self.variant == "linearized" or (self.variant == "accelerated" and curved)
        if needed and self.horizon is None:
            refuse(
                ValueError, "horizon", given=f"none for the variant {self.variant!r}",
                needed="the number of planned steps, which its step sizes depend on",
                advice="Pass horizon=max_steps, or use the variant 'inexact'.",
            )  # fmt: skip

    def init(self, problem: CompositeSaddlePoint, x0: Any, memory: Memory, key: Any) -> Any:
        point = problem.nearest(x0)
        smooth, coupled, derivatives = problem.constants(point)
        horizon = self.horizon or 1
        dtype = jnp.result_type(*trees.leaves(point))
        if self.variant == "linearized":
            c = horizon * smooth
        else:
            c = 2.0 * smooth
            if self.variant == "accelerated":
                c = c + horizon * problem.curved
        c = jnp.asarray(c + 2.0 * coupled**2 / problem.convexity, dtype)
        turn = problem.F.of_y(*point)
        merit = problem.merit(point, problem.operator(point))
        return AcceleratedState(
            point, point, turn, turn, point, c, jnp.ones((), jnp.int32), merit, merit, 1, 3,
            derivatives,
        )  # fmt: skip

    def step(self, problem: CompositeSaddlePoint, state: AcceleratedState) -> AcceleratedState:
        F, (X, g) = problem.F, problem.G.parts
        (x, y), (mean_x, mean_y) = state.last, state.mean
        k = state.k.astype(state.c.dtype)
        theta, beta, eta = (k - 1.0) / k, 2.0 / (k + 1.0), k / state.c
        v = trees.combined((1.0 + theta, state.turn), (-theta, state.turn_before))
        y = _response(g, v, y, 0.5 * problem.convexity * (k - 1.0))
        base = x
        if self.variant != "linearized":
            base = trees.combined((1.0 - beta, mean_x), (beta, x))
        slope = F.of_f(base)
        if self.variant == "inexact":
            x, inner = self._inner(problem, x, y, slope, eta, k)
        else:
            slope = trees.plus(slope, 1.0, F.of_x(x, y))
            x, inner = X.prox(trees.plus(x, -eta, slope), eta), 1
        point = x, y
        mean = trees.combined((1.0 - beta, (mean_x, mean_y)), (beta, point))
        best = point if self.last else mean
        return state._replace(
            last=point, mean=mean, turn=F.of_y(*point), turn_before=state.turn, x=best,
            k=state.k + 1, merit=problem.merit(best, problem.operator(best)),
            gradients=state.gradients + 2, couplings=state.couplings + 3 + inner,
        )  # fmt: skip

    def _inner(
        self, problem: CompositeSaddlePoint, x: Any, y: Any, slope: Any, eta: Any, k: Any
    ) -> tuple[Any, Any]:
        """argmin over u of <slope, u> + phi(u, y) + ||u - x||^2 / (2 eta), nearly."""
        condition = 1.0 + problem.curved * eta
        root = jnp.sqrt(condition)
        momentum = (root - 1.0) / (root + 1.0)
        step = eta / condition
        limit = jnp.ceil(root * jnp.log(4.0 * (k + 1.0) ** 2)).astype(jnp.int32) + 1
        if self.inner_steps is not None:
            limit = jnp.asarray(self.inner_steps)

        def goes_on(carry: Any) -> Any:
            u, _, done, change = carry
            return (done < limit) & (change > _STILL * (1.0 + trees.norm(u)))

        def descend(carry: Any) -> Any:
            u, ahead, done, _ = carry
            slope_here = trees.plus(slope, 1.0, problem.F.of_x(ahead, y))
            slope_here = trees.plus(slope_here, 1.0 / eta, trees.minus(ahead, x))
            new = problem.G.parts[0].prox(trees.plus(ahead, -step, slope_here), step)
            move = trees.minus(new, u)
            return new, trees.plus(new, momentum, move), done + 1, trees.norm(move)

        begin = x, x, jnp.zeros((), jnp.int32), jnp.full_like(eta, jnp.inf)
        u, _, done, _ = jax.lax.while_loop(goes_on, descend, begin)
        return u, done

    def measure(self, problem: CompositeSaddlePoint, state: AcceleratedState) -> Any:
        return state.merit

    def iterate(self, problem: CompositeSaddlePoint, state: AcceleratedState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: AcceleratedState) -> Any:
        return grown(state.merit, state.first)

    def calls(self, problem: CompositeSaddlePoint, state: AcceleratedState) -> dict[str, Any]:
        return {
            "gradient": state.gradients, "coupling": state.couplings,
            "derivative": state.derivatives,
        }  # fmt: skip


def _response(g: Any, v: Any, y: Any, weight: Any) -> Any:
    """argmin of g(u) - <v, u> + weight ||u - y||^2 / 2, with the exact best response for 0."""
    # prox of step 1 / weight at y + v / weight, written so that the weight may be zero.
    safe = jnp.where(weight > 0, weight, 1.0)
    near = g.prox(trees.plus(y, 1.0 / safe, v), 1.0 / safe)
    return trees.where(weight > 0, near, g.response(v))
