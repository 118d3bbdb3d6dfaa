"""Numba kernels of cycle inequalities: the cycles that shortest paths violate, and projections.

A row is one cycle inequality: its first edge is at most as long as the others together. Rows lie
one behind the other, `starts[i]` to `starts[i + 1]` in `edges`. The multiplier of row i is z[i].
Paths are written backwards from their end, along predecessors.
"""

import numba
import numpy as np

from resolvent.constrained.metric.kernels_paths import near_from, pair_index


@numba.njit(nogil=True)
def _mixed(value):
    """A number that has little to do with its argument (the finalizer of splitmix64)."""
    h = np.uint64(value) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def row_key(edges, begin, end):
    """A number for a row that does not depend on the direction of its path; never 0."""
    key = _mixed(_mixed(edges[begin]))
    for t in range(begin + 1, end):
        key += _mixed(edges[t])
    return key | np.uint64(1)


@numba.njit(cache=True, nogil=True)
def keys_of(starts, edges, keys):
    """The numbers of all rows."""
    for i in range(keys.size):
        keys[i] = row_key(edges, starts[i], starts[i + 1])


@numba.njit(cache=True, nogil=True)
def enter(table, key):
    """Put a key into a table with free places; False where it is there already."""
    mask = np.uint64(table.size - 1)
    at = (key >> np.uint64(7)) & mask
    while table[at] != 0:
        if table[at] == key:
            return False
        at = (at + np.uint64(1)) & mask
    table[at] = key
    return True


@numba.njit(cache=True, nogil=True)
def table_of(keys, room):
    """A table of these keys with room for more."""
    size = 16
    while size < 2 * (keys.size + room):
        size *= 2
    table = np.zeros(size, np.uint64)
    for key in keys:
        enter(table, key)
    return table


@numba.njit(nogil=True)
def _excess(edges, begin, end, x):
    total = x[edges[begin]]
    for t in range(begin + 1, end):
        total -= x[edges[t]]
    return total


@numba.njit(nogil=True)
def _move(edges, begin, end, x, inverse, step):
    """Add `step` times a row over the weights."""
    if inverse.size == 0:
        x[edges[begin]] += step
        for t in range(begin + 1, end):
            x[edges[t]] -= step
    else:
        e = edges[begin]
        x[e] += step * inverse[e]
        for t in range(begin + 1, end):
            e = edges[t]
            x[e] -= step * inverse[e]


@numba.njit(nogil=True)
def _curvature(edges, begin, end, inverse):
    if inverse.size == 0:
        return np.float64(end - begin)
    total = 0.0
    for t in range(begin, end):
        total += inverse[edges[t]]
    return total


@numba.njit(nogil=True)
def _longer(array, size):
    longer = np.empty(2 * array.size + size, array.dtype)
    longer[: array.size] = array
    return longer


@numba.njit(cache=True, nogil=True)
def violated_dense(n, D, before, sources, x, inverse, table, slack, at_once):
    """The cycles that shortest paths of a complete graph violate, less those of the table.

    Row i of D and `before` belongs to node sources[i]. With `at_once` x moves onto every new row as
    soon as it is found. Returns starts, edges, multipliers and keys.
    """
    starts, edges = np.zeros(n + 1, np.int64), np.empty(4 * n, np.int32)
    z, keys = np.zeros(n), np.empty(n, np.uint64)
    rows = at = 0
    whole = sources.size == n
    for s in range(sources.size):
        i = sources[s]
        for j in range(i + 1 if whole else 0, n):
            if j == i:
                continue
            direct = pair_index(i, j, n)
            if not D[s, j] < x[direct] - slack or before[s, j] == i:
                continue
            if at + n + 1 > edges.size:
                edges = _longer(edges, n)
            edges[at] = direct
            end, node = at + 1, j
            while node != i and end < at + n:
                other = before[s, node]
                edges[end] = pair_index(other, node, n)
                end += 1
                node = other
            if not _excess(edges, at, end, x) > slack or node != i:
                continue
            key = row_key(edges, at, end)
            if 2 * (rows + 1) > table.size or not enter(table, key):
                continue
            if rows == z.size:
                starts, z, keys = _longer(starts, 0), _longer(z, 0), _longer(keys, 0)
            z[rows] = 0.0
            if at_once:
                z[rows] = _excess(edges, at, end, x) / _curvature(edges, at, end, inverse)
                _move(edges, at, end, x, inverse, -z[rows])
            keys[rows] = key
            rows += 1
            starts[rows] = at = end
    return starts[: rows + 1].copy(), edges[:at].copy(), z[:rows].copy(), keys[:rows].copy()


