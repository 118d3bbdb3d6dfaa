"""Incomplete factorizations and algebraic multigrid: exact, definite, certified, refused."""

import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent.linear.bicgstab import BiCGStab
from resolvent.linear.cg import CG
from resolvent.linear.incomplete import IncompleteCholesky, IncompleteLU
from resolvent.linear.minres import MINRES
from resolvent.linear.multigrid import AlgebraicMultigrid

SYMMETRIC = [
    IncompleteCholesky(),
    AlgebraicMultigrid(),
    AlgebraicMultigrid(kind="ruge-stuben"),
]
EVERY = [*SYMMETRIC, IncompleteLU()]
symmetric = pytest.mark.parametrize("M", SYMMETRIC, ids=str)
every = pytest.mark.parametrize("M", EVERY, ids=str)
both = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["double", "single"])


def laplacian(side, shift=0.0):
    line = sp.diags_array(
        [-np.ones(side - 1), 2.0 * np.ones(side), -np.ones(side - 1)], offsets=[-1, 0, 1]
    )
    eye = sp.eye_array(side)
    return (sp.kron(line, eye) + sp.kron(eye, line) + shift * sp.eye_array(side**2)).tocsr()


def system(A, dtype=np.float64, seed=1):
    b = np.random.default_rng(seed).standard_normal(A.shape[0])
    return rs.LinearSystem(A.astype(dtype), b.astype(dtype))


def as_matrix(ready, n, dtype=np.float64):
    return np.stack([ready.apply(column) for column in np.eye(n, dtype=dtype)], axis=1)


def spd(size, seed=0):
    G = np.random.default_rng(seed).standard_normal((size, 2 * size))
    return G @ G.T / size + 0.1 * np.eye(size)


def incomplete_cholesky(A):
    """Kij's textbook loop on a dense array: L with A = L L^T on the pattern of A."""
    n = len(A)
    L = np.tril(A)
    for k in range(n):
        L[k, k] = np.sqrt(L[k, k])
        for i in range(k + 1, n):
            if L[i, k] != 0.0:
                L[i, k] /= L[k, k]
        for j in range(k + 1, n):
            for i in range(j, n):
                if A[i, j] != 0.0:
                    L[i, j] -= L[i, k] * L[j, k]
    return L


@both
@pytest.mark.parametrize("kind", ["tridiagonal", "dense"])
def test_incomplete_cholesky_without_fill_is_the_inverse(kind, dtype):
    if kind == "dense":
        A = spd(20)
    else:
        line = sp.diags_array([-np.ones(29), 2.5 * np.ones(30), -np.ones(29)], offsets=[-1, 0, 1])
        A = line.tocsr()
    problem = system(A, dtype)
    ready = IncompleteCholesky().setup(problem)
    assert ready.shift == 0.0
    z = ready.apply(problem.b)
    assert z.dtype == dtype
    residual = np.linalg.norm(problem.residual(z)) / np.linalg.norm(problem.b)
    assert residual <= 200 * np.finfo(dtype).eps
    sol = rs.solve(problem, CG(preconditioner=IncompleteCholesky()), rtol=3e-5)
    assert sol.steps == 1


def test_incomplete_cholesky_is_the_textbook_factor():
    A = laplacian(6, 0.1)
    L = incomplete_cholesky(A.toarray())
    ready = IncompleteCholesky().setup(system(A))
    expected = np.linalg.inv(L @ L.T)
    assert np.abs(as_matrix(ready, 36) - expected).max() <= 1e-13 * np.abs(expected).max()
    assert np.abs(L @ L.T - A.toarray()).max() > 1e-2  # there is fill that it drops


