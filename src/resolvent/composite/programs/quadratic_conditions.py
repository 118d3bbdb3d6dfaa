"""Conditions of optimality of quadratic programs, and proofs that there is no answer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from resolvent.composite.design import DenseDesign

_RIDGE = 10.0  # units in the last place, so that rows may repeat
_FLAT = 0.6  # a ray counts as flat where what it moves is the so-manieth power of eps,
_BENT = 0.25  # and the share of its fall that curvature has taken so far is this one


class Conditions(NamedTuple):
    """Relative residuals, the largest of them, and the multipliers of the bounds."""

    value: Any
    primal: Any
    dual: Any
    gap: Any
    bounds: Any


def namespace(x: Any) -> Any:
    """NumPy for NumPy's arrays, else JAX's."""
    return np if isinstance(x, np.ndarray) else jnp


def are_arrays(value: Any, shapes: tuple[tuple[int, ...], ...]) -> bool:
    """Whether a remembered value is a tuple of numeric arrays of these shapes."""
    if not isinstance(value, tuple) or len(value) != len(shapes):
        return False
    found = [getattr(part, "shape", None) for part in value]
    return found == list(shapes) and all(part.dtype.kind in "fi" for part in value)


def largest(x: Any) -> Any:
    """The maximum norm, 0 of nothing."""
    if not x.size:
        return x.sum()
    # Of a large array of NumPy's, a second pass is cheaper than a copy.
    return np.maximum(x.max(), -x.min()) if isinstance(x, np.ndarray) else abs(x).max()


def entries(design: Any) -> Any:
    """The numbers that a matrix stores."""
    return design.matrix if isinstance(design, DenseDesign) else design.data


def as_scipy(design: Any) -> Any:
    """A matrix of NumPy's numbers by compressed columns."""
    if isinstance(design, DenseDesign):
        return scipy.sparse.csc_matrix(design.matrix)
    parts = (np.asarray(part) for part in (design.data, design.rows, design.starts))
    return scipy.sparse.csc_matrix(tuple(parts), shape=design.shape)


def row_squares(design: Any) -> Any:
    """The sum of squares of each row."""
    if isinstance(design, DenseDesign):
        return (design.matrix * design.matrix).sum(axis=1)
    squares = design.data * design.data
    if isinstance(squares, np.ndarray):
        return np.bincount(design.rows, squares, design.shape[0]).astype(design.dtype)
    return jax.ops.segment_sum(squares, design.rows, design.shape[0])


def dense(design: Any) -> Any:
    """A matrix as an array."""
    if isinstance(design, DenseDesign):
        return design.matrix
    if isinstance(design.data, np.ndarray):
        return as_scipy(design).toarray()
    return jnp.zeros(design.shape, design.dtype).at[design.rows, design.columns].add(design.data)


def ratio(value: Any, scale: Any) -> Any:
    """value / scale; every residual here is a few times its scale at most, so 0 / 0 is 0."""
    xp = namespace(value) if isinstance(value, jax.Array) else np
    return value / xp.where(scale > 0, scale, 1.0)


def reach(problem: Any, x: Any) -> Any:
    """How far a unit of gradient moves x: 1 / max |P|, or the size of x over that of q."""
    xp = namespace(problem.q)
    curved, q = largest(entries(problem.P)), largest(problem.q)
    length = largest(x)
    flat = xp.where(length > 0, length, 1.0) / xp.where(q > 0, q, 1.0)
    return xp.where(curved > 0, 1.0 / xp.where(curved > 0, curved, 1.0), flat)


def admissible(xp: Any, y: Any, low: Any, high: Any) -> Any:
    """Multipliers without those of bounds that are infinite."""
    y = xp.where(xp.isfinite(high), y, xp.minimum(y, 0))
    return xp.where(xp.isfinite(low), y, xp.maximum(y, 0))


def support(xp: Any, y: Any, low: Any, high: Any) -> Any:
    """y times the bound that each sign points to; y is admissible."""
    upper = xp.where(y > 0, y * xp.where(xp.isfinite(high), high, 0), 0)
    return upper + xp.where(y < 0, y * xp.where(xp.isfinite(low), low, 0), 0)


def held(xp: Any, x: Any, low: Any, high: Any, force: Any, far: Any) -> Any:
    """The force where a bound is near enough to bear it, else 0: negative at lower bounds."""
    down = (force < 0) & (x - low < -far * force)
    up = (force > 0) & (high - x < far * force)
    return xp.where(down | up, force, 0)


