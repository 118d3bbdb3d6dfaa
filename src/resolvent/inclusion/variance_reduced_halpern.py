"""Halpern's iteration with a recursive estimate of a finite sum."""

import math
import warnings
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, is_traced, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.inclusion.average_constants import average_constants, evaluations
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.sampling import batch_size, dice, draw, heads, words_of

_WORSE = 1e3  # times its first value: a residual that has diverged
_FEW = 36  # components, up to which 6 L > sqrt(n) L_F whatever the constants


class VarianceReducedState(NamedTuple):
    anchor: Any
    x: Any
    estimate: Any
    seen: Any
    merit: Any
    first: Any
    k: Any
    words: Any
    wholes: Any


class VarianceReducedHalpern(Method):
    """Halpern's iteration for finite sums that are cocoercive on average, with few components.

    Solves `Inclusion` problems with a `FiniteSum`. With F = (1 / n) sum_i F_i, an estimate E of
    F(x_k) and lambda_k = 2 / (k + 4) it iterates x_{k+1} = J(lambda_k x_0 + (1 - lambda_k) x_k -
    step E_k). With probability p_k the estimate is F(x_k) itself, and otherwise E_{k-1} plus the
    mean over a batch of F_i(x_k) - F_i(x_{k-1}). The point that is returned is the last one at
    which all of F was evaluated.

    Args:
        step_size: None takes 1 / (4 L) with L the constant of cocoercivity on average that the
            `FiniteSum` states; where it states none, one is estimated, which may be too small and
            costs up to 51 evaluations of all components. Larger steps, up to about 1.5 / L, are
            often stable and faster.
        batch: components a step; None takes the root of n.
        spent: evaluations of all components for that estimate; filled in by `bind`.

    Raises:
        ValueError: for parameters that are not positive, or without a step size for an operator
            that is not cocoercive, such as a skew one.

    Cost per iteration:
        `p_k n + 2 (1 - p_k) batch` components, about 6 sqrt(n) once k > sqrt(n), and one resolvent.

    Convergence:
        For F cocoercive on average and G maximally monotone, the expected residual of the last
        iterate is O(L ||x_0 - x*|| / k): an accuracy epsilon costs O(n + sqrt(n) L / epsilon)
        components instead of O(n L_F / epsilon). Worth it where 6 L < sqrt(n) L_F, so never for
        36 components or fewer; where the constants of more say otherwise, a warning says so.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        g = jnp.linspace(-1.0, 1.0, 400)[:, None] * jnp.ones(3)
        F = rs.inclusion.FiniteSum(lambda x, g: x - g, g, cocoercive=1.0)
        problem = rs.Inclusion(F, start=jnp.ones(3))
        sol = rs.solve(problem, rs.inclusion.VarianceReducedHalpern(), rtol=1e-2, key=0)
        assert sol.converged
        ```

    Reference:
        X. Cai, A. Alacaoglu, J. Diakonikolas (2024), Variance Reduced Halpern Iteration for
        Finite-Sum Monotone Inclusions, arXiv:2310.02987.
    """

    step_size: Any = None
    batch: int | None = static(default=None)
    spent: int = static(default=0)

    name: ClassVar[str] = "variance-reduced-halpern"
    solves: ClassVar = (Inclusion,)
    needs: ClassVar[tuple[str, ...]] = ("components",)
    engines: ClassVar = ("traced",)
    random: ClassVar[bool] = True
    monitored: ClassVar[int] = 100_000

    def __post_init__(self) -> None:
        if self.step_size is not None:
            between("step_size", self.step_size, 0.0, math.inf, "A step must go forward.")
        if self.batch is not None:
            count("batch", self.batch, least=1)

    def bind(self, problem: Inclusion) -> "VarianceReducedHalpern":
        if self.step_size is not None:
            return self.but(spent=0)
        F: Any = problem.F
        L, plain, spent = F.cocoercive, problem.lipschitz, 0
        if L is None:
            found = average_constants(F, problem.first)
            L, plain, spent = found.cocoercive, found.plain, evaluations(F, problem.first)
            if not is_traced(L):
                _refuse_turning(float(L))
            L = jnp.where(L > 0, L, 1.0)
        if plain is not None and not is_traced((L, plain)):
            _warn(float(L), float(plain), F.components)
        return self.but(step_size=0.25 / L, spent=spent)

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> VarianceReducedState:
        x = problem.nearest(x0)
        Fx = problem.operator(x)
        merit = jnp.asarray(problem.merit(x, Fx))
        zero = jnp.zeros((), jnp.int32)
        return VarianceReducedState(x, x, Fx, x, merit, merit, zero, words_of(key), zero)

    def step(self, problem: Inclusion, state: VarianceReducedState) -> VarianceReducedState:
        F: Any = problem.F
        k, n = state.k, F.components
        anchoring = (2.0 / (k + 4)).astype(state.merit.dtype)
        x = problem.resolvent(
            trees.combined(
                (anchoring, state.anchor), (1.0 - anchoring, state.x),
                (-self.step_size, state.estimate),
            ),
            self.step_size,
        )  # fmt: skip
        words = dice(state.words, k, 1 + batch_size(self.batch, n))

        def whole(_: Any) -> Any:
            Fx = problem.operator(x)
            return Fx, x, jnp.asarray(problem.merit(x, Fx), state.merit.dtype)

        def part(_: Any) -> Any:
            change = F.change(x, state.x, *draw(F, words[1:]))
            return trees.plus(state.estimate, 1.0, change), state.seen, state.merit

        # The estimate made now belongs to x_{k+1}.
        all_of_it = heads(words[0], probability(k + 1, n))
        estimate, seen, merit = jax.lax.cond(all_of_it, whole, part, None)
        return VarianceReducedState(
            state.anchor, x, estimate, seen, merit, state.first, k + 1, state.words,
            state.wholes + all_of_it,
        )  # fmt: skip

    def measure(self, problem: Inclusion, state: VarianceReducedState) -> Any:
        return state.merit

    def status(self, state: VarianceReducedState) -> Any:
        return jnp.where(state.merit > _WORSE * state.first, Reason.diverged.code, 0)

    def iterate(self, problem: Inclusion, state: VarianceReducedState) -> tuple[Any, None]:
        return state.seen, None

    def calls(self, problem: Inclusion, state: VarianceReducedState) -> dict[str, Any]:
        n = problem.F.components
        # In double precision these numbers have 64 bits, which are not too few.
        k, seen = (jnp.asarray(number, int) for number in (state.k, state.wholes))
        batches = 2 * batch_size(self.batch, n) * (k - seen)
        wholes = n * (1 + self.spent + seen)
        return {"component": batches + wholes, "resolvent": state.k + 1}


