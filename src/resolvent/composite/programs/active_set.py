"""An active-set method for quadratic programs: principal pivots, as many at once as help."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import count
from resolvent._core.memory import Entry, Memory
from resolvent._core.method import Method
from resolvent._core.solution import Reason
from resolvent._core.value import static
from resolvent.composite.programs import quadratic_conditions as conditions
from resolvent.composite.programs.reduced_systems import held, least_shift, units
from resolvent.composite.quadratic_program import Multipliers, QuadraticProgram

_SLIP = 0.75  # below this power of eps, what crosses a bound has not left it
_MORE, _LESS = 100.0, 0.1  # shifts after steps that do not settle, and after those that do
_STALE = 20  # shifts of the centre without a new best


class ActiveState(NamedTuple):
    x: Any
    """Within the box."""
    rows: Any
    bounds: Any
    """The multipliers of the bounds, as the certificate sees them."""
    sides: Any
    """For each unknown the bound that it is at: -1, 1, or 0 for none."""
    on: Any
    """The same for rows."""
    centre: Any
    centre_rows: Any
    shift: Any
    size: Any
    """The curvature that shifts are measured by, and the largest of them."""
    weights: Any
    least: Any
    """The fewest wrong sides since the centre moved."""
    tries: Any
    code: Any
    ray: Any
    merit: Any
    best: Any
    stale: Any
    k: Any
    pivots: Any


class ActiveSet(Method):
    """Guess which constraints are active, solve with them as equations, correct the guess.

    Solves `QuadraticProgram`. A step holds some unknowns at bounds and some rows at theirs, and
    minimizes over the rest with one factorization. Every unknown that crosses a bound is then held
    there and every one whose multiplier points inside is let go, all at once, as long as the number
    of these wrong sides falls now and then; else only one of them at a time, which must end (block
    principal pivoting). P is shifted by a tiny multiple of the identity and rows are penalized
    stiffly, about a centre that moves to the minimizer as soon as no side is wrong (the proximal
    method of multipliers); so singular P, repeated rows and linear programs are admitted, and where
    there is no answer, the last movements of the centre prove it. With equations alone it is a
    direct solve with refinement.

    Args:
        patience: steps without fewer wrong sides, before sides change one at a time.

    Raises:
        ValueError: for a patience below 1.

    Cost per iteration:
        A factorization of the free part of P, f^3 / 3 multiplications for f free unknowns on the
        host (n^3 / 3 when traced), r f^2 more for r active rows, and three products with P.

    Convergence:
        Finite for strictly convex programs with bounds alone. Otherwise each centre takes finitely
        many steps, and the centres converge to an answer if there is one: linearly with a rate that
        is tiny where P is definite on the null space of the active rows.

    Example:
        ```python
        import numpy as np, resolvent as rs
        P, q = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([-4.0, 1.0])
        program = rs.QuadraticProgram(P, q, l=0.0, u=1.0)
        sol = rs.solve(program, rs.composite.ActiveSet(), rtol=1e-12)
        assert np.allclose(sol.x, [1.0, 0.0])
        ```

    Reference:
        J. Judice, F. Pires (1994), A block principal pivoting algorithm for large-scale strictly
        monotone linear complementarity problems. R. T. Rockafellar (1976), Augmented Lagrangians
        and applications of the proximal point algorithm in convex programming.
    """

    patience: int = static(default=10)

    name: ClassVar[str] = "active-set"
    solves: ClassVar = (QuadraticProgram,)
    engines: ClassVar = ("host", "traced")
    reads: ClassVar[tuple[str, ...]] = ("active_set",)
    monitored: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        count("patience", self.patience, least=1)

    def limit(self, problem: QuadraticProgram) -> int:
        return 10_000

    def init(self, problem: QuadraticProgram, x0: Any, memory: Memory, key: Any) -> ActiveState:
        xp = conditions.namespace(problem.q)
        low, high = problem.lower, problem.upper
        x = xp.clip(x0, low, high)
        size, shift, weights, curved = units(problem, x)
        known = _remembered(memory, problem)
        rows = conditions.multipliers(problem, x) if known is None else known[2]
        found = conditions.conditions(problem, x, rows)
        if known is None:
            force = -(problem.gradient(x) + problem.pulled(rows))
            far = 1.0 / xp.where(curved > 0, curved, size)
            sides = xp.sign(conditions.held(xp, x, low, high, force, far))
            if problem.A is None:
                on = problem.l
            else:
                w = problem.image(x) + rows / weights
                on = xp.where(w > problem.u, 1.0, 0.0) - xp.where(w < problem.l, 1.0, 0.0)
        else:
            sides, on = known[:2]
        sides = xp.where(low == high, -1.0, sides)
        on = xp.where(problem.l == problem.u, -1.0, on)
        zero = xp.zeros((), np.int32)
        return ActiveState(
            x=x, rows=rows, bounds=found.bounds, sides=sides.astype(np.int8),
            on=on.astype(np.int8), centre=x, centre_rows=rows, shift=shift, size=size,
            weights=weights, least=zero + 2**30, tries=zero + self.patience, code=zero,
            ray=xp.zeros_like(x), merit=found.value, best=found.value, stale=zero, k=zero,
            pivots=zero,
        )  # fmt: skip

    def step(self, problem: QuadraticProgram, state: ActiveState) -> ActiveState:
        xp = conditions.namespace(problem.q)
        eps = float(jnp.finfo(problem.q.dtype).eps)
        low, high = problem.lower, problem.upper
        free, on = state.sides == 0, state.on != 0
        x, rows, w, force = held(
            problem, state.sides, state.on, state.x, state.centre, state.centre_rows, state.shift,
            state.weights,
        )  # fmt: skip
        slip = eps**_SLIP
        far = slip * conditions.largest(x)
        light = slip * xp.maximum(conditions.largest(force), conditions.largest(problem.q))
        fixed, equal = low == high, problem.l == problem.u
        crossed = xp.where(x > high + far, 1, 0) - xp.where(x < low - far, 1, 0)
        freed = ~free & ~fixed & (state.sides * force < -light)
        wide = slip * conditions.largest(w)
        reached = w + state.centre_rows / state.weights if problem.A is not None else w
        over = xp.where(reached > problem.u + wide, 1, 0)
        over = over - xp.where(reached < problem.l - wide, 1, 0)
        loose = on & ~equal & (state.on * rows < -light / _steepest(problem))
        sides = xp.where(free, crossed, xp.where(freed, 0, state.sides))
        turned = xp.where(on, xp.where(loose, 0, state.on), over)
        wrong = xp.concatenate([sides != state.sides, turned != state.on])
        many = wrong.sum().astype(np.int32)
        fewer = many < state.least
        tries = xp.where(fewer, self.patience, state.tries - 1).astype(np.int32)
        last = wrong.size - 1 - xp.argmax(wrong[::-1])
        chosen = (tries >= 0) | (state.shift < state.size) | (xp.arange(wrong.size) == last)
        n = x.shape[0]
        sides = xp.where(chosen[:n], sides, state.sides).astype(np.int8)
        turned = xp.where(chosen[n:], turned, state.on).astype(np.int8)
        settled = many == 0
        lost = (tries < 0) & (state.shift < state.size)
        shift = xp.where(lost, xp.minimum(_MORE * state.shift, state.size), state.shift)
        floor = least_shift(problem, state.size)
        shift = xp.where(settled, xp.maximum(_LESS * state.shift, floor), shift)
        anew = settled | lost
        inside = xp.clip(x, low, high)
        found = conditions.conditions(problem, inside, rows)
        drift, ray = rows - state.centre_rows, x - state.centre
        infeasible = settled & conditions.proves_infeasible(problem, drift)
        unbounded = settled & conditions.proves_unbounded(problem, inside, ray)
        better = found.value < state.best
        stale = xp.where(settled & ~better, state.stale + 1, xp.where(better, 0, state.stale))
        code = xp.where(stale >= _STALE, Reason.stalled.code, 0)
        code = xp.where(infeasible | unbounded, Reason.infeasible.code, code)
        return state._replace(
            x=inside, rows=xp.where(infeasible, drift, rows), bounds=found.bounds, sides=sides,
            on=turned,
            centre=xp.where(settled, x, state.centre),
            centre_rows=xp.where(settled, rows, state.centre_rows),
            shift=shift.astype(state.shift.dtype),
            least=xp.where(anew, 2**30, xp.where(fewer, many, state.least)).astype(np.int32),
            tries=xp.where(anew, self.patience, xp.maximum(tries, -1)).astype(np.int32),
            code=code.astype(np.int32), ray=xp.where(unbounded, ray, 0), merit=found.value,
            best=xp.minimum(state.best, found.value), stale=stale.astype(np.int32),
            k=state.k + 1, pivots=state.pivots + many,
        )  # fmt: skip

    def measure(self, problem: QuadraticProgram, state: ActiveState) -> Any:
        return state.merit

    def status(self, state: ActiveState) -> Any:
        return state.code

    def iterate(self, problem: QuadraticProgram, state: ActiveState) -> tuple[Any, Multipliers]:
        return state.x, Multipliers(state.rows, state.bounds, state.ray)

    def calls(self, problem: QuadraticProgram, state: ActiveState) -> dict[str, Any]:
        done = state.k, state.pivots
        if isinstance(state.x, np.ndarray):
            done = int(done[0]), int(done[1])
        return {"factorization": done[0], "pivot": done[1]}

    def remember(self, problem: QuadraticProgram, state: ActiveState) -> dict[str, Entry]:
        return {"active_set": Entry((state.sides, state.on, state.rows), depends=("size",))}


def _steepest(problem: QuadraticProgram) -> Any:
    if problem.A is None:
        return 1.0
    xp = conditions.namespace(problem.q)
    steep = conditions.largest(conditions.entries(problem.A))
    return xp.where(steep > 0, steep, 1.0)


def _remembered(memory: Memory, problem: QuadraticProgram) -> tuple[Any, Any, Any] | None:
    """Sides and multipliers of an earlier solve, where they are such; bounds may have moved."""
    value = memory.get("active_set")
    shapes = (problem.q.shape, problem.l.shape, problem.l.shape)
    if not conditions.are_arrays(value, shapes):
        return None
    xp = conditions.namespace(problem.q)
    parts = []
    limits = ((problem.lower, problem.upper), (problem.l, problem.u))
    for part, (low, high) in zip(value[:2], limits, strict=True):
        part = xp.sign(xp.nan_to_num(xp.asarray(part)))
        part = xp.where((part > 0) & xp.isfinite(high), 1.0, 0.0) - xp.where(
            (part < 0) & xp.isfinite(low), 1.0, 0.0
        )
        parts.append(part)
    rows = xp.nan_to_num(xp.asarray(value[2], problem.q.dtype))
    return parts[0], parts[1], conditions.admissible(xp, rows, problem.l, problem.u)
