"""The accelerated optimistic gradient method, for games and for one player among strangers."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, is_traced, nonnegative, refuse
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.value import Value, static
from resolvent.functions import ConvexSet, Product
from resolvent.inclusion.comonotone import ending
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import SAFE, first_calls, first_step, positive_step, searched

_LIMIT = 1.0 / math.sqrt(6.0)  # of the step size, times L
_USUAL = 1.0 / 3.0
_PATIENCE = 10.0  # times (L D)^2: what the gradients of a game of such players may vary


class AcceleratedOptimisticGradientState(NamedTuple):
    x: Any
    y: Any
    Fy: Any
    anchor: Any
    age: Any
    steps: Any
    variation: Any
    switched: Any
    tangent: Any
    mark: Any
    merit: Any
    first: Any
    rounds: Any
    calls: Any
    resolvents: Any


class AcceleratedOptimisticGradient(Method):
    """Optimistic gradient steps that are drawn back to the first point, by less and less.

    Solves `Inclusion` problems. With t counted from 1 and a = (x_1 - x) / (t + 1), every round
    plays y <- J(x - step F(y) + a) for the last y, sees F there, and moves x <- J(x - step F(y) +
    a), with J = (I + step G)^-1. Points y are played, measured and returned. In a game each player
    needs no more than the own gradient, the own set and t.

    Args:
        step_size: in the unit of x over F. None takes 1 / (3 L) where the problem states its
            constant L. Otherwise the step is shortened until
            `step ||F(y) - F(y')|| <= 0.37 ||y - y'||` for plays that follow each other; after
            that the method begins again, with t = 1, from where it is.
        restart: begin again whenever the tangent residual has halved. It brings linear convergence
            back where the problem has it, such as in matrix games, at the price of the players'
            bounds on regret.
        robust: watch each player's own gradients. While the sum S of `||F_i(y) - F_i(y')||^2` over
            plays that follow each other is below the threshold, the step is the constant one, and
            adaptive_size / sqrt(1 + S) ever after: against opponents who do anything, regret stays
            O(sqrt(T)). Among players of this method it does not happen. The rounds of the switch
            are in the solution's memory as "switches", 0 where there was none.
        threshold: of S. None takes 10 (L D)^2, D the diameter of the players' sets.
        adaptive_size: the unit of the adaptive steps, e_0.

    Raises:
        ValueError: for a step size outside (0, 1 / (sqrt(6) L)); for `robust` where neither L nor
            the step size is known, or without a threshold where (L D)^2 is not; for a threshold
            without `robust`.

    Cost per iteration:
        One evaluation of F and two resolvents; more in steps whose line search shortens the step.

    Convergence:
        For F monotone and Lipschitz and sets of diameter D (without them, D the distance of x_1
        to an answer) the tangent residual of the last iterate is O(L D / t), where the optimistic
        gradient method has O(1 / sqrt(t)). Each player's dynamic regret is O(log(T)), against any
        opponents the regret of `robust` players is O(sqrt(T)). Not linear, if not restarted, where
        F is strongly monotone.

    Example:
        ```python
        import numpy as np, resolvent as rs
        game = rs.MatrixGame(np.array([[1.0, -1.0], [-1.0, 1.0]]))
        method = rs.inclusion.AcceleratedOptimisticGradient(restart=True)
        x0 = np.array([0.9, 0.1]), np.array([0.2, 0.8])
        assert rs.solve(game, method, x0=x0).converged
        ```

    Reference:
        Y. Cai, W. Zheng (2023), Doubly optimal no-regret learning in monotone games,
        arXiv 2301.13120.
    """

    step_size: Any = None
    restart: bool = static(default=False)
    robust: bool = static(default=False)
    threshold: Any = None
    adaptive_size: Any = 1.0

    name: ClassVar[str] = "accelerated-optimistic-gradient"
    solves: ClassVar = (Inclusion,)
    needs: ClassVar[tuple[str, ...]] = ("monotone",)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 100_000

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        between("adaptive_size", self.adaptive_size, 0.0, math.inf, "A step must go forward.")
        if self.threshold is not None and not self.robust:
            refuse(
                ValueError, "threshold", given="it without robust=True", needed="both, or none",
                advice="Without robust=True the step is always the constant one.",
            )  # fmt: skip
        _check_threshold(self.threshold)

    def check(self, problem: Inclusion) -> None:
        positive_step("step_size", self.step_size, problem.lipschitz, _LIMIT)
        if not self.robust:
            return
        if self.step_size is None and problem.lipschitz is None:
            refuse(
                ValueError, "robust", given="a problem without its constant L, and no step size",
                needed="one of both", advice="Pass lipschitz to the problem, or step_size.",
            )  # fmt: skip
        if self.threshold is None and _patience(problem) is None:
            refuse(
                ValueError, "threshold", given="none, where L or the sets' diameter is unknown",
                needed="a number >= 0", advice="0.0 takes adaptive steps from the first round on.",
            )  # fmt: skip

    def _fixed(self, problem: Inclusion) -> bool:
        return self.step_size is not None or problem.lipschitz is not None

    def _parts(self, problem: Inclusion, *points: Any) -> list[tuple[Any, ...]]:
        """A resolvent and blocks of points for each player who has steps of an own."""
        G = problem.G
        if self.robust and isinstance(G, Product):
            return list(zip([part.prox for part in G.parts], *points, strict=True))
        return [(problem.resolvent, *points)]

    def _joined(self, problem: Inclusion, parts: list[Any]) -> Any:
        return tuple(parts) if self.robust and isinstance(problem.G, Product) else parts[0]

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> Any:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        part = _USUAL if problem.lipschitz is not None else SAFE * _LIMIT
        step = first_step(problem, self.step_size, x, Fx, part)
        players = len(self._parts(problem, x))
        merit, tangent = problem.merit(x, Fx), trees.norm(jax.lax.stop_gradient(Fx))
        one, zero = jnp.ones((), step.dtype), jnp.zeros((), jnp.int32)
        return AcceleratedOptimisticGradientState(
            x, x, Fx, x, one, step * jnp.ones(players, step.dtype),
            jnp.zeros(players, step.dtype), jnp.zeros(players, jnp.int32), tangent, tangent,
            merit, merit, zero, zero + first_calls(problem, self.step_size), zero + 1,
        )  # fmt: skip

    def step(self, problem: Inclusion, state: AcceleratedOptimisticGradientState) -> Any:
        drawn = trees.plus(state.x, 1.0 / (state.age + 1.0), trees.minus(state.anchor, state.x))

        def moved(steps: Any, value: Any) -> Any:
            return self._joined(problem, [
                prox(trees.plus(base, -steps[i], part), steps[i])
                for i, (prox, base, part) in enumerate(self._parts(problem, drawn, value))
            ])  # fmt: skip

        def look(steps: Any) -> tuple[Any, Any]:
            y = moved(jnp.atleast_1d(steps), state.Fy)
            return y, problem.operator(y)

        if self._fixed(problem):
            steps, tries = self._adapted(problem, state), 1
            y, Fy = look(steps)
        else:
            (y, Fy), step, tries = searched(
                look, state.y, state.Fy, state.steps[0], False, SAFE * _LIMIT, growth=1.0
            )
            steps = jnp.atleast_1d(step)
        x = moved(steps, Fy)
        tangent = self._tangent(problem, steps, drawn, y, state.Fy, Fy)
        again = jnp.asarray(tries) > 1
        if self.restart:
            again = again | (tangent <= 0.5 * state.mark)
        rounds = state.rounds + 1
        variation, switched = state.variation, state.switched
        if self.robust:
            variation = variation + jnp.stack([
                trees.dot(change, change)
                for _, change in self._parts(problem, trees.minus(Fy, state.Fy))
            ])  # fmt: skip
            over = (switched == 0) & (variation >= self._threshold(problem))
            switched = jnp.where(over, rounds, switched)
        return AcceleratedOptimisticGradientState(
            x, y, Fy, trees.where(again, x, state.anchor),
            jnp.where(again, 1.0, state.age + 1.0).astype(state.age.dtype), steps, variation,
            switched, tangent, jnp.where(again, tangent, state.mark), problem.merit(y, Fy),
            state.first, rounds, state.calls + tries, state.resolvents + tries + 1,
        )  # fmt: skip

    def _threshold(self, problem: Inclusion) -> Any:
        return _patience(problem) if self.threshold is None else self.threshold

    def _adapted(self, problem: Inclusion, state: AcceleratedOptimisticGradientState) -> Any:
        if not self.robust:
            return state.steps
        return _adaptive(
            state.steps, state.variation, self._threshold(problem), self.adaptive_size
        )  # fmt: skip

    def _tangent(
        self, problem: Inclusion, steps: Any, drawn: Any, y: Any, before: Any, Fy: Any
    ) -> Any:
        """||F(y) + c|| for the c in G(y) that the resolvent at y reveals."""
        left = []
        for i, part in enumerate(self._parts(problem, drawn, y, before, Fy)):
            _, base, point, old, new = part
            moved = trees.times(1.0 / steps[i], trees.minus(base, point))
            left.append(trees.plus(moved, 1.0, trees.minus(new, old)))
        # No derivative: a norm of exactly zero has none.
        return trees.norm(jax.lax.stop_gradient(self._joined(problem, left)))

    def measure(self, problem: Inclusion, state: AcceleratedOptimisticGradientState) -> Any:
        return state.merit

    def iterate(self, problem: Inclusion, state: Any) -> tuple[Any, None]:
        return state.y, None

    def status(self, state: AcceleratedOptimisticGradientState) -> Any:
        return ending(state.merit, state.first)

    def calls(self, problem: Inclusion, state: Any) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}

    def remember(self, problem: Inclusion, state: Any) -> dict[str, Entry]:
        return {"switches": Entry(state.switched)} if self.robust else {}


class PlayerState(NamedTuple):
    """What a player carries from round to round; `play` is what to play next."""

    x: Any
    play: Any
    gradient: Any
    anchor: Any
    age: Any
    step_size: Any
    variation: Any
    switched: Any


class OptimisticPlayer(Value):
    """One player of accelerated optimistic gradient steps, against opponents who do anything.

    Each round plays `state.play`, and is then told the gradient of the own loss there.

    Args:
        domain: the player's set.
        step_size: the constant step, while the threshold is not reached.
        threshold: of the sum S of `||g_t - g_(t-1)||^2`, from which on the step is
            adaptive_size / sqrt(1 + S); 0.0 begins with it, `math.inf` never does.
        adaptive_size: the unit of these steps, e_0.
        anchored: False plays the optimistic gradient method, without the pull to the first point.

    Raises:
        TypeError: for a domain that is no ConvexSet.
        ValueError: for a step size or adaptive_size that is not positive, or a negative threshold.

    Cost per iteration:
        Two projections a round.

    Convergence:
        With the adaptive step, the regret against the best fixed point is O(D sqrt(T)) for bounded
        gradients; among players of this method, the dynamic regret is O(log(T)).

    Example:
        ```python
        import jax.numpy as jnp
        from resolvent.functions import Simplex
        from resolvent.inclusion.accelerated_optimistic_gradient import OptimisticPlayer
        player = OptimisticPlayer(Simplex())
        state = player.start(jnp.full(3, 1 / 3))
        for _ in range(10):
            state = player.observe(state, jnp.array([1.0, 0.0, 1.0]))
        assert state.play[1] > 0.9
        ```

    Reference:
        Y. Cai, W. Zheng (2023), Doubly optimal no-regret learning in monotone games,
        arXiv 2301.13120.
    """

    domain: ConvexSet
    step_size: Any = 1.0
    threshold: Any = 0.0
    adaptive_size: Any = 1.0
    anchored: bool = static(default=True)

    def __post_init__(self) -> None:
        if not getattr(self.domain, "is_set", False):
            refuse(
                TypeError, "domain", given=f"a {type(self.domain).__name__}",
                needed="a ConvexSet", advice="See resolvent.functions.",
            )  # fmt: skip
        for name in ("step_size", "adaptive_size"):
            between(name, getattr(self, name), 0.0, math.inf, "A step must go forward.")
        _check_threshold(self.threshold)

    def start(self, x0: Any) -> PlayerState:
        """The state before the first round, whose play is the point of the set nearest to x0."""
        x = self.domain.project(jax.tree_util.tree_map(jnp.asarray, x0))
        dtype = jnp.result_type(*trees.leaves(x))
        zero = jnp.zeros((), dtype)
        step = jnp.asarray(self.step_size, dtype)
        step = _adaptive(step, zero, self.threshold, self.adaptive_size)
        switched = jnp.zeros((), jnp.int32)
        return PlayerState(x, x, trees.zeros(x), x, zero + 1.0, step, zero, switched)

    def observe(self, state: PlayerState, gradient: Any) -> PlayerState:
        """The state of the next round, after the gradient at `state.play` was seen."""
        change = trees.minus(gradient, state.gradient)
        x = self.domain.project(trees.plus(self._drawn(state), -state.step_size, gradient))
        variation = state.variation + trees.dot(change, change)
        over = (state.switched == 0) & (variation >= self.threshold)
        round_ = state.age.astype(jnp.int32)
        state = state._replace(
            x=x, gradient=gradient, age=state.age + 1.0, variation=variation,
            step_size=_adaptive(state.step_size, variation, self.threshold, self.adaptive_size),
            switched=jnp.where(over, round_, state.switched),
        )  # fmt: skip
        play = self.domain.project(trees.plus(self._drawn(state), -state.step_size, gradient))
        return state._replace(play=play)

    def _drawn(self, state: PlayerState) -> Any:
        if not self.anchored:
            return state.x
        return trees.plus(state.x, 1.0 / (state.age + 1.0), trees.minus(state.anchor, state.x))


def _adaptive(step: Any, variation: Any, threshold: Any, size: Any) -> Any:
    adaptive = size / jnp.sqrt(1.0 + variation)
    return jnp.where(variation >= threshold, adaptive, step).astype(step.dtype)


def _patience(problem: Inclusion) -> Any:
    """The default threshold, or None where it is unknown."""
    if problem.lipschitz is None or not problem.G.is_set:
        return None
    diameter = problem.G.diameter()
    if not is_traced(diameter) and not math.isfinite(float(diameter)):
        return None
    return _PATIENCE * (problem.lipschitz * diameter) ** 2


def _check_threshold(threshold: Any) -> None:
    if threshold is not None and not is_traced(threshold) and threshold != math.inf:
        nonnegative("threshold", threshold)
