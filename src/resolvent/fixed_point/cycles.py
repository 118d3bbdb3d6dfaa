"""Two steps of T, an extrapolation from them, and a test whether it was worth it."""

from typing import Any, ClassVar, NamedTuple

from resolvent._core import trees
from resolvent._core.host import run_steps
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent.fixed_point.infeasibility import either
from resolvent.fixed_point.problem import FixedPoint


class CycleState(NamedTuple):
    x: Any
    image: Any
    size: Any
    steps: Any


class Cycle(Method):
    """x0, x1 = T(x0), x2 = T(x1), and an extrapolation, which is taken where it is the better.

    It is so if its residual is below that of x1; x1 is the next point otherwise.
    """

    solves: ClassVar = (FixedPoint,)

    def _extrapolated(self, x2: Any, first: Any, second: Any) -> Any:
        """From x2 and the steps x1 - x0 and x2 - x1."""
        raise NotImplementedError

    def init(self, problem: FixedPoint, x0: Any, memory: Memory, key: Any) -> CycleState:
        image = problem.map(x0)
        return CycleState(x0, image, trees.norm(trees.minus(image, x0)), 0)

    def step(self, problem: FixedPoint, state: CycleState) -> CycleState:
        x1, x2 = state.image, problem.map(state.image)
        first, second = trees.minus(x1, state.x), trees.minus(x2, x1)
        far = self._extrapolated(x2, first, second)
        image = problem.map(far)
        size, plain = trees.norm(trees.minus(image, far)), trees.norm(second)
        x, image, size = either(size <= plain, (far, image, size), (x1, x2, plain))
        return CycleState(x, image, size, state.steps + 1)

    def advance(self, problem: FixedPoint, state: Any, steps: int, target: float) -> Any:
        return run_steps(self, problem, state, steps, target)

    def measure(self, problem: FixedPoint, state: CycleState) -> Any:
        return problem.measured(state.size)

    def iterate(self, problem: FixedPoint, state: CycleState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: FixedPoint, state: CycleState) -> dict[str, Any]:
        return {"map": 2 * state.steps + 1}
