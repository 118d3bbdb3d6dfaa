"""The relaxation kernels against dense splittings."""

import numpy as np
import pytest
import scipy.sparse as sp

from resolvent.linear import kernels, kernels_relax

VARIANTS = [(np.float64, np.int32), (np.float32, np.int64)]


@pytest.fixture(params=VARIANTS, ids=["float64-int32", "float32-int64"])
def variant(request):
    return request.param


def tolerance(dtype):
    return 200 * np.finfo(dtype).eps


def csr(matrix, dtype=np.float64, index=np.int32):
    matrix = sp.csr_array(matrix).astype(dtype)
    matrix.sort_indices()
    matrix.indices = matrix.indices.astype(index)
    matrix.indptr = matrix.indptr.astype(index)
    return matrix


def parts(matrix):
    return matrix.data, matrix.indices, matrix.indptr


def general(dtype=np.float64, index=np.int32, size=50, seed=5):
    """Not symmetric, rows dominated by the diagonal, so that all sweeps converge."""
    pattern = sp.random_array((size, size), density=0.1, rng=np.random.default_rng(seed))
    matrix = pattern - sp.diags_array(pattern.diagonal())
    return csr(matrix + sp.diags_array(1.5 * abs(matrix).sum(axis=1) + 0.5), dtype, index)


