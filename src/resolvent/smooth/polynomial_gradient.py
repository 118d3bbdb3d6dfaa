"""Gradient methods that cut the largest eigenvalues of the curvature by polynomials of it."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp

from resolvent._core import curvature as curved
from resolvent._core import trees
from resolvent._core.checks import count, one_of, refuse
from resolvent._core.krylov_space import best_in_krylov_space
from resolvent._core.line_search import backtracked, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.sphere import binary_unit
from resolvent._core.value import static, store_reals
from resolvent.smooth.endings import ending
from resolvent.smooth.problem import Minimize


class PolynomialGradientState(NamedTuple):
    x: Any
    ahead: Any
    """Where the next gradient is taken; x itself but for "fast"."""
    value: Any
    """f there, or one step before with "fast"."""
    gradient: Any
    """The gradient there, in one vector."""
    place: Any
    """B, or the point whose Hessian it is."""
    ratios: Any
    step_size: Any
    momentum: Any
    merit: Any
    status: Any
    gradients: Any
    values: Any
    products: Any


class PolynomialGradient(Method):
    """Gradient steps multiplied by a polynomial of a matrix that bounds the Hessians.

    Solves `Minimize` problems with a convex f and mu B <= H(x) <= L B for a known matrix B, such as
    A^T A where f is a sum over the entries of A x. The symmetric polynomials P_0 = I,
    P_k = e_k I - B P_{k-1}, e_k those of the spectrum from the traces of powers of B, are positive
    definite and cut the k largest eigenvalues of B, unknown as they are. What is applied is
    P = P_k / e_k.

    - "gradient": x <- x - P grad f(x) / M;
    - "fast": the same step at a point y that Nesterov's momentum leads to;
    - "krylov": x <- x - p / M, p the minimizer of <p, B p> / 2 - <grad f(x), p> over the span of
      grad f(x), B grad f(x), ..., B^k grad f(x); as good as any polynomial, and without traces.

    M is doubled until f(x - p / M) <= f(x) - <grad f(x), p> / (2 M), and tried at half of that in
    the next step; "fast" does not lower it, and its answer is the last y. `solution.witness` has
    the last `M`.

    Args:
        degree: k, how many eigenvalues to cut, at most 5; any for "krylov".
        variant: "gradient", "fast" or "krylov".
        curvature: B, [n, n], or a function that multiplies a vector [n] by it (with data of its
            own as a `jax.tree_util.Partial`); unknowns in the order of `ravel_pytree`. None for the
            Hessian at the first guess.
        traces: (tr B, ..., tr B^degree) where B is a function. They must be exact up to rounding:
            estimates make the polynomial indefinite.
        largest: M, where it is known: at least the largest eigenvalue of P H(x) for any x, or of
            B^-1 H(x) for "krylov". Nothing is searched then.
        smallest: a lower bound of the smallest eigenvalue of P H(x), for "fast" alone: the
            momentum is then constant. None for Nesterov's sequence, begun anew where a step
            points uphill.
        ratios: after set-up, the coefficients of the polynomial.

    Raises:
        ValueError: for another variant, a degree beyond 5, a B that is not symmetric positive
            semidefinite, a function without traces, traces that are not positive and finite, a
            number that would be ignored, or if not 0 < smallest <= largest.

    Cost per iteration:
        One gradient and `degree` products with B, one more for "krylov"; and for each M that is
        tried a gradient, two on average, or with "fast" a value, one on average.

    Convergence:
        With kappa = (beta / alpha)(L / mu), alpha and beta the smallest and largest eigenvalue of
        P B, f - min f falls by 1 - 1 / kappa in a step, with "fast" and `smallest` by
        1 - 1 / sqrt(kappa); for mu = 0 as O(1 / k), or O(1 / k^2). As the first `degree`
        eigenvalues of B grow, beta / alpha tends to the sum of the others over the smallest one.
        "krylov" is at least as fast as "gradient". A direction that is not one of descent ends the
        solve with reason `breakdown`.

    Example:
        ```python
        import jax.numpy as jnp, numpy as np, resolvent as rs

        def f(x, A):
            return jnp.logaddexp(0.0, A @ x).sum() + 0.01 * (x @ x)

        A = np.random.default_rng(0).standard_normal((40, 8)) * np.array([9, 5, 1, 1, 1, 1, 1, 1])
        problem = rs.Minimize(f, A, x0=np.zeros(8), convex=True)
        counts = [
            rs.solve(problem, rs.smooth.PolynomialGradient(k, curvature=A.T @ A), rtol=1e-3).steps
            for k in (0, 2)
        ]
        assert counts[1] < counts[0]
        ```

    Reference:
        N. Doikov, A. Rodomanov (2023), Polynomial preconditioning for gradient methods,
        arXiv 2301.13194.
    """

    degree: int = static(default=2)
    variant: str = static(default="gradient")
    curvature: Any = None
    traces: tuple[float, ...] | None = None
    largest: Any = None
    smallest: Any = None
    ratios: Any = None

    name: ClassVar[str] = "smooth-polynomial-gradient"
    solves: ClassVar = (Minimize,)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000

    def __post_init__(self) -> None:
        one_of("variant", self.variant, ("gradient", "fast", "krylov"))
        count("degree", self.degree)
        vars(self).update(curvature=curved.admitted(self.curvature))
        if self.variant != "krylov":
            curved.check_degree(self.degree, "Use variant='krylov' for higher ones.")
        curved.check_traces(
            self.curvature, self.traces, self.degree, self._polynomial,
            "Pass them, the matrix itself, or variant='krylov', which needs none.",
        )  # fmt: skip
        curved.check_eigenvalues(self.largest, self.smallest, self.variant)
        store_reals(self, "largest", "smallest")

    def check(self, problem: Minimize) -> None:
        curved.check(self.curvature, problem.unknowns())
        if problem.second_order:
            refuse(
                ValueError, "second_order", given="True for a gradient method", needed="False",
                advice="Use TrustRegion or LazyNewton.",
            )  # fmt: skip
        if self.curvature is None and self._polynomial:
            problem.check_size()

    @property
    def _polynomial(self) -> bool:
        return self.variant != "krylov" and self.degree > 0

    def bind(self, problem: Minimize) -> "PolynomialGradient":
        """The method with the coefficients of its polynomial, where its data are known."""
        if not self._polynomial or self.ratios is not None or self.curvature is None:
            return self
        if self.traces is not None:
            n = problem.unknowns()
            degree = min(self.degree, n - 1)
            return self.but(ratios=curved.coefficients(self.traces, n, degree))
        return self.but(ratios=curved.of_matrix(self.curvature, self.degree))

    def init(self, problem: Minimize, x0: Any, memory: Memory, key: Any) -> PolynomialGradientState:
        value, slope = problem.slope(x0)
        gradient = trees.raveled(slope)
        place, ratios, products = self._place(problem, x0, gradient)
        one, zero = jnp.ones_like(value), jnp.zeros((), jnp.int32)
        state = PolynomialGradientState(
            x0, x0, value, gradient, place, ratios, one, one,
            problem.merit(x0, slope).astype(value.dtype), zero, zero + 1, zero, zero + products,
        )  # fmt: skip
        if self.largest is not None:
            return state._replace(step_size=one / self.largest)
        way, used = self._direction(problem, state)
        bent = trees.raveled(problem.hessian_product(x0, trees.unraveled(way, x0)))
        # In powers of two near their sizes, because products of small numbers vanish.
        unit, pace = binary_unit(trees.norm(gradient)), binary_unit(trees.norm(way))
        curve, along = (way / pace) @ (bent / pace), (way / pace) @ (gradient / unit)
        seen = (curve > 0) & (along > 0)
        step = jnp.where(seen, along, 1) / jnp.where(seen, curve, 1)
        step = step * jnp.where(seen, unit / pace, 1)
        return state._replace(
            step_size=step.astype(value.dtype), products=state.products + used + 1
        )  # fmt: skip

    def _place(self, problem: Minimize, x0: Any, gradient: Any) -> tuple[Any, Any, int]:
        """B or the point whose Hessian it is, the coefficients, and products for them."""
        ratios = () if self.ratios is None else jnp.asarray(self.ratios, gradient.dtype)
        if callable(self.curvature):
            return (), ratios, 0
        if self.curvature is not None:
            return jnp.asarray(self.curvature, gradient.dtype), ratios, 0
        if not self._polynomial:
            return x0, ratios, 0
        matrix = problem.hessian(x0)
        return matrix, curved.of_matrix(matrix, self.degree), gradient.size

    def _direction(self, problem: Minimize, state: PolynomialGradientState) -> tuple[Any, int]:
        """P grad f, or its best replacement in a Krylov space, and products with B."""
        g = state.gradient

        def times(v: Any) -> Any:
            if callable(self.curvature):
                return jnp.asarray(self.curvature(v), v.dtype)
            if self.curvature is not None or self._polynomial:
                return state.place @ v
            way = trees.unraveled(v, state.place)
            return trees.raveled(problem.hessian_product(state.place, way))

        if self.variant == "krylov":
            # Where B turns out to be none, the direction is zero.
            size = jnp.linalg.norm(g)
            p, *_, used = best_in_krylov_space(times, g, size, min(self.degree + 1, g.size))
            return p, used
        return curved.preconditioned(state.ratios, times, g), len(state.ratios)

    def step(self, problem: Minimize, state: PolynomialGradientState) -> PolynomialGradientState:
        p, used = self._direction(problem, state)
        along = (state.gradient @ p).astype(state.value.dtype)
        way = trees.unraveled(p, state.ahead)
        state = state._replace(products=state.products + used)
        new = (self._ahead if self.variant == "fast" else self._plain)(problem, state, way, along)
        length = (state.step_size * jnp.linalg.norm(p)).astype(along.dtype)
        status = ending(new.x, new.value, new.gradient, length, along > 0)
        # A gradient that is not finite ends the solve as divergence.
        known = jnp.isfinite(state.gradient).all() & (jnp.abs(state.gradient).max() > 0)
        status = jnp.where(known & ~(along > 0), Reason.breakdown.code, status)
        return new._replace(status=status.astype(jnp.int32))

    def _plain(
        self, problem: Minimize, state: PolynomialGradientState, way: Any, along: Any
    ) -> PolynomialGradientState:
        def look(step: Any) -> tuple[Any, Any, Any]:
            x = trees.plus(state.x, -step, way)
            value, slope = problem.slope(x)
            return x, value, trees.raveled(slope)

        if self.largest is not None:
            found, step, tries = look(state.step_size), state.step_size, 1
        else:
            found, step, tries = backtracked(
                look, _too_far, 2 * state.step_size, (state.value, along, trees.raveled(way))
            )
        x, value, gradient = found
        return state._replace(
            x=x, ahead=x, value=value, gradient=gradient, step_size=step,
            merit=self._merit(problem, x, gradient, state), gradients=state.gradients + tries,
        )  # fmt: skip

    def _ahead(
        self, problem: Minimize, state: PolynomialGradientState, way: Any, along: Any
    ) -> PolynomialGradientState:
        """One accelerated step: to x from where the gradient was taken, then ahead of it."""

        def look(step: Any) -> tuple[Any, Any]:
            x = trees.plus(state.ahead, -step, way)
            return x, problem.smooth(x)

        step, tries = state.step_size, 0
        if self.largest is not None:
            x = trees.plus(state.ahead, -step, way)
        else:
            (x, _), step, tries = backtracked(look, _above, step, (state.value, along))
        turn = trees.minus(x, state.x)
        if self.smallest is not None:
            root = jnp.sqrt(jnp.asarray(self.smallest, step.dtype) * step)
            momentum, factor = state.momentum, (1 - root) / (1 + root)
        else:
            uphill = trees.dot(trees.unraveled(state.gradient, turn), turn) > 0
            first = jnp.where(uphill, 1, state.momentum)
            momentum = 0.5 * (1 + jnp.sqrt(1 + 4 * first**2))
            factor = (first - 1) / momentum
        ahead = trees.plus(x, factor, turn)
        value, slope = problem.slope(ahead)
        gradient = trees.raveled(slope)
        return state._replace(
            x=x, ahead=ahead, value=value, gradient=gradient, step_size=step, momentum=momentum,
            merit=self._merit(problem, ahead, gradient, state), gradients=state.gradients + 1,
            values=state.values + tries,
        )  # fmt: skip

    def _merit(
        self, problem: Minimize, x: Any, gradient: Any, state: PolynomialGradientState
    ) -> Any:
        return problem.merit(x, trees.unraveled(gradient, x)).astype(state.merit.dtype)

    def measure(self, problem: Minimize, state: PolynomialGradientState) -> Any:
        return state.merit

    def status(self, state: PolynomialGradientState) -> Any:
        return state.status

    def iterate(self, problem: Minimize, state: PolynomialGradientState) -> tuple[Any, Any]:
        # Where the gradient was taken: what is known of it is what `measure` says.
        return state.ahead, {"M": 1 / state.step_size}

    def calls(self, problem: Minimize, state: PolynomialGradientState) -> dict[str, Any]:
        return {
            "gradient": state.gradients, "value": state.values, "product": state.products,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.name} ({self.variant}, degree {self.degree})"


def _too_far(trial: Any, step: Any, value: Any, along: Any, way: Any) -> Any:
    """Whether f has not fallen by half of what its slope promises."""
    _, now, gradient = trial
    noise = rounding(value)
    falls = now <= value - 0.5 * step * along + noise
    # For parabolas this is the same condition, and it does not subtract values.
    hidden = (0.5 * step * along <= noise) & (now <= value + noise)
    return ~jnp.where(hidden, (gradient @ way).astype(value.dtype) >= 0, falls)


def _above(trial: Any, step: Any, value: Any, along: Any) -> Any:
    """The same where only a value is known, as far as rounding tells."""
    return ~(trial[1] <= value - 0.5 * step * along + rounding(value))
