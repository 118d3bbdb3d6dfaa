"""GCRO-DR: restarts that keep what they learned, within a solve and from one to the next."""

from typing import Any, ClassVar

import numpy as np

from resolvent._core.checks import count, refuse
from resolvent._core.memory import Entry, Memory
from resolvent._core.problem import Engine
from resolvent._core.value import static
from resolvent.linear import recycling
from resolvent.linear.preconditioners import Preconditioner
from resolvent.linear.problem import LinearSystem
from resolvent.linear.recycled import RecycledMethod, Sizes


class GCRODR(RecycledMethod):
    """GCRO-DR(m, k) for general square systems and sequences of them.

    Solves A x = b like GMRES(m), but every restart keeps the k harmonic Ritz vectors of smallest
    value, the directions that restarted GMRES is slow on. In a sequence they go on to the next
    system as memory entry `recycled`; sort systems that may come in any order with
    `sort_greedy` first.

    Args:
        cycle: m, dimension of the space of one cycle, kept directions included.
        recycle: k < m, how many directions are kept; 0 gives GMRES(m). Systems far from definite
            gain from more, 60 and 20 say, in steps and in time.
        preconditioner: an approximation of A^-1 on the right, or None. It may change from system
            to system: the kept directions live in the coordinates of x.
        patience: after how many cycles that together lowered the residual by less than 0.1 % the
            solve ends with reason `stalled`.

    Raises:
        ValueError: unless 0 <= recycle < cycle.

    Cost per iteration:
        One product with A, one application of the preconditioner, and two passes over the k kept
        and j new vectors. A remembered space costs k products and a QR factorization of k vectors
        at the start of a system, or one product where A has not changed. About 2 (m + k) vectors
        are stored.

    Convergence:
        The residual never grows. Removing k eigenvalues near zero leaves the convergence of GMRES
        on the rest of the spectrum.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        A = np.diag(np.linspace(0.01, 1.0, 80))
        problems = [rs.LinearSystem(A + 1e-4 * i * np.eye(80), np.ones(80)) for i in range(3)]
        method = rs.linear.GCRODR(cycle=20, recycle=8)
        sols = list(rs.solve_sequence(problems, method, rtol=1e-8))
        assert sols[2].steps < sols[0].steps
        ```

    Reference:
        M. L. Parks, E. de Sturler, G. Mackey, D. D. Johnson, S. Maiti (2006), Recycling Krylov
        subspaces for sequences of linear systems. H. Wang, Z. Hao, J. Wang, Z. Geng, Z. Wang,
        B. Li, F. Wu (2024), Accelerating Data Generation for Neural Operators via Krylov Subspace
        Recycling, arXiv 2401.09516.
    """

    cycle: int = static(default=50)
    recycle: int = static(default=15)
    preconditioner: Preconditioner | None = None
    patience: int = static(default=5)

    reads: ClassVar[tuple[str, ...]] = ("recycled",)
    name: ClassVar[str] = "gcro-dr"
    solves: ClassVar = (LinearSystem,)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)

    def __post_init__(self) -> None:
        count("cycle", self.cycle, least=1)
        count("recycle", self.recycle)
        count("patience", self.patience, least=1)
        if not self.recycle < self.cycle:
            refuse(
                ValueError, "recycle", given=f"{self.recycle} of a cycle of {self.cycle}",
                needed="recycle < cycle", advice="A third of the cycle is a good choice.",
            )  # fmt: skip

    def sizes(self) -> Sizes:
        return Sizes(self.cycle, self.recycle, self.patience)

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> Any:
        return self.begin_host(problem, x0, _space(memory, problem.n))

    def step(self, problem: LinearSystem, state: Any) -> Any:
        """One Arnoldi step."""
        return self.step_host(problem, state)

    def measure(self, problem: LinearSystem, state: Any) -> Any:
        return state.norm

    def status(self, state: Any) -> Any:
        return self.host_status(state)

    def iterate(self, problem: LinearSystem, state: Any) -> tuple[Any, Any]:
        return self.host_point(state), None

    def refresh(self, problem: LinearSystem, state: Any) -> Any:
        return self.refresh_host(problem, state)

    def calls(self, problem: LinearSystem, state: Any) -> dict[str, Any]:
        return self.host_calls(state)

    def remember(self, problem: LinearSystem, state: Any) -> dict[str, Entry]:
        space, _ = recycling.remember(state)
        if len(space.directions) == 0:
            return {}
        return {"recycled": Entry(space._asdict(), depends=("size",))}


def _space(memory: Memory, n: int) -> recycling.RecycledSpace | None:
    """The remembered space, unless the entry is something else."""
    entry = memory.get("recycled")
    if not isinstance(entry, dict) or set(entry) != set(recycling.RecycledSpace._fields):
        return None
    space = recycling.RecycledSpace(**{name: np.asarray(rows) for name, rows in entry.items()})
    fits = all(rows.ndim == 2 and rows.shape[1] == n for rows in space)
    return space if fits and len(space.images) == len(space.directions) else None
