"""Small dense algebra of deflated restarting: harmonic Ritz vectors and orthonormal images.

Everything here is of the order of the cycle, not of the system, except `orthonormalize`; the
small matrices are float64 whatever the precision of the vectors.
"""

import numpy as np
import scipy.linalg

# The eigenvectors choose a space and nothing else: asymmetry of this size cannot matter to them.
_SYMMETRIC = 1e-6


def orthonormalize(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal rows T @ rows, and T; dependent rows are dropped.

    Cholesky QR, because the images of a recycled space are nearly orthonormal already: one pass
    where it loses few digits, else two; pivoted QR where they are far from it.
    """
    from .kernels_arnoldi import combine, inner_products, solve_lower

    transform = np.eye(len(rows))
    current = np.array(rows)
    for _ in range(2):
        gram = inner_products(current, current).astype(np.float64)
        try:
            factor = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:
            return _orthonormalize_pivoted(rows)
        diagonal = np.diag(factor)
        # Below this the first pass has lost too many digits for the second to repair.
        if not diagonal.min() > 100.0 * np.finfo(rows.dtype).eps ** 0.5 * diagonal.max():
            return _orthonormalize_pivoted(rows)
        inverse = np.eye(len(rows))
        solve_lower(factor, inverse)
        transform = inverse @ transform
        combine(inverse.astype(rows.dtype), current, current)
        # The pass left a defect of about eps cond^2.
        if not np.linalg.cond(factor) > 30.0:
            break
    return current, transform.astype(rows.dtype)


def _orthonormalize_pivoted(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nothing = rows[:0], np.zeros((0, len(rows)), rows.dtype)
    if not np.all(np.isfinite(rows)):
        return nothing
    columns, triangle, order = scipy.linalg.qr(rows.T, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    if not diagonal[0] > 0.0:
        return nothing
    count = int(np.sum(diagonal > _drop(rows.dtype) * diagonal[0]))
    inverse = scipy.linalg.solve_triangular(triangle[:count, :count], np.eye(count))
    transform = np.zeros((count, len(rows)), rows.dtype)
    transform[:, order[:count]] = inverse.T
    return np.ascontiguousarray(columns[:, :count].T), transform


def _drop(dtype) -> float:
    return max(1e-10, 10.0 * float(np.finfo(dtype).eps))


def smallest(
    projected: np.ndarray, overlap: np.ndarray, count: int, most: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Combinations of [U Z] and of [C V] that give the next U and C.

    Solves G^T G z = theta G^T S z for the `count` smallest |theta|, with G = `projected` and
    S = `overlap`: with G = Q R and y = R z it is the standard problem (Q^T S R^-1) y = y / theta,
    of which the largest eigenvalues are wanted. Without a preconditioner its matrix is symmetric
    where A is, and no eigenvalue is complex. Else a conjugate pair is kept as its real and
    imaginary part; where the last place splits a pair, `count + 1` vectors are kept if `most`
    allows, else `count - 1`.

    Returns:
        (R^-1 Y)^T and (Q Y)^T with orthonormal columns Y that span the chosen y, or None where G
        is singular to working precision or an eigenproblem failed.
    """
    from .kernels_arnoldi import solve_lower, solve_upper

    columns = projected.shape[1]
    orthogonal, triangle = np.linalg.qr(projected)
    diagonal = np.abs(np.diag(triangle))
    if not diagonal.min() > 1e-14 * diagonal.max():
        return None
    transposed = np.ascontiguousarray((orthogonal.T @ overlap).T)
    solve_lower(np.ascontiguousarray(triangle.T), transposed)
    try:
        selected = _dominant(transposed.T, min(count, columns), min(most, columns))
    except (np.linalg.LinAlgError, ValueError):
        return None
    if selected is None:
        return None
    outer = np.ascontiguousarray((orthogonal @ selected).T)
    solve_upper(triangle, selected)
    return np.ascontiguousarray(selected.T), outer


def _dominant(reduced: np.ndarray, count: int, most: int) -> np.ndarray | None:
    """Orthonormal columns that span the eigenvectors of the largest |eigenvalues|."""
    if np.abs(reduced - reduced.T).max() <= _SYMMETRIC * np.abs(reduced).max():
        # The default driver hands even this size to the threads of BLAS.
        values, vectors = scipy.linalg.eigh(reduced, driver="ev")
        order = np.argsort(-np.abs(values), kind="stable")
        return np.ascontiguousarray(vectors[:, order[:count]])
    pairs = np.linalg.eig(reduced)
    values, vectors = np.asarray(pairs[0], complex), np.asarray(pairs[1], complex)
    chosen = _choose(values, count, most)
    if not chosen:
        return None
    parts: list[np.ndarray] = []
    for index in chosen:
        parts.append(np.real(vectors[:, index]))
        if np.imag(values[index]) > 0.0:
            parts.append(np.imag(vectors[:, index]))
    selected, spread, _ = scipy.linalg.qr(np.stack(parts, 1), mode="economic", pivoting=True)
    spread = np.abs(np.diag(spread))
    return np.ascontiguousarray(selected[:, spread > 1e-10 * spread[0]])


def _choose(values: np.ndarray, count: int, most: int) -> list[int]:
    """Indices, one for a conjugate pair, of the largest |values| that fill the places."""
    chosen: list[int] = []
    filled = 0
    for index in np.argsort(-np.abs(values), kind="stable"):
        if filled >= count:
            break
        if np.imag(values[index]) < 0.0:
            continue
        width = 2 if np.imag(values[index]) > 0.0 else 1
        if filled + width > most:
            break
        chosen.append(int(index))
        filled += width
    return chosen
