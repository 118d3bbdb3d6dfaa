"""Orders of systems: permutations, greedy choices, curves and the gain along a chain."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvent.linear import recycling
from resolvent.linear.sorting import hilbert_order, sort_greedy, sort_grouped, split_pieces
from resolvent.papers.krylov_recycling_data import darcy_family


def length(points, order):
    return np.linalg.norm(np.diff(points.reshape(len(points), -1)[order], axis=0), axis=1).sum()


def test_greedy_follows_the_nearest_neighbour():
    rng = np.random.default_rng(0)
    points, offsets = rng.standard_normal((30, 3, 2)), rng.standard_normal(30)
    order = sort_greedy(points, offsets, start=4)
    assert order[0] == 4
    waiting = set(range(30)) - {4}
    for current, following in pairwise(order):
        distance = {
            j: np.linalg.norm(points[j] - points[current]) + abs(offsets[j] - offsets[current])
            for j in waiting
        }
        assert distance[following] <= min(distance.values()) + 1e-12
        waiting.remove(following)
    assert not waiting


def test_greedy_tells_apart_points_far_from_the_origin():
    points = 1e8 + np.array([[0.0], [3.0], [1.0], [2.0]])
    assert list(sort_greedy(points)) == [0, 2, 3, 1]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**31))
def test_grouped_sort_is_a_permutation(count, group_size, seed):
    fields = np.random.default_rng(seed).standard_normal((count, 5, 4))
    order = sort_grouped(fields, group_size=group_size)
    assert sorted(order) == list(range(count))


def test_grouped_sort_shortens_the_path_of_a_smooth_family():
    rng = np.random.default_rng(1)
    fields = rng.standard_normal((2, 16, 16))
    weights = rng.uniform(-1.0, 1.0, (400, 2))
    family = np.einsum("it,tjk->ijk", weights, fields)
    grouped = length(family, sort_grouped(family, group_size=50))
    assert grouped < 0.2 * length(family, np.arange(400))
    assert grouped < 1.6 * length(family, sort_greedy(family))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_hilbert_curve_moves_one_cell_at_a_time(dimensions):
    side = 8
    grid = np.stack(np.meshgrid(*[np.arange(side)] * dimensions), -1).reshape(-1, dimensions)
    order = hilbert_order(grid.astype(float), bits=3)
    steps = np.abs(np.diff(grid[order], axis=0)).sum(axis=1)
    assert np.all(steps == 1)


def test_pieces_are_consecutive_and_balanced():
    order = np.random.default_rng(2).permutation(11)
    pieces = split_pieces(order, 4)
    assert np.array_equal(np.concatenate(pieces), order)
    assert sorted(len(piece) for piece in pieces) == [2, 3, 3, 3]
    assert len(split_pieces(order[:2], 4)) == 2
    assert split_pieces([], 3) == []


@pytest.mark.parametrize(
    ("parameters", "offsets"),
    [(np.zeros((0, 3)), None), (np.array([[np.nan]]), None), (np.zeros((3, 2)), np.zeros(2))],
)
def test_bad_parameters_are_refused(parameters, offsets):
    with pytest.raises(ValueError, match=r"parameters|offsets"):
        sort_greedy(parameters, offsets)


def test_sorting_keeps_the_recycled_space_closer_to_the_small_eigenspace():
    systems = darcy_family(np.random.default_rng(3), 18, 24)
    parameters = np.stack([system.parameters for system in systems])

    def chain(order):
        space, gaps, steps = None, [], 0
        for index in order:
            system = systems[index]
            matrix, b = system.matrix, system.rhs
            state = recycling.begin(
                np.zeros_like(b), b, matrix.dot, cycle=40, recycle=20, space=space
            )
            if space is not None:
                vectors = np.linalg.eigh(matrix.toarray())[1][:, :8]
                images = state.basis[: state.recycled]
                rest = vectors - images.T @ (images @ vectors)
                gaps.append(np.linalg.norm(rest, 2))
            target = 1e-8 * float(np.linalg.norm(b))
            state, trace = recycling.advance(state, matrix.dot, None, steps=2000, target=target)
            assert state.norm <= target
            space, state = recycling.remember(state)
            steps += len(trace)
        return np.mean(gaps), steps

    gap, steps = chain(np.arange(24))
    sorted_gap, sorted_steps = chain(sort_greedy(parameters))
    assert sorted_gap < gap
    assert sorted_steps < steps