def conditions(
    problem: Any, x: Any, rows: Any, gradient: Any = None, image: Any = None
) -> Conditions:
    """How far x, with these multipliers of the rows, is from the conditions of optimality."""
    xp = namespace(problem.q)
    low, high = problem.lower, problem.upper
    curved = largest(entries(problem.P))
    gradient = problem.gradient(x) if gradient is None else gradient
    bent = gradient - problem.q
    y = admissible(xp, rows, problem.l, problem.u)
    pulled = problem.pulled(y)
    force = -(gradient + pulled)
    z = held(xp, x, low, high, force, reach(problem, x))
    size_q = largest(problem.q)
    moved = xp.where(curved > 0, size_q / xp.where(curved > 0, curved, 1.0), 0)
    length = xp.maximum(largest(x), moved)
    outside = xp.maximum(xp.maximum(low - x, x - high), 0)
    primal = ratio(largest(outside), length)
    if problem.A is not None:
        w = problem.image(x) if image is None else image
        over = xp.maximum(xp.maximum(problem.l - w, w - problem.u), 0)
        scale = xp.maximum(largest(w), largest(xp.clip(w, problem.l, problem.u)))
        scale = xp.maximum(scale, largest(entries(problem.A)) * moved)
        primal = xp.maximum(primal, ratio(largest(over), scale))
    size_g = xp.maximum(xp.maximum(largest(bent), size_q), xp.maximum(largest(pulled), largest(z)))
    dual = ratio(largest(force - z), size_g)
    quadratic, linear = x @ bent, problem.q @ x
    borne = support(xp, y, problem.l, problem.u).sum() + support(xp, z, low, high).sum()
    scale = xp.maximum(xp.maximum(abs(quadratic), abs(linear)), abs(borne))
    gap = ratio(abs(quadratic + linear + borne), xp.maximum(scale, size_q * length))
    value = xp.maximum(xp.maximum(primal, dual), gap)
    return Conditions(value, primal, dual, gap, z)


def multipliers(problem: Any, x: Any) -> Any:
    """Multipliers of the rows by weighted least squares: near zero where a row is far from tight.

    They minimize ||P x + q + A' y||^2 over the unknowns that no bound holds, plus the squares of
    y times the slack of its row.
    """
    if problem.A is None:
        return problem.l
    xp = namespace(problem.q)
    gradient, w = problem.gradient(x), problem.image(x)
    free = (x > problem.lower) & (x < problem.upper)
    slack = xp.maximum(xp.minimum(w - problem.l, problem.u - w), 0)
    none = ~xp.isfinite(slack)
    A = dense(problem.A)
    B = xp.where(free, A, 0)
    gram = B @ B.T
    length = reach(problem, x) * largest(gradient)
    apart = xp.where(none, 0, slack) / xp.where(length > 0, length, 1.0)
    steep = largest(gram)
    steep = xp.where(steep > 0, steep, 1.0)
    eps = float(jnp.finfo(A.dtype).eps)
    weight = apart**2 + xp.where(none, steep, _RIDGE * eps * steep)
    gram = gram + xp.diag(weight.astype(A.dtype))
    y = xp.linalg.solve(gram, -(B @ gradient))
    return admissible(xp, xp.where(none, 0, y), problem.l, problem.u)


def proves_infeasible(problem: Any, rows: Any) -> Any:
    """Whether these multipliers combine the constraints into one that no point meets.

    All feasible x have (A' y + z)' x <= support(y) + support(z); z, the multipliers of the bounds,
    takes away what it can of A' y. What is left is a slope that only far points could pay with.
    """
    xp = namespace(problem.q)
    if problem.A is None:
        return xp.zeros((), bool)
    eps = float(jnp.finfo(problem.q.dtype).eps)
    y = admissible(xp, rows, problem.l, problem.u)
    size = largest(y)
    y = y / xp.where(size > 0, size, 1.0)
    pulled = problem.pulled(y)
    z = admissible(xp, -pulled, problem.lower, problem.upper)
    left = largest(pulled + z)
    terms = xp.concatenate(
        [support(xp, y, problem.l, problem.u), support(xp, z, problem.lower, problem.upper)]
    )
    room = -terms.sum()
    known = [xp.where(xp.isfinite(b), abs(b), 0) for b in (problem.l, problem.u)]
    steep = largest(entries(problem.A))
    far = xp.maximum(*(largest(b) for b in known)) / xp.where(steep > 0, steep, 1.0)
    near = [xp.where(xp.isfinite(b), abs(b), 0) for b in (problem.lower, problem.upper)]
    far = xp.maximum(far, xp.maximum(*(largest(b) for b in near)))
    fine = xp.isfinite(size) & (size > 0) & (room > eps**0.5 * abs(terms).sum())
    return fine & (left * far <= eps**0.5 * room)


