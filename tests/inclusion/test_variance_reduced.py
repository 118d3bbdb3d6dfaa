"""Variance-reduced methods for finite sums, against NumPy and against dense solves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent._core.memory import Memory
from resolvent.inclusion import FiniteSum, loopless, sampling
from resolvent.inclusion.average_constants import evaluations
from resolvent.inclusion.variance_reduced_baselines import (
    VarianceReducedExtragradient,
    VarianceReducedForwardReflected,
)
from resolvent.inclusion.variance_reduced_halpern import VarianceReducedHalpern, probability
from resolvent.inclusion.variance_reduced_resolvent import VarianceReducedResolvent

FOUR = (
    VarianceReducedHalpern, VarianceReducedResolvent, VarianceReducedExtragradient,
    VarianceReducedForwardReflected,
)  # fmt: skip


def affine(x, data):
    return data[0] @ x - data[1]


def cocoercive(n=100, d=4, seed=0, noise=0.1):
    """Components H_i x - g_i with H_i near to each other, and their constants."""
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((n, 5 * d, d)) * np.logspace(0, -1, d)
    H = np.einsum("nki,nkj->nij", roots, roots) / (5 * d)
    g = H @ rng.standard_normal(d) + noise * rng.standard_normal((n, d))
    square, mean = np.einsum("nki,nkj->ij", H, H) / n, H.mean(0)
    return H, g, float(np.linalg.eigvals(np.linalg.solve(mean, square)).real.max())


def turning(n=60, d=2, seed=0, strong=0.0):
    """Components of a bilinear saddle point, and the Lipschitz constant on average."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, d, d)) / np.sqrt(d)
    A = np.diag(np.logspace(0, -0.5, d)) + noise - noise.mean(0)
    M = np.zeros((n, 2 * d, 2 * d))
    M[:, :d, d:], M[:, d:, :d] = A, -A.transpose(0, 2, 1)
    M += strong * np.eye(2 * d)
    square = np.einsum("nki,nkj->ij", M, M) / n
    return M, rng.standard_normal((n, 2 * d)), float(np.sqrt(np.linalg.norm(square, 2)))


def problem_of(M, q, G=None, numpy=True, **constants):
    F = FiniteSum(affine, (M, q) if numpy else (jnp.asarray(M), jnp.asarray(q)), **constants)
    start = np.zeros(M.shape[-1], M.dtype)
    return rs.Inclusion(F, G, start=start if numpy else jnp.asarray(start))


def run(problem, method, steps, key=0):
    """The bound method and its state after some steps, in double precision."""
    prepared = problem.prepare("traced")
    method = method.bind(prepared)

    @jax.jit
    def go(key):
        state = method.init(prepared, prepared.first, Memory(), key)
        return jax.lax.fori_loop(0, steps, lambda _, s: method.step(prepared, s), state)

    return method, go(jax.random.key(key))


def halpern(M, q, eta, steps, estimates=None):
    """The deterministic iteration with lambda_k = 2 / (k + 4), or one with given estimates of F."""
    u = first = np.zeros(len(q))
    for k in range(steps):
        pull = 2 / (k + 4)
        u = pull * first + (1 - pull) * u - eta * (M @ u - q if estimates is None else estimates(u))
    return u


