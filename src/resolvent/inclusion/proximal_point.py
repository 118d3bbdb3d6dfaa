"""The proximal point method, its resolvent exact or found by inner iterations."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, count, is_traced, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.inclusion.comonotone import ending
from resolvent.inclusion.operators import AffineOperator
from resolvent.inclusion.problem import Inclusion
from resolvent.inclusion.step_size import SAFE, first_calls, first_step, positive_step, searched

_INNER = ("dense", "newton", "extragradient")
_DENSE = 2000  # unknowns up to which an affine operator is factorized unasked
_ROUNDING = 10.0  # rounding errors at which an inner iteration has done what it can


class ProximalPointState(NamedTuple):
    center: Any
    y: Any
    Fy: Any
    step_size: Any
    inner_step: Any
    factors: Any
    merit: Any
    first: Any
    begun: Any
    index: Any
    tries: Any
    calls: Any
    resolvents: Any
    solves: Any


class ProximalPoint(Method):
    """Rockafellar's method: x <- (I + step (F + G))^-1 x.

    Solves `Inclusion` problems: the next point y solves y + step (F(y) + G(y)) = x, which is a
    better problem than the first. Where it takes inner iterations, each of them counts as a step of
    the solve, which may so end in the middle of one.

    Args:
        step_size: in the unit of x over F. None takes 2 rho + 1 / L, with rho the problem's
            `comonotone` and L its constant, or an estimate of it.
        inner: how y is found. "dense": by one factorization, for affine F on vectors without G.
            "newton": by Newton's iteration with dense derivatives, without G. "extragradient": by
            the extragradient method from x. None takes "dense" for affine F of at most 2000
            unknowns without G, else "extragradient". The iterations end when the inner residual,
            which bounds the distance to the exact y for monotone F, is at most
            min(||y - x||, d) / (k + 1)^2 in resolvent k, with d the first displacement: a sum that
            is finite.
        resolvent: a function of (x, step) that returns (I + step (F + G))^-1 x; nothing else is
            then solved.
        inner_steps: limit of the inner iterations of one resolvent; a breakdown beyond it.

    Raises:
        ValueError: for a step_size that is not above 2 rho; for "dense" or "newton" where there is
            a G; for "dense" where F is not affine; for "extragradient" where rho > 0; for an
            unknown `inner`, or one beside `resolvent`.
        TypeError: for a `resolvent` that cannot be called.

    Cost per iteration:
        "dense": n^2, after a factorization of n^3. "newton": F and its derivatives, a solve,
        n^3, and F again; a few times a resolvent. "extragradient": two evaluations of F and two
        of J, about (1 + step L) log(k) times a resolvent. `resolvent`: one call, one of F.

    Convergence:
        With the exact resolvent and step > 2 rho, `||F(x_k)||^2` is at most
        `||x_0 - x*||^2 / (step (step - 2 rho) k)`; for gradients of convex functions the residual
        is O(1 / k). Linear where F is strongly monotone. The inner rule keeps convergence
        (Rockafellar's criteria A and B).

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        problem = rs.Inclusion(rs.inclusion.AffineOperator(turn), start=jnp.ones(2), lipschitz=1.0)
        assert rs.solve(problem, rs.inclusion.ProximalPoint(step_size=5.0)).converged
        ```

    Reference:
        R. T. Rockafellar (1976), Monotone operators and the proximal point algorithm. For rho > 0:
        E. Gorbunov, A. Taylor, S. Horvath, G. Gidel (2022), Convergence of proximal point and
        extragradient-based methods beyond monotonicity: the case of negative comonotonicity,
        arXiv 2210.13831.
    """

    step_size: Any = None
    inner: str | None = static(default=None)
    resolvent: Callable[[Any, Any], Any] | None = static(default=None)
    inner_steps: int = static(default=1000)

    name: ClassVar[str] = "proximal-point"
    solves: ClassVar = (Inclusion,)
    engines: ClassVar = ("traced",)

    def __post_init__(self) -> None:
        positive_step("step_size", self.step_size)
        one_of("inner", self.inner, (None, *_INNER))
        count("inner_steps", self.inner_steps, least=1)
        if self.resolvent is not None and not callable(self.resolvent):
            refuse(
                TypeError, "resolvent", given=f"a {type(self.resolvent).__name__}",
                needed="a function of (x, step)", advice="Leave it out to have it computed.",
            )  # fmt: skip
        if self.resolvent is not None and self.inner is not None:
            refuse(
                ValueError, "inner", given=f"{self.inner!r} beside a resolvent",
                needed="one of both", advice="A resolvent leaves nothing to solve inside.",
            )  # fmt: skip

    def _kind(self, problem: Inclusion) -> str:
        if self.resolvent is not None:
            return "given"
        if self.inner is not None:
            return self.inner
        affine = isinstance(problem.F, AffineOperator) and problem.lacks("unconstrained") is None
        return "dense" if affine and problem.F.A.shape[0] <= _DENSE else "extragradient"

    def check(self, problem: Inclusion) -> None:
        kind, why = self._kind(problem), problem.lacks("unconstrained")
        if kind in ("dense", "newton") and why is not None:
            refuse(
                ValueError, "inner", given=f"{kind!r}, and a problem where {why}",
                needed="a problem without G", advice="Use 'extragradient', or pass a resolvent.",
            )  # fmt: skip
        if kind == "dense" and not isinstance(problem.F, AffineOperator):
            refuse(
                ValueError, "inner", given=f"'dense' for a {type(problem.F).__name__}",
                needed="an AffineOperator", advice="Use 'newton' or 'extragradient'.",
            )  # fmt: skip
        rho, step = problem.comonotone, self.step_size
        if is_traced((rho, step)):
            return
        if rho > 0 and kind == "extragradient":
            refuse(
                ValueError, "inner", given=f"'extragradient' for rho = {float(rho):g}",
                needed="monotone F", advice="Use 'newton', or pass a resolvent.",
            )  # fmt: skip
        if step is not None:
            between(
                "step_size", step, 2.0 * float(rho), float("inf"),
                "Theory asks for step_size > 2 rho, with rho the problem's `comonotone`.",
            )  # fmt: skip

    def init(self, problem: Inclusion, x0: Any, memory: Memory, key: Any) -> ProximalPointState:
        kind = self._kind(problem)
        free = kind in ("dense", "newton")
        x = x0 if free else problem.nearest(x0)
        Fx = problem.operator(x)
        guess = first_step(problem, None, x, Fx, 1.0)
        step = (guess + 2.0 * problem.comonotone).astype(guess.dtype)
        if self.step_size is not None:
            step = jnp.asarray(self.step_size, guess.dtype)
        # The inner operator, y + step F(y), has the constant 1 + step L.
        inner_step = SAFE / (1.0 + step / guess)
        factors = None
        if kind == "dense":
            matrix = problem.F.A.astype(step.dtype)
            whole = jnp.eye(matrix.shape[0], dtype=step.dtype) + step * matrix
            factors = jax.scipy.linalg.lu_factor(whole)
        merit = problem.merit(x, Fx)
        zero = jnp.zeros((), jnp.int32)
        return ProximalPointState(
            x, x, Fx, step, inner_step, factors, merit, merit,
            jnp.asarray(jnp.inf, step.dtype), zero, zero, zero + first_calls(problem, None),
            zero + (0 if free else 1), zero,
        )  # fmt: skip

    def step(self, problem: Inclusion, state: ProximalPointState) -> ProximalPointState:
        kind = self._kind(problem)
        if kind in ("dense", "given"):
            new = self._exact(problem, state)
        else:
            improve = self._newton if kind == "newton" else self._extragradient
            new = self._judged(*improve(problem, state))
        return new._replace(merit=problem.merit(new.y, new.Fy))

    def _exact(self, problem: Inclusion, state: ProximalPointState) -> ProximalPointState:
        x, step = state.y, state.step_size
        state = state._replace(index=state.index + 1, solves=state.solves + 1)
        if self.resolvent is not None:
            y = self.resolvent(x, step)
            y = trees.map_leaves(lambda leaf, like: jnp.asarray(leaf, like.dtype), y, x)
            return state._replace(y=y, Fy=problem.operator(y), calls=state.calls + 1)
        q = problem.F.q
        y = jax.scipy.linalg.lu_solve(state.factors, x if q is None else x - step * q)
        # F at the new point comes free of charge.
        return state._replace(y=y, Fy=(x - y) / step)

    def _judged(self, state: ProximalPointState, size: Any) -> ProximalPointState:
        """Go on to the next resolvent where the inner residual is small enough for this one."""
        # No derivative: a norm of exactly zero has none, and no step depends on it smoothly.
        seen = jax.lax.stop_gradient(state)
        size = jax.lax.stop_gradient(size)
        moved = trees.norm(trees.minus(seen.y, seen.center))
        allowed = jnp.minimum(moved, seen.begun) / (state.index + 1.0) ** 2
        eps = jnp.finfo(state.step_size.dtype).eps
        rounding = eps * (trees.norm(seen.center) + seen.step_size * trees.norm(seen.Fy))
        ends = size <= jnp.maximum(allowed, _ROUNDING * rounding)
        return state._replace(
            center=trees.where(ends, state.y, state.center),
            begun=jnp.where(ends & (state.index == 0), moved, state.begun),
            index=state.index + ends, tries=jnp.where(ends, 0, state.tries + 1),
            solves=state.solves + ends,
        )  # fmt: skip

    def _newton(self, problem: Inclusion, state: ProximalPointState) -> Any:
        step = state.step_size
        x, y, Fy = (trees.raveled(part) for part in (state.center, state.y, state.Fy))

        def F(point: Any) -> Any:
            return trees.raveled(problem.operator(trees.unraveled(point, state.y)))

        whole = jnp.eye(x.size, dtype=x.dtype) + step * jax.jacfwd(F)(y)
        y = y - jnp.linalg.solve(whole, y - x + step * Fy)
        Fy = F(y)
        state = state._replace(
            y=trees.unraveled(y, state.y), Fy=trees.unraveled(Fy, state.y), calls=state.calls + 2
        )
        return state, trees.norm(y - x + step * Fy)

    def _extragradient(self, problem: Inclusion, state: ProximalPointState) -> Any:
        x, y, step = state.center, state.y, state.step_size

        def field(point: Any, value: Any) -> Any:
            return trees.combined((1.0, point), (-1.0, x), (step, value))

        def look(inner: Any) -> tuple[Any, Any]:
            ahead = problem.resolvent(trees.plus(y, -inner, now), inner * step)
            return ahead, field(ahead, problem.operator(ahead))

        now = field(y, state.Fy)
        fixed = problem.lipschitz is not None
        (_, ahead), inner, tries = searched(look, y, now, state.inner_step, fixed)
        new = problem.resolvent(trees.plus(y, -inner, ahead), inner * step)
        Fnew = problem.operator(new)
        # An element of the inner operator at the new point, G included.
        left = trees.combined((1.0 / inner, y), (-1.0 / inner, new), (-1.0, ahead))
        left = trees.plus(left, 1.0, field(new, Fnew))
        state = state._replace(
            y=new, Fy=Fnew, inner_step=inner, calls=state.calls + tries + 1,
            resolvents=state.resolvents + tries + 1,
        )  # fmt: skip
        return state, trees.norm(left)

    def measure(self, problem: Inclusion, state: ProximalPointState) -> Any:
        return state.merit

    def refresh(self, problem: Inclusion, state: ProximalPointState) -> ProximalPointState:
        Fy = problem.operator(state.y)
        return state._replace(Fy=Fy, merit=problem.merit(state.y, Fy), calls=state.calls + 1)

    def iterate(self, problem: Inclusion, state: ProximalPointState) -> tuple[Any, None]:
        return state.y, None

    def status(self, state: ProximalPointState) -> Any:
        code = ending(state.merit, state.first)
        return jnp.where(state.tries > self.inner_steps, Reason.breakdown.code, code)

    def calls(self, problem: Inclusion, state: ProximalPointState) -> dict[str, Any]:
        return {"operator": state.calls, "resolvent": state.resolvents, "solve": state.solves}
