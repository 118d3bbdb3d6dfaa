"""First guesses made from the last solutions of a sequence.

They obey the law of memory: the guess is used only where the problem itself measures it to be no
worse than its default start, so that it can change the cost and never the certified answer.
"""

import abc
from typing import Any

import jax
import numpy as np

from resolvent._core.checks import count
from resolvent._core.memory import Entry, Memory
from resolvent._core.value import Value, static


class WarmStart(Value):
    """A rule that proposes a first guess from the last few solutions, newest last."""

    @abc.abstractmethod
    def depth(self) -> int:
        """How many solutions it looks at."""

    @abc.abstractmethod
    def propose(self, problem: Any, solutions: list[Any]) -> Any:
        """A first guess, or None."""

    def guess(self, problem: Any, memory: Memory) -> Any:
        """The proposal, if the problem measures it to be no worse than its own start."""
        remembered = memory.get("solutions")
        if not isinstance(remembered, tuple | list):
            return None
        start = problem.start(None)
        solutions = [x for x in remembered if _alike(x, start)]
        if not solutions:
            return None
        proposal = self.propose(problem, solutions)
        if proposal is None:
            return None
        cold = float(np.max(np.asarray(problem.judge(start).value)))
        warm = float(np.max(np.asarray(problem.judge(proposal).value)))
        return proposal if warm <= cold else None

    def remember(self, memory: Memory, x: Any) -> dict[str, Entry]:
        """The memory entry that holds the last solutions."""
        remembered = memory.get("solutions")
        before = tuple(remembered) if isinstance(remembered, tuple | list) else ()
        kept = jax.tree_util.tree_map(lambda leaf: leaf.copy(), x)  # x itself is the user's
        return {"solutions": Entry((*before, kept)[-self.depth() :], depends=("size",))}


def _alike(x: Any, start: Any) -> bool:
    """Whether a remembered point has the structure, shapes and kind of numbers of a start."""
    given, wanted = jax.tree_util.tree_flatten(x), jax.tree_util.tree_flatten(start)
    return given[1] == wanted[1] and all(
        np.shape(leaf) == np.shape(like)
        and np.result_type(getattr(leaf, "dtype", leaf)).kind == "f"
        for leaf, like in zip(given[0], wanted[0], strict=True)
    )


class Previous(WarmStart):
    """Start from the last solution.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problems = (rs.LinearSystem(np.diag([2.0, 3.0 + t]), np.ones(2)) for t in range(3))
        for sol in rs.solve_sequence(problems, rs.linear.CG(), warm_start=rs.Previous()):
            assert sol.converged
        ```
    """

    def depth(self) -> int:
        return 1

    def propose(self, problem: Any, solutions: list[Any]) -> Any:
        return solutions[-1]


class Extrapolated(WarmStart):
    """Start from the polynomial through the last solutions, one step ahead.

    Args:
        order: degree of the polynomial: 1 continues the line through the last two solutions.

    Example:
        ```python
        import numpy as np, resolvent as rs
        problems = (rs.LinearSystem(np.diag([2.0, 3.0]), t * np.ones(2)) for t in range(1, 5))
        sols = list(rs.solve_sequence(problems, rs.linear.CG(), warm_start=rs.Extrapolated(1)))
        assert sols[-1].steps == 0
        ```
    """

    order: int = static(default=1)

    def __post_init__(self) -> None:
        count("order", self.order, least=1)

    def depth(self) -> int:
        return self.order + 1

    def propose(self, problem: Any, solutions: list[Any]) -> Any:
        points = len(solutions)
        # Binomial weights: the next value of the polynomial through equidistant points.
        weights, weight = [], 1.0
        for j in range(1, points + 1):
            weight = weight * (points - j + 1) / j
            weights.append(weight if j % 2 else -weight)
        return jax.tree_util.tree_map(
            lambda *leaves: sum(
                w * leaf for w, leaf in zip(weights, reversed(leaves), strict=True)
            ),
            *solutions,
        )
