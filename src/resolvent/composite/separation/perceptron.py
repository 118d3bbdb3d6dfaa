"""Perceptrons: samples on the wrong side are added, one by one or all at once."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from resolvent._core.value import static
from resolvent.composite.linear_separation import LinearSeparation
from resolvent.composite.separation.inseparable import watched
from resolvent.composite.separation.normalized_logistic import SeparationMethod, SeparationState


class BatchPerceptron(SeparationMethod):
    """All samples on the wrong side are added at once.

    Solves `LinearSeparation` problems. With z_i = y_i (x_i, 1), a step adds to theta the mean of
    those z_i with `z_i . theta <= 0`, or not normalized their sum over n. The latter is what
    gradient descent on the logistic loss becomes for large steps, and as that, begins with half of
    the mean of all where theta is zero.

    Args:
        normalized: whether the sum is divided by the number of its terms.
        rows: the data as steps take them; filled in by `bind`.

    Cost per iteration:
        Two passes over the data.

    Convergence:
        From zero in at most `R^2 / mu^2` steps with normalization and in at most `n R^2 / mu^2`
        without, R the longest sample, mu the largest margin. There are data on which the latter
        needs a number of steps proportional to n.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.array([[2.0, 1.0], [1.0, -1.0], [-1.0, 0.5], [-3.0, 1.0]])
        problem = rs.LinearSeparation(X, np.array([1, 1, -1, -1]))
        assert rs.solve(problem, rs.composite.BatchPerceptron()).converged
        ```

    Reference:
        A. Tyurin (2024), From logistic regression to the perceptron algorithm: exploring gradient
        descent with large step sizes, arXiv 2412.08424.
    """

    normalized: bool = static(default=True)

    name: ClassVar[str] = "batch-perceptron"

    def step(self, problem: LinearSeparation, state: SeparationState) -> SeparationState:
        n = state.margins.size
        weights = state.wrong.astype(state.theta.dtype)
        if self.normalized:
            return self._moved(state, weights, 1.0 / max(np.count_nonzero(state.wrong), 1))
        return self._moved(state, weights, (1.0 if state.theta.any() else 0.5) / n)


class Perceptron(SeparationMethod):
    """Samples are visited in turn, and added where they are on the wrong side.

    Solves `LinearSeparation` problems. With z_i = y_i (x_i, 1), an update adds to theta a z_i with
    `z_i . theta <= 0`. A step is a pass over all samples in their order; its measure is the number
    of its updates, so that the last pass has none.

    Args:
        rows: the data as steps take them; filled in by `bind`.

    Cost per iteration:
        One pass over the data.

    Convergence:
        From zero after at most `R^2 / mu^2` updates, R the longest sample, mu the largest margin.
        Where nothing separates the samples theta stays bounded, and so the mean of what was added
        tends to zero: that proves it.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.array([[2.0, 1.0], [1.0, -1.0], [-1.0, 0.5], [-3.0, 1.0]])
        problem = rs.LinearSeparation(X, np.array([1, 1, -1, -1]))
        assert rs.solve(problem, rs.composite.Perceptron()).converged
        ```

    Reference:
        F. Rosenblatt (1958), The perceptron: a probabilistic model for information storage and
        organization in the brain; A. Novikoff (1962), On convergence proofs on perceptrons.
    """

    name: ClassVar[str] = "perceptron"
    ahead: ClassVar[bool] = True

    def step(self, problem: LinearSeparation, state: SeparationState) -> SeparationState:
        from resolvent.composite.separation import kernels_separation as kernels

        rows, theta = self.rows, state.theta.copy()
        added = np.zeros(rows.y.size, np.int64)
        # Twice what the certificate allows for rounding: the kernel adds in another order.
        shared = (rows.y, rows.constant, 2.0 * rows.rounding, rows.lengths, theta, added)
        if scipy.sparse.issparse(rows.X):
            mistakes = kernels.sparse_pass(rows.X.data, rows.X.indices, rows.X.indptr, *shared)
        else:
            mistakes = kernels.dense_pass(rows.X, *shared)
        seen = watched(rows, state.watch, theta, added, state.k + 1) if mistakes else state.watch
        return SeparationState(
            theta, state.margins, added > 0, seen, state.k + 1, state.updates + mistakes,
            state.products + 1,
        )  # fmt: skip

    def calls(self, problem: LinearSeparation, state: SeparationState) -> dict[str, Any]:
        return {"matvec": state.products, "update": state.updates}
