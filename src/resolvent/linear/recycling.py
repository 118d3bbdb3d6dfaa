"""Cycles of restarted GMRES(m) and of GCRO-DR(m, k), with a recycled space between systems.

The functions work on a `CycleState` whose arrays are allocated once per solve and then
overwritten: a state that was passed in is consumed. Vectors are kept as contiguous rows (the
column-major layout of the usual n x m basis), in the coordinates of x: `directions` holds U and
Z = M^-1 V with A U = C and A Z = [C V] G, so the preconditioner may change from step to step
and from system to system, the k products of a set-up need no preconditioner solve, and the
approximate null space stays one of A. `shadows` holds M U, which only steers the choice of the
next recycled space, never the answer.
"""

from collections.abc import Callable

import numpy as np

from resolvent._core.host import Interrupted

from . import harmonic
from .cycle_state import BREAKDOWN as BREAKDOWN
from .cycle_state import NONFINITE as NONFINITE
from .cycle_state import RUNNING as RUNNING
from .cycle_state import STALLED as STALLED
from .cycle_state import CycleState, norm_of
from .cycle_state import RecycledSpace as RecycledSpace
from .cycle_state import allocate as allocate

Apply = Callable[[np.ndarray], np.ndarray]

_WORTH = 0.5  # of a cycle: a shorter last one leaves the space of the solve as it is

# Renewing costs as much as many steps, and a space that lets a cycle lower the residual this far
# is good enough for the next one; not for ever, because the next system inherits it.
_GOOD = 0.3
_SKIPS = 2


def begin(
    x: np.ndarray,
    b: np.ndarray,
    op: Apply,
    *,
    cycle: int,
    recycle: int = 0,
    preconditioned: bool = False,
    space: RecycledSpace | None = None,
    op_rows: Apply | None = None,
) -> CycleState:
    """Start a solve of A x = b, with the space recycled from an earlier system if given.

    The new images are [Q, R] = qr(A U), C = Q, U := U R^-1, then x and the residual are
    corrected so that the residual is orthogonal to C. Where A is unchanged since the space was
    made, one product with a random combination of U shows it and the k products are saved; where
    the remembered images also are orthonormal, as their Gram matrix shows, so is the rest.

    Args:
        x: start, shape (n,). A product is spent on it unless it is zero.
        b: right-hand side, shape (n,), float32 or float64.
        op: v -> A v on vectors of shape (n,).
        cycle: m.
        recycle: k < m; 0 gives GMRES(m).
        preconditioned: whether `advance` will be given a preconditioner.
        space: from `remember`; of the same n, else ValueError.
        op_rows: (k, n) rows -> their images as rows, where a block product is cheaper.

    Returns:
        The state before the first cycle; `norm` is the residual norm after the correction.

    Raises:
        ValueError: sizes that do not fit.

    Cost: k + 1 products and about 3 k^2 n multiplications; 1 product and about 2 k^2 n where A is
    unchanged.

    Convergence: the correction projects the residual, so that it never raises its norm by more
    than rounding, whatever the space was.

    Example:
        ```python
        import numpy as np
        from resolvent.linear import recycling

        A = np.diag(np.arange(1.0, 101.0))
        state = recycling.begin(np.zeros(100), np.ones(100), A.dot, cycle=20, recycle=8)
        state, trace = recycling.advance(state, A.dot, None, steps=200, target=1e-8)
        x = recycling.iterate(state)
        space, state = recycling.remember(state)
        ```

    Reference: Parks, de Sturler, Mackey, Johnson, Maiti (2006), Recycling Krylov subspaces for
    sequences of linear systems. Wang et al. (2024), arXiv 2401.09516.
    """
    size = b.shape[0]
    cold = not np.any(x)
    residual = b if cold else b - op(x)
    state = allocate(x, residual, cycle, recycle, preconditioned)
    state = state._replace(products=0 if cold else 1)
    if space is None or state.limit == 0 or len(space.directions) == 0:
        return state
    if space.directions.shape[1] != size:
        raise ValueError(
            f"The recycled space belongs to systems of size {space.directions.shape[1]}, "
            f"not {size}."
        )
    state = _adopt(state, space, op, op_rows)
    return _align(state) if state.recycled else state


