"""Gradient steps on all samples and, linearized, on all but each fold: traced, all at once.

One row of a matrix is the iterate of one fold. A fold's Hessian differs from the common one by what
its own samples add: products with it need no matrix of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.value import Value, static

_NEWTON_STEPS = 400  # of the accelerated method for the penalized Newton models
_POWER = 20  # products that begin the estimate of the largest curvature


class Samples(Value):
    """What the steps are taken on.

    Args:
        X: [n, q], with a column of ones for an intercept.
        transposed: [q, n], X^T written out: Hessians are twice as fast with it.
        y: [n].
        loss: a `Loss`.
        penalty: a `Function` of the first p coefficients.
        shares: [n], weights of sum 1.
        fold: [n], which one a sample belongs to.
        ridge: [q], the curvatures of a penalty that is treated as smooth, else zeros.
        center: [q], its center.
        p: how many coefficients are penalized.
        folds: how many there are.
        single: whether sample i is fold i.
        smooth: whether there is no proximal step.
        rescale: whether a loss stays a mean when samples leave it.
    """

    X: Any
    transposed: Any
    y: Any
    loss: Any
    penalty: Any
    shares: Any
    fold: Any
    ridge: Any
    center: Any
    p: int = static()
    folds: int = static()
    single: bool = static()
    smooth: bool = static()
    rescale: bool = static()

    def of_samples(self, rows: Any) -> Any:
        """For each sample the row of its fold."""
        return rows if self.single else rows[self.fold]

    def summed(self, v: Any) -> Any:
        """Sums over each fold."""
        return v if self.single else jax.ops.segment_sum(v, self.fold, self.folds)

    def held_out(self, rows: Any) -> Any:
        """The loss of each sample at its fold's row, [n]."""
        return self.loss.each(_row_products(self.X, self.of_samples(rows)), self.y)

    def near(self, x: Any, step: Any) -> Any:
        """The proximal operator of the penalty, for one point or for each row."""
        if self.smooth:
            return x
        if x.ndim == 2:
            return jax.vmap(self.near, (0, None))(x, step)
        return jnp.concatenate([self.penalty.prox(x[: self.p], step), x[self.p :]])


class Linearized(NamedTuple):
    """The loss around a point, less its ridge."""

    x: Any
    gradient: Any
    hessian: Any
    slopes: Any
    """[n], of the samples' shares of the loss."""
    bends: Any
    """[n], their second derivatives."""
    scale: Any
    """[folds], what the loss of the samples that are left is multiplied by."""


class Seen(NamedTuple):
    """What a step is taken by, and what a look at an iterate wants as well."""

    at: Linearized
    slopes: Any
    """[folds, q], the linearized gradients of what is left without each fold."""


class Walk(NamedTuple):
    x: Any
    left_out: Any
    exact: Any
    """[m, q], the true iterates of some folds."""
    steep: Any
    """A unit vector of nearly the largest curvature."""


class Course(NamedTuple):
    """How to go: what changes with the step."""

    step_sizes: Any
    """[steps]."""
    batches: Any
    """None for all samples, [steps, m] of their indices, or a pair (key, share)."""
    picks: Any
    """[m], the folds that are followed exactly."""


def linearized(data: Samples, x: Any, times: Any) -> Linearized:
    """The loss at x where each sample counts so many times."""
    z, share = data.X @ x, times * data.shares
    slopes, bends = (share * of(z, data.y) for of in (data.loss.slope, data.loss.curvature))
    return Linearized(
        x, slopes @ data.X, (data.transposed * bends) @ data.X, slopes, bends, _scale(data, share)
    )  # fmt: skip


def _scale(data: Samples, share: Any) -> Any:
    inside, total = data.summed(share), share.sum()
    if not data.rescale:
        return jnp.ones_like(inside)
    rest = total - inside
    # Where nothing of a batch is left there is no mean, and no slope either.
    some = rest > 64 * jnp.finfo(share.dtype).eps * total
    return jnp.where(some, total / jnp.where(some, rest, 1), 1)


def left_out_slopes(data: Samples, at: Linearized, rows: Any) -> Any:
    """Row k: the linearized gradient of what is left without fold k."""
    away = rows - at.x
    own = at.slopes + at.bends * _row_products(data.X, data.of_samples(away))
    inner = at.gradient + away @ at.hessian - data.summed(own[:, None] * data.X)
    return at.scale[:, None] * inner + data.ridge * (rows - data.center)


def _left_out_products(data: Samples, at: Linearized, rows: Any) -> Any:
    """Row k times the Hessian of what is left without fold k."""
    own = at.bends * _row_products(data.X, data.of_samples(rows))
    inner = rows @ at.hessian - data.summed(own[:, None] * data.X)
    return at.scale[:, None] * inner + data.ridge * rows


def _exact_slopes(data: Samples, at: Linearized, rows: Any, picks: Any, times: Any) -> Any:
    """Row j: the gradient of what is left without fold picks[j]."""
    share = (data.fold != picks[:, None]) * (times * data.shares)
    slopes = jax.vmap(lambda z: data.loss.slope(z, data.y))(rows @ data.X.T)
    inner = (share * slopes) @ data.X
    return at.scale[picks][:, None] * inner + data.ridge * (rows - data.center)


