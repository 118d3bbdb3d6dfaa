"""Matrices and right-hand sides are solved, or refused in words before the first step."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from linear.refusals import CG, METHODS, refused, solve_or_refuse

import resolvent as rs

FORMATS = ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"]


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