def _adopt(state: CycleState, space: RecycledSpace, op: Apply, op_rows: Apply | None) -> CycleState:
    from .kernels_arnoldi import combine, inner_products

    dtype = state.residual.dtype
    count = min(len(space.directions), len(state.basis) - 2, state.limit + 1)
    directions, images = state.directions[:count], state.basis[:count]
    shadows = state.shadows[:count] if len(state.shadows) else directions
    directions[:], images[:] = space.directions[:count], space.images[:count]
    if len(state.shadows):
        shadows[:] = space.shadows[:count] if len(space.shadows) else directions
    probe = np.empty((2, len(state.x)), dtype)
    weights = np.random.default_rng(0).standard_normal((1, count)).astype(dtype)
    combine(weights, directions, probe[:1])
    combine(weights, images, probe[1:])
    difference = norm_of(op(probe[0]) - probe[1])
    products = state.products + 1
    tolerance = np.finfo(dtype).eps ** (2 / 3) * np.linalg.norm(weights)
    same = difference <= tolerance
    if not same:
        images = (
            np.stack([op(row) for row in directions]) if op_rows is None else op_rows(directions)
        )
        products += count
    if not (same and _are_orthonormal(images)):
        images, transform = harmonic.orthonormalize(images)
        count = len(images)
        state.basis[:count] = images
        combine(transform, directions, directions)
        if len(state.shadows):
            combine(transform, shadows, shadows)
    images, directions, shadows = state.basis[:count], directions[:count], shadows[:count]
    # A sum is finite only if its terms are; one pass instead of a long array of truth values.
    if not np.isfinite(images.sum() + directions.sum()):
        return state._replace(products=products)
    state.overlap[:count, :count] = inner_products(images, shadows)
    return state._replace(recycled=count, products=products)


def _are_orthonormal(rows: np.ndarray) -> bool:
    from .kernels_arnoldi import inner_products

    defect = np.abs(inner_products(rows, rows) - np.eye(len(rows))).max()
    return bool(defect <= np.finfo(rows.dtype).eps ** (2 / 3))


def _align(state: CycleState) -> CycleState:
    from .kernels_arnoldi import combine_two, inner_products

    x, residual = state.x[None], state.residual[None]
    along = inner_products(state.basis[: state.recycled], residual).T.copy()
    one = np.ones((1, 1), x.dtype)
    combine_two(one, x, along, state.directions[: state.recycled], x)
    combine_two(one, residual, -along, state.basis[: state.recycled], residual)
    norm = norm_of(state.residual)
    return state._replace(norm=norm, cycle_norm=norm, is_aligned=True)


def restart(state: CycleState, b: np.ndarray, op: Apply) -> CycleState:
    """A state whose cycle and recycled space are forgotten, at its last point (one product).

    For a state whose buffers were left half changed.
    """
    state.residual[:] = b - op(state.x)
    norm = norm_of(state.residual)
    return state._replace(
        recycled=0, position=0, is_open=False, is_aligned=True, is_broken=False, norm=norm,
        cycle_norm=norm, products=state.products + 1,
    )  # fmt: skip


def refresh(state: CycleState, b: np.ndarray, op: Apply) -> CycleState:
    """Close the running cycle and recompute the residual from the data (one product)."""
    state = _close(state)
    state.residual[:] = b - op(state.x)
    norm = norm_of(state.residual)
    return state._replace(
        norm=norm, is_aligned=state.recycled == 0, products=state.products + 1, code=RUNNING
    )


def advance(
    state: CycleState,
    op: Apply,
    precondition: Apply | None,
    *,
    steps: int,
    target: float,
    stall: float = 1e-3,
    patience: int = 1,
    op_into: Callable[[np.ndarray, np.ndarray], object] | None = None,
) -> tuple[CycleState, np.ndarray]:
    """Take up to `steps` Arnoldi steps, over as many cycles as that needs.

    The inner least-squares residual is the true one because the residual and the steps are kept
    orthogonal to C, so the loop ends inside a cycle as soon as it is at most `target`.

    Args:
        state: from `begin` or an earlier call; consumed.
        op: v -> A v.
        precondition: v -> M^-1 v, the same or another at every step, or None.
        steps: most Arnoldi steps to take.
        target: absolute residual norm.
        stall: full cycles must lower the residual norm by at least this, relative.
        patience: after so many full cycles that together did not, the code is STALLED.
        op_into: (v, out) -> None, the same product written to `out`, where that is cheaper.

    Returns:
        The state and the running residual norm after each step, shape (steps done,).
        `state.code` is RUNNING also when the target is reached: read `state.norm`.

    Raises:
        ValueError: if a preconditioner is given to a state without room for it, or is missing.
        Interrupted: for Ctrl-C in `op` or `precondition`, with the state and trace until then.

    Cost: a step is one product, one preconditioner solve and two sweeps over the C and V rows
    so far (a third where the measured orthogonality asks for it); a restart that renews U and C
    about 6 m k n multiplications and an eigenproblem of order m. After a cycle that lowered the
    residual norm to 0.3 or less they are kept as they are, twice in a row at most.

    Convergence: the residual norm never rises. GMRES(m) and GCRO-DR(m, k) converge for every m
    where the symmetric part of A M^-1 is definite; otherwise they may stall.
    """
    if (precondition is not None) != _stores_z(state):
        raise ValueError("The state was allocated for the other choice of `preconditioned`.")
    trace: list[float] = []
    while len(trace) < steps and state.code == RUNNING and not state.norm <= target:
        if not state.is_open:
            state = _open(state)
        state = _run_cycle(state, op, precondition, steps - len(trace), target, trace, op_into)
        length = len(state.basis) - 1 - state.recycled
        if state.position == length or state.norm <= target or state.is_broken:
            state = _close(state, stall, patience)
            trace[-1] = state.norm
    return state, np.array(trace)


