"""Dissimilarities, graphs and lists of constraints that tests of metrics share."""

import itertools

import numpy as np

import resolvent as rs


def dissimilarities(n, seed=0):
    """Absolute values of normal numbers."""
    D = np.triu(np.abs(np.random.default_rng(seed).standard_normal((n, n))), 1)
    return D + D.T


def sparse_lengths(n, seed=0, degree=5.0):
    """Lengths of a connected graph's edges, 0 elsewhere."""
    rng = np.random.default_rng(seed)
    there = rng.random((n, n)) < degree / n
    there[np.arange(n - 1), np.arange(1, n)] = True
    D = np.triu(there * (0.1 + rng.random((n, n)) ** 2), 1)
    return D + D.T


def signed_graph(n, seed=0, degree=4.0):
    """Two planted groups, a tenth of the signs wrong; a path makes it connected."""
    rng = np.random.default_rng(seed)
    there = rng.random((n, n)) < degree / n
    there[np.arange(n - 1), np.arange(1, n)] = True
    group = np.arange(n) % 2
    same = (group[:, None] == group) ^ (rng.random((n, n)) < 0.1)
    signs = np.triu(there * np.where(same, 1.0, -1.0) * (0.5 + rng.random((n, n))), 1)
    return signs + signs.T


def _rows(cycles, size):
    """For each edge of each cycle that it is at most as long as the others."""
    rows = []
    for cycle in cycles:
        for long in cycle:
            row = np.zeros(size)
            row[list(cycle)] = -1.0
            row[long] = 1.0
            rows.append(row)
    return np.array(rows)


def triangles(n):
    """All triangle inequalities as rows over pairs."""
    place = {pair: t for t, pair in enumerate(itertools.combinations(range(n), 2))}
    threes = itertools.combinations(range(n), 3)
    cycles = [[place[pair] for pair in itertools.combinations(three, 2)] for three in threes]
    return _rows(cycles, len(place))


def all_cycles(edges, n):
    """The inequalities of every simple cycle of a small graph, by search."""
    place = {frozenset(edge): t for t, edge in enumerate(edges)}
    found = set()

    def walk(way, passed):
        for j in range(n):
            step = place.get(frozenset((way[-1], j)))
            if step is None or step in passed or j in way[1:]:
                continue
            if j == way[0]:
                found.add(frozenset([*passed, step]))
            else:
                walk([*way, j], [*passed, step])

    for i in range(n):
        walk([i], [])
    return _rows(found, len(edges))


def by_program(A, d, weights):
    """The projection by an interior point method, with all rows written down."""
    program = rs.QuadraticProgram(np.diag(weights), -weights * d, A, None, 0.0, lower=0.0)
    return rs.solve(program, rs.composite.InteriorPoint(), rtol=1e-11).x
