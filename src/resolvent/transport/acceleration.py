"""What Sinkhorn's iteration is sped up by: over-relaxation from observed rates, and mixing."""

from typing import Any, NamedTuple

import numpy as np

_PERIOD = 10  # sweeps between two looks at a plain iteration
_CAP = 1.995  # beyond, the rate omega - 1 is too slow to tell from none
_WORSE = 10.0  # growth of the error over its best that ends over-relaxation


class Pace(NamedTuple):
    """The relaxation of the sweeps to come, and what it was judged by.

    Attributes:
        omega: the relaxation.
        since: sweeps since the last look.
        mark: the error at the last look.
        rate: the plain rate that was seen then, or 2 where there was none.
        best: the least error so far.
    """

    omega: Any
    since: Any
    mark: Any
    rate: Any
    best: Any


def paced(omega: float, error: Any, xp: Any = np) -> Pace:
    """A pace at the start, where the error is `error`."""
    error = xp.asarray(error)
    number = xp.asarray(omega, error.dtype)
    return Pace(number, xp.asarray(0), error, xp.full_like(error, 2.0), error)


def period(pace: Pace, xp: Any = np) -> Any:
    """Sweeps between two looks: an over-relaxed iteration takes longer to show its rate."""
    if xp is np:
        omega = float(pace.omega)
        return int(min(max(4.0 / (2.0 - omega), _PERIOD), 40 * _PERIOD)) if omega > 1 else _PERIOD
    slow = xp.clip(4.0 / (2.0 - pace.omega), _PERIOD, 40 * _PERIOD).astype(int)
    return xp.where(pace.omega > 1, slow, _PERIOD)


def looked(pace: Pace, error: Any, sweeps: Any, xp: Any = np) -> Pace:
    """The pace after so many more sweeps, of which the last left this error.

    The plain iteration contracts by theta^2 at last, and its relaxation by omega best where
    omega = 2 / (1 + sqrt(1 - theta^2)), then at the rate omega - 1. Until that is seen, the rate
    tells theta by Young's relation (rate + omega - 1)^2 = rate omega^2 theta^2, and omega grows.
    """
    since = pace.since + sweeps
    due = since >= period(pace, xp)
    if xp is np and not due and error <= _WORSE**3 * pace.best:
        # What everything below comes to, at the price that a small problem can pay.
        return pace._replace(since=since, best=np.minimum(pace.best, error))
    omega, one = pace.omega, xp.ones_like(pace.omega)
    tiny = xp.finfo(omega.dtype).tiny
    fall = xp.maximum(error, tiny) / xp.maximum(pace.mark, tiny)
    rate = fall ** (1.0 / xp.maximum(since, 1))
    plain = omega == 1
    square = xp.where(plain, rate, (rate + omega - 1) ** 2 / (xp.maximum(rate, tiny) * omega**2))
    within = (square > 0.25) & (square < 1)
    steady = xp.abs(rate - pace.rate) <= 0.3 * (1 - rate)
    slower = rate > omega - 1 + 0.2 * (2 - omega)
    proposal = 2.0 / (1.0 + xp.sqrt(xp.where(within, 1.0 - square, 1.0)))
    better = within & xp.where(plain, steady, slower) & (proposal > omega)
    omega = xp.where(due & better, xp.minimum(proposal, _CAP), omega)
    # Relaxed errors may grow for a while; what they do between two looks is let pass within reason.
    astray = ~(error <= xp.where(due, _WORSE, _WORSE**3) * pace.best)
    omega = xp.where(astray, one, omega)
    seen = xp.where(plain, rate, 2.0 * one)
    return Pace(
        omega,
        xp.where(due | astray, 0, since),
        xp.where(due | astray, error, pace.mark),
        xp.where(astray, 2.0 * one, xp.where(due, seen, pace.rate)),
        xp.where(astray, error, xp.minimum(pace.best, error)),
    )


class Mixing(NamedTuple):
    """The last points of a fixed-point iteration, for Anderson's extrapolation.

    Attributes:
        points: differences of successive points, one a row.
        residuals: differences of successive residuals.
        last: the last point and its residual.
        count: points so far.
        best: the least error since the history was begun.
    """

    points: Any
    residuals: Any
    last: tuple[Any, Any]
    count: Any
    best: Any


def unmixed(window: int, like: Any, xp: Any = np) -> Mixing:
    """An empty history for vectors like `like`."""
    none = xp.zeros((window, like.shape[0]), like.dtype)
    zero = xp.zeros_like(like)
    infinite = xp.asarray(xp.inf, like.dtype)
    return Mixing(none, none, (zero, zero), xp.asarray(0), infinite)


def mixed(
    mixing: Mixing, point: Any, image: Any, weight: Any, error: Any, xp: Any = np
) -> tuple[Any, Mixing]:
    """The next point of the iteration point -> image, and the history with this pair in it.

    The combination of the last residuals that is least in the weighted norm is looked for; where
    the error has doubled since its best, the history is forgotten and the plain step taken.
    """
    window = mixing.points.shape[0]
    residual = image - point
    fresh = (mixing.count == 0) | ~(error <= 2.0 * mixing.best)
    slot = (xp.arange(window) == (mixing.count - 1) % window)[:, None]
    points = xp.where(slot, point - mixing.last[0], mixing.points)
    residuals = xp.where(slot, residual - mixing.last[1], mixing.residuals)
    points = xp.where(fresh, 0.0, points)
    residuals = xp.where(fresh, 0.0, residuals)
    known = xp.isfinite(residuals).all() & xp.isfinite(residual).all()
    system = xp.where(known, (residuals * weight).T, 0.0)
    aim = xp.where(known, residual * weight, 0.0)
    # Columns that are still empty get no share: the solution of least norm leaves them out.
    shares = xp.linalg.lstsq(system, aim, rcond=1e-10)[0]
    next_point = image - shares @ (points + residuals)
    next_point = xp.where(known, next_point, image)
    count = xp.where(fresh, 1, mixing.count + 1)
    best = xp.where(fresh, error, xp.minimum(mixing.best, error))
    # Copied, because a host state changes its potentials in place.
    return next_point, Mixing(points, residuals, (1.0 * point, residual), count, best)
