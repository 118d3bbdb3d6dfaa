"""Which entries of a Jacobian can differ from zero, and how few products tell them all."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Int

from resolvent._core.checks import is_traced, refuse
from resolvent._core.value import Value, static
from resolvent.constrained.sparse_rows import SparseRows


class Pattern(Value):
    """The places of a Jacobian's entries, and the colours of its columns or rows.

    Columns of one colour share no row, so that one product with their sum shows all their entries;
    or rows of one colour share no column, and products are with the transpose: whichever takes
    fewer colours.

    Args:
        columns: the columns of the entries of each row, n where a row has fewer.
        places: where in `columns`, counted through, each column occurs; m k for none.
        colours: of columns, [n], or of rows, [m].
        count: how many colours there are.
        forward: whether columns are coloured.
    """

    columns: Int[Any, "m k"]
    places: Int[Any, "n l"]
    colours: Int[Any, " c"]
    count: int = static()
    forward: bool = static()

    def jacobian(self, function: Any, v: Any) -> tuple[Any, SparseRows]:
        """A function's values and its Jacobian, by as many products as there are colours."""
        colours = jnp.asarray(self.colours)
        seeds = (colours == jnp.arange(self.count)[:, None]).astype(v.dtype)
        m, n = self.columns.shape[0], v.size
        used = self.columns < n
        columns = jnp.where(used, self.columns, 0)
        if self.forward:
            values, push = jax.linearize(function, v)
            found = jax.vmap(push)(seeds)
            entries = found[colours[columns], jnp.arange(m)[:, None]]
        else:
            values, pull = jax.vjp(function, v)
            found = jax.vmap(lambda row: pull(row)[0])(seeds)
            entries = found[colours[:, None], columns]
        return values, SparseRows(jnp.where(used, entries, 0), columns, self.places)


def admitted_pattern(given: Any, count: int, unknowns: int) -> Pattern | None:
    """The pattern of a matrix, dense or sparse, whose entries are not zero where a Jacobian's
    can be so."""
    if given is None:
        return None
    if not sp.issparse(given) and np.ndim(given) != 2:
        refuse(
            TypeError, "pattern", given=f"a {type(given).__name__}",
            needed="a matrix, dense or of scipy.sparse", advice="Mark entries by 1.",
        )  # fmt: skip
    matrix = sp.csr_array(given)
    if matrix.shape != (count, unknowns):
        refuse(
            ValueError, "pattern", given=f"shape {matrix.shape}",
            needed=f"shape {(count, unknowns)}",
            advice="It has a row for each constraint and a column for each unknown.",
        )  # fmt: skip
    matrix = sp.csr_array(matrix != 0)
    matrix.sort_indices()
    across = sp.csr_array(matrix.T)
    across.sort_indices()
    by_columns, by_rows = coloured(matrix), coloured(across)
    forward = by_columns.max(initial=-1) <= by_rows.max(initial=-1)
    colours = by_columns if forward else by_rows
    columns = _padded(matrix.indices, matrix.indptr, unknowns)
    # Numbers of the entries, row by row, put in order of the columns.
    rows = np.repeat(np.arange(count), np.diff(matrix.indptr))
    slots = np.arange(matrix.nnz) - matrix.indptr[rows] + rows * columns.shape[1]
    order = np.argsort(matrix.indices, kind="stable")
    places = _padded(slots[order], across.indptr, count * columns.shape[1])
    return Pattern(columns, places, colours, int(colours.max(initial=-1)) + 1, bool(forward))


def _padded(entries: np.ndarray, starts: np.ndarray, filling: int) -> np.ndarray:
    """Rows of unequal lengths as one array, filled up."""
    lengths = np.diff(starts)
    table = np.full((lengths.size, max(1, int(lengths.max(initial=0)))), filling, np.int32)
    table[np.arange(table.shape[1]) < lengths[:, None]] = entries
    return table


def coloured(matrix: Any) -> np.ndarray:
    """Colours of a sparse matrix' columns so that no row has one twice.

    Greedy, the columns that meet most others first; never more than one colour beyond the largest
    number of columns that one of them meets (Curtis, Powell, Reid, 1974).
    """
    meets = sp.csr_array(matrix.T.astype(np.int32) @ matrix.astype(np.int32))
    starts, others = meets.indptr, meets.indices
    colours = np.full(matrix.shape[1], -1, np.int32)
    for j in np.argsort(-np.diff(starts), kind="stable"):
        taken = colours[others[starts[j] : starts[j + 1]]]
        free = np.ones(taken.size + 1, bool)
        free[taken[(taken >= 0) & (taken < free.size)]] = False
        colours[j] = free.argmax()
    return colours


def check_patterns(problem: Any) -> None:
    """Refuse patterns without entries that the Jacobians have at the first guess or beside it."""
    v = problem.vector(problem.first)
    rng = np.random.default_rng(0)
    near = v + 1e-2 * (1 + jnp.abs(v)) * rng.standard_normal(v.size).astype(v.dtype)
    functions = problem.equalities_at, problem.inequalities_at
    for function, pattern in zip(functions, problem.patterns, strict=True):
        if pattern is None:
            continue
        for place in (v, near):
            # In the direction of the pattern: a function may have no other.
            values, rows = pattern.jacobian(function, place)
            if pattern.forward:
                d = jnp.asarray(rng.standard_normal(v.size), v.dtype)
                known, size = rows @ d, abs(rows) @ jnp.abs(d)
                whole = jax.jvp(function, (place,), (d,))[1]
            else:
                d = jnp.asarray(rng.standard_normal(values.size), v.dtype)
                known, size = d @ rows, jnp.abs(d) @ abs(rows)
                whole = jax.vjp(function, place)[1](d)[0]
            room = 1e3 * jnp.finfo(v.dtype).eps * size
            bad = (jnp.abs(known - whole) > room).any()  # not where the function is not finite
            if not is_traced(bad) and bad:
                refuse(
                    ValueError, "pattern", given="one without entries that the Jacobian has",
                    needed="a mark wherever a derivative may differ from 0",
                    advice="Mark more: entries that are 0 do no harm.",
                )  # fmt: skip
