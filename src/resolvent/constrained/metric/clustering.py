"""Correlation clustering: its linear program over metrics, made strictly convex."""

import math
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from resolvent._core.checks import between, one_of, refuse
from resolvent.constrained.metric.cycles import CycleList
from resolvent.constrained.metric.edge_data import edges_of, is_numpy, not_negative, square
from resolvent.constrained.metric.metric_problem import MetricProblem


class CorrelationClustering(MetricProblem):
    """The relaxation of correlation clustering, over distances x in [0, 1] that form a metric.

    Two nodes e are similar with weight s_e >= 0 and dissimilar with weight t_e >= 0. To part the
    nodes so that few similar ones are apart and few dissimilar ones together, one minimizes over
    metrics the linear cost

    `F(x) = sum_e s_e x_e + t_e (1 - x_e)`,

    here plus `sum_e w_e (x_e - a_e)^2 / (2 gamma)`, w = s + t, which makes it strictly convex. With
    `about="labels"`, a_e is 0 where s_e is the larger and 1 elsewhere. Where no pair has both
    weights, `F <= (1 + 1 / (2 gamma)) F*` follows for the answer: squares of differences from the
    labels are no more than the differences. With `about="zero"` all a_e are 0, and `F <= F* +
    sum_e w_e / (2 gamma)`.

    The certificate is that of `MetricNearness`; gaps are relative to `sum_e |s_e - t_e|`, and
    violations to 1. Its details tell what is known of F itself: `linear objective`, F at the
    closure of x, `linear bound`, a number that no metric's F is below, from the multipliers, and
    `linear factor`, their ratio.

    Args:
        similar: [n, n] symmetric, s, or s - t (see `dissimilar`); NumPy, JAX or SciPy sparse.
        dissimilar: the same for t; None where the positive entries of `similar` are s, and the
            negative ones are -t.
        gamma: the larger, the nearer to the linear cost, and the slower.
        about: "labels" or "zero", the centre of the squares.

    The edges are the pairs with a weight. If not all pairs have one, x holds a length for each of
    the problem's `edges`, and lengths of other pairs follow from shortest paths.

    Raises:
        TypeError: for data that are no real numbers, or that are traced.
        ValueError: for weights that are not symmetric, negative where both are given, NaN, or none
            at all; for graphs that are not connected; for a gamma that is not positive.

    Example:
        ```python
        import numpy as np, resolvent as rs
        signs = np.ones((6, 6)) - np.eye(6)
        signs[:3, 3:] = signs[3:, :3] = -1.0
        sol = rs.solve(rs.constrained.CorrelationClustering(signs, gamma=10.0), rtol=1e-8)
        assert np.allclose(sol.x, signs < 0, atol=1e-6)
        ```

    Reference:
        N. Veldt, D. F. Gleich, A. Wirth, J. Saunderson (2019), Metric-constrained optimization for
        graph clustering algorithms, arXiv 1806.01678.
    """

    cost: Any
    """[m], s - t."""
    alone: Any
    """The sum of t."""
    gamma: Any
    largest: Any
    """The largest w."""

    upper: ClassVar[float] = 1.0

    def __init__(
        self, similar: Any, dissimilar: Any = None, *, gamma: float = 10.0, about: str = "labels"
    ):
        between("gamma", gamma, 0.0, math.inf, "The squares must not vanish, nor be all there is.")
        one_of("about", about, ("labels", "zero"))
        first = square("similar", similar)
        if dissimilar is None:
            positive, negative = _parts(first)
        else:
            positive, negative = first, square("dissimilar", dissimilar)
            for name, matrix in (("similar", positive), ("dissimilar", negative)):
                not_negative(name, matrix.data if scipy.sparse.issparse(matrix) else matrix)
            if positive.shape != negative.shape:
                refuse(
                    ValueError, "dissimilar", given=f"shape {negative.shape}",
                    needed=f"shape {positive.shape}", advice="One entry for each pair of nodes.",
                )  # fmt: skip
        dtype = np.float32 if first.dtype == np.float32 else np.float64
        graph, s, t = _weights(positive, negative)
        w, cost = s + t, s - t
        labels = (cost < 0).astype(np.float64) if about == "labels" else np.zeros(w.size)
        largest = float(w.max())
        vars(self).update(
            centre=labels - gamma * cost / w, weights=w / largest, graph=graph, length=1.0,
            value=float(gamma * np.abs(cost).sum() / largest) or 1.0, exponent=0, heaviness=0,
            dtype=np.dtype(dtype).name, cost=cost, alone=float(t.sum()), gamma=float(gamma),
            largest=largest, numpy=is_numpy(similar, dissimilar),
        )  # fmt: skip

    def details(self, feasible: Any, rows: CycleList) -> dict[str, Any]:
        """The linear cost of the closure of a point, and a bound of all linear costs."""
        linear = float(self.cost @ feasible) + self.alone
        # At the free minimizer the forces of rows and squares balance the costs.
        apart = self.centre - self.free_minimizer(rows)
        pull = self.largest / self.gamma * self.weights * apart
        bound = self.alone + float(np.minimum(self.cost + pull, 0.0).sum())
        factor = linear / bound if bound > 0 else math.inf
        apart = feasible - self.centre - self.gamma * self.cost / (self.weights * self.largest)
        squares = float((self.weights * self.largest * apart * apart).sum()) / (2 * self.gamma)
        return {
            "objective": linear + squares, "linear objective": linear,
            "linear bound": bound, "linear factor": factor,
        }  # fmt: skip


def _parts(matrix: Any) -> tuple[Any, Any]:
    """The positive part, and the negative one without its sign."""
    if scipy.sparse.issparse(matrix):
        return matrix.maximum(0), (-matrix).maximum(0)
    return np.maximum(matrix, 0.0), np.maximum(-matrix, 0.0)


def _weights(positive: Any, negative: Any) -> tuple[Any, Any, Any]:
    """The graph of all pairs with a weight, and both weights on its edges."""
    parts = [scipy.sparse.csr_array(part, dtype=np.float64) for part in (positive, negative)]
    both = scipy.sparse.csr_array(parts[0] + parts[1])
    both.eliminate_zeros()
    if both.nnz == 0:
        refuse(
            ValueError, "similar", given="no weight other than 0", needed="one at least",
            advice="Look at what it holds.",
        )  # fmt: skip
    graph, total = edges_of("similar", both)
    difference = scipy.sparse.csr_array(parts[0] - parts[1])
    apart = np.asarray(difference[graph.heads, graph.tails]).ravel()
    for name, part in zip(("similar", "dissimilar"), parts, strict=True):
        if abs(part - part.T).max() > 0:
            refuse(
                ValueError, name, given="a matrix that differs from its transpose",
                needed="a symmetric one", advice=f"Take ({name} + {name}.T) / 2.",
            )  # fmt: skip
    return graph, (total + apart) / 2, (total - apart) / 2
