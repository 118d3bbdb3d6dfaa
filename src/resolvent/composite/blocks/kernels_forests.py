"""Numba kernels on graphs of sparse symmetric matrices: colours, forests, solves on forests."""

import numba
import numpy as np

SOLVED, CYCLE, INDEFINITE = range(3)


@numba.njit(cache=True)
def _root(parents, i):
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@numba.njit(cache=True)
def _joins(rows, starts, node, labels, label, parents, seen, stamp):
    """Whether the neighbours of a node in a class lie in components that are all different."""
    for at in range(starts[node], starts[node + 1]):
        other = rows[at]
        if other != node and labels[other] == label:
            root = _root(parents, other)
            if seen[root] == stamp:
                return False
            seen[root] = stamp
    return True


@numba.njit(cache=True)
def _join(rows, starts, node, labels, label, parents):
    labels[node] = label
    for at in range(starts[node], starts[node + 1]):
        other = rows[at]
        if other != node and labels[other] == label:
            parents[_root(parents, other)] = node


@numba.njit(cache=True)
def greedy_forest(rows, starts, order, labels):
    """Label 0 for each node, in an order, that closes no cycle with those before; else -1."""
    parents = np.arange(labels.size)
    seen = np.full(labels.size, -1)
    labels[:] = -1
    for k in range(order.size):
        node = order[k]
        if _joins(rows, starts, node, labels, 0, parents, seen, k):
            _join(rows, starts, node, labels, 0, parents)


@numba.njit(cache=True)
def tree_partition(rows, starts, order, labels):
    """Each node joins the first forest in which it closes no cycle. Returns their number."""
    parents = np.arange(labels.size)
    seen = np.full(labels.size, -1)
    labels[:] = -1
    forests, stamp = 0, 0
    for node in order:
        label = 0
        while label < forests:
            stamp += 1
            if _joins(rows, starts, node, labels, label, parents, seen, stamp):
                break
            label += 1
        forests = max(forests, label + 1)
        _join(rows, starts, node, labels, label, parents)
    return forests


@numba.njit(cache=True)
def coloring(rows, starts, order, labels):
    """Each node gets the allowed colour with the fewest members. Returns the number of colours."""
    most = 0
    for node in range(labels.size):
        most = max(most, starts[node + 1] - starts[node])
    members = np.zeros(most + 2, np.int64)
    taken = np.full(most + 2, -1)
    labels[:] = -1
    colours = 0
    for node in order:
        for at in range(starts[node], starts[node + 1]):
            other = rows[at]
            if other != node and labels[other] >= 0:
                taken[labels[other]] = node
        best = -1
        for colour in range(colours):
            if taken[colour] != node and (best < 0 or members[colour] < members[best]):
                best = colour
        if best < 0:
            best = colours
            colours += 1
        labels[node] = best
        members[best] += 1
    return colours


@numba.njit(cache=True)
def forest_solve(data, rows, starts, ridge, block, right, place, out):
    """Solve (A + ridge) d = right on a block whose graph is a forest; `place` is -1 everywhere.

    Messages go from the leaves to the roots and back. Returns how it went.
    """
    size = block.size
    for k in range(size):
        place[block[k]] = k
    order = np.empty(size, np.int64)
    parents = np.full(size, -2, np.int64)
    links = np.zeros(size)
    diagonal = np.full(size, ridge)
    messages = np.empty(size)
    head, tail, status = 0, 0, SOLVED
    for k in range(size):
        messages[k] = right[k]
    for k in range(size):
        if parents[k] != -2:
            continue
        parents[k] = -1
        order[tail] = k
        tail += 1
        while head < tail and status == SOLVED:
            child = order[head]
            head += 1
            for at in range(starts[block[child]], starts[block[child] + 1]):
                other = place[rows[at]]
                if other < 0 or data[at] == 0.0:
                    continue
                if other == child:
                    diagonal[child] += data[at]
                elif parents[other] == -2:
                    parents[other] = child
                    links[other] = data[at]
                    order[tail] = other
                    tail += 1
                elif other != parents[child]:
                    status = CYCLE
                    break
    for k in range(size):
        place[block[k]] = -1
    if status != SOLVED:
        return status
    for k in range(size - 1, -1, -1):
        child = order[k]
        if not diagonal[child] > 0.0:
            return INDEFINITE
        up = parents[child]
        if up >= 0:
            factor = links[child] / diagonal[child]
            diagonal[up] -= factor * links[child]
            messages[up] -= factor * messages[child]
    for k in range(size):
        child = order[k]
        value = messages[child]
        if parents[child] >= 0:
            value -= links[child] * out[parents[child]]
        out[child] = value / diagonal[child]
    return SOLVED
