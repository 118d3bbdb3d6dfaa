"""Project and Forget: dual ascent over the few constraints that an oracle has found violated."""

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import between, count, one_of, refuse
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.constrained.metric.clustering import CorrelationClustering
from resolvent.constrained.metric.cycle_steps import CycleSteps
from resolvent.constrained.metric.metric_problem import MetricProblem
from resolvent.constrained.metric.nearness import MetricNearness
from resolvent.constrained.metric.row_steps import RowSteps
from resolvent.constrained.metric.separated import Separated

_WINDOW = 50  # steps whose growth of multipliers is looked at for a proof of infeasibility


class ForgetState(NamedTuple):
    x: Any
    """Where the Lagrangian is least; not a feasible point."""
    rows: Any
    low: Any
    high: Any
    error: Any
    """What the certificate found when all constraints were looked at for the last time."""
    k: Any
    asked: Any
    projections: Any
    before: Any
    """The list at the beginning of the window."""
    proof: Any
    code: Any


class ProjectAndForget(Method):
    """Find violated constraints, project onto all that are known, forget those without a force.

    Solves `MetricNearness`, `CorrelationClustering` and `Separated` problems. A step sweeps over
    the list: onto each of its rows in turn x is projected, in the sense of Bregman, as far as its
    multiplier stays positive (which takes x away from rows that it meets with room to spare). Rows
    whose multiplier is 0 are forgotten, and an oracle adds rows that x violates now: for metrics,
    the cycles of an edge and the shortest path between its ends. The list comes to be the few rows
    that are active, out of as many as no one could write down.

    For metrics the answer is the closure of x, which is a metric to rounding.

    Args:
        sweeps: over the list, between two looks at the oracle.
        oracle: "all" for all shortest paths; "some" for those from randomly chosen nodes, `share`
            of them; "sampled" for `samples` random triangles, or random rows of a written list, in
            their place.
        at_once: project onto a row as soon as it is found, before the next one is looked for.
        forget: whether rows are ever left out of the list.
        share: of the nodes, for "some".
        samples: a step, for "sampled".
        look: steps of "some" and "sampled" between two measurements of the error, which take all
            shortest paths or rows.
        seed: of the random choices.

    Raises:
        TypeError: for parameters of another type.
        ValueError: for parameters outside their ranges; for "some" where there are no nodes, and
            "sampled" on sparse graphs and for oracles, whose constraints nothing lists.

    Cost per iteration:
        `sweeps` times the entries of the list. On complete graphs n^3 additions for all shortest
        paths (n^2 a node for some of them), on sparse ones Dijkstra's algorithm from each node, up
        to its farthest neighbour.

    Convergence:
        To the answer from any dual start, for "all" always and at random with probability 1;
        linearly once the list has settled. The rate is that of the geometry of the active rows, and
        tiny where these are nearly dependent.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        D = np.abs(rng.standard_normal((40, 40)))
        problem = rs.constrained.MetricNearness(np.triu(D, 1) + np.triu(D, 1).T)
        sol = rs.solve(problem, rs.constrained.ProjectAndForget(sweeps=50), rtol=1e-6)
        assert sol.certificate.details["violation"] < 1e-12
        assert sol.witness.values.size < 0.1 * 40 * 39 * 38 / 2
        ```

    Reference:
        R. Sonthalia, A. C. Gilbert (2022), Project and Forget: solving large-scale metric
        constrained problems, JMLR 23(326), arXiv 2005.03853.
    """

    sweeps: int = static(default=20)
    oracle: str = static(default="all")
    at_once: bool = static(default=False)
    forget: bool = static(default=True)
    share: float = static(default=0.25)
    samples: int = static(default=10_000)
    look: int = static(default=20)
    seed: int = static(default=0)

    name: ClassVar[str] = "project-and-forget"
    solves: ClassVar = (MetricNearness, CorrelationClustering, Separated)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    reads: ClassVar[tuple[str, ...]] = ("constraints",)
    in_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("sweeps", self.sweeps, least=1)
        one_of("oracle", self.oracle, ("all", "some", "sampled"))
        for name in ("at_once", "forget"):
            if not isinstance(getattr(self, name), bool):
                refuse(
                    TypeError, name, given=repr(getattr(self, name)), needed="True or False",
                    advice="It is a choice.",
                )  # fmt: skip
        between("share", self.share, 0.0, math.nextafter(1.0, 2.0), "It is a part of the nodes.")
        count("samples", self.samples, least=1)
        count("look", self.look, least=1)
        count("seed", self.seed)

    def check(self, problem: Any) -> None:
        listed = isinstance(problem, Separated) and problem.oracle is None
        whole = isinstance(problem, MetricProblem) and problem.graph.complete
        if self.oracle == "some" and not isinstance(problem, MetricProblem):
            refuse(
                ValueError, "oracle", given="'some' for a problem without nodes",
                needed="a problem on a graph", advice="Use oracle='all' or oracle='sampled'.",
            )  # fmt: skip
        if self.oracle == "sampled" and not (listed or whole):
            refuse(
                ValueError, "oracle", given=f"'sampled' for {problem.describe()}",
                needed="a complete graph, or rows that are written down",
                advice="Use oracle='some' on a sparse graph.",
            )  # fmt: skip

    def _steps(self, problem: Any) -> Any:
        kind: Any = CycleSteps if isinstance(problem, MetricProblem) else RowSteps
        return kind(problem, self.at_once)

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> ForgetState:
        steps = self._steps(problem)
        known = [steps.warm(memory.get("constraints"))]
        if not np.array_equal(x0, problem.start(None)):
            # A guess says where multipliers are to be looked for.
            rows = problem.multipliers_at(self._lengths(problem, x0))
            known.insert(0, steps.warm(problem.witness(rows)))
        found = [self._begun(steps, rows) for rows in known if rows is not None]
        if not found:
            return self._begun(steps, steps.empty())
        return min(found, key=lambda state: state.error)

    def _lengths(self, problem: Any, x: Any) -> Any:
        if isinstance(problem, MetricProblem):
            return problem.lengths(x)
        return np.asarray(x, np.float64)

    def _begun(self, steps: Any, rows: Any) -> ForgetState:
        low, high = steps.box()
        x = steps.position(rows, low, high)
        listed = rows
        fresh, error, asked = steps.look(x, rows)
        return ForgetState(
            x, rows.joined(fresh), low, high, error, 0, asked, 0, listed.copied(), None, 0
        )

    def step(self, problem: Any, state: ForgetState) -> ForgetState:
        steps = self._steps(problem)
        x, rows, k = state.x.copy(), state.rows.copied(), state.k + 1
        low, high = state.low.copy(), state.high.copy()
        fine = steps.sweep(self.sweeps, rows, x, low, high)
        projections = state.projections + self.sweeps * rows.z.size
        if self.forget:
            rows = steps.forget(rows)
        error, asked = state.error, state.asked
        if self.oracle == "all":
            fresh, error, more = steps.look(x, rows)
            asked += more
        elif k % self.look == 0:
            # Without moving, so that what is measured is what is returned.
            fresh, error, more = type(steps)(problem, False).look(x, rows)
            asked += more
            if self.oracle == "sampled":
                fresh = steps.sample(x, rows, self.samples, self._drawn(k))
        elif self.oracle == "some":
            fresh, more = steps.look_from(x, rows, self.share, self._drawn(k))
            asked += more
        else:
            fresh = steps.sample(x, rows, self.samples, self._drawn(k))
        projections += fresh.z.size if self.at_once else 0
        before, proof, code = state.before, state.proof, state.code
        if k % _WINDOW == 0:
            proof = steps.infeasible(rows, before)
            before = rows.copied()
        if proof is not None or not fine:
            code = Reason.infeasible.code
        return ForgetState(
            x, rows.joined(fresh), low, high, error, k, asked, projections, before, proof, code
        )

    def _drawn(self, k: int) -> Any:
        # The numbers of a step depend on the seed and the step alone.
        return np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, k]))

    def measure(self, problem: Any, state: ForgetState) -> Any:
        return state.error

    def status(self, state: ForgetState) -> Any:
        return state.code

    def iterate(self, problem: Any, state: ForgetState) -> tuple[Any, Any]:
        rows = state.rows if state.proof is None else state.proof
        if isinstance(problem, MetricProblem):
            return problem.point(problem.closed(state.x)), problem.witness(rows)
        return state.x.astype(problem.dtype), problem.witness(rows)

    def refresh(self, problem: Any, state: ForgetState) -> ForgetState:
        steps = self._steps(problem)
        x = steps.position(state.rows, state.low, state.high)
        rows = state.rows.copied()
        fresh, error, asked = steps.look(x, rows)
        return state._replace(x=x, rows=rows.joined(fresh), error=error, asked=state.asked + asked)

    def calls(self, problem: Any, state: ForgetState) -> dict[str, Any]:
        return {"oracle": state.asked, "projection": state.projections}

    def remember(self, problem: Any, state: ForgetState) -> dict[str, Entry]:
        if isinstance(problem, Separated) and problem.oracle is not None:
            # Nothing can tell whether rows of an oracle hold for the next one as well.
            return {}
        return {"constraints": Entry(tuple(problem.witness(state.rows)), depends=("size",))}
