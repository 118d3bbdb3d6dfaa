"""Linear systems from files: Matrix Market, SciPy sparse and NumPy dense.

Matrix Market text is parsed here and not by `scipy.io.mmread`: that reader takes `5x` for 5, and a
byte of value zero in a number ends the process.
"""

import gzip
import os
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sparse

from resolvent._core.checks import refuse
from resolvent.linear.operators import as_operator
from resolvent.linear.problem import LinearSystem

SUFFIXES = (".mtx", ".mtx.gz", ".npz", ".npy")

# What NumPy, SciPy, zipfile and gzip raise on files that are not what their name says.
_UNREADABLE = (
    ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError,
    AttributeError, NotImplementedError, RuntimeError, SyntaxError, zlib.error,
    zipfile.BadZipFile, gzip.BadGzipFile, tokenize.TokenError,
)  # fmt: skip


def read_system(
    matrix: str | os.PathLike[str], rhs: str | os.PathLike[str] | None = None
) -> LinearSystem:
    """The system A x = b of two files.

    Args:
        matrix: file of A, n x n: `.mtx`, `.mtx.gz`, `.npz` (SciPy sparse) or `.npy` (dense).
        rhs: file of b, shape (n,) or (n, k), of the same kinds; without it, b = A 1.

    Returns:
        The linear system.

    Raises:
        ValueError: for a file that is missing, damaged or of another kind, and for data that
            `LinearSystem` refuses.
        TypeError: for complex and object data.

    Example:
        ```python
        import tempfile, numpy as np, resolvent as rs
        from resolvent.linear.files import read_system
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, np.diag([1.0, 2.0]))
            file.flush()
            assert rs.solve(read_system(file.name)).converged
        ```
    """
    A = read_array(matrix)
    if A.ndim != 2:
        _bad(matrix, f"an array of shape {A.shape}", "a square matrix")
    # A is judged first and by itself, so that its faults are not laid at a derived b.
    try:
        operator = as_operator(A, np.ones(max(1, A.shape[0])), None)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{matrix}: {error}") from error
    if rhs is None:
        return LinearSystem(A, operator.mv(np.ones(operator.n, operator.dtype)))
    b = read_array(rhs)
    b = b.toarray() if sparse.issparse(b) else b
    if b.ndim == 2 and b.shape[1] == 1:
        b = b[:, 0]
    try:
        return LinearSystem(A, b)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{rhs}: {error}") from error


