"""Games as sums of rows and columns, against dense products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.inclusion.matrix_components import MatrixComponents, by_components
from resolvent.inclusion.variance_reduced_baselines import VarianceReducedExtragradient
from resolvent.inclusion.variance_reduced_resolvent import VarianceReducedResolvent


def matrix(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, m)) * np.logspace(0, -1, m)


def dense_parts(F, size):
    """The components as matrices on (x, y)."""
    n, m = F.A.shape
    with jax.enable_x64(True):
        own = jax.tree_util.tree_map(jnp.asarray, F)
        zero = own.values((jnp.zeros(n), jnp.zeros(m)), own.data)
        columns = []
        for e in np.eye(size):
            moved = own.values((jnp.asarray(e[:n]), jnp.asarray(e[n:])), own.data)
            columns.append(np.hstack([a - b for a, b in zip(moved, zero, strict=True)]))
    return np.stack(columns, axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 6), (1, 4)])
@pytest.mark.parametrize("importance", [True, False])
def test_components_and_their_constants(shape, importance):
    n, m = shape
    A, b, c = matrix(n, m), np.arange(1.0, n + 1), np.arange(m) - 2.0
    F = MatrixComponents(A, b, c, importance=importance)
    parts = dense_parts(F, n + m)
    assert len(parts) == F.components == max(shape)
    whole = np.block([[np.zeros((n, n)), A], [-A.T, np.zeros((m, m))]])
    assert np.allclose(parts.mean(0), whole)
    p = np.full(max(shape), 1 / max(shape)) if F.probabilities is None else F.probabilities
    square = np.einsum("i,iab,iac->bc", 1 / (len(p) ** 2 * p), parts, parts)
    assert np.isclose(F.lipschitz, np.sqrt(np.linalg.norm(square, 2)), rtol=1e-6)
    if importance:
        frobenius = np.linalg.norm(A)
        assert frobenius <= F.lipschitz * (1 + 1e-12) <= np.sqrt(2.01) * frobenius
    x = np.linspace(0, 1, n), np.linspace(1, 2, m)
    with jax.enable_x64(True):
        point = tuple(jnp.asarray(part) for part in x)
        own = jax.tree_util.tree_map(jnp.asarray, F)
        for value in (own(point), jax.tree_util.tree_map(
            lambda leaf: leaf.mean(axis=0), own.values(point, own.data)
        )):  # fmt: skip
            assert np.allclose(value[0], A @ x[1] + b)
            assert np.allclose(value[1], -A.T @ x[0] - c)


def test_importance_helps_where_lines_differ():
    A = matrix(8, 8) * np.logspace(0, -2, 8)[:, None]
    assert MatrixComponents(A).lipschitz < 0.7 * MatrixComponents(A, importance=False).lipschitz


@pytest.mark.slow
@pytest.mark.parametrize("method", [VarianceReducedExtragradient, VarianceReducedResolvent])
def test_games_are_solved_by_rows_and_columns(method):
    game = by_components(rs.MatrixGame(matrix(12, 9, 2)))
    sol = rs.solve(game, method(), rtol=1e-1, key=0)
    p, q = sol.x
    gap = (p @ game.A).max() - (game.A @ q).min()
    assert sol.certificate.value == pytest.approx(gap)
    assert gap <= 1e-1 * np.abs(game.A).max()
    assert sol.calls["component"] > 12


def test_the_game_stays_the_game_that_it_was():
    A = matrix(3, 4)
    plain = rs.MatrixGame(A)
    game = by_components(plain)
    assert isinstance(game, rs.MatrixGame)
    assert np.array_equal(game.A, A)
    method = rs.inclusion.PrimalDual()
    one, other = (rs.solve(each, method, rtol=1e-4) for each in (plain, game))
    assert one.steps == other.steps
    assert np.allclose(one.x[0], other.x[0])


def test_no_game_is_refused():
    with pytest.raises(TypeError, match="BilinearGame"):
        by_components(rs.Inclusion(lambda x: x, start=np.ones(2)))
    with pytest.raises(ValueError, match="zeros"):
        MatrixComponents(np.zeros((2, 2)))
