"""What mathematics forbids never looks like success, whatever the method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from linear.refusals import CG, METHODS, REFUSED, host, in_words, refused, solve_or_refuse, truth

import resolvent as rs


@given(
    n=st.integers(2, 8), seed=st.integers(0, 2**16), name=st.sampled_from(sorted(METHODS)),
    kind=st.sampled_from([np.asarray, sparse.csr_array]), rank=st.integers(0, 3),
)  # fmt: skip
@settings(max_examples=120)
def test_no_system_gets_a_false_success(n, seed, name, kind, rank):
    """Random symmetric systems, singular and indefinite ones among them, on every method."""
    rng = np.random.default_rng(seed)
    B = rng.integers(-2, 3, (n, max(1, n - rank))).astype(float)
    A = B @ B.T if seed % 2 else B @ np.diag(rng.choice([-1.0, 1.0], B.shape[1])) @ B.T
    b = rng.integers(-2, 3, n).astype(float)
    sol = solve_or_refuse(kind(A), b, METHODS[name](), rtol=1e-8, max_steps=300)
    if sol is None:
        return
    real = truth(A, b, sol.x)
    assert np.isfinite(sol.x).all()
    assert sol.converged == (real <= 1e-8) or abs(real - 1e-8) < 1e-12
    assert sol.converged == (sol.reason is rs.Reason.target)
    # The point that comes back is never worse than the zero that the solve began with.
    assert real <= 1 + 1e-9 or not b.any()


# JAX's data, in single precision, compile anew for each method: a few are in every run.
FEW = {CG, rs.linear.BiCGStab, rs.linear.GMRES, rs.linear.Jacobi}


def kinds(*host):
    """Each method with data of each kind on the host, and with JAX's."""
    return [
        pytest.param(kind, cls, marks=pytest.mark.slow if rare else ())
        for kind in (*host, jnp.asarray)
        for cls in METHODS.values()
        for rare in [kind not in host and cls not in FEW]
    ]


def named(value):
    """What a case is called."""
    return {jnp.asarray: "jax", sparse.csr_array: "sparse", np.asarray: "dense"}.get(
        value, getattr(value, "__name__", str(value))
    )


@pytest.mark.parametrize(("kind", "cls"), kinds(np.asarray, sparse.csr_array), ids=named)
def test_the_zero_matrix(cls, kind):
    dtype = np.float32 if kind is jnp.asarray else np.float64
    zero = kind(np.zeros((3, 3), dtype))
    sol = solve_or_refuse(zero, np.ones(3, dtype), cls(), max_steps=200)
    assert sol is None or not sol.converged
    sol = solve_or_refuse(zero, np.zeros(3, dtype), cls())
    assert sol is None or (sol.converged and not np.asarray(sol.x).any())


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_a_zero_row_without_an_answer(cls):
    A = np.diag([2.0, 3.0, 0.0, 4.0])
    for kind in (np.asarray, sparse.csr_array):
        sol = solve_or_refuse(kind(A), np.ones(4), cls(), max_steps=2000)
        assert sol is None or not sol.converged
        if sol is None:
            assert set(cls.needs) & {"diagonal", "positive_definite"}


def test_cg_tells_indefiniteness_as_breakdown():
    A = np.array([[1.0, 2.0], [2.0, 1.0]])
    for kind in (np.asarray, sparse.csr_array, jnp.asarray):
        sol = rs.solve(rs.LinearSystem(kind(A), np.array([1.0, -1.0])), CG(), throw=False)
        assert sol.reason is rs.Reason.breakdown
        assert not sol.converged
        with pytest.raises(rs.NotConverged, match="lacks a property that the method needs"):
            rs.solve(rs.LinearSystem(kind(A), np.array([1.0, -1.0])), CG())
    declared = rs.LinearSystem(np.eye(2), np.ones(2), positive_definite=False)
    refused(lambda: rs.solve(declared, CG()), kind=ValueError)


