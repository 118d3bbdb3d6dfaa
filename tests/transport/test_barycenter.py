"""Barycenters against closed forms, plain NumPy, finite differences and themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from transport.test_bad_input import refused

import resolvent as rs
from resolvent import EntropicBarycenter
from resolvent.transport import Barycenter, BregmanProjections, DenseCost, GridCost, PointCost

LINE = np.linspace(-8, 8, 161)
SQUARES = (LINE[:, None] - LINE) ** 2
COSTS = {"dense": SQUARES, "points": PointCost(LINE, LINE), "grid": GridCost([LINE])}


def gauss(mean, variance):
    p = np.exp(-((LINE - mean) ** 2) / (2 * variance))
    return p / p.sum()


def solve(problem, **options):
    return rs.solve(problem, BregmanProjections(), **{"rtol": 1e-10, **options})


def small(seed=0, n=6, sizes=(4, 6, 5), zeros=True):
    """Costs, measures and weights, with points that have no mass."""
    rng = np.random.default_rng(seed)
    costs = [rng.random((n, m)) for m in sizes]
    masses = [rng.random(m) + 0.1 for m in sizes]
    if zeros:
        masses[0][1] = 0.0
    weights = rng.random(len(sizes)) + 0.1
    return costs, [b / b.sum() for b in masses], weights / weights.sum()


def objective(problem, a):
    """sum_k w_k OT_k(a, b_k) + epsilon KL(a | r), from transport solves."""
    total = 0.0
    for k, b in enumerate(problem.masses):
        one = rs.EntropicTransport(problem.cost(k), a, b, problem.epsilon)
        total += problem.weights[k] * rs.solve(one, rs.transport.Sinkhorn(), rtol=1e-12).value
    return total + problem.epsilon * (a * np.log(a / problem.reference)).sum()


# ---------------------------------------------------------------- closed forms


def covariance(s, t, epsilon):
    """Covariance of the optimal plan between Gaussians of variances s and t."""
    return (-epsilon / 2 + np.sqrt(epsilon**2 / 4 + 4 * s * t)) / 2


@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize("epsilon", [0.1, 0.5])
@pytest.mark.parametrize("form", COSTS)
def test_two_gaussians(form, epsilon, debias):
    weights, means, variances = np.array([0.3, 0.7]), np.array([-1.0, 1.5]), (0.4, 0.9)

    def slope(s):
        # The quadratic part of sum_k w_k f_k, which is that of h at the answer.
        own = s / covariance(s, s, epsilon) if debias else 1.0
        return sum(weights * [t / covariance(s, t, epsilon) for t in variances]) - own

    masses = [gauss(m, v) for m, v in zip(means, variances, strict=True)]
    sol = solve(EntropicBarycenter(COSTS[form], masses, weights, epsilon, debias=debias))
    mean = sol.masses @ LINE
    assert mean == pytest.approx(weights @ means, abs=1e-8)
    assert sol.masses @ (LINE - mean) ** 2 == pytest.approx(brentq(slope, 0.01, 9), abs=1e-8)


def test_equal_gaussians_are_blurred_by_half_of_epsilon():
    sol = solve(EntropicBarycenter(SQUARES, [gauss(0, 0.5)] * 3, None, 0.6))
    assert np.allclose(sol.masses, gauss(0, 0.5 + 0.3), atol=1e-9)


def test_debiased_barycenter_of_equal_measures_is_their_measure():
    x, rng = np.arange(12.0), np.random.default_rng(1)
    b = rng.random(12) + 0.05
    sol = solve(EntropicBarycenter(PointCost(x, x), [b] * 3, [1, 2, 3], 1.0, debias=True))
    assert np.allclose(sol.masses, b, rtol=0, atol=1e-7)
    blurred = solve(EntropicBarycenter(PointCost(x, x), [b] * 3, [1, 2, 3], 1.0))
    assert np.abs(blurred.masses - b).max() > 0.05


def test_debiased_barycenter_does_not_depend_on_the_reference():
    x, rng = np.arange(12.0), np.random.default_rng(2)
    masses = [rng.random(12) + 0.5 for _ in range(2)]
    masses = [b / b.sum() for b in masses]
    first, second = (
        solve(EntropicBarycenter(PointCost(x, x), masses, None, 1.0, debias=True, reference=r))
        for r in (None, rng.random(12) + 0.1)
    )
    assert np.allclose(first.masses, second.masses, rtol=0, atol=1e-7)


def test_one_measure_of_one_point():
    # The plan is r exp(-c / epsilon), scaled to the mass.
    c, epsilon = np.array([0.0, 0.3, 1.0]), 0.2
    sol = solve(EntropicBarycenter(c[:, None], [[2.0]], None, epsilon))
    want = np.exp(-c / epsilon)
    assert np.allclose(sol.masses, 2.0 * want / want.sum(), rtol=1e-12)


def test_barycenter_minimizes_its_objective():
    costs, masses, weights = small(zeros=False, n=3, sizes=(3, 4))
    problem = EntropicBarycenter(costs, masses, weights, 0.3)
    sol = solve(problem)

    def total(logits):
        a = np.exp(logits)
        return objective(problem, a / a.sum())

    found = minimize(total, np.zeros(3), method="BFGS", options={"gtol": 1e-7})
    a = np.exp(found.x) / np.exp(found.x).sum()
    assert np.allclose(sol.masses, a, atol=1e-5)
    assert total(np.log(sol.masses)) <= found.fun + 1e-12


# ---------------------------------------------------------------- certificate


@given(seed=st.integers(0, 20), debias=st.booleans())
@settings(max_examples=15)
def test_certificate_is_the_marginal_error(seed, debias):
    costs, masses, weights = small(seed)
    own = np.abs(np.arange(6.0)[:, None] - np.arange(6.0)) if debias else False
    r = np.random.default_rng(seed).random(6) + 0.1
    problem = EntropicBarycenter(costs, masses, weights, 0.5, debias=own, reference=r)
    r = r / r.sum()
    rng = np.random.default_rng(seed)
    g = tuple(0.2 * rng.standard_normal(b.size) for b in masses)
    h = 0.2 * rng.standard_normal(6) if debias else None
    kernels = [
        b * np.exp((gk - C) / 0.5) for C, b, gk in zip(costs, masses, g, strict=True)
    ]  # fmt: skip
    level = sum(w * np.log(K.sum(1)) for w, K in zip(weights, kernels, strict=True))
    a = r * np.exp(level + (h / 0.5 if debias else 0.0))
    errors = []
    for K, b in zip(kernels, masses, strict=True):
        P = a[:, None] * K / K.sum(1, keepdims=True)
        errors.append(np.abs(P.sum(0) - b).sum() + np.abs(P.sum(1) - a).sum())
    if debias:
        P = r[:, None] * r * np.exp((h[:, None] + h - own) / 0.5)
        errors.append(np.abs(P.sum(0) - a).sum() + np.abs(P.sum(1) - a).sum())
    certificate = rs.certify(problem, (g, h), rtol=1e-3)
    assert certificate.value == pytest.approx(max(errors), rel=1e-9)
    assert certificate.target == pytest.approx(1e-3)
    assert np.allclose(Barycenter(g, h, problem).masses, a, rtol=1e-12)


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-10])
def test_gap_bounds_how_far_the_objective_is_from_its_optimum(rtol):
    costs, masses, weights = small(zeros=False)
    problem = EntropicBarycenter(costs, masses, weights, 0.05)
    best = objective(problem, solve(problem, rtol=1e-12).masses)
    sol = solve(problem, rtol=rtol)
    a = sol.masses / sol.masses.sum()
    assert -1e-12 <= objective(problem, a) - best <= sol.certificate.details["gap"] + 1e-12
    assert sol.certificate.details["gap"] <= 5 * rtol


def test_garbage_is_never_certified():
    costs, masses, weights = small()
    problem = EntropicBarycenter(costs, masses, weights, 1e-3)
    for size in (1e3, 1e200, 1e308):
        g = [size * (-1.0) ** np.arange(b.size) for b in masses]
        certificate = rs.certify(problem, (g, None))
        assert not certificate.holds
        assert not np.isnan(certificate.value)


def test_couplings_are_the_plans():
    costs, masses, weights = small()
    problem = EntropicBarycenter(costs, masses, weights, 0.1)
    sol = solve(problem)
    for b, coupling in zip(masses, sol.couplings, strict=True):
        assert np.abs(coupling.rows - sol.masses).sum() < 1e-9
        assert np.abs(coupling.columns - b).sum() < 1e-9
    assert sol.couplings[0].plan[:, 1].sum() == 0  # a point of the measure without mass


def test_reference_without_mass_keeps_the_barycenter_away():
    costs, masses, _ = small()
    reference = np.array([1.0, 0, 1, 1, 0, 1])
    for debias in (False, np.abs(np.arange(6.0)[:, None] - np.arange(6.0))):
        problem = EntropicBarycenter(costs, masses, None, 0.3, debias=debias, reference=reference)
        sol = solve(problem, rtol=1e-8)
        assert (sol.masses[[1, 4]] == 0).all()
        assert sol.masses.sum() == pytest.approx(1)


# ---------------------------------------------------------------- engines, counters, memory


# The shared suite does the same with matrices.
@pytest.mark.parametrize(("form", "debias"), [("points", True), ("grid", False)])
def test_host_and_traced_agree(form, debias):
    masses = [gauss(-1, 0.5), gauss(1, 0.7)]
    host = EntropicBarycenter(COSTS[form], masses, None, 0.5, debias=debias)
    with jax.enable_x64(True):
        traced = EntropicBarycenter(
            COSTS[form], [jnp.asarray(b) for b in masses], None, 0.5, debias=debias
        )
    first, second = solve(host), solve(traced)
    assert isinstance(second.masses, jax.Array)
    assert second.masses.dtype == np.float64
    assert second.steps == first.steps
    assert second.calls == first.calls
    assert np.allclose(first.masses, second.masses, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_single_precision_stays_single(kind):
    masses = [kind(gauss(m, 0.5).astype(np.float32)) for m in (-1, 1)]
    problem = EntropicBarycenter(kind(SQUARES.astype(np.float32)), masses, None, 0.5)
    sol = solve(problem, rtol=1e-4)
    assert sol.masses.dtype == np.float32
    double = solve(EntropicBarycenter(SQUARES, [gauss(-1, 0.5), gauss(1, 0.5)], None, 0.5))
    assert np.abs(np.asarray(sol.masses, float) - double.masses).sum() < 1e-3
    beyond = solve(problem, rtol=1e-12, throw=False)
    assert not beyond.converged
    assert beyond.reason is rs.Reason.stalled


@pytest.mark.parametrize("debias", [False, True])
def test_counted_are_the_passes(debias):
    masses = [gauss(m, 0.5) for m in (-1, 0, 1)]
    sol = solve(EntropicBarycenter(SQUARES, masses, None, 0.5, debias=debias))
    assert sol.calls == {"kernel": (6 + debias) * (sol.steps + 1)}


def test_warm_start_and_memory_save_passes():
    masses = [gauss(-1, 0.5), gauss(1, 0.7)]
    problem = EntropicBarycenter(SQUARES, masses, None, 0.1)
    cold = solve(problem)
    assert solve(problem, x0=cold.x).steps == 0
    assert solve(problem, memory=cold.memory).steps == 0
    near = EntropicBarycenter(SQUARES, masses, [0.51, 0.49], 0.1)
    assert solve(near, memory=cold.memory).steps < cold.steps


def test_sequence_of_weights():
    masses = [gauss(-1, 0.5), gauss(1, 0.7)]
    problems = [EntropicBarycenter(SQUARES, masses, [t, 1 - t], 0.5) for t in (0.3, 0.4, 0.5)]
    steps = [sol.steps for sol in rs.solve_sequence(problems, BregmanProjections(), rtol=1e-9)]
    assert steps[1] < steps[0]
    assert steps[2] < steps[0]


def test_batch():
    masses = [gauss(-1, 0.5), gauss(1, 0.7)]
    problems = [EntropicBarycenter(SQUARES, masses, [t, 1 - t], 0.5) for t in (0.3, 0.6)]
    both = rs.solve_batch(problems, BregmanProjections(), rtol=1e-10)
    assert both.converged.all()
    assert both.masses.shape == (2, LINE.size)
    for i, problem in enumerate(problems):
        assert np.allclose(both.masses[i], solve(problem).masses, atol=1e-11)
        assert np.allclose(both.x[i].masses, both.masses[i], atol=1e-15)


# ---------------------------------------------------------------- transformations


def barycentric(weights, b, cost, epsilon, debias=False, method=None):
    problem = EntropicBarycenter(
        cost, [b, b[::-1] ** 2 / (b**2).sum()], weights, epsilon, debias=cost if debias else False
    )
    masses = rs.solve(problem, method, rtol=1e-12).masses
    return masses @ jnp.arange(1.0, 1 + masses.size) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("debias", [False, True])
def test_gradients_against_finite_differences(debias, optimized):
    """With respect to weights, masses, costs and epsilon, each along a direction."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(5)
        b = rng.random(5) + 0.2
        x = rng.random(5)
        turn = 0.1 * rng.standard_normal((5, 5))
        given = [
            (jnp.array([0.4, 0.6]), jnp.array([0.3, -0.3])),
            (jnp.array(b / b.sum()), jnp.array([0.02, -0.03, 0.02, 0.01, -0.02])),
            (jnp.abs(x[:, None] - x) + 1.0, jnp.array(turn + turn.T)),
            (jnp.array(0.3), jnp.array(1.0)),
        ]

        def along(t):
            moved = [value + t[k] * move for k, (value, move) in enumerate(given)]
            return barycentric(*moved, debias=debias)

        slopes = jax.jit(jax.grad(along))(jnp.zeros(4))
        for slope, step in zip(slopes, 1e-4 * jnp.eye(4), strict=True):
            wide = (along(step) - along(-step)) / 2e-4
            assert float(slope) == pytest.approx(float(wide), rel=1e-5, abs=1e-7)


