"""The method of a bare `solve(LinearSystem(A, b))`."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from resolvent._core.checks import is_traced
from resolvent._core.host import Interrupted, run_steps
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.solution import Reason
from resolvent.linear.cg import CG
from resolvent.linear.gmres import GMRES
from resolvent.linear.krylov import copied
from resolvent.linear.minres import MINRES
from resolvent.linear.operators import DenseMatrix, SparseMatrix
from resolvent.linear.preconditioners import JacobiPreconditioner, Preconditioner
from resolvent.linear.problem import LinearSystem
from resolvent.linear.structure import known_diagonal


def default_method(problem: LinearSystem) -> Method:
    """CG where A may be positive definite, MINRES where symmetric, GMRES for the rest.

    Diagonals that vary are taken out by a Jacobi preconditioner. Functions and operators whose
    entries are unknown count as general unless they are declared symmetric.
    """
    operator = problem.operator
    entries = isinstance(operator, SparseMatrix | DenseMatrix) and not is_traced(operator)
    symmetric = problem.symmetric
    if symmetric is None:
        symmetric = entries and problem.lacks("symmetric") is None
    M = _scaling(operator)
    if not symmetric:
        return GMRES(preconditioner=M)
    if problem.positive_definite or (entries and dominant(operator.matrix)):  # pyright: ignore[reportAttributeAccessIssue]
        return CG(preconditioner=M)
    if problem.positive_definite is False or problem.lacks("positive_definite") is not None:
        return MINRES(preconditioner=M)
    if not entries or "host" not in problem.engine(("host", "traced")):
        # Whether a compiled loop met an indefinite matrix is known too late to change the method.
        return MINRES(preconditioner=M)
    return SymmetricDefault(M)


def _scaling(operator: Any) -> Preconditioner | None:
    diagonal = known_diagonal(operator)
    if diagonal is None or not (diagonal > 0).all():
        return None
    return JacobiPreconditioner() if diagonal.max() > 4 * diagonal.min() else None


def dominant(matrix: Any) -> bool:
    """Whether a symmetric matrix is diagonally dominant with a positive diagonal: then definite."""
    diagonal = np.asarray(matrix.diagonal())
    if not (diagonal > 0).all():
        return False
    sizes = abs(matrix).sum(axis=1)
    # Rounding of the row sums must not turn an exactly balanced row into an indefinite one.
    return bool((np.asarray(sizes).ravel() <= 2 * diagonal * (1 + 1e-14)).all())


class DefaultState(NamedTuple):
    definite: bool  # nothing has spoken against it yet
    inner: Any
    spent: dict[str, int]


class SymmetricDefault(Method):
    """CG, and MINRES from where CG meets a direction of negative curvature.

    A symmetric matrix with a positive diagonal is usually positive definite, and only CG's own
    steps can cheaply show that it is not.
    """

    preconditioner: Preconditioner | None = None
    cg: Any = None  # bound to the problem

    name: ClassVar[str] = "cg, else minres"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric",)
    engines: ClassVar[tuple[Engine, ...]] = ("host",)

    def bind(self, problem: LinearSystem) -> "SymmetricDefault":
        cg = CG(self.preconditioner).bind(problem)
        return SymmetricDefault(cg.preconditioner, cg)

    def limit(self, problem: LinearSystem) -> int:
        return CG().limit(problem)

    def _method(self, state: DefaultState) -> Any:
        return self._first() if state.definite else MINRES(self.preconditioner)

    def _first(self) -> Any:
        return CG(self.preconditioner) if self.cg is None else self.cg

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> DefaultState:
        return DefaultState(True, self._first().init(problem, x0, memory, key), {})

    def step(self, problem: LinearSystem, state: DefaultState) -> DefaultState:
        return self.advance(problem, copied(state), 1, -1.0)[0]

    def advance(
        self, problem: LinearSystem, state: DefaultState, steps: int, target: float
    ) -> tuple[DefaultState, Any]:
        method = self._method(state)
        try:
            if state.definite:
                inner, trace = method.advance(problem, state.inner, steps, target)
            else:
                inner, trace = run_steps(method, problem, state.inner, steps, target)
        except Interrupted as stop:
            raise Interrupted(state._replace(inner=stop.state), stop.trace) from None
        if not state.definite or method.status(inner) != Reason.breakdown.code:
            return state._replace(inner=inner), trace
        x, _ = method.iterate(problem, inner)
        spent = method.calls(problem, inner)
        following = MINRES(self.preconditioner).init(problem, x, Memory(), None)
        state = DefaultState(False, following, spent)
        if len(trace) == steps:
            return state, trace
        try:
            state, more = self.advance(problem, state, steps - len(trace), target)
        except Interrupted as stop:
            raise Interrupted(stop.state, np.concatenate([trace, stop.trace])) from None
        return state, np.concatenate([trace, more])

    def measure(self, problem: LinearSystem, state: DefaultState) -> Any:
        return self._method(state).measure(problem, state.inner)

    def status(self, state: DefaultState) -> Any:
        return self._method(state).status(state.inner)

    def iterate(self, problem: LinearSystem, state: DefaultState) -> tuple[Any, Any]:
        return self._method(state).iterate(problem, state.inner)

    def refresh(self, problem: LinearSystem, state: DefaultState) -> DefaultState:
        return state._replace(inner=self._method(state).refresh(problem, state.inner))

    def calls(self, problem: LinearSystem, state: DefaultState) -> dict[str, Any]:
        calls = self._method(state).calls(problem, state.inner)
        return {name: n + state.spent.get(name, 0) for name, n in calls.items()}

    def __str__(self) -> str:
        M = self.preconditioner
        return self.name if M is None else f"{self.name}, with {type(M).__name__}"
