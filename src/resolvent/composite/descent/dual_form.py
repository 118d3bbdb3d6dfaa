"""The dual of linear models with a ridge: a quadratic on a box of one variable a sample."""

from typing import Any

import numpy as np
import scipy.sparse

from resolvent.composite.descent import kernels_dual as kernels
from resolvent.composite.descent.quadratic_model import solved
from resolvent.composite.design import DenseDesign
from resolvent.functions import Hinge, Huber, LeastSquares, Quantile, SmoothedHinge, SquaredHinge

_NEWTON, _HALVINGS = 30, 25
_EXACT = 1e-10  # of the first gradient: where Newton's steps end


def dual_box(loss: Any, y: Any) -> tuple[Any, Any, float] | None:
    """Bounds of v and the bend b of a conjugate y v + b v^2 / 2 between them; None for others."""
    if isinstance(loss, Quantile):
        return np.full_like(y, -loss.level), np.full_like(y, 1 - loss.level), 0.0
    if isinstance(loss, LeastSquares):
        return np.full_like(y, -np.inf), np.full_like(y, np.inf), 1.0
    if isinstance(loss, Huber):
        return np.full_like(y, -loss.delta), np.full_like(y, loss.delta), 1.0
    if isinstance(loss, Hinge):
        return np.minimum(-y, 0), np.maximum(-y, 0), 0.0
    if isinstance(loss, SmoothedHinge):
        return np.minimum(-y, 0), np.maximum(-y, 0), float(loss.width)
    if isinstance(loss, SquaredHinge):
        return np.where(y > 0, -np.inf, 0.0), np.where(y > 0, 0.0, np.inf), 0.5
    return None


class DualForm:
    """A problem as dual coordinate descent sees it.

    The dual objective of v is `-sum weights_i (y_i v_i + bend v_i^2 / 2) - ridge ||w||^2 / 2` with
    `w = -sum weights_i v_i x_i / ridge`.

    Args:
        problem: a `GeneralizedLinear` with NumPy's data, a ridge and a loss that `dual_box` knows.
    """

    def __init__(self, problem: Any):
        design = problem.design
        found = dual_box(problem.loss, problem.y)
        assert found is not None, "the problem says what it lacks"
        self.low, self.high, self.bend = found
        self.y, self.weights = problem.y, problem.weights
        self.ridge = float(problem.penalty.weight)
        if isinstance(design, DenseDesign):
            self.X: Any = np.ascontiguousarray(design.matrix)
            squares = np.einsum("ij,ij->i", self.X, self.X)
        else:
            parts = design.data, (design.rows, design.columns)
            self.X = scipy.sparse.csr_matrix(parts, shape=design.shape)
            squares = np.asarray(self.X.multiply(self.X).sum(axis=1)).ravel()
        self.shares = self.weights / self.dtype.type(self.ridge)
        curvatures = self.bend + self.shares * squares
        # No weight, no sample.
        self.curvatures = np.where(self.weights > 0, curvatures, 0).astype(self.dtype)

    @property
    def dtype(self) -> Any:
        return np.dtype(self.X.dtype)

    def inside(self, v: Any) -> Any:
        """The nearest v within the bounds."""
        return np.clip(v, self.low, self.high)

    def primal(self, v: Any) -> Any:
        """w."""
        return -(self.X.T @ (self.shares * v))

    def objective(self, v: Any, w: Any) -> float:
        """The dual objective, to be made large."""
        own = self.weights @ (v * (self.y + 0.5 * self.bend * v))
        return -float(own) - 0.5 * self.ridge * float(w @ w)

    def pull(self, z: Any, v: Any) -> Any:
        """The slope of the dual objective in v over the weights; z = X w."""
        return z - self.y - self.bend * v

    def eager(self, pull: Any, v: Any) -> Any:
        """Which variables are not held by a bound."""
        held = ((v <= self.low) & (pull <= 0)) | ((v >= self.high) & (pull >= 0))
        return np.flatnonzero(~held)

    def visit(self, order: Any, v: Any, w: Any) -> float:
        """One visit of some samples; v and w in place. The largest change."""
        shared = (
            order, self.y, self.low, self.high, self.bend, self.shares, self.curvatures, v, w
        )  # fmt: skip
        if scipy.sparse.issparse(self.X):
            return kernels.sparse_visits(self.X.data, self.X.indices, self.X.indptr, *shared)
        return kernels.dense_visits(self.X, *shared)

    def proximal_step(self, v: Any, w: Any, sigma: float) -> tuple[Any, Any, int, bool]:
        """The best v for the dual objective less sigma / 2 times the weighted squared distance.

        Found by Newton steps in w on the conjugate problem, which is piecewise quadratic with a
        matrix of the size of w. Returns v, the w where Newton's method ended, the number of
        systems, and whether it came to its end; v itself where the dual objective is no higher.
        """
        bend, sparse = self.bend + sigma, scipy.sparse.issparse(self.X)
        center = sigma * v - self.y
        systems, ended = 0, False
        point, z = w, self.X @ w

        def answer(z: Any) -> Any:
            return self.inside((z + center) / bend)

        def value(point: Any, z: Any, best: Any) -> float:
            terms = best * (z + center - 0.5 * bend * best)
            return float(self.weights @ terms) + 0.5 * self.ridge * float(point @ point)

        best = answer(z)
        height = value(point, z, best)
        first = None
        for _ in range(_NEWTON):
            gradient = self.ridge * point + self.X.T @ (self.weights * best)
            size = float(np.linalg.norm(gradient))
            first = size if first is None else first
            ended = size <= _EXACT * first
            if ended:
                break
            free = np.flatnonzero((best > self.low) & (best < self.high))
            rows, own = self.X[free], self.weights[free] / bend
            if sparse:
                system = (rows.T @ rows.multiply(own[:, None]).tocsr()).toarray()
            else:
                system = rows.T @ (own[:, None] * rows)
            system[np.diag_indices(point.size)] += self.ridge
            turn = solved(system, -gradient)
            systems += 1
            if turn is None:
                break
            ahead, slope, length = self.X @ turn, float(gradient @ turn), 1.0
            for _ in range(_HALVINGS):
                other, fit = point + length * turn, z + length * ahead
                near = answer(fit)
                low = value(other, fit, near)
                if low <= height + 1e-4 * length * slope:
                    break
                length *= 0.5
            else:
                break
            point, z, best, height = other, fit, near, low
        higher = self.objective(best, self.primal(best)) > self.objective(v, w)
        return best if higher else v, point, systems, ended
