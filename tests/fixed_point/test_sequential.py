"""Sequential systems: sweeps over stages, blocks of them, certificates, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from suite.tally import Tally

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.fixed_point.block_sweeps import GaussSeidelJacobi, JacobiGaussSeidel
from resolvent.fixed_point.gauss_seidel_sweep import GaussSeidelSweep
from resolvent.fixed_point.jacobi_sweeps import JacobiSweeps
from resolvent.fixed_point.sequential import Recurrence, SequentialSystem

T, N = 23, 3
METHODS = [
    JacobiSweeps(), GaussSeidelSweep(), GaussSeidelSweep(block=T), JacobiGaussSeidel(),
    JacobiGaussSeidel(block=7), GaussSeidelJacobi(), GaussSeidelJacobi(block=7),
]  # fmt: skip
each = pytest.mark.parametrize("method", METHODS, ids=repr)


def cell(y, x, W):
    return jnp.tanh(W @ y + x)


def recurrent(seed=0, gain=0.5):
    rng = np.random.default_rng(seed)
    W = gain * rng.standard_normal((N, N))
    return W, rng.standard_normal((T, N)), rng.standard_normal(N)


def evaluated(W, X, y):
    """The sequential values, in plain NumPy."""
    found = []
    for x in X:
        y = np.tanh(W @ y + x)
        found.append(y)
    return np.array(found)


def rows_of(s, args):
    return jnp.tanh(args[0] @ s + args[1])


def row_of(t, s, args):
    return jnp.tanh(args[0][t] @ s + args[1][t])


def triangular(seed=0, size=T):
    rng = np.random.default_rng(seed)
    return np.tril(0.4 * rng.standard_normal((size, size)), -1), rng.standard_normal(size)


def forward(L, b):
    s = np.zeros(b.size)
    for t in range(b.size):
        s[t] = np.tanh(L[t] @ s + b[t])
    return s


def problems():
    W, X, y = recurrent()
    L, b = triangular()
    return [
        (Recurrence(cell, X, y, W), evaluated(W, X, y)),
        (SequentialSystem(rows_of, np.zeros(T), (L, b), stage=row_of), forward(L, b)),
    ]


@pytest.mark.slow
@each
def test_all_methods_find_what_sequential_evaluation_gives(method):
    for problem, answer in problems():
        sol = rs.solve(problem, method, rtol=1e-14)
        assert sol.converged
        assert np.allclose(sol.x, answer, rtol=0, atol=1e-13)
        assert isinstance(sol.x, np.ndarray)
        assert 1 <= sol.certificate.details["certified prefix"] <= T


@pytest.mark.slow
def test_after_k_sweeps_the_first_k_stages_are_the_sequential_ones():
    for problem, answer in problems():
        with jax.enable_x64(True):
            problem = problem.prepare("traced")
            # From a guess that is far off, so that no stage is right by chance.
            method, guess = JacobiSweeps(), 5.0 + 0.0 * problem.start(None)
            state = method.init(problem, guess, Memory(), None)
            for k in range(1, T + 1):
                state = method.step(problem, state)
                assert np.allclose(state.s[:k], answer[:k], rtol=0, atol=1e-15)
            assert float(state.size) == 0.0


@pytest.mark.slow
def test_blocks_of_jacobi_gauss_seidel_become_exact_one_a_step():
    for problem, answer in problems():
        with jax.enable_x64(True):
            problem = problem.prepare("traced")
            method, guess = JacobiGaussSeidel(block=5), 5.0 + 0.0 * problem.start(None)
            state = method.init(problem, guess, Memory(), None)
            for k in range(1, 6):
                state = method.step(problem, state)
                exact = min(5 * k, T)
                assert np.allclose(state.s[:exact], answer[:exact], rtol=0, atol=1e-15)
                if k == 1:  # the other blocks have seen old values
                    assert not np.allclose(state.s[exact:], answer[exact:], atol=1e-3)


@pytest.mark.slow
def test_extreme_blocks_are_the_plain_methods():
    for problem, answer in problems():
        whole = rs.solve(problem, JacobiGaussSeidel(block=T), rtol=1e-14)
        assert whole.steps == 1
        single = rs.solve(problem, GaussSeidelJacobi(block=1), rtol=1e-14)
        assert single.steps == T
        assert single.calls == {"stage": T, "sweep": 1}
        for sol in (whole, single):
            assert np.allclose(sol.x, answer, rtol=0, atol=1e-15)
        jacobi = rs.solve(problem, JacobiSweeps(), rtol=1e-9)
        for other in (JacobiGaussSeidel(block=1), GaussSeidelJacobi(block=10 * T)):
            sol = rs.solve(problem, other, rtol=1e-9)
            # Inside one block of all stages the last sweep confirms, unless it is the T-th.
            confirms = isinstance(other, GaussSeidelJacobi)
            assert sol.steps == min(T, jacobi.steps + confirms)
            assert np.allclose(sol.x, jacobi.x, rtol=0, atol=1e-15)


def test_independent_stages_take_one_sweep():
    X = np.random.default_rng(1).standard_normal((T, N))
    problem = Recurrence(lambda y, x: jnp.sin(x), X, np.ones(N))
    sol = rs.solve(problem, JacobiSweeps(), rtol=1e-14)
    assert sol.steps == 1
    assert np.allclose(sol.x, np.sin(X), rtol=0, atol=1e-15)
    assert sol.certificate.details["certified prefix"] == T


def test_sweeps_are_bounded_by_the_depth_of_the_dependencies():
    # Stage t depends on stage t - 6 alone: the graph is as deep as T / 6.
    shift = np.eye(24, k=-6)
    problem = SequentialSystem(rows_of, np.zeros(24), (2.0 * shift, np.ones(24)))
    assert rs.solve(problem, JacobiSweeps(), rtol=1e-15).steps == 4


@pytest.mark.slow
def test_stages_on_the_way_may_be_no_numbers():
    # sqrt of what is negative where old values are meant to be overwritten.
    X = np.linspace(1.0, 2.0, T)[:, None] * np.ones(N)
    problem = Recurrence(lambda y, x: jnp.sqrt(y - 3.0) + 3.0 + x, X, np.full(N, 4.0))
    guess = np.zeros((T, N))
    for method in METHODS:
        sol = rs.solve(problem, method, x0=guess, rtol=1e-13)
        assert sol.converged
        assert (sol.x > 4).all()


@pytest.mark.slow
def test_sequences_that_blow_up_are_never_called_solved():
    problem = Recurrence(lambda y, x: y * y, None, np.full(1, 3.0), length=30)
    for method in METHODS:
        sol = rs.solve(problem, method, throw=False)
        assert not sol.converged
        assert sol.reason is not rs.Reason.target


def test_growth_is_no_divergence():
    # y_t = 1e3 y_{t-1} - x_t ends at a number near 1: stages on the way grow to 1e60.
    factor, length = 1e3, 20
    X = np.full((length, 1), factor - 1.0)
    problem = Recurrence(lambda y, x: factor * y - x, X, np.ones(1))
    sol = rs.solve(problem, JacobiSweeps(), x0=np.zeros((length, 1)), rtol=1e-12)
    assert sol.steps == length
    assert np.array_equal(sol.x, np.ones((length, 1)))


def test_certificate_is_the_largest_defect_and_counts_the_prefix():
    W, X, y = recurrent()
    answer = evaluated(W, X, y)
    problem = Recurrence(cell, X, y, W)
    moved = answer.copy()
    moved[10] += np.array([0.0, 0.3, 0.0])
    certificate = rs.certify(problem, moved)
    after = np.linalg.norm(np.tanh(W @ moved[10] + X[11]) - answer[11])
    assert certificate.value == pytest.approx(max(0.3, after), rel=1e-12)
    assert certificate.details["certified prefix"] == 10
    assert rs.certify(problem, answer).details["certified prefix"] == T
    assert not rs.certify(problem, np.full((T, N), 1e300)).holds
    big = rs.certify(problem, np.full((T, N), 1e200))
    assert np.isfinite(big.value)


@pytest.mark.slow
def test_points_are_trees_and_inputs_may_be_indices():
    table = np.random.default_rng(2).standard_normal((5, 2))
    tokens = np.arange(T) % 5

    def fn(y, x, table):
        row = table[x["token"]]
        return {"a": jnp.tanh(0.5 * y["a"] + row), "b": 0.3 * y["b"] + y["a"].sum()}

    start = {"a": np.zeros(2), "b": np.array(1.0)}
    problem = Recurrence(fn, {"token": tokens}, start, table)
    a, b, found = np.zeros(2), 1.0, []
    for token in tokens:
        a, b = np.tanh(0.5 * a + table[token]), 0.3 * b + a.sum()
        found.append((a, b))
    for method in METHODS:
        sol = rs.solve(problem, method, rtol=1e-14)
        assert np.allclose(sol.x["a"], [a for a, _ in found], atol=1e-13)
        assert np.allclose(sol.x["b"], [b for _, b in found], atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [JacobiSweeps(), GaussSeidelSweep(), JacobiGaussSeidel()], ids=repr
)
def test_single_precision_stays(method):
    W, X, y = recurrent()
    single = [jnp.asarray(part, jnp.float32) for part in (X, y, W)]
    sol = rs.solve(Recurrence(cell, *single), method, rtol=1e-6)
    assert sol.x.dtype == jnp.float32
    assert np.allclose(sol.x, evaluated(W, X, y), atol=1e-5)


def scanned(W, X, y):
    return jax.lax.scan(lambda y, x: (cell(y, x, W),) * 2, y, X)[1]


WEIGHTS = np.random.default_rng(5).standard_normal((T, N))


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.5, 3.0], ids=["contracting", "expanding"])
def test_gradients_of_a_recurrence_equal_those_through_the_scan(gain):
    def loss(W, X, y):
        sol = rs.solve(Recurrence(cell, X, y, W), GaussSeidelSweep(), rtol=1e-12)
        return (WEIGHTS * jnp.sin(sol.x)).sum()

    def reference(W, X, y):
        return (WEIGHTS * jnp.sin(scanned(W, X, y))).sum()

    with jax.enable_x64(True):
        data = [jnp.asarray(part) for part in recurrent(gain=gain)]
        found = jax.jit(jax.grad(loss, (0, 1, 2)))(*data)
        wanted = jax.grad(reference, (0, 1, 2))(*data)
        for one, other in zip(found, wanted, strict=True):
            assert np.allclose(one, other, rtol=1e-11, atol=1e-13 * float(abs(other).max()))
        _, moved = jax.jvp(loss, data, data)
        _, truth = jax.jvp(reference, data, data)
        assert float(moved) == pytest.approx(float(truth), rel=1e-11)


@pytest.mark.slow
def test_second_derivatives_of_a_recurrence():
    def loss(scale, W, X, y):
        sol = rs.solve(Recurrence(cell, X, y, scale * W), GaussSeidelSweep(), rtol=1e-12)
        return (WEIGHTS * sol.x).sum()

    with jax.enable_x64(True):
        W, X, y = (jnp.asarray(part) for part in recurrent())
        found = jax.grad(jax.grad(loss))(1.0, W, X, y)
        wanted = jax.grad(jax.grad(lambda c: (WEIGHTS * scanned(c * W, X, y)).sum()))(1.0)
        assert float(found) == pytest.approx(float(wanted), rel=1e-10)


def test_gradients_of_a_triangular_system_by_sweeps_of_its_own():
    weights = WEIGHTS[:, 0]

    def loss(L, b):
        problem = SequentialSystem(rows_of, jnp.zeros(T), (jnp.tril(L, -1), b))
        return weights @ rs.solve(problem, JacobiSweeps(), rtol=1e-14).x

    def reference(L, b):
        def one(s, t):
            return s.at[t].set(jnp.tanh(L[t] @ s + b[t])), None

        return weights @ jax.lax.scan(one, jnp.zeros(T), jnp.arange(T))[0]

    with jax.enable_x64(True):
        L, b = (jnp.asarray(part) for part in triangular())
        for one, other in zip(
            jax.jit(jax.grad(loss, (0, 1)))(L, b), jax.grad(reference, (0, 1))(L, b), strict=True
        ):
            assert np.allclose(one, other, rtol=0, atol=1e-12 * float(abs(other).max()))


def test_gradient_of_a_missed_target_is_no_number():
    def loss(W, X, y):
        sol = rs.solve(Recurrence(cell, X, y, W), JacobiSweeps(), rtol=1e-12, max_steps=2)
        return sol.x.sum()

    with jax.enable_x64(True):
        assert np.isnan(jax.jit(jax.grad(loss))(*map(jnp.asarray, recurrent()))).all()


def test_backpropagation_by_jacobi_is_backpropagation():
    """The adjoint states of a recurrent network are a triangular system, backwards in time."""
    W, X, y = recurrent()

    def adjoint(g, args):
        W, slopes, direct = args
        later = jnp.concatenate([jnp.zeros_like(g[:1]), g[:-1]])
        return (later * slopes) @ W + direct

    H = evaluated(W, X, y)
    slopes = np.concatenate([np.zeros((1, N)), (1 - H**2)[:0:-1]])
    problem = SequentialSystem(adjoint, np.zeros((T, N)), (W, slopes, WEIGHTS[::-1].copy()))
    g = rs.solve(problem, JacobiSweeps(), rtol=1e-15).x[::-1]
    before = np.concatenate([y[None], H[:-1]])
    with jax.enable_x64(True):
        wanted = jax.grad(lambda W: (WEIGHTS * scanned(W, X, y)).sum())(jnp.asarray(W))
    assert np.allclose((g * (1 - H**2)).T @ before, wanted, rtol=1e-12)


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
@each
@pytest.mark.parametrize("limit", [None, 2])
def test_calls_are_true(method, limit):
    W, X, y = recurrent()
    problem = Silent(counted_cell, X, y, W)
    TALLY.count = 0
    sol = rs.solve(problem, method, rtol=1e-9, max_steps=limit, throw=False)
    jax.effects_barrier()
    assert TALLY.count == T * sol.calls["sweep"] + sol.calls.get("stage", 0)
    assert sol.calls.get("stage", 0) >= sol.steps or "stage" not in sol.calls


@pytest.mark.slow
def test_batches_and_transformations():
    data = [recurrent(seed) for seed in range(3)]
    problems = [Recurrence(cell, X, y, W) for W, X, y in data]
    for method in (JacobiSweeps(), GaussSeidelJacobi()):
        batch = rs.solve_batch(problems, method, rtol=1e-12)
        assert batch.converged.all()
        for x, (W, X, y) in zip(batch.x, data, strict=True):
            assert np.allclose(x, evaluated(W, X, y), atol=1e-11)
    with jax.enable_x64(True):
        run = jax.jit(lambda W, X, y: rs.solve(Recurrence(cell, X, y, W), JacobiSweeps()))
        sol = run(*map(jnp.asarray, data[0]))
        assert sol.converged
        assert sol.reason is rs.Reason.target


BAD = [
    (lambda: Recurrence(3, np.ones((4, 1)), np.ones(1)), TypeError, "fn"),
    (lambda: Recurrence(cell, np.ones((4, N)), "zero", np.eye(N)), TypeError, "start"),
    (lambda: Recurrence(cell, np.ones((4, N)), np.full(N, np.nan), np.eye(N)), ValueError, "start"),
    (lambda: Recurrence(cell, np.ones((4, N)), np.ones((0,)), np.eye(N)), ValueError, "start"),
    (lambda: Recurrence(cell, np.full((4, N), np.inf), np.ones(N), np.eye(N)), ValueError,
     "inputs"),
    (lambda: Recurrence(lambda y, x: y, (np.ones(4), np.ones(5)), np.ones(1)), ValueError,
     "inputs"),
    (lambda: Recurrence(lambda y, x: y, np.ones(()), np.ones(1)), ValueError, "inputs"),
    (lambda: Recurrence(lambda y, x: y, None, np.ones(1)), ValueError, "length"),
    (lambda: Recurrence(lambda y, x: y, None, np.ones(1), length=0), ValueError, "length"),
    (lambda: Recurrence(lambda y, x: y, np.ones(4), np.ones(1), length=5), ValueError, "length"),
    (lambda: Recurrence(lambda y, x: y[0], np.ones(4), np.ones(2)), ValueError, "fn"),
    (lambda: Recurrence(lambda y, x: (y, y), np.ones(4), np.ones(2)), ValueError, "fn"),
    (lambda: Recurrence(lambda y, x: y, np.ones(4), np.ones(2), unit=0.0), ValueError, "unit"),
    (lambda: SequentialSystem(1, np.ones(3)), TypeError, "sweep"),
    (lambda: SequentialSystem(lambda s: s, np.ones(3), stage=2), TypeError, "stage"),
    (lambda: SequentialSystem(lambda s: s[1:], np.ones(3)), ValueError, "sweep"),
    (lambda: SequentialSystem(lambda s: s, np.ones(3), stage=lambda t, s: s), ValueError, "stage"),
    (lambda: SequentialSystem(lambda s: s, np.ones(())), ValueError, "start"),
    (lambda: GaussSeidelSweep(block=0), ValueError, "block"),
    (lambda: JacobiGaussSeidel(block=1.5), TypeError, "block"),
    (lambda: rs.solve(
        SequentialSystem(lambda s: 0 * s, np.ones(3)), GaussSeidelJacobi()
    ), ValueError, "method"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "name"), BAD)
def test_bad_input_is_refused_in_words(make, kind, name):
    with pytest.raises(kind, match=r"(?s)^.+: given .+; needed .+\. .+") as caught:
        make()
    assert str(caught.value).startswith(name)


def test_default_methods():
    W, X, y = recurrent()
    assert isinstance(Recurrence(cell, X, y, W).default_method(), GaussSeidelSweep)
    assert rs.solve(Recurrence(cell, X, y, W)).converged
    L, b = triangular()
    assert rs.solve(SequentialSystem(rows_of, np.zeros(T), (L, b))).converged
