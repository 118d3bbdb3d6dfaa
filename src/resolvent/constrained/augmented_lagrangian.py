"""The augmented Lagrangian method for equations, inequalities and bounds."""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between, refuse
from resolvent._core.line_search import backtracked
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.solution import Reason
from resolvent.constrained.conditions import Multipliers, clipped, displacement, errors
from resolvent.constrained.derivatives import Local, local
from resolvent.constrained.direction_within_bounds import Bent, direction
from resolvent.constrained.problem import ConstrainedProblem
from resolvent.constrained.remembered import first_pair, first_weights, kept, recalled
from resolvent.constrained.restoration import Restoration, at_rest, observed, restored
from resolvent.constrained.scaling import Factors, adapted, inverse, scaled, unscaled, weighed

_PENALTY = "penalty"  # the memory entry of rho


class AugmentedLagrangianState(NamedTuple):
    x: Any
    """[n], within the bounds."""
    at: Local
    """The constraints times their factors."""
    multipliers: Multipliers
    """Those of the present augmented Lagrangian, of these constraints."""
    factors: Factors
    rho: Any
    tolerance: Any
    """What its projected gradient is to come down to."""
    violation: Any
    """How far the constraints were from their conditions when multipliers last changed."""
    unit: Any
    """The size of the first projected gradient."""
    stuck: Any
    """Whether no step size gained anything: the gradient is rounding."""
    gone: Any
    """Whether x went far away, and the least violation is sought from the first point."""
    scale: Any
    """What the certificate is relative to."""
    goal: Any
    restoration: Restoration
    status: Any
    evaluations: Any
    products: Any
    updates: Any