def proves_unbounded(problem: Any, x: Any, ray: Any) -> Any:
    """Whether the objective falls without end along a ray that no constraint ends.

    Little curvature beside that of other directions may still end the fall: at x, or as far ahead
    as the ray is long, it would show.
    """
    xp = namespace(problem.q)
    eps = float(jnp.finfo(problem.q.dtype).eps)
    flat = eps**_FLAT
    size = largest(ray)
    d = ray / xp.where(size > 0, size, 1.0)
    d = xp.where(xp.isfinite(problem.upper), xp.minimum(d, 0), d)
    d = xp.where(xp.isfinite(problem.lower), xp.maximum(d, 0), d)
    fall = -(problem.q @ d)
    fine = (size > 0) & xp.isfinite(size) & (fall > 100 * flat * abs(problem.q * d).sum())
    bent = problem.P.times(d)
    fine = fine & (largest(bent) <= flat * largest(entries(problem.P)))
    fine = fine & (abs(bent @ x) + size * abs(bent @ d) <= eps**_BENT * fall)
    if problem.A is not None:
        w = problem.image(d)
        ends = xp.where(xp.isfinite(problem.u), xp.maximum(w, 0), 0)
        ends = xp.maximum(ends, xp.where(xp.isfinite(problem.l), xp.maximum(-w, 0), 0))
        fine = fine & (largest(ends) <= flat * largest(entries(problem.A)))
    return fine


def active(problem: Any, x: Any) -> tuple[Any, Any]:
    """Which bounds and rows hold x: -1 for lower ones, 1 for upper ones, 0 for none."""
    xp = namespace(problem.q)
    rows, far = multipliers(problem, x), reach(problem, x)
    force = -(problem.gradient(x) + problem.pulled(rows))
    sides = xp.sign(held(xp, x, problem.lower, problem.upper, force, far))
    sides = xp.where(problem.lower == problem.upper, -1.0, sides)
    if problem.A is None:
        return sides, rows
    steep = largest(entries(problem.A)) ** 2
    on = held(xp, problem.image(x), problem.l, problem.u, rows, far * steep)
    return sides, xp.where(problem.l == problem.u, -1.0, xp.sign(on))


def optimality(problem: Any, x: Any) -> Any:
    """Zero at an answer: the gradient less its part that active constraints bear, and what these
    constraints lack.

    Which constraints are active is read from x, and taken as given; the rest depends on x and the
    data smoothly.
    """
    sides, rows = jax.lax.stop_gradient(active(*jax.lax.stop_gradient((problem, x))))
    curved = jnp.maximum(1.0 / reach(*jax.lax.stop_gradient((problem, x))), 0.0)
    free = sides == 0
    gradient = problem.gradient(x)
    bound = jnp.where(sides < 0, problem.lower, problem.upper)
    missed = curved * (x - jnp.where(free, x, bound))
    if problem.A is None:
        return jnp.where(free, gradient, missed)
    on = rows != 0
    A = dense(problem.A)
    B = jnp.where(on[:, None] & free[None, :], A, 0)
    limit = jnp.where(on, jnp.where(rows < 0, problem.l, problem.u), 0)
    lacks = curved * jnp.where(on, A @ x - limit, 0)
    gram = B @ B.T
    tiny = _RIDGE * jnp.finfo(A.dtype).eps * jnp.maximum(jnp.diagonal(gram).max(), 1e-30)
    gram = gram + jnp.diag(jnp.where(on, tiny, 1.0))
    borne = jnp.linalg.solve(gram, B @ gradient - lacks)
    return jnp.where(free, gradient - borne @ B, missed)


def slope_solver(problem: Any, x: Any) -> Any:
    """Solves with the derivative of `optimality`, or its transpose; NaN where it is singular."""
    slope = jax.jacfwd(lambda y: optimality(problem, y))(x)

    def solve(target: Any, transposed: bool) -> Any:
        matrix = slope.T if transposed else slope
        found = jnp.linalg.solve(matrix, target)
        off = jnp.abs(matrix @ found - target).max()
        size = jnp.abs(matrix).max() * jnp.abs(found).max() + jnp.abs(target).max()
        good = off <= jnp.sqrt(jnp.finfo(x.dtype).eps) * jnp.abs(target).max()
        tame = jnp.abs(found).max() * jnp.abs(matrix).max() <= 1e-2 * jnp.abs(target).max() / (
            jnp.finfo(x.dtype).eps
        )
        return jnp.where((good & tame) | (size == 0), found, jnp.nan)

    return solve
