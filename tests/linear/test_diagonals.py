"""Diagonal storage, whole and of symmetric matrices: products, diagonals, the choice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse

import resolvent as rs
from resolvent.linear.operators import Diagonals, SymmetricDiagonals, traced_form

PATTERNS = [(0,), (0, 1), (0, 2, 5), (1, 3)]


def banded(above, n=9, seed=0):
    """A symmetric matrix with entries on these diagonals and their mirrors."""
    rng = np.random.default_rng(seed)
    upper = sparse.diags_array([rng.random(n - k) + 0.5 for k in above], offsets=above)
    return sparse.csr_array(upper + sparse.triu(upper, 1).T)


@pytest.mark.parametrize("above", PATTERNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_symmetric_diagonals_multiply_as_the_matrix(above, dtype):
    A = banded(above).astype(dtype)
    x = np.random.default_rng(1).standard_normal(9).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        form = traced_form(A, True)
        assert isinstance(form, SymmetricDiagonals)
        assert form.offsets == above
        assert form.n == 9
        assert form.dtype == dtype
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(form.mv(jnp.asarray(x)), A @ x, rtol=20 * eps, atol=20 * eps)
        np.testing.assert_array_equal(form.diagonal(), A.diagonal())
        whole = form.whole()
        assert whole.form == form.form
        np.testing.assert_allclose(whole.mv(jnp.asarray(x)), A @ x, rtol=20 * eps, atol=20 * eps)


def test_a_last_bit_of_asymmetry_keeps_every_diagonal():
    A = banded((0, 1, 3)).toarray()
    A[4, 3] = np.nextafter(A[4, 3], 2.0)
    with jax.enable_x64(True):
        form = traced_form(sparse.csr_array(A), True)
        assert isinstance(form, Diagonals)
        np.testing.assert_allclose(form.mv(jnp.ones(9)), A.sum(1), rtol=1e-14)


def test_both_storages_give_the_same_answer():
    n = 12
    line = sparse.diags_array([-1.0, 2.1, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    A = sparse.csr_array(sparse.kronsum(line, line))
    b = np.random.default_rng(2).standard_normal(n * n)
    rows = rs.solve(rs.LinearSystem(A, b), rs.linear.CG(), rtol=1e-10)
    traced = rs.solve(rs.LinearSystem(A, b, storage="diagonals"), rs.linear.CG(), rtol=1e-10)
    assert traced.engine == "traced, 5 diagonals"
    assert traced.steps == rows.steps
    np.testing.assert_allclose(traced.x, rows.x, rtol=1e-8)
