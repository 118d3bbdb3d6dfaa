"""What Project and Forget does with cycle inequalities."""

from typing import Any

import numpy as np

from resolvent.constrained.metric.cycles import CycleList, forgotten, no_cycles, violated
from resolvent.constrained.metric.lagrangian import ROUNDED
from resolvent.constrained.metric.metric_problem import MetricProblem


class CycleSteps:
    """Sweeps and looks for the cycle inequalities of a problem.

    Args:
        problem: a `MetricProblem`.
        at_once: whether x moves onto rows as they are found.
    """

    def __init__(self, problem: MetricProblem, at_once: bool):
        self.problem, self.at_once = problem, at_once
        self.inverse = problem.inverse
        self.slack = ROUNDED * float(problem.length)

    def empty(self) -> CycleList:
        """The list to begin with."""
        return no_cycles()

    def box(self) -> tuple[Any, Any]:
        """Multipliers of the box, 0, over the weights."""
        return self.problem.box()

    def position(self, rows: CycleList, low: Any, high: Any) -> Any:
        """Where the Lagrangian is least for these multipliers."""
        x = self.problem.free_minimizer(rows)
        x += low if low.size else 0.0
        x -= high if high.size else 0.0
        return x

    def sweep(self, many: int, rows: CycleList, x: Any, low: Any, high: Any) -> bool:
        """Project onto every row and every side of the box, in place."""
        from resolvent.constrained.metric import kernels_cycles as kernels

        kernels.sweeps(
            many, rows.starts, rows.edges, rows.z, x, self.inverse, low, high,
            self.problem.lower, self.problem.upper,
        )  # fmt: skip
        return True

    def forget(self, rows: CycleList) -> CycleList:
        """The rows with positive multipliers; the list that is given is spoiled."""
        return forgotten(rows, 0.0)

    def look(self, x: Any, rows: CycleList) -> tuple[CycleList, float, int]:
        """The violated rows that are new, the error at x, and how many nodes were asked."""
        problem = self.problem
        before = x.copy() if self.at_once else x
        shortest, fresh = violated(
            problem.graph, x, self.inverse, rows, slack=self.slack, at_once=self.at_once
        )
        feasible = np.minimum(shortest, problem.upper)
        if problem.upper < np.inf and not (before <= problem.upper).all():
            feasible = problem.closed(before)
        least = np.minimum(np.maximum(before, problem.lower), problem.upper)
        error = problem.measured(np.minimum(feasible, least), feasible, rows).error
        return fresh, error, problem.graph.nodes

    def look_from(self, x: Any, rows: CycleList, share: float, rng: Any) -> Any:
        """The violated rows that shortest paths from some nodes find, and how many they are."""
        n = self.problem.graph.nodes
        sources = np.sort(rng.choice(n, max(1, round(share * n)), replace=False))
        _, fresh = violated(
            self.problem.graph, x, self.inverse, rows, slack=self.slack, sources=sources,
            at_once=self.at_once,
        )  # fmt: skip
        return fresh, sources.size

    def sample(self, x: Any, rows: CycleList, many: int, rng: Any) -> CycleList:
        """The violated rows among some triangles, each as likely as any other."""
        from resolvent.constrained.metric import kernels_cycles as kernels

        n = self.problem.graph.nodes
        i, j, k = rng.integers(0, n, many), rng.integers(0, n - 1, many), rng.integers(0, n, many)
        j += j >= i
        apart = (k != i) & (k != j)
        table = kernels.table_of(rows.keys, many)
        return CycleList(
            *kernels.sampled_triangles(
                n, i[apart], j[apart], k[apart], x, self.inverse, table, self.slack, self.at_once
            )
        )

    def warm(self, value: Any) -> CycleList | None:
        """A list from a memory, where it is a better beginning than nothing."""
        rows = self.problem.admitted(value)
        if rows is None or not rows.z.size:
            return None
        better = self.problem.dual_value(rows) > self.problem.dual_value(no_cycles())
        return rows if better else None

    def infeasible(self, rows: CycleList, before: CycleList) -> CycleList | None:
        """None: lengths of zero are a metric."""
        return None
