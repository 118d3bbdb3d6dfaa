"""Operators, functions and the options of a system: taken, or refused in words."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from linear.refusals import CG, METHODS, REFUSED, host, in_words, refused, solve_or_refuse

import resolvent as rs

# ---------------------------------------------------------------- operators and functions


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
