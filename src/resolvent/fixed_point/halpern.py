"""Halpern's anchored iteration, with restarts."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core import trees
from resolvent._core.checks import between
from resolvent._core.host import run_steps
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.fixed_point.infeasibility import (
    Displacement,
    check_detection,
    either,
    restarted,
    watched,
    watching,
)  # fmt: skip
from resolvent.fixed_point.problem import FixedPoint


class HalpernState(NamedTuple):
    x: Any
    image: Any
    size: Any
    steps: Any
    anchor: Any
    since: Any
    size_then: Any
    watch: Displacement | None


class Halpern(Method):
    """The anchored iteration, optimal for nonexpansive maps.

    Solves `FixedPoint` problems by x_{k+1} = a / (k + 2) + (1 - 1 / (k + 2)) T(x_k), where the
    anchor a is the first guess. A restart makes the present point the anchor, and k = 0.

    Args:
        restart: restart when the residual has fallen to this part of what it was at the anchor;
            None for the classical iteration, which never does.
        detect: end with reason `infeasible` where there is evidence that T has no fixed point,
            with the infimal displacement vector as the solution's witness: a proof where the
            problem's `verify` accepts the vector, else a well-founded suspicion.
        agreement: how near, relative to its length, averages over two windows must come for that
            suspicion.
        patience: steps that the later window must have for it.

    Raises:
        TypeError: for a `detect` that is no bool.
        ValueError: for a restart or an agreement outside (0, 1), or no patience.

    Cost per iteration:
        One evaluation of T.

    Convergence:
        For T nonexpansive with a fixed point and no restart,
        `||T(x_k) - x_k|| <= 2 ||x_0 - x*|| / (k + 1)`, which no method improves on such maps.
        Restarts cost at most a factor 1 / (1 - restart) of it, and make the rate linear for
        contractions and wherever the residual bounds the distance to the fixed points. Without a
        fixed point, and if some point attains the infimal displacement vector, x_k - T(x_k) tends
        to it as O(sqrt(log k) / k).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
        problem = rs.FixedPoint(lambda x, A: A @ x, jnp.ones(2), turn)
        assert rs.solve(problem, rs.fixed_point.Halpern()).converged
        ```

    Reference:
        B. Halpern (1967), Fixed points of nonexpanding maps. F. Lieder (2021), On the convergence
        rate of the Halpern-iteration. J. Park, E. K. Ryu (2023), Accelerated infeasibility
        detection of constrained optimization and fixed-point iterations, arXiv 2303.15876.
    """

    restart: Any = 0.2
    detect: bool = static(default=False)
    agreement: Any = 1e-6
    patience: int = static(default=500)

    name: ClassVar[str] = "halpern"
    solves: ClassVar = (FixedPoint,)
    monitored: ClassVar[int] = 100_000  # the residual may rise for long while it falls as 1 / k

    def __post_init__(self) -> None:
        if self.restart is not None:
            between("restart", self.restart, 0.0, 1.0, "It is the part of the residual left.")
        check_detection(self.detect, self.agreement, self.patience)

    def init(self, problem: FixedPoint, x0: Any, memory: Memory, key: Any) -> HalpernState:
        image = problem.map(x0)
        residual = trees.minus(image, x0)
        size = trees.norm(residual)
        watch = watched(x0, residual) if self.detect else None
        return HalpernState(x0, image, size, 0, x0, 0, size, watch)

    def step(self, problem: FixedPoint, state: HalpernState) -> HalpernState:
        weight = 1.0 / (state.since + 2.0)
        x = trees.combined((weight, state.anchor), (1.0 - weight, state.image))
        image, steps, since = problem.map(x), state.steps + 1, state.since + 1
        residual, watch = trees.minus(image, x), state.watch
        size = trees.norm(residual)
        if watch is not None:
            watch = watching(problem, watch, x, residual, steps, 0.5, self.agreement, self.patience)
        anchor, size_then = state.anchor, state.size_then
        if self.restart is not None:
            again = size <= self.restart * size_then
            anchor, size_then, since = either(again, (x, size, 0), (anchor, size_then, since))
            if watch is not None:
                watch = restarted(watch, x, steps, again)
        return HalpernState(x, image, size, steps, anchor, since, size_then, watch)

    def advance(self, problem: FixedPoint, state: Any, steps: int, target: float) -> Any:
        return run_steps(self, problem, state, steps, target)

    def measure(self, problem: FixedPoint, state: HalpernState) -> Any:
        return problem.measured(state.size)

    def status(self, state: HalpernState) -> Any:
        return 0 if state.watch is None else state.watch.code

    def iterate(self, problem: FixedPoint, state: HalpernState) -> tuple[Any, Any]:
        return state.x, None if state.watch is None else state.watch.v

    def calls(self, problem: FixedPoint, state: HalpernState) -> dict[str, Any]:
        return {"map": state.steps + 1}
