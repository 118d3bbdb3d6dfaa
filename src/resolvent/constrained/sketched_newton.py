"""Newton's method for equality constraints, its systems solved by randomized projections."""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.checks import between, count, one_of, refuse
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.value import static
from resolvent.constrained.conditions import Multipliers, errors
from resolvent.constrained.derivatives import Local, hessian, local
from resolvent.constrained.exact_augmented_lagrangian import Penalties, merit, slope_of
from resolvent.constrained.first_multipliers import admitted_multipliers, first_multipliers
from resolvent.constrained.inner_solve import Choices, System, falls, solved
from resolvent.constrained.newton_steps import NEEDS, moved, restored_on, stepped_on
from resolvent.constrained.newton_system import (
    Rows,
    attached,
    modified,
    newton_matrix,
    reachable,
    spanned,
)
from resolvent.constrained.problem import ConstrainedProblem
from resolvent.constrained.restoration import Restoration, at_rest
from resolvent.constrained.scaling import Factors, adapted, scaled, unscaled
from resolvent.constrained.sketches import SKETCHES

_BURST = 64  # sketches at most that are drawn at once


class SketchedNewtonState(NamedTuple):
    x: Any
    """[n]"""
    y: Any
    """[m]"""
    at: Local
    error: Any
    """The norm of the gradient of the Lagrangian and of the equations."""
    scale: Any
    """What the certificate is relative to."""
    weights: Penalties
    factors: Factors
    """What the equations are multiplied by within a step."""
    step: Any
    """The last step size."""
    first: Any
    """The step size that is tried first."""
    restoration: Restoration
    status: Any
    key: Any
    done: Any
    evaluations: Any
    hessians: Any
    inner: Any


