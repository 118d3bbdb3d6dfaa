"""An interior point method for quadratic programs: few steps, each with one factorization."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from resolvent._core.checks import between, count
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.programs import quadratic_conditions as conditions
from resolvent.composite.programs.equilibration import is_sparse
from resolvent.composite.programs.reduced_systems import factored
from resolvent.composite.quadratic_program import Multipliers, QuadraticProgram

_SHIFT, _GIVE = 0.75, 0.5  # powers of eps: the shift of P, and what rows give way
_START = 0.3  # in units of the data, the first distances and multipliers at least
_INSIDE = 0.25  # of the width between two bounds: how far inside a first guess is, at least
_NEAR = 0.5  # the power of eps that is at least left of a distance, and below which steps
_STALE = 8  # without a new best, so many, end the solve;
_LOST = 60  # above it they may be on their way to a proof that there is no answer
_EARLY, _SLOW = 3, 0.5  # steps, and the fall of the measure, after which one may be looked for
_SHORT = 0.1  # the part of a direction below which the next one aims at the central path alone
_MORE, _LESS = 100.0, 0.1  # shifts after factorizations that rounding has failed, and after others
_MOST = 0.25  # the power of eps that a shift may reach


class InteriorState(NamedTuple):
    x: Any
    """Within the box, apart from `low` and `high` for the digits that differences lose."""
    v: Any
    """[m]: a copy of the image, within the bounds of the rows."""
    rows: Any
    low: Any
    """[n + m]: the distances of x and v to their lower bounds; 1 where there are none."""
    high: Any
    down: Any
    """[n + m]: the multipliers of these bounds, positive; 0 where there are none."""
    up: Any
    gradient: Any
    image: Any
    size: Any
    """The unit of curvature."""
    shift: Any
    give: Any
    """[m]: by how much a row gives way to a unit of its multiplier's change."""
    point: Any
    """What is returned, with multipliers: the first guess, x, or the best x at a stall."""
    multipliers: Any
    ray: Any
    best: Any
    best_point: Any
    best_rows: Any
    stale: Any
    code: Any
    merit: Any
    part: Any
    """How much of the last direction was gone."""
    k: Any


class Sides(NamedTuple):
    """Which bounds there are, [n + m]; which unknowns are not fixed; which rows are equations."""

    low: Any
    high: Any
    free: Any
    equal: Any


class Turn(NamedTuple):
    """A direction."""

    x: Any
    rows: Any
    both: Any
    """[n + m]: of x and v."""
    down: Any
    up: Any