def _advance(data: Samples, course: Course, walk: Walk, seen: Seen, times: Any, t: Any) -> Walk:
    step, at = course.step_sizes[t], seen.at

    def forward(x: Any, slope: Any) -> Any:
        return data.near(x - step * slope, step)

    left_out = forward(walk.left_out, seen.slopes)
    exact = walk.exact
    if exact.shape[0]:
        exact = forward(exact, _exact_slopes(data, at, exact, course.picks, times))
    x = forward(walk.x, at.gradient + data.ridge * (walk.x - data.center))
    return Walk(x, left_out, exact, _steeper(data, at, walk.steep)[0])


def _steeper(data: Samples, at: Linearized, v: Any) -> tuple[Any, Any]:
    """One power iteration: the next unit vector, and the curvature along the last one."""
    product = at.hessian @ v + data.ridge * v
    size = jnp.linalg.norm(product)
    return jnp.where(size > 0, product / jnp.where(size > 0, size, 1), v), size


def _row_products(one: Any, other: Any) -> Any:
    return (one * other).sum(axis=1)


def _row_norms(rows: Any) -> Any:
    return jnp.sqrt(_row_products(rows, rows))


def _newton(data: Samples, at: Linearized, slopes: Any) -> Any:
    """A Newton step for each fold, on its own Hessian."""
    if not data.smooth:
        return _penalized_newton(
            data, at, slopes, partial(_left_out_products, data, at), at.scale.max()
        )
    return at.x - _solved(data, at, slopes)


def _jackknife(data: Samples, at: Linearized, slopes: Any) -> Any:
    """A Newton step for each fold, on the Hessian of all samples."""
    if not data.smooth:
        return _penalized_newton(data, at, slopes, lambda rows: rows @ at.hessian, 1.0)
    return at.x - _common(data, at)(slopes)


BASELINES = {"newton": _newton, "jackknife": _jackknife}


def _common(data: Samples, at: Linearized) -> Callable[[Any], Any]:
    """Rows times the inverse of the Hessian of all samples; NaN where that is singular."""
    factor = jnp.linalg.cholesky(at.hessian + jnp.diag(data.ridge))
    pivots = jnp.diag(factor) ** 2
    # Rounding alone may let a singular matrix pass.
    regular = pivots.min() > 64 * pivots.size * jnp.finfo(pivots.dtype).eps * pivots.max()
    factor = jnp.where(regular, factor, jnp.nan)
    return lambda rows: jax.scipy.linalg.cho_solve((factor, True), rows.T).T


def _solved(data: Samples, at: Linearized, rows: Any) -> Any:
    """Row k times the inverse of its fold's Hessian, by conjugate gradients.

    With the common Hessian as the preconditioner, fold k's has as many eigenvalues away from the
    others as it has samples, and so many steps suffice.
    """
    precondition, most = _common(data, at), 2 * at.x.size + 20
    enough = (1e3 * jnp.finfo(rows.dtype).eps) ** 2

    def unfinished(state: Any) -> Any:
        k, _, _, _, sizes, first = state
        return (k < most) & (sizes > enough * first).any()

    def step(state: Any) -> Any:
        k, x, residual, turn, sizes, first = state
        product = _left_out_products(data, at, turn)
        bend = _row_products(turn, product)
        go = _ratio(sizes, bend)[:, None]
        x, residual = x + go * turn, residual - go * product
        z = precondition(residual)
        new = _row_products(residual, z)
        return k + 1, x, residual, z + _ratio(new, sizes)[:, None] * turn, new, first

    z = precondition(rows)
    sizes = _row_products(rows, z)
    # Not zeros: NaN of a singular Hessian must not pass for a step of length zero.
    return jax.lax.while_loop(unfinished, step, (0, 0 * z, rows, z, sizes, sizes))[1]


def _ratio(one: Any, other: Any) -> Any:
    """0 for 0, whatever the other is."""
    return jnp.where(one == 0, 0, one / other)


def _penalized_newton(
    data: Samples, at: Linearized, slopes: Any, product: Callable[[Any], Any], scale: Any
) -> Any:
    """The least points of the quadratic models plus the penalty, by FISTA with restarts."""
    curvature = scale * jnp.linalg.eigvalsh(at.hessian)[-1] + data.ridge.max()
    step = 1.0 / jnp.where(curvature > 0, curvature, 1)
    enough = jnp.finfo(slopes.dtype).eps ** (2 / 3)

    def unfinished(state: Any) -> Any:
        k, x, _, _, moved = state
        return (k < _NEWTON_STEPS) & (moved > enough * (1 + jnp.abs(x).max()))

    def one(state: Any) -> Any:
        k, x, ahead, momentum, _ = state
        new = data.near(ahead - step * (slopes + product(ahead - at.x)), step)
        backwards = _row_products(ahead - new, new - x) > 0
        momentum = jnp.where(backwards, 1, momentum)
        later = (1 + jnp.sqrt(1 + 4 * momentum * momentum)) / 2
        further = new + ((momentum - 1) / later)[:, None] * (new - x)
        return k + 1, new, further, later, jnp.abs(new - x).max()

    x = jnp.broadcast_to(at.x, slopes.shape)
    first = (0, x, x, jnp.ones(slopes.shape[0], slopes.dtype), jnp.asarray(jnp.inf, slopes.dtype))
    return jax.lax.while_loop(unfinished, one, first)[1]