def _open(state: CycleState) -> CycleState:
    good = state.recycled > 0 and state.norm <= _GOOD * state.cycle_norm
    if good and state.position > 0 and state.skipped < _SKIPS and not state.is_broken:
        state = state._replace(position=0, skipped=state.skipped + 1)
    else:
        state = _renew(state)
    if not state.is_aligned:
        state = _align(state)
    np.divide(state.residual, state.norm, out=state.basis[state.recycled])
    state.reduced[0] = state.norm
    return state._replace(position=0, is_open=True, is_broken=False, cycle_norm=state.norm)


def _run_cycle(
    state: CycleState,
    op: Apply,
    precondition: Apply | None,
    steps: int,
    target: float,
    trace: list[float],
    op_into: Callable[[np.ndarray, np.ndarray], object] | None,
) -> CycleState:
    from .kernels_arnoldi import arnoldi_step

    recycled, position, norm = state.recycled, state.position, state.norm
    basis, directions = state.basis, state.directions
    epsilon = float(np.finfo(basis.dtype).eps)
    tolerance = 10.0 * epsilon * np.sqrt(basis.shape[1])
    leftovers = np.empty(len(basis), basis.dtype)
    first, broken, interrupted = position, False, False
    last = min(position + steps, len(basis) - 1 - recycled)
    while position < last and not broken and not norm <= target:
        vector = basis[recycled + position]
        image = basis[recycled + position + 1]
        try:
            if precondition is not None:
                direction = directions[recycled + position]
                direction[:] = precondition(vector)
                vector = direction
            if op_into is None:
                image[:] = op(vector)
            else:
                op_into(vector, image)
        except KeyboardInterrupt:
            interrupted = True
            break
        norm, broken = arnoldi_step(
            basis,
            recycled,
            position,
            state.projections,
            state.triangle,
            state.rotations,
            state.reduced,
            leftovers,
            tolerance,
            10.0 * epsilon,
        )
        position += 1
        trace.append(norm)
        if not np.isfinite(norm):
            broken = True
    done = position - first
    state = state._replace(
        position=position,
        norm=norm,
        is_broken=broken,
        steps=state.steps + done,
        products=state.products + done,
        preconditions=state.preconditions + (done if precondition is not None else 0),
    )
    if interrupted:
        raise Interrupted(state, np.array(trace))
    return state


def _krylov_directions(state: CycleState) -> np.ndarray:
    rows = slice(state.recycled, state.recycled + state.position)
    return state.directions[rows] if _stores_z(state) else state.basis[rows]


def _stores_z(state: CycleState) -> bool:
    return len(state.directions) == len(state.basis) - 1


