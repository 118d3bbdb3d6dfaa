"""Whatever a user passes as a system is solved, or refused in words before the first step."""

import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse.linalg import LinearOperator

import resolvent as rs
from resolvent._core import registry
from resolvent.linear.preconditioners import Preconditioner

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
REFUSED = (ValueError, TypeError)
METHODS = registry.methods("linear")
FORMATS = ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"]
CG = rs.linear.CG


def refused(call, *, kind=REFUSED):
    """The message of a refusal; anything but the library's own voice fails."""
    with pytest.raises(kind, match=VOICE) as caught:
        call()
    assert caught.value.__cause__ is None
    return str(caught.value)


def in_words(error):
    """Whether it is the library that speaks."""
    assert "; needed " in str(error), f"not the library's voice: {error!r}"
    return True


def solve_or_refuse(matrix, rhs, method=None, **options):
    """A solution that tells the truth, or None for a refusal in words. Warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            sol = rs.solve(rs.LinearSystem(matrix, rhs), method, throw=False, **options)
        except REFUSED as error:
            in_words(error)
            return None
    return sol


def truth(matrix, rhs, x):
    """||b - A x|| / ||b|| in extended precision, where products do not overflow."""
    A, b, x = (np.asarray(one, np.longdouble) for one in (matrix, rhs, x))
    size = np.sqrt((b * b).sum())
    gap = np.sqrt(((b - (A * x).sum(axis=1)) ** 2).sum())
    return 0.0 if gap == 0 else float(gap / size) if size > 0 else np.inf


# ---------------------------------------------------------------- shapes


SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(of_matrix=SHAPES, of_rhs=SHAPES)
def test_only_matching_shapes_pass(of_matrix, of_rhs):
    matrix, rhs = np.ones(of_matrix), np.ones(of_rhs)
    square = len(of_matrix) == 2 and of_matrix[0] == of_matrix[1] > 0
    fits = square and len(of_rhs) in (1, 2) and of_rhs[0] == of_matrix[0] and 0 not in of_rhs
    if fits:
        assert rs.LinearSystem(matrix, rhs).n == of_matrix[0]
    else:
        message = refused(lambda: rs.LinearSystem(matrix, rhs))
        assert str(of_matrix) in message or str(of_rhs) in message or "rows" in message or (
            "empty" in message
        )  # fmt: skip


@given(rows=st.integers(0, 4), columns=st.integers(0, 4), length=st.integers(0, 4))
@settings(max_examples=40)
def test_only_matching_sparse_shapes_pass(rows, columns, length):
    matrix = sparse.csr_array(np.ones((rows, columns)))
    if rows == columns == length > 0:
        assert rs.LinearSystem(matrix, np.ones(length)).n == rows
    else:
        refused(lambda: rs.LinearSystem(matrix, np.ones(length)))


@pytest.mark.parametrize("form", FORMATS)
def test_every_sparse_format_is_taken_and_left_as_it_was(form):
    dense = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
    for make in (sparse.coo_array, sparse.coo_matrix):
        matrix = make(dense).asformat(form)
        before = matrix.toarray().copy()
        sol = rs.solve(rs.LinearSystem(matrix, np.ones(3)), CG(), rtol=1e-12)
        assert np.allclose(sol.x, np.linalg.solve(dense, np.ones(3)))
        assert np.array_equal(matrix.toarray(), before)
        assert matrix.format == form


def test_duplicates_and_unsorted_indices_are_summed_in_a_copy():
    matrix = sparse.csr_array(
        (np.array([1.0, 3.0, 1.0, 2.0]), np.array([1, 0, 0, 1]), np.array([0, 2, 4])), shape=(2, 2)
    )
    matrix.has_sorted_indices = False
    kept = matrix.data.copy(), matrix.indices.copy()
    doubled = sparse.coo_array(([2.0, 2.0, 1.0], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    sol = rs.solve(rs.LinearSystem(matrix, np.ones(2)), CG(), rtol=1e-12)
    assert np.allclose(sol.x, np.linalg.solve(matrix.toarray(), np.ones(2)))
    assert np.array_equal(matrix.data, kept[0])
    assert np.array_equal(matrix.indices, kept[1])
    assert np.allclose(rs.solve(rs.LinearSystem(doubled, np.ones(2)), CG()).x, [0.25, 1.0])


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_both_index_widths_run(index):
    matrix = sparse.csr_array(np.diag([2.0, 4.0]))
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    for cls in METHODS.values():
        method = cls()
        if "host" in method.runs_on():
            sol = rs.solve(rs.LinearSystem(matrix, np.ones(2)), method, rtol=1e-10)
            assert np.allclose(sol.x, [0.5, 0.25])


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_layout_of_dense_data_does_not_matter(order):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 6))
    A = np.asarray(A @ A.T + 6 * np.eye(6), order=order)
    wide = np.zeros((12, 12))
    wide[::2, ::2] = A
    b = np.arange(12.0)[::2]
    for matrix in (A, wide[::2, ::2], A[::-1, ::-1][::-1, ::-1]):
        sol = rs.solve(rs.LinearSystem(matrix, b), CG(), rtol=1e-12)
        assert np.allclose(sol.x, np.linalg.solve(A, b))


def test_read_only_data_are_taken():
    A, b = np.diag([2.0, 4.0]), np.ones(2)
    rows = sparse.csr_array(A)
    for one in (A, b, rows.data, rows.indices, rows.indptr):
        one.setflags(write=False)
    for cls in METHODS.values():
        for matrix in (A, rows):
            sol = rs.solve(rs.LinearSystem(matrix, b), cls(), rtol=1e-10)
            assert np.allclose(sol.x, [0.5, 0.25])


def test_big_endian_data_are_taken_or_refused():
    sol = solve_or_refuse(np.diag([2.0, 4.0]).astype(">f8"), np.ones(2, ">f8"), CG())
    assert sol is None or np.allclose(sol.x, [0.5, 0.25])


# ---------------------------------------------------------------- kinds of numbers


@pytest.mark.parametrize(
    "dtype", [complex, np.complex64, object, np.float16, "U3", "S3", "M8[D]", np.longdouble]
)
@pytest.mark.parametrize("place", ["dense", "sparse", "rhs"])
def test_other_numbers_are_refused(dtype, place):
    if dtype in ("U3", "S3", "M8[D]"):
        bad = np.zeros((2, 2), "i8").astype(dtype)
    else:
        bad = np.eye(2).astype(dtype)
    if place == "rhs":
        message = refused(lambda: rs.LinearSystem(np.eye(2), bad[0]), kind=TypeError)
        assert message.startswith("b:")
        return
    if place == "sparse":
        if np.dtype(dtype).kind in "OUSM" or dtype is np.float16:
            return  # SciPy itself has no such matrices
        bad = sparse.csr_array(bad)
    message = refused(lambda: rs.LinearSystem(bad, np.ones(2)), kind=TypeError)
    assert message.startswith("A:")
    assert str(np.dtype(dtype)) in message


@given(
    data=st.data(),
    n=st.integers(1, 5),
    dtype=st.sampled_from(["b", "i1", "u1", "i4", "i8", "u8", "f4", "f8"]),
    kind=st.sampled_from([np.asarray, sparse.csr_array]),
)
def test_integers_and_booleans_are_solved_in_double_precision(data, n, dtype, kind):
    elements = {"b": st.booleans()}.get(dtype, st.integers(0, 1))
    matrix = data.draw(arrays.arrays(np.dtype(dtype), (n, n), elements=elements))
    matrix = np.triu(matrix)
    matrix = (matrix | matrix.T) if dtype == "b" else np.maximum(matrix, matrix.T)
    if dtype != "b":
        matrix = (matrix + 6 * np.eye(n, dtype=matrix.dtype)).astype(dtype)
    else:
        matrix = np.eye(n, dtype=bool)
    sol = rs.solve(rs.LinearSystem(kind(matrix), np.ones(n)), CG(), rtol=1e-10)
    assert sol.x.dtype == np.float64
    assert np.allclose(matrix.astype(float) @ sol.x, 1.0)


@given(
    n=st.integers(1, 6), data=st.data(), value=st.sampled_from([np.nan, np.inf, -np.inf]),
    place=st.sampled_from(["dense", "sparse", "rhs", "jax", "x0"]),
)  # fmt: skip
def test_what_is_not_finite_is_refused_with_its_place(n, data, value, place):
    i, j = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))
    A, b, x0 = 2.0 * np.eye(n), np.ones(n), np.zeros(n)
    if place in ("dense", "sparse", "jax"):
        A[i, j] = value
    else:
        (b if place == "rhs" else x0)[i] = value
    kind = {"sparse": sparse.csr_array, "jax": jnp.asarray}.get(place, np.asarray)
    message = refused(lambda: rs.solve(rs.LinearSystem(kind(A), b), CG(), x0=x0), kind=ValueError)
    assert message.startswith({"rhs": "b:", "x0": "x0:"}.get(place, "A:"))
    assert str(value) in message
    if place in ("dense", "jax"):
        assert f"({i}, {j})" in message
    elif place != "sparse":
        assert f"({i},)" in message


@given(text=st.sampled_from(["text", None, {}, set(), object(), 3, 3.0, b"x", [[1, 2], [3]]]))
def test_what_is_no_matrix_is_refused(text):
    message = refused(lambda: rs.LinearSystem(text, np.ones(2)))
    assert message.startswith("A:")
    message = refused(lambda: rs.LinearSystem(np.eye(2), text))
    assert message.startswith("b:")


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_lists_matrices_and_masks():
    assert np.allclose(rs.solve(rs.LinearSystem([[2, 0], [0, 4]], [1, 1])).x, [0.5, 0.25])
    sol = rs.solve(rs.LinearSystem(np.asmatrix(np.diag([2.0, 4.0])), np.ones(2)))
    assert type(sol.x) is np.ndarray
    assert np.allclose(sol.x, [0.5, 0.25])
    hidden = np.ma.array(np.ones(2), mask=[False, True])
    refused(lambda: rs.LinearSystem(np.eye(2), hidden))
    refused(lambda: rs.LinearSystem(np.ma.array(np.eye(2), mask=np.eye(2)), np.ones(2)))


# ---------------------------------------------------------------- operators and functions


def host(function, shape=(3, 3), dtype=np.float64):
    return LinearOperator(shape, matvec=function, dtype=dtype)


def test_operators_are_taken():
    sol = rs.solve(rs.LinearSystem(host(lambda x: 2 * x), np.ones(3), positive_definite=True), CG())
    assert np.allclose(sol.x, 0.5)
    sol = rs.solve(rs.LinearSystem(lambda x: 2 * x, np.ones(3)), CG())
    assert np.allclose(sol.x, 0.5)
    sol = rs.solve(rs.LinearSystem(lambda x, s: s * x, np.ones(3), args=jnp.array(2.0)), CG())
    assert np.allclose(sol.x, 0.5)


@pytest.mark.parametrize("shape", [(3, 4), (4, 4), (0, 0)])
def test_operators_of_another_shape_are_refused(shape):
    refused(lambda: rs.LinearSystem(host(lambda x: x, shape), np.ones(3)), kind=ValueError)


def test_complex_operators_are_refused():
    refused(lambda: rs.LinearSystem(host(lambda x: x, dtype=complex), np.ones(3)), kind=TypeError)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:2], lambda x: jnp.sum(x), lambda x: x[:, None], lambda x: None,
        lambda x: "text", lambda x: 1j * x, lambda x: (x, x),
    ],
    ids=["short", "scalar", "column", "none", "text", "complex", "tuple"],
)  # fmt: skip
def test_functions_that_return_something_else_are_refused(function):
    message = refused(lambda: rs.solve(rs.LinearSystem(function, np.ones(3)), CG()))
    assert message.startswith("A:")


@pytest.mark.parametrize("result", [np.ones(2), np.ones((3, 3)), None, "text", 1j * np.ones(3)])
def test_operators_that_return_something_else_are_refused(result):
    class Odd:
        shape, dtype = (3, 3), np.dtype(float)

        def matvec(self, x):
            return result

    message = refused(
        lambda: rs.solve(rs.LinearSystem(Odd(), np.ones(3), positive_definite=True), CG())
    )
    assert message.startswith("A:")


def test_functions_that_take_no_x_are_refused():
    refused(lambda: rs.LinearSystem(lambda: 1, np.ones(3)))
    refused(lambda: rs.LinearSystem(lambda x, y, z: x, np.ones(3)))
    refused(lambda: rs.LinearSystem(lambda x: x, np.ones(3), args=(1.0,)), kind=TypeError)
    refused(lambda: rs.LinearSystem(np.eye(3), np.ones(3), args=(1.0,)), kind=TypeError)


def test_nan_from_a_function_is_never_success():
    sol = rs.solve(
        rs.LinearSystem(lambda x: x * jnp.nan, np.ones(3)), CG(), throw=False, max_steps=20
    )
    assert not sol.converged
    sol = rs.solve(
        rs.LinearSystem(host(lambda x: x * np.nan), np.ones(3), positive_definite=True), CG(),
        throw=False, max_steps=20,
    )  # fmt: skip
    assert not sol.converged


def test_an_error_inside_the_users_function_is_the_users_own():
    def broken(x):
        raise LookupError("mine")

    for matrix in (broken, host(broken)):
        with pytest.raises(LookupError, match="mine"):
            rs.solve(rs.LinearSystem(matrix, np.ones(3), positive_definite=True), CG())


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_functions_are_solved_or_refused_by_every_method(cls):
    """A method that needs entries or a diagonal says so; the others run."""
    for matrix in (lambda x: 2 * x, host(lambda x: 2 * x)):
        problem = rs.LinearSystem(matrix, np.arange(1.0, 4.0), positive_definite=True)
        try:
            sol = rs.solve(problem, cls(), rtol=1e-10)
        except REFUSED as error:
            in_words(error)
            message = str(error)
        else:
            message = None
        if message is not None:
            assert any(word in message for word in ("entries", "diagonal", "engine"))
        else:
            assert np.allclose(sol.x, np.arange(1.0, 4.0) / 2)


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_lineax_operators_are_solved_or_refused_by_every_method(cls):
    import lineax as lx

    A = jnp.diag(jnp.array([2.0, 4.0, 5.0]))
    operators = [
        lx.MatrixLinearOperator(A, lx.positive_semidefinite_tag),
        lx.DiagonalLinearOperator(jnp.array([2.0, 4.0, 5.0])),
    ]
    for operator in operators:
        problem = rs.LinearSystem(operator, jnp.ones(3), positive_definite=True)
        try:
            sol = rs.solve(problem, cls(), rtol=1e-5)
        except REFUSED as error:
            in_words(error)
            assert "traced" not in cls().runs_on() or "entries" in cls.needs
        else:
            assert np.allclose(sol.x, [0.5, 0.25, 0.2], rtol=1e-4)
    rectangular = lx.MatrixLinearOperator(jnp.ones((2, 3)))
    refused(lambda: rs.LinearSystem(rectangular, jnp.ones(2)), kind=ValueError)


# ---------------------------------------------------------------- options of the system


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"storage": "row"}, ValueError),
        ({"smallest": -1.0}, ValueError),
        ({"smallest": np.nan}, ValueError),
        ({"smallest": "small"}, TypeError),
        ({"context": np.nan}, ValueError),
        ({"context": "early"}, TypeError),
        ({"symmetric": "yes"}, TypeError),
        ({"positive_definite": 1.5}, TypeError),
        ({"symmetric": False, "positive_definite": True}, ValueError),
    ],
    ids=str,
)
def test_bad_options(options, kind):
    refused(lambda: rs.LinearSystem(np.eye(2), np.ones(2), **options), kind=kind)


def test_a_zero_lower_bound_bounds_nothing():
    sol = solve_or_refuse(np.eye(2), np.ones(2), CG())
    assert sol.converged
    problem = rs.LinearSystem(np.eye(2), np.ones(2), smallest=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rs.solve(problem, CG()).converged


@pytest.mark.parametrize("storage", ["rows", "diagonals", "dense"])
def test_storage_can_be_forced_where_entries_are_known(storage):
    sol = rs.solve(
        rs.LinearSystem(sparse.csr_array(np.diag([2.0, 4.0])), np.ones(2), storage=storage), CG()
    )
    assert np.allclose(sol.x, [0.5, 0.25])
    assert {"rows": "rows", "diagonals": "diagonals", "dense": "dense"}[storage] in sol.engine
    if storage != "dense":
        refused(
            lambda: rs.solve(rs.LinearSystem(np.eye(2), np.ones(2), storage=storage), CG()),
            kind=ValueError,
        )
    refused(
        lambda: rs.solve(rs.LinearSystem(lambda x: x, np.ones(2), storage=storage), CG()),
        kind=ValueError,
    )


def test_declared_properties_are_checked_against_the_entries():
    lopsided = np.array([[2.0, 1.0], [0.0, 2.0]])
    for kind in (np.asarray, sparse.csr_array, jnp.asarray):
        message = refused(
            lambda kind=kind: rs.solve(
                rs.LinearSystem(kind(lopsided), np.ones(2), symmetric=True), CG()
            ),
            kind=ValueError,
        )
        assert "although declared so" in message
        message = refused(
            lambda kind=kind: rs.solve(
                rs.LinearSystem(kind(np.eye(2)), np.ones(2), symmetric=False), CG()
            ),
            kind=ValueError,
        )
        assert "declared not symmetric" in message


@given(
    n=st.integers(2, 6), seed=st.integers(0, 2**16), size=st.sampled_from([1e-10, 1e-3, 1.0, 1e3])
)
@settings(max_examples=40)
def test_one_wrong_entry_is_seen_by_methods_that_need_symmetry(n, seed, size):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    A = A @ A.T + n * np.eye(n)
    i, j = rng.choice(n, 2, replace=False)
    A[i, j] += size * np.abs(A).max()
    for kind in (np.asarray, sparse.csr_array):
        for name, cls in METHODS.items():
            if "symmetric" in cls.needs:
                message = refused(
                    lambda cls=cls, kind=kind: rs.solve(
                        rs.LinearSystem(kind(A), np.ones(n)), cls()
                    ),
                    kind=ValueError,
                )
                assert name in message
                assert "not symmetric" in message


def test_rounding_is_not_called_asymmetry():
    rng = np.random.default_rng(1)
    B = rng.standard_normal((30, 30))
    A = B @ np.diag(np.geomspace(1, 100, 30)) @ B.T
    A[3, 4] *= 1 + 4e-16
    for kind in (np.asarray, sparse.csr_array):
        assert rs.LinearSystem(kind(A), np.ones(30)).lacks("symmetric") is None


# ---------------------------------------------------------------- what mathematics forbids


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


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, jnp.asarray])
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


# ---------------------------------------------------------------- parameters of methods


def parameters(names):
    found = []
    for cls in METHODS.values():
        for name in inspect.signature(cls).parameters:
            if name in names:
                found.append((cls, name))
    return found


@pytest.mark.parametrize(("cls", "name"), parameters({"omega"}))
@pytest.mark.parametrize("value", [0.0, 2.0, -0.5, 2.5, np.nan, np.inf, "1.0", None, 1j])
def test_relaxation_outside_zero_and_two_is_refused(cls, name, value):
    problem = rs.LinearSystem(sparse.csr_array(2 * np.eye(3)), np.ones(3))
    default = inspect.signature(cls).parameters[name].default
    if value is None and default is None:
        return
    message = refused(lambda: rs.solve(problem, cls(**{name: value})))
    assert "omega" in message


@pytest.mark.parametrize(("cls", "name"), parameters({"restart", "keep", "recycle", "terms"}))
@pytest.mark.parametrize("value", [0, -3, 2.5, True, "ten", np.nan])
def test_counts_that_are_none_are_refused(cls, name, value):
    problem = rs.LinearSystem(sparse.csr_array(2 * np.eye(3)), np.ones(3))
    if value == 0 and value is not False and name != "restart":
        return  # nothing kept is a choice, not a mistake
    message = refused(lambda: rs.solve(problem, cls(**{name: value})))
    assert name in message


@pytest.mark.parametrize(("cls", "name"), parameters({"low", "high"}))
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1.0"])
def test_spectral_bounds_that_are_none_are_refused(cls, name, value):
    problem = rs.LinearSystem(sparse.csr_array(2 * np.eye(3)), np.ones(3))
    message = refused(lambda: rs.solve(problem, cls(**{name: value})))
    assert name in message


@pytest.mark.parametrize(("cls", "name"), parameters({"low"}))
def test_crossed_spectral_bounds_are_refused(cls, name):
    problem = rs.LinearSystem(sparse.csr_array(2 * np.eye(3)), np.ones(3))
    refused(lambda: rs.solve(problem, cls(low=3.0, high=1.0)), kind=ValueError)


@pytest.mark.parametrize(("cls", "name"), parameters({"preconditioner"}))
@pytest.mark.parametrize(
    "value",
    ["jacobi", lambda r: r, np.eye(3), 3],
    ids=["text", "function", "matrix", "number"],
)
def test_what_is_no_preconditioner_is_refused(cls, name, value):
    problem = rs.LinearSystem(sparse.csr_array(2 * np.eye(3)), np.ones(3))
    message = refused(lambda: rs.solve(problem, cls(preconditioner=value)), kind=TypeError)
    assert "preconditioner" in message


def preconditioners():
    """Every preconditioner of the family that needs no argument."""
    found = {}
    for name, value in vars(rs.linear).items():
        if isinstance(value, type) and issubclass(value, Preconditioner):
            free = all(
                p.default is not p.empty for p in inspect.signature(value).parameters.values()
            )
            if free and not inspect.isabstract(value):
                found[name] = value
    return found


@pytest.mark.parametrize("M", preconditioners().values(), ids=preconditioners())
def test_preconditioners_refuse_zero_diagonals_or_stay_true(M):
    A = np.array([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 3.0]])
    for cls, _ in parameters({"preconditioner"}):
        for kind in (np.asarray, sparse.csr_array):
            sol = solve_or_refuse(kind(A), np.ones(3), cls(preconditioner=M()), max_steps=300)
            if sol is not None and sol.converged:
                assert truth(A, np.ones(3), sol.x) <= 1.01e-6


@pytest.mark.parametrize("M", preconditioners().values(), ids=preconditioners())
def test_preconditioners_serve_every_method_that_admits_them(M):
    n = 12
    A = 4 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    for cls, _ in parameters({"preconditioner"}):
        sol = solve_or_refuse(sparse.csr_array(A), np.ones(n), cls(preconditioner=M()), rtol=1e-9)
        if sol is None:
            assert "symmetric" in cls.needs
            assert not M().symmetric
        else:
            assert sol.converged
            assert truth(A, np.ones(n), sol.x) <= 1.01e-9


def test_a_lying_preconditioner_gives_no_false_success():
    bad = {
        "nan": lambda r: r * np.nan,
        "zero": lambda r: r * 0.0,
        "negative": lambda r: -r,
        "huge": lambda r: r * 1e300,
        "lopsided": lambda r: r[::-1] * np.arange(1.0, r.size + 1),
    }
    n = 12
    A = 4 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    b = np.arange(1.0, n + 1)
    for fn in bad.values():
        M = rs.linear.FunctionPreconditioner(fn)
        for cls, _ in parameters({"preconditioner"}):
            sol = solve_or_refuse(A, b, cls(preconditioner=M), max_steps=400)
            if sol is not None and sol.converged:
                assert truth(A, b, sol.x) <= 1.01e-6
            elif sol is not None:
                assert np.isfinite(sol.x).all()


@pytest.mark.parametrize("result", [np.ones(2), None, "text"], ids=["short", "none", "text"])
def test_preconditioners_that_return_something_else_are_refused(result):
    M = rs.linear.FunctionPreconditioner(lambda r: result)
    for cls, _ in parameters({"preconditioner"}):
        message = refused(
            lambda cls=cls: rs.solve(
                rs.LinearSystem(4 * np.eye(3), np.ones(3)), cls(preconditioner=M)
            )
        )
        assert "preconditioner" in message.lower()


# ---------------------------------------------------------------- several right-hand sides


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("kind", [sparse.csr_array, jnp.asarray], ids=["sparse", "jax"])
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
