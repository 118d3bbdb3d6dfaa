"""Data far from 1 in scale: the same solve, times a power of two."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from linear.refusals import truth

import resolvent as rs
from resolvent import linear

N = 30
FAR = {
    np.float64: (-1000, -620, -210, -150, 150, 210, 620, 1000),
    np.float32: (-120, -70, -21, -15, 15, 21, 70, 120),
}
HOST = {
    "cg": linear.CG(),
    "cg-jacobi": linear.CG(preconditioner=linear.JacobiPreconditioner()),
    "cg-ssor": linear.CG(preconditioner=linear.SSORPreconditioner(1.2)),
    "gmres": linear.GMRES(),
    "gcro-dr": linear.GCRODR(cycle=12, recycle=4),
    "minres": linear.MINRES(),
    "sor": linear.SOR(1.2),
    "jacobi": linear.Jacobi(),
    "bicgstab": linear.BiCGStab(),
    "chebyshev": linear.Chebyshev(),
    "kaczmarz": linear.Kaczmarz(),
}
TRACED = {name: HOST[name] for name in ("cg", "minres", "bicgstab", "chebyshev", "jacobi", "gmres")}
CASES = [("rows", name, method) for name, method in HOST.items()] + [
    ("diagonals", name, method) for name, method in TRACED.items()
]
each = pytest.mark.parametrize(
    ("storage", "method"), [(storage, method) for storage, _, method in CASES],
    ids=[f"{name}-{storage}" for storage, name, _ in CASES],
)  # fmt: skip


def data(dtype=np.float64):
    off = np.full(N - 1, -1.0)
    A = sparse.diags_array([off, np.linspace(3.0, 5.0, N), off], offsets=[-1, 0, 1]).tocsr()
    return A.astype(dtype), np.random.default_rng(0).standard_normal(N).astype(dtype)


def times(array, k):
    """array 2^k, which is exact inside the range."""
    if sparse.issparse(array):
        return sparse.csr_array((np.ldexp(array.data, k), array.indices, array.indptr))
    return np.ldexp(array, k)


def solved(A, b, method, storage="auto", **options):
    return rs.solve(rs.LinearSystem(A, b, storage=storage), method, **options)


def same(sol, reference, point, measure, dtype=np.float64):
    """Whether a solve is a reference times powers of two, up to rounding."""
    assert sol.converged
    assert sol.reason is rs.Reason.target
    assert sol.steps == reference.steps
    assert sol.calls == reference.calls
    assert sol.x.dtype == dtype
    # Numbers that the way back made denormal have fewer digits.
    tiny = 4 * np.finfo(dtype).smallest_subnormal
    eps = 1e3 * np.finfo(dtype).eps
    assert np.allclose(sol.x, np.ldexp(reference.x, point), rtol=eps, atol=tiny)
    small = np.ldexp(reference.history.measures, measure)
    assert np.allclose(sol.history.measures, small, rtol=1e-2, atol=1e-310)
    for ours, theirs in (
        (sol.certificate.value, reference.certificate.value),
        (sol.certificate.scale, reference.certificate.scale),
        (sol.certificate.target, reference.certificate.target),
    ):
        assert ours == pytest.approx(float(np.ldexp(float(theirs), measure)), rel=1e-2)


# Kernels are compiled for each precision: single precision of JAX's data is in every run.
precisions = pytest.mark.parametrize(
    "dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)]
)


@each
@precisions
def test_a_far_right_side_scales_the_solve(storage, method, dtype):
    A, b = data(dtype)
    reference = solved(A, b, method, storage, rtol=1e-4)
    for k in FAR[dtype]:
        sol = solved(A, times(b, k), method, storage, rtol=1e-4)
        same(sol, reference, k, k, dtype)


@each
@precisions
def test_a_far_matrix_scales_the_solve(storage, method, dtype):
    A, b = data(dtype)
    reference = solved(A, b, method, storage, rtol=1e-4)
    for k in FAR[dtype][1:-1]:
        same(solved(times(A, k), b, method, storage, rtol=1e-4), reference, -k, 0, dtype)
        both = solved(times(A, k), times(b, k), method, storage, rtol=1e-4)
        same(both, reference, 0, k, dtype)


# XLA flushes denormal numbers: residuals of smaller data would be zero.
@pytest.mark.parametrize("k", [-100, -21, 21, 120])
def test_jax_data_are_scaled_as_well(k):
    A, b = data(np.float32)
    dense = jnp.asarray(A.toarray())
    reference = solved(dense, jnp.asarray(b), linear.CG(), rtol=1e-4)
    sol = solved(dense, jnp.asarray(times(b, k)), linear.CG(), rtol=1e-4)
    assert isinstance(sol.x, jax.Array)
    same(sol, reference, k, k, np.float32)


def test_every_column_has_its_own_scale():
    A, b = data()
    ks = np.array([0, 900, -900, 0, 300])
    columns = np.stack([b, b, b, 0 * b, b], axis=1)
    for storage in ("rows", "diagonals"):
        sol = solved(A, np.ldexp(columns, ks), linear.CG(), storage, rtol=1e-9)
        reference = solved(A, columns, linear.CG(), storage, rtol=1e-9)
        assert sol.converged
        assert sol.steps == reference.steps
        assert np.allclose(np.ldexp(sol.x, -ks), reference.x, rtol=1e-12, atol=0)
        assert np.allclose(
            sol.certificate.details["columns"], reference.certificate.details["columns"], rtol=1e-2
        )


@pytest.mark.parametrize("k", [0, -700, 700])
def test_a_right_side_of_zero_stays_so(k):
    A, b = data()
    sol = solved(times(A, k), 0 * b, linear.CG())
    assert sol.steps == 0
    assert not sol.x.any()
    assert sol.certificate.value == sol.certificate.target == 0


@pytest.mark.parametrize("k", [-700, 700])
def test_tolerances_and_guesses_are_in_the_users_unit(k):
    A, b = data()
    atol = float(np.ldexp(1e-3 * np.linalg.norm(b), k))
    sol = solved(A, times(b, k), linear.CG(), rtol=0.0, atol=atol)
    assert sol.converged
    assert sol.certificate.target == atol
    assert 1e-3 * atol < sol.certificate.value <= atol
    again = solved(A, times(b, k), linear.CG(), rtol=0.0, atol=atol, x0=sol.x)
    assert again.steps == 0
    assert np.array_equal(again.x, sol.x)
    near = solved(A, times(b, k), linear.CG(), rtol=1e-12, x0=times(times(sol.x, -k) + 1e-9, k))
    assert near.converged
    assert near.history.measures[0] < 1e-2 * np.ldexp(np.linalg.norm(b), k)


def test_a_guess_from_another_world_is_no_error():
    A, b = data()
    sol = solved(A, times(b, -1000), linear.CG(), x0=np.full(N, 1e300), throw=False)
    assert np.isfinite(sol.x).all()
    assert not sol.converged


@pytest.mark.parametrize("storage", ["rows", "diagonals"])
def test_reports_are_in_the_users_unit(storage):
    A, b = data()
    k, seen = 700, []
    method = linear.Jacobi(0.05)

    def look(report):
        seen.append((report.measure, report.target, np.array(report.point())))

    sol = solved(A, times(b, k), method, storage, rtol=1e-9, callback=look)
    plain = []
    solved(
        A, b, method, storage, rtol=1e-9,
        callback=lambda report: plain.append(
            (report.measure, report.target, np.array(report.point()))
        ),
    )  # fmt: skip
    assert seen
    assert sol.converged
    # How long the first chunk is does not depend on the clock; later ones do.
    for ours, theirs in zip(seen[0], plain[0], strict=True):
        assert np.allclose(np.ldexp(ours, -k), theirs, rtol=1e-12, atol=0)


def test_an_interrupted_solve_goes_on_from_its_checkpoint(tmp_path):
    A, b = data()
    problem = rs.LinearSystem(A, times(b, 700))
    place, method = tmp_path / "far.rs", linear.Jacobi(0.05)
    options = {"rtol": 1e-9, "checkpoint": place}
    first = rs.solve(problem, method, callback=lambda report: True, throw=False, **options)
    assert first.reason is rs.Reason.interrupted
    sol = rs.solve(problem, method, **options)
    assert sol.converged
    assert any("resumed" in note for note in sol.notes)
    assert sol.steps == rs.solve(problem, method, rtol=1e-9).steps


def test_what_was_not_reached_is_told_in_the_users_unit():
    A, b = data()
    with pytest.raises(rs.NotConverged) as caught:
        solved(A, times(b, 700), linear.Jacobi(0.05), rtol=1e-9, max_steps=3)
    sol = caught.value.solution
    assert sol.reason is rs.Reason.max_steps
    truth = np.linalg.norm(b - A @ times(sol.x, -700))
    assert np.ldexp(sol.certificate.value, -700) == pytest.approx(truth, rel=1e-12)


def test_an_answer_beyond_the_numbers_is_none():
    A, b = data()
    for k in (800, -800):
        sol = solved(times(A, -k), times(b, k), linear.CG(), throw=False)
        assert not sol.converged
        assert sol.reason is rs.Reason.stalled
        assert not sol.x.any()
        assert sol.certificate.relative == pytest.approx(1.0)


def test_a_method_that_was_told_numbers_in_the_unit_of_the_matrix_keeps_them():
    A, b = data()
    low, high = np.linalg.eigvalsh(A.toarray())[[0, -1]]
    reference = solved(A, b, linear.Chebyshev(low, high), rtol=1e-8)
    inverse = 1 / A.diagonal()
    given = linear.FunctionPreconditioner(np.multiply, inverse)
    plain = solved(A, b, linear.GMRES(preconditioner=given), rtol=1e-8)
    for k in (-400, 400):
        told = linear.Chebyshev(float(np.ldexp(low, k)), float(np.ldexp(high, k)))
        same(solved(times(A, k), b, told, rtol=1e-8), reference, -k, 0)
        given = linear.FunctionPreconditioner(np.multiply, times(inverse, -k))
        same(solved(times(A, k), b, linear.GMRES(preconditioner=given), rtol=1e-8), plain, -k, 0)


def test_the_error_bound_is_in_the_users_unit():
    A, b = data()
    least = float(np.linalg.eigvalsh(A.toarray())[0])
    problem = rs.LinearSystem(times(A, 600), times(b, 600), smallest=float(np.ldexp(least, 600)))
    sol = rs.solve(problem, linear.CG(), rtol=1e-6)
    error = np.linalg.norm(sol.x - np.linalg.solve(A.toarray(), b))
    assert error <= sol.certificate.details["error bound"] <= 10 * error


def test_memory_and_warm_starts_go_through_a_far_sequence():
    A, b = data()
    near = [rs.LinearSystem(A, b + 0.01 * j) for j in range(4)]
    far = [rs.LinearSystem(times(A, 601 + j), times(b + 0.01 * j, 500)) for j in range(4)]
    for method in (linear.GCRODR(cycle=12, recycle=4), linear.CG()):
        ours = list(rs.solve_sequence(far, method, warm_start=rs.Previous(), rtol=1e-8))
        theirs = list(rs.solve_sequence(near, method, warm_start=rs.Previous(), rtol=1e-8))
        assert all(sol.converged for sol in ours)
        for j, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert np.allclose(times(one.x, 101 + j), other.x, rtol=1e-6)


def test_data_near_one_are_left_alone():
    A, b = data()
    for k in (0, -150, 150):
        assert rs.LinearSystem(times(A, k), times(b, -k)).units(linear.CG()) is None
    assert rs.LinearSystem(A, 0 * b).units(linear.CG()) is None
    assert rs.LinearSystem(A, times(b, 300)).units(linear.CG()) is not None


def test_a_right_hand_side_of_subnormal_numbers_is_judged_in_normal_ones():
    """1.1 x = 5e-324 has no answer in float64, although 1.1 * 5e-324 rounds to 5e-324."""
    for A, b, solvable in (([[1.1]], [5e-324], False), ([[1.0]], [2.5e-323], True)):
        system = rs.LinearSystem(sparse.csr_array(np.array(A)), np.array(b))
        assert rs.solve(system, rs.linear.CG(), throw=False).converged == solvable
        assert rs.certify(system, np.array(b)).holds == solvable


@pytest.mark.parametrize("far", [0, 620, -620])
def test_a_certificate_of_cancelling_terms_is_true(far):
    """Rounding of terms of 4e12 neither hides a residual of 1e-4 nor makes one."""
    c, d = 1.65541925e14, 1.61860982e14
    A = np.array([[1.0, c, d], [c, 4148.0, 1.0], [d, 1.0, 1.0]])
    b = np.array([0.0, 105.0, 0.0])
    system = rs.LinearSystem(sparse.csr_array(A), np.ldexp(b, far))
    for seed in range(20):
        middle = 0.0253 * (1 + 1e-3 * np.random.default_rng(seed).standard_normal())
        x = np.array([-1.0 / c, middle, -c * middle / d])
        found = rs.certify(system, np.ldexp(x, far))
        assert found.value / found.scale == pytest.approx(truth(A, b, x), rel=1e-9)
