"""The problem is what it says, and its certificate what plain NumPy finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transport.toys import Plain, clouds, solve, squares

import resolvent as rs
from resolvent.transport import Coupling, PointCost, Potentials, exact_transport

SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
HALF = np.full(2, 0.5)


def plan_of(C, a, b, epsilon, f, g):
    """The plan by its formula alone, in extended precision."""
    C, a, b, f, g = (np.asarray(one, np.longdouble) for one in (C, a, b, f, g))
    with np.errstate(over="ignore"):
        return a[:, None] * b * np.exp((f[:, None] + g - C) / np.longdouble(epsilon))


def objective(P, C, a, b, epsilon):
    """<C, P> + epsilon KL(P | a b^T) of a dense plan."""
    Q = np.outer(a, b)
    with np.errstate(all="ignore"):
        terms = np.where(P > 0, P * np.log(P / Q), 0.0)
    return (C * P).sum() + epsilon * (terms - P + Q).sum()


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("epsilon", [10.0, 1.0, 0.1, 0.02])
def test_two_by_two(epsilon):
    sol = solve(rs.EntropicTransport(SWAP, HALF, HALF, epsilon))
    stay = 1 / (2 * (1 + np.exp(-1 / epsilon)))
    move = np.exp(-1 / epsilon) / (2 * (1 + np.exp(-1 / epsilon)))
    assert np.allclose(sol.plan, [[stay, move], [move, stay]], rtol=1e-12, atol=0)
    assert sol.cost == pytest.approx(2 * move, rel=1e-12)


def test_large_regularization_mixes_everything():
    x, y, a, b = clouds()
    sol = solve(rs.EntropicTransport(squares(x, y), a, b, 1e8))
    assert np.allclose(sol.plan, np.outer(a, b), rtol=1e-7, atol=0)


def test_small_regularization_finds_the_assignment():
    rng = np.random.default_rng(3)
    order, a, epsilon = rng.permutation(6), np.full(6, 1 / 6), 0.02
    C = 0.3 * rng.random((6, 6)) + 1.0
    C[np.arange(6), order] -= 1.0
    best = exact_transport(C, a, a)
    sol = solve(rs.EntropicTransport(C, a, a, epsilon), rtol=1e-10)
    assert np.array_equal(np.round(6 * sol.plan), np.eye(6)[order])
    assert np.array_equal(np.round(6 * sol.plan), (6 * best.plan).toarray())
    assert -1e-9 <= sol.cost - best.cost <= epsilon * np.log(6)


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_gaussians_on_a_line(epsilon):
    # With covariance c of the plan, the optimum of -2c - epsilon/2 log(1 - c^2 / (s t)^2).
    s, t, apart = 0.8, 1.1, 0.5
    line = np.linspace(-9, 9, 361)
    a, b = np.exp(-(line**2) / (2 * s * s)), np.exp(-((line - apart) ** 2) / (2 * t * t))
    a, b = a / a.sum(), b / b.sum()
    sol = solve(rs.EntropicTransport(PointCost(line, line), a, b, epsilon), rtol=1e-11)
    c = (-epsilon / 2 + np.sqrt(epsilon**2 / 4 + 4 * (s * t) ** 2)) / 2
    assert sol.cost == pytest.approx(apart**2 + s * s + t * t - 2 * c, abs=1e-8)
    centered = line - a @ line, line - b @ line
    assert centered[0] @ sol.plan @ centered[1] == pytest.approx(c, abs=1e-8)


def test_penalized_masses_of_one_point():
    c, epsilon, tau, a, b = 0.3, 0.2, 0.7, 1.5, 0.4
    problem = rs.EntropicTransport([[c]], [a], [b], epsilon, penalty=tau)
    mass = np.exp((-c + (epsilon + tau) * np.log(a * b)) / (epsilon + 2 * tau))
    sol = solve(problem)
    assert sol.plan[0, 0] == pytest.approx(mass, rel=1e-12)
    assert sol.certificate.details["gap"] < 1e-12


def test_large_penalty_is_no_penalty():
    x, y, a, b = clouds()
    held = solve(rs.EntropicTransport(squares(x, y), a, b, 0.1))
    for tau in (20.0, 200.0):
        soft = solve(rs.EntropicTransport(squares(x, y), a, b, 0.1, penalty=tau), rtol=1e-9)
        assert np.allclose(held.plan, soft.plan, rtol=2 / tau)
    same = rs.EntropicTransport(squares(x, y), a, b, 0.1, penalty=np.inf)
    assert same.balanced


# ---------------------------------------------------------------- certificate


@given(
    n=st.integers(1, 6),
    m=st.integers(1, 6),
    epsilon=st.floats(0.05, 10),
    tau=st.sampled_from([None, 0.3, (None, 0.5), (2.0, None)]),
    seed=st.integers(0, 50),
)
def test_certificate_is_the_marginal_error(n, m, epsilon, tau, seed):
    x, y, a, b = clouds(n, m, seed)
    rng = np.random.default_rng(seed)
    f, g, C = 0.2 * rng.standard_normal(n), 0.2 * rng.standard_normal(m), squares(x, y)
    problem = rs.EntropicTransport(C, a, b, epsilon, penalty=tau)
    P = plan_of(C, a, b, epsilon, f, g)
    taus = tau if isinstance(tau, tuple) else (tau, tau)
    wanted = [
        mass if t is None else mass * np.exp(-potential / t)
        for mass, potential, t in zip((a, b), (f, g), taus, strict=True)
    ]
    rows = float(np.abs(wanted[0] - P.sum(1)).sum())
    columns = float(np.abs(wanted[1] - P.sum(0)).sum())
    certificate = rs.certify(problem, (f, g), rtol=1e-3)
    assert certificate.value == pytest.approx(rows + columns, rel=1e-10, abs=1e-14)
    assert certificate.details["row error"] == pytest.approx(rows, rel=1e-10, abs=1e-14)
    assert certificate.details["column error"] == pytest.approx(columns, rel=1e-10, abs=1e-14)
    assert certificate.scale == pytest.approx(a.sum())
    assert certificate.target == pytest.approx(1e-3 * a.sum())
    assert certificate.kind == "residual"


@given(seed=st.integers(0, 30), noise=st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 1.0]))
@settings(max_examples=30)
def test_gap_brackets_the_optimum(seed, noise):
    x, y, a, b = clouds(5, 4, seed)
    C, epsilon = squares(x, y), 0.05
    problem = rs.EntropicTransport(C, a, b, epsilon)
    sol = solve(problem, rtol=1e-12)
    optimum = objective(sol.plan, C, a, b, epsilon)
    rng = np.random.default_rng(seed)
    f = sol.x.f + noise * rng.standard_normal(5)
    g = sol.x.g + noise * rng.standard_normal(4)
    point = Coupling(f, g, problem)
    details = rs.certify(problem, (f, g)).details
    # The optimum comes from a plan that misses its marginals by 1e-12.
    rounding = 4e-12 + 1e-14 * abs(point.value)
    assert point.value <= optimum + rounding
    assert optimum <= point.value + point.gap + rounding
    assert details["gap"] == pytest.approx(point.gap, rel=1e-9, abs=1e-15)
    best = exact_transport(C, a, b).cost
    assert -4e-12 <= details["rounded cost"] - best <= details["excess cost"] + rounding
    if noise == 0:
        assert details["gap"] < 1e-11
        assert details["entropy term"] == pytest.approx(optimum - sol.cost, abs=1e-11)


@given(
    seed=st.integers(0, 30),
    noise=st.sampled_from([0.0, 1e-3, 0.3]),
    tau=st.sampled_from([0.3, (None, 0.5), (2.0, None), (0.1, 1.0)]),
)
@settings(max_examples=30)
def test_gap_with_penalties_brackets_the_optimum(seed, noise, tau):
    x, y, a, b = clouds(4, 5, seed)
    problem = rs.EntropicTransport(squares(x, y), a, 0.7 * b, 0.1, penalty=tau)
    sol = solve(problem, rtol=1e-12)
    rng = np.random.default_rng(seed)
    f = sol.x.f + noise * rng.standard_normal(4)
    g = sol.x.g + noise * rng.standard_normal(5)
    point = Coupling(f, g, problem)
    assert point.value <= sol.value + 1e-12
    assert sol.value <= point.value + point.gap + 1e-12
    if noise == 0:
        assert point.gap < 1e-11


@pytest.mark.parametrize("size", [1e3, 1e6, 1e200, 1.7e308])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, -1)])
def test_garbage_potentials_never_pass(size, signs):
    x, y, a, b = clouds(4, 4)
    a[0] = 0.0
    a /= a.sum()
    problem = rs.EntropicTransport(squares(x, y), a, b, 0.1)
    potentials = [sign * size * np.ones(4) for sign in signs]
    potentials[0][1] *= -1
    certificate = rs.certify(problem, potentials, rtol=0.5)
    assert certificate.value >= 0.5
    assert not certificate.holds
    single = rs.EntropicTransport(jnp.asarray(squares(x, y)), jnp.asarray(a), jnp.asarray(b), 0.1)
    if size < 1e38:
        judged = jax.jit(lambda f, g: single.certify(Potentials(f, g)).against(0.5, 0.0).holds)
        assert not judged(*(jnp.asarray(part, jnp.float32) for part in potentials))


def test_single_precision_is_judged_in_double():
    x, y, a, b = clouds()
    C = squares(x, y).astype(np.float32)
    a, b = a.astype(np.float32), b.astype(np.float32)
    problem = rs.EntropicTransport(C, a, b, 0.1)
    sol = rs.solve(problem, Plain(), rtol=1e-4)
    assert sol.x.f.dtype == sol.plan.dtype == problem.a.dtype == np.float32
    P = plan_of(C, problem.a, problem.b, 0.1, sol.x.f, sol.x.g)
    error = np.abs(P.sum(1) - problem.a).sum() + np.abs(P.sum(0) - problem.b).sum()
    assert sol.certificate.value == pytest.approx(float(error), rel=1e-6)


def test_more_than_single_precision_can_carry_stalls():
    x, y, a, b = (one.astype(np.float32) for one in clouds(20, 20))
    problem = rs.EntropicTransport(squares(x, y), a, b, 1e-2)
    sol = rs.solve(problem, Plain(), rtol=1e-12, throw=False, max_steps=100_000)
    assert sol.reason is rs.Reason.stalled
    assert "float64" in sol.reason.advice
    assert sol.certificate.relative < 1e-3


# ---------------------------------------------------------------- symmetries


@pytest.mark.parametrize("size", [1e-12, 1e12])
@pytest.mark.parametrize("form", ["matrix", "points"])
def test_unit_of_the_costs_does_not_matter(size, form):
    x, y, a, b = clouds()
    root = np.sqrt(size)
    cost = squares(x, y) * size if form == "matrix" else PointCost(root * x, root * y)
    one = solve(rs.EntropicTransport(squares(x, y), a, b, 0.05), rtol=1e-11)
    other = solve(rs.EntropicTransport(cost, a, b, 0.05 * size), rtol=1e-11)
    assert np.allclose(one.plan, other.plan, rtol=1e-9)
    assert other.cost == pytest.approx(size * one.cost, rel=1e-9)


@pytest.mark.parametrize("mass", [1e-12, 1e12, 1e-200])
def test_unit_of_the_masses_does_not_matter(mass):
    x, y, a, b = clouds()
    one = solve(rs.EntropicTransport(squares(x, y), a, b, 0.05), rtol=1e-10)
    other = solve(rs.EntropicTransport(squares(x, y), mass * a, mass * b, 0.05), rtol=1e-10)
    assert np.allclose(mass * one.plan, other.plan, rtol=1e-8, atol=0)
    assert other.certificate.relative <= 1e-10


def test_exchanging_sources_and_targets_transposes():
    x, y, a, b = clouds()
    problem = rs.EntropicTransport(squares(x, y), a, b, 0.05, penalty=(0.2, None))
    sol, back = solve(problem, rtol=1e-11), solve(problem.T, rtol=1e-11)
    assert problem.T.penalty == (None, 0.2)
    assert np.allclose(sol.plan.T, back.plan, rtol=1e-8)
    assert np.allclose(sol.x.T.plan, sol.plan.T, rtol=1e-12)


def test_points_without_mass_take_no_part():
    x, y, a, b = clouds()
    full = solve(rs.EntropicTransport(squares(x, y), a, b, 0.05), rtol=1e-12)
    wide_a, wide_b = np.insert(a, 2, 0.0), np.insert(b, 0, 0.0)
    more = PointCost(np.insert(x, 2, 5.0, axis=0), np.insert(y, 0, -3.0, axis=0))
    sol = solve(rs.EntropicTransport(more, wide_a, wide_b, 0.05), rtol=1e-12)
    assert np.isfinite(sol.x.f).all()
    assert np.isfinite(sol.x.g).all()
    assert np.array_equal(sol.plan[2], np.zeros(6))
    assert np.array_equal(sol.plan[:, 0], np.zeros(8))
    assert np.allclose(np.delete(np.delete(sol.plan, 2, 0), 0, 1), full.plan, rtol=1e-9)
    assert np.isfinite(list(sol.certificate.details.values())).all()


# ---------------------------------------------------------------- front door


def test_solving_from_the_answer_costs_nothing():
    x, y, a, b = clouds()
    problem = rs.EntropicTransport(squares(x, y), a, b, 0.05)
    sol = solve(problem, rtol=1e-10)
    for guess in (sol.x, sol.potentials, tuple(sol.potentials), list(sol.potentials)):
        again = rs.solve(problem, Plain(), x0=guess, rtol=2e-10)
        assert again.steps == 0
        assert again.converged
        assert rs.certify(problem, guess, rtol=2e-10).holds


def test_kind_and_precision_of_the_data_come_back():
    x, y, a, b = clouds()
    C = squares(x, y)
    numpy = solve(rs.EntropicTransport(C, a, b, 0.05), rtol=1e-9)
    assert isinstance(numpy.x.f, np.ndarray)
    assert isinstance(numpy.plan, np.ndarray)
    assert isinstance(numpy.cost, float)
    with jax.enable_x64(True):
        double = jnp.asarray(C)
    for data in ((double, a, b), (C, jnp.asarray(a), b), (jnp.asarray(C), a, jnp.asarray(b))):
        problem = rs.EntropicTransport(*data, 0.05)
        wide = problem.dtype == np.float64
        assert wide == (data[0] is double)
        sol = rs.solve(problem, Plain(), rtol=1e-9 if wide else 1e-4)
        assert isinstance(sol.x.f, jax.Array)
        assert sol.x.f.dtype == sol.plan.dtype == problem.dtype
        assert np.allclose(sol.plan, numpy.plan, rtol=1e-7 if wide else 1e-2)


def test_small_differences_of_the_totals_are_settled():
    x, y, a, b = clouds()
    problem = rs.EntropicTransport(squares(x, y), a, b * (1 + 1e-11), 0.05)
    assert problem.b.sum() == pytest.approx(a.sum(), rel=1e-15)
    assert rs.EntropicTransport(squares(x, y), a, 2 * b, 0.05, penalty=1.0).b.sum() > 1.9


def test_under_a_transformation_totals_that_differ_are_never_solved():
    x, y, a, b = (jnp.asarray(one) for one in clouds())

    @jax.jit
    def run(b):
        problem = rs.EntropicTransport(squares(x, y), a, b, 0.1)
        return rs.solve(problem, Plain(), rtol=1e-4, max_steps=200).converged

    assert run(b)
    assert not run(2 * b)


def test_fingerprints_tell_what_changed():
    x, y, a, b = clouds()
    problem = rs.EntropicTransport(squares(x, y), a, b, 0.05)
    others = {
        "cost": rs.EntropicTransport(2 * squares(x, y), a, b, 0.05),
        "marginals": rs.EntropicTransport(squares(x, y), a[::-1], b, 0.05),
        "regularization": rs.EntropicTransport(squares(x, y), a, b, 0.06),
    }
    for changed, other in others.items():
        for aspect in others:
            same = problem.fingerprint(aspect) == other.fingerprint(aspect)
            assert same == (aspect != changed)
        assert problem.fingerprint("data") != other.fingerprint("data")
        assert problem.fingerprint("size") == other.fingerprint("size")
    single = rs.EntropicTransport(squares(x, y).astype(np.float32), *map(np.float32, (a, b)), 0.05)
    assert problem.fingerprint("size") != single.fingerprint("size")


def test_sequences_start_warm_and_resume(tmp_path):
    x, y, a, b = clouds(8, 8)
    problems = [rs.EntropicTransport(squares(x + 0.01 * t, y), a, b, 0.05) for t in range(4)]

    def run(**options):
        return list(rs.solve_sequence(problems, Plain(), rtol=1e-8, **options))

    cold = [rs.solve(problem, Plain(), rtol=1e-8) for problem in problems]
    warm = run(warm_start=rs.Previous(), checkpoint=tmp_path)
    assert sum(sol.steps for sol in warm) < sum(sol.steps for sol in cold)
    for sol, other, problem in zip(warm, cold, problems, strict=True):
        assert np.allclose(sol.plan, other.plan, atol=1e-7)
        assert rs.certify(problem, sol.x, rtol=1e-8).holds
    again = run(warm_start=rs.Previous(), checkpoint=tmp_path)
    assert all("checkpoint" in sol.notes[-1] for sol in again)
    assert all(
        np.array_equal(one.plan, two.plan) for one, two in zip(again, warm, strict=True)
    )  # fmt: skip


def test_a_batch_equals_a_loop():
    x, y, a, b = clouds()
    masses = [a, a[::-1].copy(), np.roll(a, 2)]
    shared = squares(x, y)
    for costs in ([shared] * 3, [shared, 2 * shared, 3 * shared]):
        problems = [
            rs.EntropicTransport(C, one, b, 0.05 * (k + 1))
            for k, (C, one) in enumerate(zip(costs, masses, strict=True))
        ]
        loop = [rs.solve(problem, Plain(), rtol=1e-9) for problem in problems]
        batch = rs.solve_batch(problems, Plain(), rtol=1e-9)
        assert batch.converged.all()
        assert batch.plan.shape == (3, 7, 5)
        assert batch.cost.shape == (3,)
        assert batch.apply(np.ones(5)).shape == (3, 7)
        for k, one in enumerate(loop):
            assert np.allclose(batch.plan[k], one.plan, rtol=1e-6)
            assert np.allclose(batch.x[k].plan, one.plan, rtol=1e-6)
            assert batch.cost[k] == pytest.approx(one.cost, rel=1e-7)


def test_vmap_and_jit_return_couplings():
    x, y, a, b = (jnp.asarray(one) for one in clouds())
    C = squares(x, y)

    def run(b):
        return rs.solve(rs.EntropicTransport(C, a, b, 0.1), Plain(), rtol=1e-4)

    eager, compiled = run(b), jax.jit(run)(b)
    assert np.allclose(eager.plan, compiled.plan, atol=1e-6)
    several = jax.jit(jax.vmap(run))(jnp.stack([b, b[::-1]]))
    assert several.plan.shape == (2, 7, 5)
    assert np.allclose(several.plan[0], eager.plan, atol=1e-5)
    assert np.allclose(several.plan.sum(1)[1], b[::-1], atol=1e-5)
    assert several.x[1].sparse_plan(1e-6).shape == (7, 5)
