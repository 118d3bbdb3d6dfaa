"""Relaxation whose parameter is chosen by a bandit, better with every system of a sequence."""

import math
from typing import Any, ClassVar, NamedTuple

from resolvent._core.checks import refuse
from resolvent._core.host import Interrupted, run_steps
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.problem import Engine
from resolvent._core.value import Value, static
from resolvent.linear.bandit import TsallisINF
from resolvent.linear.cg import CG
from resolvent.linear.krylov import PreconditionedMethod
from resolvent.linear.learner import Choice, Learner
from resolvent.linear.preconditioners import SSORPreconditioner
from resolvent.linear.problem import LinearSystem
from resolvent.linear.relaxation import SOR, SSOR

ENTRY = "relaxation"


class Relaxation(Value):
    """What `LearnedRelaxation` leaves in memory, as its entry `relaxation`.

    Attributes:
        state: what the learner knows by now; `flagged` and `outside` in it count rounds with an
            unsound distribution and contexts outside the declared range.
        omega: the relaxation parameter of the last solve.
        arm: its index in the learner's grid.
        probability: the probability with which it was drawn.
        cost: the iterations that the learner was told, 0 if there was nothing to learn from.
        learner: who learned it.
        solver: what the parameter was for.
    """

    state: Any
    omega: float
    arm: int
    probability: float
    cost: int
    learner: Learner
    solver: str = static()


class RelaxationState(NamedTuple):
    inner: Any
    learned: Any
    choice: Choice
    steps: int