def test_incomplete_cholesky_shifts_where_it_breaks_down():
    # Positive definite, yet the last pivot of IC(0) is negative.
    A = np.array([[3.0, -2.0, 0.0, 2.0], [-2.0, 3.0, -2.0, 0.0],
                  [0.0, -2.0, 3.0, -2.0], [2.0, 0.0, -2.0, 3.0]])  # fmt: skip
    assert np.linalg.eigvalsh(A)[0] > 0
    problem = rs.LinearSystem(sp.csr_array(A), np.arange(4.0))
    ready = IncompleteCholesky().setup(problem)
    assert ready.shift > 0.0
    L = incomplete_cholesky(A + ready.shift * np.diag(np.diag(A)))
    assert np.isfinite(L).all()
    assert np.allclose(as_matrix(ready, 4), np.linalg.inv(L @ L.T), rtol=1e-12)
    with np.errstate(invalid="ignore"):
        before = incomplete_cholesky(A + 0.5 * ready.shift * np.diag(np.diag(A)))
    assert not np.isfinite(before).all()
    assert f"shift={ready.shift}" in repr(ready)
    assert rs.solve(problem, CG(preconditioner=IncompleteCholesky()), rtol=1e-10).converged
    coarse = IncompleteCholesky(first=0.5).setup(problem)
    assert coarse.shift == 0.5


@symmetric
@both
@pytest.mark.parametrize("side", [5, 13])
def test_application_is_symmetric_positive_definite(M, dtype, side):
    n = side * side
    matrix = as_matrix(M.setup(system(laplacian(side), dtype)), n, dtype).astype(float)
    scale = np.abs(matrix).max()
    assert np.abs(matrix - matrix.T).max() <= 100 * np.finfo(dtype).eps * scale
    assert np.linalg.eigvalsh(matrix + matrix.T)[0] > 0


@symmetric
@both
def test_cg_is_certified_and_faster(M, dtype):
    rtol = 1e-10 if dtype is np.float64 else 1e-5
    problem = system(laplacian(30), dtype)
    plain = rs.solve(problem, CG(), rtol=rtol)
    sol = rs.solve(problem, CG(preconditioner=M), rtol=rtol)
    assert sol.converged
    assert sol.x.dtype == dtype
    assert sol.steps < 0.6 * plain.steps
    true = problem.b - laplacian(30) @ sol.x.astype(float)
    assert np.linalg.norm(true) <= 1.01 * rtol * np.linalg.norm(problem.b)
    assert sol.calls == {"matvec": sol.steps + 1, "precondition": sol.steps + 1}


@every
def test_general_methods_take_every_preconditioner(M):
    problem = system(laplacian(16))
    sol = rs.solve(problem, BiCGStab(preconditioner=M), rtol=1e-9)
    assert sol.converged
    assert sol.steps < rs.solve(problem, BiCGStab(), rtol=1e-9).steps


@symmetric
def test_minres_takes_the_definite_ones(M):
    sol = rs.solve(system(laplacian(16)), MINRES(preconditioner=M), rtol=1e-9)
    assert sol.converged


@every
@pytest.mark.parametrize("A", [np.array([[4.0]]), np.diag(np.arange(1.0, 81.0))], ids=["1", "80"])
def test_diagonal_systems(M, A):
    for matrix in (A, sp.csr_array(A)):
        problem = rs.LinearSystem(matrix, np.ones(len(A)))
        assert rs.solve(problem, BiCGStab(preconditioner=M), rtol=1e-9).converged


@every
def test_dense_equals_sparse(M):
    A = laplacian(8)
    one, two = M.setup(system(A)), M.setup(system(A.toarray()))
    b = np.linspace(-1.0, 1.0, 64)
    assert np.array_equal(one.apply(b), two.apply(b))


@every
def test_set_up_once_serves_many(M):
    problem = system(laplacian(10))
    ready = M.setup(problem)
    assert ready.setup(problem) is ready
    assert ready is not M
    b = problem.b.copy()
    first = ready.apply(b)
    assert np.array_equal(b, problem.b)
    assert np.array_equal(first, ready.apply(b))
    assert np.array_equal(first, M.setup(problem).apply(b))
    with pytest.raises(RuntimeError, match=r"given no matrix yet; needed setup\(problem\) first"):
        M.apply(b)


@every
def test_text_does_not_grow_with_the_set_up(M):
    ready = M.setup(system(laplacian(10)))
    assert len(repr(ready)) < 90
    assert "0x" not in repr(ready)
    assert repr(M) == repr(ready).replace("(shift=0.0)", "()")


