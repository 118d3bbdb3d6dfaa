"""Blocks whose graphs are forests, on which systems are solved by passing messages."""

from typing import Any

import numpy as np

from resolvent._core.checks import count


def by_color(matrix: Any, order: Any) -> Any:
    """Labels of nodes so that neighbours differ: each block's matrix is diagonal."""
    from resolvent.composite.blocks import kernels_forests as kernels

    labels = np.empty(order.size, np.int64)
    kernels.coloring(matrix.indices, matrix.indptr, order, labels)
    return labels


def by_forest(matrix: Any, order: Any) -> Any:
    """Labels of nodes so that no label's graph has a cycle."""
    from resolvent.composite.blocks import kernels_forests as kernels

    labels = np.empty(order.size, np.int64)
    kernels.tree_partition(matrix.indices, matrix.indptr, order, labels)
    return labels


def forest(matrix: Any, order: Any) -> Any:
    """The nodes that close no cycle with those before them in an order."""
    from resolvent.composite.blocks import kernels_forests as kernels

    labels = np.empty(order.size, np.int64)
    kernels.greedy_forest(matrix.indices, matrix.indptr, order, labels)
    return np.flatnonzero(labels == 0)


def solved(matrix: Any, ridge: Any, block: Any, right: Any, place: Any) -> tuple[Any, str]:
    """The solution of a block's system, and "", "cycle" or "indefinite"."""
    from resolvent.composite.blocks import kernels_forests as kernels

    out = np.empty(block.size, right.dtype)
    ridge = float(ridge[block[0]]) if block.size else 0.0
    code = kernels.forest_solve(
        matrix.data, matrix.indices, matrix.indptr, ridge, block, right, place, out
    )
    return out, ("", "cycle", "indefinite")[code]


def lattice_combs(rows: int, columns: int) -> tuple[Any, Any]:
    """Two combs whose teeth interlock and that cover a lattice: each is a tree.

    Node (r, c) has the number r + c rows. The first comb is row 0 and all even columns above the
    last row, the second one the rest.

    Args:
        rows: of the lattice, two at least.
        columns: of the lattice.

    Returns:
        The numbers of the nodes of the first comb, and of the second.

    Raises:
        ValueError: for less than two rows, or no column.

    Example:
        ```python
        import resolvent as rs
        first, second = rs.composite.lattice_combs(3, 3)
        assert len(first) + len(second) == 9
        ```
    """
    count("rows", rows, least=2)
    count("columns", columns, least=1)
    r, c = np.indices((rows, columns))
    white = (r == 0) | ((c % 2 == 0) & (r < rows - 1))
    numbers = r + c * rows
    return np.sort(numbers[white]), np.sort(numbers[~white])
