"""Linear systems of quadratic programs with some constraints held as equations."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

from resolvent.composite.design import SparseDesign
from resolvent.composite.programs import quadratic_conditions as conditions

_CENTRE = 0.65  # P is shifted by this power of eps, in units of its curvature,
_STIFF = 0.3  # and rows weigh the inverse of this one, in these units over their squares
ROUNDS = 2  # of multipliers with one factorization, where there are rows
_TRIES, _MORE = 4, 100.0  # shifts until a factorization succeeds, and from one to the next


class Units(NamedTuple):
    """What shifts and weights are measured by."""

    size: Any
    """The mean of P's diagonal, or what a linear program has in its place."""
    shift: Any
    weights: Any
    diagonal: Any


def units(problem: Any, x: Any) -> Units:
    """The shift of P and the weights of the rows, and the curvature that they refer to."""
    xp = conditions.namespace(problem.q)
    eps, dtype = float(jnp.finfo(problem.q.dtype).eps), problem.q.dtype
    if isinstance(problem.q, np.ndarray) and isinstance(problem.P, SparseDesign):
        diagonal = conditions.as_scipy(problem.P).diagonal()
    else:
        diagonal = xp.diagonal(conditions.dense(problem.P))
    mean = diagonal.mean()
    size = xp.where(mean > 0, mean, 1.0 / conditions.reach(problem, x))
    shift = xp.where(mean > 0, eps**_CENTRE, 1.0) * size
    if problem.A is None:
        weights = problem.l
    else:
        squares = conditions.row_squares(problem.A)
        weights = (eps**-_STIFF * size / xp.where(squares > 0, squares, 1.0)).astype(dtype)
    return Units(size.astype(dtype), shift.astype(dtype), weights, diagonal)


def least_shift(problem: Any, size: Any) -> Any:
    """The smallest shift."""
    return float(jnp.finfo(problem.q.dtype).eps) ** _CENTRE * size


