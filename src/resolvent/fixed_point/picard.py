"""Picard's iteration and its averaged form."""

import dataclasses
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
    watched,
    watching,
)  # fmt: skip
from resolvent.fixed_point.problem import FixedPoint


class PicardState(NamedTuple):
    x: Any
    image: Any
    size: Any
    steps: Any
    watch: Displacement | None


class _Picard(Method):
    """x <- x + weight (T(x) - x)."""

    solves: ClassVar = (FixedPoint,)

    detect: bool = static(default=False, kw_only=True)
    agreement: Any = dataclasses.field(default=1e-6, kw_only=True)
    patience: int = static(default=500, kw_only=True)

    def __post_init__(self) -> None:
        check_detection(self.detect, self.agreement, self.patience)

    @property
    def monitored(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Without a fixed point the residual stays where it is: that is what is looked for."""
        return 100_000 if self.detect else 1000

    def _weight(self) -> Any:
        raise NotImplementedError

    def init(self, problem: FixedPoint, x0: Any, memory: Memory, key: Any) -> PicardState:
        image = problem.map(x0)
        residual = trees.minus(image, x0)
        watch = watched(x0, residual) if self.detect else None
        return PicardState(x0, image, problem.norm(residual), 0, watch)

    def step(self, problem: FixedPoint, state: PicardState) -> PicardState:
        weight = self._weight()
        x = state.image
        if weight is not None:
            x = trees.combined((1.0 - weight, state.x), (weight, state.image))
        image, steps = problem.map(x), state.steps + 1
        residual, watch = trees.minus(image, x), state.watch
        if watch is not None:
            watch = watching(
                problem, watch, x, residual, steps, 1.0 if weight is None else weight,
                self.agreement, self.patience,
            )  # fmt: skip
        return PicardState(x, image, problem.norm(residual), steps, watch)

    def advance(self, problem: FixedPoint, state: Any, steps: int, target: float) -> Any:
        return run_steps(self, problem, state, steps, target)

    def measure(self, problem: FixedPoint, state: PicardState) -> Any:
        return problem.measured(state.size)

    def status(self, state: PicardState) -> Any:
        return 0 if state.watch is None else state.watch.code

    def iterate(self, problem: FixedPoint, state: PicardState) -> tuple[Any, Any]:
        return state.x, None if state.watch is None else state.watch.v

    def calls(self, problem: FixedPoint, state: PicardState) -> dict[str, Any]:
        return {"map": state.steps + 1}


class Picard(_Picard):
    """Repeated application of a contraction.

    Solves `FixedPoint` problems by x <- T(x).

    Args:
        detect: end with reason `infeasible` where there is evidence that T has no fixed point,
            with the infimal displacement vector as the solution's witness: a proof where the
            problem's `verify` accepts the vector, else a well-founded suspicion.
        agreement: how near, relative to its length, averages over two windows must come for that
            suspicion.
        patience: steps that the later window must have for it.

    Raises:
        TypeError: for a `detect` that is no bool.
        ValueError: for an agreement outside (0, 1) or no patience.

    Cost per iteration:
        One evaluation of T.

    Convergence:
        Linear at the rate q if T is a contraction with factor q (Banach). For maps that are only
        nonexpansive it may turn in circles: see `KrasnoselskiiMann`. If a nonexpansive T has no
        fixed point, (x_0 - x_k) / k tends to its infimal displacement vector with error O(1 / k).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.FixedPoint(lambda x: 0.5 * x + 1.0, jnp.zeros(3))
        assert rs.solve(problem, rs.fixed_point.Picard()).converged
        ```

    Reference:
        E. Picard (1890), Memoire sur la theorie des equations aux derivees partielles.
    """

    name: ClassVar[str] = "picard"

    def _weight(self) -> Any:
        return None


class KrasnoselskiiMann(_Picard):
    """The averaged iteration for nonexpansive maps.

    Solves `FixedPoint` problems by x <- (1 - weight) x + weight T(x).

    Args:
        weight: in (0, 1).
        detect: end with reason `infeasible` where there is evidence that T has no fixed point,
            with the infimal displacement vector as the solution's witness: a proof where the
            problem's `verify` accepts the vector, else a well-founded suspicion.
        agreement: how near, relative to its length, averages over two windows must come for that
            suspicion.
        patience: steps that the later window must have for it.

    Raises:
        TypeError: for a `detect` that is no bool.
        ValueError: for a weight or an agreement outside (0, 1), or no patience.

    Cost per iteration:
        One evaluation of T.

    Convergence:
        For T nonexpansive with a fixed point, the residual falls monotonically and
        `||T(x_k) - x_k||^2 <= ||x_0 - x*||^2 / (weight (1 - weight) (k + 1))`. Without one,
        x_k - T(x_k) tends to the infimal displacement vector, at O(1 / sqrt(k)) where a point
        attains it.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
        problem = rs.FixedPoint(lambda x, A: A @ x, jnp.ones(2), turn)
        assert rs.solve(problem, rs.fixed_point.KrasnoselskiiMann()).converged
        ```

    Reference:
        W. R. Mann (1953), Mean value methods in iteration. M. A. Krasnoselskii (1955), Two remarks
        on the method of successive approximations.
    """

    weight: Any = 0.5

    name: ClassVar[str] = "krasnoselskii-mann"

    def __post_init__(self) -> None:
        super().__post_init__()
        between("weight", self.weight, 0.0, 1.0, "Outside it is no average of x and T(x).")

    def _weight(self) -> Any:
        return self.weight
