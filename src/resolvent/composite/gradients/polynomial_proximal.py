"""Proximal gradient steps that cut the largest eigenvalues of the curvature by polynomials."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import curvature as curved
from resolvent._core import trees
from resolvent._core.checks import between, count, one_of, refuse
from resolvent._core.line_search import repeated, rounding
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.gradients.metric_prox import MetricStep, metric_step
from resolvent.composite.problem import Composite

_LOOK = 10  # accelerated steps between two looks at the certificate, which cost a gradient each
_LARGEST = 5000  # unknowns for which a square matrix is made
_TRIES = 60
_SEEN = 0.1  # of the model's curvature that is to be more than rounding, for values to judge it


class PolynomialProximalState(NamedTuple):
    x: Any
    ahead: Any
    """Where the next gradient is taken; x itself without momentum."""
    value: Any
    """f there, where it is known; else that of some step before."""
    gradient: Any
    """The gradient there, where it is known, in one vector."""
    subgradient: Any
    """Of g at x, in one vector: where the next inner iteration begins."""
    matrix: Any
    """B, where it is one."""
    ratios: Any
    step_size: Any
    momentum: Any
    merit: Any
    status: Any
    k: Any
    gradients: Any
    values: Any
    products: Any
    proximals: Any


class _Tried(NamedTuple):
    found: MetricStep
    value: Any
    gradient: Any
    step: Any
    done: Any
    tries: Any
    looks: Any
    """Gradients that were taken."""
    rounds: Any


class PolynomialProximalGradient(Method):
    r"""Proximal gradient steps in the metric of a polynomial of a matrix that bounds the Hessians.

    Solves `Composite` problems with convex f and g, where mu B <= H(x) <= L B for a known matrix B,
    such as A^T A where f is a sum over the entries of A x. The symmetric polynomials P_0 = I,
    P_k = e_k I - B P_{k-1}, e_k those of the spectrum from the traces of powers of B, are positive
    definite and cut the k largest eigenvalues of B, unknown as they are. With P = P_k / e_k, a step
    goes to

    $$x_+ = \arg\min_y\; \langle \nabla f(x), y \rangle + g(y)
    + \tfrac{M}{2} (y - x)^\top P^{-1} (y - x)$$

    in "gradient"; in "fast" the same from a point that Nesterov's momentum leads to. P^-1 is never
    formed: the step is found from its dual by accelerated inner steps, begun where the last ones
    ended. Without a second term they are one, and the method is `smooth.PolynomialGradient`; with
    degree 0 they are one as well, and it is `ProximalGradient`.

    M is doubled until f is below the model of the step, and tried at half of that in the next one;
    "fast" does not lower it.

    Args:
        degree: k, how many eigenvalues to cut, at most 5.
        variant: "gradient" or "fast".
        curvature: B, [n, n], or a function that multiplies a vector [n] by it (with data of its
            own as a `jax.tree_util.Partial`); unknowns in the order of `ravel_pytree`. None for the
            Hessian of f at the first guess.
        traces: (tr B, ..., tr B^degree) where B is a function. They must be exact up to rounding:
            estimates make the polynomial indefinite.
        largest: M, where it is known: at least the largest eigenvalue of P H(x) for any x. Nothing
            is searched then.
        smallest: a lower bound of the smallest eigenvalue of P H(x), for "fast" alone: the
            momentum is then constant. None for Nesterov's sequence, begun anew where step and
            momentum point in opposite directions.
        share: of its length that may be wrong of a step.
        inner: how many inner steps there are at most.
        ratios: after set-up, the coefficients of the polynomial.

    Raises:
        ValueError: for another variant, a degree beyond 5, a B that is not symmetric positive
            semidefinite, a function without traces, a number that would be ignored, if not
            0 < smallest <= largest, or for a g that is not convex.

    Cost per iteration:
        For each M that is tried, two on average, a gradient and inner steps, each of which takes
        `degree` products with B and one proximal operator. "fast" takes one gradient, in ten steps
        one more to look at the certificate, and for each M that is tried, one on average, a value
        and inner steps; a gradient as well where values are too near to each other to compare.

    Convergence:
        With kappa = (beta / alpha)(L / mu), alpha and beta the smallest and largest eigenvalue of
        P B, the objective falls by 1 - 1 / kappa in a step, with "fast" and `smallest` by
        1 - 1 / sqrt(kappa); for mu = 0 as O(1 / k), or O(1 / k^2): for exact steps. With inexact
        ones "gradient" still descends in each; "fast" has no such theory. As the first `degree`
        eigenvalues of B grow, beta / alpha tends to the sum of the others over the smallest one,
        while the inner steps of one step grow with the root of what has been cut: it pays where
        gradients of f cost more than products with B.

    Example:
        ```python
        import jax.numpy as jnp, numpy as np, resolvent as rs

        def f(x, A):
            return jnp.logaddexp(0.0, A @ x).sum() + 0.01 * (x @ x)

        A = np.random.default_rng(0).standard_normal((40, 8)) * np.array([9, 5, 1, 1, 1, 1, 1, 1])
        problem = rs.Composite(f, rs.functions.L1(0.5), start=np.zeros(8), args=A)
        counts = []
        for k in (0, 2):
            method = rs.composite.PolynomialProximalGradient(k, curvature=A.T @ A)
            counts.append(rs.solve(problem, method, rtol=1e-3).steps)
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
    share: Any = 0.1
    inner: int = static(default=1000)
    ratios: Any = None

    name: ClassVar[str] = "polynomial-proximal-gradient"
    solves: ClassVar = (Composite,)
    needs: ClassVar[tuple[str, ...]] = ("smooth", "convex")
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 10_000
    ahead: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("variant", self.variant, ("gradient", "fast"))
        count("degree", self.degree)
        vars(self).update(curvature=curved.admitted(self.curvature))
        curved.check_degree(self.degree, "Few eigenvalues stand apart.")
        curved.check_traces(
            self.curvature, self.traces, self.degree, self.degree > 0,
            "Pass them, or the matrix itself.",
        )  # fmt: skip
        curved.check_eigenvalues(self.largest, self.smallest, self.variant)
        between("share", self.share, 0.0, 0.5, "Steps that are more wrong may lead upwards.")
        count("inner", self.inner, least=1)

    def check(self, problem: Composite) -> None:
        curved.check(self.curvature, problem.unknowns())
        if self.curvature is None and self.degree and problem.unknowns() > _LARGEST:
            refuse(
                ValueError, "curvature", given=f"None for {problem.unknowns()} unknowns",
                needed=f"at most {_LARGEST} where the whole Hessian is made",
                advice="Pass a function that multiplies by B, and traces.",
            )  # fmt: skip

    def bind(self, problem: Composite) -> "PolynomialProximalGradient":
        """The method with the coefficients of its polynomial, where its data are known."""
        if not self.degree or self.ratios is not None or self.curvature is None:
            return self
        if self.traces is not None:
            n = problem.unknowns()
            return self.but(ratios=curved.coefficients(self.traces, n, min(self.degree, n - 1)))
        return self.but(ratios=curved.of_matrix(self.curvature, self.degree))

    def init(
        self, problem: Composite, x0: Any, memory: Memory, key: Any
    ) -> PolynomialProximalState:
        x = problem.g.nearest(x0)
        value, slope = problem.slope(x)
        gradient, zero = trees.raveled(slope), jnp.zeros((), jnp.int32)
        matrix, ratios, products = self._matrix(problem, x, gradient)
        one = jnp.ones_like(value)
        state = PolynomialProximalState(
            x, x, value, gradient, jnp.zeros_like(gradient), matrix, ratios, one, one,
            jnp.asarray(problem.merit(x, slope), value.dtype), zero, zero, zero + 1, zero,
            zero + products, zero,
        )  # fmt: skip
        if self.largest is not None:
            return state._replace(step_size=one / self.largest)
        way = curved.preconditioned(ratios, self._times(matrix), gradient)
        bent = _second(problem, x)(way)
        curve, along = way @ bent, way @ gradient
        seen = (curve > 0) & (along > 0)
        step = jnp.where(seen, along, 1) / jnp.where(seen, curve, 1)
        return state._replace(
            step_size=step.astype(value.dtype), products=state.products + len(ratios) + 1
        )  # fmt: skip

    def _matrix(self, problem: Composite, x: Any, gradient: Any) -> tuple[Any, Any, int]:
        """B, the coefficients, and products for them."""
        ratios = () if self.ratios is None else jnp.asarray(self.ratios, gradient.dtype)
        if callable(self.curvature) or not self.degree:
            return (), ratios, 0
        if self.curvature is not None:
            return jnp.asarray(self.curvature, gradient.dtype), ratios, 0
        found = jax.vmap(_second(problem, x))(jnp.eye(gradient.size, dtype=gradient.dtype))
        found = 0.5 * (found + found.T)
        return found, curved.of_matrix(found, self.degree), gradient.size

    def _times(self, matrix: Any) -> Any:
        """The product with B."""

        def times(v: Any) -> Any:
            return (
                jnp.asarray(self.curvature(v), v.dtype) if callable(self.curvature) else matrix @ v
            )

        return times

    def step(self, problem: Composite, state: PolynomialProximalState) -> PolynomialProximalState:
        fast = self.variant == "fast"
        value, g = state.value, state.gradient
        if fast:
            value, slope = problem.slope(state.ahead)
            g = trees.raveled(slope)
        tried = self._tried(problem, state, value, g)
        found, k = tried.found, state.k + 1
        new = trees.unraveled(found.z, state.x)
        bad = ~(found.force >= 0) & jnp.isfinite(g).all()
        state = state._replace(
            k=k, step_size=tried.step, subgradient=found.u,
            status=jnp.where(bad, Reason.breakdown.code, 0).astype(jnp.int32),
            products=state.products + (tried.rounds + tried.tries) * len(state.ratios),
            proximals=state.proximals + tried.rounds,
        )  # fmt: skip
        if not fast:
            slope = trees.unraveled(tried.gradient, new)
            merit = jnp.asarray(problem.merit(new, slope), state.merit.dtype)
            return state._replace(
                x=new, ahead=new, value=tried.value, gradient=tried.gradient, merit=merit,
                gradients=state.gradients + tried.looks,
            )  # fmt: skip
        look = k % _LOOK == 0
        merit = jax.lax.cond(
            look,
            lambda: jnp.asarray(problem.merit(new, problem.slope(new)[1]), state.merit.dtype),
            lambda: state.merit,
        )
        momentum, ahead = self._ahead(state, new, tried.step, g + found.u)
        return state._replace(
            x=new, ahead=ahead, value=value, gradient=g, momentum=momentum, merit=merit,
            gradients=state.gradients + 1 + look + tried.looks,
            values=state.values + (0 if self.largest is not None else tried.tries),
        )  # fmt: skip

    def _tried(
        self, problem: Composite, state: PolynomialProximalState, value: Any, g: Any
    ) -> _Tried:
        """The step for the first M whose model f is not above."""
        like, x, fast = state.x, trees.raveled(state.ahead), self.variant == "fast"

        def prox(v: Any, step: Any) -> Any:
            return trees.raveled(problem.g.prox(trees.unraveled(v, like), step))

        def look(step: Any, data: Any) -> tuple[MetricStep, Any, Any]:
            """The step, and f with its gradient there, the former alone for "fast"."""
            x, g, u, matrix, ratios, share = data
            times = self._times(matrix)
            found = metric_step(
                prox, lambda v: curved.preconditioned(ratios, times, v), x, g, u, step, share,
                self.inner,
            )  # fmt: skip
            z = trees.unraveled(found.z, like)
            if fast:
                value = jnp.zeros((), x.dtype) if self.largest is not None else problem.smooth(z)
                return found, value, jnp.zeros(0, x.dtype)
            value, slope = problem.slope(z)
            return found, value, trees.raveled(slope)

        data = x, g, state.subgradient, state.matrix, state.ratios, jnp.asarray(self.share, x.dtype)
        one, zero = jnp.ones((), jnp.int32), jnp.zeros((), jnp.int32)
        if self.largest is not None:
            found, now, gradient = look(state.step_size, data)
            done = jnp.asarray(True)
            looks = zero if fast else one
            return _Tried(found, now, gradient, state.step_size, done, one, looks, found.rounds)
        first = state.step_size if fast else 2 * state.step_size

        def once(carry: Any) -> Any:
            tried, value, data = carry
            step = jnp.where(tried.tries == 0, tried.step, 0.5 * tried.step)
            found, now, gradient = look(step, data)
            bend, noise = found.square / step, rounding(value)
            fine = now <= value + found.along + 0.5 * bend + noise
            hidden = _SEEN * bend <= noise
            steepness = gradient
            if fast:
                steepness = jax.lax.cond(
                    hidden, lambda z: trees.raveled(problem.slope(trees.unraveled(z, like))[1]),
                    lambda z: 0 * z, found.z,
                )  # fmt: skip
            # For parabolas this is the same condition, and it does not subtract values. For other
            # convex functions it keeps f below twice the model's curvature.
            moved = found.z - data[0]
            lost = rounding(norm(data[1]) * norm(moved))
            fine = jnp.where(hidden, (steepness - data[1]) @ moved <= bend + lost, fine)
            looks = tried.looks + (hidden if fast else 1)
            rounds = tried.rounds + found.rounds
            done = _Tried(found, now, gradient, step, fine, tried.tries + 1, looks, rounds)
            return done, value, data

        none = jnp.zeros((), x.dtype)
        begin = _Tried(
            MetricStep(x, 0 * x, none, none, none, zero), none, 0 * x[: 0 if fast else x.size],
            first, jnp.asarray(False), zero, zero, zero,
        )  # fmt: skip
        return repeated(lambda c: ~c[0].done, once, (begin, value, data), _TRIES)[0]

    def _ahead(
        self, state: PolynomialProximalState, new: Any, step: Any, force: Any
    ) -> tuple[Any, Any]:
        """The momentum and the point of the next gradient."""
        turn = trees.minus(new, state.x)
        if self.smallest is not None:
            root = jnp.sqrt(jnp.asarray(self.smallest, step.dtype) * step)
            return state.momentum, trees.plus(new, (1 - root) / (1 + root), turn)
        # In the metric of the step this is its product with the momentum: M P^-1 (ahead - new).
        against = trees.dot(trees.unraveled(force, turn), turn) > 0
        first = jnp.where(against, 1.0, state.momentum)
        momentum = 0.5 * (1 + jnp.sqrt(1 + 4 * first**2))
        return momentum, trees.plus(new, (first - 1) / momentum, turn)

    def measure(self, problem: Composite, state: PolynomialProximalState) -> Any:
        return state.merit

    def status(self, state: PolynomialProximalState) -> Any:
        return state.status

    def iterate(self, problem: Composite, state: PolynomialProximalState) -> tuple[Any, None]:
        return state.x, None

    def refresh(
        self, problem: Composite, state: PolynomialProximalState
    ) -> PolynomialProximalState:
        value, slope = problem.slope(state.x)
        return state._replace(
            ahead=state.x, value=value, gradient=trees.raveled(slope),
            merit=jnp.asarray(problem.merit(state.x, slope), state.merit.dtype),
            momentum=jnp.ones_like(state.momentum), gradients=state.gradients + 1,
        )  # fmt: skip

    def calls(self, problem: Composite, state: PolynomialProximalState) -> dict[str, Any]:
        return {
            "gradient": state.gradients, "value": state.values, "product": state.products,
            "prox": state.proximals,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.name} ({self.variant}, degree {self.degree})"


def _second(problem: Composite, x: Any) -> Any:
    """The product with the Hessian of f at x, of vectors."""

    def turned(v: Any) -> Any:
        return trees.raveled(jax.grad(problem.smooth)(trees.unraveled(v, x)))

    return jax.linearize(turned, trees.raveled(x))[1]
