"""Greenkhorn: Sinkhorn's corrections for the worst row or column alone."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import refuse
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent.transport.coupling import Potentials
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.sinkhorn import warm_start
from resolvent.transport.softmin import kernel_form, marginals, softmin


class GreedyState(NamedTuple):
    f: Any
    g: Any
    rows: Any
    columns: Any
    measure: float
    updates: int
    passes: int
    status: int


class Greenkhorn(Method):
    """Greedy Sinkhorn: each update fits the one row or column whose marginal is most wrong.

    Solves entropic transport, balanced or with penalties. It pays where few rows and columns are
    wrong, as after a change of some masses; elsewhere `Sinkhorn` sweeps faster through memory.

    Args:
        block: updates of one step; None makes as many as there are rows and columns. All marginals
            are computed afresh after each step, so that rounding does not build up.

    Raises:
        ValueError: for a block below 1, and for a cost that is neither a matrix nor one of the
            named costs between points.

    Cost per iteration:
        `block` updates of n or m exponentials each, and one pass over the n x m costs. Counted as
        `kernel` calls (passes) and `update` calls.

    Convergence:
        The dual grows with every update; the marginal error comes below delta within
        O(n log(n) / (epsilon delta^2)) updates in the unit of the costs, and linearly at last.

    Example:
        ```python
        import numpy as np, resolvent as rs
        cost = np.abs(np.arange(10.0)[:, None] - np.arange(10.0)) / 9
        mass = np.full(10, 0.1)
        problem = rs.EntropicTransport(cost, mass, mass, 0.1)
        sol = rs.solve(problem, rs.transport.Greenkhorn(), rtol=1e-8)
        assert sol.converged
        ```

    Reference:
        J. Altschuler, J. Weed, P. Rigollet (2017), Near-linear time approximation algorithms for
        optimal transport via Sinkhorn iteration, arXiv:1705.09634.
    """

    block: int | None = None

    name: ClassVar[str] = "greenkhorn"
    solves: ClassVar = (EntropicTransport,)
    engines: ClassVar = ("host",)
    reads: ClassVar[tuple[str, ...]] = ("potentials",)

    def __post_init__(self) -> None:
        if self.block is not None and (not isinstance(self.block, int) or self.block < 1):
            refuse(
                ValueError, "block", given=f"{self.block!r}", needed="an integer >= 1, or None",
                advice="None makes as many updates a step as there are rows and columns.",
            )  # fmt: skip

    def check(self, problem: Any) -> None:
        if problem.cost.engine == "host" and kernel_form(problem.cost) is None:
            refuse(
                ValueError, "cost", given=f"a {problem.cost.form} cost",
                needed="a matrix, or points with a named cost",
                advice="Use resolvent.transport.Sinkhorn.",
            )  # fmt: skip

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> GreedyState:
        f, g = (np.array(part, np.float64) for part in warm_start(problem, x0, memory))
        state = self._fresh(problem, f, g, 0, 0)
        if not np.isfinite(state.measure):
            state = self._fresh(problem, 0.0 * problem.a, 0.0 * problem.b, 0, 1)
        return state

    def _fresh(self, problem: Any, f: Any, g: Any, updates: int, passes: int) -> GreedyState:
        f, g = np.asarray(f, np.float64), np.asarray(g, np.float64)
        logs = (_log(problem.a), _log(problem.b))
        rows, columns = marginals(problem.cost, problem.epsilon, f, g, *logs)
        rows, columns = rows.astype(np.float64), columns.astype(np.float64)
        with np.errstate(all="ignore"):
            error = float(np.abs(_wanted(problem, 0, f) * problem.a - rows).sum())
            error += float(np.abs(_wanted(problem, 1, g) * problem.b - columns).sum())
        return GreedyState(f, g, rows, columns, error, updates, passes + 1, 0)

    def step(self, problem: Any, state: GreedyState) -> GreedyState:
        return self._block(problem, state, -1.0)

    def advance(self, problem: Any, state: GreedyState, steps: int, target: float) -> Any:
        trace = []
        for _ in range(steps):
            state = self._block(problem, state, target)
            trace.append(state.measure)
            if state.measure <= target or state.status:
                break
        return state, np.asarray(trace)

    def _block(self, problem: Any, state: GreedyState, target: float) -> GreedyState:
        from resolvent.transport import kernels_greedy

        known = kernel_form(problem.cost)
        assert known is not None
        form, flipped = known
        f, g = state.f.copy(), state.g.copy()
        epsilon = float(problem.epsilon)
        sides: list[tuple[Any, ...]] = []
        for side, potential, totals in ((0, f, state.rows), (1, g, state.columns)):
            mass = (problem.a, problem.b)[side].astype(np.float64)
            tau = problem.penalty[side]
            log_mass = _log(mass)
            head = potential / epsilon + log_mass
            wanted = _wanted(problem, side, potential)
            tau = np.inf if tau is None else float(tau)
            sides.append((tau, mass, log_mass, wanted, potential, head, totals.copy()))
        block = sum(problem.shape) if self.block is None else self.block
        order = sides[::-1] if flipped else sides
        kernels: Any = kernels_greedy
        done, error = kernels.greedy(*form, epsilon, *order, block, float(target))
        fresh = self._fresh(problem, f, g, state.updates + done, state.passes)
        if not np.isfinite(error):
            return fresh._replace(status=Reason.diverged.code)
        return fresh

    def measure(self, problem: Any, state: GreedyState) -> float:
        return state.measure

    def status(self, state: GreedyState) -> int:
        return state.status

    def iterate(self, problem: Any, state: GreedyState) -> tuple[Any, Any]:
        f, g, epsilon = state.f, state.g, problem.epsilon
        for side in (0, 1):
            mass = (problem.a, problem.b)[side]
            if mass.all():
                continue
            # No update ever chooses a point without mass: what it would be is known at the end.
            tau = problem.penalty[side]
            power = 1.0 if tau is None else tau / (tau + epsilon)
            if side:
                g = np.where(
                    mass > 0, g, power * softmin(problem.cost.T, epsilon, f, problem.log_a)
                )
            else:
                f = np.where(mass > 0, f, power * softmin(problem.cost, epsilon, g, problem.log_b))
        return Potentials(f.astype(problem.dtype), g.astype(problem.dtype)), None

    def refresh(self, problem: Any, state: GreedyState) -> GreedyState:
        return self._fresh(problem, state.f, state.g, state.updates, state.passes)

    def calls(self, problem: Any, state: GreedyState) -> dict[str, Any]:
        return {"kernel": state.passes, "update": state.updates}

    def remember(self, problem: Any, state: GreedyState) -> dict[str, Entry]:
        x, _ = self.iterate(problem, state)
        return {"potentials": Entry((x.f, x.g), depends=("size",))}


def _log(mass: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(mass.astype(np.float64))


def _wanted(problem: Any, side: int, potential: Any) -> Any:
    tau = problem.penalty[side]
    return np.ones_like(potential) if tau is None else np.exp(-potential / tau)
