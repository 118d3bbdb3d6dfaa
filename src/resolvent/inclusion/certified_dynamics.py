"""Dynamics of games in the metric of a small-gain certificate: Euler and Runge-Kutta steps."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent.inclusion.comonotone import ending
from resolvent.inclusion.finite_games import QuadraticGame
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.small_gain import SmallGain, small_gain
from resolvent.inclusion.step_size import SAFE, positive_step


class CertifiedState(NamedTuple):
    x: Any
    Fx: Any
    step_size: Any
    move: Any
    merit: Any
    first: Any
    code: Any
    calls: Any
    resolvents: Any


class _CertifiedDynamics(Method):
    """What both dynamics share: the certificate, the range of steps, what is watched."""

    certificate: Any = None
    step_size: Any = None

    solves: ClassVar = (QuadraticGame, Inclusion)
    needs: ClassVar[tuple[str, ...]] = ("players",)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000  # contraction in one metric may be growth in another, first

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        if not isinstance(self.certificate, SmallGain | None):
            refuse(
                TypeError, "certificate", given=f"a {type(self.certificate).__name__}",
                needed="a SmallGain, or None", advice="Pass small_gain(game, region).",
            )  # fmt: skip

    def longest(self, found: SmallGain) -> Any:
        """The end of the range of steps."""
        raise NotImplementedError

    def usual(self, found: SmallGain) -> Any:
        """The step where the user gives none."""
        raise NotImplementedError

    def check(self, problem: Any) -> None:
        if not isinstance(problem, QuadraticGame) and self.certificate is None:
            refuse(
                ValueError, "certificate", given="none for a game that is not quadratic",
                needed="one for a region", advice="Pass small_gain(game, region).",
            )  # fmt: skip
        if self.certificate is not None:
            self.certificate.fits(problem)
        if self.certificate is None or is_traced((problem, self)):
            return  # what `bind` finds is checked there
        found = self.certificate
        if not found.contracts:
            refuse(
                ValueError, "certificate", given=f"a margin of {found.margin:.3g}",
                needed="a positive one", advice="No step size is known to contract: other "
                "methods, such as Extragradient, may still converge.",
            )  # fmt: skip
        found.projects(problem)
        if self.step_size is not None:
            between(
                "step_size", self.step_size, 0.0, float(self.longest(found)),
                f"Steps are certified up to {self.end}.",
            )  # fmt: skip

    end: ClassVar[str]

    def bind(self, problem: Any) -> Method:
        found = self.certificate
        if found is None:
            found = small_gain(problem)
            self.but(certificate=found).check(problem)
        step = self.usual(found) if self.step_size is None else self.step_size
        return self.but(certificate=found, step_size=step)

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> CertifiedState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = problem.merit(x, Fx)
        step = jnp.asarray(self.step_size, merit.dtype)
        code = jnp.where(step > 0, 0, Reason.breakdown.code)
        return CertifiedState(x, Fx, step, jnp.full_like(merit, jnp.inf), merit, merit, code, 1, 1)

    def measure(self, problem: Any, state: CertifiedState) -> Any:
        return state.merit

    def iterate(self, problem: Any, state: CertifiedState) -> tuple[Any, None]:
        return state.x, None

    def status(self, state: CertifiedState) -> Any:
        return jnp.where(state.code > 0, state.code, ending(state.merit, state.first))

    def calls(self, problem: Any, state: CertifiedState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}


class CertifiedEuler(_CertifiedDynamics):
    """Projected Euler steps of a game's flow, of a length that provably contracts.

    Solves 0 in F(x) + G(x) for the pseudo-gradient F of a game whose players have one set or
    penalty each: x <- J(x - step F(x)), with J = (I + step G)^-1. F need not be monotone: a
    small-gain certificate gives a block metric in which it is. The weights of that metric rule
    the step, not the update: the projection in it is that of each player alone.

    Args:
        certificate: a `SmallGain` of this game, for the region in which the iterates are; None
            computes it for a `QuadraticGame`.
        step_size: in the unit of x over F. None takes alpha / beta^2, with the smallest factor.

    Raises:
        TypeError: for a certificate that is no `SmallGain`.
        ValueError: for a certificate without a positive margin, or of other players; none for a
            game that is not quadratic; a step outside (0, 2 alpha / beta^2); one G for several
            players.

    Cost per iteration:
        One evaluation of F and one resolvent.

    Convergence:
        `||x_k - x*||_w <= q^k ||x_0 - x*||_w` with q = sqrt(1 - 2 step alpha + step^2 beta^2), at
        best sqrt(1 - alpha^2 / beta^2), while the constants hold around the iterates: proved for
        certified constants, expected for sampled ones. Then each move is shorter than the last,
        in the metric. The first that is longer shows that the certificate is violated, and ends
        the solve as `breakdown`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        game = rs.QuadraticGame(np.array([[1.0, 5.0], [0.02, 1.0]]), np.ones(2), sizes=(1, 1))
        sol = rs.solve(game, rs.inclusion.CertifiedEuler(), rtol=1e-8)
        assert np.allclose(np.concatenate(sol.x), np.linalg.solve(game.F.H, -np.ones(2)))
        ```

    Reference:
        V. Sharma (2025), Small-Gain Nash: certified contraction to Nash equilibria in
        differentiable games, arXiv 2512.06791.
    """

    name: ClassVar[str] = "certified-euler"
    end: ClassVar[str] = "2 alpha / beta^2"

    def longest(self, found: SmallGain) -> Any:
        return found.step_sizes[1]

    def usual(self, found: SmallGain) -> Any:
        return found.best_step

    def step(self, problem: Any, state: CertifiedState) -> CertifiedState:
        step = state.step_size
        new = problem.resolvent(trees.plus(state.x, -step, state.Fx), step)
        Fnew = problem.operator(new)
        norm = self.certificate.norm
        move = norm(trees.minus(new, state.x)).astype(step.dtype)
        eps = jnp.finfo(step.dtype).eps
        blur = 64.0 * eps * (norm(new) + norm(state.x))
        longer = move > (1.0 + eps**0.5) * state.move + blur
        code = jnp.where(longer, Reason.breakdown.code, state.code)
        return CertifiedState(
            new, Fnew, step, move, problem.merit(new, Fnew), state.first, code, state.calls + 1,
            state.resolvents + 1,
        )  # fmt: skip


class CertifiedRungeKutta(_CertifiedDynamics):
    """Steps of the classical Runge-Kutta method along a game's flow, as long as its metric allows.

    Solves F(x) = 0 for the pseudo-gradient F of a game without constraints, along x' = -F(x): of
    order four, x <- x + step (k_1 + 2 k_2 + 2 k_3 + k_4) / 6 with k_1 = -F(x),
    k_2 = -F(x + step k_1 / 2), k_3 = -F(x + step k_2 / 2), k_4 = -F(x + step k_3). In a block
    metric in which F is strongly monotone the flow contracts; steps up to 2.5 / beta follow it.

    Args:
        certificate: a `SmallGain` of this game, for the region in which the iterates are; None
            computes it for a `QuadraticGame`.
        step_size: in the unit of x over F. None takes 2.25 / beta.

    Raises:
        TypeError: for a certificate that is no `SmallGain`.
        ValueError: for a certificate without a positive margin, or of other players; none for a
            game that is not quadratic; a step above 2.5 / beta; a game with constraints, at whose
            edges the inner stages would leave the sets and the answer would be no fixed point.

    Cost per iteration:
        Four evaluations of F.

    Convergence:
        The flow's is proved: `||x(t) - x*||_w <= exp(-alpha t) ||x(0) - x*||_w`. That steps up to
        2.5 / beta keep it is a guideline by the region in which the method is stable, and no
        proof; near the smallest margins they are hundreds of times longer than certified Euler
        steps.

    Example:
        ```python
        import numpy as np, resolvent as rs
        game = rs.QuadraticGame(np.array([[1.0, 5.0], [0.02, 1.0]]), np.ones(2), sizes=(1, 1))
        sol = rs.solve(game, rs.inclusion.CertifiedRungeKutta(), rtol=1e-8)
        assert np.allclose(np.concatenate(sol.x), np.linalg.solve(game.F.H, -np.ones(2)))
        ```

    Reference:
        V. Sharma (2025), Small-Gain Nash: certified contraction to Nash equilibria in
        differentiable games, arXiv 2512.06791.
    """

    name: ClassVar[str] = "certified-runge-kutta"
    needs: ClassVar[tuple[str, ...]] = ("players", "unconstrained")
    end: ClassVar[str] = "2.5 / beta"

    def longest(self, found: SmallGain) -> Any:
        # The end itself is allowed.
        return found.rk4_step * (1 + 1e-12)

    def usual(self, found: SmallGain) -> Any:
        return SAFE * found.rk4_step

    def step(self, problem: Any, state: CertifiedState) -> CertifiedState:
        x, step, first = state.x, state.step_size, state.Fx
        second = problem.operator(trees.plus(x, -0.5 * step, first))
        third = problem.operator(trees.plus(x, -0.5 * step, second))
        fourth = problem.operator(trees.plus(x, -step, third))
        slope = trees.combined(
            (1.0 / 6.0, first), (1.0 / 3.0, second), (1.0 / 3.0, third), (1.0 / 6.0, fourth)
        )
        new = trees.plus(x, -step, slope)
        Fnew = problem.operator(new)
        return CertifiedState(
            new, Fnew, step, state.move, problem.merit(new, Fnew), state.first, state.code,
            state.calls + 4, state.resolvents,
        )  # fmt: skip
