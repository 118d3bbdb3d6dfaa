"""Several right-hand sides: failures, interrupts, zero columns, rest, and honest counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

import resolvent as rs
from resolvent._core.host import HostStepper
from resolvent._core.memory import Memory
from resolvent.linear.columns import Columns
from resolvent.linear.defaults import SymmetricDefault


def halves():
    """A block where CG breaks down at once and one where it converges, in one matrix."""
    A = np.eye(6)
    A[0, 1] = A[1, 0] = 3.0
    A[2, 2], A[3, 3] = 2.0, 3.0
    b = np.zeros((6, 2))
    b[:2, 0] = 1.0, -1.0
    b[2:, 1] = 1.0, 2.0, 3.0, 4.0
    return A, b


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("dense", [False, True])
def test_a_failed_column_and_a_finished_one_end_the_solve(order, dense):
    A, b = halves()
    problem = rs.LinearSystem(A if dense else sp.csr_array(A), b[:, order])
    sol = rs.solve(problem, rs.linear.CG(), throw=False, seconds=20.0)
    assert sol.reason is rs.Reason.breakdown
    assert sol.steps < 10
    ratios = sol.certificate.details["columns"]
    assert ratios[order.index(1)] <= 1e-6 < ratios[order.index(0)]


def test_a_failed_column_and_a_finished_one_end_a_traced_solve():
    A, b = (jnp.asarray(array, jnp.float32) for array in halves())
    sol = jax.jit(lambda A, b: rs.solve(rs.LinearSystem(A, b), rs.linear.CG(), max_steps=500))(A, b)
    assert sol.reason is rs.Reason.breakdown
    assert int(sol.steps) < 10


def test_a_failed_column_lets_the_others_go_on():
    rng = np.random.default_rng(0)
    A = np.diag(np.r_[1.0, -1.0, np.linspace(1.0, 50.0, 38)])
    b = np.zeros((40, 2))
    b[:2, 0] = 1.0  # of no curvature in its first direction
    b[2:, 1] = rng.standard_normal(38)
    problem = rs.LinearSystem(sp.csr_array(A), b)
    # The declared diagonal would be refused: go through the columns themselves.
    method = Columns(rs.linear.CG()).bind(problem)
    state = method.init(problem, np.zeros_like(b), Memory(), None)
    state, trace = method.advance(problem, state, 200, 1e-8)
    assert len(trace) > 10
    assert state.worst[1] <= 1e-8
    assert state.worst[0] == trace[-1] == method.measure(problem, state)
    assert method.status(state) == rs.Reason.breakdown.code


@pytest.mark.parametrize("method", [rs.linear.CG(), rs.linear.GMRES(restart=4)], ids=str)
@pytest.mark.parametrize("last", [3, 8, 20])
def test_an_interrupt_keeps_every_column(method, last, tmp_path):
    diagonal = np.linspace(1.0, 3.0, 20)
    b = np.random.default_rng(0).standard_normal((20, 2))
    calls = [0]

    def product(x):
        calls[0] += 1
        if calls[0] == last:
            raise KeyboardInterrupt
        return diagonal * x.ravel()

    operator = LinearOperator((20, 20), product, dtype=float)
    problem = rs.LinearSystem(operator, b, positive_definite=True)
    path = tmp_path / "solve.rs"
    broken = rs.solve(problem, method, rtol=1e-8, checkpoint=path)
    assert broken.reason is rs.Reason.interrupted
    assert broken.x.shape == b.shape
    assert broken.calls["matvec"] == last - 1
    resumed = rs.solve(problem, method, rtol=1e-8, checkpoint=path)
    assert np.allclose(resumed.x, b / diagonal[:, None], rtol=1e-6)


@pytest.mark.parametrize("start", [0, 1])
def test_an_interrupt_in_the_default_keeps_its_state(start, monkeypatch):
    # A dense matrix too large for the kernel: the steps are Python, and can be interrupted.
    n = 600
    A = np.diag(np.r_[-1.0, np.linspace(1.0, 30.0, n - 1)]) if start else np.diag(
        np.linspace(1.0, 30.0, n)
    )  # fmt: skip
    problem = rs.LinearSystem(A, np.ones(n))
    method = SymmetricDefault().bind(problem)
    stepper = HostStepper(problem, method)
    target = 1e-10
    stepper.first(np.zeros(n), Memory(), None, target, 0.0, 5, None)
    for _ in range(40):
        if stepper.state.definite == (start == 0):
            break
        stepper.next(5, 1.0, False)
    assert stepper.state.definite == (start == 0)
    before = stepper.state
    seen = [0]
    original = type(problem.operator).mv

    def mv(self, x):
        seen[0] += 1
        if seen[0] == 3:
            raise KeyboardInterrupt
        return original(self, x)

    monkeypatch.setattr(type(problem.operator), "mv", mv)
    chunk = stepper.next(10, 1.0, False)
    assert chunk.interrupted
    assert chunk.done == 2
    assert type(stepper.state) is type(before)
    spent = method.calls(problem, before)["matvec"]
    assert method.calls(problem, stepper.state)["matvec"] == spent + 2


@pytest.mark.parametrize("kind", ["rows", "dense", "traced"])
def test_a_zero_column_starts_from_zero(kind):
    A = np.diag(np.linspace(1.0, 4.0, 12))
    b = np.ones((12, 3))
    b[:, 1] = 0.0
    guess = np.full((12, 3), 0.5)
    matrix = {"rows": sp.csr_array(A), "dense": A, "traced": jnp.asarray(A)}[kind]
    rhs = jnp.asarray(b) if kind == "traced" else b
    sol = rs.solve(rs.LinearSystem(matrix, rhs), rs.linear.CG(), x0=guess)
    assert sol.converged
    assert not np.asarray(sol.x)[:, 1].any()
    assert (guess == 0.5).all()
    vector = rs.LinearSystem(A, np.zeros(12))
    assert not vector.admit(guess[:, 0]).any()
    kept = rs.LinearSystem(A, b[:, 0]).admit(guess[:, 0])
    assert (kept == 0.5).all()


def uneven(n=60):
    """A matrix, a column that CG ends in one step, and one that takes long."""
    A = np.diag(np.linspace(1.0, 400.0, n))
    return A, np.stack([np.eye(n)[0], np.ones(n)], axis=1)


def test_aimed_columns_rest_in_the_traced_engine():
    A, b = (jnp.asarray(array, jnp.float32) for array in uneven())
    problem = rs.LinearSystem(A, b)
    method = Columns(rs.linear.CG())
    state = method.init(problem, jnp.zeros_like(b), Memory(), None)
    state = method.aim(state, 1e-4)
    step = jax.jit(method.step)
    for _ in range(5):
        state = step(problem, state)
    assert [int(n) for n in state.states.steps] == [2, 6]
    assert int(method.status(state)) == 0
    # A harder goal wakes nobody who has nothing left to gain, and a softer one ends the work.
    rested = step(problem, method.aim(state, 0.9))
    assert [int(n) for n in rested.states.steps] == [2, 6]
    assert [int(n) for n in step(problem, method.aim(state, 1e-6)).states.steps][1] == 7


def test_calls_of_both_engines_agree_where_columns_finish_apart():
    A, b = uneven()
    host = rs.solve(rs.LinearSystem(sp.csr_array(A), b), rs.linear.CG(), rtol=1e-6)
    diagonals = rs.LinearSystem(sp.csr_array(A), b, storage="diagonals")
    traced = rs.solve(diagonals, rs.linear.CG(), rtol=1e-6)
    assert traced.engine.startswith("traced")
    assert host.steps == traced.steps > 20
    # From a zero guess the host knows the first residuals without a product.
    assert traced.calls["matvec"] == host.calls["matvec"] + 2


@pytest.mark.parametrize("goal", [1e-3, 0.1, 1 / 3, 1e-30])
def test_a_goal_is_never_rounded_up(goal):
    with jax.enable_x64(True):
        A, b = (jnp.asarray(array, jnp.float32) for array in uneven())
        problem = rs.LinearSystem(A, b)
        method = Columns(rs.linear.CG())
        state = method.init(problem, jnp.zeros_like(b), Memory(), None)
        aimed = method.aim(state, jnp.asarray(goal, jnp.float64)).goal
        assert aimed.dtype == jnp.float32
        assert 0.999 * goal <= float(aimed) <= goal


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_column_waits_for_the_rounding_of_a_quotient(dtype):
    """A column whose own loop is done counts as done: else nothing would move any more."""
    rng = np.random.default_rng(0)
    A = np.diag(np.linspace(1.0, 3.0, 8)).astype(dtype)
    for _ in range(300):
        b = rng.uniform(0.1, 10.0, (8, 2)).astype(dtype)
        problem = rs.LinearSystem(A, b)
        method = Columns(Still()).bind(problem)
        scales = method.init(problem, np.zeros_like(b), Memory(), None).scales
        goal = float(rng.uniform(0.01, 0.5))
        # Residuals that lie on the goal to the last digit, from above and from below.
        for nudge in (1 - 2e-16, 1.0, 1 + 2e-16):
            still = Columns(Still(float(goal * scales[0] * nudge)))
            state = still.init(problem, np.zeros_like(b), Memory(), None)
            state, trace = still.advance(problem, state, 1, goal)
            assert len(trace) or not state.worst.max() > goal


class Still(rs.linear.CG):
    """Claims one residual norm, and steps only where that is above its target."""

    claim: float = 0.0

    def init(self, problem, x0, memory, key):
        return (x0,)

    def advance(self, problem, state, steps, target):
        return state, np.full(int(not self.claim <= target), self.claim)

    def measure(self, problem, state):
        return self.claim

    def status(self, state):
        return 0

    def bind(self, problem):
        return self


@pytest.mark.parametrize("engine", ["host", "traced"])
def test_set_up_is_counted_once_for_all_columns(engine):
    A, b = uneven(30)
    b = np.stack([b[:, 1], b[::-1, 1] * np.arange(30), np.cos(np.arange(30))], axis=1)
    if engine == "traced":
        A, b = jnp.asarray(A), jnp.asarray(b)
    M = rs.linear.ChebyshevPreconditioner(2)
    sol = rs.solve(rs.LinearSystem(A, b), rs.linear.CG(preconditioner=M), rtol=1e-4)
    ready = M.setup(rs.LinearSystem(A, b).prepare(engine))
    bare = rs.solve(rs.LinearSystem(A, b), rs.linear.CG(preconditioner=ready), rtol=1e-4)
    assert sol.calls["matvec"] == bare.calls["matvec"] + 12


def test_one_half_matrix_for_all_columns(monkeypatch):
    from resolvent.linear import cg

    made = []
    original = cg.half_storage
    monkeypatch.setattr(cg, "half_storage", lambda A: made.append(A) or original(A))
    A, b = uneven()
    b = np.random.default_rng(0).standard_normal((60, 5))
    sol = rs.solve(rs.LinearSystem(sp.csr_array(A), b), rs.linear.CG(), rtol=1e-8)
    assert sol.converged
    assert len(made) == 1


def test_several_right_hand_sides_in_double_precision_under_jit():
    A = np.diag(np.arange(1.0, 11.0))
    B = np.random.default_rng(0).standard_normal((10, 3))
    with jax.enable_x64(True):
        solve = jax.jit(lambda A, B: rs.solve(rs.LinearSystem(A, B), rs.linear.CG(), rtol=1e-10).x)
        X = np.asarray(solve(jnp.asarray(A), jnp.asarray(B)))
    assert X.dtype == np.float64
    np.testing.assert_allclose(A @ X, B, rtol=0, atol=1e-8)
