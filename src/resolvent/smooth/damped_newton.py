"""Newton's method with step sizes that need no other factorization: affine-invariant schedules."""

import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, one_of, refuse
from resolvent._core.line_search import backtracked, repeated, rounding, wolfe
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static, store_reals
from resolvent.smooth.endings import MONITORED, Progress, begun, ending, followed, without_progress
from resolvent.smooth.inverse_root import Inverse, inverse
from resolvent.smooth.problem import Minimize

_TAKES = {
    "universal": ("beta", "sigma", "growth"),
    "root": ("q", "M"),
    "greedy": (),
    "ratio": (),
    "aicn": ("M",),
    "regularized": ("q", "M"),
}
_TRIES = 50  # of "universal" in one step
_LONGEST = 8.0  # the first trial of "ratio"
_HALVES = 40  # trials of "ratio" before its maximum is bracketed
_SECTIONS = 12  # trials of "ratio" inside the bracket
_GOLDEN = 0.5 * (5**0.5 - 1)


class DampedNewtonState(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    """In one vector."""
    sigma: Any
    alpha: Any
    decrement: Any
    """Half the squared local norm of the gradient, at the point before the last step."""
    merit: Any
    progress: Progress
    status: Any
    gradients: Any
    solves: Any
    steps: Any
    rises: Any


class _Line(NamedTuple):
    """The line along which a step goes."""

    x: Any
    value: Any
    n: Any
    """H^-1 grad f(x): steps go against it."""
    local: Any
    """The local norm of the gradient, sqrt(<grad f(x), n>)."""
    inverse: Inverse


class DampedNewton(Method):
    """Newton steps of a length that local norms decide: x <- x - alpha H^-1 grad f(x).

    Solves `Minimize` problems with a convex f. With H the Hessian at x, n = H^-1 grad f(x), and
    `g = sqrt(<grad f(x), n>)` the gradient's local norm, the rules for alpha are

    - "universal": alpha = 1 / (1 + theta) for the first theta = growth^j sigma g^beta, j = 0, 1,
      ..., with `2 alpha theta <grad f(y), n> >= <grad f(y), H^-1 grad f(y)>` at
      y = x - alpha n; then sigma is growth^(j - 1) times what it was;
    - "root": alpha = 1 / (1 + theta) with theta = (9 M)^(1 / (q - 1)) g^((q - 2) / (q - 1));
    - "greedy": alpha minimizes f(x - alpha n);
    - "ratio": alpha maximizes (f(x) - f(y)) / <grad f(y), H^-1 grad f(y)>.

    For comparison there are "aicn", the affine-invariant cubic steps with
    alpha = 2 / (1 + sqrt(1 + 2 M g)), and "regularized", x - (H + s I)^-1 grad f(x) with
    s = (6 M ||grad f(x)||^(q - 2))^(1 / (q - 1)). All but the last one take the same steps in
    every system of coordinates. `solution.witness` has the last `alpha`, the last `sigma`, the
    `decrement` g^2 / 2 before the last step, and how often f `rises`, which says that the M of
    "root" or "aicn" is too small.

    Args:
        rule: one of the six.
        q: from 2 to 4, for "root" and "regularized". From 2 to 3 the Hessian is Hoelder continuous
            of order q - 2 in local norms, from 3 to 4 the third derivative of order q - 3. None
            for 3.
        M: the constant that belongs to q, for the three rules that have one; 0 gives full steps.
        beta: of "universal", from 2/3 to 1. None for 1.
        sigma: the first one of "universal". None for that with which the first trial is a half
            step, in whatever unit f is.
        growth: of theta from trial to trial, more than 1. None for 2.

    Raises:
        ValueError: for another rule, q outside [2, 4], beta outside [2/3, 1], a negative M, no M
            where the rule has one, growth of at most 1, a number that the rule would ignore, or a
            problem that asks for second-order points.

    Cost per iteration:
        One Hessian (n products with it), its Cholesky factors, O(n^3), and a gradient and a solve
        with the same factors for each step that is tried: one for "root", "aicn" and
        "regularized", two on average for "universal". Where the Hessian is singular its
        eigenvalues take the place of Cholesky's factors, and those below 1e-10 of the largest
        count as zero, or below 10 n units of rounding of it where that is more: in single precision
        1.2e-6 n.

    Convergence:
        For convex f as smooth as q and M say, with bounded level sets, f - min f falls as
        O(k^(1 - q)) with "root", and with the other three as fast as with the best q, which they
        need not know; with "aicn" as O(k^-2). Near a minimizer with a positive definite Hessian
        convergence is superlinear for q > 2, and linear for q = 2. A Hessian with a negative
        eigenvalue ends the solve with reason `breakdown`.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs

        def f(x, A):
            return jnp.logaddexp(0.0, A @ x).sum() + 0.05 * (x @ x)

        A = jnp.array([[1.0, 2.0], [-3.0, 1.0], [0.5, -4.0]])
        problem = rs.Minimize(f, A, x0=jnp.array([3.0, -3.0]), strong=0.1)
        sol = rs.solve(problem, rs.smooth.DampedNewton(), rtol=1e-6)
        assert sol.steps < 15
        ```

    Reference:
        S. Hanzely, F. Abdukhakimov, M. Takac (2024), Newton method revisited: global convergence
        rates up to O(k^-3) for stepsize schedules and linesearch procedures, arXiv 2405.18926.
        "aicn": S. Hanzely, D. Kamzolov, D. Pasechnyuk, A. Gasnikov, P. Richtarik, M. Takac (2022),
        A damped Newton method achieves global O(1/k^2) and local quadratic convergence rate,
        arXiv 2211.00140. "regularized": N. Doikov, K. Mishchenko, Y. Nesterov (2022),
        Super-universal regularized Newton method, arXiv 2208.05888.
    """

    rule: str = static(default="universal")
    q: Any = None
    M: Any = None
    beta: Any = None
    sigma: Any = None
    growth: Any = None

    name: ClassVar[str] = "damped-newton"
    solves: ClassVar = (Minimize,)
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = MONITORED

    def __post_init__(self) -> None:
        store_reals(self, "q", "M", "beta", "sigma", "growth")
        one_of("rule", self.rule, tuple(_TAKES))
        takes = _TAKES[self.rule]
        for name in ("q", "M", "beta", "sigma", "growth"):
            if name not in takes and getattr(self, name) is not None:
                refuse(
                    ValueError, name, given=f"{getattr(self, name)} for the rule {self.rule!r}",
                    needed="None", advice=f"It takes {' and '.join(takes) or 'no number'}.",
                )  # fmt: skip
        if "M" in takes and self.M is None:
            refuse(
                ValueError, "M", given=f"None for the rule {self.rule!r}", needed="a number",
                advice="Give it, or use rule='universal', which needs none.",
            )  # fmt: skip
        theory = "The theory knows no other."
        if self.q is not None:
            between("q", self.q, 2.0, 4.0, theory, closed="both")
        if self.beta is not None:
            between("beta", self.beta, 2 / 3, 1.0, theory, closed="both")
        if self.M is not None:
            between("M", self.M, 0.0, math.inf, "Zero gives full steps.", closed="low")
        if self.sigma is not None:
            between("sigma", self.sigma, 0.0, math.inf, "It is the first size of a damping.")
        if self.growth is not None:
            between("growth", self.growth, 1.0, math.inf, "Else no trial differs from the last.")

    def check(self, problem: Minimize) -> None:
        problem.check_size()
        if problem.second_order:
            refuse(
                ValueError, "second_order", given="True for a method of convex functions",
                needed="False", advice="Use TrustRegion or LazyNewton for functions that are not.",
            )  # fmt: skip

    def init(self, problem: Minimize, x0: Any, memory: Memory, key: Any) -> DampedNewtonState:
        value, slope = problem.slope(x0)
        zero, one = jnp.zeros((), jnp.int32), jnp.ones_like(value)
        # Not known before the first Hessian where it is None.
        sigma = 0 * one if self.sigma is None else jnp.asarray(self.sigma, value.dtype)
        merit = problem.merit(x0, slope).astype(value.dtype)
        return DampedNewtonState(
            x0, value, trees.raveled(slope), sigma, one, jnp.inf * one, merit,
            begun(value, merit), zero, zero + 1, zero, zero, zero,
        )  # fmt: skip

    def step(self, problem: Minimize, state: DampedNewtonState) -> DampedNewtonState:
        line = self._line(problem, state)
        alpha, place, sigma, tries, solves = self._moved(problem, state, line)
        # Where the Hessian has a negative eigenvalue nothing is moved.
        before = state.x, state.value, state.gradient
        x, value, gradient = trees.where(line.inverse.bent, before, place)
        risen = ~(value <= state.value + rounding(state.value))
        worse = ~(trees.norm(gradient) < trees.norm(state.gradient))
        length = (alpha * trees.norm(line.n)).astype(value.dtype)
        status = ending(x, value, gradient, length, worse)
        status = jnp.where(line.inverse.bent, Reason.breakdown.code, status)
        merit = problem.merit(x, trees.unraveled(gradient, x)).astype(state.merit.dtype)
        progress = followed(state.progress, value, merit)
        return DampedNewtonState(
            x, value, gradient, sigma, alpha, (0.5 * line.local**2).astype(value.dtype), merit,
            progress, without_progress(progress, status), state.gradients + tries,
            state.solves + 1 + solves, state.steps + 1, state.rises + risen,
        )  # fmt: skip

    def _line(self, problem: Minimize, state: DampedNewtonState) -> _Line:
        H, g = problem.hessian(state.x), state.gradient
        if self.rule == "regularized":
            shift = self._power(6.0, trees.norm(g))
            H = H + shift.astype(H.dtype) * jnp.eye(g.size, dtype=H.dtype)
        found = inverse(H)
        n = found.solve(g)
        return _Line(state.x, state.value, n, _root(g @ n), found)

    def _power(self, factor: float, size: Any) -> Any:
        """(factor M size^(q - 2))^(1 / (q - 1))."""
        q = 3.0 if self.q is None else self.q
        some = size > 0
        size = jnp.where(some, size, 1)
        found = (factor * self.M) ** (1 / (q - 1)) * size ** ((q - 2) / (q - 1))
        return jnp.asarray(jnp.where(some, found, 0), size.dtype)

    def _moved(
        self, problem: Minimize, state: DampedNewtonState, line: _Line
    ) -> tuple[Any, Any, Any, Any, Any]:
        """alpha, the place there, the next sigma, gradients taken, and solves."""
        sigma, dtype = state.sigma, state.value.dtype
        local = line.local.astype(dtype)
        if self.rule == "universal":
            return self._universal(problem, state, line, local)
        if self.rule == "greedy":
            alpha, place, tries = _greedy(problem, line, state.gradient)
            return alpha, place, sigma, tries, 0
        if self.rule == "ratio":
            alpha, tries = _best_ratio(problem, line)
            return alpha, _place(problem, line, alpha), sigma, tries + 1, tries
        if self.rule == "root":
            alpha = 1 / (1 + self._power(9.0, local))
        elif self.rule == "aicn":
            # Without the difference that cancels where M g is small.
            alpha = 2 / (1 + jnp.sqrt(1 + 2 * self.M * local))
        else:
            alpha = jnp.ones_like(local)
        alpha = jnp.asarray(alpha, dtype)
        return alpha, _place(problem, line, alpha), sigma, 1, 0

    def _universal(
        self, problem: Minimize, state: DampedNewtonState, line: _Line, local: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        beta = 1.0 if self.beta is None else self.beta
        growth = 2.0 if self.growth is None else self.growth
        tiny = jnp.finfo(local.dtype).eps
        size = jnp.where(local > 0, local, 1) ** beta
        sigma = jnp.where(state.sigma > 0, state.sigma, 1 / size)
        # Less damping than rounding shows is none, and sigma must be able to grow again.
        theta = jnp.maximum(sigma * size, tiny).astype(local.dtype)

        def look(free: Any) -> Any:
            alpha = free / (1 + free)
            place = _place(problem, line, alpha)
            along = place[2] @ line.n
            return alpha, place, along, place[2] @ line.inverse.solve(place[2])

        def refused(trial: Any, free: Any) -> Any:
            alpha, _, along, square = trial
            return ~(2 * (alpha / free) * along >= square)

        # A trial's parameter is 1 / theta, which comes down.
        found, free, tries = backtracked(look, refused, 1 / theta, shrink=1 / growth, tries=_TRIES)
        alpha, place, *_ = found
        following = (1 / (free * growth * size)).astype(state.sigma.dtype)
        return alpha, place, following, tries, tries

    def measure(self, problem: Minimize, state: DampedNewtonState) -> Any:
        return state.merit

    def status(self, state: DampedNewtonState) -> Any:
        return state.status

    def iterate(self, problem: Minimize, state: DampedNewtonState) -> tuple[Any, Any]:
        names = ("alpha", "sigma", "decrement", "rises")
        return state.x, {name: getattr(state, name) for name in names}

    def calls(self, problem: Minimize, state: DampedNewtonState) -> dict[str, Any]:
        return {
            "gradient": state.gradients, "hessian": state.steps, "factorization": state.steps,
            "solve": state.solves,
        }  # fmt: skip


def _root(square: Any) -> Any:
    """The square root, with a derivative at 0; of what rounding made negative, 0; NaN of NaN."""
    none = square <= 0
    return jnp.where(none, 0, jnp.sqrt(jnp.where(none, 1, square)))


def _place(problem: Minimize, line: _Line, alpha: Any) -> tuple[Any, Any, Any]:
    """x - alpha n, the value there, and the gradient in one vector."""
    x = trees.plus(line.x, -alpha, trees.unraveled(line.n, line.x))
    value, slope = problem.slope(x)
    return x, value, trees.raveled(slope)


def _greedy(problem: Minimize, line: _Line, gradient: Any) -> tuple[Any, Any, Any]:
    """The least value along the line, as exactly as slopes can be told from zero."""

    def look(alpha: Any) -> tuple[Any, Any, Any]:
        place = _place(problem, line, alpha)
        return place[1], -(place[2] @ line.n).astype(place[1].dtype), place

    along = -(gradient @ line.n).astype(line.value.dtype)
    flat = float(jnp.finfo(line.value.dtype).eps) ** 0.5
    found = wolfe(look, jnp.ones_like(line.value), line.value, along, flat=flat)
    return found.step, found.extra, found.looks


def _best_ratio(problem: Minimize, line: _Line) -> tuple[Any, Any]:
    """Where the fall over the square of the next gradient is largest, and how many were tried.

    Down from the longest step by halves until the best one is passed, then by golden sections in
    the logarithm.
    """
    line = jax.lax.stop_gradient(line)

    def ratio(alpha: Any) -> Any:
        _, value, gradient = _place(problem, line, alpha)
        square = gradient @ line.inverse.solve(gradient)
        fall = line.value - value
        good = (fall > 0) & (square > 0)
        found = jnp.where(good, fall / jnp.where(good, square, 1), -jnp.inf)
        # Without any gradient there is nothing better.
        return jnp.where((fall > 0) & (square <= 0), jnp.inf, found)

    first = jnp.full_like(line.value, _LONGEST)
    none = jnp.full_like(line.value, -jnp.inf)

    def halved(carry: Any) -> Any:
        alpha, best, at, _, tries = carry
        now = ratio(alpha)
        better = now > best
        passed = ~better & (best > 0)
        best, at = jnp.where(better, now, best), jnp.where(better, alpha, at)
        return 0.5 * alpha, best, at, passed, tries + 1

    begin = first, none, first, jnp.asarray(False), jnp.zeros((), jnp.int32)
    _, best, at, _, tries = repeated(lambda c: ~c[3], halved, begin, _HALVES)

    def inner(low: Any, high: Any) -> tuple[Any, Any]:
        return high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)

    def sectioned(_: Any, carry: Any) -> Any:
        low, high, left, right = carry
        near, far = inner(low, high)
        down = left >= right
        low, high = jnp.where(down, low, near), jnp.where(down, far, high)
        now = ratio(jnp.exp2(inner(low, high)[0] * down + inner(low, high)[1] * ~down))
        return low, high, jnp.where(down, now, right), jnp.where(down, left, now)

    low, high = jnp.log2(at) - 1, jnp.log2(at) + 1
    ends = [ratio(jnp.exp2(one)) for one in inner(low, high)]
    low, high, left, right = jax.lax.fori_loop(0, _SECTIONS - 2, sectioned, (low, high, *ends))
    near, far = inner(low, high)
    found = jnp.exp2(jnp.where(left >= right, near, far))
    return jnp.where(jnp.maximum(left, right) > best, found, at), tries + _SECTIONS