class AugmentedLagrangian(Method):
    r"""Minimize with a quadratic penalty around multipliers, then correct the multipliers.

    Solves `ConstrainedProblem` with every kind of constraint. With estimates y and z >= 0 of the
    multipliers, an iteration is a Newton step, projected onto the bounds, on

    $$f(x) + y^\top c(x) + \tfrac{\rho}{2} |c(x)|^2
    + \tfrac{1}{2 \rho} \left( |\max(0, z + \rho h(x))|^2 - |z|^2 \right) .$$

    Where its projected gradient has become small enough, y <- y + rho c and
    z <- max(0, z + rho h); rho grows where the violation did not shrink enough since the last such
    change. The Newton systems are solved by conjugate gradients with products alone.

    Args:
        rho: the first penalty weight.
        growth: its factor, above 1.
        progress: the share of the violation that may be left when the multipliers change without
            a heavier penalty, in [0, 1); 0 makes it heavier every time.
        tolerance: the first tolerance for the projected gradient, as a share of that at the start.
        sharpen: its factor at each change of the multipliers, in (0, 1).
        most: the weight beyond which the violation alone is minimized, to see whether the
            constraints can be met at all; None for the precision's power -3/4.
        decrease: the share of the slope that a step must gain, in (0, 1).
        multipliers: the first ones, a `Multipliers` or one number for all; None for those of least
            squares.

    Raises:
        TypeError: for multipliers that are no pair of arrays.
        ValueError: for parameters outside these ranges, multipliers of another shape.

    Cost per iteration:
        f, its gradient, the constraints and their Jacobians for each step size tried, nearly always
        one; a product with the Hessian of the Lagrangian for each inner step, n at most.

    Convergence:
        Limit points are stationary where the gradients of the active constraints are independent,
        else they are stationary for the violation, which is reported as `infeasible`. Where x goes
        far away, the least violation is sought from the first point: the solve ends as `infeasible`
        if that does not vanish, else as `diverged`. Near an answer with positive curvature along
        the active constraints the multipliers converge linearly for bounded rho, with a ratio of
        order 1 / rho. Constraints whose gradients are longer than 128 or shorter than 1/128 are
        measured in another unit on the way.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.ConstrainedProblem(
            lambda x: ((x - 2) ** 2).sum(), inequalities=lambda x: x.sum() - 2, bounds=(0.0, 0.7),
            x0=jnp.zeros(3),
        )
        sol = rs.solve(problem, rs.constrained.AugmentedLagrangian(), rtol=1e-4)
        assert jnp.allclose(sol.x, 2 / 3, atol=1e-3)
        ```

    Reference:
        M. J. D. Powell (1969), A method for nonlinear constraints in minimization problems; R. T.
        Rockafellar (1974), Augmented Lagrange multiplier functions and duality in nonconvex
        programming; D. P. Bertsekas (1982), Projected Newton methods for optimization problems
        with simple constraints.
    """

    rho: Any = 10.0
    growth: Any = 10.0
    progress: Any = 0.25
    tolerance: Any = 0.1
    sharpen: Any = 0.1
    most: Any = None
    decrease: Any = 1e-4
    multipliers: Any = None

    name: ClassVar[str] = "augmented-lagrangian"
    solves: ClassVar = (ConstrainedProblem,)
    engines: ClassVar = ("traced",)
    reads: ClassVar[tuple[str, ...]] = ("multipliers", _PENALTY)
    monitored: ClassVar[int] = 300

    def __post_init__(self) -> None:
        infinity = float("inf")
        for name in ("rho", "tolerance"):
            between(name, getattr(self, name), 0.0, infinity, "It is a positive size.")
        between("growth", self.growth, 1.0, infinity, "The penalty must become heavier.")
        between("progress", self.progress, -1e-300, 1.0, "It is a share that is left.")
        for name in ("sharpen", "decrease"):
            between(name, getattr(self, name), 0.0, 1.0, "It is a share.")
        if self.most is not None:
            between("most", self.most, 0.0, infinity, "It is a penalty weight.")

    def check(self, problem: Any) -> None:
        self._first(problem)

    def limit(self, problem: Any) -> int:
        return 10_000

    def _first(self, problem: Any) -> Any:
        """The multipliers that were given, checked."""
        given = self.multipliers
        if given is None or (not isinstance(given, tuple) and not jnp.ndim(given)):
            return given
        if not isinstance(given, tuple) or len(given) != 2:
            refuse(
                TypeError, "multipliers", given=f"a {type(given).__name__}",
                needed="a pair of arrays, or one number",
                advice="Write resolvent.constrained.Multipliers(y, z).",
            )  # fmt: skip
        shapes, wanted = tuple(jnp.shape(part) for part in given), problem.counts()
        if shapes != tuple((size,) for size in wanted):
            refuse(
                ValueError, "multipliers", given=f"shapes {shapes}",
                needed=f"{wanted[0]} for equations and {wanted[1]} for inequalities",
                advice="There is one for each.",
            )  # fmt: skip
        return given

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> AugmentedLagrangianState:
        x = problem.vector(x0)
        bounds = problem.bounds_at(x)
        x = clipped(x, bounds)
        at, given = local(problem, x, sparse=True), self._first(problem)
        scale, memory = jnp.asarray(problem.scale(x0), x.dtype), self.recall(problem, memory)
        if given is None:
            pair = first_pair(memory, x, at, bounds, scale)
        elif isinstance(given, tuple):
            pair = Multipliers(*(jnp.asarray(part, x.dtype) for part in given))
        else:
            pair = Multipliers(
                jnp.full_like(at.equalities, given), jnp.full_like(at.inequalities, given)
            )
        rest, factors = at_rest(at), adapted(x, at, unscaled(at))
        at, pair = scaled(at, factors), weighed(pair, inverse(factors))
        one, zero, no = jnp.ones((), x.dtype), jnp.zeros((), jnp.int32), jnp.asarray(False)
        (rho,) = first_weights(memory, _PENALTY, (self.rho,), self._is_usual)
        unit = norm(displacement(x, _slope(at, pair, rho), bounds))
        return AugmentedLagrangianState(
            x, at, pair, factors, rho, self.tolerance * unit, jnp.full_like(one, jnp.inf), unit,
            no, no, scale, 0 * one, rest, zero, zero + 1, zero, zero,
        )  # fmt: skip

    def _is_usual(self, rho: Any) -> Any:
        """Whether a remembered weight is one that this method may begin with."""
        return (rho >= self.rho) & (rho <= jnp.finfo(rho.dtype).eps ** -0.5)

    def aim(self, state: AugmentedLagrangianState, goal: Any) -> AugmentedLagrangianState:
        return state._replace(goal=jnp.asarray(goal, state.goal.dtype))

    def step(self, problem: Any, state: AugmentedLagrangianState) -> AugmentedLagrangianState:
        return jax.lax.cond(
            state.restoration.on, partial(self._restored, problem),
            partial(self._stepped, problem), state,
        )  # fmt: skip

    def _restored(self, problem: Any, state: AugmentedLagrangianState) -> Any:
        bounds = problem.bounds_at(state.x)
        at = scaled(state.at, inverse(state.factors))
        x, at, restoration, code, _ = restored(problem, state.x, at, bounds, state.restoration)
        open_ = code == Reason.breakdown.code
        code = jnp.where(open_ & state.gone, Reason.diverged.code, code)
        return state._replace(
            x=x, at=scaled(at, state.factors), restoration=restoration,
            status=code.astype(jnp.int32), evaluations=state.evaluations + 1,
        )  # fmt: skip

    def _stepped(self, problem: Any, state: AugmentedLagrangianState) -> Any:
        bounds = problem.bounds_at(state.x)
        state = self._updated(state, bounds)
        x, at, pair, rho = state.x, state.at, state.multipliers, state.rho
        slope, forces = _slope(at, pair, rho), _forces(at, pair, rho)
        # As numbers: what a loop that is differentiated closes over must be of that kind.
        pushing = (forces.inequalities > 0).astype(x.dtype)
        theirs = weighed(forces, state.factors)
        bent = Bent(problem, x, theirs, rho, at.jacobian, at.slopes, pushing)
        d, products = direction(bent, slope, bounds, state.tolerance, state.unit)
        before, terms = _value(at, pair, rho)

        def at_point(there: Any) -> Any:
            return there, scaled(local(problem, there, sparse=True), state.factors)

        def look(step: Any) -> Any:
            there, now = at_point(clipped(x + step * d, bounds))
            return there, now, _value(now, pair, rho)[0]

        def refused(trial: Any, step: Any, before: Any, x: Any, slope: Any, room: Any) -> Any:
            fall = slope @ (trial[0] - x)
            return ~(trial[-1] <= before + self.decrease * fall + room)

        room = 10 * jnp.finfo(x.dtype).eps * terms
        (there, now, after), _, tries = backtracked(
            look, refused, jnp.ones((), x.dtype), (before, x, slope, room), tries=50
        )
        lost = ~(after <= before + room) | (there == x).all()
        size = norm(displacement(x, slope, bounds))
        left = norm(displacement(there, _slope(now, pair, rho), bounds))
        # Where rounding hides what the value gains, its slope still tells of progress.
        stuck = lost | (~(after < before - room) & ~(left <= 0.5 * size))
        x, at = trees.where(lost, (x, at), (there, now))
        first = problem.vector(problem.first)
        begin = problem.is_beyond(x) | (rho > self._heaviest(x))
        # What is violated far away is rounding.
        gone = begin & (norm(x) > jnp.finfo(x.dtype).eps ** -0.5 * (1 + norm(first)))
        x, at = jax.lax.cond(gone, at_point, lambda _: (x, at), clipped(first, bounds))
        theirs = scaled(at, inverse(state.factors))
        return state._replace(
            x=x, at=at, stuck=stuck, gone=gone,
            restoration=observed(state.restoration, x, theirs, bounds, begin),
            evaluations=state.evaluations + tries + gone, products=state.products + products,
        )  # fmt: skip

    def _heaviest(self, x: Any) -> Any:
        return jnp.finfo(x.dtype).eps ** -0.75 if self.most is None else self.most

    def _updated(self, state: AugmentedLagrangianState, bounds: Any) -> Any:
        """The state with other multipliers where its minimization has come far enough."""
        x, at, pair, rho = state.x, state.at, state.multipliers, state.rho
        small = norm(displacement(x, _slope(at, pair, rho), bounds)) <= state.tolerance
        due = small | state.stuck
        after = _forces(at, pair, rho)
        slack = jnp.minimum(after.inequalities / rho, -at.inequalities)
        violation = norm(jnp.concatenate([at.equalities, slack]))
        slow = due & ~(violation <= self.progress * state.violation) & (violation > 0)
        tolerance = jnp.maximum(self.sharpen * state.tolerance, 0.1 * state.goal)
        state = state._replace(
            multipliers=trees.where(due, after, pair),
            rho=jnp.where(slow, self.growth * rho, rho),
            tolerance=jnp.where(small, tolerance, state.tolerance),
            violation=jnp.where(due, violation, state.violation),
            updates=state.updates + due,
        )
        return trees.where(due, _rescaled(state), state)

    def measure(self, problem: Any, state: AugmentedLagrangianState) -> Any:
        at = scaled(state.at, inverse(state.factors))
        return errors(state.x, at, _theirs(state), problem.bounds_at(state.x), state.scale).total

    def iterate(self, problem: Any, state: AugmentedLagrangianState) -> tuple[Any, Any]:
        return problem.point(state.x), _theirs(state)

    def recall(self, problem: Any, memory: Memory) -> Memory:
        return recalled(problem, memory, _PENALTY, 1)

    def remember(self, problem: Any, state: AugmentedLagrangianState) -> dict[str, Entry]:
        pair = _theirs(state)
        # A step back: it comes down again where it was not needed, and a first point is far away.
        return kept(pair, _PENALTY, (jnp.maximum(state.rho / self.growth, self.rho),))

    def status(self, state: AugmentedLagrangianState) -> Any:
        return state.status

    def calls(self, problem: Any, state: AugmentedLagrangianState) -> dict[str, Any]:
        return {
            "evaluation": state.evaluations,
            "hessian_product": state.products,
            "multiplier_update": state.updates,
        }


