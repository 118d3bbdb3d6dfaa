"""Every form of cost is the same matrix, on either engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from resolvent.transport import DenseCost, GridCost, PointCost, costs
from resolvent.transport import softmin as sums

METRICS = {"sqeuclidean": "sqeuclidean", "euclidean": "euclidean", "l1": "cityblock"}


def manhattan(s, t):
    return jnp.abs(s - t).sum() + 0.25 * s[0] ** 2


def forms(dtype=np.float64):
    """Costs of every form beside the matrix that they stand for."""
    rng = np.random.default_rng(5)
    x, y = rng.random((6, 3)).astype(dtype), rng.random((4, 3)).astype(dtype)
    wide_x, wide_y = (rng.random((n, 20)).astype(dtype) for n in (6, 4))
    matrix = rng.random((6, 4)).astype(dtype)
    found = {
        "matrix": (DenseCost(matrix), matrix),
        "fortran": (DenseCost(np.asfortranarray(matrix)), matrix),
        "function": (
            PointCost(x, y, manhattan),
            cdist(x, y, "cityblock") + 0.25 * x[:, :1] ** 2,
        ),
    }
    for kind, metric in METRICS.items():
        found[kind] = PointCost(x, y, kind), cdist(x, y, metric)
        found[f"many {kind}"] = PointCost(wide_x, wide_y, kind), cdist(wide_x, wide_y, metric)
    grid = [rng.random((2, 2)).astype(dtype), rng.random((3, 2)).astype(dtype)]
    whole = grid[0][:, None, :, None] + grid[1][None, :, None, :]
    found["grid"] = GridCost(grid), whole.reshape(6, 4)
    return found


NAMES = list(forms())
each = pytest.mark.parametrize("name", NAMES)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("traced", [False, True])
def test_rows_are_those_of_the_matrix(name, dtype, traced):
    cost, matrix = forms(dtype)[name]
    if traced:
        cost = cost.cast(False, dtype)
    tol = 1e-12 if dtype == np.float64 else 1e-5
    with jax.enable_x64(dtype == np.float64):
        assert cost.shape == (6, 4)
        assert cost.dtype == dtype
        assert cost.engine == ("traced" if traced else "host")
        assert np.allclose(cost.rows(0, 6), matrix, atol=tol)
        assert np.allclose(cost.rows(2, 5), matrix[2:5], atol=tol)
        assert cost.T.shape == (4, 6)
        assert np.allclose(cost.T.rows(0, 4), matrix.T, atol=tol)
        assert np.allclose(cost.T.T.rows(0, 6), matrix, atol=tol)
        u, v = np.arange(6, dtype=dtype), np.arange(4, dtype=dtype) - 1
        if not traced:
            assert cost.inner(u, v) == pytest.approx(u @ matrix @ v, rel=10 * tol)
            assert cost.T.inner(v, u) == pytest.approx(u @ matrix @ v, rel=10 * tol)
    assert cost.largest() == pytest.approx(matrix.max(), rel=10 * tol)


@each
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_sums_are_those_of_the_plan(name, flipped, traced, epsilon):
    cost, C = forms()[name]
    if flipped:
        cost, C = cost.T, C.T
    n, m = C.shape
    rng = np.random.default_rng(1)
    a, b = rng.random(n), rng.random(m)
    a[1] = b[0] = 0.0
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a), np.log(b)
    g = 0.1 * rng.standard_normal(m)
    f = -epsilon * logsumexp((g - C) / epsilon, b=b, axis=1)
    P = np.exp(log_a[:, None] + log_b + (f[:, None] + g - C) / epsilon)
    V = rng.standard_normal((m, 2))
    data = f, g, log_a, log_b
    with jax.enable_x64(traced):
        if traced:
            cost = cost.cast(False, np.float64)
            data, V = tuple(map(jnp.asarray, data)), jnp.asarray(V)
        close = {"rtol": 1e-8, "atol": 1e-12}
        assert np.allclose(sums.softmin(cost, epsilon, data[1], data[3]), f, **close)
        rows, columns = sums.marginals(cost, epsilon, *data)
        assert np.allclose(rows, P.sum(1), **close)
        assert np.allclose(columns, P.sum(0), **close)
        assert np.allclose(sums.apply(cost, epsilon, *data, V), P @ V, **close)
        assert np.allclose(sums.apply(cost, epsilon, *data, V[:, 0]), P @ V[:, 0], **close)
        assert np.allclose(sums.total_cost(cost, epsilon, *data), (P * C).sum(), **close)
        assert np.allclose(sums.plan(cost, epsilon, *data), P, **close)


@pytest.mark.parametrize("traced", [False, True])
def test_pieces_change_nothing(monkeypatch, traced):
    monkeypatch.setattr(costs, "_BLOCK", 8)
    monkeypatch.setattr(sums, "_BLOCK", 8)
    monkeypatch.setattr(sums, "_WHOLE", 1)
    monkeypatch.setattr(sums, "_PIECE", 8)
    for name in ("sqeuclidean", "function", "grid", "matrix"):
        test_sums_are_those_of_the_plan(name, False, traced, 0.1)


@given(offset=st.sampled_from([0.0, 1.0, 1e6]), d=st.integers(1, 12), seed=st.integers(0, 20))
def test_a_common_shift_of_the_points_costs_few_digits(offset, d, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.random((5, d)), rng.random((4, d))
    moved = PointCost(x + offset, y + offset)
    error = np.abs(moved.rows(0, 5) - cdist(x, y, "sqeuclidean")).max()
    assert error <= 1e-15 * d * (1 + 4 * offset)
    assert moved.rows(0, 5).min() >= 0


def test_coordinates_make_grids():
    u, v = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0])
    for kind, metric in (("sqeuclidean", "sqeuclidean"), ("l1", "cityblock")):
        cost = GridCost([u, v], cost=kind)
        points = np.stack(np.meshgrid(u, v, indexing="ij"), -1).reshape(-1, 2)
        assert np.allclose(cost.rows(0, 6), cdist(points, points, metric))
        assert cost.form == "grid 3 x 2"


def test_points_on_a_line_need_no_second_axis():
    cost = PointCost([0, 1, 3], [2, 2])
    assert np.array_equal(cost.rows(0, 3), [[4, 4], [1, 1], [1, 1]])


def test_points_that_meet_have_a_distance_without_nan_slope():
    x = jnp.array([[0.0, 0.0], [1.0, 2.0]])
    slope = jax.grad(lambda x: PointCost(x, x[::-1], "euclidean").rows(0, 2).sum())
    assert np.isfinite(slope(x)).all()
    same = jax.grad(lambda x: PointCost(x, x, "euclidean").rows(0, 2).sum())
    assert np.isfinite(same(x)).all()


def test_users_data_stay_as_they_are():
    matrix = np.asfortranarray(np.random.default_rng(0).random((3, 2)))
    before = matrix.copy()
    cost = DenseCost(matrix)
    sums.softmin(cost, 0.1, np.zeros(2), np.zeros(2))
    assert np.array_equal(matrix, before)
    assert np.shares_memory(cost.matrix, matrix)
