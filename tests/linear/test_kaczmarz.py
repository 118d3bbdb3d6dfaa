"""Randomized Kaczmarz: its law of drawing, its rate, and its ends."""

import numpy as np
import pytest
import scipy.sparse as sp

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.linear.kaczmarz import Kaczmarz


def system(dtype=np.float64, size=15, seed=0, dense=False):
    rng = np.random.default_rng(seed)
    A = np.eye(size) * 3.0 + 0.3 * rng.standard_normal((size, size))
    A = np.roll(A, 1, axis=0).astype(dtype)
    return rs.LinearSystem(A if dense else sp.csr_array(A), rng.standard_normal(size).astype(dtype))


def begun(problem, key, x0=None):
    bound = Kaczmarz().bind(problem)
    x0 = np.zeros_like(problem.b) if x0 is None else x0
    return bound, bound.init(problem, x0, Memory(), np.random.default_rng(key))


def after(problem, key, epochs):
    bound, state = begun(problem, key)
    return bound.advance(problem, state, epochs, -1.0)[0].x


def test_rows_are_drawn_by_their_squared_norm():
    # On a diagonal matrix a coordinate is right from the first time that its row is drawn.
    weights = np.array([1.0, 2.0, 3.0])
    problem = rs.LinearSystem(np.diag(weights), weights)
    trials = 2000
    bound, _ = begun(problem, 0)
    missed = np.zeros(3)
    for key in range(trials):
        state = bound.init(problem, np.zeros(3), Memory(), np.random.default_rng(key))
        missed += bound.advance(problem, state, 1, -1.0)[0].x == 0.0
    expected = (1.0 - weights**2 / 14.0) ** 3
    spread = np.sqrt(expected * (1.0 - expected) / trials)
    assert (np.abs(missed / trials - expected) <= 4.0 * spread).all()


def test_mean_square_error_keeps_to_the_bound():
    problem = system()
    A = problem.operator.matrix.toarray()
    answer = np.linalg.solve(A, problem.b)
    singular = np.linalg.svd(A, compute_uv=False)
    rate = 1.0 - singular[-1] ** 2 / (singular**2).sum()
    start = answer @ answer
    for epochs in (1, 4):
        errors = [np.sum((after(problem, key, epochs) - answer) ** 2) for key in range(200)]
        error = np.std(errors) / np.sqrt(len(errors))
        assert np.mean(errors) <= rate ** (epochs * problem.n) * start + 4.0 * error


def test_orthogonal_rows_meet_the_bound_with_equality():
    rng = np.random.default_rng(3)
    Q, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    problem = rs.LinearSystem(Q, rng.standard_normal(12))
    answer = Q.T @ problem.b
    errors = np.array([np.sum((after(problem, key, 1) - answer) ** 2) for key in range(600)])
    expected = (1.0 - 1.0 / 12.0) ** 12 * (answer @ answer)
    assert abs(errors.mean() - expected) <= 4.0 * errors.std() / np.sqrt(len(errors))


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-11), (np.float32, 1e-5)])
def test_solutions_are_certified(dense, dtype, rtol):
    problem = system(dtype, dense=dense)
    assert np.abs(np.diag(system(dense=True).operator.matrix)).min() < 0.5
    sol = rs.solve(problem, Kaczmarz(), rtol=rtol, key=1)
    assert sol.converged
    assert sol.x.dtype == dtype
    assert sol.calls["matvec"] in (1, 2)
    assert sol.calls["row"] == 15 * sol.steps == 15 * sol.calls["residual"]
    A = system(dense=True).operator.matrix
    answer = np.linalg.solve(A, problem.b.astype(float))
    assert np.linalg.norm(sol.x - answer) <= 10 * rtol * np.linalg.norm(answer)


def test_key_decides_everything():
    problem = system()
    one, same, other = (rs.solve(problem, Kaczmarz(), key=key) for key in (4, 4, 5))
    assert np.array_equal(one.x, same.x)
    assert not np.array_equal(one.x, other.x)
    dense = rs.solve(system(dense=True), Kaczmarz(), key=4)
    assert dense.steps == one.steps
    assert np.allclose(dense.x, one.x, rtol=0, atol=1e-12)


def test_ten_and_ten_are_twenty():
    problem = system()
    bound, whole = begun(problem, 7)
    whole, trace = bound.advance(problem, whole, 20, 0.0)
    bound, parts = begun(problem, 7)
    parts, first = bound.advance(problem, parts, 10, 0.0)
    parts = bound.step(problem, parts)
    parts, second = bound.advance(problem, parts, 9, 0.0)
    assert np.array_equal(first, trace[:10])
    assert np.array_equal(second, trace[11:])
    assert np.array_equal(parts.x, whole.x)
    assert parts.epochs == whole.epochs == 20
    assert trace[-1] == pytest.approx(np.linalg.norm(problem.residual(whole.x)), rel=1e-9)


def test_state_survives_a_file(tmp_path):
    problem = system()
    bound, state = begun(problem, 2)
    state, _ = bound.advance(problem, state, 3, 0.0)
    rs.save(tmp_path / "state.rs", state)
    again = rs.load(tmp_path / "state.rs")
    one, two = (bound.advance(problem, s, 4, 0.0)[0] for s in (state, again))
    assert np.array_equal(one.x, two.x)


def test_step_leaves_its_state_alone():
    problem = system()
    bound, state = begun(problem, 2)
    kept = state.x.copy(), state.scalars.copy()
    bound.step(problem, state)
    assert np.array_equal(kept[0], state.x)
    assert np.array_equal(kept[1], state.scalars)


def test_inconsistent_and_empty_systems_are_never_solved():
    A = np.array([[1.0, 1.0], [1.0, 1.0]])
    sol = rs.solve(rs.LinearSystem(A, np.array([1.0, 2.0])), Kaczmarz(), throw=False)
    assert sol.reason is rs.Reason.stalled
    consistent = rs.solve(rs.LinearSystem(A, np.array([2.0, 2.0])), Kaczmarz(), rtol=1e-12)
    assert np.allclose(consistent.x, 1.0)
    nothing = rs.solve(rs.LinearSystem(np.zeros((2, 2)), np.ones(2)), Kaczmarz(), throw=False)
    assert nothing.reason is rs.Reason.breakdown
    assert not nothing.converged


def test_zero_rows_are_passed_over():
    A = sp.csr_array(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 3.0]]))
    sol = rs.solve(rs.LinearSystem(A, np.array([3.0, 0.0, 4.0])), Kaczmarz(), rtol=1e-10)
    assert sol.converged


def test_huge_entries_are_solved_in_other_units():
    sol = rs.solve(rs.LinearSystem(1e200 * np.eye(3), np.ones(3)), Kaczmarz())
    np.testing.assert_allclose(sol.x, 1e-200, rtol=1e-6)


def test_unknown_entries_are_refused():
    import scipy.sparse.linalg as sla

    operator = sla.aslinearoperator(sp.eye_array(4))
    with pytest.raises(ValueError, match="entries of A are not known"):
        rs.solve(rs.LinearSystem(operator, np.ones(4)), Kaczmarz())