def held(
    problem: Any, sides: Any, on: Any, x: Any, centre: Any, rows: Any, shift: Any, weights: Any
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """The minimizer with some constraints as equations, near a centre.

    Returns it, the multipliers of the rows, the image, and the negative slope of the Lagrangian,
    which is zero where unknowns are free.
    """
    xp = conditions.namespace(problem.q)
    free, held_on = sides == 0, on != 0
    x = xp.where(free, x, xp.where(sides < 0, problem.lower, problem.upper))
    limit = xp.where(held_on, xp.where(on < 0, problem.l, problem.u), 0)
    weights = xp.where(held_on, weights, 0)

    def pulled_back(x: Any, rows: Any) -> tuple[Any, Any, Any]:
        w = problem.image(x)
        rows = xp.where(held_on, rows + weights * (w - limit), 0)
        slope = problem.gradient(x) + shift * (x - centre) + problem.pulled(rows)
        return rows, w, -slope

    solve = factorized(problem, free, held_on, weights, shift)
    w = force = x
    for _ in range(1 if problem.A is None else ROUNDS):
        base = rows
        x = x + solve(xp.where(free, pulled_back(x, base)[2], 0))
        rows, w, force = pulled_back(x, base)
    return x, rows, w, force


def held_point(problem: Any, sides: Any, on: Any, x: Any, rows: Any) -> tuple[Any, Any]:
    """The minimizer with some constraints as equations, and the multipliers of the rows."""
    known = units(problem, x)
    return held(problem, sides, on, x, x, rows, known.shift, known.weights)[:2]


def factorized(problem: Any, free: Any, on: Any, weights: Any, shift: Any) -> Any:
    """A function that solves (P + shift + A' W A) d = target on the free unknowns.

    W holds the weights of the rows that are on, and d is zero where nothing is free. Where rounding
    makes the matrix indefinite, the shift is raised: d is an approximation then.
    """
    if not isinstance(free, np.ndarray):
        return _masked(problem, free, weights, shift)
    chosen = np.flatnonzero(free)
    if isinstance(problem.P, SparseDesign) or isinstance(problem.A, SparseDesign):
        inner = _augmented(problem, chosen, on, weights, shift)
    else:
        inner = _sliced(problem, chosen, on, weights, shift)

    def solve(target: Any) -> Any:
        found = np.zeros_like(target)
        if chosen.size:
            found[chosen] = inner(target[chosen])
        return found

    return solve


def _sliced(problem: Any, chosen: Any, on: Any, weights: Any, shift: Any) -> Any:
    P = problem.P.matrix
    size, whole = chosen.size, chosen.size == P.shape[0]
    H = P.copy() if whole else P[np.ix_(chosen, chosen)]
    if on.any():
        A = problem.A.matrix
        B = A[on] if whole else A[np.ix_(on, chosen)]
        H += (B.T * weights[on]) @ B
    for _ in range(_TRIES):
        H.flat[:: size + 1] += shift
        found = factored(H)
        if found is not None:
            return found
        shift = _MORE * shift
    return lambda target: np.full_like(target, np.nan)


def factored(H: Any) -> Any:
    """A function that solves with a dense matrix, by its lower triangle; None where it is not
    positive definite.

    The work is done by NumPy as the products before it: SciPy brings BLAS threads of its own, and
    while some work the others wait busily.
    """
    try:
        lower = np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        return None
    # By columns, as SciPy takes it without a copy.
    factor = lower.T, False
    return lambda target: scipy.linalg.cho_solve(factor, target, check_finite=False)


def _shifted(H: Any, free: Any, shift: Any) -> Any:
    return jnp.linalg.cholesky(H + jnp.diag(jnp.where(free, shift, 1.0).astype(H.dtype)))


@jax.custom_jvp
def _triangle(H: Any, free: Any, shift: Any) -> tuple[Any, Any]:
    """The Cholesky factor with the first shift of some with which it exists, and that shift."""

    def failed(carry: Any) -> Any:
        lower, _, tries = carry
        return ~jnp.isfinite(lower).all() & (tries < _TRIES)

    def again(carry: Any) -> Any:
        _, shift, tries = carry
        return _shifted(H, free, _MORE * shift), _MORE * shift, tries + 1

    first = _shifted(H, free, shift), shift, jnp.ones((), jnp.int32)
    return jax.lax.while_loop(failed, again, first)[:2]


@_triangle.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Reverse differentiation cannot pass a loop of unknown length, and need not: only the
    # factorization that succeeded counts.
    H, free, shift = primals
    lower, used = _triangle(H, free, shift)
    moved = used / shift * tangents[2]
    change = jax.jvp(lambda H, s: _shifted(H, free, s), (H, used), (tangents[0], moved))[1]
    return (lower, used), (change, moved)


def _masked(problem: Any, free: Any, weights: Any, shift: Any) -> Any:
    """The same with fixed shapes: the identity stands for what is not free."""
    H = conditions.dense(problem.P)
    if problem.A is not None:
        A = conditions.dense(problem.A)
        H = H + (A.T * weights) @ A
    H = jnp.where(free[:, None] & free[None, :], H, 0)

    lower = _triangle(H, free, jnp.asarray(shift, H.dtype))[0]

    def solve(target: Any) -> Any:
        found = jax.scipy.linalg.cho_solve((lower, True), jnp.where(free, target, 0))
        return jnp.where(free, found, 0)

    return solve


def _augmented(problem: Any, chosen: Any, on: Any, weights: Any, shift: Any) -> Any:
    """The same by the sparse factors of [[P + shift, B'], [B, -1 / W]]."""
    P = conditions.as_scipy(problem.P)[:, chosen][chosen]
    H = P + shift * scipy.sparse.identity(chosen.size, format="csc")
    rows = int(on.sum())
    if rows:
        B = conditions.as_scipy(problem.A).tocsr()[on][:, chosen]
        H = scipy.sparse.bmat([[H, B.T], [B, -scipy.sparse.diags(1.0 / weights[on])]])
    if not chosen.size:
        return None
    try:
        factor = scipy.sparse.linalg.splu(
            scipy.sparse.csc_matrix(H), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=1e-3,
            options={"SymmetricMode": True},
        )  # fmt: skip
    except RuntimeError:
        return lambda target: np.full_like(target, np.nan)

    def solve(target: Any) -> Any:
        longer = np.concatenate([target, np.zeros(rows, target.dtype)])
        return factor.solve(longer)[: chosen.size]

    return solve