def test_a_bare_solve_is_right_for_every_kind_of_matrix():
    rng = np.random.default_rng(5)
    n = 20
    general = rng.standard_normal((n, n)) + 8 * np.eye(n)
    definite = general @ general.T
    indefinite = general + general.T - 16 * np.diag((np.arange(n) % 3 == 0) * 2.0)
    b = rng.standard_normal(n)
    for A in (general, definite, indefinite):
        for kind in (np.asarray, sparse.csr_array):
            sol = rs.solve(rs.LinearSystem(kind(A), b), rtol=1e-9)
            assert truth(A, b, sol.x) <= 1.01e-9
        sol = rs.solve(rs.LinearSystem(jnp.asarray(A), jnp.asarray(b)), rtol=1e-4)
        assert truth(A, b, sol.x) <= 1.1e-4


@given(
    arrays.arrays(np.float64, (3, 3), elements=st.floats(allow_nan=False, allow_infinity=False)),
    arrays.arrays(np.float64, 3, elements=st.floats(allow_nan=False, allow_infinity=False)),
    st.sampled_from(sorted(METHODS)),
    st.booleans(),
)
@settings(max_examples=150)
def test_any_finite_numbers_at_all(matrix, rhs, name, symmetric):
    """Overflow, underflow and subnormal numbers: a true verdict or a refusal, no warning."""
    if symmetric:
        matrix = np.tril(matrix) + np.tril(matrix, -1).T
    sol = solve_or_refuse(sparse.csr_array(matrix), rhs, METHODS[name](), max_steps=50)
    if sol is None:
        return
    if sol.converged:
        assert truth(matrix, rhs, sol.x) <= 1.01e-6
    assert sol.converged == (sol.reason is rs.Reason.target)


# ---------------------------------------------------------------- several right-hand sides


@pytest.mark.parametrize(("kind", "cls"), kinds(sparse.csr_array), ids=named)
def test_several_right_hand_sides(cls, kind):
    n = 10
    A = 4 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    B = np.random.default_rng(2).standard_normal((n, 3))
    B[:, 1] = 0.0
    B[:, 2] *= 1e-8
    rtol = 1e-9 if kind is sparse.csr_array else 1e-4
    sol = solve_or_refuse(kind(A), B if kind is sparse.csr_array else jnp.asarray(B), cls(),
                          rtol=rtol)  # fmt: skip
    assert sol is not None
    assert sol.converged
    assert sol.x.shape == (n, 3)
    assert not np.asarray(sol.x[:, 1]).any()
    for j in (0, 2):
        assert truth(A, B[:, j], sol.x[:, j]) <= 1.1 * rtol
    worst = solve_or_refuse(kind(A), sol.certificate and B.astype(sol.x.dtype), cls(), max_steps=1)
    assert not worst.converged


def test_a_bad_column_is_told():
    A = np.diag([1.0, 0.0, 2.0]) + np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]])
    B = np.ones((3, 2))
    B[1, 1] = np.nan
    refused(lambda: rs.LinearSystem(A, B), kind=ValueError)
    refused(lambda: rs.solve(rs.LinearSystem(np.eye(3), np.ones((3, 2))), CG(), x0=np.ones(3)))


# ---------------------------------------------------------------- under transformations


def test_data_that_cannot_be_looked_at_are_judged_by_the_certificate():
    @jax.jit
    def run(matrix, rhs):
        return rs.solve(rs.LinearSystem(matrix, rhs), CG(), rtol=1e-5)

    sol = run(jnp.diag(jnp.array([1.0, jnp.nan])), jnp.ones(2))
    assert not sol.converged
    sol = run(jnp.array([[1.0, 2.0], [2.0, 1.0]]), jnp.array([1.0, -1.0]))
    assert not sol.converged
    assert sol.reason is rs.Reason.breakdown
    sol = run(jnp.eye(2), jnp.array([jnp.inf, 1.0]))
    assert not sol.converged
    sol = run(jnp.eye(2), jnp.zeros(2))
    assert sol.converged


def test_host_only_data_under_jit_are_refused_in_words():
    rows = sparse.csr_array(np.eye(3))

    @jax.jit
    def run(rhs):
        return rs.solve(rs.LinearSystem(host(lambda x: x), rhs, positive_definite=True), CG()).x

    refused(lambda: run(jnp.ones(3)), kind=TypeError)

    @jax.jit
    def solved(rhs):
        return rs.solve(rs.LinearSystem(rows, rhs), CG(), rtol=1e-5).x

    try:
        assert np.allclose(solved(jnp.ones(3)), 1.0)
    except REFUSED as error:
        in_words(error)
