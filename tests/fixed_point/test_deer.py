"""Newton's method over all stages: recurrences, flows, and the scans that solve its systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from suite.tally import Tally

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.fixed_point import linear_recurrence
from resolvent.fixed_point.deer import DEER, QuasiDEER
from resolvent.fixed_point.initial_value import InitialValueProblem, _exponential
from resolvent.fixed_point.sequential import Recurrence

T, N = 40, 3


def linear(y, x, A):
    return A @ y + x


def diagonal(y, x, a):
    return a * y + x


def cell(y, x, W):
    return jnp.tanh(W @ y + x)


def recurrent(seed=0, gain=0.5):
    rng = np.random.default_rng(seed)
    W = gain * rng.standard_normal((N, N))
    return W, rng.standard_normal((T, N)), rng.standard_normal(N)


def evaluated(W, X, y, fn=np.tanh):
    found = []
    for x in X:
        y = fn(W @ y + x)
        found.append(y)
    return np.array(found)


@pytest.mark.slow
def test_scans_agree_and_the_transposed_system_is_the_transpose():
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((13, N, N)) / 2, rng.standard_normal((13, N))
    matrix = np.eye(13 * N)
    for t in range(1, 13):
        matrix[t * N : (t + 1) * N, (t - 1) * N : t * N] = -A[t]
    with jax.enable_x64(True):
        A, b = jnp.asarray(A), jnp.asarray(b)
        wanted = np.linalg.solve(matrix, b.ravel())
        for way in (linear_recurrence.by_scan, linear_recurrence.in_turn):
            assert np.allclose(way(A, b).ravel(), wanted, rtol=1e-12)
            spread = jnp.zeros_like(A).at[:, jnp.arange(N), jnp.arange(N)].set(b)
            assert np.allclose(way(b, b), way(spread, b), rtol=1e-12)
        assert np.allclose(linear_recurrence.solved(A, b, False).ravel(), wanted, rtol=1e-12)
        wanted = np.linalg.solve(matrix.T, b.ravel())
        assert np.allclose(linear_recurrence.solved(A, b, True).ravel(), wanted, rtol=1e-12)


def test_derivatives_by_products_are_those_in_turn():
    W, X, y = recurrent(gain=0.8)
    target = np.random.default_rng(4).standard_normal((T, N))
    with jax.enable_x64(True):
        problem = Recurrence(cell, X, y, W).prepare("traced")
        before = problem.earlier(jnp.asarray(evaluated(W, X, y)))
        for transposed in (False, True):
            one = problem._by_products(before, jnp.asarray(target), transposed)
            two = problem._in_turn(before, jnp.asarray(target), transposed)
            assert np.allclose(one, two, rtol=1e-10, atol=1e-12 * float(abs(two).max()))


@pytest.mark.slow
def test_linear_recurrences_take_one_step():
    W, X, y = recurrent()
    sol = rs.solve(Recurrence(linear, X, y, W), DEER(), rtol=1e-13)
    assert sol.steps == 1
    assert np.allclose(sol.x, evaluated(W, X, y, lambda v: v), rtol=0, atol=1e-13)
    a = np.array([0.9, -0.5, 0.2])
    sol = rs.solve(Recurrence(diagonal, X, y, a), QuasiDEER(), rtol=1e-13)
    assert sol.steps == 1
    assert np.allclose(sol.x, evaluated(np.diag(a), X, y, lambda v: v), rtol=0, atol=1e-13)


@pytest.mark.slow
def test_newton_is_quadratic_and_its_diagonal_is_not():
    W, X, y = recurrent()
    answer = evaluated(W, X, y)
    newton = rs.solve(Recurrence(cell, X, y, W), DEER(), rtol=1e-13)
    measures = newton.history.measures
    assert newton.steps <= 6
    assert measures[-1] <= 10 * measures[-2] ** 2 + 1e-14
    assert measures[-2] <= 10 * measures[-3] ** 2
    quasi = rs.solve(Recurrence(cell, X, y, W), QuasiDEER(), rtol=1e-13)
    assert newton.steps < quasi.steps < T
    damped = rs.solve(Recurrence(cell, X, y, W), DEER(damping=0.5), rtol=1e-13)
    assert newton.steps < damped.steps
    for sol in (newton, quasi, damped):
        assert np.allclose(sol.x, answer, rtol=0, atol=1e-12)
        assert sol.calls["stage"] == 0


@pytest.mark.slow
def test_full_damping_is_the_jacobi_iteration():
    from resolvent.fixed_point.jacobi_sweeps import JacobiSweeps

    problem = Recurrence(cell, *recurrent()[1:], recurrent()[0])
    one = rs.solve(problem, DEER(damping=1.0), rtol=1e-9)
    two = rs.solve(problem, JacobiSweeps(), rtol=1e-9)
    assert one.steps == two.steps
    assert np.allclose(one.x, two.x, rtol=0, atol=1e-14)


@pytest.mark.slow
def test_every_step_makes_one_more_stage_exact_however_far_the_others_are():
    W, X, y = recurrent(gain=4.0)
    with jax.enable_x64(True):
        problem = Recurrence(cell, X, y, W).prepare("traced")
        method = DEER(patience=10**6)
        state = method.init(problem, jnp.full((T, N), 50.0), Memory(), None)
        step = jax.jit(lambda state: method.step(problem, state))
        for k in range(1, T + 1):
            state = step(state)
            assert np.array_equal(state.s[:k], state.image[:k])
        assert float(state.size) == 0.0
        assert np.allclose(state.s[:9], evaluated(W, X, y)[:9], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_breakdown_falls_back_on_sequential_evaluation():
    W, X, y = recurrent(gain=4.0)
    answer = evaluated(W, X, y)
    problem = Recurrence(cell, X, y, W)
    sol = rs.solve(problem, DEER(patience=2), x0=np.full((T, N), 50.0), rtol=1e-13)
    assert 0 < sol.calls["stage"] < T
    assert np.allclose(sol.x, answer, rtol=0, atol=1e-14)
    # Where f is no number at the guess, there is no step of Newton's to take.
    root = Recurrence(lambda y, x: jnp.sqrt(y - 3.0) + 3.0 + x, np.ones((T, 1)), np.full(1, 4.0))
    sol = rs.solve(root, DEER(), x0=np.zeros((T, 1)), rtol=1e-13)
    assert sol.steps == 1
    assert sol.calls["stage"] == T


def test_a_recurrence_that_blows_up_is_never_called_solved():
    problem = Recurrence(lambda y, x: y * y, None, np.full(1, 3.0), length=30)
    sol = rs.solve(problem, DEER(), throw=False)
    assert not sol.converged
    assert sol.reason is not rs.Reason.target


@pytest.mark.slow
def test_unrolled_derivatives_pass_through_the_fallback():
    W, X, y = recurrent(gain=4.0)

    def loss(W):
        problem = Recurrence(cell, X, y, W)
        sol = rs.solve(
            problem, DEER(patience=1), rtol=1e-13, max_steps=8, adjoint=rs.Unrolled(),
            x0=jnp.full((T, N), 50.0),
        )  # fmt: skip
        return sol.x[:12].sum(), sol.calls["stage"]

    def reference(W):
        return jax.lax.scan(lambda y, x: (cell(y, x, W),) * 2, y, X)[1][:12].sum()

    with jax.enable_x64(True):
        W, X, y = map(jnp.asarray, (W, X, y))
        (_, stages), found = jax.jit(jax.value_and_grad(loss, has_aux=True))(W)
        wanted = jax.grad(reference)(W)
        assert stages > 0
        assert np.allclose(found, wanted, rtol=1e-9, atol=1e-9 * float(abs(wanted).max()))


TALLY = Tally()


def counted_cell(y, x, W):
    jax.debug.callback(TALLY.add, y[0])
    return cell(y, x, W)


class Silent(Recurrence):
    """Its certificate does not go through the counted function."""

    __init__ = Recurrence.__init__

    def certify(self, x, witness=None):
        return Recurrence.certify(self.but(fn=cell), x, witness)


@pytest.mark.slow
@pytest.mark.parametrize("method", [DEER(), QuasiDEER(), DEER(patience=1)], ids=repr)
def test_calls_are_true(method):
    W, X, y = recurrent(gain=2.0)
    TALLY.count = 0
    sol = rs.solve(Silent(counted_cell, X, y, W), method, rtol=1e-9)
    jax.effects_barrier()
    # A sweep and its Jacobians are one pass of the function and its derivatives.
    assert sol.calls["sweep"] == sol.calls["jacobian"] == sol.steps + 1
    assert TALLY.count == T * sol.calls["sweep"] + sol.calls["stage"]


@pytest.mark.slow
def test_trees_batches_and_single_precision():
    data = [recurrent(seed) for seed in range(3)]

    def fn(y, x, W):
        whole = cell(jnp.concatenate([y["a"], y["b"][None]]), x, W)
        return {"a": whole[:2], "b": whole[2]}

    problems = [
        Recurrence(fn, X, {"a": y[:2], "b": np.array(y[2])}, W) for W, X, y in data
    ]  # fmt: skip
    batch = rs.solve_batch(problems, DEER(), rtol=1e-12)
    assert batch.converged.all()
    for i, (W, X, y) in enumerate(data):
        whole = np.concatenate([batch.x["a"][i], batch.x["b"][i][:, None]], axis=1)
        assert np.allclose(whole, evaluated(W, X, y), atol=1e-11)
    W, X, y = (jnp.asarray(part, jnp.float32) for part in data[0])
    sol = rs.solve(Recurrence(cell, X, y, W), DEER(), rtol=1e-5)
    assert sol.x.dtype == jnp.float32


def test_bad_parameters_are_refused():
    for make, name in (
        (lambda: DEER(patience=0), "patience"), (lambda: DEER(damping=1.5), "damping"),
        (lambda: QuasiDEER(damping=-0.1), "damping"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            make()


# Flows


@pytest.mark.parametrize("size", [1e-9, 0.1, 1.0, 30.0, 1000.0])
def test_exponentials(size):
    matrix = np.random.default_rng(0).standard_normal((N, N))
    matrix = -size * matrix @ matrix.T
    whole = expm(np.block([[matrix, np.eye(N)], [np.zeros((N, 2 * N))]]))
    with jax.enable_x64(True):
        E, phi = _exponential(jnp.asarray(matrix))
    assert np.allclose(E, whole[:N, :N], rtol=0, atol=1e-13)
    assert np.allclose(phi, whole[:N, N:], rtol=0, atol=1e-13)


def test_linear_flows_are_exact_on_any_grid_in_one_step():
    A = np.array([[0.0, 1.0], [-4.0, -0.3]])
    times = np.array([0.0, 0.1, 1.0, 1.5, 4.0])
    problem = InitialValueProblem(lambda y, x, A: A @ y, times, np.array([1.0, 0.5]), args=A)
    sol = rs.solve(problem, DEER(), rtol=1e-13)
    assert sol.steps == 1
    wanted = [expm(A * t) @ [1.0, 0.5] for t in times[1:]]
    assert np.allclose(sol.x, wanted, rtol=0, atol=1e-13)


def oscillator(y, x, mu):
    return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0] + x])


def forced(points):
    times = np.linspace(0.0, 4.0, points)
    return InitialValueProblem(
        oscillator, times, np.array([1.0, 0.0]), np.sin(times), args=np.array(1.0)
    )


@pytest.mark.slow
def test_flows_are_of_second_order():
    truth = solve_ivp(
        lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0] + np.sin(t)], (0, 4), [1.0, 0.0],
        rtol=1e-11, atol=1e-12,
    ).y[:, -1]  # fmt: skip
    errors = []
    for points in (41, 81, 161):
        sol = rs.solve(forced(points), DEER(), rtol=1e-11)
        assert sol.steps <= 10
        errors.append(np.abs(sol.x[-1] - truth).max())
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((rates > 1.8) & (rates < 2.2))


@pytest.mark.slow
def test_derivatives_of_flows_by_one_pass():
    with jax.enable_x64(True):
        problem = forced(41)
        weights = jnp.asarray(np.random.default_rng(3).standard_normal((40, 2)))

        def value(mu, start):
            one = problem.but(args=mu, first=start, inputs=mu * problem.inputs)
            return (weights * rs.solve(one, DEER(), rtol=1e-12).x).sum()

        mu, start = jnp.asarray(1.0), jnp.asarray([1.0, 0.0])
        found = jax.jit(jax.grad(value, (0, 1)))(mu, start)
        push = jax.jit(lambda m, s: jax.jvp(value, (mu, start), (m, s))[1])
        for direction in ((1.0, jnp.zeros(2)), (0.0, jnp.array([0.3, 1.0]))):
            m, s = jnp.asarray(direction[0]), direction[1]
            ends = [float(value(mu + sign * 1e-5 * m, start + sign * 1e-5 * s)) for sign in (1, -1)]
            slope = (ends[0] - ends[1]) / 2e-5
            assert float(found[0] * m + found[1] @ s) == pytest.approx(slope, rel=1e-6)
            assert float(push(m, s)) == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
def test_certificate_of_a_flow_is_its_largest_defect():
    problem = forced(21)
    sol = rs.solve(problem, DEER(), rtol=1e-11)
    assert rs.certify(problem, sol.x).value <= 1e-11
    moved = sol.x.copy()
    moved[5] += 0.1
    assert rs.certify(problem, moved).value > 0.09
    assert not rs.certify(problem, np.full((20, 2), 1e100)).holds


def test_a_flow_without_an_answer_is_never_called_solved():
    problem = InitialValueProblem(lambda y, x: y * y, np.linspace(0.0, 9.0, 10), np.ones(1))
    sol = rs.solve(problem, DEER(patience=5), throw=False)
    assert not sol.converged or sol.certificate.holds
    assert sol.reason in (rs.Reason.breakdown, rs.Reason.stalled, rs.Reason.target)


BAD = [
    (lambda: InitialValueProblem(1, np.arange(3.0), np.ones(1)), TypeError, "fn"),
    (lambda: InitialValueProblem(lambda y, x: y, np.arange(3.0)[::-1], np.ones(1)), ValueError,
     "times"),
    (lambda: InitialValueProblem(lambda y, x: y, np.zeros(1), np.ones(1)), ValueError, "times"),
    (lambda: InitialValueProblem(lambda y, x: y, np.array([0.0, np.nan]), np.ones(1)), ValueError,
     "times"),
    (lambda: InitialValueProblem(lambda y, x: y, np.arange(3.0), np.ones(1), np.ones(2)),
     ValueError, "inputs"),
    (lambda: InitialValueProblem(lambda y, x: y[0], np.arange(3.0), np.ones(2)), ValueError, "fn"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "name"), BAD)
def test_bad_flows_are_refused_in_words(make, kind, name):
    with pytest.raises(kind, match=r"(?s)^.+: given .+; needed .+\. .+") as caught:
        make()
    assert str(caught.value).startswith(name)
