"""Parameters of methods and preconditioners: taken, or refused in words."""

import inspect

import numpy as np
import pytest
import scipy.sparse as sparse
from linear.refusals import METHODS, refused, solve_or_refuse, truth

import resolvent as rs
from resolvent.linear.preconditioners import Preconditioner


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