@pytest.mark.slow
@pytest.mark.parametrize("single", [True, False], ids=["n = 1", "batch = n"])
def test_all_components_give_the_deterministic_iteration(single):
    H, g, L = cocoercive(n=1 if single else 30)
    method = VarianceReducedHalpern(batch=None if single else 30)
    with jax.enable_x64(True):
        _, state = run(problem_of(H, g, cocoercive=L), method, 200)
    expected = halpern(H.mean(0), g.mean(0), 0.25 / L, 200)
    assert np.allclose(state.x, expected, rtol=0, atol=1e-12)
    assert np.allclose(state.estimate, H.mean(0) @ expected - g.mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("importance", [False, True])
def test_steps_are_those_of_the_recursion_with_the_same_draws(importance):
    H, g, L = cocoercive(n=50)
    p = np.linalg.norm(H, axis=(1, 2)) if importance else None
    problem = problem_of(H, g, cocoercive=L, probabilities=p)
    with jax.enable_x64(True):
        _, state = run(problem, VarianceReducedHalpern(), 120, key=3)
        words, F = sampling.words_of(jax.random.key(3)), problem.prepare("traced").F
        draws = jax.jit(
            lambda k: (
                sampling.heads(sampling.dice(words, k, 9)[0], probability(k + 1, 50)),
                sampling.draw(F, sampling.dice(words, k, 9)[1:]),
            )
        )
        u = first = seen = np.zeros(4)
        estimate, wholes = -g.mean(0), 0
        for k in range(120):
            pull = 2 / (k + 4)
            before, u = u, pull * first + (1 - pull) * u - 0.25 / L * estimate
            whole, (indices, weights) = draws(k)
            if whole:
                estimate, seen, wholes = H.mean(0) @ u - g.mean(0), u, wholes + 1
            else:
                weights = np.ones(8) if weights is None else weights
                moved = H[np.asarray(indices)] @ (u - before)
                estimate = estimate + (np.asarray(weights)[:, None] * moved).mean(0)
    assert 5 < wholes < 100
    assert int(state.wholes) == wholes
    assert np.allclose(state.x, u, rtol=0, atol=1e-12)
    assert np.allclose(state.seen, seen, rtol=0, atol=1e-12)
    assert np.isclose(state.merit, np.linalg.norm(H.mean(0) @ seen - g.mean(0)))


def test_the_conditional_mean_of_the_estimate_is_that_of_theory():
    H, g, L = cocoercive(n=40)
    problem = problem_of(H, g, cocoercive=L)
    with jax.enable_x64(True):
        method, state = run(problem, VarianceReducedHalpern(), 6)
        prepared = problem.prepare("traced")
        # An estimate with an error of its own.
        error = np.array([0.3, -0.2, 0.1, 0.4])
        exact = H.mean(0) @ np.asarray(state.x) - g.mean(0)
        state = state._replace(estimate=jnp.asarray(exact + error))

        @jax.jit
        @jax.vmap
        def errors(words):
            new = method.step(prepared, state._replace(words=words))
            return new.estimate - prepared.operator(new.x)

        words = jax.random.bits(jax.random.key(5), (40_000, 2), jnp.uint32)
        found = np.asarray(errors(words))
    p = 4 / (7 + 4)
    assert np.isclose(float(probability(7, 40)), p)
    spread = found.std(0) / np.sqrt(len(found))
    assert (np.abs(found.mean(0) - (1 - p) * error) <= 5 * spread).all()
    assert (5 * spread < 0.1 * np.abs(error)).all()


def test_probabilities_fall_to_their_floor():
    values = [float(probability(k, 100)) for k in (0, 1, 2, 11, 12, 1000)]
    assert np.allclose(values, [1, 1, 4 / 6, 4 / 15, 4 / 15, 4 / 15])


def test_the_residual_falls_like_one_over_k():
    d = 12
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    H = turn @ np.diag(np.logspace(0, -1, d)) @ turn.T
    H = (1 + 0.3 * rng.uniform(-1, 1, (400, 1, 1))) * H
    g = H @ (turn @ np.ones(d))
    problem = problem_of(H, g, cocoercive=1.1)
    ends = 400, 8000
    with jax.enable_x64(True):
        states = [run(problem, VarianceReducedHalpern(), steps, key=2)[1] for steps in ends]
    steps, sizes = [], []
    for end, state in zip(ends, states, strict=True):
        steps.append(end)
        sizes.append(np.linalg.norm(H.mean(0) @ np.asarray(state.x) - g.mean(0)))
    slope = np.log(sizes[1] / sizes[0]) / np.log(steps[1] / steps[0])
    assert -1.1 <= slope <= -0.9


@pytest.mark.slow
@pytest.mark.parametrize("extragradient", [False, True])
@pytest.mark.parametrize("importance", [False, True])
def test_the_inner_method_finds_the_resolvent(extragradient, importance):
    M, q, L = turning(n=40)
    n, eta = len(M), np.sqrt(40) / L
    p = 0.5 + np.linalg.norm(M, axis=(1, 2)) if importance else None
    center = np.array([1.0, -1.0, 0.5, 2.0])
    chance = loopless.chance(1, n)
    tau = loopless.theory(extragradient, chance) / (eta * L + 1)
    rule = loopless.Reduction(extragradient, eta, 1.0, tau, chance, 1)
    with jax.enable_x64(True):
        problem = problem_of(M, q, probabilities=p).prepare("traced")

        @jax.jit
        def solve(u, eta):
            own = rule._replace(eta=eta)
            loop = loopless.begun(
                u, problem.operator(u), jnp.zeros(()), sampling.words_of(jax.random.key(0))
            )
            body = lambda _, loop: loopless.one_step(problem, own, u, loop)  # noqa: E731
            return jax.lax.fori_loop(0, 160 * n, body, loop)

        loop = solve(jnp.asarray(center), eta)
        still = solve(jnp.asarray(center), 1e-13)
    exact = np.linalg.solve(np.eye(4) + eta * M.mean(0), center + eta * q.mean(0))
    w, Fw, pull = (np.asarray(part) for part in (loop.w, loop.Fw, loop.pull))
    assert np.linalg.norm(w - exact) <= 1e-9 * np.linalg.norm(exact)
    assert np.linalg.norm(np.asarray(still.w) - center) <= 1e-11
    assert 110 <= int(loop.wholes) <= 210
    # The computable bound: B is 1-strongly monotone.
    assert np.linalg.norm(w - exact) <= np.linalg.norm(w - center + eta * Fw + pull) + 1e-14


@pytest.mark.parametrize("inner", ["forb", "extragradient"])
def test_outer_steps_follow_the_exact_resolvent(inner):
    M, q, L = turning(n=40)
    problem = problem_of(M, q, lipschitz=L)
    eta = np.sqrt(40) / L
    with jax.enable_x64(True):
        prepared = problem.prepare("traced")
        method = VarianceReducedResolvent(inner=inner).bind(prepared)
        state = method.init(prepared, prepared.first, Memory(), jax.random.key(0))

        @jax.jit
        def next_outer(state):
            k = state.k
            return jax.lax.while_loop(lambda s: s.k == k, lambda s: method.step(prepared, s), state)

        first = np.asarray(state.u)
        for k in range(6):
            before, state = np.asarray(state.u), next_outer(state)
            weight = 1 / (k + 2)
            v = (np.asarray(state.u) - weight * first) / (1 - weight)
            exact = np.linalg.solve(np.eye(4) + eta * M.mean(0), before + eta * q.mean(0))
            assert np.linalg.norm(v - exact) <= 0.5 * np.linalg.norm(v - before) / (k + 2)
            assert int(state.inner) == 0
            assert int(state.late) == 0
            size = np.linalg.norm(M.mean(0) @ np.asarray(state.x) - q.mean(0))
            assert np.isclose(size, float(state.merit))
            assert size <= np.linalg.norm(M.mean(0) @ np.asarray(state.u) - q.mean(0)) + 1e-14


def strongly(n=50, numpy=True, dtype: type = np.float64, stated=True):
    """A strongly monotone sum on a box, and its answer by a long projected iteration."""
    M, q, L = turning(n, strong=0.5, seed=4)
    C = float(np.linalg.eigvalsh(np.einsum("nki,nkj->ij", M, M) / n)[-1] / 0.5)
    constants = {"lipschitz": L, "cocoercive": C} if stated else {}
    box = rs.functions.Box(-0.4, 0.4)
    problem = problem_of(M.astype(dtype), -q.astype(dtype), box, numpy, **constants)
    x = np.zeros(4)
    for _ in range(4000):
        x = np.clip(x - 0.1 * (M.mean(0) @ x + q.mean(0)), -0.4, 0.4)
    residual = lambda x: np.linalg.norm(  # noqa: E731
        x - np.clip(x - (M.mean(0) @ x + q.mean(0)), -0.4, 0.4)
    )
    assert residual(x) < 1e-12
    return problem, x, residual


@pytest.mark.slow
@pytest.mark.parametrize("method", FOUR)
def test_constrained_answers_are_found_and_repeat(method):
    problem, x, residual = strongly()
    sol = rs.solve(problem, method(), rtol=1e-3, key=1)
    assert isinstance(sol.x, np.ndarray)
    assert sol.x.dtype == np.float64
    assert sol.certificate.value == pytest.approx(residual(sol.x), rel=1e-9)
    assert residual(sol.x) <= 1e-3
    assert np.linalg.norm(sol.x - x) <= 1e-2
    again = rs.solve(problem, method(), rtol=1e-3, key=1)
    other = rs.solve(problem, method(), rtol=1e-3, key=2)
    assert np.array_equal(sol.x, again.x)
    assert sol.steps == again.steps
    assert not np.array_equal(sol.x, other.x)


@pytest.mark.parametrize("method", FOUR)
def test_answers_under_a_penalty_are_left_alone(method):
    g = np.linspace(-1.0, 3.0, 50)[:, None] * np.array([1.0, 0.2])
    F = FiniteSum(lambda x, g: x - g, g, cocoercive=1.0, lipschitz=1.0)
    answer = np.array([0.5, 0.0])
    problem = rs.Inclusion(F, rs.functions.L1(0.5), start=answer)
    with jax.enable_x64(True):
        problem = problem.prepare("traced")
        method = method().bind(problem)
        state = method.init(problem, problem.first, Memory(), jax.random.key(0))
        assert float(method.measure(problem, state)) <= 1e-15
        assert np.array_equal(np.asarray(method.iterate(problem, state)[0]), answer)


@pytest.mark.slow
@pytest.mark.parametrize("method", FOUR)
def test_single_precision_and_compiled_solves(method):
    problem, _, residual = strongly(numpy=False, dtype=np.float32)

    @jax.jit
    def compiled(M, q, key):
        own = problem.but(F=problem.F.but(data=(M, q)))
        sol = rs.solve(own, method(), rtol=1e-2, key=key)
        return sol.x, sol.certificate.value

    found, value = compiled(*problem.F.data, jax.random.key(3))
    assert found.dtype == jnp.float32
    assert float(value) <= 1e-2
    assert residual(np.asarray(found, float)) <= 1.01e-2
    if method is VarianceReducedHalpern:
        eager = rs.solve(problem, method(), rtol=1e-2, key=jax.random.key(3))
        assert eager.x.dtype == jnp.float32
        assert np.allclose(found, eager.x, atol=1e-4)


TALLY = {"component": 0}


def counted(name):
    def add(_):
        TALLY[name] += 1

    return add


def tallied(x, data):
    jax.debug.callback(counted("component"), data[1])
    return affine(x, data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "stated"), [*((one, True) for one in FOUR), *((one, False) for one in FOUR[:2])]
)
def test_components_are_counted(method, stated):
    problem, _, _ = strongly(n=20, stated=stated)
    problem = problem.but(F=problem.F.but(fn=tallied))
    TALLY["component"] = 0
    sol = rs.solve(problem, method(), rtol=1e-12, max_steps=60, throw=False)
    jax.effects_barrier()
    # Certificates evaluate all of F as well: at the first point and wherever the loop looks.
    judged = TALLY["component"] - sol.calls["component"]
    assert judged % 20 == 0
    assert 0 <= judged <= 6 * 20
    none = rs.solve(problem, method(), rtol=1e-12, max_steps=0, throw=False).calls
    spent = 0 if stated else 20 * evaluations(problem.F, problem.first)
    assert none == {"component": 20 + spent, "resolvent": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "n", "batch"),
    [(VarianceReducedResolvent, 1, 1), (VarianceReducedResolvent, 30, 100),
     (VarianceReducedExtragradient, 30, 5)],
)  # fmt: skip
def test_batches_and_single_components(method, n, batch):
    problem, _, residual = strongly(n=n)
    sol = rs.solve(problem, method(batch=batch), rtol=1e-2, key=0)
    assert residual(sol.x) <= 1e-2
    assert (sol.calls["component"] - 2 * min(batch, n) * sol.steps) % n == 0