def test_gradient_where_a_measure_has_no_mass():
    with jax.enable_x64(True):
        cost = jnp.abs(jnp.arange(4.0)[:, None] - jnp.arange(4.0))

        def total(t):
            first = jnp.array([0.0, 0.5, 0.5, 0.0]) + t * jnp.array([1.0, -1.0, 0.0, 0.0])
            problem = EntropicBarycenter(cost, [first, jnp.full(4, 0.25)], None, 0.5)
            return rs.solve(problem, rtol=1e-12).masses @ jnp.arange(4.0) ** 2

        slope = float(jax.jit(jax.grad(total))(0.0))
        ahead = [float(total(t)) for t in (0.0, 1e-4, 2e-4)]
        one_sided = (-3 * ahead[0] + 4 * ahead[1] - ahead[2]) / 2e-4
        assert slope == pytest.approx(one_sided, rel=1e-4)


def test_masses_are_not_compiled_again(traces):
    masses = [jnp.asarray(gauss(m, 0.5), jnp.float32) for m in (-1, 1)]
    sol = solve(EntropicBarycenter(jnp.asarray(SQUARES, jnp.float32), masses, None, 0.5), rtol=1e-4)
    first = sol.masses
    before = traces()
    assert np.array_equal(sol.masses, first)
    assert traces() == before


