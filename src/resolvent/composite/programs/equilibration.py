"""Scalings of a quadratic program's rows and columns after which all are about as long."""

from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse

from resolvent.composite.design import SparseDesign
from resolvent.composite.programs import quadratic_conditions as conditions


class Scaled(NamedTuple):
    """The program of x / columns: cost D P D, cost D q, E A D, with E `rows`, D `columns`."""

    P: Any
    q: Any
    A: Any
    columns: Any
    rows: Any
    cost: Any


def is_sparse(problem: Any) -> bool:
    """Whether sparse matrices are kept as such: on the host."""
    stored = isinstance(problem.P, SparseDesign) or isinstance(problem.A, SparseDesign)
    return stored and isinstance(problem.q, np.ndarray)


def rescaled(problem: Any, scaled: Scaled) -> Scaled:
    """The matrices that belong to scalings which are known."""
    sparse = is_sparse(problem)
    P = _times(_matrix(problem.P, sparse), scaled.columns, scaled.columns) * scaled.cost
    A = None
    if problem.A is not None:
        A = _times(_matrix(problem.A, sparse), scaled.rows, scaled.columns)
    return scaled._replace(P=P, A=A)


def equilibrated(problem: Any, rounds: int) -> Scaled:
    """Ruiz's scaling of [[P, A'], [A, 0]] in the maximum norm, then one of the cost."""
    sparse = is_sparse(problem)
    xp = conditions.namespace(problem.q)
    P = _matrix(problem.P, sparse)
    A = None if problem.A is None else _matrix(problem.A, sparse)
    columns, rows = xp.ones_like(problem.q), xp.ones_like(problem.l)
    scales = columns, rows
    sizes = abs(P), None if A is None else abs(A)
    if isinstance(P, jax.Array):
        columns, rows = jax.lax.fori_loop(0, rounds, lambda _, s: _round(*sizes, *s), scales)
    else:
        for _ in range(rounds):
            scales = _round(*sizes, *scales)
        columns, rows = scales
    mean = _peaks(_times(sizes[0], columns, columns), 0).mean()
    size = conditions.largest(columns * problem.q)
    cost = xp.where(mean > 0, mean, xp.where(size > 0, size, 1.0))
    cost = 1.0 / cost
    return rescaled(problem, Scaled(None, cost * columns * problem.q, None, columns, rows, cost))


def _matrix(design: Any, sparse: bool) -> Any:
    return conditions.as_scipy(design) if sparse else conditions.dense(design)


def _peaks(sizes: Any, axis: int) -> Any:
    found = sizes.max(axis=axis)
    return found.toarray().ravel() if scipy.sparse.issparse(found) else found


def _times(matrix: Any, rows: Any, columns: Any) -> Any:
    if scipy.sparse.issparse(matrix):
        return scipy.sparse.diags(rows) @ matrix @ scipy.sparse.diags(columns)
    return rows[:, None] * matrix * columns[None, :]


def _round(P: Any, A: Any, columns: Any, rows: Any) -> tuple[Any, Any]:
    xp = conditions.namespace(columns)
    wide = _peaks(_times(P, columns, columns), 0)
    if A is not None:
        scaled = _times(A, rows, columns)
        wide, high = xp.maximum(wide, _peaks(scaled, 0)), _peaks(scaled, 1)
        rows = rows / xp.sqrt(xp.where(high > 0, high, 1.0))
    return columns / xp.sqrt(xp.where(wide > 0, wide, 1.0)), rows
