"""Loopless variance-reduced extragradient and forward-reflected-backward methods."""

import math
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core.checks import between, count
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.inclusion.average_constants import average_constants, evaluations
from resolvent.inclusion.loopless import Loop, Reduction, begun, chance, one_step, theory
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.sampling import words_of

_WORSE = 1e3  # times its first value: a residual that has diverged


class LooplessState(NamedTuple):
    loop: Loop
    first: Any


class _Loopless(Method):
    """A snapshot with all of F, and steps that correct it with a component each."""

    step_size: Any = None
    batch: int = static(default=1)
    spent: int = static(default=0)

    solves: ClassVar = (Inclusion,)
    needs: ClassVar[tuple[str, ...]] = ("components", "monotone")
    engines: ClassVar = ("traced",)
    random: ClassVar[bool] = True
    monitored: ClassVar[int] = 1_000_000
    extragradient: ClassVar[bool]

    def __post_init__(self) -> None:
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "A step must go forward.")
        count("batch", self.batch, least=1)

    def _rule(self, problem: Inclusion) -> Reduction:
        batch = min(self.batch, problem.F.components)
        p = chance(batch, problem.F.components)
        return Reduction(self.extragradient, 1.0, 0.0, self.step_size, p, batch)

    def bind(self, problem: Inclusion) -> Any:
        if self.step_size is not None:
            return self.but(spent=0)
        F: Any = problem.F
        L, spent = F.lipschitz, 0
        if L is None:
            L = average_constants(F, problem.first).lipschitz
            L, spent = jnp.where(L > 0, L, 1.0), evaluations(F, problem.first)
        part = theory(self.extragradient, self._rule(problem).p)
        return self.but(step_size=part / L, spent=spent)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> LooplessState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = jnp.asarray(problem.merit(x, Fx))
        return LooplessState(begun(x, Fx, merit, words_of(key)), merit)

    def step(self, problem: Inclusion, state: LooplessState) -> LooplessState:
        return state._replace(loop=one_step(problem, self._rule(problem), None, state.loop))

    def measure(self, problem: Inclusion, state: LooplessState) -> Any:
        return state.loop.merit

    def status(self, state: LooplessState) -> Any:
        return jnp.where(state.loop.merit > _WORSE * state.first, Reason.diverged.code, 0)

    def limit(self, problem: Inclusion) -> int:
        return 1000 * max(problem.F.components, 100)

    def iterate(self, problem: Inclusion, state: LooplessState) -> tuple[Any, None]:
        return state.loop.w, None

    def calls(self, problem: Inclusion, state: LooplessState) -> dict[str, Any]:
        spent = self._rule(problem).calls(problem, state.loop)
        begin = (1 + self.spent) * problem.F.components
        return {"component": spent["component"] + begin, "resolvent": spent["resolvent"] + 1}


class VarianceReducedExtragradient(_Loopless):
    """Extragradient steps with one component each, corrected by a snapshot.

    Solves `Inclusion` problems with a `FiniteSum`. With a snapshot w and z = (1 - p) v + p w it
    looks at y = J(z - step F(w)), goes to v = J(z - step (F(w) + F_i(y) - F_i(w))), and makes v the
    snapshot with probability p. The returned point is the snapshot.

    Args:
        step_size: None takes 0.99 sqrt(p) / L with L the Lipschitz constant on average that the
            `FiniteSum` states, or an estimate of it.
        batch: components a step; p = batch / n.
        spent: evaluations of all components for that estimate; filled in by `bind`.

    Raises:
        ValueError: for parameters that are not positive.

    Cost per iteration:
        Two components a member of the batch, n more with probability p, two resolvents.

    Convergence:
        For F monotone and Lipschitz on average the iterates converge almost surely; an accuracy
        epsilon of the averaged gap costs O(n + sqrt(n) L / epsilon) components.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        F = rs.inclusion.FiniteSum(lambda x, s: s * x, jnp.linspace(0.5, 1.5, 50), lipschitz=1.1)
        problem = rs.Inclusion(F, start=jnp.ones(2))
        method = rs.inclusion.VarianceReducedExtragradient()
        assert rs.solve(problem, method, rtol=1e-4, key=0).converged
        ```

    Reference:
        A. Alacaoglu, Y. Malitsky (2022), Stochastic variance reduction for variational inequality
        methods, arXiv:2102.08352.
    """

    name: ClassVar[str] = "variance-reduced-extragradient"
    extragradient: ClassVar[bool] = True


class VarianceReducedForwardReflected(_Loopless):
    """Forward-reflected-backward steps with one component each, corrected by a snapshot.

    Solves `Inclusion` problems with a `FiniteSum`. With snapshots w and, before it, w', it goes to
    v = J((1 - p) v + p w - step (F(w) + F_i(v) - F_i(w'))), and makes it the snapshot with
    probability p. The returned point is the snapshot.

    Args:
        step_size: None takes sqrt(p (1 - p)) / (2 L) with L the Lipschitz constant on average that
            the `FiniteSum` states, or an estimate of it.
        batch: components a step; p = batch / n.
        spent: evaluations of all components for that estimate; filled in by `bind`.

    Raises:
        ValueError: for parameters that are not positive.

    Cost per iteration:
        Two components a member of the batch, n more with probability p, one resolvent.

    Convergence:
        For F monotone and Lipschitz on average the iterates converge almost surely; an accuracy
        epsilon of the averaged gap costs O(n + sqrt(n) L / epsilon) components.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        F = rs.inclusion.FiniteSum(lambda x, s: s * x, jnp.linspace(0.5, 1.5, 50), lipschitz=1.1)
        problem = rs.Inclusion(F, start=jnp.ones(2))
        method = rs.inclusion.VarianceReducedForwardReflected()
        assert rs.solve(problem, method, rtol=1e-4, key=0).converged
        ```

    Reference:
        A. Alacaoglu, Y. Malitsky, V. Cevher (2021), Forward-reflected-backward method with variance
        reduction.
    """

    name: ClassVar[str] = "variance-reduced-forward-reflected"
    extragradient: ClassVar[bool] = False
