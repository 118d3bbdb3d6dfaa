"""Gradient descent on the logistic loss with steps of any size, to separate samples."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.special import expit

from resolvent._core.checks import between
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.value import static
from resolvent.composite.linear_separation import LinearSeparation
from resolvent.composite.separation.inseparable import Watch, watch, watched
from resolvent.composite.separation.signed_rows import SignedRows


class SeparationState(NamedTuple):
    theta: Any
    margins: Any
    wrong: Any
    """Which samples are not on their side."""
    watch: Watch
    k: int
    updates: int
    products: int


class SeparationMethod(Method):
    """What methods share that add sums of signed samples to theta."""

    rows: Any = dataclasses.field(default=None, kw_only=True, repr=False)

    solves: ClassVar = (LinearSeparation,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    # Errors fall in no order: only the watch says that nothing will come of it.
    monitored: ClassVar[int] = 1_000_000

    def bind(self, problem: LinearSeparation) -> Any:
        return self.but(rows=problem.rows())

    def limit(self, problem: LinearSeparation) -> int:
        return 1_000_000

    def init(self, problem: LinearSeparation, x0: Any, memory: Memory, key: Any) -> SeparationState:
        rows: SignedRows = self.rows
        theta = rows.flat(x0).copy()
        margins = rows.margins(theta)
        wrong = rows.wrong(theta, margins)
        return SeparationState(theta, margins, wrong, watch(rows, theta), 0, 0, 1)

    def measure(self, problem: LinearSeparation, state: SeparationState) -> Any:
        return float(np.count_nonzero(state.wrong))

    def status(self, state: SeparationState) -> Any:
        return state.watch.code

    def iterate(self, problem: LinearSeparation, state: SeparationState) -> tuple[Any, Any]:
        return self.rows.point(state.theta), state.watch.alpha

    def calls(self, problem: LinearSeparation, state: SeparationState) -> dict[str, Any]:
        return {"matvec": state.products}

    def _moved(self, state: SeparationState, weights: Any, length: Any) -> SeparationState:
        """The state at theta + length times the sum of weights_i z_i."""
        rows: SignedRows = self.rows
        pulled = rows.combined(weights)
        theta = (state.theta + length * pulled).astype(rows.dtype)
        margins = rows.margins(theta)
        seen = watched(
            rows, state.watch, theta, length * weights, state.k + 1, length * pulled
        )  # fmt: skip
        return SeparationState(
            theta, margins, rows.wrong(theta, margins), seen, state.k + 1, state.updates + 1,
            state.products + 2,
        )  # fmt: skip


class NormalizedLogisticGradient(SeparationMethod):
    """Gradient descent on the logistic loss, normalized by the mean probability of an error.

    Solves `LinearSeparation` problems. With z_i = y_i (x_i, 1) and the probability of a wrong label
    in the logistic model, s_i = 1 / (1 + exp(z_i . theta)), a step adds to theta
    `step_size * sum(s_i z_i) / sum(s_i)`: a convex combination of the samples, most of it from
    those on the wrong side. Not normalized, it adds `step_size * mean(s_i z_i)`, which is plain
    gradient descent on the logistic loss, for any step.

    Args:
        step_size: positive, of any size; None for `2 log(2 n + 1) / R^2`, R the longest z_i.
        normalized: whether steps are.
        rows: the data as steps take them; filled in by `bind`.

    Raises:
        ValueError: for a step that is not positive.

    Cost per iteration:
        Two passes over the data.

    Convergence:
        With mu the largest margin, from zero in at most `R^2 / mu^2 + 2 log(2 n - 1) / (step_size
        mu^2)` steps for any step. Without normalization in the limit of large steps in at most
        `n R^2 / mu^2`, and there are data on which a number of steps proportional to n is needed.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.array([[2.0, 1.0], [1.0, -1.0], [-1.0, 0.5], [-3.0, 1.0]])
        problem = rs.LinearSeparation(X, np.array([1, 1, -1, -1]), intercept=True)
        sol = rs.solve(problem, rs.composite.NormalizedLogisticGradient(step_size=10.0))
        assert sol.converged
        ```

    Reference:
        A. Tyurin (2024), From logistic regression to the perceptron algorithm: exploring gradient
        descent with large step sizes, arXiv 2412.08424.
    """

    step_size: Any = None
    normalized: bool = static(default=True)

    name: ClassVar[str] = "normalized-logistic-gradient"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "Any positive number will do.")

    def step(self, problem: LinearSeparation, state: SeparationState) -> SeparationState:
        n = state.margins.size
        length = self.step_size
        if length is None:
            length = 2.0 * math.log(2 * n + 1) / (self.rows.longest**2 or 1.0)
        # While a sample is on the wrong side its weight is a half or more: no sum vanishes.
        weights = expit(-state.margins)
        total = float(weights.sum()) if self.normalized else n
        return self._moved(state, weights, float(length) / total)
