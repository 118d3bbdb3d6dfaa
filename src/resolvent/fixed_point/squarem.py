"""SQUAREM: squared extrapolation."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, one_of
from resolvent._core.host import run_steps
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.fixed_point.guarded import summable
from resolvent.fixed_point.infeasibility import either
from resolvent.fixed_point.problem import FixedPoint

_FACTOR = 4.0  # by which the longest step grows where it was reached, and shrinks after a failure


class SquaremState(NamedTuple):
    x: Any
    image: Any
    size: Any
    longest: Any
    first: Any
    steps: Any


class Squarem(Method):
    """Squared extrapolation, which was made for EM algorithms.

    Solves `FixedPoint` problems in cycles: with r = T(x) - x and v = T(T(x)) - 2 T(x) + x, the
    point x + 2 a r + a^2 v is extrapolated and T applied to it. The step length a is
    -(r v) / (v v) (scheme 1), -(r r) / (r v) (scheme 2) or `||r|| / ||v||` (scheme 3), at least 1,
    which is T(T(x)), and at most a limit that grows where it is reached.

    Args:
        scheme: 1, 2 or 3.
        safeguard: an extrapolated point is given up for T(T(x)) if its residual is more than so
            many times that of x, or more than 10 / k^1.1 of the first one after k cycles. At 1 the
            residual falls in every cycle, mostly by less.

    Raises:
        ValueError: for another scheme, or a safeguard that is not positive.

    Cost per iteration:
        Three evaluations of T.

    Convergence:
        Linear for contractions. Where T has real eigenvalues, the extrapolation squares the factor
        of a Cauchy or Barzilai-Borwein step, so that slow linear convergence becomes much faster.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rates = np.array([0.99, 0.9, 0.5])
        problem = rs.FixedPoint(lambda x: rates * x + 1.0, np.zeros(3))
        sol = rs.solve(problem, rs.fixed_point.Squarem())
        assert sol.converged and sol.calls["map"] < 200
        ```

    Reference:
        R. Varadhan, C. Roland (2008), Simple and globally convergent methods for accelerating the
        convergence of any EM algorithm.
    """

    scheme: int = static(default=3)
    safeguard: Any = 100.0

    name: ClassVar[str] = "squarem"
    solves: ClassVar = (FixedPoint,)

    def __post_init__(self) -> None:
        one_of("scheme", self.scheme, (1, 2, 3))
        between("safeguard", self.safeguard, 0.0, math.inf, "It limits a residual's growth.")

    def init(self, problem: FixedPoint, x0: Any, memory: Memory, key: Any) -> SquaremState:
        image = problem.map(x0)
        size = trees.norm(trees.minus(image, x0))
        return SquaremState(x0, image, size, size * 0 + 1.0, size, 0)

    def step(self, problem: FixedPoint, state: SquaremState) -> SquaremState:
        x, x1 = state.x, state.image
        x2 = problem.map(x1)
        r, second = trees.minus(x1, x), trees.minus(x2, x1)
        v = trees.minus(second, r)
        length = self._length(r, v, state.size)
        longest = state.longest
        length = _least(_most(length, 1.0), longest)
        reaches = length >= longest
        far = trees.combined((1.0, x), (2.0 * length, r), (length * length, v))
        onward = problem.map(far)
        reached = trees.norm(trees.minus(onward, far))
        good = reached <= self.safeguard * state.size
        good = good & (reached <= summable(state.first, state.steps))
        # At length 1 the extrapolation is T(T(x)) itself: whatever came of it, T did.
        longest = either(
            good, longest * either(reaches, _FACTOR, 1.0), _most(longest / _FACTOR, 1.0)
        )
        point = either(good, onward, x2)
        image = problem.map(point)
        size = trees.norm(trees.minus(image, point))
        return SquaremState(point, image, size, longest, state.first, state.steps + 1)

    def _length(self, r: Any, v: Any, size: Any) -> Any:
        if self.scheme == 3:
            above, below = size, trees.norm(v)
        elif self.scheme == 2:
            above, below = trees.dot(r, r), -trees.dot(r, v)
        else:
            above, below = -trees.dot(r, v), trees.dot(v, v)
        bends = below > 0
        # A denominator that is not positive asks for as long a step as there may be.
        return above / either(bends, below, 1.0) + either(bends, 0.0, math.inf)

    def advance(self, problem: FixedPoint, state: Any, steps: int, target: float) -> Any:
        return run_steps(self, problem, state, steps, target)

    def measure(self, problem: FixedPoint, state: SquaremState) -> Any:
        return problem.measured(state.size)

    def iterate(self, problem: FixedPoint, state: SquaremState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: FixedPoint, state: SquaremState) -> dict[str, Any]:
        return {"map": 3 * state.steps + 1}


def _least(a: Any, b: Any) -> Any:
    return jnp.minimum(a, b) if isinstance(a, jax.Array) else min(a, b)


def _most(a: Any, b: Any) -> Any:
    return jnp.maximum(a, b) if isinstance(a, jax.Array) else max(a, b)
