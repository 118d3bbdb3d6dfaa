"""Sequential quadratic programming for equations, with the l1 merit and inexact steps."""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.checks import between, count, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.value import static
from resolvent.constrained import matrix_free, minimal_residual
from resolvent.constrained.conditions import Multipliers, errors, estimated
from resolvent.constrained.derivatives import Local, hessian, local
from resolvent.constrained.first_multipliers import admitted_multipliers, first_multipliers
from resolvent.constrained.matrix_free import Direction
from resolvent.constrained.newton_steps import NEEDS, moved, restored_on, stepped_on
from resolvent.constrained.newton_system import (
    attached,
    modified,
    newton_matrix,
    reachable,
    spanned,
)
from resolvent.constrained.problem import ConstrainedProblem
from resolvent.constrained.restoration import Restoration, at_rest
from resolvent.constrained.scaling import Factors, adapted, scaled, unscaled

_ROUNDED = 10.0  # units in the last place of what a residual is a difference of
_SOBER = 0.1  # share of a slope that better multipliers leave at most
_CURVED = 1e-8  # the least share of |d|^2 that a model is taken to be bent by


class L1SQPState(NamedTuple):
    x: Any
    """[n]"""
    y: Any
    """[m]"""
    at: Local
    scale: Any
    """What the certificate is relative to."""
    mu: Any
    """The weight of |c|_1 in the merit."""
    kappa: Any
    """The share of the right-hand side that an inner residual may have."""
    factors: Factors
    """What the equations are multiplied by within a step."""
    step: Any
    """The last step size."""
    first: Any
    """The step size that is tried first."""
    restoration: Restoration
    shift: Any
    """What `minres` adds to a curvature that it cannot see as a whole."""
    status: Any
    done: Any
    evaluations: Any
    hessians: Any
    inner: Any


class _System(NamedTuple):
    """K z = b, what it models, and what bends the model."""

    K: Any
    b: Any
    B: Any
    gradient: Any
    values: Any


class _Search(NamedTuple):
    """A direction on its way."""

    krylov: Any
    mu: Any
    kappa: Any
    done: Any


