"""Orders of a sequence of systems in which neighbours are alike, from their parameters.

A recycled space serves the next system the better the closer the two operators are. All systems
are known in advance, so the order is free; the distance of the parameters (coefficient field,
boundary values, wave number) stands for the distance of the operators.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from resolvent._core.checks import count, finite, real_array, refuse


def sort_greedy(
    parameters: ArrayLike, offsets: ArrayLike | None = None, start: int = 0
) -> np.ndarray:
    """Nearest-neighbour chain: from each system go to the closest one not visited yet.

    Minimizes, step by step and not globally, the path length sum ||P_i - P_next||_F plus
    |offset_i - offset_next|.

    Args:
        parameters: one array a system, all of one shape, stacked: (N, ...). Any units: use
            logarithms where the contrast is large.
        offsets: optional scalar a system, such as the wave number, shape (N,).
        start: index of the first system.

    Returns:
        A permutation of 0..N-1, shape (N,); ties go to the lower index.

    Raises:
        ValueError: no systems, `start` out of range, shapes that differ, non-finite values.
        TypeError: for complex numbers, objects, or a `start` that is no integer.

    Cost:
        N^2 / 2 distances of the parameter size; memory N. The chain is at most O(log N) times the
        shortest path.

    Example:
        ```python
        import numpy as np, resolvent as rs
        assert list(rs.linear.sort_greedy(np.array([[0.0], [5.0], [1.0]]))) == [0, 2, 1]
        ```

    Reference:
        H. Wang, Z. Hao, J. Wang, Z. Geng, Z. Wang, B. Li, F. Wu (2024), Accelerating Data
        Generation for Neural Operators via Krylov Subspace Recycling, arXiv 2401.09516.
    """
    points, shifts = _as_points(parameters, offsets)
    if count("start", start) >= len(points):
        refuse(
            ValueError, "start", given=f"{start} for {len(points)} systems",
            needed=f"an integer from 0 to {len(points) - 1}", advice="Leave it out to begin at 0.",
        )  # fmt: skip
    return _chain(points, shifts, np.arange(len(points)), start)


def _chain(points, shifts, members: np.ndarray, first: int) -> np.ndarray:
    """Greedy chain over `members`, from the place `first` in them."""
    squares = np.einsum("ij,ij->i", points[members], points[members])
    waiting = members.copy()
    order = np.empty(len(members), dtype=np.intp)
    place = first
    for step in range(len(members)):
        current = waiting[place]
        order[step] = current
        waiting, squares = np.delete(waiting, place), np.delete(squares, place)
        if len(waiting) == 0:
            break
        distances = _distances(points, waiting, squares, current)
        if shifts is not None:
            distances = distances + np.abs(shifts[waiting] - shifts[current])
        place = int(np.argmin(distances))
    return order


def _distances(points, waiting, squares, current) -> np.ndarray:
    """||P_j - P_current|| for the waiting j, without copying the points."""
    product = points[current] @ points[current]
    along = np.array([points[j] @ points[current] for j in waiting])
    squared = squares + product - 2.0 * along
    # The expanded square loses its digits where the points nearly coincide.
    doubtful = squared < 1e-6 * (squares + product)
    for place in np.flatnonzero(doubtful):
        difference = points[waiting[place]] - points[current]
        squared[place] = difference @ difference
    return np.sqrt(squared)


def sort_grouped(
    parameters: ArrayLike,
    offsets: ArrayLike | None = None,
    group_size: int = 2000,
    components: int = 7,
    block: int = 12,
) -> np.ndarray:
    """Greedy chains inside groups that a space-filling curve puts next to each other.

    For many systems, where N^2 / 2 distances of whole fields cost too much. The leading
    principal coordinates of the low-frequency Fourier block of each field are ordered along a
    Hilbert curve; consecutive groups of that order are sorted greedily, each starting from the
    member closest to the end of the group before.

    Args:
        parameters: stacked arrays (N, ...); of two-dimensional fields the lowest `block` x
            `block` frequencies are used, of other shapes the values themselves.
        offsets: optional scalar a system, shape (N,).
        group_size: most systems in a group.
        components: principal coordinates used.
        block: side of the Fourier block.

    Returns:
        A permutation of 0..N-1, shape (N,).

    Raises:
        ValueError: as `sort_greedy`, or a size below 1.
        TypeError: as `sort_greedy`.

    Cost:
        N transforms, one SVD of N x (2 block^2), and N group_size / 2 distances. With one group it
        is `sort_greedy`.

    Example:
        ```python
        import numpy as np, resolvent as rs
        fields = np.random.default_rng(0).normal(size=(50, 8, 8))
        order = rs.linear.sort_grouped(fields, group_size=10)
        assert sorted(order) == list(range(50))
        ```

    Reference:
        H. Wang et al. (2024), arXiv 2401.09516. J. Skilling (2004), Programming the Hilbert curve.
    """
    count("group_size", group_size, least=1)
    count("components", components, least=1)
    count("block", block, least=1)
    points, shifts = _as_points(parameters, offsets)
    if len(points) <= group_size:
        return _chain(points, shifts, np.arange(len(points)), 0)
    features = _low_frequencies(np.asarray(parameters, dtype=float), block)
    if shifts is not None:
        features = np.column_stack([features, shifts])
    along = hilbert_order(_principal_coordinates(features, components))
    groups = np.array_split(along, -(-len(points) // group_size))
    order: list[np.ndarray] = []
    for group in groups:
        first = 0
        if order:
            last = order[-1][-1]
            distances = np.linalg.norm(points[group] - points[last], axis=1)
            if shifts is not None:
                distances += np.abs(shifts[group] - shifts[last])
            first = int(np.argmin(distances))
        order.append(_chain(points, shifts, group, first))
    return np.concatenate(order)


def hilbert_order(coordinates: np.ndarray, bits: int = 8) -> np.ndarray:
    """Order of points along a Hilbert curve through the cells of their bounding box.

    Args:
        coordinates: shape (N, d).
        bits: the box has 2^bits cells a side, the same length in every direction.

    Returns:
        A permutation of 0..N-1, shape (N,).
    """
    low = coordinates.min(axis=0)
    width = float((coordinates.max(axis=0) - low).max()) or 1.0
    cells = np.floor((coordinates - low) / width * (2**bits - 1) + 0.5).astype(np.int64)
    transposed = _axes_to_transpose(cells, bits)
    # Interleaved, most significant bit first, the transposed coordinates are the curve index.
    keys = [
        (transposed[:, axis] >> bit) & 1
        for bit in range(bits - 1, -1, -1)
        for axis in range(cells.shape[1])
    ]
    return np.lexsort(keys[::-1])


def _axes_to_transpose(cells: np.ndarray, bits: int) -> np.ndarray:
    """Skilling's transform: undo the rotations of the sub-cubes, then Gray-encode."""
    state = cells.copy()
    dimensions = state.shape[1]
    mask = 1 << (bits - 1)
    while mask > 1:
        lower = mask - 1
        for axis in range(dimensions):
            invert = (state[:, axis] & mask) != 0
            exchange = np.where(invert, 0, (state[:, 0] ^ state[:, axis]) & lower)
            state[:, 0] = np.where(invert, state[:, 0] ^ lower, state[:, 0] ^ exchange)
            state[:, axis] ^= exchange
        mask >>= 1
    for axis in range(1, dimensions):
        state[:, axis] ^= state[:, axis - 1]
    flips = np.zeros(len(state), dtype=state.dtype)
    mask = 1 << (bits - 1)
    while mask > 1:
        flips = np.where((state[:, -1] & mask) != 0, flips ^ (mask - 1), flips)
        mask >>= 1
    return state ^ flips[:, None]


