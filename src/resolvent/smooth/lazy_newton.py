"""Newton's method with lazy Hessians: cubic or regularized steps with a Hessian of a while ago."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, is_traced, one_of, refuse
from resolvent._core.definite import check_definite
from resolvent._core.line_search import rounding
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static, store_reals
from resolvent.smooth import remembered_hessian
from resolvent.smooth.endings import MONITORED, Progress, begun, ending, followed, without_progress
from resolvent.smooth.problem import Minimize
from resolvent.smooth.shifted_systems import Step, cubic, no_spectrum, of_shift, spectrum

_LONGEST = 50  # steps with one Hessian by default
_DECREASE = 0.2  # c of the test of a cycle
_RANGE = 1e12  # over which M may go, up and down from its first value
_THEORY = {"cubic": 6.0, "regularized": 3.0}  # M / (m L)


class LazyNewtonState(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    """In one vector."""
    spectrum: Any
    """Of the Hessian at the point where the last cycle of another Hessian began."""
    root: Any
    """The Cholesky factor of the metric, or nothing."""
    M: Any
    bounds: Any
    """The least and the largest M."""
    begin: Any
    """Point, value and gradient at the beginning of the cycle."""
    total: Any
    """The sum of ||grad f||^(3/2) over the cycle."""
    place: Any
    """How many steps of the cycle are done."""
    fresh: Any
    """Whether the next step takes a new Hessian."""
    borrowed: Any
    """Whether the factors are those of an earlier solve."""
    merit: Any
    progress: Progress
    status: Any
    gradients: Any
    hessians: Any
    products: Any
    rejected: Any


class LazyNewton(Method):
    """Newton's method that takes a new Hessian once in m steps and factorizes it once.

    Solves `Minimize` problems. With H the Hessian at the first point of a cycle of m steps and g
    the gradient at x, the step h of each variant is

    - "cubic": a global minimizer of <g, h> + <h, H h> / 2 + M ||h||^3 / 6;
    - "regularized", for convex f: -(H + sqrt(M ||g||) I)^-1 g;
    - "adaptive": the cubic one. A cycle counts if f falls over it by
      (0.2 / sqrt(M)) sum ||grad f(x_i)||^(3/2) at least; then M is divided by 4, and else doubled
      and the cycle done again with the same H;
    - "newton": -H^-1 g, for starts near a minimizer.

    With the eigenvalues of H a step of any kind costs products with its eigenvectors, and for the
    cubic ones a scalar equation. "cubic" and "regularized" begin a cycle over which f rises again,
    too, with twice the M, which stays. `solution.witness` has the last `M` and the number of
    cycles that were `rejected`.

    The factors of the last Hessian are its memory. In a sequence of problems the first cycle goes
    on with them where one product shows that the new Hessian is about the same, and takes a Hessian
    of its own as soon as f or, with "newton", the gradient has not fallen as it should.

    Args:
        variant: "adaptive", "cubic", "regularized" or "newton".
        m: steps with one Hessian; None for the number of unknowns, and 50 at most. With NumPy's
            integers for Python's, methods of different m are one compiled program.
        M: the constant, and the first one of "adaptive". None there stands for the change of the
            Hessian along the first gradient, and in the others for what the theory asks for with
            the problem's `hessian_lipschitz` L: 6 m L, or 3 m L for "regularized".
        early: whether "adaptive" ends a cycle at the first step at which f has not fallen by so
            much: such a cycle is refused at no M that the theory admits.
        slow: where a step leaves more than this part of ||grad f||, the cycle ends there and the
            next one has a new Hessian; None for never.
        metric: [n, n], a positive definite matrix B; lengths are then ||h||_B, sizes of gradients
            those of the dual norm, and I above is B.

    Raises:
        ValueError: for another variant, less than one step, an M that is negative or zero where it
            must not be, no M where none is known, `slow` outside (0, 1), an option that would be
            ignored, or a metric that is not positive definite.

    Cost per iteration:
        One gradient and three products with an [n, n] matrix, five for cubic steps, two more with a
        metric; once in m steps also one Hessian (n products with it) and its eigenvectors, O(n^3).

    Convergence:
        For f bounded below with an L-Lipschitz Hessian, "adaptive" and "cubic" with M >= 6 m L need
        O(sqrt(m L) / eps^(3/2)) gradients to ||grad f|| <= eps, and limit points have no negative
        curvature. For convex f, f - min f falls as O(m L / k^2), with "regularized" too, for
        M >= 3 m L. Near a minimizer with a positive definite Hessian cycles converge
        superlinearly, with "newton" of order m + 1.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs

        def rosenbrock(x):
            return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

        problem = rs.Minimize(rosenbrock, x0=jnp.zeros(4))
        sol = rs.solve(problem, rs.smooth.LazyNewton(m=2), rtol=1e-4)
        assert sol.calls["hessian"] < sol.calls["gradient"] / 2
        ```

    Reference:
        N. Doikov, E. M. Chayti, M. Jaggi (2023), Second-order optimization with lazy Hessians,
        arXiv 2212.00781.
    """

    variant: str = static(default="adaptive")
    m: Any = None
    M: Any = None
    early: bool = static(default=True)
    slow: Any = None
    metric: Any = None

    name: ClassVar[str] = "lazy-newton"
    solves: ClassVar = (Minimize,)
    engines: ClassVar = ("traced",)
    reads: ClassVar[tuple[str, ...]] = (remembered_hessian.NAME,)
    monitored: ClassVar[int] = MONITORED

    def __post_init__(self) -> None:
        store_reals(self, "M", "slow")
        one_of("variant", self.variant, ("adaptive", "cubic", "regularized", "newton"))
        if self.m is not None and not is_traced(self.m):
            count("m", self.m, least=1)
        if self.M is not None:
            if self.variant == "newton":
                refuse(
                    ValueError, "M", given=f"{self.M} with the variant 'newton'", needed="None",
                    advice="Steps of Newton's method have no such constant.",
                )  # fmt: skip
            between(
                "M", self.M, 0.0, math.inf,
                "Without it there is no cubic term.",
                closed="low" if self.variant == "regularized" else "",
            )  # fmt: skip
        if not self.early and self.variant != "adaptive":
            refuse(
                ValueError, "early", given=f"{self.early} with the variant {self.variant!r}",
                needed="True, its default", advice="Only cycles of 'adaptive' may end early.",
            )  # fmt: skip
        if self.slow is not None:
            between("slow", self.slow, 0.0, 1.0, "It is a part of a norm.")

    def check(self, problem: Minimize) -> None:
        problem.check_size()
        if self.M is None and self.variant in _THEORY and problem.hessian_lipschitz is None:
            refuse(
                ValueError, "M", given=f"None for the variant {self.variant!r}", needed="a number",
                advice="Give it, or the problem's hessian_lipschitz, or use variant='adaptive'.",
            )  # fmt: skip
        if self.variant == "regularized" and not problem.convex:
            refuse(
                ValueError, "variant", given="'regularized' for a function not known to be convex",
                needed="a convex one", advice="Say convex=True to Minimize, or use 'adaptive'.",
            )  # fmt: skip
        if self.metric is not None and not is_traced(self.metric):
            check_definite(
                "metric", self.metric, problem.unknowns(), singular=False,
                advice="Pass None for the identity.",
            )  # fmt: skip

    def _lifetime(self, problem: Minimize) -> Any:
        return min(problem.unknowns(), _LONGEST) if self.m is None else self.m

    def init(self, problem: Minimize, x0: Any, memory: Memory, key: Any) -> LazyNewtonState:
        value, slope = problem.slope(x0)
        gradient, dtype = trees.raveled(slope), value.dtype
        zero = jnp.zeros((), jnp.int32)
        root: Any = ()
        if self.metric is not None:
            root = jnp.linalg.cholesky(jnp.asarray(self.metric, gradient.dtype))
        M, unit, products = self._constant(problem, x0, slope)
        M, unit = jnp.asarray(M, dtype), jnp.asarray(unit, dtype)
        parts, known = no_spectrum(gradient), problem.second_order
        borrowed = jnp.asarray(False)
        old = None if known else remembered_hessian.remembered(memory, gradient)
        if known:
            parts = spectrum(problem.hessian(x0), self._factor(root))
        elif old is not None:
            bent = trees.raveled(problem.hessian_product(x0, slope))
            borrowed = remembered_hessian.serves(old, gradient, bent, self._metric(gradient))
            parts, products = trees.where(borrowed, old, parts), products + 1
        bounds = jnp.minimum(M, unit) / _RANGE, jnp.maximum(M, unit) * _RANGE
        state = LazyNewtonState(
            x0, value, gradient, parts, root, M, bounds, (x0, value, gradient),
            jnp.zeros_like(value), zero, ~(borrowed | known), borrowed, value,
            begun(value, value), zero, zero + 1, zero + known, zero + products, zero,
        )  # fmt: skip
        merit = self._merit(problem, state).astype(dtype)
        return state._replace(merit=merit, progress=begun(value, merit))

    def _factor(self, root: Any) -> Any:
        return None if self.metric is None else root

    def _metric(self, like: Any) -> Any:
        return None if self.metric is None else jnp.asarray(self.metric, like.dtype)

    def _constant(self, problem: Minimize, x: Any, slope: Any) -> tuple[Any, Any, int]:
        """The first M, a number of its unit and size, and the products that it costs."""
        if self.variant == "newton":
            return 0.0, 0.0, 0
        if self.M is not None:
            return self.M, self.M, 0
        if self.variant in _THEORY:
            M = _THEORY[self.variant] * self._lifetime(problem) * problem.hessian_lipschitz
            return M, M, 0
        size = trees.norm(slope)
        way = trees.times(1 / jnp.where(size > 0, size, 1), slope)
        bent = problem.hessian_product(x, way)
        curve = jnp.abs(trees.dot(way, bent))
        # As far as the model's steepest descent goes.
        length = size / jnp.where(curve > 0, curve, 1)
        length = jnp.where((length > 0) & jnp.isfinite(length), length, 1)
        other = problem.hessian_product(trees.plus(x, -length, way), way)
        most = trees.norm(bent) / length
        change = trees.norm(trees.minus(other, bent)) / length
        found = jnp.maximum(change, jnp.finfo(most.dtype).eps * most)
        found = jnp.where((found > 0) & jnp.isfinite(found), found, 1)
        return found, jnp.maximum(most, found), 2

    def _merit(self, problem: Minimize, state: LazyNewtonState) -> Any:
        merit = problem.merit(state.x, trees.unraveled(state.gradient, state.x))
        if problem.second_order:
            return jnp.maximum(merit, problem.bend(state.spectrum.values))
        return merit

    def _size(self, state: LazyNewtonState, gradient: Any) -> Any:
        """The norm of a gradient that is dual to that of steps."""
        if self.metric is None:
            return trees.norm(gradient)
        return trees.norm(
            jax.scipy.linalg.solve_triangular(state.root, gradient, lower=True)
        )  # fmt: skip

    def _model(self, parts: Any, state: LazyNewtonState) -> Step:
        g = state.gradient
        metric, M = self._metric(g), state.M.astype(g.dtype)
        if self.variant == "newton":
            return of_shift(parts, g, jnp.zeros_like(M), metric)
        if self.variant == "regularized":
            square = M * self._size(state, g)
            shift = jnp.sqrt(jnp.where(square > 0, square, 1)) * (square > 0)
            return of_shift(parts, g, shift, metric)
        return cubic(parts, g, M, metric)

    def step(self, problem: Minimize, state: LazyNewtonState) -> LazyNewtonState:
        parts = jax.lax.cond(
            state.fresh,
            lambda: spectrum(problem.hessian(state.x), self._factor(state.root)),
            lambda: state.spectrum,
        )
        found = self._model(parts, state)
        x = trees.plus(state.x, 1.0, trees.unraveled(found.h, state.x))
        value, slope = problem.slope(x)
        gradient = trees.raveled(slope)
        size = self._size(state, gradient).astype(value.dtype)
        total, place = state.total + size**1.5, state.place + 1
        ends = place >= self._lifetime(problem)
        if self.slow is not None:
            before = self._size(state, state.gradient).astype(value.dtype)
            ends = ends | ~(size <= self.slow * before)
        fails = ~self._accepted(state, value, total, size)
        seen = ends | ~jnp.isfinite(value) | (self.early and self.variant == "adaptive")
        seen = seen | state.borrowed
        again = fails & seen & (state.borrowed | (state.M > 0))
        done = ends & ~again
        now = x, value, gradient
        begin = trees.where(done, now, state.begin)
        x, value, gradient = trees.where(again, state.begin, now)
        M, (low, high) = state.M, state.bounds
        if self.variant == "adaptive":
            # Where the least M leaves the gradient as it was, steps are too short, as along a line.
            short = done & (low >= M) & ~(size < self._size(state, state.begin[2]))
            low = jnp.where(short, 0.25 * low, low)
            M = jnp.where(done, jnp.maximum(0.25 * M, low), M)
        # What an old Hessian did says nothing about M.
        M = jnp.where(again & ~state.borrowed, 2 * M, M)
        length = found.length.astype(value.dtype)
        status = ending(x, value, gradient, length, again & ~state.borrowed)
        status = jnp.where(high < M, Reason.breakdown.code, status)
        new = state._replace(
            x=x, value=value, gradient=gradient, spectrum=parts, M=M, bounds=(low, high),
            begin=begin, total=jnp.where(done | again, 0, total),
            place=jnp.where(done | again, 0, place),
            fresh=done | (again & state.borrowed), borrowed=state.borrowed & ~(done | again),
            status=status.astype(jnp.int32), gradients=state.gradients + 1,
            hessians=state.hessians + state.fresh, rejected=state.rejected + again,
        )  # fmt: skip
        merit = self._merit(problem, new).astype(state.merit.dtype)
        progress = followed(state.progress, value, merit)
        return new._replace(
            merit=merit, progress=progress, status=without_progress(progress, new.status)
        )

    def _accepted(self, state: LazyNewtonState, value: Any, total: Any, size: Any) -> Any:
        """Whether what was done of a cycle counts; false for NaN."""
        if self.variant == "newton":
            return ~state.borrowed | (size <= self._size(state, state.gradient))
        first = state.begin[1]
        fall, noise = first - value, rounding(first)
        if self.variant == "adaptive":
            # What rounding hides is no reason to refuse.
            return (fall >= _DECREASE * total / jnp.sqrt(state.M)) | (jnp.abs(fall) <= noise)
        return fall >= -noise

    def measure(self, problem: Minimize, state: LazyNewtonState) -> Any:
        return state.merit

    def status(self, state: LazyNewtonState) -> Any:
        return state.status

    def iterate(self, problem: Minimize, state: LazyNewtonState) -> tuple[Any, Any]:
        return state.x, {"M": state.M, "rejected": state.rejected}

    def remember(self, problem: Minimize, state: LazyNewtonState) -> dict[str, Entry]:
        return remembered_hessian.entries(state.spectrum)

    def calls(self, problem: Minimize, state: LazyNewtonState) -> dict[str, Any]:
        return {
            "gradient": state.gradients, "hessian": state.hessians,
            "factorization": state.hessians, "product": state.products,
        }  # fmt: skip
