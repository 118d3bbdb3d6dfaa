"""The Numba kernels against SciPy and dense references."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg as dense
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from resolvent.linear import kernels, kernels_factor, kernels_krylov, kernels_relax

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


def laplacian(m):
    line = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    return sp.kron(line, sp.eye_array(m)) + sp.kron(sp.eye_array(m), line)


def spd(dtype: type = np.float64, index: type = np.int32, size=60, seed=3):
    """Irregular pattern, diagonal of several magnitudes, positive definite by dominance."""
    pattern = sp.random_array(
        (size, size), density=0.08, rng=np.random.default_rng(seed), data_sampler=None
    )
    lower = sp.tril(pattern - 0.5 * (pattern != 0), -1)
    matrix = lower + lower.T
    weight = abs(matrix).sum(axis=1) + np.linspace(0.05, 3.0, size)
    return csr(matrix + sp.diags_array(weight), dtype, index)


def vector(size, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def split(matrix):
    return kernels.split(*parts(matrix))


def positions_of(matrix):
    positions = np.empty(matrix.shape[0], np.int64)
    assert kernels.diagonal_positions(matrix.indices, matrix.indptr, positions) == 0
    return positions


def close(left, right, dtype):
    right = np.asarray(right)
    assert np.max(np.abs(left - right)) <= tolerance(dtype) * np.max(np.abs(right))


# Structure


def test_products_agree_with_scipy(variant):
    for matrix in (spd(*variant), csr(sp.random_array((7, 40), density=0.2, rng=1), *variant)):
        x = vector(matrix.shape[1], variant[0])
        out = np.full(matrix.shape[0], np.nan, variant[0])
        kernels.csr_matvec(*parts(matrix), x, out)
        close(out, matrix @ x, variant[0])
        b = vector(matrix.shape[0], variant[0], 1)
        norm = kernels.csr_residual(*parts(matrix), x, b, out)
        close(out, b - matrix @ x, variant[0])
        assert norm == pytest.approx(np.linalg.norm(out.astype(float)), rel=1e-6)


def test_a_residual_of_cancelling_terms_is_formed_as_if_exactly(variant):
    exact = np.vectorize(lambda value: Fraction(float(value)))
    A = csr(np.array([[1.0, 1.0, 1.0], [3e14, 16610.0, 1.0], [0.0, 2e12, -7.0]]), *variant)
    x = np.array([1 / 3, -1e14 / 16610, 7e11], variant[0])
    b = vector(3, variant[0])
    true = exact(b) - exact(A.toarray()) @ exact(x)
    square = kernels.csr_residual_square_twofold(*parts(A), x, b)
    assert square == pytest.approx(float(true @ true), rel=1e-15)
    uncertain = kernels.csr_residual_squares(*parts(A), x, b)[3]
    assert uncertain == pytest.approx(float(np.square(abs(A) @ abs(x).astype(float)).sum()), 1e-6)


def test_half_storage_holds_the_matrix(variant):
    matrix = spd(*variant)
    data, indices, indptr, diagonal = split(matrix)
    lower = sp.csr_array((data, indices, indptr), shape=matrix.shape)
    assert np.array_equal((lower + lower.T + sp.diags_array(diagonal)).todense(), matrix.todense())
    x = vector(matrix.shape[0], variant[0])
    out = np.full_like(x, np.nan)
    kernels.symmetric_matvec(data, indices, indptr, diagonal, x, out)
    close(out, matrix @ x, variant[0])


def test_diagonal_positions_finds_entries_and_gaps():
    matrix = csr(np.array([[0.0, 2.0, 0.0], [3.0, 4.0, 5.0], [6.0, 0.0, 7.0]]))
    positions = np.empty(3, np.int64)
    assert kernels.diagonal_positions(matrix.indices, matrix.indptr, positions) == 1
    assert positions[0] == -1
    assert list(matrix.data[positions[1:]]) == [4.0, 7.0]
    assert list(split(matrix)[3]) == [0.0, 4.0, 7.0]


def test_symmetry_is_decided_exactly(variant):
    matrix = spd(*variant)
    assert kernels.is_symmetric(*parts(matrix), 0.0)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for k in np.flatnonzero(rows != matrix.indices)[::7]:
        changed = matrix.data.copy()
        changed[k] = np.nextafter(changed[k], variant[0](2))
        assert not kernels.is_symmetric(changed, matrix.indices, matrix.indptr, 0.0)
        assert kernels.is_symmetric(
            changed, matrix.indices, matrix.indptr, 8 * np.finfo(variant[0]).eps
        )
        changed[k] = np.nan
        assert not kernels.is_symmetric(changed, matrix.indices, matrix.indptr, 1.0)


@pytest.mark.parametrize("entry", [(0, 3), (3, 0), (1, 2), (3, 2)])
def test_one_missing_partner_is_found(entry):
    matrix = np.eye(4) * 2
    matrix[0, 1] = matrix[1, 0] = -1.0
    assert kernels.is_symmetric(*parts(csr(matrix)), 0.0)
    matrix[entry] = 0.25
    assert not kernels.is_symmetric(*parts(csr(matrix)), 1e-3)


def test_stored_zeros_do_not_break_symmetry():
    data = np.array([1.0, 0.0, 2.0, 3.0, 0.0, 4.0])
    indices = np.array([0, 2, 0, 1, 0, 2], np.int32)
    indptr = np.array([0, 2, 4, 6], np.int32)
    data[2] = 0.0
    assert kernels.is_symmetric(data, indices, indptr, 0.0)
    data[2] = 1e-30
    assert not kernels.is_symmetric(data, indices, indptr, 0.0)
    assert kernels.is_symmetric(data, indices, indptr, 1e-12)


def test_symmetry_agrees_with_the_dense_answer():
    rng = np.random.default_rng(11)
    answers = []
    for _ in range(200):
        matrix = rng.integers(0, 2, (4, 4)) * rng.integers(-1, 2, (4, 4)).astype(float)
        if rng.random() < 0.5:
            matrix = matrix + matrix.T
        answers.append(bool(np.array_equal(matrix, matrix.T)))
        assert kernels.is_symmetric(*parts(csr(matrix)), 0.0) == answers[-1]
    assert any(answers)
    assert not all(answers)


def test_diagonals_round_trip(variant):
    matrix = csr(laplacian(6), *variant)
    offsets = np.empty(8, np.int64)
    counts = np.empty(8, np.int64)
    found = kernels.count_diagonals(matrix.indices, matrix.indptr, 8, offsets, counts)
    assert list(offsets[:found]) == [-6, -1, 0, 1, 6]
    assert list(counts[:found]) == [np.sum(matrix.diagonal(d) != 0) for d in offsets[:found]]
    diagonals = np.full((found, 36), np.nan, variant[0])
    kernels.csr_to_diagonals(*parts(matrix), offsets[:found], diagonals)
    back = np.zeros((36, 36))
    for offset, row in zip(offsets[:found], diagonals, strict=True):
        for i in range(36):
            if 0 <= i + offset < 36:
                back[i, i + offset] = row[i]
            else:
                assert row[i] == 0
    assert np.array_equal(back, matrix.todense())
    assert kernels.count_diagonals(matrix.indices, matrix.indptr, 4, offsets, counts) == 5


# Conjugate gradients


class Krylov:
    """One run of a CG kernel on arrays of its own."""

    def __init__(self, name, matrix, b, omega=1.0):
        self.name, self.matrix, self.omega = name, matrix, omega
        self.half = split(matrix)
        self.inverse = (1 / matrix.diagonal()).astype(matrix.dtype)
        size = matrix.shape[0]
        self.x = np.zeros(size, matrix.dtype)
        self.r = b.copy()
        self.work = [np.full(size, np.nan, matrix.dtype) for _ in range(7)]
        self.scalars = np.empty(4)
        start = {
            "cg": lambda: kernels_krylov.cg_start(self.r, self.work[0], self.scalars),
            "jacobi": lambda: kernels_krylov.cg_jacobi_start(
                self.inverse, self.r, self.work[0], self.scalars
            ),
            "ssor": self.start_ssor,
        }
        start[name.removeprefix("symmetric-")]()

    def start_ssor(self):
        self.streams = ssor_streams(self.matrix, self.omega)
        link, lower, lower_columns, _, _, diagonal = self.streams
        kernels_krylov.ssor_cg_start(
            link, lower, lower_columns, diagonal, self.omega,
            self.x, self.r, *self.work[:5], self.scalars,
        )  # fmt: skip

    def advance(self, steps, target=0.0):
        trace = np.full(steps, np.nan)
        x, r, scalars, work = self.x, self.r, self.scalars, self.work
        end = (scalars, steps, target, trace)
        if self.name == "cg":
            result = kernels_krylov.cg(*parts(self.matrix), x, r, work[0], work[1], *end)
        elif self.name == "jacobi":
            result = kernels_krylov.cg_jacobi(
                *parts(self.matrix), self.inverse, x, r, work[0], work[1], *end
            )
        elif self.name == "symmetric-cg":
            result = kernels_krylov.cg_symmetric(*self.half, x, r, work[0], work[1], *end)
        elif self.name == "symmetric-jacobi":
            result = kernels_krylov.cg_symmetric_jacobi(
                *self.half, self.inverse, x, r, work[0], work[1], *end
            )
        else:
            result = kernels_krylov.ssor_cg(*self.streams, self.omega, x, *work[:5], *end)
        return *result, trace


def ssor_streams(matrix, omega):
    dtype, index = matrix.dtype, matrix.indices.dtype
    diagonal = np.full(matrix.shape[0], np.nan, dtype)
    below, above = kernels_krylov.ssor_count(*parts(matrix), diagonal)
    link = np.full(matrix.shape[0] + 1, np.nan, dtype)
    lower, upper = np.full(below, np.nan, dtype), np.full(above, np.nan, dtype)
    columns = np.full(below, 999, index), np.full(above, 999, index)
    streams = (lower, columns[0], upper, columns[1])
    kernels_krylov.ssor_split(*parts(matrix), diagonal, omega, link, *streams)
    return link, *streams, diagonal


def rows_of_stream(entries, columns, order):
    """The dense matrix that a stream holds; `order` is the order of its rows."""
    full = np.zeros((len(order), len(order)))
    k = 0
    for i in order:
        while columns[k] >= 0:
            full[i, columns[k]] += entries[k]
            k += 1
        full[i, ~columns[k]] += entries[k]
        k += 1
    assert k == len(entries) == len(columns)
    return full


def test_ssor_streams_hold_the_scaled_triangles(variant):
    for matrix in (spd(*variant), csr(laplacian(5), *variant), csr(2 * np.eye(4), *variant)):
        link, lower, lower_columns, upper, upper_columns, diagonal = ssor_streams(matrix, 1.6)
        order = range(matrix.shape[0])
        root = np.sqrt(matrix.diagonal().astype(float))
        scaled = 1.6 * matrix.todense() / np.outer(root, root)
        assert np.array_equal(diagonal, matrix.diagonal())
        assert link[0] == link[-1] == 0
        near = np.diag(link[1:-1].astype(float), -1)
        left = rows_of_stream(lower, lower_columns, order)
        right = rows_of_stream(upper, upper_columns, order[::-1])
        close(left + near, np.tril(scaled, -1), variant[0])
        close(right + near.T, np.triu(scaled, 1), variant[0])


KRYLOV = ["cg", "jacobi", "symmetric-cg", "symmetric-jacobi", "ssor"]


def ssor_matrix(matrix, omega):
    full = matrix.todense().astype(float)
    diagonal = np.diag(np.diag(full))
    left = diagonal / omega + np.tril(full, -1)
    right = diagonal / omega + np.triu(full, 1)
    return omega / (2 - omega) * left @ np.linalg.inv(diagonal) @ right


def reference_pcg(matrix, b, solve, steps):
    """Textbook PCG in float64; the iterates."""
    full = matrix.todense().astype(float)
    x = np.zeros(len(b))
    r = b.astype(float)
    z = solve(r)
    p, rho = z, r @ z
    iterates = []
    for _ in range(steps):
        product = full @ p
        alpha = rho / (p @ product)
        x = x + alpha * p
        r = r - alpha * product
        z = solve(r)
        rho, before = r @ z, rho
        p = z + rho / before * p
        iterates.append(x)
    return iterates


def preconditioner(name, matrix, omega):
    if name.endswith("cg"):
        return lambda r: r
    if name.endswith("jacobi"):
        return lambda r: r / matrix.diagonal()
    inverse = np.linalg.inv(ssor_matrix(matrix, omega))
    return lambda r: inverse @ r


@pytest.mark.parametrize("name", KRYLOV)
@pytest.mark.parametrize("omega", [1.0, 1.6])
def test_cg_iterates_are_those_of_the_textbook(name, omega, variant):
    if name != "ssor" and omega != 1.0:
        pytest.skip("omega belongs to SSOR")
    matrix = spd(*variant)
    b = vector(matrix.shape[0], variant[0])
    expected = reference_pcg(matrix, b, preconditioner(name, matrix, omega), 6)
    run = Krylov(name, matrix, b, omega)
    for reference in expected:
        done, status, trace = run.advance(1)
        assert (done, status) == (1, kernels.RUNNING)
        close(run.x, reference, variant[0])
        true = np.linalg.norm(b.astype(float) - matrix.astype(float) @ run.x)
        assert trace[0] == pytest.approx(true, rel=0, abs=float(10 * tolerance(variant[0])))


@pytest.mark.parametrize("name", KRYLOV)
def test_cg_solves_to_its_target_and_stops_there(name, variant):
    matrix = csr(laplacian(12), *variant)
    b = vector(144, variant[0])
    target = 1e-9 if variant[0] is np.float64 else 1e-3
    run = Krylov(name, matrix, b, 1.5)
    done, status, trace = run.advance(200, target)
    assert status == kernels.RUNNING
    assert done < 200
    assert trace[done - 1] <= target
    assert np.all(trace[: done - 1] > target)
    assert np.all(np.isnan(trace[done:]))
    assert run.scalars[kernels_krylov.STEPS] == done
    solution = spla.spsolve(sp.csc_array(laplacian(12)), b.astype(float))
    assert (
        np.linalg.norm(run.x - solution)
        <= 3 * target / np.linalg.eigvalsh(laplacian(12).todense()).min()
    )
    assert run.advance(5, target)[0] == 0


@pytest.mark.parametrize("name", KRYLOV)
def test_cg_resumes_to_the_bit(name, variant):
    matrix = spd(*variant, size=97)
    b = vector(97, variant[0])
    once = Krylov(name, matrix, b, 1.3)
    twice = Krylov(name, matrix, b, 1.3)
    whole = once.advance(20)[2]
    pieces = np.concatenate([twice.advance(10)[2], twice.advance(3)[2], twice.advance(7)[2]])
    assert np.array_equal(whole, pieces)
    assert np.array_equal(once.x, twice.x)
    assert np.array_equal(once.scalars, twice.scalars)


@pytest.mark.parametrize("name", KRYLOV)
def test_cg_reports_an_indefinite_matrix(name):
    diagonal = np.linspace(1.0, 3.0, 20)
    full = np.diag(diagonal)
    full[0, 1] = full[1, 0] = 2.0
    b = np.zeros(20)
    b[:2] = [1.0, -1.0]
    run = Krylov(name, csr(full), b)
    done, status, _ = run.advance(50)
    assert status == kernels.INDEFINITE
    assert done < 20
    assert np.all(np.isfinite(run.x))


@pytest.mark.parametrize("name", KRYLOV)
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_cg_reports_values_that_are_not_finite(name, poison):
    matrix = spd()
    b = vector(60)
    b[17] = poison
    done, status, trace = Krylov(name, matrix, b).advance(10, 1.0)
    assert status == kernels.NON_FINITE
    assert done <= 1
    assert not np.any(trace <= 1.0)


@pytest.mark.parametrize("name", KRYLOV)
def test_cg_does_nothing_at_the_answer(name):
    run = Krylov(name, spd(), np.zeros(60))
    assert run.advance(5, 0.0)[:2] == (0, kernels.RUNNING)
    assert not np.any(run.x)


def test_ssor_at_one_is_symmetric_gauss_seidel():
    matrix = spd()
    b = vector(60)
    full = matrix.todense()
    left, right = np.tril(full), np.triu(full)
    diagonal = np.diag(full)

    def solve(r):
        forward = dense.solve_triangular(left, r, lower=True)
        return dense.solve_triangular(right, diagonal * forward)

    run = Krylov("ssor", matrix, b, 1.0)
    for reference in reference_pcg(matrix, b, solve, 5):
        run.advance(1)
        close(run.x, reference, np.float64)


@pytest.mark.parametrize("name", KRYLOV)
def test_index_width_does_not_change_the_answer(name):
    b = vector(60)
    runs = [Krylov(name, spd(index=index), b, 1.2) for index in (np.int32, np.int64)]
    traces = [run.advance(12)[2] for run in runs]
    assert np.allclose(*traces, rtol=1e-9, atol=0)


FRESH = """
import sys, numpy as np
from resolvent.linear import kernels_krylov as krylov
n = 61
indices = np.arange(n, dtype=np.int32)
indptr = np.arange(n + 1, dtype=np.int32)
data = np.linspace(1.0, 3.0, n)
inverse = 1 / np.linspace(1.0, 2.0, n)
x, r, p, product = np.zeros(n), np.sin(indices), np.empty(n), np.empty(n)
scalars, trace = np.empty(4), np.empty(9)
krylov.cg_jacobi_start(inverse, r, p, scalars)
krylov.cg_jacobi(data, indices, indptr, inverse, x, r, p, product, scalars, 9, 0.0, trace)
sys.stdout.write(trace.tobytes().hex() + x.tobytes().hex())
"""


@pytest.mark.slow
def test_a_kernel_from_the_cache_gives_the_bits_of_the_one_just_compiled(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", FRESH]
    runs = [subprocess.check_output(command, env=environment) for _ in range(2)]
    assert len(runs[0]) == 16 * (9 + 61)
    assert runs[0] == runs[1]


def test_eisenstat_equals_ssor_as_a_preconditioner():
    matrix = csr(laplacian(10))
    b = vector(100)
    positions = positions_of(matrix)

    def solve(r):
        z = np.empty(100)
        kernels_relax.ssor_apply(*parts(matrix), positions, 1.7, r, z)
        return z

    run = Krylov("ssor", matrix, b, 1.7)
    for reference in reference_pcg(matrix, b, solve, 12):
        run.advance(1)
        close(run.x, reference, np.float64)


# Incomplete Cholesky


def ic0(matrix, first=1e-3, attempts=40, floor=1e-8):
    half = split(matrix)
    factor, pivots = np.empty_like(half[0]), np.empty_like(half[3])
    row, shift, tries = kernels_factor.ic0(*half, first, attempts, floor, factor, pivots)
    lower = sp.csr_array((factor, half[1], half[2]), shape=matrix.shape)
    return lower, pivots, row, shift, tries


def test_ic0_reproduces_the_matrix_on_its_pattern(variant):
    matrix = csr(laplacian(7), *variant)
    lower, pivots, row, shift, tries = ic0(matrix)
    assert (row, shift, tries) == (-1, 0.0, 1)
    assert np.all(pivots > 0)
    left = lower.todense().astype(float) + np.eye(49)
    product = left @ np.diag(pivots.astype(float)) @ left.T
    full = matrix.todense()
    on_pattern = full != 0
    close(product[on_pattern], full[on_pattern], variant[0])
    assert np.abs(product[~on_pattern]).max() > 0.01


def test_ic0_is_the_cholesky_factor_where_nothing_fills(variant):
    full = np.diag(np.full(9, 3.0)) - np.eye(9, k=1) - np.eye(9, k=-1)
    lower, pivots, row, _, _ = ic0(csr(full, *variant))
    assert row == -1
    classical = (lower.todense() + np.eye(9)) * np.sqrt(pivots)
    close(classical, np.linalg.cholesky(full), variant[0])


def test_triangular_solves_and_application(variant):
    matrix = spd(*variant)
    lower, pivots, row, _, _ = ic0(matrix)
    assert row == -1
    unit = lower.todense().astype(float) + np.eye(60)
    r = vector(60, variant[0])
    z = np.full_like(r, np.nan)
    kernels_factor.unit_lower_solve(*parts(lower), r, z)
    close(z, dense.solve_triangular(unit, r, lower=True), variant[0])
    kernels_factor.unit_lower_transpose_solve(*parts(lower), r, z)
    close(z, dense.solve_triangular(unit.T, r), variant[0])
    kernels_factor.ic0_apply(*parts(lower), (1 / pivots).astype(variant[0]), r, z)
    whole = unit @ np.diag(pivots.astype(float)) @ unit.T
    close(z, np.linalg.solve(whole, r.astype(float)), variant[0])
    in_place = r.copy()
    kernels_factor.ic0_apply(*parts(lower), (1 / pivots).astype(variant[0]), in_place, in_place)
    assert np.array_equal(z, in_place)


def test_ic0_shifts_until_no_pivot_breaks_down():
    # Kershaw's matrix is positive definite, and its incomplete factorization breaks down.
    full = np.array([[3.0, -2, 0, 2], [-2, 3, -2, 0], [0, -2, 3, -2], [2, 0, -2, 3]])
    assert np.linalg.eigvalsh(full).min() > 0
    matrix = csr(full)
    assert ic0(matrix, attempts=1)[2] == 3
    lower, pivots, row, shift, tries = ic0(matrix)
    assert row == -1
    assert shift == 1e-3 * 2 ** (tries - 2)
    assert np.all(pivots > 0)
    left = lower.todense() + np.eye(4)
    product = left @ np.diag(pivots) @ left.T
    shifted = full + shift * np.diag(np.diag(full))
    assert np.allclose(product[full != 0], shifted[full != 0], rtol=1e-13)


def test_ic0_does_not_retry_what_a_shift_cannot_mend():
    _, _, row, shift, tries = ic0(csr(np.diag([1.0, -2.0, 3.0])))
    assert (row, shift, tries) == (1, 0.0, 1)
