"""Gradient steps on samples of the data, whose sizes need no constants: Polyak's and Armijo's."""

import abc
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, refuse
from resolvent._core.line_search import backtracked, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.value import static
from resolvent.composite.gradients.proximal_gradient import secant_step
from resolvent.composite.problem import Composite
from resolvent.composite.second_term import whole_slope
from resolvent.inclusion.sampling import words_of


class SampledState(NamedTuple):
    x: Any
    value: Any
    """f + g on all samples."""
    gradient: Any
    step_size: Any
    merit: Any
    key: Any
    values: Any
    """Of samples, or of the whole where steps take all of them."""
    gradients: Any
    wholes: Any
    """Values with gradients on all samples."""


class _SampledGradient(Method):
    """One pass over the samples in random order, a gradient step for each batch of them."""

    batch: int | None = static(default=16)

    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "differentiable")
    engines: ClassVar = ("traced",)
    random: ClassVar[bool] = True
    monitored: ClassVar[int] = 10_000

    def __post_init__(self) -> None:
        if self.batch is not None:
            count("batch", self.batch, least=1)

    def check(self, problem: Composite) -> None:
        if self.batch is not None and problem.samples() is None:
            refuse(
                ValueError, "batch", given=f"{self.batch} for a problem without samples",
                needed="arrays in args whose first axes have one length, or dense X",
                advice=f"Write {type(self).__name__}(batch=None) for steps on all of the data.",
            )  # fmt: skip

    @abc.abstractmethod
    def _moved(
        self, problem: Composite, x: Any, value: Any, gradient: Any, step: Any
    ) -> tuple[Any, Any, Any]:
        """The next point, the size of the step, and how many values it took."""

    def init(self, problem: Composite, x0: Any, memory: Memory, key: Any) -> SampledState:
        value, gradient, own = whole_slope(problem, x0)
        step = jnp.asarray(secant_step(problem, x0, own), value.dtype)
        merit = jnp.asarray(problem.merit(x0, own), value.dtype)
        zero = jnp.zeros((), jnp.int32)
        return SampledState(x0, value, gradient, step, merit, words_of(key), zero, zero, zero + 2)

    def step(self, problem: Composite, state: SampledState) -> SampledState:
        n, key = problem.samples(), state.key
        if self.batch is None or n is None or self.batch >= n:
            x, step, values = self._moved(
                problem, state.x, state.value, state.gradient, state.step_size
            )
            gradients = 0
        else:
            gradients = n // self.batch
            key, own = jax.random.split(jax.random.wrap_key_data(key))
            key = jax.random.key_data(key)
            order = jax.random.permutation(own, n)[: gradients * self.batch]

            def one(carry: Any, rows: Any) -> Any:
                x, step, values = carry
                part = problem.sampled(rows)
                value, gradient, _ = whole_slope(part, x)
                x, step, more = self._moved(part, x, value, gradient, step)
                return (x, step, values + more), None

            begin = state.x, state.step_size, jnp.zeros((), jnp.int32)
            rows = order.reshape(gradients, self.batch)
            (x, step, values), _ = jax.lax.scan(one, begin, rows)
        value, gradient, own = whole_slope(problem, x)
        return SampledState(
            x, value, gradient, step, jnp.asarray(problem.merit(x, own), state.merit.dtype), key,
            state.values + values, state.gradients + gradients, state.wholes + 1,
        )  # fmt: skip

    def measure(self, problem: Composite, state: SampledState) -> Any:
        return state.merit

    def iterate(self, problem: Composite, state: SampledState) -> tuple[Any, None]:
        return state.x, None

    def refresh(self, problem: Composite, state: SampledState) -> SampledState:
        value, gradient, own = whole_slope(problem, state.x)
        merit = jnp.asarray(problem.merit(state.x, own), state.merit.dtype)
        return state._replace(value=value, gradient=gradient, merit=merit, wholes=state.wholes + 1)

    def calls(self, problem: Composite, state: SampledState) -> dict[str, Any]:
        return {
            "gradient": state.wholes, "sampled_gradient": state.gradients, "value": state.values,
        }  # fmt: skip