class L1SQP(Method):
    """Inexact sequential quadratic programming with the merit f + mu |c|_1.

    Solves `ConstrainedProblem` without inequalities and bounds. The Newton system of the conditions
    of Lagrange is solved by GMRES, until the direction d reduces the model of the merit,

        reduction = mu (|c|_1 - |c + G d|_1) - grad f^T d ,

    by enough. The line search asks for a share of that reduction.

    Args:
        rule: when the inner solve ends. `tests`: the residual is at most `kappa` times the
            right-hand side and the model is reduced for the present mu; or both parts of the
            residual are small beside |c|_1, that of the equations at most `feasible` and that of
            the gradient at most `stationary` times, and mu grows until the model is reduced.
            `adaptive`: the residual is at most kappa times the right-hand side; where the model is
            not reduced then, mu grows by `nu` and kappa shrinks by its square, for good.
        solver: `krylov`: GMRES; `exact`: a factorization, which meets every test, and multipliers
            of least squares after a shortened step where they leave a tenth of the slope or less;
            `minres`: products alone, for large problems with a `pattern` and a preconditioner. It
            goes by the rule `adaptive`.
        mu: the first weight of the violation.
        kappa: the first relative accuracy, in (0, 1).
        feasible: epsilon of the second test, in (0, 1).
        stationary: beta of the second test.
        sigma: the share of mu |c|_1 by which the model must be reduced, in (0, 1).
        nu: the factor of `adaptive`, above 1.
        decrease: the share of the reduction that a step must gain, in (0, 1).
        shift: the least curvature along the constraints after a modification.
        scaled: whether equations whose gradients are longer than 128 or shorter than 1/128 are
            multiplied by a power of 2 within a solve, so that it does not matter in what they are
            measured; not as published.
        stretch: the factor, at least 1, by which the first step size that is tried grows while the
            Hessian is not positive along the constraints and steps are not shortened, so that a
            function without a minimizer is seen to be one; 1 as published.
        singular: the singular values of G, relative to the largest, up to which rows count as
            dependent; never below what rounding makes.
        most: inner steps after which a direction is taken as it is.
        multipliers: the first ones, a number or an array [m]; None for those of least squares.
        preconditioner: of `minres`: a function of x, a vector like x and one like the equations,
            [m], and of `args` where the problem has them, which returns such a pair of vectors. It
            stands for the inverse of a symmetric positive definite matrix, such as one with the
            blocks B and G B^-1 G^T.

    Raises:
        ValueError: for parameters outside these ranges, or more equations than unknowns.

    Cost per iteration:
        One Hessian of the Lagrangian; f, its gradient, c and its Jacobian for each step size
        tried; a product of n + m rows for each inner step, and as many rows kept as inner steps.
        An inner step of `minres` is a product with the Hessian, with the Jacobian and its
        transpose, and the preconditioner, and keeps a dozen vectors; where curvature is not
        positive along the direction, the steps begin again with a multiple of the identity added.

    Convergence:
        For bounded weights mu and independent gradients of the equations, every limit point is
        stationary. The merit is not smooth: near an answer it may refuse unit steps (the Maratos
        effect). Equations that repeat others do no harm. Where no step decreases the merit, or none
        the violation, the violation alone is minimized: the solve ends there with the reason
        `infeasible`, or goes on from a point that meets the equations, a few times.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.ConstrainedProblem(
            lambda x: ((x - 2) ** 2).sum(), lambda x: x @ x - 1, x0=jnp.array([1.0, 0.5])
        )
        sol = rs.solve(problem, rs.constrained.L1SQP(), rtol=1e-5)
        assert jnp.allclose(sol.x, 0.5**0.5, atol=1e-4)
        ```

    Reference:
        R. H. Byrd, F. E. Curtis, J. Nocedal (2008), An inexact SQP method for equality constrained
        optimization, SIAM Journal on Optimization 19. The rule `adaptive`: I. Hong, S. Na, M. W.
        Mahoney, M. Kolar (2023), arXiv 2305.18379.
    """

    rule: str = static(default="adaptive")
    solver: str = static(default="krylov")
    mu: Any = 1.0
    kappa: Any = 0.1
    feasible: Any = 0.1
    stationary: Any = 10.0
    sigma: Any = 0.1
    nu: Any = 1.5
    decrease: Any = 1e-4
    shift: Any = 0.1
    scaled: bool = static(default=False)
    stretch: Any = 1.0
    singular: Any = 1e-10
    most: int = 10_000
    multipliers: Any = None
    preconditioner: Any = None

    name: ClassVar[str] = "l1-sqp"
    solves: ClassVar = (ConstrainedProblem,)
    needs: ClassVar[tuple[str, ...]] = NEEDS
    engines: ClassVar = ("traced",)
    monitored: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        one_of("rule", self.rule, ("tests", "adaptive"))
        one_of("solver", self.solver, ("krylov", "minres", "exact"))
        if self.solver != "minres" and self.preconditioner is not None:
            refuse(
                ValueError, "preconditioner", given=f"one with solver={self.solver!r}",
                needed="none there", advice="Pass solver='minres'.",
            )  # fmt: skip
        if self.solver == "minres" and self.rule != "adaptive":
            refuse(
                ValueError, "rule", given=f"{self.rule!r} with solver='minres'",
                needed="'adaptive' there", advice="Leave the rule out.",
            )  # fmt: skip
        count("most", self.most, least=1)
        infinity = float("inf")
        for name in ("mu", "stationary", "shift"):
            between(name, getattr(self, name), 0.0, infinity, "It is a positive size.")
        for name in ("kappa", "feasible", "sigma", "decrease", "singular"):
            between(name, getattr(self, name), 0.0, 1.0, "It is a share.")
        between("nu", self.nu, 1.0, infinity, "The weight must grow.")
        why = "Steps do not become shorter."
        between("stretch", self.stretch, 1.0, infinity, why, closed="low")

    def check(self, problem: Any) -> None:
        admitted_multipliers(self.multipliers, problem)

    def limit(self, problem: Any) -> int:
        return 10_000

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> L1SQPState:
        x = problem.vector(x0)
        at = local(problem, x, sparse=self.solver == "minres")
        y = first_multipliers(self.multipliers, problem, x, at)
        zero, one = jnp.zeros((), jnp.int32), jnp.ones((), x.dtype)
        return L1SQPState(
            x, y, at, jnp.asarray(problem.scale(x0), x.dtype), self.mu * one, self.kappa * one,
            unscaled(at), one, one, at_rest(at), 0 * one, zero, zero, zero + 1, zero, zero,
        )  # fmt: skip

    def step(self, problem: Any, state: L1SQPState) -> L1SQPState:
        return jax.lax.cond(
            state.restoration.on, partial(self._restored, problem),
            partial(self._stepped, problem), state,
        )  # fmt: skip

    def _restored(self, problem: Any, state: L1SQPState) -> L1SQPState:
        one = jnp.ones((), state.x.dtype)
        return restored_on(problem, state, mu=self.mu * one, kappa=self.kappa * one)

    def _stepped(self, problem: Any, state: L1SQPState) -> L1SQPState:
        if self.scaled:
            state = state._replace(factors=adapted(state.x, state.at, state.factors))
        at, y = scaled(state.at, state.factors), state.y / state.factors.equalities
        if self.solver == "minres":
            to = matrix_free.direction(self, problem, state, at, y)
            return self._searched(problem, state, to)
        rows = spanned(at.jacobian, self.singular)
        H = hessian(problem, state.x, state.y, at.inequalities)
        B, convex = modified(H, rows, self.shift)
        force = at.gradient + y @ at.jacobian
        b = -jnp.concatenate([force, reachable(at.equalities, rows)])
        K = newton_matrix(B, at.jacobian, rows)
        system = _System(K, b, B, at.gradient, at.equalities)
        still = jax.lax.stop_gradient((system, state.mu, state.kappa))
        search = self._direction(*still)
        z = attached(search.krylov.z, system.K, b)
        gain, _ = self._model(system, z, search.mu)
        inner = search.krylov.used
        to = Direction(z, gain, search.mu, search.kappa, state.shift, inner, convex)
        return self._searched(problem, state, to)

    def _searched(self, problem: Any, state: L1SQPState, to: Direction) -> L1SQPState:
        """The state after a line search."""

        def merit(at: Local, y: Any) -> Any:
            violation = to.mu * jnp.abs(at.equalities).sum()
            return at.value + violation, jnp.abs(at.value) + violation

        found = moved(problem, state, to.z, merit, -to.gain, self.decrease)
        if self.solver == "exact":
            found = found._replace(y=self._soberer(found))
        return stepped_on(
            problem, state, found, failed=jnp.asarray(False), convex=to.convex,
            stretch=self.stretch, inner=to.inner, hessians=self.solver != "minres",
            mu=to.mu, kappa=to.kappa, shift=to.shift,
        )  # fmt: skip

    def _soberer(self, found: Any) -> Any:
        """The multipliers of a step, or those of least squares where they leave far less.

        Those of a step that was shortened may be large without need, and bend the Lagrangian then.
        """
        least = estimated(found.x, found.at, None).equalities
        here, there = (norm(found.at.gradient + y @ found.at.jacobian) for y in (found.y, least))
        return jnp.where((found.size < 1) & (there <= _SOBER * here), least, found.y)

    def _direction(self, system: _System, mu: Any, kappa: Any) -> _Search:
        """Inner steps until the rule is satisfied; mu and kappa change on the way."""
        K, b = system.K, system.b
        krylov = minimal_residual.begun(b, b.size)
        if self.solver == "exact":
            z = jnp.linalg.solve(K, b)
            krylov = krylov._replace(z=z, r=b - K @ z, used=krylov.used + 1)
        begin = self._judged(system, _Search(krylov, mu, kappa, jnp.asarray(False)))

        def goes_on(search: _Search) -> Any:
            return ~search.done & jnp.isfinite(search.krylov.r).all()

        def more(search: _Search) -> _Search:
            if self.solver == "krylov":
                search = search._replace(krylov=minimal_residual.stepped(K, search.krylov))
            return self._judged(system, search)

        return jax.lax.while_loop(goes_on, more, begin)

    def _model(self, system: _System, z: Any, mu: Any) -> tuple[Any, Any]:
        """The reduction of the model along a direction, and by how much it must be."""
        n = system.gradient.size
        d, c = z[:n], system.values
        left = jnp.abs((system.K @ z)[n:] + c).sum()
        size = jnp.abs(c).sum()
        bend = jnp.maximum(0.5 * d @ system.B @ d, _CURVED * d @ d)
        gain = mu * (size - left) - system.gradient @ d
        return gain, bend + self.sigma * mu * jnp.maximum(size, left - size)

    def _judged(self, system: _System, search: _Search) -> _Search:
        """Whether the direction will do, and the weights that the rule gives it."""
        n, c = system.gradient.size, system.values
        krylov, mu, kappa = search.krylov, search.mu, search.kappa
        z, r = krylov.z, krylov.r
        gain, wanted = self._model(system, z, mu)
        reduced = gain >= wanted
        whole, size = jnp.abs(system.b).sum(), jnp.abs(c).sum()
        eps = jnp.finfo(z.dtype).eps
        exact = jnp.abs(r).sum() <= _ROUNDED * eps * (jnp.abs(system.K) @ jnp.abs(z)).sum()
        spent = (krylov.used >= self.most) | exact | (self.solver == "exact")
        close = (jnp.abs(r).sum() <= kappa * whole) | spent
        along, across = jnp.abs(r[:n]).sum(), jnp.abs(r[n:]).sum()
        # The weight for which a direction that meets the linearized equations reduces the model.
        bend = jnp.maximum(0.5 * z[:n] @ system.B @ z[:n], _CURVED * z[:n] @ z[:n])
        room = (1 - self.sigma) * (size - across)
        needed = (system.gradient @ z[:n] + bend) / jnp.where(room > 0, room, 1)
        heavier = jnp.where(room > 0, jnp.maximum(mu, 1.01 * needed), mu)
        if self.rule == "tests":
            second = (across <= self.feasible * size) & (along <= self.stationary * size)
            first = close & reduced
            second = (second & (size > 0)) | (spent & (room > 0))
            mu = jnp.where(first | ~second, mu, heavier)
            return _Search(krylov, mu, kappa, first | second | spent)
        fails = close & ~reduced & ~spent
        mu = jnp.where(fails, self.nu * mu, jnp.where(close & ~reduced, heavier, mu))
        kappa = jnp.where(fails, kappa / self.nu**2, kappa)
        return _Search(krylov, mu, kappa, (close & reduced) | spent)

    def measure(self, problem: Any, state: L1SQPState) -> Any:
        pair = Multipliers(state.y, state.at.inequalities)
        return errors(state.x, state.at, pair, None, state.scale).total

    def iterate(self, problem: Any, state: L1SQPState) -> tuple[Any, Any]:
        return problem.point(state.x), Multipliers(state.y, state.at.inequalities)

    def status(self, state: L1SQPState) -> Any:
        return state.status

    def calls(self, problem: Any, state: L1SQPState) -> dict[str, Any]:
        return {
            "evaluation": state.evaluations,
            "hessian": state.hessians,
            "inner_step": state.inner,
        }
