"""Conditions of Karush, Kuhn and Tucker: their error, and the multipliers that make it small."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.norm import norm
from resolvent.constrained.derivatives import Local
from resolvent.constrained.sparse_least_squares import Stack, nonnegative_solution_by_products

_GUESSES = 4  # of the bounds that hold: by the gradient, by distance, twice by what is left of it
_NEAREST = 4  # times n: of the inequalities, those that may have multipliers where there are more
_SWAPS = 100  # exchanges after which a set of positive multipliers is taken as it is


class Multipliers(NamedTuple):
    """The forces of the constraints at a point; those of bounds follow from these.

    Attributes:
        equalities: [m], of any sign.
        inequalities: [p], at least 0.
    """

    equalities: Any
    inequalities: Any


class Errors(NamedTuple):
    """The parts of the error, and its norm."""

    total: Any
    stationarity: Any
    violation: Any
    complementarity: Any


def clipped(v: Any, bounds: tuple[Any, Any] | None) -> Any:
    """The nearest point within the bounds."""
    return v if bounds is None else jnp.clip(v, *bounds)


def force(at: Local, multipliers: Multipliers) -> Any:
    """The gradient of the Lagrangian."""
    y, z = multipliers
    return at.gradient + y @ at.jacobian + z @ at.slopes


def displacement(v: Any, slope: Any, bounds: tuple[Any, Any] | None) -> Any:
    """v less the nearest point within the bounds to v - slope: the slope itself without bounds."""
    return slope if bounds is None else v - jnp.clip(v - slope, *bounds)


def parts(v: Any, at: Local, multipliers: Multipliers, bounds: Any) -> tuple[Any, Any, Any]:
    """Three vectors that vanish together, exactly where the conditions hold."""
    still = displacement(v, force(at, multipliers), bounds)
    return still, at.equalities, jnp.minimum(multipliers.inequalities, -at.inequalities)


def errors(v: Any, at: Local, multipliers: Multipliers, bounds: Any, unit: Any = None) -> Errors:
    """How far v and its multipliers are from the conditions.

    With a unit of the gradient the total is at least the error whose parts are all in that unit,
    and at least what is open of the value of f.
    """
    still, c, slack = parts(v, at, multipliers, bounds)
    outside = jnp.maximum(at.inequalities, 0), v - clipped(v, bounds)
    total = norm(jnp.concatenate([still, c, slack]))
    if unit is not None:
        total = jnp.maximum(total, norm(in_one_unit(v, at, multipliers, bounds, unit)))
        total = jnp.maximum(total, open_value(v, at, multipliers, bounds, unit))
    return Errors(
        total,
        norm(still),
        norm(jnp.concatenate([c, *outside])),
        norm(slack),
    )


def in_one_unit(v: Any, at: Local, multipliers: Multipliers, bounds: Any, unit: Any) -> Any:
    """What vanishes where the conditions hold, whatever c, h and x are measured in.

    A constraint counts by what x would have to change to meet it, relative to max(|x|, 1), times
    the unit; a bound cuts the gradient where x is near to it relative to that, or to the width of
    the box.
    """
    lengths = jnp.maximum(jnp.abs(v), 1)

    def far(values: Any, rows: Any) -> Any:
        reach = abs(rows) @ lengths + jnp.abs(values)
        return unit * values / jnp.where(reach > 0, reach, 1)

    still = force(at, multipliers)
    if bounds is not None:
        moved, step = _moved(v, still, bounds, unit)
        still = moved / step
    pull = multipliers.inequalities * jnp.sqrt((at.slopes**2).sum(1))
    slack = jnp.minimum(pull, -far(at.inequalities, at.slopes))
    return jnp.concatenate([still, far(at.equalities, at.jacobian), slack])


def open_value(v: Any, at: Local, multipliers: Multipliers, bounds: Any, unit: Any) -> Any:
    """What f may still change by, as the multipliers tell, relative to max(|x|, 1).

    Where they are large, constraints that are nearly met say little of f: to meet them changes it
    by y^T c. What is open of inequalities and bounds is each multiplier times its slack.
    """
    y, z = multipliers
    stakes = y * at.equalities, z * at.inequalities
    if bounds is not None:
        slope = force(at, multipliers)
        stakes = *stakes, slope * _moved(v, slope, bounds, unit)[0]
    return jnp.abs(jnp.concatenate(stakes)).sum() / jnp.maximum(norm(v), 1)


def _moved(v: Any, slope: Any, bounds: Any, unit: Any) -> tuple[Any, Any]:
    """How far x moves along -slope within the bounds, and the sizes of the steps.

    A slope of the unit is to move x by max(|x|, 1), or by the width of the box.
    """
    lengths = jnp.maximum(jnp.abs(v), 1)
    width = bounds[1] - bounds[0]
    step = jnp.where((width > 0) & (width < lengths), width, lengths) / unit
    return v - jnp.clip(v - step * slope, *bounds), step


def violated(v: Any, at: Local, bounds: Any) -> tuple[Any, Any]:
    """The norm of what is violated, and the gradient of half its square, within the bounds."""
    over = jnp.maximum(at.inequalities, 0)
    slope = at.equalities @ at.jacobian + over @ at.slopes
    away = v - clipped(v, bounds)
    size = norm(jnp.concatenate([at.equalities, over, away]))
    return size, displacement(v, slope, bounds)


def estimated(v: Any, at: Local, bounds: Any) -> Multipliers:
    """The multipliers with the least squares of the Lagrangian's gradient and of h z, z >= 0.

    Unknowns that a bound holds do not count. Which those are is guessed in a few ways, and the
    multipliers with the least error are taken.
    """
    if not at.equalities.size + at.inequalities.size:
        return Multipliers(at.equalities, at.inequalities)
    if bounds is None:
        return _by_least_squares(v, at, jnp.ones_like(v))
    near = 1.0 - _beside(v, bounds)

    def guessed(best: tuple[Any, Any, Any], k: Any) -> tuple[Any, None]:
        pair, error, last = best
        moved = v - force(at, last)
        held = (clipped(moved, bounds) != moved) | (bounds[0] == bounds[1])
        free = jnp.where(k == 0, freed(v, at.gradient, bounds), jnp.where(k == 1, near, 1.0 - held))
        now = _by_least_squares(v, at, free.astype(v.dtype))
        size = norm(jnp.concatenate(parts(v, at, now, bounds)))
        better = ~(size >= error) | (k == 0)
        found = Multipliers(*(jnp.where(better, *both) for both in zip(now, pair, strict=True)))
        return (found, jnp.where(better, size, error), now), None

    none = Multipliers(0 * at.equalities, 0 * at.inequalities)
    begin = none, jnp.asarray(jnp.inf, v.dtype), none
    return jax.lax.scan(guessed, begin, jnp.arange(_GUESSES))[0][0]


def _by_least_squares(v: Any, at: Local, free: Any) -> Multipliers:
    """Those of `estimated`, for the unknowns that are free."""
    m = at.equalities.size
    gradient = at.gradient * free
    damping = jnp.concatenate([jnp.zeros(m, free.dtype), at.inequalities**2])
    if at.is_sparse:
        stack = Stack(at.jacobian * free, at.slopes * free)
        found = nonnegative_solution_by_products(stack, damping, -stack.of(gradient), m, exchanged)
        return Multipliers(found[:m], found[m:])
    # Of very many inequalities no more than these few times n can matter at an answer.
    p, few = at.inequalities.size, _NEAREST * (free.size + 10)
    taken = jax.lax.top_k(at.inequalities, few)[1] if few < p else jnp.arange(p)
    rows = jnp.concatenate([at.jacobian, at.slopes[taken]]) * free
    # Of one length, so that what counts as rounding does not depend on the constraints' units; but
    # a gradient that would take a change far larger than x to meet its constraint may be rounding.
    far = jnp.abs(jnp.concatenate([at.equalities, at.inequalities[taken]]))
    lengths = jnp.maximum(jnp.sqrt((rows**2).sum(1)), far / jnp.maximum(norm(v), 1))
    lengths = jax.lax.stop_gradient(lengths)
    lengths = jnp.where((lengths > 0) & jnp.isfinite(lengths), lengths, 1)
    rows = rows / lengths[:, None]
    damping = jnp.concatenate([damping[:m], damping[m:][taken]]) / lengths**2
    gram = rows @ rows.T + jnp.diag(damping)
    found = nonnegative_solution(gram, -(rows @ gradient), m) / lengths
    return Multipliers(found[:m], jnp.zeros_like(at.inequalities).at[taken].set(found[m:]))


def _beside(v: Any, bounds: Any) -> Any:
    """Whether an unknown is at a bound, or as near to it as an answer comes."""
    low, high = bounds
    room = jnp.finfo(v.dtype).eps ** 0.5 * jnp.maximum(jnp.abs(v), 1)
    return (v - low <= room) | (high - v <= room)


def freed(v: Any, slope: Any, bounds: Any) -> Any:
    """1 for unknowns that no bound holds, else 0."""
    if bounds is None:
        return jnp.ones_like(v)
    low, high = bounds
    held = ((v <= low) & (slope > 0)) | ((v >= high) & (slope < 0))
    return jnp.where(held | (low == high), 0, jnp.ones_like(v))


def nonnegative_solution(gram: Any, right: Any, signless: int) -> Any:
    """The minimizer of u^T gram u / 2 - right^T u whose entries from `signless` on are >= 0.

    Sets of positive entries are exchanged, all at once at first and then one at a time, which ends
    for positive definite matrices (Murty, 1974; Portugal, Judice, Vicente, 1994).
    """
    size = right.size
    whole = jnp.trace(gram) / size
    # Rows may repeat: of equal multipliers, the least ones.
    ridge = 10 * jnp.finfo(right.dtype).eps * jnp.where(whole > 0, whole, 1.0)
    gram = gram + ridge * jnp.eye(size, dtype=right.dtype)

    def solved(taken: Any) -> Any:
        pair = taken[:, None] & taken[None, :]
        matrix = jnp.where(pair, gram, jnp.diag(jnp.where(taken, 0.0, 1.0).astype(gram.dtype)))
        u = jnp.linalg.solve(matrix, jnp.where(taken, right, 0))
        return jnp.where(taken, u, 0)

    return exchanged(solved, lambda u: gram @ u, right, ridge, signless)


def exchanged(solved: Any, product: Any, right: Any, ridge: Any, signless: int) -> Any:
    """The sets of positive entries, exchanged until none is wrong; `solved` gives u for a set."""
    size = right.size
    place = jnp.arange(size)
    if signless == size:
        return solved(jnp.ones(size, bool))

    def wrong(taken: Any, u: Any) -> Any:
        push = right - product(u)
        least = ridge * jnp.max(jnp.abs(u)) if size else ridge
        return (place >= signless) & jnp.where(taken, u < 0, push > least)

    def goes_on(carry: Any) -> Any:
        taken, u, k = carry
        return wrong(taken, u).any() & (k < _SWAPS)

    def swap(carry: Any) -> Any:
        taken, u, k = carry
        bad = wrong(taken, u)
        last = place == jnp.max(jnp.where(bad, place, -1))
        taken = taken ^ jnp.where(k < 10, bad, last)
        return taken, solved(taken), k + 1

    taken = jnp.ones(size, bool)
    taken, u, _ = jax.lax.while_loop(goes_on, swap, (taken, solved(taken), 0))
    return jnp.where(place < signless, u, jnp.maximum(u, 0))