@numba.njit(cache=True, nogil=True)
def violated_sparse(
    begins, others, places, heads, tails, sources, x, inverse, table, slack, at_once, shortest
):  # fmt: skip
    """The same for a sparse graph; shortest[e] gets the distance of the ends of edge e."""
    n, m = begins.size - 1, x.size
    distance = np.full(n, np.inf)
    before, touched = np.empty(n, np.int64), np.empty(n, np.int64)
    heap, heap_keys = np.empty(2 * m + 1, np.int64), np.empty(2 * m + 1)
    starts, edges = np.zeros(n + 1, np.int64), np.empty(4 * n + 4, np.int32)
    z, keys = np.zeros(n), np.empty(n, np.uint64)
    rows = at = 0
    for i in sources:
        reach = 0.0
        for t in range(begins[i], begins[i + 1]):
            reach = max(reach, x[places[t]])
        many = near_from(
            begins, others, places, x, i, reach, distance, before, touched, heap, heap_keys
        )
        for t in range(begins[i], begins[i + 1]):
            j, direct = others[t], places[t]
            length = min(distance[j], max(x[direct], 0.0))
            shortest[direct] = min(shortest[direct], length)
            if not length < x[direct] - slack or before[j] == direct:
                continue
            if at + n + 1 > edges.size:
                edges = _longer(edges, n)
            edges[at] = direct
            end, node = at + 1, j
            while node != i and end < at + n:
                edges[end] = edge = before[node]
                end += 1
                node = heads[edge] + tails[edge] - node
            if not _excess(edges, at, end, x) > slack or node != i:
                continue
            key = row_key(edges, at, end)
            if 2 * (rows + 1) > table.size or not enter(table, key):
                continue
            if rows == z.size:
                starts, z, keys = _longer(starts, 0), _longer(z, 0), _longer(keys, 0)
            z[rows] = 0.0
            if at_once:
                z[rows] = _excess(edges, at, end, x) / _curvature(edges, at, end, inverse)
                _move(edges, at, end, x, inverse, -z[rows])
            keys[rows] = key
            rows += 1
            starts[rows] = at = end
        for t in range(many):
            distance[touched[t]] = np.inf
    return starts[: rows + 1].copy(), edges[:at].copy(), z[:rows].copy(), keys[:rows].copy()


@numba.njit(cache=True, nogil=True)
def sampled_triangles(n, i, j, k, x, inverse, table, slack, at_once):
    """The violated rows among some triangles: pair (i, j) against the way over k."""
    starts, edges = np.zeros(i.size + 1, np.int64), np.empty(3 * i.size, np.int32)
    z, keys = np.zeros(i.size), np.empty(i.size, np.uint64)
    rows = at = 0
    for t in range(i.size):
        edges[at] = pair_index(i[t], j[t], n)
        edges[at + 1] = pair_index(i[t], k[t], n)
        edges[at + 2] = pair_index(k[t], j[t], n)
        if not _excess(edges, at, at + 3, x) > slack:
            continue
        key = row_key(edges, at, at + 3)
        if not enter(table, key):
            continue
        z[rows] = 0.0
        if at_once:
            z[rows] = _excess(edges, at, at + 3, x) / _curvature(edges, at, at + 3, inverse)
            _move(edges, at, at + 3, x, inverse, -z[rows])
        keys[rows] = key
        rows += 1
        at += 3
        starts[rows] = at
    return starts[: rows + 1].copy(), edges[:at].copy(), z[:rows].copy(), keys[:rows].copy()