@every
def test_set_up_values_are_trees_and_files_say_what_they_cannot_hold(M, tmp_path):
    ready = M.setup(system(laplacian(10)))
    leaves, structure = jax.tree_util.tree_flatten(ready)
    again = jax.tree_util.tree_unflatten(structure, leaves)
    b = np.linspace(-1.0, 1.0, 100)
    assert np.array_equal(again.apply(b), ready.apply(b))
    place = tmp_path / "preconditioner.rs"
    rs.save(place, M)
    assert np.array_equal(rs.load(place).setup(system(laplacian(10))).apply(b), ready.apply(b))
    if isinstance(M, IncompleteCholesky):
        rs.save(place, ready)
        assert np.array_equal(rs.load(place).apply(b), ready.apply(b))
        return
    with pytest.raises(TypeError, match=r"given a (SuperLU|csr_array); needed numbers, texts"):
        rs.save(place, ready)


@both
def test_complete_lu_is_the_inverse(dtype):
    A = sp.csr_array(spd(25) + np.triu(np.ones((25, 25)), 3))
    problem = system(A, dtype)
    ready = IncompleteLU(drop_tol=0.0, fill_factor=30.0).setup(problem)
    z = ready.apply(problem.b)
    assert z.dtype == dtype
    error = np.linalg.norm(problem.residual(z)) / np.linalg.norm(problem.b)
    assert error <= 500 * np.finfo(dtype).eps


def test_lu_comes_closer_with_a_smaller_tolerance():
    A = laplacian(20) + sp.diags_array(0.8 * np.ones(399), offsets=1)
    problem = system(A)
    far, near = (
        np.linalg.norm(problem.residual(IncompleteLU(drop_tol=tol).setup(problem).apply(problem.b)))
        for tol in (1e-1, 1e-3)
    )
    assert near < 0.2 * far


def test_cg_refuses_lu():
    with pytest.raises(ValueError, match="IncompleteLU, which is not symmetric positive definite"):
        rs.solve(system(laplacian(4)), CG(preconditioner=IncompleteLU()))


def test_lu_of_a_singular_matrix_is_refused_in_words():
    for A in (np.ones((3, 3)), np.diag([1.0, 0.0, 1.0])):
        with pytest.raises(ValueError, match="IncompleteLU for a matrix whose factorization fails"):
            IncompleteLU().setup(rs.LinearSystem(sp.csr_array(A), np.ones(3)))


@pytest.mark.parametrize(("M", "words"), [
    (IncompleteLU(drop_tol=-1.0), r"drop_tol: given -1.0; needed a number in \[0, 1\]"),
    (IncompleteLU(drop_tol=np.nan), r"drop_tol: given nan; needed a number in \[0, 1\]"),
    (IncompleteLU(fill_factor=0.5), "fill_factor: given 0.5; needed a number >= 1"),
    (IncompleteCholesky(first=0.0), "first: given 0.0; needed a positive number"),
    (AlgebraicMultigrid(kind="classical"), "kind: given 'classical'; needed one of 'smoothed-"),
    (AlgebraicMultigrid(near_null=np.ones(3)), r"near_null: given shape \(3,\); needed shape"),
    (AlgebraicMultigrid(near_null=np.full(16, np.nan)), "near_null: given 16 entries that are not"),
    (AlgebraicMultigrid("ruge-stuben", near_null=np.ones(16)), "near_null: given vectors beside"),
])  # fmt: skip
def test_bad_parameters_are_refused(M, words):
    with pytest.raises(ValueError, match=words):
        rs.solve(system(laplacian(4)), BiCGStab(preconditioner=M))


def test_incomplete_cholesky_refuses_what_is_not_definite():
    unsymmetric = laplacian(4) + sp.diags_array(np.ones(15), offsets=1)
    negative = -laplacian(4)
    for A, words in [(unsymmetric, "not symmetric"), (negative, "not positive definite")]:
        with pytest.raises(ValueError, match=words):
            rs.solve(system(A), BiCGStab(preconditioner=IncompleteCholesky()))
    with pytest.raises(ValueError, match="breaks down in row 0, whatever is added"):
        IncompleteCholesky().setup(system(negative))


