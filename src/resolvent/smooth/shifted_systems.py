"""Systems (H + lambda B) h = -g for many lambda, from one factorization of H.

With V^T B V = I and V^T H V = diag(e), each costs three products with V, and two more where
lambda is sought. The steps of trust regions
and of cubic models are of this kind, with lambda the root of an equation in the length of h.

Derivatives of a step are those of the system that it solves and of the equation that lambda solves:
nothing is differentiated through the eigenvectors, which have no derivatives where eigenvalues
meet.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

_ROUNDS = 100


class Spectrum(NamedTuple):
    """A symmetric matrix, its eigenvalues in ascending order, and its eigenvectors in columns."""

    matrix: Any
    values: Any
    vectors: Any


class Step(NamedTuple):
    """The step of a model, and what the model says of it."""

    h: Any
    shift: Any
    """lambda."""
    length: Any
    """Of h, in the norm of B."""
    fall: Any
    """-<g, h> - <h, H h> / 2."""


class _Root(NamedTuple):
    """Where lambda = start + beyond; eigenvalues that are shifted by it lose no digits."""

    start: Any
    beyond: Any
    shifted: Any
    """e + lambda."""
    active: Any
    """Whether lambda solves the equation, rather than being the least that is admitted."""


def spectrum(matrix: Float[Any, "n n"], root: Float[Any, "n n"] | None = None) -> Spectrum:
    """Factors of a symmetric matrix; `root` is the Cholesky factor of B, None for the identity."""
    still = jax.lax.stop_gradient(matrix)
    if root is None:
        return Spectrum(matrix, *jnp.linalg.eigh(still))
    lower = jnp.asarray(jax.lax.stop_gradient(root))

    def left(square: Any) -> Any:
        return jax.scipy.linalg.solve_triangular(lower, square, lower=True)

    values, vectors = jnp.linalg.eigh(left(left(still).T))
    vectors = jax.scipy.linalg.solve_triangular(lower, vectors, lower=True, trans=1)
    return Spectrum(matrix, values, vectors)


def no_spectrum(like: Float[Any, " n"]) -> Spectrum:
    """A place for one."""
    square = jnp.zeros((like.size, like.size), like.dtype)
    return Spectrum(square, jnp.zeros_like(like), square)


def of_shift(
    parts: Spectrum, g: Float[Any, " n"], shift: Any, metric: Float[Any, "n n"] | None = None
) -> Step:
    """The step -(H + shift B)^-1 g."""
    parts = _fixed(parts)
    return _step(parts, g, shift, parts.values + jax.lax.stop_gradient(shift), metric)


def in_ball(parts: Spectrum, g: Float[Any, " n"], radius: Any) -> Step:
    """A global minimizer of <g, h> + <h, H h> / 2 for ||h|| <= radius."""
    parts = _fixed(parts)
    size = _size(parts, g)
    start, least = _start(parts.values)
    low, high = parts.values[0] + start, parts.values[-1] + start
    ratio = size / jax.lax.stop_gradient(radius)

    def length(beyond: Any) -> tuple[Any, Any]:
        return jax.lax.stop_gradient(radius), jnp.zeros_like(beyond)

    root = _rooted(parts, g, length, start, jnp.maximum(ratio - high, least), ratio - low)
    return _with_length(parts, g, root, lambda shift: radius, None)


def cubic(
    parts: Spectrum, g: Float[Any, " n"], M: Any, metric: Float[Any, "n n"] | None = None
) -> Step:
    """A global minimizer of <g, h> + <h, H h> / 2 + M ||h||^3 / 6, the norm that of B."""
    parts = _fixed(parts)
    size = _size(parts, g)
    start, least = _start(parts.values)
    weight = jax.lax.stop_gradient(M)
    over, high = jnp.maximum(start, 0), parts.values[-1] + start
    pull = weight * size
    near = jnp.abs(parts.values[0])
    most = pull / (near + jnp.sqrt(near * near + 2 * pull))
    rest, both = 0.5 * pull - high * over, high + over
    first = 2 * rest / (both + jnp.sqrt(both * both + 4 * jnp.maximum(rest, 0)))

    def length(beyond: Any) -> tuple[Any, Any]:
        return 2 * (start + beyond) / weight, jnp.full_like(beyond, 2) / weight

    root = _rooted(parts, g, length, start, jnp.maximum(first, least), most)
    return _with_length(parts, g, root, lambda shift: 2 * shift / M, metric)


def _fixed(parts: Spectrum) -> Spectrum:
    """The same, with no derivative but that of the matrix."""
    return Spectrum(parts.matrix, *jax.lax.stop_gradient((parts.values, parts.vectors)))


def _size(parts: Spectrum, g: Any) -> Any:
    """The norm of g that is dual to that of B."""
    return jnp.linalg.norm(parts.vectors.T @ jax.lax.stop_gradient(g))


def _noise(values: Any) -> Any:
    """What an eigenvalue cannot be told from zero by."""
    return 4 * jnp.finfo(values.dtype).eps * jnp.abs(values).max() + jnp.finfo(values.dtype).tiny


def _start(values: Any) -> tuple[Any, Any]:
    """The least lambda with H + lambda B semidefinite, and how far beyond the search begins."""
    noise = _noise(values)
    singular = values[0] <= noise
    return jnp.where(singular, -values[0], 0), jnp.where(singular, noise, 0)


def _rooted(
    parts: Spectrum, g: Any, length: Callable[[Any], tuple[Any, Any]], start: Any, low: Any,
    high: Any,
) -> _Root:  # fmt: skip
    """Where ||h(lambda)|| equals `length`, by Newton's method on the reciprocals in a bracket."""
    coordinates = parts.vectors.T @ jax.lax.stop_gradient(g)
    high = jnp.maximum(high, low)
    eps = jnp.finfo(low.dtype).eps

    def look(beyond: Any) -> tuple[Any, Any, Any, Any]:
        shifted = parts.values + start + beyond
        h = coordinates / shifted
        own = jnp.linalg.norm(h)
        falls = (h * h / shifted).sum() / jnp.where(own > 0, own, 1)
        wanted, rises = length(beyond)
        return own, falls, wanted, rises

    own, _, wanted, _ = look(low)
    short = own <= wanted

    def goes_on(carry: Any) -> Any:
        _, low, high, away, k = carry
        return away & (high > (1 + 4 * eps) * low) & (k < _ROUNDS)

    def body(carry: Any) -> Any:
        now, low, high, _, k = carry
        own, falls, wanted, rises = look(now)
        far = own > wanted
        low, high = jnp.where(far, now, low), jnp.where(far, high, now)
        slope = falls / (own * own) + rises / (wanted * wanted)
        following = now - (1 / own - 1 / wanted) / slope
        inside = (following > low) & (following < high)
        between = jnp.maximum(jnp.sqrt(low * high), 1e-3 * high)
        away = ~(jnp.abs(own - wanted) <= 4 * eps * wanted)
        following = jnp.where(inside, following, between)
        return jnp.where(away, following, now), low, high, away, k + 1

    begin = jnp.sqrt(low * high), low, high, ~short, 0
    begin = (jnp.where(low > 0, begin[0], 0.5 * high), *begin[1:])
    found = jax.lax.while_loop(goes_on, body, begin)[0]
    beyond = jnp.where(short, low, found)
    return _Root(start, beyond, parts.values + start + beyond, ~short)


