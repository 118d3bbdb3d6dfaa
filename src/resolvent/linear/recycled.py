"""What GMRES and GCRO-DR share on the host: cycles that can be resumed."""

from typing import Any

import numpy as np

from resolvent._core.host import Interrupted
from resolvent._core.solution import Reason
from resolvent.linear import recycling
from resolvent.linear.krylov import PreconditionedMethod
from resolvent.linear.operators import SparseMatrix
from resolvent.linear.problem import LinearSystem

_CODES = {
    recycling.RUNNING: 0,
    recycling.BREAKDOWN: Reason.breakdown.code,
    recycling.STALLED: Reason.stalled.code,
    recycling.NONFINITE: Reason.diverged.code,
}


class RecycledMethod(PreconditionedMethod):
    """Runs the cycle functions of `recycling` on a host problem.

    A subclass gives `cycle` (m), `kept` (k, 0 for GMRES) and `patience`.
    """

    @property
    def cycle(self) -> int:
        """Dimension of the space of one cycle."""
        raise NotImplementedError

    @property
    def kept(self) -> int:
        """How many directions survive a cycle."""
        raise NotImplementedError

    @property
    def patience(self) -> int:
        """Slow cycles in a row that count as stalled."""
        raise NotImplementedError

    def begin_host(self, problem: LinearSystem, x0: Any, space: Any) -> recycling.CycleState:
        """The state before the first cycle."""
        cycle = min(self.cycle, problem.n)
        rows = None
        if isinstance(problem.operator, SparseMatrix):
            rows = recycling.sparse_rows(problem.operator.matrix)
        return recycling.begin(
            x0.copy(), problem.b, problem.operator.mv, cycle=cycle,
            recycle=min(self.kept, cycle - 1), preconditioned=self.preconditioner is not None,
            space=space, op_rows=rows,
        )  # fmt: skip

    def advance(
        self, problem: LinearSystem, state: Any, steps: int, target: float
    ) -> tuple[Any, Any]:
        """Up to `steps` Arnoldi steps, one cycle at a time so that an interrupt loses little."""
        M = self.preconditioner
        apply = None if M is None else M.apply
        into = None
        if isinstance(problem.operator, SparseMatrix):
            into = recycling.sparse_into(problem.operator.matrix)
        traces: list[Any] = []
        try:
            while steps > 0:
                state, trace = recycling.advance(
                    state, problem.operator.mv, apply, steps=min(steps, self.cycle),
                    target=target, patience=self.patience, op_into=into,
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
        if self.preconditioner is None:
            return {"matvec": state.products}
        return {"matvec": state.products, "precondition": state.preconditions}