@pytest.mark.parametrize("kind", ["smoothed-aggregation", "ruge-stuben"])
def test_multigrid_steps_hardly_grow_with_the_grid(kind):
    method = CG(preconditioner=AlgebraicMultigrid(kind))
    steps = [rs.solve(system(laplacian(side)), method, rtol=1e-8).steps for side in (24, 96)]
    assert steps[1] <= steps[0] + 5


def test_multigrid_uses_near_null_vectors():
    gallery = pytest.importorskip("pyamg.gallery")
    A, B = gallery.linear_elasticity((24, 24), format="csr")
    problem = system(sp.csr_array(A))
    plain = rs.solve(problem, CG(preconditioner=AlgebraicMultigrid()), rtol=1e-8)
    rigid = rs.solve(problem, CG(preconditioner=AlgebraicMultigrid(near_null=B)), rtol=1e-8)
    assert plain.converged
    assert rigid.converged
    assert rigid.steps < 0.8 * plain.steps


def test_multigrid_serves_unsymmetric_matrices():
    A = laplacian(24) + sp.diags_array([0.5 * np.ones(575), -0.5 * np.ones(575)], offsets=[1, -1])
    problem = system(A)
    for kind in ("smoothed-aggregation", "ruge-stuben"):
        method = BiCGStab(preconditioner=AlgebraicMultigrid(kind))
        sol = rs.solve(problem, method, rtol=1e-9)
        assert sol.converged
        assert sol.steps < rs.solve(problem, BiCGStab(), rtol=1e-9).steps


def test_multigrid_leaves_global_state_alone():
    np.random.seed(12)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(12)  # noqa: NPY002
    filters = list(warnings.filters)
    AlgebraicMultigrid().setup(system(laplacian(20)))
    assert np.random.rand() == expected  # noqa: NPY002
    assert warnings.filters == filters


def test_without_pyamg_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    with pytest.raises(ImportError, match=r"AlgebraicMultigrid: .*pip install pyamg"):
        rs.solve(system(laplacian(4)), CG(preconditioner=AlgebraicMultigrid()))


@pytest.mark.parametrize("kind", ["smoothed-aggregation", "ruge-stuben"])
def test_multigrid_in_threads_builds_what_it_builds_alone(kind):
    problem = system(laplacian(40))
    M = AlgebraicMultigrid(kind=kind)
    z = M.setup(problem).apply(problem.b)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda _: M.setup(problem).apply(problem.b), range(12)))
    for other in threads:
        assert np.array_equal(z, other)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_set_ups_of_multigrid_wait_for_each_other():
    from resolvent.linear.multigrid import _quiet

    inside, most = [0], [0]

    def work(_):
        with _quiet():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most[0] == 1


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda low, high: rs.linear.ChebyshevPreconditioner(2, low, high), ("low", "high")),
        (
            lambda low, high: rs.solve(system(laplacian(5)), rs.linear.Chebyshev(low, high)),
            ("low", "high"),
        ),
        (
            lambda low, high: rs.linear.PolynomialGradient(
                accelerated=True, smallest=low, largest=high
            ),
            ("smallest", "largest"),
        ),
    ],
    ids=["preconditioner", "iteration", "gradient"],
)
def test_bounds_of_a_spectrum_are_refused_in_one_voice(make, names):
    low, high = names
    for one, other in [(2.0, 1.0), (1.0, 1.0)]:
        with pytest.raises(ValueError, match=rf"{low}, {high}: given .* needed 0 < {low} < {high}"):
            make(one, other)
    for value in (-1.0, 0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=rf"^{low}: given"):
            make(value, None)
        with pytest.raises(ValueError, match=rf"^{high}: given"):
            make(None, value)
    with pytest.raises(TypeError, match=rf"^{high}: given str"):
        make(None, "large")
