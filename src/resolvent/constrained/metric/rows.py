"""Lists of rows <a, x> <= b with their multipliers."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse


class RowMultipliers(NamedTuple):
    """Multipliers of a polyhedron's rows, those of all others being 0.

    Attributes:
        written: [m], of the rows of A, then of the bounds of x that are finite, lower ones first.
        starts: [rows + 1], where a row that an oracle has given begins in `columns`.
        columns: its unknowns.
        coefficients: its entries a.
        bounds: [rows], its b.
        values: [rows], at least 0.
    """

    written: Any
    starts: Any
    columns: Any
    coefficients: Any
    bounds: Any
    values: Any


class RowList(NamedTuple):
    """Rows with multipliers, and numbers by which rows are known.

    Written rows are known by their places from 1 on, others by numbers above 2^63.
    """

    starts: Any
    columns: Any
    coefficients: Any
    bounds: Any
    z: Any
    keys: Any
    always: Any
    """Rows that are never forgotten."""

    def joined(self, other: "RowList") -> "RowList":
        """The rows of both."""
        if not other.z.size:
            return self
        rest = [np.concatenate(two) for two in zip(self[1:], other[1:], strict=True)]
        return RowList(np.concatenate([self.starts[:-1], self.starts[-1] + other.starts]), *rest)

    def copied(self) -> "RowList":
        """The same in arrays of its own."""
        return RowList(*(part.copy() for part in self))

    def matrix(self, n: int) -> Any:
        """All rows as a sparse matrix."""
        return scipy.sparse.csr_array(
            (self.coefficients, self.columns, self.starts), shape=(self.z.size, n)
        )

    def where(self, chosen: Any) -> "RowList":
        """Some of the rows."""
        if chosen.all():
            return self
        lengths = np.diff(self.starts)
        entries = np.repeat(chosen, lengths)
        starts = np.concatenate([[0], np.cumsum(lengths[chosen])])
        return RowList(
            starts, self.columns[entries], self.coefficients[entries], self.bounds[chosen],
            self.z[chosen], self.keys[chosen], self.always[chosen],
        )  # fmt: skip


_ORACLE = np.uint64(1) << np.uint64(63)


def rows_of(A: Any, b: Any, keys: Any, *, always: bool = False) -> RowList:
    """Rows of a sparse matrix with multipliers 0."""
    A = scipy.sparse.csr_array(A)
    m = A.shape[0]
    return RowList(
        A.indptr.astype(np.int64), A.indices.astype(np.int32), A.data.astype(np.float64),
        np.asarray(b, np.float64), np.zeros(m), keys.astype(np.uint64), np.full(m, always),
    )  # fmt: skip


def foreign_keys(A: Any, b: Any) -> Any:
    """Numbers for rows from outside, the same for the same row."""
    keys = np.empty(A.shape[0], np.uint64)
    for i in range(A.shape[0]):
        part = slice(A.indptr[i], A.indptr[i + 1])
        text = A.indices[part].astype(np.int64).tobytes() + A.data[part].tobytes()
        digest = hashlib.blake2b(text + b[i].tobytes(), digest_size=8).digest()
        keys[i] = np.frombuffer(digest, np.uint64)[0] | _ORACLE
    return keys


def witness_of(rows: RowList, written: int) -> RowMultipliers:
    """Multipliers as a solution tells them."""
    listed = rows.keys < _ORACLE
    multipliers = np.zeros(written)
    multipliers[rows.keys[listed].astype(np.int64) - 1] = rows.z[listed]
    other = rows.where(~listed & (rows.z > 0))
    return RowMultipliers(
        multipliers, other.starts, other.columns, other.coefficients, other.bounds, other.z
    )


def admitted(witness: Any, A: Any, b: Any, always: bool) -> RowList | None:
    """Multipliers from elsewhere as a list; None unless their shapes fit these written rows."""
    if not isinstance(witness, tuple) or len(witness) != 6:
        return None
    try:
        written, starts, columns, coefficients, bounds, z = (np.asarray(part) for part in witness)
    except ValueError:
        return None
    m, n = A.shape
    parts = (written, starts, columns, coefficients, bounds, z)
    if any(part.ndim != 1 for part in parts) or written.shape != (m,) or bounds.size != z.size:
        return None
    if starts.dtype.kind not in "iu" or columns.dtype.kind not in "iu":
        return None
    if any(part.dtype.kind != "f" for part in (written, coefficients, bounds, z)):
        return None
    if not all(np.isfinite(part).all() for part in (written, coefficients, bounds, z)):
        return None
    fits = starts.size == z.size + 1 and starts[0] == 0 and starts[-1] == columns.size
    if not fits or coefficients.size != columns.size or (np.diff(starts) < 1).any():
        return None
    if columns.size and not 0 <= columns.min() <= columns.max() < n:
        return None
    if (written < 0).any() or (z < 0).any():
        return None
    chosen = np.arange(m) if always else np.flatnonzero(written > 0)
    rows = rows_of(A[chosen], b[chosen], chosen + 1, always=always)
    rows.z[:] = written[chosen]
    if not z.size:
        return rows
    other = scipy.sparse.csr_array((coefficients, columns, starts), shape=(z.size, n))
    found = rows_of(other, bounds, foreign_keys(other, np.asarray(bounds, np.float64)))
    found.z[:] = z
    return rows.joined(found)
