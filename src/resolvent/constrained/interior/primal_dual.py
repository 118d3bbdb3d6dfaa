"""The interior point method for smooth programs with every kind of constraint."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core import trees
from resolvent._core.checks import between
from resolvent._core.memory import Memory
from resolvent._core.method import Method
from resolvent._core.norm import norm
from resolvent._core.solution import Reason
from resolvent.constrained.conditions import Multipliers, clipped, errors, estimated, violated
from resolvent.constrained.derivatives import Local, hessian, local
from resolvent.constrained.interior import barrier, ending, newton_step
from resolvent.constrained.interior.filter import Filter, admits, empty, with_pair
from resolvent.constrained.interior.model import Model, error, merit, modelled, slope
from resolvent.constrained.interior.scaled import Scaling, boxes, rows_of, scaling
from resolvent.constrained.interior.search import searched
from resolvent.constrained.problem import ConstrainedProblem
from resolvent.constrained.restoration import steepness

_LARGE = 1e3  # multipliers above it are not believed at a beginning
_ENOUGH = 0.9  # of the violation, at which the search for a better point may end
_RESTS = 0.999  # what is left of a violation that falls no more
_DECIDING = ("filter", "rescue", "mu", "shift", "least", "little", "merit", "attempts")
_REFUSALS = 6  # in a row, without a violation to bring down, that end a solve


class Rescue(NamedTuple):
    """The search for less violation."""

    on: Any
    weights: Any
    """[m + p]: of the squared rows."""
    home: Any
    """[n]: where it began."""
    first: Any
    """The violation there."""
    mu: Any
    """To go on with afterwards."""
    plain: Any
    """Whether rows are weighted as they were given, without scaling."""


class InteriorState(NamedTuple):
    x: Any
    """[n], within the bounds."""
    s: Any
    """[p], positive: what inequalities are short of 0."""
    at: Local
    y: Any
    """[m + p], of the scaled rows."""
    lower: Any
    """[n + p], of the bounds of x and s."""
    upper: Any
    mu: Any
    shift: Any
    """The last one that was needed."""
    least: Any
    """The one that is tried first."""
    scaling: Scaling
    filter: Filter
    rescue: Rescue
    little: Any
    """The violation below which the value alone may decide."""
    point: Any
    pair: Multipliers
    merit: Any
    scale: Any
    """What the certificate is relative to."""
    rests: Any
    """Whether the last step was rounding: the present mu has been served."""
    refusals: Any
    attempts: ending.Attempts
    status: Any
    steps: Any
    evaluations: Any
    factorizations: Any


class PrimalDualInteriorPoint(Method):
    r"""Newton steps on the conditions of optimality, kept off all bounds by logarithms.

    Solves `ConstrainedProblem` with every kind of constraint. With slacks s for inequalities, the
    unknowns, the multipliers y of rows and those of bounds, z, meet

    $$\nabla f + J^\top y - z_l + z_u = 0, \quad c(x) = 0, \quad h(x) + s = 0, \quad
    (x - l) z_l = (u - x) z_u = s z_s = \mu$$

    ever more closely while mu falls to zero. A step solves the Newton system of these equations,
    with a multiple of the identity added to the Hessian where its matrix has the wrong numbers of
    positive and negative eigenvalues, and rows that yield a little, so that repeated rows are
    admitted. It is cut short of the bounds, and then halved until a filter admits it: the violation
    or the objective with its logarithms must fall, and no point may be worse in both than an
    earlier one. Steps whose violation grows are first corrected for the curvature of the rows.

    Where no step is admitted, half the squared violation is minimized in the same way until the
    filter admits a point. Where that finds a stationary point of the violation, the solve ends
    there as `infeasible`. A solve that would end otherwise, at a point that violates constraints,
    does so once more until none is violated. f and the rows are scaled by their first gradients.

    Args:
        mu: the first one.
        fall: the factor by which mu falls at least, in (0, 1),
        power: and the power to which it is taken where that is smaller, in (1, 2).
        centered: mu falls where the error of its own problem is at most so many times mu.
        closest: how near to a bound a step may go at most, as a part of the distance before; less
            when the answer is near.

    Raises:
        ValueError: for parameters outside these ranges.

    Cost per iteration:
        f, c and h for each step size tried, nearly always one, their first derivatives once, one
        Hessian of the Lagrangian, one factorization of a matrix of n + m + p rows, for m equations
        and p inequalities, or of n + m rows where p > n, and one of n rows for each multiple of the
        identity tried; the eigenvalues of the first matrix where that one says no.

    Convergence:
        For bounded iterates, and Hessians and independent gradients of the constraints that stay
        bounded away from singular ones, every limit point is stationary, or the search for less
        violation ends at a stationary point of it. Near an answer that is strictly complementary,
        of positive curvature along the constraints, convergence is superlinear.

    Example:
        ```python
        import jax.numpy as jnp, resolvent as rs
        problem = rs.ConstrainedProblem(
            lambda x: x[0] * x[3] * x[:3].sum() + x[2], lambda x: x @ x - 40,
            lambda x: 25 - x.prod(), (1.0, 5.0), x0=jnp.array([1.0, 5.0, 5.0, 1.0]),
        )
        sol = rs.solve(problem, rs.constrained.PrimalDualInteriorPoint(), rtol=1e-5)
        assert jnp.allclose(sol.x, jnp.array([1.0, 4.743, 3.821, 1.379]), atol=1e-3)
        ```

    Reference:
        A. Waechter, L. T. Biegler (2006), On the implementation of an interior-point filter
        line-search algorithm for large-scale nonlinear programming. M. P. Friedlander, D. Orban
        (2012), A primal-dual regularized interior-point method for convex quadratic programs.
    """

    mu: Any = 0.1
    fall: Any = 0.2
    power: Any = 1.5
    centered: Any = 10.0
    closest: Any = 0.01

    name: ClassVar[str] = "primal-dual-interior-point"
    solves: ClassVar = (ConstrainedProblem,)
    engines: ClassVar = ("traced",)
    # A solve looks itself, and needs time for its last attempt.
    monitored: ClassVar[int] = 2 * ending.WINDOW

    def __post_init__(self) -> None:
        infinity = float("inf")
        for name in ("mu", "centered"):
            between(name, getattr(self, name), 0.0, infinity, "It is a positive size.")
        for name in ("fall", "closest"):
            between(name, getattr(self, name), 0.0, 1.0, "It is a share.")
        between("power", self.power, 1.0, 2.0, "mu must fall, and no faster than steps converge.")

    def limit(self, problem: Any) -> int:
        return 3000

    def init(self, problem: Any, x0: Any, memory: Memory, key: Any) -> InteriorState:
        given = problem.vector(x0)
        bounds = problem.bounds_at(given)
        dtype, (m, p) = given.dtype, problem.counts()
        own, box = boxes(problem, given)
        x = barrier.moved_inside(own, clipped(given, bounds))
        both = jax.vmap(lambda v: local(problem, v))(jnp.stack([given, x]))
        first, at = (jax.tree_util.tree_map(lambda leaf, i=i: leaf[i], both) for i in (0, 1))
        scale = scaling(jax.lax.stop_gradient(at))
        s = jnp.maximum(-scale.rows[m:] * at.inequalities, 1e-2)
        violation = jnp.abs(rows_of(scale, at.equalities, at.inequalities, s)).sum()
        one, zero, no = jnp.ones((), dtype), jnp.zeros((), jnp.int32), jnp.asarray(False)
        unit = jnp.asarray(problem.scale(x0), dtype)
        pair = estimated(given, first, bounds)
        judged = errors(*jax.lax.stop_gradient((given, first, pair, bounds, unit))).total
        # Functions may have no value at a guess on a bound, and yet one inside.
        judged = jnp.where(jnp.isfinite(judged), judged, jnp.abs(at.gradient).sum() + violation)
        state = InteriorState(
            x, s, at, jnp.zeros(m + p, dtype), box.below.astype(dtype), box.above.astype(dtype),
            self.mu * one, 0 * one, 0 * one, scale, empty(1e4 * jnp.maximum(1, violation)),
            Rescue(no, jnp.ones(m + p, dtype), x, one, self.mu * one, no),
            1e-4 * jnp.maximum(1, violation), given, pair, judged, unit, no, zero,
            ending.none_yet(judged), zero, zero, zero + 2, zero + 1,
        )  # fmt: skip
        state = state._replace(y=_balanced(problem, state), pair=jax.lax.stop_gradient(pair))
        return _settled(state)

    def step(self, problem: Any, state: InteriorState) -> InteriorState:
        m, n = state.at.equalities.size, state.x.size
        state, done = self._closer(problem, state)
        model = modelled(problem, state)
        y = state.scaling.rows * model.y
        H = hessian(problem, state.x, y[:m], y[m:], jnp.where(model.on, 0, model.value))
        H = jnp.where(model.on, H + jnp.diag(model.tie), H)
        H = model.free[:, None] * H * model.free
        stiff = barrier.stiffness(model.box, model.w, state.lower, state.upper)
        give = newton_step.yielding(H, model.slopes, stiff)
        give = jnp.where(model.on, 1 / model.weights, give)
        curved = newton_step.Curved(H, model.slopes, stiff, give, model.free)
        still = jax.lax.stop_gradient((curved, state.least, state.shift))
        shift, tries = newton_step.shift_for(*still, ending.simply(state.attempts))
        hidden = newton_step.needless(*still[:2], shift)
        system = newton_step.solver(curved, shift)
        force = slope(model) - barrier.push(model.box, model.w, model.mu)
        force = jnp.concatenate([model.free * force[:n], force[n:]])
        rows = jnp.where(model.on, 0, model.rows)
        d, turn = newton_step.direction(system, model.free, force, rows)
        of_lower, of_upper = barrier.changes(
            model.box, model.w, state.lower, state.upper, model.mu, d
        )
        keep = jnp.maximum(1 - self.closest, 1 - model.mu)
        before = merit(model, model.w, state.at.value, model.rows)
        given = model, state.scaling, state.filter, state.little, system, force, d, before, keep
        found = searched(problem, *jax.lax.stop_gradient(given))

        # Derivatives take the step as a share of the longest one, and corrections as they are.
        longest = barrier.longest(model.box, model.w, d, keep)
        share = jax.lax.stop_gradient(found.alpha / longest)
        side = d + jax.lax.stop_gradient(found.d - d)
        alpha = jnp.where(found.good, share * longest, 0)
        w = model.w + jnp.where(found.good, alpha * side, 0)
        along = jnp.minimum(
            barrier.reach(state.lower, of_lower, model.box.below, keep),
            barrier.reach(state.upper, of_upper, model.box.above, keep),
        )
        along = jnp.where(found.good, along, 0)
        lower, upper = barrier.held(
            model.box, w, state.lower + along * jnp.where(found.good, of_lower, 0),
            state.upper + along * jnp.where(found.good, of_upper, 0), model.mu,
        )  # fmt: skip
        x = clipped(w[:n], problem.bounds_at(w[:n]))
        last = state.attempts.last == 1
        x = jnp.where(last, ending.starting_point(problem, state.x), x)
        # Slacks that may be larger make both the violation and the barrier smaller.
        now = local(problem, x)
        room = -state.scaling.rows[m:] * now.inequalities
        s = jnp.where(found.good, jnp.maximum(w[n:], room), w[n:])
        filter = with_pair(state.filter, *before, found.good & ~found.by_value & ~model.on)
        moved = state._replace(
            x=x, s=s, at=now, lower=lower, upper=upper, filter=filter,
            y=state.y + jnp.where(model.on | ~found.good, 0, alpha * turn),
            shift=jnp.where(shift > 0, shift, state.shift),
            least=jnp.where(found.good, 0, jnp.maximum(1e-4, 10 * shift)),
            rests=found.good & found.tiny & ~last,
            refusals=jnp.where(found.good, 0, state.refusals + 1), steps=state.steps + 1,
            attempts=ending.counted(state.attempts, hidden),
            evaluations=state.evaluations + found.tries + 1,
            factorizations=state.factorizations + tries + 1,
        )  # fmt: skip
        moved = self._turned(problem, state, moved, model, found.good, done, before)
        bounds = problem.bounds_at(x)
        y = moved.scaling.rows * moved.y / moved.scaling.value
        pair = Multipliers(y[:m], jnp.maximum(y[m:], 0))
        # Norms have no derivative at 0, and nothing but decisions depends on this one.
        seen = jax.lax.stop_gradient((x, moved.at, pair, bounds, state.scale))
        total = errors(*seen).total
        moved = moved._replace(point=x, pair=pair, merit=total)
        return _settled(ending.reconsidered(problem, moved))

    def _closer(self, problem: Any, state: InteriorState) -> tuple[InteriorState, Any]:
        """The state with a smaller mu where its barrier problem is solved, and whether none is."""
        model = jax.lax.stop_gradient(modelled(problem, state))
        eps = jnp.finfo(state.x.dtype).eps
        first = jax.lax.stop_gradient(state.mu)
        # Where a bound bears no force, distances to it are no less than the root of mu.
        least = eps * jnp.maximum(eps, model.rows @ model.rows)
        floor = jnp.where(model.on, least, 10 * eps)

        def goes_on(mu: Any) -> Any:
            solved = (error(model, mu) <= self.centered * mu) | (state.rests & (mu == first))
            return solved & (mu > floor)

        def less(mu: Any) -> Any:
            return jnp.maximum(floor, jnp.minimum(self.fall * mu, mu**self.power))

        mu = jax.lax.while_loop(goes_on, less, first)
        done = (mu <= floor) & ((error(model, mu) <= self.centered * mu) | state.rests)
        fresh = (mu < state.mu) & ~model.on
        filter = trees.where(fresh, empty(state.filter.most), state.filter)
        return state._replace(mu=mu, filter=filter), done

    def _turned(
        self, problem: Any, before: InteriorState, now: InteriorState, model: Model, good: Any,
        done: Any, pair: tuple[Any, Any],
    ) -> InteriorState:  # fmt: skip
        """The state with the search for less violation begun or ended, and its status."""
        n, m = now.x.size, now.at.equalities.size
        eps, last = jnp.finfo(now.x.dtype).eps, before.attempts.last
        on = before.rescue.on & (last != 1)
        bounds, w = problem.bounds_at(now.x), jnp.concatenate([now.x, now.s])
        rows = rows_of(now.scaling, now.at.equalities, now.at.inequalities, now.s)
        away = jnp.abs(rows).sum()
        slight = ending.slight(now)

        # The first multipliers are a guess, which may lead astray: then a step goes without them.
        refused = ~on & ~good & (pair[0] > slight)
        anew = refused & (before.steps == 0) & (now.y != 0).any()
        # A violation that no step brings down is made smaller for its own sake.
        begins = (refused & ~anew) | (last == 1)
        mu = 0.1 * jnp.minimum(1, rows @ rows)
        kept = jnp.where(last == 1, self.mu, jnp.where(on, now.rescue.mu, now.mu))

        # Then the first program goes on, where its filter admits the point; from the last search
        # only where nothing is violated.
        _, value = merit(model._replace(on=jnp.asarray(False), mu=kept), w, now.at.value, rows)
        less = (away <= _ENOUGH * now.rescue.first) & admits(now.filter, away, value) & (last == 0)
        ends = on & good & (less | (away <= slight))

        # Where the violation cannot be made smaller, that is how it ends.
        size, steep = violated(now.x, now.at, bounds)
        rests = size >= _RESTS * violated(before.x, before.at, bounds)[0]
        level = norm(steep) <= eps**0.5 * steepness(now.at) * size
        # Derivatives may vanish there too: then no move as long as x is changes it.
        level = level | (norm(steep) * jnp.maximum(1, norm(now.x)) <= eps**0.5 * size**2)
        stuck = on & (done | (now.refusals >= _REFUSALS)) & ~ends
        bare = stuck & ~now.rescue.plain
        lost = on & ~ends & level & (rests | stuck) & (jnp.minimum(size, away) > slight)
        # The last search may begin where nothing but rounding is left.
        lost = lost & ((last == 0) | (size > 100 * eps * steepness(now.at) * norm(now.x)))

        fresh = begins | bare
        mu = jnp.where(fresh, mu, jnp.where(ends, kept, now.mu))
        weights = jnp.where(bare, 1 / now.scaling.rows**2, jnp.ones_like(rows))
        rescue = Rescue(
            (on | begins) & ~ends, jnp.where(fresh, weights, now.rescue.weights),
            jnp.where(begins, now.x, now.rescue.home), jnp.where(begins, away, now.rescue.first),
            kept, jnp.where(begins, False, now.rescue.plain | bare),
        )  # fmt: skip
        again = fresh | ends
        room = jnp.maximum(-now.scaling.rows[m:] * now.at.inequalities, jnp.minimum(now.s, mu))
        s = jnp.where(begins, room, now.s)
        down, up = barrier.gaps(model.box, jnp.concatenate([now.x, s]))
        lower = jnp.where(model.box.below, jnp.minimum(mu / down, _LARGE), 0)
        upper = jnp.where(model.box.above, jnp.minimum(mu / up, _LARGE), 0)
        y = jnp.where(ends, jnp.concatenate([jnp.zeros(m, now.x.dtype), lower[n:]]), now.y)
        y = jnp.where(anew | (last == 1), 0, y)
        filter = with_pair(now.filter, *pair, begins)
        clear = (ends & ~less) | (~on & ~good & ~refused) | (last == 1)
        filter = trees.where(clear, empty(filter.most), filter)
        far = problem.is_beyond(now.x)
        idle = (~on & ~begins & done) | (~on & ~good & ~begins)
        refusals = jnp.where(idle, before.refusals + 1, jnp.where(again, 0, now.refusals))
        ended = (refusals >= _REFUSALS) | (stuck & now.rescue.plain)
        status = jnp.where(lost, Reason.infeasible.code, jnp.where(
            far, Reason.diverged.code, jnp.where(ended, Reason.stalled.code, 0)
        ))  # fmt: skip
        return now._replace(
            s=s, rescue=rescue, mu=mu, y=y, filter=filter, refusals=refusals,
            lower=jnp.where(again, lower, now.lower), upper=jnp.where(again, upper, now.upper),
            least=jnp.where(again | anew, 0, now.least), status=status.astype(jnp.int32),
        )  # fmt: skip

    def measure(self, problem: Any, state: InteriorState) -> Any:
        return state.merit

    def iterate(self, problem: Any, state: InteriorState) -> tuple[Any, Any]:
        return problem.point(state.point), state.pair

    def status(self, state: InteriorState) -> Any:
        return state.status

    def calls(self, problem: Any, state: InteriorState) -> dict[str, Any]:
        return {
            "evaluation": state.evaluations, "hessian": state.steps,
            "factorization": state.factorizations,
        }  # fmt: skip


def _settled(state: InteriorState) -> InteriorState:
    """The state, with no derivative of what only decides."""
    still = jax.lax.stop_gradient({name: getattr(state, name) for name in _DECIDING})
    return state._replace(**still)


def _balanced(problem: Any, state: InteriorState) -> Any:
    """[m + p]: the multipliers of rows that leave the least force; 0 where they are large."""
    model = modelled(problem, state)
    n = model.free.size
    force = slope(model) - state.lower + state.upper
    force = jnp.concatenate([model.free * force[:n], force[n:]])
    curved = newton_step.Curved(
        jnp.zeros((n, n), force.dtype), model.slopes, jnp.ones_like(force),
        jnp.full_like(model.rows, jnp.finfo(force.dtype).eps ** 0.5), model.free,
    )  # fmt: skip
    system = newton_step.solver(curved, jnp.zeros((), force.dtype))
    _, y = newton_step.direction(system, model.free, force, 0 * model.rows)
    return jnp.where(jnp.abs(y).max(initial=0.0) <= _LARGE, y, 0)