def _with_length(
    parts: Spectrum, g: Any, root: _Root, wanted: Callable[[Any], Any], metric: Any
) -> Step:
    """The step at a root, with the derivative that its equation gives lambda."""
    shift = root.start + root.beyond
    step = _step(parts, g, shift, root.shifted, metric)
    still = jax.lax.stop_gradient(step.h)
    turned = parts.vectors.T @ (still if metric is None else metric @ still)
    inner = turned / root.shifted
    moves = parts.vectors @ inner
    # d ||h|| / d lambda = -<h, B (H + lambda B)^-1 B h> / ||h||, and that of the length sought.
    length = jax.lax.stop_gradient(step.length)
    falls = (turned * inner).sum() / jnp.where(length > 0, length, 1)
    target, rises = jax.jvp(wanted, (shift,), (jnp.ones_like(shift),))
    off = step.length - target
    slope = falls + jax.lax.stop_gradient(rises)
    change = (off - jax.lax.stop_gradient(off)) / jnp.where(slope > 0, slope, 1)
    change = jnp.where(root.active, change, 0)
    h = step.h - change * moves
    # Without a pull along the lowest eigenvector the step still goes as far as the model wants it.
    deep = ~root.active & (-parts.values[0] > parts.values.size**0.5 * _noise(parts.values))
    target = jax.lax.stop_gradient(target)
    square = jnp.maximum((target - length) * (target + length), 0) + turned[0] ** 2
    side = jnp.where(turned[0] < 0, -1, 1)
    aside = jnp.where(deep, side * (jnp.sqrt(square) - jnp.abs(turned[0])), 0)
    bottom = turned.at[0].add(aside)
    fall = 0.5 * ((root.shifted + shift) * bottom * bottom).sum()
    return Step(
        h + aside * parts.vectors[:, 0], shift + change, jnp.where(deep, target, step.length), fall
    )


def _step(parts: Spectrum, g: Any, shift: Any, shifted: Any, metric: Any) -> Step:
    def product(v: Any) -> Any:
        return parts.matrix @ v + shift * (v if metric is None else metric @ v)

    safe = jnp.where(shifted == 0, jnp.finfo(shifted.dtype).tiny, shifted)

    def solve(_: Any, right: Any) -> Any:
        return parts.vectors @ ((parts.vectors.T @ right) / safe)

    h = jax.lax.custom_linear_solve(product, -g, solve, symmetric=True)
    square = h @ (h if metric is None else metric @ h)
    length = jnp.sqrt(jnp.where(square > 0, square, 1)) * (square > 0)
    still = jax.lax.stop_gradient(h)
    own = parts.vectors.T @ (still if metric is None else metric @ still)
    fall = 0.5 * ((safe + jax.lax.stop_gradient(shift)) * own * own).sum()
    return Step(h, shift, length, fall)
