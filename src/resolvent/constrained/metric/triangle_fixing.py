"""Triangle fixing: projections onto all triangle inequalities, one after the other."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import refuse
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent.constrained.metric.clustering import CorrelationClustering
from resolvent.constrained.metric.cycle_steps import CycleSteps
from resolvent.constrained.metric.cycles import CycleList
from resolvent.constrained.metric.metric_problem import MetricProblem
from resolvent.constrained.metric.nearness import MetricNearness


class FixingState(NamedTuple):
    x: Any
    z: Any
    """[triangles, 3], the multipliers of each triangle's inequalities."""
    low: Any
    high: Any
    error: Any
    k: Any


class TriangleFixing(Method):
    """Project onto every triangle inequality in turn, with a multiplier for each of them.

    Solves `MetricNearness` and `CorrelationClustering` problems on complete graphs. This is the
    method of Dykstra and Hildreth on the whole list of n (n - 1) (n - 2) / 2 constraints. It serves
    for comparison: `ProjectAndForget` makes the same projections where they matter.

    Cost per iteration:
        One projection a triangle inequality, 3/2 n^3 numbers read; that many numbers are stored.
        The error is measured with all shortest paths, n^3 additions.

    Convergence:
        To the answer, at last linearly.

    Example:
        ```python
        import numpy as np, resolvent as rs
        D = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 1.0], [5.0, 1.0, 0.0]])
        problem = rs.constrained.MetricNearness(D)
        sol = rs.solve(problem, rs.constrained.TriangleFixing(), rtol=1e-9)
        assert np.allclose(sol.x, [[0, 2, 4], [2, 0, 2], [4, 2, 0]])
        ```

    Reference:
        J. Brickell, I. S. Dhillon, S. Sra, J. A. Tropp (2008), The metric nearness problem.
    """

    name: ClassVar[str] = "triangle-fixing"
    solves: ClassVar = (MetricNearness, CorrelationClustering)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    reads: ClassVar[tuple[str, ...]] = ("constraints",)
    in_order: ClassVar[bool] = True

    def check(self, problem: MetricProblem) -> None:
        if not problem.graph.complete:
            refuse(
                ValueError, "method", given=f"{self.name} for {problem.describe()}",
                needed="a complete graph, whose cycles follow from triangles",
                advice="Use resolvent.constrained.ProjectAndForget().",
            )  # fmt: skip

    def init(self, problem: MetricProblem, x0: Any, memory: Memory, key: Any) -> FixingState:
        from resolvent.constrained.metric import kernels_triangles as kernels

        n, graph, steps = problem.graph.nodes, problem.graph, CycleSteps(problem, False)
        found = [steps.warm(memory.get("constraints"))]
        if not np.array_equal(x0, problem.start(None)):
            # A guess says where multipliers are to be looked for.
            rows = problem.multipliers_at(problem.lengths(x0))
            found.append(steps.warm(problem.witness(rows)))
        known = [rows for rows in found if rows is not None]
        z = np.zeros((n * (n - 1) * (n - 2) // 6, 3))
        x, (low, high) = problem.centre.copy(), problem.box()
        if known:
            rows = max(known, key=problem.dual_value)
            kernels.spread(n, rows.starts, rows.edges, graph.heads, graph.tails, rows.z, z)
            x = problem.free_minimizer(rows)
        return FixingState(x, z, low, high, self._error(problem, x, z, low, high), 0)

    def _error(self, problem: MetricProblem, x: Any, z: Any, low: Any, high: Any) -> float:
        from resolvent.constrained.metric import kernels_triangles as kernels

        feasible = problem.closed(x)
        free = x - (low if low.size else 0.0) + (high if high.size else 0.0)
        slack = kernels.slackness(problem.graph.nodes, z, feasible)
        return problem.measured_at(feasible, feasible, free, slack).error

    def step(self, problem: MetricProblem, state: FixingState) -> FixingState:
        x, z, low, high = (part.copy() for part in state[:4])
        own = FixingState(x, z, low, high, state.error, state.k)
        return self.advance(problem, own, 1, -1.0)[0]

    def advance(
        self, problem: MetricProblem, state: FixingState, steps: int, target: float
    ) -> tuple[FixingState, Any]:
        from resolvent.constrained.metric import kernels_triangles as kernels

        x, z, low, high, error, k = state
        inverse, trace = problem.inverse, []
        while len(trace) < steps and not error <= target:
            kernels.sweep(problem.graph.nodes, z, x, inverse)
            kernels.box_sweep(x, low, high, problem.lower, problem.upper)
            error = self._error(problem, x, z, low, high)
            trace.append(error)
        return FixingState(x, z, low, high, error, k + len(trace)), np.array(trace)

    def measure(self, problem: MetricProblem, state: FixingState) -> Any:
        return state.error

    def iterate(self, problem: MetricProblem, state: FixingState) -> tuple[Any, Any]:
        return problem.point(problem.closed(state.x)), self._witness(problem, state)

    def _witness(self, problem: MetricProblem, state: FixingState) -> Any:
        from resolvent.constrained.metric import kernels_triangles as kernels

        many = kernels.positive(state.z)
        edges, values = np.empty((many, 3), np.int32), np.empty(many)
        kernels.as_rows(problem.graph.nodes, state.z, edges, values)
        rows = CycleList(3 * np.arange(many + 1), edges.ravel(), values, np.empty(0, np.uint64))
        return problem.witness(rows)

    def remember(self, problem: MetricProblem, state: FixingState) -> dict[str, Entry]:
        return {"constraints": Entry(tuple(self._witness(problem, state)), depends=("size",))}

    def calls(self, problem: MetricProblem, state: FixingState) -> dict[str, Any]:
        return {"projection": state.k * state.z.size}
