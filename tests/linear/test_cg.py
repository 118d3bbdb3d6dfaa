"""CG on the host: what a state holds, and what a set-up costs."""

import jax
import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.linear import cg
from resolvent.linear.cg import CG, KernelState

METHODS = [
    CG(),
    CG(preconditioner=rs.linear.JacobiPreconditioner()),
    CG(preconditioner=rs.linear.SSORPreconditioner(1.3)),
]


def laplacian(n=200):
    return sp.diags_array([-np.ones(n - 1), 2.1 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])


def counted(monkeypatch, name):
    made = []
    original = getattr(cg, name)

    def build(*given):
        made.append(given)
        return original(*given)

    monkeypatch.setattr(cg, name, build)
    return made


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_state_holds_vectors_and_no_matrix(method):
    problem = rs.LinearSystem(laplacian().tocsr(), np.ones(200))
    state = method.bind(problem).init(problem, np.zeros(200), Memory(), None)
    assert isinstance(state, KernelState)
    arrays = [leaf for leaf in jax.tree_util.tree_leaves(state) if isinstance(leaf, np.ndarray)]
    assert sum(array.size for array in arrays) <= 6 * 200 + 4


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_storage_is_made_once_a_solve(method, monkeypatch):
    halves, scaled = counted(monkeypatch, "half_storage"), counted(monkeypatch, "ssor_storage")
    problem = rs.LinearSystem(laplacian().tocsr(), np.arange(200.0))
    bound = method.bind(problem)
    state = bound.init(problem, np.zeros(200), Memory(), None)
    for _ in range(3):
        state, _ = bound.advance(problem, state, 5, 0.0)
        state = bound.refresh(problem, state)
    assert len(halves) + len(scaled) == 1
    # Bound again, a method stores the matrix of the other problem.
    other = rs.LinearSystem(sp.diags_array(np.linspace(1.0, 2.0, 200)).tocsr(), np.ones(200))
    again = bound.but(preconditioner=method.preconditioner).bind(other)
    state = again.init(other, np.zeros(200), Memory(), None)
    state, _ = again.advance(other, state, 40, 1e-10)
    assert np.linalg.norm(other.residual(state.x)) <= 1e-9
    assert len(halves) + len(scaled) == 2


def test_learned_parameters_each_have_their_storage(monkeypatch):
    scaled = counted(monkeypatch, "ssor_storage")
    b = np.random.default_rng(0).standard_normal((200, 6))
    problem = rs.LinearSystem(laplacian().tocsr(), b)
    sol = rs.solve(problem, rs.linear.LearnedRelaxation(), rtol=1e-8, key=1)
    assert np.linalg.norm(b - laplacian() @ sol.x) <= 1.001e-8 * np.linalg.norm(b)
    omegas = [omega for _, omega in scaled]
    assert len(omegas) == len(set(omegas)) > 1


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_unbound_and_bound_methods_agree(method):
    problem = rs.LinearSystem(laplacian().tocsr(), np.ones(200))
    if isinstance(method.preconditioner, rs.linear.JacobiPreconditioner):
        method = method.but(preconditioner=method.preconditioner.setup(problem))
    bound = method.bind(problem)
    one = bound.init(problem, np.zeros(200), Memory(), None)
    two = method.init(problem, np.zeros(200), Memory(), None)
    one, _ = bound.advance(problem, one, 7, 0.0)
    two, _ = method.advance(problem, two, 7, 0.0)
    assert np.array_equal(one.x, two.x)


@pytest.mark.parametrize("omega", [0.1, 1.0, 1.9])
@pytest.mark.parametrize("power", [1, 2])
def test_a_matrix_beyond_single_precision_ends_no_worse_than_zero(omega, power):
    """Rounding alone, eps ||A|| ||x||, exceeds b here: residuals may grow, answers may not."""
    n = 300
    off = np.full(n - 1, -1.0)
    T = sp.diags_array([off, np.full(n, 2.0), off], offsets=[-1, 0, 1]).tocsr()
    A = (T if power == 1 else T @ T).astype(np.float32)
    b = np.ones(n, np.float32)
    method = rs.linear.CG(preconditioner=rs.linear.SSORPreconditioner(omega))
    sol = rs.solve(rs.LinearSystem(A, b), method, rtol=1e-6, throw=False)
    assert not sol.converged
    truth = np.linalg.norm(b - A.astype(np.float64) @ sol.x) / np.linalg.norm(b)
    assert truth <= 1 + 1e-5