def test_a_budget_of_inner_steps():
    M, q, L = turning()
    problem = problem_of(M, q, lipschitz=L)
    sol = rs.solve(problem, VarianceReducedResolvent(budget=0.5), rtol=0.1, key=0)
    assert np.linalg.norm(M.mean(0) @ sol.x - q.mean(0)) <= 0.1


def test_skew_operators_need_a_step_size_or_another_method():
    M, q, L = turning()
    problem = problem_of(M, q)
    with pytest.raises(ValueError, match="not cocoercive.*VarianceReducedResolvent"):
        rs.solve(problem, VarianceReducedHalpern())
    sol = rs.solve(problem, VarianceReducedHalpern(step_size=0.1 / L), max_steps=50, throw=False)
    assert sol.steps == 50


def test_a_warning_says_where_few_components_do_not_pay():
    g = cocoercive(n=40)[1]
    spread = np.zeros((40, 4, 4))
    spread[np.arange(40), np.arange(40) % 4, np.arange(40) % 4] = 1.0

    def step_size(problem):
        with jax.enable_x64(True):
            return float(VarianceReducedHalpern().bind(problem.prepare("traced")).step_size)

    with pytest.warns(UserWarning, match="deterministic method"):
        assert step_size(problem_of(spread, g)) == pytest.approx(0.25)
    F = FiniteSum(affine, (spread, g), cocoercive=1.0)
    with pytest.warns(UserWarning, match="deterministic method"):
        step_size(rs.Inclusion(F, start=np.zeros(4), lipschitz=0.25))
    # Of 36 components or fewer no constants could make it pay, and nothing is said.
    step_size(problem_of(spread[:36], g[:36]))
    step_size(problem_of(spread, g, cocoercive=1.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (VarianceReducedHalpern(), {"cocoercive": 0.02}),
        (VarianceReducedResolvent(), {"lipschitz": 0.002}),
        (VarianceReducedExtragradient(), {"lipschitz": 0.002}),
        (VarianceReducedForwardReflected(), {"lipschitz": 0.002}),
    ],
    ids=str,
)
def test_wrong_constants_diverge_and_say_so(method, wrong):
    M, q, _ = turning(strong=0.1)
    sol = rs.solve(problem_of(M, q, **wrong), method, rtol=1e-6, throw=False, key=0)
    assert sol.reason is rs.Reason.diverged
    assert not sol.converged
    start = np.linalg.norm(q.mean(0))
    assert sol.certificate.value <= start * (1 + 1e-12)