class SketchedNewton(Method):
    r"""Newton's method for equations, with sketched systems and an exact augmented Lagrangian.

    Solves `ConstrainedProblem` without inequalities and bounds. The Newton system of the conditions
    of Lagrange,

    $$\begin{pmatrix} B & G^\top \\ G & 0 \end{pmatrix} z = -\begin{pmatrix} \nabla_x L \\ c
    \end{pmatrix} ,$$

    is solved by projections on a few random combinations of its equations each, no further than a
    decrease of the merit $L + \eta_1 |c|^2 / 2 + \eta_2 |\nabla_x L|^2 / 2$ along $z = (d x, d y)$
    needs. Where it does not fall, $\eta_1$ grows, $\eta_2$ shrinks, and the system is solved more
    accurately. B is the Hessian of the Lagrangian, with a multiple of the identity where it is not
    positive along the constraints.

    Args:
        solver: `kaczmarz`: rows drawn with equal chances; `weighted-kaczmarz`: by their squared
            norms; `gaussian`: combinations of all rows; `count`: signed sums of rows; and the
            limits of the method without chance, `krylov`: GMRES, `exact`: a factorization.
        block: rows or combinations a projection.
        burst: projections between two looks at the residual; None for n + m, at most 64.
        theta: the accuracy of the systems, in (0, 1]: a number for linear convergence; for
            superlinear convergence `power`, 1 / (k + 1)^2, or `residual`, min(1, R), R the
            KKT error.
        inverse: the norm of the system's inverse that accuracy refers to: `bound` as proved,
            larger by orders of magnitude than it is; `estimate`, the norm itself; or `relative`,
            for a residual relative to the system's right-hand side.
        eta: the first (eta_1, eta_2).
        delta: the first accuracy.
        least_delta: what the accuracy does not fall below.
        beta: the share of the slope that a step must gain, in (0, 1/2).
        nu: the factor of the weights, above 1.
        shift: xi_B, the least curvature along the constraints after a modification.
        scaled: whether equations whose gradients are longer than 128 or shorter than 1/128 are
            multiplied by a power of 2 within a solve, so that it does not matter in what they are
            measured; not as published.
        stretch: the factor, at least 1, by which the first step size that is tried grows while the
            Hessian is not positive along the constraints and steps are not shortened, so that a
            function without a minimizer is seen to be one; 1 as published.
        singular: the singular values of G, relative to the largest, up to which rows count as
            dependent; never below what rounding makes.
        most: inner steps after which a direction is taken, accurate or not: as it is where the
            merit falls along it by enough, else the nearest one to it along which it does. The
            weights change only for directions that solve the system, at least to a tenth of both
            parts of its right-hand side.
        multipliers: the first ones, a number or an array [m]; None for those of least squares.

    Raises:
        ValueError: for parameters outside these ranges, or more equations than unknowns.

    Cost per iteration:
        One Hessian of the Lagrangian; f, its gradient, c and its Jacobian for each step size
        tried, nearly always one; singular values of G and eigenvalues of a matrix of n rows. Each
        projection on one row costs O(n + m), on one Gaussian or count sketch O((n + m)^2).

    Convergence:
        For functions with three Lipschitz derivatives on a bounded set with independent gradients
        of the equations, the KKT error tends to 0 with probability one for the sketches; near a
        point with positive curvature along the constraints unit steps are taken and convergence is
        linear, superlinear for `theta` that vanishes, quadratic for `exact`. Equations that repeat
        others do no harm. Where no step decreases the merit, or none the violation, the violation
        alone is minimized: the solve ends there with the reason `infeasible`, or goes on from a
        point that meets the equations, a few times.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.ConstrainedProblem(
            lambda x: ((x - 2) ** 2).sum(), lambda x: x @ x - 1, x0=jnp.array([1.0, 0.5])
        )
        sol = rs.solve(problem, rs.constrained.SketchedNewton("kaczmarz"), rtol=1e-5)
        assert jnp.allclose(sol.x, 0.5**0.5, atol=1e-4)
        ```

    Reference:
        I. Hong, S. Na, M. W. Mahoney, M. Kolar (2023), Constrained optimization via exact augmented
        Lagrangian and randomized iterative sketching, arXiv 2305.18379.
    """

    solver: str = static(default="kaczmarz")
    block: int = static(default=1)
    burst: int | None = static(default=None)
    theta: Any = 1.0
    inverse: str = static(default="bound")
    eta: Any = (1.0, 0.1)
    delta: Any = 0.1
    least_delta: Any = 1e-6
    beta: Any = 0.1
    nu: Any = 1.5
    shift: Any = 0.1
    scaled: bool = static(default=False)
    stretch: Any = 1.0
    singular: Any = 1e-10
    most: int = 100_000
    multipliers: Any = None

    name: ClassVar[str] = "sketched-newton"
    solves: ClassVar = (ConstrainedProblem,)
    needs: ClassVar[tuple[str, ...]] = NEEDS
    engines: ClassVar = ("traced",)
    random: ClassVar[bool] = True
    in_order: ClassVar[bool] = True
    monitored: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        one_of("solver", self.solver, (*SKETCHES, "krylov", "exact"))
        one_of("inverse", self.inverse, ("bound", "estimate", "relative"))
        count("block", self.block, least=1)
        count("most", self.most, least=1)
        if self.burst is not None:
            count("burst", self.burst, least=1)
        if isinstance(self.theta, str):
            one_of("theta", self.theta, ("power", "residual"))
        else:
            why = "Descent is proved for these."
            between("theta", self.theta, 0.0, 1.0, why, closed="high")
        if not isinstance(self.eta, tuple | list) or len(self.eta) != 2:
            refuse(
                TypeError, "eta", given=f"{self.eta!r}", needed="a pair (eta_1, eta_2)",
                advice="Write eta=(1.0, 0.1).",
            )  # fmt: skip
        infinity = float("inf")
        for part in self.eta:
            between("eta", part, 0.0, infinity, "The merit is bounded below for these.")
        for name in ("delta", "least_delta", "shift"):
            between(name, getattr(self, name), 0.0, infinity, "It is a positive size.")
        between("beta", self.beta, 0.0, 0.5, "Unit steps are accepted near an answer for these.")
        between("nu", self.nu, 1.0, infinity, "The weights must change.")
        why = "Steps do not become shorter."
        between("stretch", self.stretch, 1.0, infinity, why, closed="low")
        between("singular", self.singular, 0.0, 1.0, "It is a share of the largest one.")

    def check(self, problem: Any) -> None:
        admitted_multipliers(self.multipliers, problem)

    def limit(self, problem: Any) -> int:
        return 10_000

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> SketchedNewtonState:
        x = problem.vector(x0)
        at = local(problem, x)
        y = first_multipliers(self.multipliers, problem, x, at)
        zero, one = jnp.zeros((), jnp.int32), jnp.ones((), x.dtype)
        return SketchedNewtonState(
            x, y, at, _error(x, at, y), jnp.asarray(problem.scale(x0), x.dtype),
            self._weights(x.dtype), unscaled(at), one, one, at_rest(at), zero,
            jax.random.key_data(key), zero, zero + 1, zero, zero,
        )  # fmt: skip

    def _weights(self, dtype: Any) -> Penalties:
        return Penalties(*(jnp.asarray(w, dtype) for w in (*self.eta, self.delta)))

    def step(self, problem: Any, state: SketchedNewtonState) -> SketchedNewtonState:
        state = jax.lax.cond(
            state.restoration.on, partial(self._restored, problem),
            partial(self._stepped, problem), state,
        )  # fmt: skip
        return state._replace(error=_error(state.x, state.at, state.y))

    def _restored(self, problem: Any, state: SketchedNewtonState) -> SketchedNewtonState:
        return restored_on(problem, state, weights=self._weights(state.x.dtype))

    def _stepped(self, problem: Any, state: SketchedNewtonState) -> SketchedNewtonState:
        if self.scaled:
            state = state._replace(factors=adapted(state.x, state.at, state.factors))
        at, y = scaled(state.at, state.factors), state.y / state.factors.equalities
        H = hessian(problem, state.x, state.y, at.inequalities)
        rows = spanned(at.jacobian, self.singular)
        B, convex = modified(H, rows, self.shift)
        K = newton_matrix(B, at.jacobian, rows)
        slope = slope_of(at, y, H)
        b = -jnp.concatenate([slope.force, reachable(slope.values, rows)])
        system = self._system(K, b, slope, B, at.jacobian, rows)
        key, now = jax.random.split(jax.random.wrap_key_data(state.key))
        still = jax.lax.stop_gradient((system, state.weights))
        inner = solved(*still, now, self._choices(b.size, state))
        z, weights = attached(inner.z, K, b), inner.weights
        fall, _ = falls(system, weights, z)
        found = moved(problem, state, z, lambda at, y: merit(at, y, weights), fall, self.beta)
        after = stepped_on(
            problem, state, found, failed=~jnp.isfinite(inner.left), convex=convex,
            stretch=self.stretch, inner=inner.steps, weights=weights,
        )  # fmt: skip
        return after._replace(key=jax.random.key_data(key))

    def _system(self, K: Any, b: Any, slope: Any, B: Any, G: Any, rows: Rows) -> System:
        size = norm(K)
        if self.inverse == "bound":
            least = jnp.minimum(rows.least**2, 1) * jnp.minimum(self.shift, 1)
            inverse = 20 * jnp.maximum(norm(B) ** 2, 1) / least
        elif self.inverse == "estimate":
            inverse = 1 / jnp.min(jnp.abs(jnp.linalg.eigvalsh(K)))
        else:
            inverse = 1 / size
        largest = jnp.maximum(jnp.maximum(norm(G) if G.size else 0, norm(B)), 1)
        tightest = (0.5 - self.beta) / (largest * inverse) ** 2
        if self.inverse == "relative":
            tightest = jnp.full_like(size, jnp.inf)
        return System(K, b, size, inverse, slope, norm(b), tightest)

    def _choices(self, size: int, state: SketchedNewtonState) -> Choices:
        theta: Any = self.theta
        if isinstance(theta, str):
            k = state.done.astype(state.x.dtype)
            theta = (k + 1) ** -2 if theta == "power" else jnp.minimum(1, state.error)
        burst = min(size, _BURST) if self.burst is None else self.burst
        return Choices(self.solver, self.block, burst, theta, self.nu, self.least_delta, self.most)

    def measure(self, problem: Any, state: SketchedNewtonState) -> Any:
        return _error(state.x, state.at, state.y, state.scale)

    def iterate(self, problem: Any, state: SketchedNewtonState) -> tuple[Any, Any]:
        return problem.point(state.x), Multipliers(state.y, state.at.inequalities)

    def status(self, state: SketchedNewtonState) -> Any:
        return state.status

    def calls(self, problem: Any, state: SketchedNewtonState) -> dict[str, Any]:
        return {
            "evaluation": state.evaluations,
            "hessian": state.hessians,
            "inner_step": state.inner,
        }


def _error(x: Any, at: Local, y: Any, unit: Any = None) -> Any:
    return errors(x, at, Multipliers(y, at.inequalities), None, unit).total
