"""Metric nearness: the metric that is nearest to given dissimilarities."""

import math
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float

from resolvent._core.checks import refuse
from resolvent.constrained.metric.edge_data import (
    at_edges,
    edges_of,
    is_numpy,
    not_negative,
    restricted,
    square,
)
from resolvent.constrained.metric.metric_problem import MetricProblem


class MetricNearness(MetricProblem):
    """Minimize sum_e w_e (x_e - d_e)^2 / 2 over metrics x: lengths that no detour undercuts.

    The constraints are all cycle inequalities of a graph: an edge is at most as long as any other
    way between its ends. For a complete graph they follow from the n (n - 1) (n - 2) / 2 triangle
    inequalities. None of them is listed: shortest paths find the violated ones.

    The certificate is the largest of three numbers. `violation` is how much longer than the
    shortest way between its ends an edge is, at most, over the largest d: all cycles at once.
    `stationarity` is the largest difference of x from the minimizer of the Lagrangian of the
    witness, in the same unit. `gap` is the value of the closure of x (the shortest ways, which are
    a metric) less the dual value of the witness, over the value of zero lengths, sum_e w_e d_e^2 /
    2. The optimal value lies between, and so `distance`, the square root of the gap, bounds the
    norm of the difference of this metric from the answer, relative to that of d, both weighted.
    Its witness is a `CycleMultipliers`; without one, multipliers that fit x are looked for by
    projections, and may prove less.

    Args:
        D: [n, n] symmetric, not negative, zero on its diagonal; NumPy or JAX for all pairs, SciPy
            sparse for a graph whose edges are the stored entries, zeros among them included.
        weights: [n, n] symmetric and positive, or [m], one an edge; None for 1.
        graph: [n, n], adjacency of a connected graph, dense or sparse, whose edges alone have
            lengths. None for all entries of D.

    The answer is a matrix [n, n] for a complete graph, else one length for each of the problem's
    `edges`; `problem.graph.matrix(x)` makes a sparse matrix of those.

    Raises:
        TypeError: for data that are no real numbers, or that are traced.
        ValueError: for a D that is not square, not symmetric or has entries that are negative, NaN
            or infinite; for weights that are not positive; for graphs that are not connected.

    Example:
        ```python
        import numpy as np, resolvent as rs
        D = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]])
        sol = rs.solve(rs.constrained.MetricNearness(D), rtol=1e-9)
        assert np.allclose(sol.x, [[0, 2, 4], [2, 0, 2], [4, 2, 0]])
        ```

    Reference:
        J. Brickell, I. S. Dhillon, S. Sra, J. A. Tropp (2008), The metric nearness problem.
    """

    def __init__(
        self, D: Float[Any, "n n"], weights: Float[Any, "n n"] | None = None, graph: Any = None
    ):
        matrix = square("D", D)
        if graph is None:
            found, d = edges_of("D", matrix)
        else:
            found, d = restricted("D", graph, matrix)
        not_negative("D", d)
        dtype = np.float32 if d.dtype == np.float32 else np.float64
        w = np.empty(0)
        if weights is not None:
            w = at_edges("weights", weights, found, "One weight for each edge.").astype(np.float64)
            if not (w > 0).all():
                refuse(
                    ValueError, "weights", given=f"weights down to {w.min():.3g}",
                    needed="positive ones",
                    advice="Leave an edge out of the graph where its length does not matter.",
                )  # fmt: skip
        exponent, heaviness = magnitude(d), magnitude(w)
        d, w = np.ldexp(d.astype(np.float64), -exponent), np.ldexp(w, -heaviness)
        shares = w if w.size else 1.0
        vars(self).update(
            centre=d, weights=w, graph=found, length=float(d.max()),
            value=0.5 * float((shares * d * d).sum()), exponent=exponent, heaviness=heaviness,
            dtype=np.dtype(dtype).name, numpy=is_numpy(D) or scipy.sparse.issparse(D),
        )  # fmt: skip


def magnitude(values: Any) -> int:
    """The exponent of two that brings the largest number into [1/2, 1)."""
    return math.frexp(float(values.max(initial=0.0)))[1]