class LearnedRelaxation(Method):
    """Relaxation with a parameter that is learned over a sequence of systems.

    Solves A_t x = b_t, t = 1, 2, ..., A_t symmetric positive definite, by `method` with a
    relaxation parameter omega_t that `learner` draws from its grid before each solve. It is then
    told the number of steps k_t(omega_t), and nothing else, so as to make the sum of k_t small.
    What was learned is the memory entry `relaxation`, a `Relaxation`, which also says what was
    drawn. It belongs to no size: a sequence may go on at another one.

    Args:
        method: `SOR`, `SSOR`, or a Krylov method with an `SSORPreconditioner`; its own omega is
            not used.
        learner: `TsallisINF` learns the best single parameter. `BinnedTsallisINF` and `ChebCB`
            learn it as a function of a number that is given with each system,
            `LinearSystem(A, b, context=c)`.

    Raises:
        TypeError: if `method` has no relaxation parameter, or `learner` is none.
        ValueError: if A is not symmetric, has a diagonal entry that is not positive, or has
            unknown entries; if the learner needs a context and the problem has none.

    Cost per iteration:
        That of `method`, and once a solve that of the learner: tens of microseconds, whatever the
        number of systems before.

    Convergence:
        That of `method`, for each omega in (0, 2). The learner's regret is sublinear: see there.
        A solve that needs no step teaches nothing; one that ends at its step limit counts as so
        many steps, one that breaks down as the method's own limit.

    Example:
        ```python
        import numpy as np, scipy.sparse as sp, resolvent as rs
        A = sp.diags_array([[-1.0] * 99, [2.0] * 100, [-1.0] * 99], offsets=[-1, 0, 1])
        rng = np.random.default_rng(0)
        systems = (
            rs.LinearSystem(A + c * sp.eye_array(100), rng.standard_normal(100), context=c)
            for c in rng.random(50)
        )
        method = rs.linear.LearnedRelaxation(learner=rs.linear.ChebCB(low=0.0, high=1.0))
        sols = list(rs.solve_sequence(systems, method, rtol=1e-8))
        omegas = [sol.memory.get("relaxation").omega for sol in sols]
        assert all(sol.converged for sol in sols) and len(set(omegas)) > 1
        ```

    Reference:
        M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar (2024), Learning to Relax: Setting Solver
        Parameters Across a Sequence of Linear System Instances, arXiv 2310.02246.
    """

    method: Any = CG(preconditioner=SSORPreconditioner())
    learner: Learner = TsallisINF()

    reads: ClassVar[tuple[str, ...]] = (ENTRY,)
    name: ClassVar[str] = "learned-relaxation"
    solves: ClassVar = (LinearSystem,)
    needs: ClassVar[tuple[str, ...]] = ("symmetric", "positive_definite", "entries", "diagonal")
    engines: ClassVar[tuple[Engine, ...]] = ("host",)
    random: ClassVar[bool] = True
    in_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        method, learner = self.method, self.learner
        if not isinstance(method, SOR | SSOR) and not (
            isinstance(method, PreconditionedMethod) and isinstance(method.M, SSORPreconditioner)
        ):
            refuse(
                TypeError, "method", given=f"{method!r}",
                needed="SOR(), SSOR(), or a Krylov method with an SSORPreconditioner",
                advice="Write CG(preconditioner=SSORPreconditioner()), for example.",
            )  # fmt: skip
        if not isinstance(learner, Learner):
            refuse(
                TypeError, "learner", given=f"{learner!r}",
                needed="TsallisINF(), BinnedTsallisINF(low, high) or ChebCB(low, high)",
                advice="Without contexts take TsallisINF().",
            )  # fmt: skip

    def check(self, problem: LinearSystem) -> None:
        if self.learner.contextual and problem.context is None:
            name = type(self.learner).__name__
            refuse(
                ValueError, "context", given=f"none with {name}",
                needed="one number that describes the system (a shift, a coefficient, a time step)",
                advice="Write LinearSystem(A, b, context=c), or take TsallisINF, "
                "which needs none.",
            )  # fmt: skip

    def limit(self, problem: LinearSystem) -> int:
        return self.method.limit(problem)

    def bind(self, problem: LinearSystem) -> "LearnedRelaxation":
        return self.but(method=self.method.bind(problem))

    def init(self, problem: LinearSystem, x0: Any, memory: Memory, key: Any) -> RelaxationState:
        learner = self.learner
        learned = self._recalled(memory)
        # The same key with a memory that has grown is another draw, so that a user who passes no
        # key at all does not draw the same quantile for ever.
        key.bit_generator.advance(learner.rounds(learned))
        choice = learner.choose(learned, problem.context, key)
        inner = self._with(choice).init(problem, x0, memory, None)
        return RelaxationState(inner, learned, choice, 0)

    def _recalled(self, memory: Memory) -> Any:
        """The learner's state in memory, if it is this learner's and of this method."""
        kept, learner = memory.get(ENTRY), self.learner
        if (
            isinstance(kept, Relaxation)
            and kept.learner == learner
            and kept.solver == solver_of(self.method)
        ):
            learned = learner.admit(kept.state)
            if learned is not None:
                return learned
        return learner.start()

    def _with(self, choice: Choice) -> Any:
        method, omega = self.method, self.learner.grid[choice.arm]
        if isinstance(method, PreconditionedMethod):
            template: Any = method.M  # set up already where the method does not merge it
            return method.but(preconditioner=template.but(omega=omega))
        return method.but(omega=omega)

    def step(self, problem: LinearSystem, state: RelaxationState) -> RelaxationState:
        inner = self._with(state.choice).step(problem, state.inner)
        return state._replace(inner=inner, steps=state.steps + 1)

    def advance(
        self, problem: LinearSystem, state: RelaxationState, steps: int, target: float
    ) -> tuple[RelaxationState, Any]:
        method = self._with(state.choice)
        advance = getattr(method, "advance", None)
        try:
            if advance is None:
                inner, trace = run_steps(method, problem, state.inner, steps, target)
            else:
                inner, trace = advance(problem, state.inner, steps, target)
        except Interrupted as stop:
            raise Interrupted(self._after(state, stop.state, stop.trace), stop.trace) from None
        return self._after(state, inner, trace), trace

    def _after(self, state: RelaxationState, inner: Any, trace: Any) -> RelaxationState:
        return RelaxationState(inner, state.learned, state.choice, state.steps + len(trace))

    def measure(self, problem: LinearSystem, state: RelaxationState) -> Any:
        return self.method.measure(problem, state.inner)

    def status(self, state: RelaxationState) -> Any:
        return self.method.status(state.inner)

    def iterate(self, problem: LinearSystem, state: RelaxationState) -> tuple[Any, Any]:
        return self.method.iterate(problem, state.inner)

    def refresh(self, problem: LinearSystem, state: RelaxationState) -> RelaxationState:
        return state._replace(inner=self._with(state.choice).refresh(problem, state.inner))

    def calls(self, problem: LinearSystem, state: RelaxationState) -> dict[str, Any]:
        return self.method.calls(problem, state.inner)

    def remember(self, problem: LinearSystem, state: RelaxationState) -> dict[str, Entry]:
        learner, choice, learned, cost = self.learner, state.choice, state.learned, state.steps
        if cost:
            measure = float(self.method.measure(problem, state.inner))
            if self.method.status(state.inner) or not math.isfinite(measure):
                cost = max(cost, self.limit(problem))
            learned = learner.update(learned, choice, problem.context, cost)
        entry = Relaxation(
            learned, learner.grid[choice.arm], choice.arm, float(choice.probabilities[choice.arm]),
            cost, learner, solver_of(self.method),
        )  # fmt: skip
        own = self.method.remember(problem, state.inner)
        return {**own, ENTRY: Entry(entry, depends=())}

    def __str__(self) -> str:
        return f"{self.name} ({solver_of(self.method)}, {type(self.learner).__name__})"


def solver_of(method: Any) -> str:
    """The method less its relaxation parameter, in words."""
    if isinstance(method, PreconditionedMethod):
        return f"{method.name} with ssor"
    return f"{method.name} {method.sweep}" if isinstance(method, SOR) else method.name
