"""A solve runs in the precision of its data; the user's JAX lives on undisturbed."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.linalg import LinearOperator

import resolvent as rs

N = 12
MATRIX = np.diag(np.linspace(2, 4, N)) - 0.5 * (np.eye(N, k=1) + np.eye(N, k=-1))
FORMS = {
    "rows": lambda dtype: rs.LinearSystem(sparse.csr_array(MATRIX.astype(dtype)), ones(dtype)),
    "dense": lambda dtype: rs.LinearSystem(MATRIX.astype(dtype), ones(dtype)),
    "diagonals": lambda dtype: rs.LinearSystem(
        sparse.csr_array(MATRIX.astype(dtype)), ones(dtype), storage="diagonals"
    ),
    "function": lambda dtype: rs.LinearSystem(lambda x: 2 * x, ones(dtype)),
}


def ones(dtype):
    return np.ones(N, dtype)


def mood():
    """What JAX gives to a user's own code right now."""
    return (
        jax.config.jax_enable_x64,
        jnp.arange(3).dtype,
        jnp.array([1.5]).dtype,
        (jnp.ones(2, jnp.float32) + 1.0).dtype,
        jax.jit(lambda x: x * 2)(jnp.zeros(2)).dtype,
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_in_numpy_out_before_between_and_after(form, dtype):
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    before = mood()
    first = rs.solve(FORMS[form](dtype), rs.linear.CG(), rtol=rtol)
    assert mood() == before
    second = rs.solve(FORMS[form](dtype), rs.linear.CG(), rtol=rtol)
    assert mood() == before
    for sol in (first, second):
        assert isinstance(sol.x, np.ndarray)
        assert sol.x.dtype == dtype
        assert sol.certificate.relative <= rtol
    assert np.array_equal(first.x, second.x)


def test_double_precision_is_really_double():
    sol = rs.solve(FORMS["diagonals"](np.float64), rs.linear.CG(), rtol=1e-14)
    exact = np.linalg.solve(MATRIX, np.ones(N))
    assert np.abs(sol.x - exact).max() <= 1e-13


def test_jax_in_jax_out():
    b = jnp.ones(N)
    sol = rs.solve(rs.LinearSystem(jnp.asarray(MATRIX), b), rs.linear.CG(), rtol=1e-5)
    assert isinstance(sol.x, jax.Array)
    assert sol.x.dtype == jnp.float32
    with jax.enable_x64(True):
        problem = rs.LinearSystem(jnp.asarray(MATRIX), jnp.ones(N))
        sol = rs.solve(problem, rs.linear.CG(), rtol=1e-12)
        assert sol.x.dtype == jnp.float64


@pytest.mark.parametrize("inside", [True, False])
def test_the_users_double_setting_survives_too(inside):
    with jax.enable_x64(inside):
        before = mood()
        rs.solve(FORMS["diagonals"](np.float64), rs.linear.CG())
        rs.solve(FORMS["dense"](np.float32), rs.linear.CG(), rtol=1e-5)
        assert mood() == before


def test_single_stays_single_even_in_double_mode():
    with jax.enable_x64(True):
        for form in FORMS.values():
            sol = rs.solve(form(np.float32), rs.linear.CG(), rtol=1e-5)
            assert sol.x.dtype == np.float32


def test_the_setting_survives_failures():
    before = mood()
    with pytest.raises(rs.NotConverged):
        rs.solve(FORMS["diagonals"](np.float64), rs.linear.CG(), max_steps=1)
    with pytest.raises(ValueError, match="x0"):
        rs.solve(FORMS["diagonals"](np.float64), rs.linear.CG(), x0=np.ones(3))
    with pytest.raises(ValueError, match="shape"):
        rs.certify(FORMS["dense"](np.float64), np.ones(3))
    assert mood() == before


@pytest.mark.parametrize("form", ["rows", "diagonals"])
def test_callbacks_run_in_the_users_setting(form):
    before, seen = mood(), []
    problem = FORMS[form](np.float64)
    rs.solve(
        problem, rs.linear.CG(), rtol=1e-30, throw=False,
        callback=lambda report: seen.append(mood()),
    )  # fmt: skip
    assert seen
    assert set(seen) == {before}


def test_operators_of_the_user_run_in_the_users_setting():
    seen = []

    class Own(LinearOperator):
        def __init__(self):
            super().__init__(np.float64, (N, N))

        def _matvec(self, x):
            seen.append(mood())
            return MATRIX @ x

    before = mood()
    rs.solve(rs.LinearSystem(Own(), np.ones(N), positive_definite=True), rs.linear.CG())
    assert set(seen) == {before}


def test_sequences_leave_the_setting_alone_between_members():
    before = mood()
    many = [FORMS["diagonals"](np.float64) for _ in range(3)]
    for sol in rs.solve_sequence(many, rs.linear.CG(), warm_start=rs.Extrapolated(1)):
        assert mood() == before
        assert sol.x.dtype == np.float64
    assert mood() == before


MIXED = [
    (np.float64, np.float32, np.float64),
    (np.float32, np.float64, np.float64),
    (np.int64, np.float32, np.float64),
    (np.int32, np.int32, np.float64),
    (np.float32, np.int64, np.float64),
    (np.float64, bool, np.float64),
]


@pytest.mark.parametrize(("of_matrix", "of_rhs", "wanted"), MIXED, ids=str)
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_mixed_numpy_data_take_the_wider_precision(of_matrix, of_rhs, wanted, kind):
    matrix = kind((4 * np.eye(3)).astype(of_matrix))
    sol = rs.solve(rs.LinearSystem(matrix, np.array([1, 1, 0]).astype(of_rhs)), rs.linear.CG())
    assert sol.x.dtype == wanted
    assert np.allclose(sol.x, [0.25, 0.25, 0.0])


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_numpy_matrix_with_a_jax_right_hand_side(kind, dtype):
    sol = rs.solve(
        rs.LinearSystem(kind((4 * np.eye(3)).astype(dtype)), jnp.ones(3)), rs.linear.CG(),
        rtol=1e-5,
    )  # fmt: skip
    assert np.allclose(sol.x, 0.25)


def test_a_jax_matrix_with_a_numpy_right_hand_side():
    sol = rs.solve(rs.LinearSystem(4 * jnp.eye(3), np.ones(3)), rs.linear.CG(), rtol=1e-5)
    assert isinstance(sol.x, jax.Array)
    assert sol.x.dtype == jnp.float32


def test_a_numpy_matrix_under_jit_with_a_traced_right_hand_side():
    @jax.jit
    def run(b):
        return rs.solve(rs.LinearSystem(4 * np.eye(3), b), rs.linear.CG(), rtol=1e-5).x

    assert np.allclose(run(jnp.ones(3)), 0.25)


def test_a_jax_matrix_under_jit_with_a_traced_right_hand_side():
    matrix = 4 * jnp.eye(3)

    @jax.jit
    def run(b):
        return rs.solve(rs.LinearSystem(matrix, b), rs.linear.CG(), rtol=1e-5).x

    assert np.allclose(run(jnp.ones(3)), 0.25)


def test_threads_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    def double(_):
        sol = rs.solve(FORMS["diagonals"](np.float64), rs.linear.CG(), rtol=1e-13)
        return sol.x.dtype == np.float64, jax.config.jax_enable_x64

    def single(_):
        out = jnp.ones(3) * 1.5
        sol = rs.solve(FORMS["diagonals"](np.float32), rs.linear.CG(), rtol=1e-5)
        return out.dtype == jnp.float32 and sol.x.dtype == np.float32, jax.config.jax_enable_x64

    with ThreadPoolExecutor(4) as pool:
        results = [*pool.map(double, range(6)), *pool.map(single, range(6))]
    assert results == [(True, jax.config.jax_enable_x64)] * 12


def test_importing_and_solving_changes_no_global_state():
    code = (
        "import jax, numpy as np\n"
        "before = dict(jax.config.values)\n"
        "import resolvent as rs\n"
        "rs.solve(rs.LinearSystem(np.eye(3), np.ones(3)), rs.linear.CG())\n"
        "assert dict(jax.config.values) == before\n"
        "import numpy\n"
        "assert numpy.geterr() == {'divide': 'warn', 'over': 'warn', 'under': 'ignore',"
        " 'invalid': 'warn'}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_import_is_light():
    code = (
        "import sys, resolvent\n"
        "heavy = [m for m in ('numba', 'matplotlib', 'equinox', 'lineax', 'rich', 'pyamg',"
        " 'scipy.sparse.linalg') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
        "resolvent.linear\n"
        "assert 'numba' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