def probability(k: Any, components: int) -> Any:
    """With which the estimate of step k is all of F: 4 / (k + 4), down to 4 / (sqrt(n) + 5)."""
    late = 4.0 / (math.sqrt(components) + 5.0)
    return jnp.where(k < 2, 1.0, jnp.maximum(4.0 / (k + 4.0), late))


def _refuse_turning(L: float) -> None:
    if math.isnan(L):
        refuse(
            ValueError, "F", given="components that are not finite near the first guess",
            needed="finite numbers", advice="Look at what they return there, or begin elsewhere.",
        )  # fmt: skip
    if not math.isfinite(L):
        refuse(
            ValueError, "step_size", given="None for an operator that is not cocoercive",
            needed="a step size, or a method for monotone Lipschitz operators",
            advice="Use VarianceReducedResolvent, or state FiniteSum(..., cocoercive=L).",
        )  # fmt: skip


def _warn(L: float, plain: float, components: int) -> None:
    """Few components are never worth it, and that is written down; of many it depends."""
    if components > _FEW and math.sqrt(components) * plain < 6.0 * L:
        warnings.warn(
            f"the constant of cocoercivity on average, {L:.3g}, is {L / plain:.3g} times the "
            f"Lipschitz constant of the mean: with {components} components a deterministic method "
            "is likely to be cheaper",
            stacklevel=2,
        )