def read_array(path: str | os.PathLike[str]) -> Any:
    """A matrix or an array from a file: SciPy sparse or NumPy, after the file's kind.

    Args:
        path: a file that ends in `.mtx`, `.mtx.gz`, `.npz` or `.npy`.

    Returns:
        A SciPy sparse array or a NumPy array.

    Raises:
        ValueError: for a file that is missing, damaged or of another kind.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        _bad(path, "a name that ends in none of these", " or ".join(SUFFIXES))
    if not path.is_file():
        _bad(path, "no such file" if not path.exists() else "no file", "a file that exists")
    try:
        # Opened here, because the loaders leave a file open that they cannot read.
        with path.open("rb") as file:
            if name.endswith(".npz"):
                return _checked_sparse(sparse.load_npz(file))
            if name.endswith(".npy"):
                return np.load(file, allow_pickle=False)
            raw = file.read()
        return parse_matrix_market(gzip.decompress(raw) if name.endswith(".gz") else raw)
    except _UNREADABLE as error:
        what = str(error) or type(error).__name__
        _bad(path, f"a file that cannot be read ({what})", _KINDS[name[-3:]])
    except OSError as error:
        _bad(path, f"a file that cannot be read ({error.strerror or error})", "a readable file")


_KINDS = {
    "mtx": "a whole Matrix Market file",
    ".gz": "a whole, compressed Matrix Market file",
    "npz": "a sparse matrix written by scipy.sparse.save_npz",
    "npy": "an array written by numpy.save",
}


def _checked_sparse(matrix: Any) -> Any:
    # Indices out of range would be followed by compiled loops.
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    return matrix


def parse_matrix_market(raw: bytes) -> Any:
    """The matrix of a Matrix Market text: a COO array, or a dense array for the `array` format.

    Args:
        raw: the file's bytes.

    Returns:
        A SciPy COO array of float64, shape (m, n), or a NumPy array of that shape.

    Raises:
        ValueError: for anything that the format does not allow, truncation included.
        TypeError: for complex entries.
    """
    first, _, rest = raw.partition(b"\n")
    banner = first.decode("ascii", "replace").lower().split()
    if len(banner) != 5 or banner[:2] != ["%%matrixmarket", "matrix"]:
        raise ValueError("its first line is not '%%MatrixMarket matrix FORMAT FIELD SYMMETRY'")
    layout, field, symmetry = banner[2:]
    if layout not in ("coordinate", "array"):
        raise ValueError(f"unknown format '{layout}'")
    if field == "complex":
        raise TypeError("its entries are complex; split the system into real and imaginary parts")
    if field not in ("real", "double", "integer", "pattern") or (
        field == "pattern" and layout == "array"
    ):
        raise ValueError(f"unknown field '{field}'")
    if symmetry not in ("general", "symmetric", "skew-symmetric", "hermitian"):
        raise ValueError(f"unknown symmetry '{symmetry}'")
    sizes, body = _size_line(rest)
    sparse_layout = layout == "coordinate"
    if len(sizes) != (3 if sparse_layout else 2):
        raise ValueError(f"its size line has {len(sizes)} numbers")
    rows, columns = sizes[:2]
    if symmetry != "general" and rows != columns:
        raise ValueError(f"it is {symmetry} but has shape {rows} x {columns}")
    numbers = _numbers(body)
    if sparse_layout:
        return _coordinates(numbers, rows, columns, sizes[2], field == "pattern", symmetry)
    return _dense(numbers, rows, columns, symmetry)


def _size_line(text: bytes) -> tuple[list[int], bytes]:
    """The first line that is no comment, and what follows it."""
    while text:
        line, _, text = text.partition(b"\n")
        line = line.strip()
        if line and not line.startswith(b"%"):
            words = line.split()
            if not all(word.isdigit() for word in words):
                raise ValueError("its size line is not made of integers")
            return [int(word) for word in words], text
    raise ValueError("it has no size line")


def _numbers(body: bytes) -> Any:
    if b"%" in body:
        lines = body.split(b"\n")
        body = b"\n".join(line for line in lines if not line.lstrip().startswith(b"%"))
    if not body.strip():
        return np.empty(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(body.decode("ascii"), sep=" ")
        except (DeprecationWarning, ValueError):  # which of them depends on NumPy's version
            raise ValueError("it contains something that is not a number") from None


def _coordinates(
    numbers: Any, rows: int, columns: int, count: int, pattern: bool, symmetry: str
) -> Any:
    width = 2 if pattern else 3
    if len(numbers) != width * count:
        raise ValueError(
            f"it announces {count} entries and holds {len(numbers) / width:.6g}: "
            "truncated or altered"
        )
    table = numbers.reshape(count, width)
    places = table[:, :2]
    inside = (places >= 1) & (places <= (rows, columns)) & (places == np.floor(places))
    if not inside.all():
        where = int(np.flatnonzero(~inside.all(axis=1))[0])
        raise ValueError(
            f"entry {where + 1} lies at ({places[where, 0]:g}, {places[where, 1]:g}), "
            f"outside a {rows} x {columns} matrix"
        )
    i, j = (places - 1).astype(np.int64).T
    values = np.ones(count) if pattern else np.ascontiguousarray(table[:, 2])
    if symmetry != "general":
        mirrored = i != j
        sign = -1.0 if symmetry == "skew-symmetric" else 1.0
        i, j, values = (
            np.concatenate([i, j[mirrored]]), np.concatenate([j, i[mirrored]]),
            np.concatenate([values, sign * values[mirrored]]),
        )  # fmt: skip
    return sparse.coo_array((values, (i, j)), shape=(rows, columns))


def _dense(numbers: Any, rows: int, columns: int, symmetry: str) -> Any:
    skew = symmetry == "skew-symmetric"
    count = rows * columns
    if symmetry != "general":
        count = rows * (rows - 1) // 2 if skew else rows * (rows + 1) // 2
    if len(numbers) != count:
        raise ValueError(
            f"it announces {count} entries and holds {len(numbers)}: truncated or altered"
        )
    if symmetry == "general":
        return numbers.reshape(columns, rows).T
    full = np.zeros((rows, columns))
    j, i = np.triu_indices(rows, 1 if skew else 0)
    full[j, i] = -numbers if skew else numbers
    full[i, j] = numbers
    return full


def _bad(path: Any, given: str, needed: str) -> NoReturn:
    refuse(ValueError, str(path), given=given, needed=needed, advice="Check the file.")
