"""Numba kernels of shortest paths, on complete graphs and on sparse ones."""

import numba
import numpy as np

_CHUNK = 64  # entries that are looked at together before one of them is changed


@numba.njit(cache=True, nogil=True)
def pair_index(i, j, n):
    """The place of a pair in the order (0, 1), (0, 2), ..., (n - 2, n - 1)."""
    if i > j:
        i, j = j, i
    return i * n - (i * (i + 1)) // 2 + j - i - 1


@numba.njit(cache=True, nogil=True)
def as_matrix(x, n, out):
    """Lengths of all pairs as a symmetric matrix, negative ones as zero."""
    at = 0
    for i in range(n):
        out[i, i] = 0.0
        for j in range(i + 1, n):
            out[i, j] = out[j, i] = max(x[at], 0.0)
            at += 1


@numba.njit(nogil=True, error_model="numpy")
def _shorter(own, row, a):
    """How many entries the way over another node makes shorter; a sum, so that it is vectorized."""
    total = 0
    for j in range(own.size):
        total += own[j] - row[j] > a
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def all_shortest(D, before):
    """Floyd and Warshall on a symmetric matrix in place; the node before j on the way from i.

    Few entries get shorter once lengths are nearly a metric, so that a whole chunk is asked at once
    whether any does.
    """
    n = D.shape[0]
    for i in range(n):
        for j in range(n):
            before[i, j] = i
    for k in range(n):
        for i in range(n):
            if i == k:
                continue
            a = D[i, k]
            for begin in range(0, n, _CHUNK):
                own, row = D[i, begin : begin + _CHUNK], D[k, begin : begin + _CHUNK]
                if _shorter(own, row, a) > 0:
                    mine, pre = before[i, begin : begin + _CHUNK], before[k, begin : begin + _CHUNK]
                    for j in range(own.size):
                        length = a + row[j]
                        if length < own[j]:
                            own[j] = length
                            mine[j] = pre[j]


@numba.njit(cache=True, nogil=True)
def shortest_from(matrix, source, distance, before, done):
    """Dijkstra from one node of a complete graph, by scanning."""
    n = distance.size
    for j in range(n):
        distance[j], before[j], done[j] = matrix[source, j], source, False
    done[source] = True
    for _ in range(n - 1):
        at, least = -1, np.inf
        for j in range(n):
            if not done[j] and distance[j] < least:
                at, least = j, distance[j]
        if at < 0:
            return
        done[at] = True
        row = matrix[at]
        for j in range(n):
            length = least + row[j]
            if length < distance[j]:
                distance[j], before[j] = length, at


@numba.njit(cache=True, nogil=True)
def shortest_from_each(matrix, sources, distances, before):
    """The same from some nodes, one row each."""
    done = np.empty(matrix.shape[0], np.bool_)
    for s in range(sources.size):
        shortest_from(matrix, sources[s], distances[s], before[s], done)


@numba.njit(nogil=True)
def _sift_down(heap, keys, size):
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[at] <= keys[child]:
            return
        keys[at], keys[child] = keys[child], keys[at]
        heap[at], heap[child] = heap[child], heap[at]
        at = child


@numba.njit(nogil=True)
def _sift_up(heap, keys, at):
    while at > 0:
        parent = (at - 1) // 2
        if keys[parent] <= keys[at]:
            return
        keys[at], keys[parent] = keys[parent], keys[at]
        heap[at], heap[parent] = heap[parent], heap[at]
        at = parent


@numba.njit(cache=True, nogil=True)
def near_from(begins, others, places, x, source, reach, distance, before, touched, heap, keys):
    """Dijkstra from one node of a sparse graph, up to a distance; returns the nodes it touched.

    `before[j]` is the edge by which j is reached; untouched distances are left infinite.
    """
    distance[source] = 0.0
    touched[0], many = source, 1
    heap[0], keys[0], size = source, 0.0, 1
    while size > 0:
        at, length = heap[0], keys[0]
        size -= 1
        heap[0], keys[0] = heap[size], keys[size]
        _sift_down(heap, keys, size)
        if length > distance[at]:
            continue
        if length >= reach:
            break
        for t in range(begins[at], begins[at + 1]):
            j, edge = others[t], places[t]
            total = length + max(x[edge], 0.0)
            if total < distance[j]:
                if distance[j] == np.inf:
                    touched[many] = j
                    many += 1
                distance[j], before[j] = total, edge
                heap[size], keys[size] = j, total
                _sift_up(heap, keys, size)
                size += 1
    return many