def _rescaled(state: AugmentedLagrangianState) -> AugmentedLagrangianState:
    """The same where the gradients of constraints have kept their length, else in other units."""
    factors = adapted(state.x, scaled(state.at, inverse(state.factors)), state.factors)
    change = Factors(*(now / before for now, before in zip(factors, state.factors, strict=True)))
    alike = jnp.concatenate(change) == 1
    return state._replace(
        at=scaled(state.at, change), multipliers=weighed(state.multipliers, inverse(change)),
        factors=factors, violation=jnp.where(alike.all(), state.violation, jnp.inf),
    )  # fmt: skip


def _theirs(state: AugmentedLagrangianState) -> Multipliers:
    """The multipliers of the constraints as they were given."""
    forces = _forces(state.at, state.multipliers, state.rho)
    return weighed(forces, state.factors)


def _forces(at: Local, pair: Multipliers, rho: Any) -> Multipliers:
    """The multipliers that the augmented Lagrangian's gradient makes."""
    return Multipliers(
        pair.equalities + rho * at.equalities,
        jnp.maximum(pair.inequalities + rho * at.inequalities, 0),
    )


def _slope(at: Local, pair: Multipliers, rho: Any) -> Any:
    y, z = _forces(at, pair, rho)
    return at.gradient + y @ at.jacobian + z @ at.slopes


def _value(at: Local, pair: Multipliers, rho: Any) -> tuple[Any, Any]:
    """The augmented Lagrangian, and the size of its terms."""
    y, z = pair
    c = at.equalities
    along = y * c
    pushed = jnp.maximum(z + rho * at.inequalities, 0)
    extra = 0.5 * rho * (c @ c) + 0.5 * (pushed @ pushed - z @ z) / rho
    size = jnp.abs(at.value) + jnp.abs(along).sum() + jnp.abs(extra)
    return at.value + along.sum() + extra, size