class PolyakGradient(_SampledGradient):
    """Gradient steps on batches of samples, by Polyak's rule for a least value that is known.

    Solves `Composite` problems whose g has a gradient: x <- x - min(s, (F(x) - F*) / |G|^2) G,
    where F is f + g on the samples of a batch, G its gradient and F* its least value. An iteration
    is one pass over the samples in random order.

    The problem's `args` are the data: arrays whose first axis counts samples, and f is a mean over
    it, so that f on rows of them estimates f. A `GeneralizedLinear` with dense X is such a problem.

    Args:
        batch: samples a step; None for all of them, in which case args need no samples.
        lowest: F*, the same for all batches: 0 where a model can fit every sample.
        most: s, in the unit of x over the gradient.

    Raises:
        ValueError: for less than one sample a step, a problem without samples, a least value that
            is not finite, a longest step that is not positive, or a g without a gradient.

    Cost per iteration:
        A gradient on each sample, and one of all samples for the certificate; with batch=None one
        in all.

    Convergence:
        With all samples and F* the least value, F(x_k) - F* falls like O(1 / k) if F is smooth and
        convex, linearly if strongly so. With batches the same holds if one x is the least of
        all batches; elsewhere steps do not come to rest.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((64, 3))
        problem = rs.GeneralizedLinear(X, X @ np.array([1.0, -2.0, 0.5]))
        sol = rs.solve(problem, rs.composite.PolyakGradient(), rtol=1e-6)
        assert np.allclose(sol.x, [1.0, -2.0, 0.5], atol=1e-4)
        ```

    Reference:
        N. Loizou, S. Vaswani, I. Laradji, S. Lacoste-Julien (2021), Stochastic Polyak step-size for
        SGD: an adaptive learning rate for fast convergence, arXiv 2002.10542.
    """

    lowest: Any = 0.0
    most: Any = math.inf

    name: ClassVar[str] = "polyak-gradient"

    def __post_init__(self) -> None:
        super().__post_init__()
        between("lowest", self.lowest, -math.inf, math.inf, "It is the least value of f + g.")
        if self.most != math.inf:
            between("most", self.most, 0.0, math.inf, "A step must go forward.")

    def _moved(
        self, problem: Composite, x: Any, value: Any, gradient: Any, step: Any
    ) -> tuple[Any, Any, Any]:
        square = trees.dot(gradient, gradient).astype(value.dtype)
        above = jnp.maximum(value - self.lowest, 0)
        step = jnp.minimum(
            jnp.where(square > 0, above / jnp.where(square > 0, square, 1), 0), self.most
        )
        return trees.plus(x, -step, gradient), step, 0


class ArmijoGradient(_SampledGradient):
    """Gradient steps on batches of samples, each as long as makes its own batch fall enough.

    Solves `Composite` problems whose g has a gradient: x <- x - s G with
    F(x - s G) <= F(x) - decrease s |G|^2, where F is f + g on the samples of a batch and G its
    gradient. The search begins with a step longer than the last one. An iteration is one pass over
    the samples in random order.

    The problem's `args` are the data: arrays whose first axis counts samples, and f is a mean over
    it, so that f on rows of them estimates f. A `GeneralizedLinear` with dense X is such a problem.

    Args:
        batch: samples a step; None for all of them, in which case args need no samples.
        decrease: the share of the slope that a step must realize.
        growth: what the search begins with, over the last step.
        most: the longest step, in the unit of x over the gradient.

    Raises:
        ValueError: for less than one sample a step, a problem without samples, a decrease outside
            (0, 1), a growth that is not above 1, a longest step that is not positive, or a g
            without a gradient.

    Cost per iteration:
        A gradient on each sample and about two values, and one of all samples for the certificate;
        with batch=None one gradient in all.

    Convergence:
        With all samples gradients vanish for F that is bounded from below and smooth. With batches
        convex F falls like O(1 / k), linearly if strongly convex, if one x is the least of all
        batches and decrease >= 1 / 2; elsewhere steps do not come to rest.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((64, 3))
        problem = rs.GeneralizedLinear(X, X @ np.array([1.0, -2.0, 0.5]))
        sol = rs.solve(problem, rs.composite.ArmijoGradient(), rtol=1e-6)
        assert np.allclose(sol.x, [1.0, -2.0, 0.5], atol=1e-4)
        ```

    Reference:
        S. Vaswani, A. Mishkin, I. Laradji, M. Schmidt, G. Gidel, S. Lacoste-Julien (2019), Painless
        stochastic gradient: interpolation, line-search, and convergence rates, arXiv 1905.09997.
    """

    decrease: Any = 0.5
    growth: Any = 1.5
    most: Any = math.inf

    name: ClassVar[str] = "armijo-gradient"

    def __post_init__(self) -> None:
        super().__post_init__()
        between("decrease", self.decrease, 0.0, 1.0, "No step realizes more than the slope.")
        between("growth", self.growth, 1.0, math.inf, "Steps must be able to grow.")
        if self.most != math.inf:
            between("most", self.most, 0.0, math.inf, "A step must go forward.")

    def _moved(
        self, problem: Composite, x: Any, value: Any, gradient: Any, step: Any
    ) -> tuple[Any, Any, Any]:
        def look(step: Any) -> tuple[Any, Any]:
            new = trees.plus(x, -step, gradient)
            return new, problem.objective(new).astype(value.dtype)

        fall = self.decrease * trees.dot(gradient, gradient).astype(value.dtype)
        first = jnp.minimum(self.growth * step, self.most)
        (new, _), found, tries = backtracked(look, _too_high, first, (value, fall), shrink=0.7)
        # Where values no longer show a fall, nothing says that a longer step is no worse.
        seen = found * fall > 4 * rounding(value)
        return new, jnp.where(seen, found, jnp.minimum(found, step)), tries


def _too_high(trial: Any, step: Any, value: Any, fall: Any) -> Any:
    """Whether a trial falls too little; true for NaN."""
    return ~(trial[1] <= value - step * fall + rounding(value))