def test_no_false_certificate_without_monotonicity():
    M, q, L = turning(strong=-0.3)
    for method in FOUR[1:3]:
        sol = rs.solve(problem_of(M, q, lipschitz=L), method(), rtol=1e-6, throw=False, key=0)
        truth = np.linalg.norm(M.mean(0) @ sol.x - q.mean(0))
        assert sol.converged == (truth <= 1e-6)


def test_components_that_are_not_finite_are_refused():
    F = FiniteSum(lambda x, s: s * jnp.log(x), np.arange(1.0, 51.0))
    problem = rs.Inclusion(F, start=-np.ones(2))
    for method in FOUR:
        with pytest.raises(ValueError, match="not finite|operator|residual is nan"):
            rs.solve(problem, method())


def test_long_runs_count_beyond_32_bits():
    F = FiniteSum(lambda x, s: x - s, np.linspace(-1.0, 1.0, 1000), cocoercive=1.0)
    problem, method = rs.Inclusion(F, start=np.ones(2)), VarianceReducedHalpern()
    with jax.enable_x64(True):
        ready = problem.prepare("traced")
        bound = method.bind(ready)
        state = bound.init(ready, ready.first, None, jax.random.key(0))
        late = state._replace(k=jnp.int32(4_000_000), wholes=jnp.int32(3_000_000))
        expected = 3_000_001 * 1000 + 2 * 32 * 1_000_000
        assert int(bound.calls(ready, late)["component"]) == expected


