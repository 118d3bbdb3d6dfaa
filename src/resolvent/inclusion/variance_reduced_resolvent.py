"""Halpern's iteration on the resolvent, which is computed from few components at a time."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, one_of
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.inclusion.average_constants import average_constants, evaluations
from resolvent.inclusion.loopless import (
    Loop,
    Reduction,
    begun,
    begun_anew,
    chance,
    one_step,
    shifted,
    theory,
)  # fmt: skip
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.sampling import words_of

_WORSE = 1e3  # times its first value: a residual that has diverged
_PATIENCE = 50.0  # times what the inner loop should take: it has failed
_FAILURES = 3  # of inner loops, after which a constant must be wrong


class ResolventState(NamedTuple):
    anchor: Any
    u: Any
    x: Any
    merit: Any
    first: Any
    loop: Loop
    inner: Any
    k: Any
    late: Any


class VarianceReducedResolvent(Method):
    """Halpern's iteration on the resolvent of F + G, for monotone finite sums.

    Solves `Inclusion` problems with a `FiniteSum`: v_k approximates (I + eta (F + G))^-1 u_k by
    loopless variance reduction, and u_{k+1} = u_0 / (k + 2) + (1 - 1 / (k + 2)) v_k. The inner
    problem is 1-strongly monotone, so that its residual r bounds the distance of v_k to the
    resolvent; the inner loop ends where, at a snapshot, `||r|| <= accuracy ||v - u_k|| / (k + 2)`.
    The returned point is the best of the last snapshot and the last u_k. A step is one of the inner
    loop.

    Args:
        eta: of the resolvent; None takes sqrt(n) / L with L the Lipschitz constant on average that
            the `FiniteSum` states, or an estimate of it, which costs up to 51 evaluations of all
            components.
        inner: `forb`, forward-reflected-backward, or `extragradient`.
        factor: multiplies the inner step size of theory, which is sqrt(p (1 - p)) / 2, or
            0.99 sqrt(p), over eta L + 1, with p = batch / n the chance of a snapshot.
        accuracy: of the inner loop, in (0, 1].
        budget: None for that test; else the inner loop does `budget n log(k + 2)` steps.
        batch: components an inner step.
        constant: the Lipschitz constant on average; filled in by `bind`.
        spent: evaluations of all components for its estimate; filled in by `bind`.

    Raises:
        ValueError: for parameters outside their ranges.

    Cost per iteration:
        Two components a member of the batch, and one resolvent, two with `extragradient`; n
        components more with probability p, and for each u_k, of which there is one in
        O(n log(k) / batch) steps.

    Convergence:
        For F monotone and L-Lipschitz on average and G maximally monotone, the expected residual
        is O(||x_0 - x*|| / (eta k)) up to logarithms: an accuracy epsilon costs
        O(n + sqrt(n) L / epsilon) components instead of O(n L_F / epsilon). Ends as diverged where
        inner loops fail, which says that L is too small or F not monotone.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        s = jnp.linspace(0.5, 1.5, 100)
        F = rs.inclusion.FiniteSum(
            lambda x, s: s * jnp.stack([x[1], -x[0]]), s, lipschitz=1.1
        )
        problem = rs.Inclusion(F, start=jnp.ones(2))
        sol = rs.solve(problem, rs.inclusion.VarianceReducedResolvent(), rtol=1e-2, key=0)
        assert sol.converged
        ```

    Reference:
        X. Cai, A. Alacaoglu, J. Diakonikolas (2024), Variance Reduced Halpern Iteration for
        Finite-Sum Monotone Inclusions, arXiv:2310.02987.
    """

    eta: Any = None
    inner: str = static(default="forb")
    factor: Any = 1.0
    accuracy: Any = 0.5
    budget: float | None = None
    batch: int = static(default=1)
    constant: Any = dataclasses.field(default=None, kw_only=True)
    spent: int = static(default=0)

    name: ClassVar[str] = "variance-reduced-resolvent"
    solves: ClassVar = (Inclusion,)
    needs: ClassVar[tuple[str, ...]] = ("components", "monotone")
    engines: ClassVar = ("traced",)
    random: ClassVar[bool] = True
    monitored: ClassVar[int] = 1_000_000

    def __post_init__(self) -> None:
        one_of("inner", self.inner, ("forb", "extragradient"))
        if self.eta is not None:
            between("eta", self.eta, 0.0, math.inf, "A resolvent has a positive step.")
        between("factor", self.factor, 0.0, math.inf, "1 is what theory gives.")
        between("accuracy", self.accuracy, 0.0, math.nextafter(1.0, 2.0), "1 is loosest.")
        if self.budget is not None:
            between("budget", self.budget, 0.0, math.inf, "None takes the computable test.")
        count("batch", self.batch, least=1)

    def bind(self, problem: Inclusion) -> "VarianceReducedResolvent":
        F: Any = problem.F
        L, spent = F.lipschitz if self.constant is None else self.constant, 0
        if L is None:
            L = average_constants(F, problem.first).lipschitz
            L, spent = jnp.where(L > 0, L, 1.0), evaluations(F, problem.first)
        eta = math.sqrt(F.components) / L if self.eta is None else self.eta
        return self.but(eta=eta, constant=L, spent=spent)

    def _rule(self, problem: Inclusion) -> Reduction:
        batch, extragradient = min(self.batch, problem.F.components), self.inner != "forb"
        p = chance(batch, problem.F.components)
        tau = self.factor * theory(extragradient, p) / (self.eta * self.constant + 1.0)
        return Reduction(extragradient, self.eta, 1.0, tau, p, batch)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> ResolventState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = jnp.asarray(problem.merit(x, Fx))
        zero = jnp.zeros((), jnp.int32)
        loop = begun(x, Fx, merit, words_of(key))
        return ResolventState(x, x, x, merit, merit, loop, zero, zero, zero)

    def step(self, problem: Inclusion, state: ResolventState) -> ResolventState:
        rule, u, k = self._rule(problem), state.u, state.k
        loop = one_step(problem, rule, u, state.loop)
        inner, late = state.inner + 1, state.late
        if self.budget is None:
            # Norms cost as much as the rest of a step: they are taken where there is a snapshot.
            done = jax.lax.cond(
                loop.fresh,
                lambda _: self._near(rule, u, loop, k),
                lambda _: jnp.asarray(False),
                None,
            )
            failed = (inner >= self._usual(rule, k) * _PATIENCE) & ~done
            ended, late = done | failed, late + failed
        else:
            ended = inner >= self.budget * problem.F.components * jnp.log(k + 2.0)

        def moved(_: Any) -> Any:
            v = loop.v if self.budget is not None else loop.w
            weight = (1.0 / (k + 2)).astype(state.merit.dtype)
            after = trees.combined((weight, state.anchor), (1.0 - weight, v))
            Fu = problem.operator(after)
            merit = jnp.asarray(problem.merit(after, Fu), state.merit.dtype)
            better = merit <= loop.merit
            x = trees.where(better, after, loop.w)
            fresh = begun_anew(loop, after, Fu, merit)
            return after, x, jnp.where(better, merit, loop.merit), fresh

        def renewed(_: Any) -> Any:
            return u, loop.w, loop.merit, loop

        def stayed(_: Any) -> Any:
            return u, state.x, state.merit, loop

        which = jnp.where(ended, 2, loop.fresh.astype(jnp.int32))
        after, x, merit, loop = jax.lax.switch(which, (stayed, renewed, moved), None)
        return ResolventState(
            state.anchor, after, x, merit, state.first, loop, jnp.where(ended, 0, inner),
            k + ended, late,
        )  # fmt: skip

    def _near(self, rule: Reduction, u: Any, loop: Loop, k: Any) -> Any:
        """Whether the snapshot is near enough to the resolvent of u."""
        error = trees.norm(trees.plus(shifted(rule, u, loop.w, loop.Fw), 1.0, loop.pull))
        return error <= self.accuracy * trees.norm(trees.minus(loop.w, u)) / (k + 2.0)

    def _usual(self, rule: Reduction, k: Any) -> Any:
        """Steps that an inner loop should take at most: shorter ones than theory's take longer."""
        steps = 1.0 / rule.p + math.sqrt(1.0 / rule.p) * (self.eta * self.constant + 1.0)
        return steps * (1.0 + jnp.log(k + 2.0)) / jnp.minimum(self.factor, 1.0)

    def measure(self, problem: Inclusion, state: ResolventState) -> Any:
        return state.merit

    def status(self, state: ResolventState) -> Any:
        bad = (state.merit > _WORSE * state.first) | (state.late >= _FAILURES)
        return jnp.where(bad, Reason.diverged.code, 0)

    def limit(self, problem: Inclusion) -> int:
        return 1000 * max(problem.F.components, 100)

    def iterate(self, problem: Inclusion, state: ResolventState) -> tuple[Any, None]:
        return state.x, None

    def calls(self, problem: Inclusion, state: ResolventState) -> dict[str, Any]:
        spent = self._rule(problem).calls(problem, state.loop)
        begin = (1 + self.spent) * problem.F.components
        return {"component": spent["component"] + begin, "resolvent": spent["resolvent"] + 1}