def _correction(state: CycleState) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the correction on Z and, negated, on U."""
    from .kernels_arnoldi import back_substitute

    steps, recycled = state.position, state.recycled
    weights = np.empty(steps, state.basis.dtype)
    back_substitute(state.triangle, steps, state.reduced, weights)
    return weights, weights @ state.projections[:steps, :recycled]


def iterate(state: CycleState) -> np.ndarray:
    """The iterate after the last step, without ending the cycle."""
    from .kernels_arnoldi import combine_two

    if not state.is_open or state.position == 0:
        return state.x.copy()
    weights, coupled = _correction(state)
    x = np.empty_like(state.x)
    combine_two(
        weights[None], _krylov_directions(state), -coupled[None],
        state.directions[: state.recycled], x[None],
    )  # fmt: skip
    x += state.x
    return x


def _close(state: CycleState, stall: float = 0.0, patience: int = 1) -> CycleState:
    from .kernels_arnoldi import combine

    if not state.is_open:
        return state
    steps, recycled = state.position, state.recycled
    if steps and np.isfinite(state.norm):
        weights, _ = _correction(state)
        state.x[:] = iterate(state)
        images = steps if state.is_broken else steps + 1
        change = weights @ state.projections[:steps, recycled : recycled + images]
        change *= -1.0
        change[0] += state.cycle_norm
        combine(change[None], state.basis[recycled : recycled + images], state.residual[None])
    norm = norm_of(state.residual) if np.isfinite(state.norm) else state.norm
    slow_norm, slow_cycles = state.slow_norm, state.slow_cycles
    if norm <= (1.0 - stall) * slow_norm:
        slow_norm, slow_cycles = norm, 0
    elif steps == len(state.basis) - 1 - recycled:
        slow_cycles += 1
    code = RUNNING
    if not np.isfinite(norm):
        code = NONFINITE
    elif state.is_broken and not norm <= (1.0 - stall) * state.cycle_norm:
        code = BREAKDOWN
    elif slow_cycles >= patience and stall > 0.0:
        code = STALLED
    return state._replace(
        is_open=False, norm=norm, slow_norm=slow_norm, slow_cycles=slow_cycles, code=code
    )


def _renew(state: CycleState) -> CycleState:
    """Replace U and C by the harmonic Ritz vectors of the closed cycle."""
    from .kernels_arnoldi import combine, combine_two, inner_products

    steps, recycled = state.position, state.recycled
    if state.limit == 0 or steps == 0 or not np.isfinite(state.norm):
        return state._replace(position=0)
    columns = recycled + steps
    rows = columns if state.is_broken else columns + 1
    basis = state.basis[:rows]
    krylov = _krylov_directions(state)
    shadows = state.shadows if len(state.shadows) else state.directions
    shadows = shadows[:recycled]
    # Unit shadows, so that the small problem is scaled like the Krylov vectors beside them.
    scale = 1.0 / np.sqrt(np.einsum("ij,ij->i", shadows, shadows).astype(np.float64))
    overlap = np.zeros((rows, columns))
    if recycled:
        overlap[:recycled, :recycled] = state.overlap[:recycled, :recycled] * scale
        overlap[recycled:, :recycled] = inner_products(basis[recycled:], shadows) * scale
    overlap[recycled:columns, recycled:] = np.eye(steps)
    projected = np.zeros((rows, columns))
    projected[:recycled, :recycled] = np.diag(scale)
    projected[:, recycled:] = state.projections[:steps, :rows].T
    found = harmonic.smallest(projected, overlap, state.limit, state.limit + 1)
    if found is None:
        return state._replace(position=0)
    inner, outer = found
    count = len(inner)
    state.overlap[:count, :count] = outer @ overlap @ inner.T
    inner[:, :recycled] *= scale
    inner, outer = inner.astype(basis.dtype), outer.astype(basis.dtype)
    kept, new = np.ascontiguousarray(inner[:, :recycled]), np.ascontiguousarray(inner[:, recycled:])
    # The new rows take the places of the old ones, U before C because Z may be V.
    combine_two(kept, state.directions[:recycled], new, krylov, state.directions)
    if len(state.shadows):
        combine_two(kept, shadows, new, basis[recycled:columns], state.shadows)
    combine(outer, basis, state.basis)
    return state._replace(recycled=count, renewals=state.renewals + 1, skipped=0, position=0)


def remember(state: CycleState) -> tuple[RecycledSpace, CycleState]:
    """Close the cycle, bring the recycled space up to date, and copy it out.

    A space that was renewed in this solve already is kept as it is where the last cycle was
    short: what a few steps would add is less than the renewal costs.

    Cost: as a restart of `advance`, or only the copies; no products.
    """
    state = _close(state)
    length = len(state.basis) - 1 - state.recycled
    if state.renewals == 0 or state.position >= _WORTH * length:
        state = _renew(state)
    count = state.recycled
    space = RecycledSpace(
        state.directions[:count].copy(), state.basis[:count].copy(), state.shadows[:count].copy()
    )
    return space, state


def sparse_rows(matrix) -> Apply:
    """Images of many rows in one sparse product, for `begin(..., op_rows=...)`."""

    def images(rows: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((matrix @ np.ascontiguousarray(rows.T)).T)

    return images


def sparse_into(matrix) -> Callable[[np.ndarray, np.ndarray], object]:
    """Products of a CSR matrix written to a given vector, for `advance(..., op_into=...)`."""
    from .kernels import csr_matvec

    data, indices, indptr = matrix.data, matrix.indices, matrix.indptr

    def product(vector: np.ndarray, out: np.ndarray) -> None:
        csr_matvec(data, indices, indptr, vector, out)

    return product
