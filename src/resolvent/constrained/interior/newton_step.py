"""Newton's system between distances and multipliers, curved so that its solution goes downhill."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg as linalg

from resolvent.constrained.newton_system import attached

_FIRST, _FASTER, _FAST, _BACK = 1e-4, 100.0, 8.0, 3.0  # how shifts grow, and fall again
_MOST, _LEAST = 1e20, 1e-20


class Curved(NamedTuple):
    """K = [[H + S + shift, J^T], [J, -(give + 1 / (S' + shift))]], S' on inequalities alone."""

    H: Any
    J: Any
    stiff: Any
    """[n + p]: S and S'."""
    give: Any
    """[m + p]: by how much a row yields to a unit of its multiplier."""
    free: Any
    """[n]: 0 for unknowns whose bounds are equal."""


def yielding(H: Any, J: Any, stiff: Any) -> Any:
    """So little for every row that the answer does not feel it, and dependent rows are admitted."""
    n, root = H.shape[0], jnp.finfo(H.dtype).eps ** 0.5
    # What inequalities bend counts too: in linear programs there is nothing else.
    held = (J[J.shape[0] - stiff.size + n :] ** 2).T @ stiff[n:]
    size = jnp.abs(H).max(axis=1, initial=0.0) + stiff[:n] + held
    size = jnp.maximum(size, root**0.5 * jnp.maximum(size.max(initial=0.0), root))
    return root * jnp.maximum((J**2 / size).sum(1), root)


def _blocks(curved: Curved, shift: Any) -> tuple[Any, Any]:
    n, p = curved.H.shape[0], curved.stiff.size - curved.H.shape[0]
    give = curved.give
    if p:
        give = give.at[give.size - p :].add(1 / (curved.stiff[n:] + shift))
    diagonal = jnp.where(curved.free > 0, curved.stiff[:n] + shift, 1)
    return curved.H + jnp.diag(diagonal), give


def _downhill(curved: Curved, shift: Any, simply: Any) -> Any:
    """Whether K has as many positive eigenvalues as unknowns, and negative ones as rows.

    It has where H + S + shift + J^T give^-1 J is positive definite (Sylvester, Haynsworth). Where
    rounding hides that behind the last part, the eigenvalues themselves are asked; those of the
    first part before, where `simply` says so.
    """
    top, give = _blocks(curved, shift)
    plain = _definite(top + (curved.J.T / give) @ curved.J)

    def asked(_: Any) -> Any:
        return (simply & _definite(top)) | _enough_positive(curved, shift)

    return jax.lax.cond(plain, jnp.ones_like, asked, plain)


def needless(curved: Curved, least: Any, shift: Any) -> Any:
    """Whether a shift is larger than `least`, although H + S + least is positive definite."""
    no = jnp.asarray(False)
    return jax.lax.cond(
        shift > least, lambda _: _definite(_blocks(curved, least)[0]), lambda _: no, no
    )


def _definite(whole: Any) -> Any:
    """Whether a matrix is positive definite, by more than rounding."""
    diagonal = jnp.diagonal(whole)
    unit = 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1))
    lower = jnp.linalg.cholesky(unit[:, None] * whole * unit, symmetrize_input=True)
    room = 10 * diagonal.size * jnp.finfo(whole.dtype).eps
    return (diagonal > 0).all() & (jnp.diagonal(lower) ** 2 > room).all()


def _enough_positive(curved: Curved, shift: Any) -> Any:
    """Whether as many eigenvalues of K as there are unknowns are more than rounding."""
    _, even = _assembled(curved, shift)
    values = jnp.linalg.eigvalsh(even)
    room = 10 * values.size * jnp.finfo(values.dtype).eps * jnp.abs(values).max()
    return (values > room).sum() == curved.H.shape[0]


def shift_for(curved: Curved, least: Any, last: Any, simply: Any = False) -> tuple[Any, Any]:
    """The least shift of those tried that makes the direction go downhill, and how many were.

    `simply`: whether a matrix H + S that is positive definite by itself is known to need none.
    """
    begun = jnp.where(last > 0, jnp.maximum(_LEAST, last / _BACK), _FIRST)
    factor = jnp.where(last > 0, _FAST, _FASTER)

    def goes_on(carry: Any) -> Any:
        shift, _ = carry
        return ~_downhill(curved, shift, simply) & (shift < _MOST)

    def more(carry: Any) -> Any:
        shift, tries = carry
        following = jnp.where(tries == 1, jnp.maximum(begun, factor * shift), factor * shift)
        return following, tries + 1

    return jax.lax.while_loop(goes_on, more, (least, jnp.ones((), jnp.int32)))


class Solver(NamedTuple):
    """The factors of K, made even; of a smaller matrix where inequalities outnumber unknowns."""

    top: Any
    """[n, n]: the first block of K."""
    J: Any
    give: Any
    """[m + p], of K."""
    unit: Any
    factors: Any
    yields: Any
    """[p]: 1 / (S' + shift)."""

    @property
    def kept(self) -> int:
        """How many rows are not eliminated."""
        return self.unit.size - self.top.shape[0]


def solver(curved: Curved, shift: Any) -> Solver:
    """K for a shift, and its factors."""
    whole, even = _assembled(curved, shift)
    return whole._replace(factors=linalg.lu_factor(even))


def _assembled(curved: Curved, shift: Any) -> tuple[Solver, Any]:
    """K, and the even matrix that is to be factorized."""
    n, p = curved.H.shape[0], curved.stiff.size - curved.H.shape[0]
    top, give = _blocks(curved, shift)
    kept = curved.J.shape[0] - (p if p > n else 0)
    yields = 1 / (curved.stiff[n:] + shift)
    whole = Solver(top, curved.J, give, jnp.zeros(n + kept, top.dtype), None, yields)
    K = matrix(whole)
    size = jnp.abs(K[:n, :n]).max(axis=1, initial=0.0)
    size = jnp.where(size > 0, size, 1)
    across = give[:kept] + (curved.J[:kept] ** 2 / size).sum(1)
    unit = 1 / jnp.sqrt(jnp.concatenate([size, jnp.where(across > 0, across, 1)]))
    even, unit = jax.lax.stop_gradient((unit[:, None] * K * unit, unit))
    return whole._replace(unit=unit), even


def matrix(solver: Solver) -> Any:
    """K, its last rows eliminated where those are more than unknowns."""
    kept, J, give = solver.kept, solver.J, solver.give
    top = solver.top + (J[kept:].T / give[kept:]) @ J[kept:]
    return jnp.block([[top, J[:kept].T], [J[:kept], -jnp.diag(give[:kept])]])


def solution(solver: Solver, b: Any) -> Any:
    """K^-1 b, refined once."""
    n, kept = solver.top.shape[0], solver.kept
    still, right = jax.lax.stop_gradient((solver, b))

    def once(b: Any) -> Any:
        even = linalg.lu_solve(still.factors, still.unit * _put(still, b))
        return _whole(still, still.unit * even, b)

    z = once(right)
    left = jnp.concatenate([
        still.top @ z[:n] + z[n:] @ still.J, still.J @ z[:n] - still.give * z[n:]
    ])  # fmt: skip
    z = z + once(right - left)
    sloped = _whole(solver, attached(z[: n + kept], matrix(solver), _put(solver, b)), b)
    return z + (sloped - jax.lax.stop_gradient(sloped))


def _put(solver: Solver, b: Any) -> Any:
    """The right-hand side of the smaller system."""
    n, kept = solver.top.shape[0], solver.kept
    rest = b[n + kept :] / solver.give[kept:]
    return b[: n + kept].at[:n].add(rest @ solver.J[kept:])


def _whole(solver: Solver, z: Any, b: Any) -> Any:
    """The solution with what was eliminated."""
    n, kept = solver.top.shape[0], solver.kept
    rest = solver.J[kept:] @ z[:n] - b[n + kept :]
    return jnp.concatenate([z, rest / solver.give[kept:]])


def direction(solver: Solver, free: Any, slope: Any, rows: Any) -> tuple[Any, Any]:
    """[n + p] of unknowns and slacks, and [m + p] of multipliers.

    `slope` [n + p] is the gradient of the Lagrangian with its barrier, `rows` [m + p] are the
    values of the rows, slacks added.
    """
    n, p = free.size, slope.size - free.size
    m = rows.size - p
    lifted = rows.at[m:].add(-solver.yields * slope[n:]) if p else rows
    z = solution(solver, -jnp.concatenate([free * slope[:n], lifted]))
    of_slacks = -solver.yields * (slope[n:] + z[n + m :])
    return jnp.concatenate([z[:n], of_slacks]), z[n:]
