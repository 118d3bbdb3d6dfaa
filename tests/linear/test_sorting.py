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
    ("call", "error", "name"),
    [
        (lambda: sort_greedy(np.zeros((0, 3))), ValueError, "parameters"),
        (lambda: sort_greedy(3.0), ValueError, "parameters"),
        (lambda: sort_greedy([[np.nan]]), ValueError, "parameters"),
        (lambda: sort_greedy([[1.0], [1.0, 2.0]]), ValueError, "parameters"),
        (lambda: sort_greedy([[1j]]), TypeError, "parameters"),
        (lambda: sort_greedy(np.zeros((3, 2)), np.zeros(2)), ValueError, "offsets"),
        (lambda: sort_greedy(np.zeros((1, 2)), [np.inf]), ValueError, "offsets"),
        (lambda: sort_greedy(np.zeros((3, 2)), start=3), ValueError, "start"),
        (lambda: sort_greedy(np.zeros((3, 2)), start=-1), ValueError, "start"),
        (lambda: sort_greedy(np.zeros((3, 2)), start=1.0), TypeError, "start"),
        (lambda: sort_grouped(np.zeros((0, 3))), ValueError, "parameters"),
        (lambda: sort_grouped(np.zeros((3, 3)), group_size=0), ValueError, "group_size"),
        (lambda: sort_grouped(np.zeros((3, 3)), components=0), ValueError, "components"),
        (lambda: sort_grouped(np.zeros((3, 3)), block=0), ValueError, "block"),
        (lambda: split_pieces([0, 1], 0), ValueError, "workers"),
        (lambda: split_pieces([0, 1], 1.5), TypeError, "workers"),
    ],
)
def test_bad_input_is_refused_in_words(call, error, name):
    with pytest.raises(error, match=rf"^{name}: given .+; needed .+\. .+"):
        call()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True),
    st.lists(st.integers(-3, 3), min_size=1, max_size=4).filter(any),
    st.randoms(use_true_random=False),
)
def test_greedy_from_the_end_of_a_line_is_the_shortest_path(places, direction, random):
    """No path through points of a line is shorter than from one end to the other."""
    points = np.outer(places, direction).astype(float)
    order = sort_greedy(points, start=int(np.argmin(places)))
    assert list(order) == list(np.argsort(places))
    other = list(range(len(places)))
    random.shuffle(other)
    assert length(points, order) <= length(points, other) * (1 + 1e-12)


def distance_between(these, those):
    """The largest distance of a unit vector of one row space from the other."""
    return np.linalg.norm(these - (these @ those.T) @ those, 2)


@pytest.mark.parametrize("t", [0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0])
def test_the_recycled_images_move_no_more_than_the_operator(t):
    """With C = A U orthonormal, C y is nearer than ||(B - A) U|| to B U y, for every unit y."""
    first, second = darcy_family(np.random.default_rng(3), 18, 2)
    A, b, change = first.matrix, first.rhs, t * (second.matrix - first.matrix)
    target = 1e-8 * float(np.linalg.norm(b))
    state = recycling.begin(np.zeros_like(b), b, A.dot, cycle=40, recycle=20)
    state, _ = recycling.advance(state, A.dot, None, steps=2000, target=target)
    space, _ = recycling.remember(state)
    U, C = space.directions, space.images
    assert len(C) == 20

    B, rhs = A + change, second.rhs
    zero = np.zeros_like(rhs)
    state = recycling.begin(zero, rhs, B.dot, cycle=40, recycle=20, space=space)
    images = state.basis[: state.recycled]
    assert state.recycled == 20
    rounding = np.finfo(float).eps ** (2 / 3)  # up to which images of before are kept
    assert np.allclose(images @ images.T, np.eye(20), rtol=0, atol=rounding)
    drift = np.linalg.norm(change @ U.T, 2)
    assert distance_between(C, images) <= drift * (1 + 1e-9) + 1e-9
    # What the space saves at the start is all that it can: the projection onto B U.
    best = np.linalg.lstsq(B @ U.T, rhs, rcond=None)[0]
    least = np.linalg.norm(rhs - B @ U.T @ best)
    assert state.norm == pytest.approx(least, rel=1e-7)