@numba.njit(nogil=True, error_model="numpy")
def _sweep(starts, edges, z, x):
    for i in range(z.size):
        begin, end = starts[i], starts[i + 1]
        first = edges[begin]
        ahead = -x[first]
        for t in range(begin + 1, end):
            ahead += x[edges[t]]
        step = min(ahead / (end - begin), z[i])
        if step != 0.0:
            z[i] -= step
            x[first] += step
            for t in range(begin + 1, end):
                x[edges[t]] -= step


@numba.njit(nogil=True, error_model="numpy")
def _weighted_sweep(starts, edges, z, x, inverse):
    for i in range(z.size):
        begin, end = starts[i], starts[i + 1]
        first = edges[begin]
        ahead, curvature = -x[first], inverse[first]
        for t in range(begin + 1, end):
            e = edges[t]
            ahead += x[e]
            curvature += inverse[e]
        step = min(ahead / curvature, z[i])
        if step != 0.0:
            z[i] -= step
            x[first] += step * inverse[first]
            for t in range(begin + 1, end):
                e = edges[t]
                x[e] -= step * inverse[e]


@numba.njit(cache=True, nogil=True)
def sweeps(many, starts, edges, z, x, inverse, low, high, lower, upper):
    """Project onto each row and each side of the box in turn, `many` times, as far as z allows.

    `low` and `high` are the multipliers of the box; empty where it has no such side.
    """
    for _ in range(many):
        if inverse.size == 0:
            _sweep(starts, edges, z, x)
        else:
            _weighted_sweep(starts, edges, z, x, inverse)
        # The multipliers of the box are kept over the weights: they are lengths.
        for e in range(low.size):
            step = min(x[e] - lower, low[e])
            low[e] -= step
            x[e] -= step
        for e in range(high.size):
            step = min(upper - x[e], high[e])
            high[e] -= step
            x[e] += step


@numba.njit(cache=True, nogil=True)
def kept(starts, edges, z, keys, floor):
    """The rows whose multipliers are above a floor; their number, after moving them up in place."""
    rows = at = 0
    for i in range(z.size):
        if z[i] > floor:
            begin, end = starts[i], starts[i + 1]
            z[rows], keys[rows], starts[rows] = z[i], keys[i], at
            for t in range(begin, end):
                edges[at] = edges[t]
                at += 1
            rows += 1
    starts[rows] = at
    return rows


@numba.njit(cache=True, nogil=True)
def pulled(starts, edges, z, out):
    """Add the transposed rows times z."""
    for i in range(z.size):
        out[edges[starts[i]]] += z[i]
        for t in range(starts[i] + 1, starts[i + 1]):
            out[edges[t]] -= z[i]


@numba.njit(cache=True, nogil=True)
def slackness(starts, edges, z, x):
    """The sum of z_i times what row i has left at x, in absolute value."""
    total = 0.0
    for i in range(z.size):
        total += z[i] * abs(_excess(edges, starts[i], starts[i + 1], x))
    return total


@numba.njit(cache=True, nogil=True)
def are_cycles(starts, edges, heads, tails):
    """Whether in every row the edges behind the first are a way between its ends."""
    for i in range(starts.size - 1):
        begin, end = starts[i], starts[i + 1]
        if end - begin < 3:
            return False
        for t in range(begin, end):
            if not 0 <= edges[t] < heads.size:
                return False
        for t in range(begin + 1, end):
            if edges[t] == edges[begin]:
                return False
        # The way may be written from either end.
        found = False
        for first in (heads[edges[begin]], tails[edges[begin]]):
            node, fits = first, True
            for t in range(begin + 1, end):
                e = edges[t]
                if heads[e] == node:
                    node = tails[e]
                elif tails[e] == node:
                    node = heads[e]
                else:
                    fits = False
                    break
            found = found or (fits and node == heads[edges[begin]] + tails[edges[begin]] - first)
        if not found:
            return False
    return True