def test_traced_masses_of_different_totals_are_never_solved():
    def total(b):
        problem = EntropicBarycenter(jnp.ones((3, 3)), [b, 2 * b], None, 0.5)
        return rs.solve(problem).converged

    assert not jax.jit(total)(jnp.full(3, 1 / 3))


# ---------------------------------------------------------------- bad input


THIRD = np.full(3, 1 / 3)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"masses": []}, "masses"),
        ({"masses": THIRD}, "(3,)"),
        ({"masses": None}, "masses"),
        ({"masses": [THIRD, np.ones(2) / 2]}, "masses[1]"),
        ({"masses": [THIRD, 2 * THIRD]}, "total 2"),
        ({"masses": [THIRD, -THIRD]}, "negative"),
        ({"masses": [THIRD, np.zeros(3)]}, "zero"),
        ({"masses": [THIRD, np.array([np.nan, 1, 0])]}, "finite"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": [1.0, -1.0]}, "weights"),
        ({"weights": [0.0, 0.0]}, "weights"),
        ({"weights": [np.inf, 1.0]}, "weights"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": np.nan}, "epsilon"),
        ({"epsilon": "small"}, "epsilon"),
        ({"costs": -np.ones((3, 3))}, "negative"),
        ({"costs": [np.ones((3, 3))]}, "2 measures"),
        ({"costs": [np.ones((3, 3)), np.ones((2, 3))]}, "rows"),
        ({"costs": np.ones((3, 3)) * 1j}, "complex"),
        ({"reference": np.ones(2)}, "reference"),
        ({"reference": np.zeros(3)}, "reference"),
        ({"debias": np.ones((2, 2))}, "debias"),
        ({"debias": np.triu(np.ones((3, 3)))}, "way back"),
        ({"debias": True, "costs": np.triu(np.ones((3, 3)))}, "debias"),
        ({"debias": True, "costs": [np.ones((3, 3)), np.eye(3)]}, "debias"),
        ({"context": np.inf}, "context"),
    ],
)
def test_refusals_say_what_is_wrong(change, word):
    given = {"costs": np.ones((3, 3)), "masses": [THIRD, THIRD], "weights": None, "epsilon": 0.1}
    given.update(change)
    assert word in refused(lambda: EntropicBarycenter(**given))


def test_points_of_other_shapes_are_refused():
    problem = EntropicBarycenter(np.ones((3, 3)), [THIRD, THIRD], None, 0.1)
    for x in (THIRD, (THIRD, THIRD), ([THIRD], None), ([THIRD] * 2, THIRD), 1.0, "x"):
        refused(lambda x=x: rs.certify(problem, x))


def test_a_matrix_as_nested_lists_is_one_cost():
    problem = EntropicBarycenter([[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], None, 0.1)
    assert len(problem.costs) == 1
    assert isinstance(problem.costs[0], DenseCost)
    assert np.allclose(solve(problem).masses, 0.5)


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_units_of_the_costs_do_not_matter(size):
    masses = [gauss(-1, 0.5), gauss(1, 0.7)]
    want = solve(EntropicBarycenter(SQUARES, masses, None, 0.5)).masses
    found = solve(EntropicBarycenter(SQUARES * size, masses, None, 0.5 * size)).masses
    assert np.allclose(found, want, atol=1e-9)