def _record(
    data: Samples, course: Course, walk: Walk, seen: Seen, t: Any, baselines: tuple[str, ...]
) -> dict[str, Any]:
    """What is known of one iterate."""
    step, (at, slopes) = course.step_sizes[t], seen
    gradient = at.gradient + data.ridge * (walk.x - data.center)

    def moved(x: Any, slope: Any) -> Any:
        return slope if data.smooth else (x - data.near(x - step * slope, step)) / step

    each, shares = data.held_out(walk.left_out), data.shares
    mean = shares @ each
    everywhere = jnp.broadcast_to(walk.x, walk.left_out.shape)
    estimates = {"iterative": walk.left_out, "training": everywhere}
    if baselines:
        own = left_out_slopes(data, at, everywhere)
        estimates |= {name: BASELINES[name](data, at, own) for name in baselines}
    row = {
        "losses": mean,
        "standard_errors": jnp.sqrt(shares @ (each - mean) ** 2 * (shares @ shares)),
        "training": shares @ data.loss.each(data.X @ walk.x, data.y),
        "residuals": _row_norms(moved(walk.left_out, slopes)).max(),
        "gradients": jnp.linalg.norm(moved(walk.x, gradient)),
        "deviations": _row_norms(walk.left_out - walk.x).max(),
        "curvatures": step * at.scale.max() * _steeper(data, at, walk.steep)[1],
        "baselines": {name: shares @ data.held_out(estimates[name]) for name in baselines},
    }
    if walk.exact.shape[0]:
        row["exact"] = _compared(data, course, walk, estimates)
    return row


def _compared(data: Samples, course: Course, walk: Walk, estimates: dict[str, Any]) -> Any:
    """The exact folds beside what estimates say of them."""
    place = jnp.full(data.folds, -1).at[course.picks].set(jnp.arange(course.picks.size))[data.fold]
    shares = jnp.where(place >= 0, data.shares, 0)
    # Folds without weight have no loss to compare.
    shares = shares / jnp.where(shares.sum() > 0, shares.sum(), 1)
    own = data.loss.each(_row_products(data.X, walk.exact[place]), data.y)
    return {
        "losses": shares @ own,
        "estimates": {name: shares @ data.held_out(rows) for name, rows in estimates.items()},
        "distances": {
            name: _row_norms(rows[course.picks] - walk.exact).mean()
            for name, rows in estimates.items()
        },
    }


@partial(jax.jit, static_argnames=("every", "baselines"))
def follow(
    data: Samples, start: Any, course: Course, *, every: int, baselines: tuple[str, ...]
) -> tuple[Walk, dict[str, Any]]:
    """Take all steps; the end, and what was seen at the start and after each `every`."""
    n = data.shares.size

    def times(t: Any) -> Any:
        if isinstance(course.batches, tuple):
            key, share = course.batches
            drawn = jax.random.uniform(jax.random.fold_in(key, t), (n,)) < share
            return drawn.astype(start.dtype) / share.astype(start.dtype)
        rows = course.batches[t]
        return jnp.zeros(n, start.dtype).at[rows].add(n / rows.size)

    def around(walk: Walk, counts: Any = 1.0) -> Seen:
        at = linearized(data, walk.x, counts)
        return Seen(at, left_out_slopes(data, at, walk.left_out))

    # What is seen with all samples serves the look at an iterate and the step from it.
    def step(t: Any, state: tuple[Walk, Seen]) -> tuple[Walk, Seen]:
        walk, seen = state
        if course.batches is None:
            walk = _advance(data, course, walk, seen, 1.0, t)
            return walk, around(walk)
        counts = times(t)
        return _advance(data, course, walk, around(walk, counts), counts, t), seen

    def stretch(state: tuple[Walk, Seen], begin: Any) -> tuple[Any, dict[str, Any]]:
        walk, seen = state
        seen = seen if course.batches is None else around(walk)
        row = _record(data, course, walk, seen, jnp.minimum(begin, total - 1), baselines)
        end = jnp.minimum(begin + every, total)
        return jax.lax.fori_loop(begin, end, step, (walk, seen)), row

    total = course.step_sizes.size
    steep = jnp.cos(jnp.arange(1.0, start.size + 1, dtype=start.dtype))
    walk = Walk(
        start, jnp.tile(start, (data.folds, 1)), jnp.tile(start, (course.picks.size, 1)), steep
    )
    seen = around(walk)
    steep = jax.lax.fori_loop(0, _POWER, lambda _, v: _steeper(data, seen.at, v)[0], steep)
    looks = every * jnp.arange(total // every + 1)
    (walk, _), rows = jax.lax.scan(stretch, (walk._replace(steep=steep), seen), looks)
    return walk, rows
