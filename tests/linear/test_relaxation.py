"""Jacobi, Gauss-Seidel, SOR and SSOR against dense splittings and closed-form rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.linear.cg import CG
from resolvent.linear.relaxation import SOR, SSOR, GaussSeidel, Jacobi, SymmetricGaussSeidel
from resolvent.papers.relaxation_theory import grid_jacobi_radius, omega_star, sor_radius

METHODS = [
    SOR(1.3),
    SOR(0.7, sweep="backward"),
    GaussSeidel(),
    GaussSeidel(sweep="backward"),
    SSOR(1.2),
    SymmetricGaussSeidel(),
    Jacobi(),
    Jacobi(0.6),
]
HOST_ONLY = METHODS[:6]
each = pytest.mark.parametrize("method", METHODS, ids=str)


def laplacian(side, dimensions=2):
    line = sp.diags_array(
        [-np.ones(side - 1), 2.0 * np.ones(side), -np.ones(side - 1)], offsets=[-1, 0, 1]
    )
    if dimensions == 1:
        return line.tocsr()
    eye = sp.eye_array(side)
    return (sp.kron(line, eye) + sp.kron(eye, line)).tocsr()


def dominant(dtype=np.float64, size=40, seed=0):
    """Not symmetric; rows so dominated by the diagonal that every method converges."""
    rng = np.random.default_rng(seed)
    off = sp.random_array((size, size), density=0.15, rng=rng, data_sampler=rng.standard_normal)
    off = off - sp.diags_array(off.diagonal())
    diagonal = 4.0 * abs(off).sum(axis=1) + 1.0
    diagonal[::3] *= -1.0
    return (off + sp.diags_array(diagonal)).tocsr().astype(dtype)


def rhs(size, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def splitting(method, A):
    """The matrix M of x <- x + M^-1 (b - A x)."""
    omega = float(getattr(method, "omega", 1.0))
    D, lower, upper = np.diag(np.diag(A)), np.tril(A, -1), np.triu(A, 1)
    if isinstance(method, Jacobi):
        return D / omega
    if isinstance(method, SSOR | SymmetricGaussSeidel):
        left, right = D / omega + lower, D / omega + upper
        return omega / (2.0 - omega) * left @ np.linalg.inv(D) @ right
    return D / omega + (lower if method.sweep == "forward" else upper)


def begun(method, problem, x0=None):
    bound = method.bind(problem)
    x0 = np.zeros_like(problem.b) if x0 is None else x0
    return bound, bound.init(problem, x0, Memory(), None)


def slope(method, A, steps, first):
    """Observed factor by which the residual falls per step, averaged from step `first` on."""
    problem = rs.LinearSystem(A, rhs(A.shape[0]))
    bound, state = begun(method, problem)
    _, trace = bound.advance(problem, state, steps, 0.0)
    assert len(trace) == steps
    return (trace[-1] / trace[first]) ** (1.0 / (steps - 1 - first))


# Kernels are compiled for each precision: single precision has two methods in every run.
@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        pytest.param(method, dtype, marks=pytest.mark.slow)
        if dtype == np.float32 and method not in (METHODS[0], METHODS[-2])
        else (method, dtype)
        for method in METHODS
        for dtype in (np.float64, np.float32)
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value),
)
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_iterates_are_those_of_the_splitting(method, dtype, dense):
    A, b = dominant(dtype), rhs(40, dtype)
    problem = rs.LinearSystem(A.toarray() if dense else A, b)
    full = A.toarray().astype(float)
    inverse = np.linalg.inv(splitting(method, full))
    x = rhs(40, seed=2)
    bound, state = begun(method, problem, x.astype(dtype))
    near = 300 * float(np.finfo(dtype).eps)
    for _ in range(6):
        x = x + inverse @ (b - full @ x)
        state, trace = bound.advance(problem, state, 1, 0.0)
        found, witness = bound.iterate(problem, state)
        assert witness is None
        assert found.dtype == dtype
        assert np.abs(found - x).max() <= near * np.abs(x).max()
        true = np.linalg.norm(b - full @ x)
        assert float(trace[0]) == pytest.approx(true, abs=near * float(np.linalg.norm(b)))
        assert float(bound.measure(problem, state)) == pytest.approx(float(trace[0]), rel=1e-6)


@each
def test_ten_and_ten_are_twenty(method):
    problem = rs.LinearSystem(dominant(), rhs(40))
    bound, whole = begun(method, problem)
    whole, trace = bound.advance(problem, whole, 20, 0.0)
    bound, parts = begun(method, problem)
    parts, first = bound.advance(problem, parts, 10, 0.0)
    parts, second = bound.advance(problem, parts, 10, 0.0)
    assert np.array_equal(np.concatenate([first, second]), trace)
    assert np.array_equal(parts.x, whole.x)
    assert bound.calls(problem, parts) == bound.calls(problem, whole)


@each
def test_a_step_is_pure_and_equals_one_advance(method):
    problem = rs.LinearSystem(dominant(), rhs(40))
    bound, state = begun(method, problem)
    before = [np.copy(leaf) for leaf in jax.tree_util.tree_leaves(state)]
    one = bound.step(problem, bound.step(problem, state))
    after = jax.tree_util.tree_leaves(state)
    assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(before, after, strict=True))
    other, _ = bound.advance(problem, state, 2, 0.0)
    assert np.allclose(one.x, other.x, rtol=1e-14, atol=0)
    assert bound.calls(problem, one) == bound.calls(problem, other)


@each
def test_advance_stops_at_its_target(method):
    problem = rs.LinearSystem(dominant(), rhs(40))
    bound, state = begun(method, problem)
    state, trace = bound.advance(problem, state, 1000, 1e-6)
    assert 3 < len(trace) < 1000
    assert trace[-1] <= 1e-6
    assert (trace[:-1] > 1e-6).all()
    assert np.linalg.norm(problem.residual(state.x)) == pytest.approx(trace[-1], rel=1e-5)


@each
def test_refresh_measures_the_data_and_goes_on(method):
    problem = rs.LinearSystem(dominant(), rhs(40))
    bound, state = begun(method, problem)
    state, _ = bound.advance(problem, state, 5, 0.0)
    state = state._replace(x=state.x + 1e-3)
    fresh = bound.refresh(problem, state)
    true = np.linalg.norm(problem.residual(state.x))
    assert float(bound.measure(problem, fresh)) == pytest.approx(true, rel=1e-12)
    fresh, trace = bound.advance(problem, fresh, 1, 0.0)
    assert trace[0] == pytest.approx(np.linalg.norm(problem.residual(fresh.x)), rel=1e-12)


@each
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-11), (np.float32, 1e-5)])
def test_solutions_are_certified(method, dtype, rtol):
    A, b = dominant(dtype), rhs(40, dtype)
    answer = np.linalg.solve(A.toarray().astype(float), b.astype(float))
    kept = A.data.copy(), b.copy()
    for matrix in (A, A.toarray()):
        sol = rs.solve(rs.LinearSystem(matrix, b), method, rtol=rtol)
        assert sol.converged
        assert sol.x.dtype == dtype
        assert np.linalg.norm(sol.x - answer) <= 10 * rtol * np.linalg.norm(answer)
    assert np.array_equal(kept[0], A.data)
    assert np.array_equal(kept[1], b)


@each
def test_several_right_hand_sides_are_solved_as_columns(method):
    A, B = dominant(), rhs(120).reshape(40, 3)
    sol = rs.solve(rs.LinearSystem(A, B), method, rtol=1e-10)
    assert sol.converged
    for j in range(3):
        one = rs.solve(rs.LinearSystem(A, B[:, j].copy()), method, rtol=1e-10)
        assert np.allclose(sol.x[:, j], one.x, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("over", "plain"),
    [
        (SOR(1.0), GaussSeidel()),
        (SOR(1.0, sweep="backward"), GaussSeidel(sweep="backward")),
        (SSOR(1.0), SymmetricGaussSeidel()),
    ],
)
def test_omega_one_is_gauss_seidel(over, plain):
    problem = rs.LinearSystem(dominant(), rhs(40))
    one, two = (rs.solve(problem, method, rtol=1e-8) for method in (over, plain))
    assert one.steps == two.steps
    assert np.array_equal(one.x, two.x)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("sweep", ["forward", "backward"])
def test_sor_falls_at_the_rate_of_young(dimensions, sweep):
    side = 20
    A = laplacian(side, dimensions)
    beta = float(grid_jacobi_radius(0.0, side))
    best = float(omega_star(beta))
    for omega, steps, first in [(1.0, 400, 200), (0.8 + 0.2 * best, 500, 250), (1.85, 150, 50)]:
        rate = np.log(slope(SOR(omega, sweep=sweep), A, steps, first))
        assert rate == pytest.approx(np.log(float(sor_radius(beta, omega))), rel=0.05)
    # At the optimum a Jordan block lets the residual fall like k rho^k in the worst case.
    steps, first = 80, 30
    rate, limit = np.log(slope(SOR(best, sweep=sweep), A, steps, first)), np.log(best - 1.0)
    growth = np.log(steps / (first + 1.0)) / (steps - 1 - first)
    assert 1.05 * limit <= rate <= 0.95 * limit + growth


def test_jacobi_falls_at_its_spectral_radius():
    A = laplacian(20)
    beta = float(grid_jacobi_radius(0.0, 20))
    assert slope(Jacobi(0.8), A, 600, 300) == pytest.approx(0.2 + 0.8 * beta, abs=1e-4)
    assert slope(Jacobi(1.0), A, 600, 300) == pytest.approx(beta, abs=1e-4)


@pytest.mark.parametrize("omega", [0.6, 1.0, 1.6])
def test_ssor_falls_at_its_spectral_radius(omega):
    A = laplacian(10)
    full = A.toarray()
    values = np.linalg.eigvals(np.eye(100) - np.linalg.solve(splitting(SSOR(omega), full), full))
    assert np.abs(values.imag).max() < 1e-6
    assert slope(SSOR(omega), A, 120, 60) == pytest.approx(np.abs(values).max(), rel=1e-3)


@pytest.mark.parametrize("method", [SOR(1.9), GaussSeidel(), SSOR(1.4), Jacobi()], ids=str)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_divergence_is_reported_not_raised(method, dense, dtype):
    A = np.array([[1.0, 9.0], [9.0, 1.0]], dtype)
    problem = rs.LinearSystem(A if dense else sp.csr_array(A), np.array([1.0, 2.0], dtype))
    sol = rs.solve(problem, method, throw=False)
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged


@pytest.mark.parametrize("method", [SOR(1.5), GaussSeidel(), SSOR(1.5), Jacobi(0.5)], ids=str)
def test_singular_systems(method):
    A = sp.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
    assert rs.solve(rs.LinearSystem(A, np.array([2.0, 2.0, 1.0])), method, rtol=1e-10).converged
    sol = rs.solve(rs.LinearSystem(A, np.array([1.0, 2.0, 1.0])), method, throw=False)
    assert sol.reason is rs.Reason.stalled
    assert not sol.converged


def test_calls_are_counted():
    problem = rs.LinearSystem(dominant(), rhs(40))
    sol = rs.solve(problem, SOR(1.1), rtol=1e-8)
    assert sol.calls == {"matvec": 1, "sweep": sol.steps}
    assert rs.solve(problem, Jacobi(), rtol=1e-8).calls["matvec"] >= 2


def test_jacobi_is_the_same_on_both_engines():
    A, b = dominant(), rhs(40)
    host = rs.solve(rs.LinearSystem(A, b), Jacobi(0.9), rtol=1e-9)
    eager = rs.solve(rs.LinearSystem(A.toarray(), b), Jacobi(0.9), rtol=1e-9)
    traced = rs.solve(rs.LinearSystem(A, b, storage="diagonals"), Jacobi(0.9), rtol=1e-9)
    assert traced.engine.startswith("traced")
    assert host.steps == eager.steps == traced.steps
    for other in (eager, traced):
        assert np.allclose(host.x, other.x, rtol=1e-8, atol=1e-10)


def test_jacobi_takes_a_traced_weight():
    A, b = jnp.asarray(dominant(np.float32).toarray()), jnp.asarray(rhs(40, np.float32))

    def steps(omega):
        return rs.solve(rs.LinearSystem(A, b), Jacobi(omega), rtol=1e-4).steps

    weights = jnp.array([0.4, 0.7, 1.0])
    batch = jax.jit(jax.vmap(steps))(weights)
    assert [int(s) for s in batch] == [int(steps(float(w))) for w in weights]


def test_learned_weights_change_without_a_new_method():
    method = SOR(1.2).but(omega=1.6)
    assert jax.tree_util.tree_leaves(method) == [1.6]
    assert str(method) == "sor (omega 1.6)"
    problem = rs.LinearSystem(laplacian(8), rhs(64))
    assert rs.solve(problem, method).steps == rs.solve(problem, SOR(1.6)).steps


@pytest.mark.parametrize("cls", [SOR, SSOR, Jacobi])
@pytest.mark.parametrize("omega", [0.0, 2.0, -0.5, 2.5, np.nan, np.inf])
def test_omega_outside_its_interval_is_refused(cls, omega):
    with pytest.raises(ValueError, match=r"omega: given .*; needed 0.0 < omega < 2.0\. Outside"):
        cls(omega)


@pytest.mark.parametrize("cls", [SOR, SSOR, Jacobi])
@pytest.mark.parametrize("omega", ["1.5", None, True, np.array([1.0, 1.5])])
def test_omega_that_is_no_number_is_refused(cls, omega):
    with pytest.raises(TypeError, match=r"omega: given .*; needed one real number"):
        cls(omega)


@pytest.mark.parametrize("cls", [SOR, GaussSeidel])
def test_unknown_sweep_is_refused(cls):
    with pytest.raises(ValueError, match=r"sweep: given 'up'; needed one of 'forward', 'backward'"):
        cls(sweep="up")


@each
def test_zero_on_the_diagonal_is_refused(method):
    A = dominant().tolil()
    A[7, 7] = 0.0
    problem = rs.LinearSystem(A, rhs(40))
    with pytest.raises(ValueError, match="zero on its diagonal, the first in row 7"):
        rs.solve(problem, method)


@each
def test_unknown_entries_are_refused(method):
    problem = rs.LinearSystem(lambda x: 2.0 * x, jnp.ones(4))
    with pytest.raises(ValueError, match=r"given .*not known; needed a problem that is or has"):
        rs.solve(problem, method)


@pytest.mark.parametrize("method", HOST_ONLY, ids=str)
def test_host_methods_refuse_transformations_in_words(method):
    def solve(b):
        return rs.solve(rs.LinearSystem(jnp.eye(3), b), method).x

    with pytest.raises(TypeError, match="inside a JAX transformation"):
        jax.jit(solve)(jnp.ones(3))


@each
def test_methods_and_states_survive_a_file(method, tmp_path):
    rs.save(tmp_path / "method.rs", method)
    assert str(rs.load(tmp_path / "method.rs")) == str(method)
    problem = rs.LinearSystem(dominant(), rhs(40))
    bound, state = begun(method, problem)
    state, _ = bound.advance(problem, state, 3, 0.0)
    rs.save(tmp_path / "state.rs", state)
    again = rs.load(tmp_path / "state.rs")
    one, _ = bound.advance(problem, state, 4, 0.0)
    two, _ = bound.advance(problem, again, 4, 0.0)
    assert np.array_equal(one.x, two.x)


def test_sor_agrees_with_cg():
    problem = rs.LinearSystem(laplacian(16), rhs(256))
    one = rs.solve(problem, SOR(1.7), rtol=1e-11)
    two = rs.solve(problem, CG(), rtol=1e-11)
    assert np.allclose(one.x, two.x, rtol=0, atol=1e-8)
