"""What methods share that take one step size along F and no second one."""

from typing import Any, ClassVar

import jax.numpy as jnp

from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import positive_step

_GROWTH = 1e6  # of the residual, beyond which a method has diverged


class ForwardMethod(Method):
    """A method for monotone inclusions whose state has the point it would return in `x`.

    Its state also has the `merit` of that point, the merit of the `first` one, and the numbers of
    `calls` of F and of `resolvents` so far.
    """

    step_size: Any = None

    solves: ClassVar = (Inclusion,)
    needs: ClassVar = ("monotone",)
    engines: ClassVar = ("traced",)
    most: ClassVar[float] = 1.0
    """Steps must be shorter than `most / L`."""

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)

    def check(self, problem: Any) -> None:
        positive_step("step_size", self.step_size, problem.lipschitz, self.most)

    def fixed(self, problem: Any) -> bool:
        """Whether steps are known beforehand."""
        return self.step_size is not None or problem.lipschitz is not None

    def measure(self, problem: Any, state: Any) -> Any:
        return state.merit

    def iterate(self, problem: Any, state: Any) -> tuple[Any, Any]:
        return state.x, None

    def status(self, state: Any) -> Any:
        return grown(state.merit, state.first)

    def calls(self, problem: Any, state: Any) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents}


def grown(merit: Any, first: Any) -> Any:
    """The code for `diverged` where the residual is a million times its first value, else 0."""
    return jnp.where((merit > _GROWTH * first) & (first > 0), Reason.diverged.code, 0)