def _low_frequencies(fields: np.ndarray, block: int) -> np.ndarray:
    if fields.ndim != 3:
        return fields.reshape(len(fields), -1)
    half = block // 2
    side = fields.shape[1]
    rows = np.r_[0 : min(block - half, side), max(side - half, 0) : side]
    spectrum = np.fft.rfft2(fields)[:, np.unique(rows), :block]
    # Real fields: the columns of positive frequency alone carry everything.
    flat = spectrum.reshape(len(fields), -1)
    return np.column_stack([flat.real, flat.imag])


def _principal_coordinates(features: np.ndarray, components: int) -> np.ndarray:
    centered = features - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centered, full_matrices=False)
    kept = min(components, len(singular))
    return left[:, :kept] * singular[:kept]


def split_pieces(order: Sequence[int] | np.ndarray, workers: int) -> list[np.ndarray]:
    """Cut an order into consecutive pieces, one recycling chain for each worker.

    Args:
        order: permutation from a sort, shape (N,).
        workers: number of pieces; fewer are made where there are fewer systems.

    Returns:
        Pieces of lengths that differ by at most one, in order.

    Raises:
        ValueError: workers below 1.
        TypeError: for a number of workers that is no integer.

    Example:
        ```python
        import resolvent as rs
        assert [len(piece) for piece in rs.linear.split_pieces(range(5), 2)] == [3, 2]
        ```
    """
    count("workers", workers, least=1)
    indices = np.asarray(order, dtype=np.intp)
    return np.array_split(indices, min(workers, len(indices))) if len(indices) else []


def _as_points(parameters, offsets) -> tuple[np.ndarray, np.ndarray | None]:
    points = np.asarray(real_array("parameters", parameters), dtype=float)
    if points.ndim == 0 or points.size == 0:
        refuse(
            ValueError, "parameters", given=f"an array of shape {points.shape}",
            needed="one array of numbers for each of at least one system",
            advice="Stack the parameters along the first axis.",
        )  # fmt: skip
    finite("parameters", points)
    points = points.reshape(len(points), -1)
    if offsets is None:
        return points, None
    shifts = np.asarray(real_array("offsets", offsets), dtype=float)
    if shifts.shape != (len(points),):
        refuse(
            ValueError, "offsets", given=f"shape {shifts.shape}",
            needed=f"shape ({len(points)},), one number a system",
            advice="Leave them out where there are none.",
        )  # fmt: skip
    finite("offsets", shifts)
    return points, shifts
