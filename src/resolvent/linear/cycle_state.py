"""The state of a solve in cycles, and what it hands to the next system."""

from typing import NamedTuple

import numpy as np

RUNNING, BREAKDOWN, STALLED, NONFINITE = 0, 1, 2, 3


class RecycledSpace(NamedTuple):
    """What one system hands to the next: U, its images C = A U, and M U (rows; k x n).

    `shadows` has no rows where no preconditioner was used (then M U is U).
    """

    directions: np.ndarray
    images: np.ndarray
    shadows: np.ndarray


class CycleState(NamedTuple):
    """The resumable state of a solve; see the module's text for the meaning of the rows."""

    x: np.ndarray
    residual: np.ndarray
    basis: np.ndarray  # C, then V: (cycle + 1, n)
    directions: np.ndarray  # U, then Z where there is a preconditioner: (cycle or k + 1, n)
    shadows: np.ndarray  # M U: (k + 1, n), or (0, n) without a preconditioner
    overlap: np.ndarray  # C (M U)^T: (k + 1, k + 1)
    projections: np.ndarray  # row j: coefficients of A z_j on C, V and v_{j+1}
    triangle: np.ndarray  # row j: column j of the rotated Hessenberg matrix
    rotations: np.ndarray
    reduced: np.ndarray  # the rotated right-hand side of the least-squares problem
    limit: int  # k
    recycled: int  # columns of U and C in use
    renewals: int  # how often U and C were replaced in this solve
    skipped: int  # full cycles since then whose Ritz vectors were not taken
    position: int  # Arnoldi steps done in the cycle
    is_open: bool  # x and residual do not contain the cycle's steps yet
    is_aligned: bool  # C^T residual = 0 holds
    is_broken: bool  # the last step found an invariant subspace
    norm: float  # running residual norm
    cycle_norm: float  # residual norm at the start of the cycle
    slow_norm: float  # what full cycles must lower to count as progress
    slow_cycles: int  # full cycles since then
    steps: int
    products: int
    preconditions: int
    code: int


def allocate(
    x: np.ndarray, residual: np.ndarray, cycle: int, recycle: int, preconditioned: bool
) -> CycleState:
    """Allocate the buffers of one solve from a start and its residual.

    Args:
        x: start, shape (n,); copied.
        residual: b - A x, shape (n,), float32 or float64; copied.
        cycle: m, products in a cycle plus recycled vectors; cut to n.
        recycle: k, vectors kept over a restart; 0 gives GMRES(m).
        preconditioned: whether `advance` will be given a preconditioner.

    Returns:
        A state before its first cycle, with no products counted.

    Raises:
        ValueError: if the sizes do not satisfy 0 <= recycle < cycle.
    """
    if not 0 <= recycle < cycle:
        raise ValueError(f"recycle must be in 0..cycle - 1, not {recycle} with cycle {cycle}.")
    size, dtype = residual.shape[0], residual.dtype
    cycle = min(cycle, size)
    recycle = min(recycle, max(cycle - 2, 0))
    kept = recycle + 1 if recycle else 0
    norm = norm_of(residual)
    return CycleState(
        x=np.array(x, dtype=dtype),
        residual=np.array(residual),
        basis=np.zeros((cycle + 1, size), dtype),
        directions=np.zeros((cycle if preconditioned else kept, size), dtype),
        shadows=np.zeros((kept if preconditioned else 0, size), dtype),
        overlap=np.zeros((kept, kept)),
        projections=np.zeros((cycle, cycle + 1), dtype),
        triangle=np.zeros((cycle, cycle + 1), dtype),
        rotations=np.zeros((cycle, 2), dtype),
        reduced=np.zeros(cycle + 1, dtype),
        limit=recycle,
        recycled=0,
        renewals=0,
        skipped=0,
        position=0,
        is_open=False,
        is_aligned=True,
        is_broken=False,
        norm=norm,
        cycle_norm=norm,
        slow_norm=norm,
        slow_cycles=0,
        steps=0,
        products=0,
        preconditions=0,
        code=RUNNING if np.isfinite(norm) else NONFINITE,
    )


def norm_of(vector: np.ndarray) -> float:
    """Euclidean norm, without the threads that BLAS would start for a long vector."""
    from .kernels_arnoldi import long_norm

    return float(long_norm(np.ascontiguousarray(vector)))
