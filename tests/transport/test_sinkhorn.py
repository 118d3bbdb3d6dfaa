"""Sinkhorn in all its forms: against closed forms, each other and POT."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import resolvent as rs
from resolvent.transport.costs import DenseCost, GridCost, PointCost
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.sinkhorn import Sinkhorn

FORMS = [
    Sinkhorn(),
    Sinkhorn(form="log"),
    Sinkhorn(form="scaling"),
    Sinkhorn(relaxation=1.0),
    Sinkhorn(relaxation=1.4),
    Sinkhorn(anderson=5),
    Sinkhorn(form="log", anderson=5),
    Sinkhorn(annealing=0.5),
    Sinkhorn(form="log", annealing=0.3),
]


def random_problem(epsilon, n=40, m=30, seed=0, zeros=True, **options):
    rng = np.random.default_rng(seed)
    C, a, b = rng.random((n, m)), rng.random(n) + 0.1, rng.random(m) + 0.1
    if zeros:
        a[3], b[[5, m - 1]] = 0, 0
    return EntropicTransport(C, a / a.sum(), b / b.sum(), epsilon, **options)


def solve(problem, method=None, **options):
    return rs.solve(problem, method or Sinkhorn(), **{"rtol": 1e-11, **options})


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.02])
@pytest.mark.parametrize("form", ["auto", "log", "scaling"])
def test_two_points_have_a_closed_form(epsilon, form):
    half = np.full(2, 0.5)
    problem = EntropicTransport(np.array([[0.0, 1.0], [1.0, 0.0]]), half, half, epsilon)
    P = solve(problem, Sinkhorn(form=form)).x.plan
    same = 1 / (2 * (1 + np.exp(-1 / epsilon)))
    np.testing.assert_allclose(P, [[same, 0.5 - same], [0.5 - same, same]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", FORMS, ids=repr)
@pytest.mark.parametrize("epsilon", [0.1, 0.01])
def test_all_forms_find_one_plan(method, epsilon):
    problem = random_problem(epsilon)
    P = solve(problem, method).x.plan
    want = solve(problem, Sinkhorn(form="log", relaxation=1.0), rtol=1e-12).x.plan
    np.testing.assert_allclose(P, want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["sinkhorn", "sinkhorn_log", "sinkhorn_stabilized"])
def test_plans_agree_with_pot(name):
    ot = pytest.importorskip("ot")
    problem = random_problem(0.05, zeros=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = ot.sinkhorn(
            problem.a, problem.b, problem.cost.matrix, 0.05, method=name, stopThr=1e-12,
            numItermax=20_000,
        )  # fmt: skip
    np.testing.assert_allclose(solve(problem).x.plan, want, rtol=0, atol=1e-10)


def test_columns_are_exact_after_every_sweep():
    problem = random_problem(0.05)
    for steps in (1, 2, 3, 30):
        for form in ("auto", "log", "scaling"):
            method = Sinkhorn(form=form, relaxation=1.0)
            sol = rs.solve(problem, method, max_steps=steps, rtol=1e-15, throw=False)
            assert sol.certificate.details["column error"] <= 1e-15 * 30


@pytest.mark.parametrize("form", ["auto", "log", "scaling"])
def test_the_dual_grows_and_the_error_falls_with_every_plain_sweep(form):
    problem = random_problem(0.01)
    duals, errors = [], []
    for steps in range(1, 40):
        method = Sinkhorn(form=form, relaxation=1.0)
        sol = rs.solve(problem, method, max_steps=steps, rtol=1e-15, throw=False)
        duals.append(problem.a @ sol.x.f + problem.b @ sol.x.g)
        errors.append(sol.certificate.value)
    assert (np.diff(duals) >= -1e-14).all()
    assert (np.diff(errors) <= 1e-14).all()


@pytest.mark.parametrize("form", ["auto", "scaling"])
def test_tiny_epsilon_does_not_underflow(form):
    n = 60
    x = np.sort(np.random.default_rng(7).random(n))
    C = (x[:, None] - x[::-1]) ** 2
    mass = np.full(n, 1 / n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = EntropicTransport(C, mass, mass, 1e-5)
        sol = solve(problem, Sinkhorn(form=form), rtol=1e-6, max_steps=20_000)
        want = solve(problem, Sinkhorn(form="log"), rtol=1e-6, max_steps=20_000)
    assert sol.converged
    assert np.isfinite(sol.x.f).all()
    assert abs((sol.x.plan * C).sum() - (want.x.plan * C).sum()) <= 1e-6


def test_faster_variants_take_fewer_sweeps_to_the_same_plan():
    problem = random_problem(0.005, n=60, m=60)
    plain = solve(problem, Sinkhorn(relaxation=1.0), rtol=1e-9)
    for method in (Sinkhorn(), Sinkhorn(anderson=5), Sinkhorn(form="log")):
        fast = solve(problem, method, rtol=1e-9)
        assert fast.steps < 0.5 * plain.steps
        np.testing.assert_allclose(fast.x.plan, plain.x.plan, rtol=0, atol=1e-8)


def test_small_epsilon_finds_the_assignment():
    n = 50
    C = np.random.default_rng(1).random((n, n))
    mass = np.full(n, 1 / n)
    sol = solve(EntropicTransport(C, mass, mass, 1 / 1200), rtol=1e-6)
    rows, columns = linear_sum_assignment(C)
    best = C[rows, columns].mean()
    cost = (sol.x.plan * C).sum()
    assert best - 1e-6 <= cost <= best + np.log(n) / 1200


def test_large_epsilon_gives_the_product_of_the_masses():
    problem = random_problem(1e7)
    np.testing.assert_allclose(
        solve(problem).x.plan, np.outer(problem.a, problem.b), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("penalty", [1.0, 0.05, (0.1, None), (None, 2.0)])
@pytest.mark.parametrize("form", ["auto", "log", "scaling"])
def test_penalized_marginals_are_optimal(penalty, form):
    problem = random_problem(0.05, penalty=penalty)
    for relaxation in ("auto", 1.0):
        x = solve(problem, Sinkhorn(form=form, relaxation=relaxation)).x
        P = x.plan
        for side, potential, mass in ((1, x.f, problem.a), (0, x.g, problem.b)):
            tau = problem.penalty[1 - side]
            want = mass if tau is None else mass * np.exp(-potential / tau)
            np.testing.assert_allclose(P.sum(side), want, rtol=0, atol=1e-10)


def test_points_without_mass_have_finite_potentials_that_fit():
    problem = random_problem(0.02)
    for form in ("auto", "log", "scaling"):
        x = solve(problem, Sinkhorn(form=form)).x
        assert np.isfinite(x.f).all()
        assert np.isfinite(x.g).all()
        C, epsilon = problem.cost.matrix, problem.epsilon
        z = np.exp((x.g - C[3]) / epsilon) @ problem.b
        np.testing.assert_allclose(x.f[3], -epsilon * np.log(z), rtol=0, atol=1e-10)


def test_costs_in_every_form_agree():
    rng = np.random.default_rng(2)
    grid = GridCost([np.linspace(0, 1, 5), np.linspace(0, 1, 6)])
    C = grid.rows(0, 30)
    a, b = rng.random(30), rng.random(30)
    a, b = a / a.sum(), b / b.sum()
    want = solve(EntropicTransport(C, a, b, 0.02)).x.plan
    on_grid = solve(EntropicTransport(grid, a, b, 0.02)).x
    np.testing.assert_allclose(on_grid.plan, want, rtol=0, atol=1e-10)
    turned = solve(EntropicTransport(np.asfortranarray(C), a, b, 0.02)).x
    np.testing.assert_allclose(turned.plan, want, rtol=0, atol=1e-10)
    flipped = solve(EntropicTransport(DenseCost(C).T, b, a, 0.02)).x
    np.testing.assert_allclose(flipped.plan, want.T, rtol=0, atol=1e-10)
    x, y = rng.random((30, 2)), rng.random((30, 2))
    for kind in ("sqeuclidean", "euclidean", "l1"):
        cost = PointCost(x, y, kind)
        for epsilon in (0.05, 0.002):
            cloud = solve(EntropicTransport(cost, a, b, epsilon), rtol=1e-9).x.plan
            matrix = EntropicTransport(cost.rows(0, 30), a, b, epsilon)
            np.testing.assert_allclose(
                cloud, solve(matrix, rtol=1e-9).x.plan, rtol=0, atol=1e-7
            )  # fmt: skip


def test_single_precision_stalls_honestly_and_reaches_what_it_can():
    problem = random_problem(0.1)
    single = EntropicTransport(
        problem.cost.matrix.astype("f"), problem.a.astype("f"), problem.b.astype("f"), 0.1
    )
    sol = rs.solve(single, Sinkhorn(), rtol=1e-5)
    assert sol.x.f.dtype == np.float32
    assert sol.converged
    sol = rs.solve(single.but(epsilon=1e-4), Sinkhorn(), rtol=1e-8, throw=False, max_steps=8000)
    assert not sol.converged
    assert sol.reason == "stalled"


def test_a_warm_start_is_used():
    problem = random_problem(0.01)
    cold = solve(problem)
    again = solve(problem, x0=cold.x)
    assert again.steps == 0
    remembered = solve(problem, memory=cold.memory)
    assert remembered.steps <= 1
    other = EntropicTransport(problem.cost.matrix * 1.001, problem.a, problem.b, 0.01)
    assert solve(other, memory=cold.memory).steps < solve(other).steps


def test_garbage_first_guesses_end_well():
    problem = random_problem(0.05)
    for value in (1e300, -1e300, 1e5):
        sol = solve(problem, x0=(np.full(40, value), np.full(30, value)), throw=False)
        assert sol.converged


def test_the_order_of_points_and_the_unit_of_costs_do_not_matter():
    problem = random_problem(0.02)
    want = solve(problem).x.plan
    rng = np.random.default_rng(3)
    p, q = rng.permutation(40), rng.permutation(30)
    C = problem.cost.matrix
    moved = EntropicTransport(C[p][:, q].copy(), problem.a[p], problem.b[q], 0.02)
    np.testing.assert_allclose(solve(moved).x.plan, want[p][:, q], rtol=0, atol=1e-10)
    for unit in (1e-12, 1e12):
        scaled = EntropicTransport(unit * C, problem.a, problem.b, unit * 0.02)
        np.testing.assert_allclose(solve(scaled).x.plan, want, rtol=0, atol=1e-10)


def test_chunks_change_nothing():
    problem = random_problem(0.003)
    method = Sinkhorn().bind(problem)
    zero = (np.zeros(40), np.zeros(30))
    whole, _ = method.advance(problem, method.init(problem, zero, rs.Memory(), None), 61, -1.0)
    pieces = method.init(problem, zero, rs.Memory(), None)
    for steps in (1, 7, 20, 3, 30):
        pieces, _ = method.advance(problem, pieces, steps, -1.0)
    for one, another in zip(method.iterate(problem, whole)[0],
                            method.iterate(problem, pieces)[0], strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, another)


def test_steps_are_pure():
    problem = random_problem(0.01)
    for form in ("log", "scaling"):
        method = Sinkhorn(form=form).bind(problem)
        state = method.init(problem, (np.zeros(40), np.zeros(30)), rs.Memory(), None)
        state = method.step(problem, state)
        before = jax.tree_util.tree_map(np.copy, state)
        method.step(problem, state)
        for one, another in zip(jax.tree_util.tree_leaves(before),
                                jax.tree_util.tree_leaves(state), strict=True):  # fmt: skip
            np.testing.assert_array_equal(one, another)


TRACED = [Sinkhorn(), Sinkhorn(form="scaling"), Sinkhorn(anderson=4), Sinkhorn(annealing=0.5)]


@pytest.mark.parametrize("method", TRACED, ids=repr)
def test_traced_solves_agree_with_the_host(method):
    problem = random_problem(0.02)
    want = solve(problem, Sinkhorn(form="log")).x.plan
    with jax.enable_x64(True):
        traced = EntropicTransport(
            jnp.asarray(problem.cost.matrix), jnp.asarray(problem.a), jnp.asarray(problem.b), 0.02
        )
        sol = solve(traced, method)
        assert isinstance(sol.x.f, jax.Array)
        np.testing.assert_allclose(np.asarray(sol.x.plan), want, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_vmap_equals_a_loop():
    problem = random_problem(0.05)
    a, b = jnp.asarray(problem.a, "float32"), jnp.asarray(problem.b, "float32")
    costs = jnp.asarray(np.random.default_rng(5).random((3, 40, 30)), "float32")

    def potential(C):
        sol = rs.solve(EntropicTransport(C, a, b, 0.05), Sinkhorn(), rtol=1e-5, adjoint=None)
        return sol.x.f

    together = jax.vmap(potential)(costs)
    alone = jnp.stack([jax.jit(potential)(C) for C in costs])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"form": "dense"}, {"relaxation": 2.0}, {"relaxation": 0.0}, {"relaxation": "fast"},
        {"anderson": -1}, {"annealing": 1.0}, {"anderson": 3, "relaxation": 1.5},
    ],
)  # fmt: skip
def test_parameters_outside_their_range_are_refused(options):
    with pytest.raises((ValueError, TypeError)):
        Sinkhorn(**options)


def test_scaling_needs_a_matrix():
    x = np.random.default_rng(0).random((5, 2))
    mass = np.full(5, 0.2)
    with pytest.raises(ValueError, match="matrix"):
        solve(EntropicTransport(PointCost(x, x), mass, mass, 0.1), Sinkhorn(form="scaling"))


def test_kernel_calls_count_passes():
    problem = random_problem(0.05)
    sol = solve(problem, Sinkhorn(form="log"))
    assert sol.calls["kernel"] == sol.steps + 1