class InteriorPoint(Method):
    """Follow the central path by Newton's method, with a predictor and a corrector a step.

    Solves `QuadraticProgram`. Every distance s > 0 to a bound and its multiplier z > 0 are led
    towards s z = mu while mu falls to zero, and every step makes x, a copy v of A x between the
    bounds of the rows, and the multipliers meet the linearized conditions of optimality. Eliminated
    down to x, both directions of a step are solves with one matrix,

        P + rho + Z / S + A' (Sv / Zv + delta)^-1 A,

    where bounds are a diagonal and equations have Sv = 0. The predictor aims at mu = 0; how far it
    comes says at which mu the corrector aims, which also makes up for the predictor's curvature
    (Mehrotra). rho and delta are proximal terms about the present point: singular P, repeated rows
    and linear programs are admitted, and the answer is not moved. Where there is none, directions
    turn into proofs of it.

    The number of steps hardly depends on the data, so that batches stay together.

    Args:
        refinements: rounds of iterative refinement of the corrector.
        closest: how near to a bound a step may go at most, as a part of the distance before; less
            when the answer is near.

    Raises:
        ValueError: for negative counts, or a part outside (0, 1).

    Cost per iteration:
        One factorization, n^3 / 3 multiplications, m n^2 more for the rows, two solves with it, a
        product with P and about seven with A; where data are sparse, one factorization of a sparse
        matrix of size n + m.

    Convergence:
        In practice 5 to 20 steps, with superlinear convergence in the end where an answer is
        strictly complementary. There is no proof for this choice of mu; methods that stay in a
        neighbourhood of the central path have one, with O(sqrt(n) log 1 / eps) steps.

    Example:
        ```python
        import numpy as np, resolvent as rs
        program = rs.QuadraticProgram(
            np.eye(3), -np.ones(3), np.ones((1, 3)), 1.0, 1.0, lower=0.0, upper=[0.2, 1.0, 1.0]
        )
        sol = rs.solve(program, rs.composite.InteriorPoint(), rtol=1e-10)
        assert np.allclose(sol.x, [0.2, 0.4, 0.4])
        ```

    Reference:
        S. Mehrotra (1992), On the implementation of a primal-dual interior point method.
        J. Nocedal, S. Wright (2006), Numerical Optimization, chapter 16. M. P. Friedlander,
        D. Orban (2012), A primal-dual regularized interior-point method for convex quadratic
        programs.
    """

    refinements: int = static(default=0)
    closest: Any = 0.003

    name: ClassVar[str] = "interior-point"
    solves: ClassVar = (QuadraticProgram,)
    engines: ClassVar = ("host", "traced")
    reads: ClassVar[tuple[str, ...]] = ("interior_point",)

    def __post_init__(self) -> None:
        count("refinements", self.refinements)
        between("closest", self.closest, 0.0, 1.0, "It is a part of a distance.")

    def limit(self, problem: QuadraticProgram) -> int:
        return 500

    def init(self, problem: QuadraticProgram, x0: Any, memory: Memory, key: Any) -> InteriorState:
        xp, n, dtype = conditions.namespace(problem.q), problem.q.shape[0], problem.q.dtype
        eps = float(jnp.finfo(dtype).eps)
        sides, (below, above) = _sides(problem), _limits(problem)
        point = xp.clip(x0, problem.lower, problem.upper)
        given, merit = _multipliers(problem, point, memory)
        unit = _units(problem, point)
        # From a good guess begin nearer to the bounds.
        apart = _START * xp.sqrt(xp.clip(merit, eps, 1.0))
        w = xp.concatenate([point, problem.image(point)])
        low, high = _distances(xp, w, below, above, sides, apart * unit.length * unit.long)
        w = xp.where(sides.low, below + low, xp.where(sides.high, above - high, w))
        w = xp.where(below == above, below, w)
        x, v = xp.clip(w[:n], problem.lower, problem.upper), w[n:]
        least = apart * unit.force / unit.long
        row_down, row_up = _shared(xp, given, least, sides, slice(n, None))
        rows = xp.where(sides.equal, given, row_up - row_down)
        gradient, image = problem.gradient(x), problem.image(x)
        borne = -(gradient + problem.pulled(rows))
        down, up = _shared(xp, borne, least, sides, slice(None, n))
        zero = xp.zeros((), np.int32)
        return InteriorState(
            x=x, v=v, rows=rows, low=low, high=high, down=xp.concatenate([down, row_down]),
            up=xp.concatenate([up, row_up]), gradient=gradient, image=image,
            size=unit.size.astype(dtype), shift=(eps**_SHIFT * unit.size).astype(dtype),
            give=(eps**_GIVE * unit.long[n:] ** 2 / unit.size).astype(dtype), point=point,
            multipliers=given, ray=xp.zeros_like(point), best=merit, best_point=point,
            best_rows=given, stale=zero, code=zero, merit=merit,
            part=xp.ones_like(merit), k=zero,
        )  # fmt: skip

    def step(self, problem: QuadraticProgram, state: InteriorState) -> InteriorState:
        xp, n = conditions.namespace(problem.q), problem.q.shape[0]
        eps = float(jnp.finfo(problem.q.dtype).eps)
        sides = _sides(problem)
        low, high, down, up = state.low, state.high, state.down, state.up
        pairs = (sides.low.sum() + sides.high.sum()).astype(low.dtype)
        find, solve, stiff = self._newton(problem, state, sides)

        # The predictor aims at the boundary.
        ahead = find(low * down, high * up, 0)
        part = 1.0 / xp.maximum(_steepest(xp, state, ahead, sides), 1.0)
        now = xp.where(sides.low, low * down, 0).sum() + xp.where(sides.high, high * up, 0).sum()
        rest = (low + part * ahead.both) * (down + part * ahead.down)
        other = (high - part * ahead.both) * (up + part * ahead.up)
        then = xp.where(sides.low, rest, 0).sum() + xp.where(sides.high, other, 0).sum()
        left = then / xp.where(now > 0, now, 1.0)
        # A step that bounds cut short lets the next one turn to the middle.
        short = state.part < _SHORT
        bend = xp.where(short, 0.0, 1.0).astype(low.dtype)
        left = xp.where(short, 1.0, left**3)
        aim = left * now / xp.maximum(pairs, 1)

        # The corrector aims at the central path, with what the predictor has left of second order.
        turn = find(
            low * down + bend * ahead.both * ahead.down - aim,
            high * up - bend * ahead.both * ahead.up - aim,
            self.refinements,
        )  # fmt: skip
        keep = 1.0 - xp.clip(state.merit, eps**_NEAR, self.closest)
        part = keep / xp.maximum(_steepest(xp, state, turn, sides), keep)
        fine = xp.isfinite(turn.both).all() & xp.isfinite(part)
        part = xp.where(fine, part, 0.0).astype(problem.q.dtype)
        turn = Turn(*(xp.where(fine, each, 0) for each in turn))
        both = part * turn.both
        least = 0.1 * (1.0 - keep)

        def moved(value: Any, change: Any, there: Any) -> Any:
            return xp.where(there, xp.maximum(value + change, least * value), value)

        low, high = moved(low, both, sides.low), moved(high, -both, sides.high)
        down = moved(down, part * turn.down, sides.low)
        up = moved(up, part * turn.up, sides.high)
        x = xp.clip(state.x + both[:n], problem.lower, problem.upper)
        rows = xp.where(sides.equal, state.rows + part * turn.rows, (up - down)[n:])
        gradient, image = problem.gradient(x), problem.image(x)
        found = conditions.conditions(problem, x, rows, gradient, image)

        drift = rows - state.rows
        # Where there is no answer, the measure cannot fall for long.
        doubt = found.value > xp.maximum(_SLOW * state.merit, eps**_NEAR)
        doubt = doubt & (state.k >= _EARLY)
        infeasible, unbounded, proof = _proofs(problem, x, drift, turn.x, solve, stiff, doubt)
        better = found.value < state.best
        stale = xp.where(better, 0, state.stale + 1).astype(np.int32)
        best = xp.where(better, found.value, state.best)
        floor, most = eps**_SHIFT * state.size, eps**_MOST * state.size
        shift = xp.where(fine, xp.maximum(_LESS * state.shift, floor), _MORE * state.shift)
        ended = (stale >= xp.where(best <= eps**_NEAR, _STALE, _LOST)) | (shift > most)
        proved = infeasible | unbounded
        ended = ended & ~proved
        best_point = xp.where(better, x, state.best_point)
        best_rows = xp.where(better, rows, state.best_rows)
        code = xp.where(proved, Reason.infeasible.code, xp.where(ended, Reason.stalled.code, 0))
        return state._replace(
            x=x, v=state.v + both[n:], rows=rows, low=low, high=high, down=down, up=up,
            gradient=gradient, image=image, point=xp.where(ended, best_point, x),
            multipliers=xp.where(infeasible, proof, xp.where(ended, best_rows, rows)),
            ray=xp.where(unbounded, turn.x, 0),
            shift=shift.astype(state.shift.dtype), best=best, best_point=best_point,
            best_rows=best_rows, stale=stale, code=code.astype(np.int32),
            merit=xp.where(ended, best, found.value), part=part, k=state.k + 1,
        )  # fmt: skip

    def _newton(
        self, problem: QuadraticProgram, state: InteriorState, sides: Sides
    ) -> tuple[Callable[[Any, Any, int], Turn], Any, Any]:
        """Directions that bring the products of distances and multipliers down by given numbers.

        With them, solves with the matrix of the step, and the stiffness of rows in it.
        """
        xp, n = conditions.namespace(problem.q), problem.q.shape[0]
        equal, give = sides.equal, state.give
        weights = xp.where(sides.low, state.down / state.low, 0)
        weights = weights + xp.where(sides.high, state.up / state.high, 0)
        soft = 1.0 + give * weights[n:]
        stiff = xp.where(equal, 1.0 / give, weights[n:] / soft)
        solve = _factorized(problem, sides.free, weights[:n] + state.shift, stiff)
        pulled = problem.pulled(state.rows)
        slope = state.gradient + pulled + (state.up - state.down)[:n]
        apart = state.image - state.v

        def find(down_by: Any, up_by: Any, refinements: int) -> Turn:
            lift = xp.where(sides.low, down_by / state.low, 0)
            lift = lift - xp.where(sides.high, up_by / state.high, 0)
            base = stiff * apart + xp.where(equal, 0, lift[n:] / soft)
            target = xp.where(sides.free, -(slope + lift[:n]), 0)
            x = solve(target - xp.where(sides.free, problem.pulled(base), 0))
            image = problem.image(x)
            rows = stiff * image + base
            for _ in range(refinements):
                lacks = problem.P.times(x) + weights[:n] * x + problem.pulled(rows)
                x = x + solve(xp.where(sides.free, target - lacks, 0))
                image = problem.image(x)
                rows = stiff * image + base
            both = xp.concatenate([x, xp.where(equal, 0, image + apart - give * rows)])
            down = xp.where(sides.low, (-down_by - state.down * both) / state.low, 0)
            up = xp.where(sides.high, (state.up * both - up_by) / state.high, 0)
            return Turn(x, rows, both, down, up)

        return find, solve, stiff

    def measure(self, problem: QuadraticProgram, state: InteriorState) -> Any:
        return state.merit

    def status(self, state: InteriorState) -> Any:
        return state.code

    def iterate(self, problem: QuadraticProgram, state: InteriorState) -> tuple[Any, Multipliers]:
        found = conditions.conditions(problem, state.point, state.multipliers)
        return state.point, Multipliers(state.multipliers, found.bounds, state.ray)

    def calls(self, problem: QuadraticProgram, state: InteriorState) -> dict[str, Any]:
        done = int(state.k) if isinstance(state.x, np.ndarray) else state.k
        return {"factorization": done, "solve": (2 + self.refinements) * done}

    def remember(self, problem: QuadraticProgram, state: InteriorState) -> dict[str, Entry]:
        return {"interior_point": Entry((state.multipliers,), depends=("size",))}


