"""What GMRES and GCRO-DR share on the host: cycles that can be resumed."""

import abc
from typing import Any, NamedTuple

import numpy as np

from resolvent._core.host import Interrupted
from resolvent._core.solution import Reason
from resolvent.linear import recycling
from resolvent.linear.krylov import PreconditionedMethod, copied
from resolvent.linear.operators import SparseMatrix
from resolvent.linear.problem import LinearSystem

_CODES = {
    recycling.RUNNING: 0,
    recycling.BREAKDOWN: Reason.breakdown.code,
    recycling.STALLED: Reason.stalled.code,
    recycling.NONFINITE: Reason.diverged.code,
}


class Sizes(NamedTuple):
    """How the cycles of a method run."""

    cycle: int  # dimension of the space of one cycle
    kept: int  # directions that survive it
    patience: int  # slow cycles in a row that count as stalled


class RecycledMethod(PreconditionedMethod):
    """Runs the cycle functions of `recycling` on a host problem."""

    @abc.abstractmethod
    def sizes(self) -> Sizes:
        """The sizes of the cycles, in the method's own parameters."""

    def begin_host(self, problem: LinearSystem, x0: Any, space: Any) -> recycling.CycleState:
        """The state before the first cycle."""
        sizes = self.sizes()
        cycle = min(sizes.cycle, problem.n)
        rows = None
        if isinstance(problem.operator, SparseMatrix):
            rows = recycling.sparse_rows(problem.operator.matrix)
        return recycling.begin(
            x0.copy(), problem.b, problem.operator.mv, cycle=cycle,
            recycle=min(sizes.kept, cycle - 1), preconditioned=self.M is not None,
            space=space, op_rows=rows,
        )  # fmt: skip

    def advance(
        self, problem: LinearSystem, state: Any, steps: int, target: float
    ) -> tuple[Any, Any]:
        """Up to `steps` Arnoldi steps, one cycle at a time so that an interrupt loses little."""
        sizes = self.sizes()
        apply = None if self.M is None else self._apply
        into = None
        if isinstance(problem.operator, SparseMatrix):
            into = recycling.sparse_into(problem.operator.matrix)
        traces: list[Any] = []
        try:
            while steps > 0:
                state, trace = recycling.advance(
                    state, problem.operator.mv, apply, steps=min(steps, sizes.cycle),
                    target=target, patience=sizes.patience, op_into=into,
                )  # fmt: skip
                traces.append(trace)
                steps -= len(trace)
                if state.norm <= target or state.code != recycling.RUNNING or len(trace) == 0:
                    break
        except Interrupted as stop:
            trace = np.concatenate([np.zeros(0), *traces, stop.trace])
            raise Interrupted(stop.state, trace) from None
        except KeyboardInterrupt:
            state = recycling.restart(state, problem.b, problem.operator.mv)
            raise Interrupted(state, np.concatenate([np.zeros(0), *traces])) from None
        return state, traces[0] if len(traces) == 1 else np.concatenate([np.zeros(0), *traces])

    def step_host(self, problem: LinearSystem, state: recycling.CycleState) -> Any:
        """One Arnoldi step, in arrays of its own."""
        return self.advance(problem, copied(state), 1, -1.0)[0]

    def host_status(self, state: recycling.CycleState) -> int:
        """The cycle's code as that of a `Reason`."""
        return _CODES[state.code]

    def host_point(self, state: recycling.CycleState) -> Any:
        """The point after the last step."""
        return recycling.iterate(state)

    def refresh_host(self, problem: LinearSystem, state: recycling.CycleState) -> Any:
        """Close the cycle and recompute the residual."""
        return recycling.refresh(state, problem.b, problem.operator.mv)

    def host_calls(self, state: recycling.CycleState) -> dict[str, int]:
        """Products and applications so far."""
        return self.count(state.products, state.preconditions)