def test_methods_ask_for_components():
    problem = rs.Inclusion(lambda x: x, start=jnp.ones(2))
    for method in FOUR:
        with pytest.raises((TypeError, ValueError), match="components"):
            rs.solve(problem, method())
    weak = rs.Inclusion(FiniteSum(affine, turning()[:2]), start=np.zeros(4), comonotone=0.1)
    with pytest.raises((TypeError, ValueError), match="comonotone"):
        rs.solve(weak, VarianceReducedResolvent())


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        (VarianceReducedHalpern, {"step_size": 0.0}, "step_size"),
        (VarianceReducedHalpern, {"batch": 0}, "batch"),
        (VarianceReducedResolvent, {"eta": -1.0}, "eta"),
        (VarianceReducedResolvent, {"inner": "newton"}, "inner"),
        (VarianceReducedResolvent, {"factor": 0.0}, "factor"),
        (VarianceReducedResolvent, {"accuracy": 1.5}, "accuracy"),
        (VarianceReducedResolvent, {"budget": 0.0}, "budget"),
        (VarianceReducedResolvent, {"batch": 0}, "batch"),
        (VarianceReducedExtragradient, {"step_size": float("nan")}, "step_size"),
        (VarianceReducedForwardReflected, {"batch": -1}, "batch"),
    ],
)
def test_bad_parameters_are_refused(method, options, words):
    with pytest.raises(ValueError, match=words):
        method(**options)