class _Units(NamedTuple):
    """A curvature, a force and a length, which belong together; [n + m] how long each row is."""

    size: Any
    force: Any
    length: Any
    long: Any


def _units(problem: QuadraticProgram, x: Any) -> _Units:
    xp = conditions.namespace(problem.q)
    mean = _diagonal(problem).mean()
    force = xp.maximum(conditions.largest(problem.gradient(x)), conditions.largest(problem.q))
    away, long = xp.zeros_like(force), xp.ones_like(problem.l)
    if problem.A is not None:
        squares = conditions.row_squares(problem.A)
        long = xp.sqrt(xp.where(squares > 0, squares, 1.0))
        w = problem.image(x)
        away = conditions.largest((w - xp.clip(w, problem.l, problem.u)) / long)
    # Where nothing is curved, constraints and the guess alone tell lengths.
    bent = mean > 0
    far = xp.where(bent, force / xp.where(bent, mean, 1.0), conditions.largest(x))
    length = xp.maximum(far, away)
    length = xp.where(length > 0, length, 1.0)
    size = xp.where(bent, mean, xp.where(force > 0, force, 1.0) / length)
    long = xp.concatenate([xp.ones_like(problem.q), long])
    return _Units(size, xp.maximum(force, size * length), length, long)


def _proofs(
    problem: QuadraticProgram, x: Any, drift: Any, ray: Any, solve: Any, stiff: Any, doubt: Any
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Whether the program is infeasible, whether it is unbounded, looked at in doubt only; and the
    multipliers that prove it infeasible."""

    def look(problem: Any, x: Any, drift: Any, ray: Any, solve: Any, stiff: Any) -> Any:
        # Rows give way a little; their multipliers are a proof without what that leaves.
        proof = drift - stiff * problem.image(solve(problem.pulled(drift)))
        infeasible = conditions.proves_infeasible(problem, proof)
        return infeasible, conditions.proves_unbounded(problem, x, ray), proof

    if isinstance(x, np.ndarray):
        if doubt:
            return look(problem, x, drift, ray, solve, stiff)
        return np.zeros((), bool), np.zeros((), bool), drift
    given = jax.lax.stop_gradient((problem, x, drift, ray, solve, stiff))
    no = jnp.zeros((), bool)
    # A loop, not a branch: of a batch in which nobody doubts, a branch would be taken all the same.
    return jax.lax.while_loop(
        lambda carry: carry[0], lambda _: (no, look(*given)),
        (jax.lax.stop_gradient(doubt), (no, no, given[2])),
    )[1]  # fmt: skip


def _diagonal(problem: QuadraticProgram) -> Any:
    if is_sparse(problem):
        return conditions.as_scipy(problem.P).diagonal()
    return conditions.namespace(problem.q).diagonal(conditions.dense(problem.P))


def _limits(problem: QuadraticProgram) -> tuple[Any, Any]:
    xp = conditions.namespace(problem.q)
    low = xp.concatenate([problem.lower, problem.l])
    return low, xp.concatenate([problem.upper, problem.u])


def _sides(problem: QuadraticProgram) -> Sides:
    xp = conditions.namespace(problem.q)
    low, high = _limits(problem)
    apart = low < high
    return Sides(
        xp.isfinite(low) & apart, xp.isfinite(high) & apart, problem.lower < problem.upper,
        problem.l == problem.u,
    )  # fmt: skip


def _distances(
    xp: Any, w: Any, below: Any, above: Any, sides: Sides, least: Any
) -> tuple[Any, Any]:  # fmt: skip
    """Distances to bounds of a point that is moved inside by so much at least; 1 for none."""
    wide = xp.where(sides.low & sides.high, above - below, np.inf)
    least = xp.minimum(least, _INSIDE * wide)
    low = xp.maximum(xp.where(sides.low, w - below, 1.0), least)
    low = xp.minimum(low, wide - least)
    high = xp.where(sides.low, wide - low, xp.maximum(xp.where(sides.high, above - w, 1), least))
    return xp.where(sides.low, low, 1.0), xp.where(sides.high, high, 1.0)


def _shared(xp: Any, force: Any, least: Any, sides: Sides, part: slice) -> tuple[Any, Any]:
    """Positive multipliers of lower and upper bounds whose difference is this force, if it can."""
    low, high, least = sides.low[part], sides.high[part], least[part]
    more = xp.where(low & high, least, 0)
    down = xp.maximum(xp.maximum(-force, 0) + more, least)
    up = xp.maximum(xp.maximum(force, 0) + more, least)
    return xp.where(low, down, 0), xp.where(high, up, 0)


def _steepest(xp: Any, state: InteriorState, turn: Turn, sides: Sides) -> Any:
    """One over the length of the step that meets the first bound; 0 where none does."""
    down = xp.where(sides.low, -turn.down / xp.where(sides.low, state.down, 1), 0)
    up = xp.where(sides.high, -turn.up / xp.where(sides.high, state.up, 1), 0)
    low = xp.where(sides.low, -turn.both / state.low, 0)
    high = xp.where(sides.high, turn.both / state.high, 0)
    return xp.maximum(xp.maximum(xp.maximum(down, up), xp.maximum(low, high)).max(), 0)


def _multipliers(problem: QuadraticProgram, x: Any, memory: Memory) -> tuple[Any, Any]:
    """Multipliers of the rows at a first guess, and its certificate: remembered ones if better."""
    xp = conditions.namespace(problem.q)
    rows = conditions.multipliers(problem, x)
    value, known = conditions.conditions(problem, x, rows).value, memory.get("interior_point")
    if not conditions.are_arrays(known, (problem.l.shape,)):
        return rows, value
    others = xp.nan_to_num(xp.asarray(known[0], problem.q.dtype))
    others = conditions.admissible(xp, others, problem.l, problem.u)
    other = conditions.conditions(problem, x, others).value
    better = other < value
    return xp.where(better, others, rows), xp.where(better, other, value)


def _factorized(
    problem: QuadraticProgram, free: Any, diagonal: Any, stiff: Any
) -> Callable[[Any], Any]:
    """A function that solves (P + diagonal + A' stiff A) d = target on the free unknowns.

    Where rounding makes the matrix indefinite, d is NaN.
    """
    if not isinstance(diagonal, np.ndarray):
        # As a tree, whose derivative can be stopped.
        return jax.tree_util.Partial(_solved, _triangle(problem, free, diagonal, stiff))
    chosen = np.flatnonzero(free)
    if not chosen.size:
        return np.zeros_like
    factors = _sparse_factors if is_sparse(problem) else _dense_factors
    inner = factors(problem, chosen, diagonal, stiff)
    if inner is None:
        return lambda target: np.full_like(target, np.nan)

    def solve(target: Any) -> Any:
        found = np.zeros_like(target)
        found[chosen] = inner(target[chosen])
        return found

    return solve


def _triangle(problem: QuadraticProgram, free: Any, diagonal: Any, stiff: Any) -> Any:
    """The Cholesky factor, with the identity for what is not free."""
    H = conditions.dense(problem.P)
    if problem.A is not None:
        A = conditions.dense(problem.A)
        H = H + (A.T * stiff) @ A
    H = jnp.where(free[:, None] & free[None, :], H + jnp.diag(diagonal), jnp.eye(free.size))
    return jax.lax.linalg.cholesky(H.astype(diagonal.dtype), symmetrize_input=False)


def _solved(lower: Any, target: Any) -> Any:
    return jax.scipy.linalg.cho_solve((lower, True), target)


def _dense_factors(problem: Any, chosen: Any, diagonal: Any, stiff: Any) -> Any:
    P, whole = problem.P.matrix, chosen.size == diagonal.size
    H = P.copy() if whole else P[np.ix_(chosen, chosen)]
    H.flat[:: chosen.size + 1] += diagonal[chosen]
    on = np.flatnonzero(stiff)
    if on.size:
        B = problem.A.matrix[on] if whole else problem.A.matrix[np.ix_(on, chosen)]
        H += (B.T * stiff[on]) @ B
    return factored(H)


def _sparse_factors(problem: Any, chosen: Any, diagonal: Any, stiff: Any) -> Any:
    """By the factors of [[P + diagonal, B'], [B, -1 / stiff]]."""
    H = conditions.as_scipy(problem.P)[:, chosen][chosen] + scipy.sparse.diags(diagonal[chosen])
    on = np.flatnonzero(stiff)
    if on.size:
        B = conditions.as_scipy(problem.A).tocsr()[on][:, chosen]
        H = scipy.sparse.bmat([[H, B.T], [B, -scipy.sparse.diags(1.0 / stiff[on])]])
    try:
        factor = scipy.sparse.linalg.splu(
            scipy.sparse.csc_matrix(H), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=1e-3,
            options={"SymmetricMode": True},
        )  # fmt: skip
    except RuntimeError:
        return None
    more = np.zeros(on.size, diagonal.dtype)
    return lambda target: factor.solve(np.concatenate([target, more]))[: chosen.size]
