"""Matrices that must be symmetric and definite: refused in words where they are not."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import refuse


def check_definite(name: str, given: Any, n: int, *, singular: bool, advice: str) -> None:
    """Refuse what is no symmetric positive definite matrix of n rows.

    Args:
        name: of the argument.
        given: the matrix, of real numbers of any kind.
        n: how many rows it should have.
        singular: whether semidefinite ones are admitted, all but zero.
        advice: what to do.
    """
    matrix = np.asarray(given)
    if matrix.shape != (n, n):
        refuse(
            ValueError, name, given=f"shape {matrix.shape}", needed=f"shape {(n, n)}",
            advice="It has a row and a column for each unknown.",
        )  # fmt: skip
    exact = np.issubdtype(matrix.dtype, np.integer) or matrix.dtype == bool
    if not (exact or jnp.issubdtype(matrix.dtype, jnp.floating)):
        refuse(
            TypeError, name, given=f"numbers of the kind {matrix.dtype}", needed="real ones",
            advice=advice,
        )  # fmt: skip
    eps = float(jnp.finfo(float if exact else matrix.dtype).eps)
    matrix = matrix.astype(np.float64)
    size, away, least, sound = np.abs(matrix).max(), np.nan, np.nan, False
    low = -100 * n * eps * size if singular else n * eps * size
    if np.isfinite(size):
        away = np.abs(matrix - matrix.T).max()
        alike = size > 0 and away <= 100 * eps * size
        symmetric = 0.5 * (matrix + matrix.T)
        if alike and _has_factors(symmetric, low):
            return
        least = np.linalg.eigvalsh(symmetric)[0]
        sound = alike and (least >= low if singular else least > low)
    if not sound:
        refuse(
            ValueError, name,
            given=f"a matrix with the least eigenvalue {least:.1e}, {away:.1e} from its transpose",
            needed="a symmetric one without negative eigenvalues that is not zero" if singular
            else "a symmetric positive definite one",
            advice=advice,
        )  # fmt: skip


def _has_factors(matrix: np.ndarray, low: float) -> bool:
    """Whether all eigenvalues are above a number, as Cholesky's factors tell: much sooner than the
    eigenvalues themselves."""
    shifted = matrix.copy()
    shifted.flat[:: len(matrix) + 1] -= low
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True