def vector(size, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def positions_of(matrix):
    positions = np.empty(matrix.shape[0], np.int64)
    assert kernels.diagonal_positions(matrix.indices, matrix.indptr, positions) == 0
    return positions


def close(left, right, dtype):
    right = np.asarray(right)
    assert np.max(np.abs(left - right)) <= tolerance(dtype) * np.max(np.abs(right))


def ssor_matrix(matrix, omega):
    full = matrix.todense().astype(float)
    diagonal = np.diag(np.diag(full))
    left = diagonal / omega + np.tril(full, -1)
    right = diagonal / omega + np.triu(full, 1)
    return omega / (2 - omega) * left @ np.linalg.inv(diagonal) @ right


def relaxation(name, matrix, b, omega):
    """A function that advances the named kernel, and its iterate."""
    dtype = matrix.dtype
    size = matrix.shape[0]
    a, positions = parts(matrix), positions_of(matrix)
    inverse = (1 / matrix.diagonal()).astype(dtype)
    x, r, scalars = np.zeros(size, dtype), b.copy(), np.zeros(2)
    d, e, f = (np.full(size, np.nan, dtype) for _ in range(3))
    if name == "backward":
        kernels_relax.sor_backward_start(*a, positions, omega, r, d, scalars)
    else:
        kernels_relax.sor_start(*a, positions, omega, r, d, scalars)

    def advance(steps, target=0.0):
        trace = np.full(steps, np.nan)
        end = (scalars, steps, target, trace)
        if name == "forward":
            result = kernels_relax.sor(*a, positions, omega, x, d, *end)
        elif name == "backward":
            result = kernels_relax.sor_backward(*a, positions, omega, x, d, *end)
        elif name == "symmetric":
            result = kernels_relax.ssor(*a, positions, omega, x, d, e, f, *end)
        else:
            work = np.full((2, size), np.nan, dtype)
            result = kernels_relax.jacobi(*a, inverse, omega, x, r, work, *end)
        return *result, trace

    return advance, x


def splitting(name, matrix, omega):
    full = matrix.todense().astype(float)
    diagonal = np.diag(np.diag(full))
    return {
        "forward": diagonal / omega + np.tril(full, -1),
        "backward": diagonal / omega + np.triu(full, 1),
        "symmetric": ssor_matrix(matrix, omega),
        "jacobi": diagonal / omega,
    }[name]


RELAX = ["forward", "backward", "symmetric", "jacobi"]


@pytest.mark.parametrize("name", RELAX)
@pytest.mark.parametrize("omega", [1.0, 0.7])
def test_sweeps_are_those_of_the_splitting(name, omega, variant):
    matrix = general(*variant)
    b = vector(matrix.shape[0], variant[0])
    full, inverse = matrix.astype(float), np.linalg.inv(splitting(name, matrix, omega))
    advance, x = relaxation(name, matrix, b, omega)
    reference = np.zeros(len(b))
    for _ in range(6):
        reference = reference + inverse @ (b - full @ reference)
        done, status, trace = advance(1)
        assert (done, status) == (1, kernels.RUNNING)
        close(x, reference, variant[0])
        true = np.linalg.norm(b - full @ reference)
        assert trace[0] == pytest.approx(true, rel=0, abs=float(50 * tolerance(variant[0])))


@pytest.mark.parametrize("name", RELAX)
def test_relaxation_stops_at_its_target_and_resumes_to_the_bit(name, variant):
    matrix = general(*variant)
    b = vector(matrix.shape[0], variant[0])
    target = 1e-8 if variant[0] is np.float64 else 1e-3
    advance, x = relaxation(name, matrix, b, 0.9)
    done, status, trace = advance(500, target)
    assert status == kernels.RUNNING
    assert 3 < done < 500
    assert trace[done - 1] <= target
    assert np.all(trace[: done - 1] > target)
    assert np.linalg.norm(b - matrix.astype(float) @ x.astype(float)) <= 1.1 * target
    again, y = relaxation(name, matrix, b, 0.9)
    pieces = np.concatenate([again(3)[2], again(done - 3)[2]])
    assert np.array_equal(pieces, trace[:done])
    assert np.array_equal(x, y)
    assert advance(3, target)[0] == 0


@pytest.mark.parametrize("name", RELAX)
def test_divergence_ends_as_not_finite(name):
    matrix = csr(np.array([[1.0, 9.0], [9.0, 1.0]]))
    done, status, trace = relaxation(name, matrix, np.array([1.0, 2.0]), 1.0)[0](5000, 1e-3)
    assert status == kernels.NON_FINITE
    assert done < 5000
    assert not np.any(trace[:done] <= 1e-3)


def test_bare_sweeps_agree_with_the_splitting(variant):
    matrix = general(*variant)
    b = vector(matrix.shape[0], variant[0])
    inverse = (1 / matrix.diagonal()).astype(variant[0])
    start = vector(matrix.shape[0], variant[0], 4)
    sweeps = {
        "forward": kernels_relax.sor_sweep,
        "backward": kernels_relax.sor_sweep_backward,
    }
    for name, sweep in sweeps.items():
        x = start.copy()
        sweep(*parts(matrix), inverse, 1.3, b, x)
        step = np.linalg.solve(splitting(name, matrix, 1.3), b - matrix.astype(float) @ start)
        close(x, start + step, variant[0])


def test_ssor_application_inverts_its_matrix(variant):
    for matrix in (general(*variant), general(*variant, size=23, seed=9)):
        r = vector(matrix.shape[0], variant[0])
        z = np.full_like(r, np.nan)
        kernels_relax.ssor_apply(*parts(matrix), positions_of(matrix), 1.4, r, z)
        close(z, np.linalg.solve(ssor_matrix(matrix, 1.4), r.astype(float)), variant[0])


def run_kaczmarz(matrix, b, rows, every, pieces, target=0.0):
    squares = np.empty(matrix.shape[0])
    kernels_relax.row_squares(matrix.data, matrix.indptr, squares)
    x = np.zeros(matrix.shape[1], matrix.dtype)
    scalars = np.array([np.linalg.norm(b), 0.0])
    norms = []
    done = 0
    for part in np.split(rows, pieces):
        trace = np.empty(len(part) // every + 1)
        count, measured, status = kernels_relax.kaczmarz(
            *parts(matrix), b, squares, part, every, x, scalars, target, trace
        )
        assert status == kernels.RUNNING
        norms += list(trace[:measured])
        done += count
    return x, norms, done


def test_kaczmarz_projects_in_the_given_order(variant):
    matrix = csr(sp.random_array((30, 12), density=0.4, rng=2), *variant)
    solution = vector(12, variant[0])
    b = matrix @ solution
    rows = np.random.default_rng(8).integers(0, 30, 60)
    x, norms, done = run_kaczmarz(matrix, b, rows, 20, [])
    full = matrix.todense().astype(float)
    y = np.zeros(12)
    for i in rows:
        y = y + (b[i] - full[i] @ y) / (full[i] @ full[i]) * full[i] if full[i].any() else y
    close(x, y, variant[0])
    assert done == 60
    assert len(norms) == 3
    assert norms[-1] == pytest.approx(np.linalg.norm(b - full @ y), rel=1e-3)
    z, resumed, _ = run_kaczmarz(matrix, b, rows, 20, [20, 40])
    assert np.array_equal(x, z)
    assert norms == resumed


def test_kaczmarz_stops_at_its_target_and_passes_over_empty_rows():
    matrix = csr(np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 4.0]]))
    b = np.array([2.0, 0.0, 8.0])
    x, norms, done = run_kaczmarz(matrix, b, np.array([1, 0, 2, 0, 0, 0]), 3, [], 1e-12)
    assert list(x) == [1.0, 2.0]
    assert norms == [0.0]
    assert done == 3
