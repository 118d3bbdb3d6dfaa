"""Transitions, expectations over bridges, and draws from them, against closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from resolvent.transport.schrodinger import (
    Brownian,
    GradientField,
    LinearDrift,
    LotkaVolterra,
    SchrodingerBridge,
)
from resolvent.transport.schrodinger.expectations import increments, moments, normal_equations
from resolvent.transport.schrodinger.sampler import bridge
from resolvent.transport.schrodinger.transitions import Chain

THETA = np.array([-0.2, -2.0, 2.0, -0.2, 0.3, -0.1])
RATES = np.array([1.0, 0.4, 0.4, 0.1])


class InPairs(LinearDrift):
    """The same drift, told to be any: its expectations run over pairs of particles."""

    affine = False


def interval(chain, i=0):
    return Chain(*(np.asarray(part)[i] for part in chain))


def some_coupling(n, m):
    plan = np.random.default_rng(5).exponential(size=(n, m)) ** 3
    return (plan / plan.sum())[None]


def problem_of(family, sigma=0.3, substeps=6, sizes=(7, 5)):
    rng = np.random.default_rng(3)
    snapshots = [rng.uniform(1.0, 3.0, (size, 2)) for size in sizes]
    return SchrodingerBridge(snapshots, [0.5, 0.5 + 0.3], sigma, family, substeps)


@pytest.mark.parametrize("sigma", [0.3, np.array([0.2, 0.7])])
def test_affine_transitions_are_those_of_the_euler_chain(sigma):
    problem = problem_of(LinearDrift(), sigma)
    _, logs = problem.transitions(THETA)
    h = 0.3 / 6
    A, b = THETA[:4].reshape(2, 2), THETA[4:]
    F, Q = np.eye(2) + h * A, h * np.diag(np.broadcast_to(sigma, 2) ** 2)
    for n, x in enumerate(problem.snapshots[0]):
        mean, spread = x, np.zeros((2, 2))
        for _ in range(6):
            mean, spread = F @ mean + h * b, F @ spread @ F.T + Q
        expected = multivariate_normal(mean, spread).logpdf(problem.snapshots[1])
        assert np.allclose(logs[0, n, :5], expected, atol=1e-10)


def test_brownian_transitions_do_not_depend_on_the_substeps():
    logs = [problem_of(Brownian(), 0.4, k).transitions(np.zeros(0))[1][0, :7, :5] for k in (1, 9)]
    assert np.allclose(*logs, atol=1e-10)


def test_linearised_transitions_have_the_moments_of_simulated_paths():
    rng, h = np.random.default_rng(0), 0.3 / 6
    problem = problem_of(LotkaVolterra(), 0.1)
    chain, _ = problem.transitions(RATES)
    x = np.repeat(problem.snapshots[0][:1], 200_000, axis=0)
    for _ in range(6):
        x = x + h * problem.family.velocities(RATES, x)
        x = x + np.sqrt(h) * 0.1 * rng.standard_normal(x.shape)
    mean, spread = np.asarray(chain.mean[0, -1, 0]), np.asarray(chain.spread[0, -1, 0])
    # The curvature of the drift moves the mean by the order of sigma^2 times the interval.
    assert np.allclose(x.mean(0), mean, atol=2e-3)
    assert np.allclose(np.cov(x.T), spread, atol=0.02 * spread.max())


def test_the_brownian_bridge_has_a_straight_mean_and_the_known_variance():
    count, sigma, T, steps = 40_000, 0.5, 2.0, 8
    ends = [np.array([[1.0, -1.0]]), np.array([[2.0, 3.0]])]
    problem = SchrodingerBridge(ends, [0.0, T], sigma, Brownian(), steps)
    chain, _ = problem.transitions(np.zeros(0))
    paths = bridge(
        np.random.default_rng(0), interval(chain), np.zeros(count, int),
        np.repeat(ends[1], count, axis=0), np.full(2, sigma**2 * T / steps),
    )  # fmt: skip
    s = np.linspace(0.0, T, steps + 1)
    straight = ends[0] + (s / T)[:, None] * (ends[1] - ends[0])
    variance = sigma**2 * s * (T - s) / T
    error = np.sqrt(variance / count)[:, None]
    assert (np.abs(paths.mean(0) - straight) <= 4.5 * error + 1e-12).all()
    assert np.allclose(paths.var(0), variance[:, None], rtol=4.5 * np.sqrt(2 / count), atol=1e-12)
    # Between s < t the covariance is sigma^2 s (T - t) / T.
    found = np.mean((paths[:, 2, 0] - straight[2, 0]) * (paths[:, 6, 0] - straight[6, 0]))
    assert abs(found - sigma**2 * s[2] * (T - s[6]) / T) < 5e-3


@pytest.mark.parametrize(
    ("family", "theta", "sigma"),
    [(LinearDrift(), THETA, 0.4), (InPairs(), THETA, 0.4), (LotkaVolterra(), RATES, 0.2)],
    ids=["moments", "pairs", "linearised"],
)
def test_path_integrals_are_the_sums_over_sampled_bridges(family, theta, sigma):
    problem = problem_of(family, sigma, substeps=4)
    chain, grid = problem.transitions(theta)[0], problem.grid()
    plan = some_coupling(7, 7)
    plan[:, :, 5:] = 0.0  # the second snapshot has five particles
    plan /= plan.sum()
    exact = normal_equations(family, 0.7 * theta, moments(family, chain, grid, plan), grid)
    rng, count = np.random.default_rng(7), 60_000
    pairs = rng.choice(plan.size, size=count, p=plan.ravel())
    sources, targets = np.unravel_index(pairs, plan.shape[1:])
    h = grid.step[0]
    ends = problem.snapshots[1][targets]
    paths = bridge(rng, interval(chain), sources, ends, h * problem.sigma**2)
    x, v = paths[:, :-1].reshape(-1, 2), np.diff(paths, axis=1).reshape(-1, 2) / h
    t = np.broadcast_to(grid.times[0] + h * np.arange(4), (count, 4)).ravel()
    weights = np.full(x.shape, h / sigma**2 / count)
    drawn = increments(family, 0.7 * theta, x, v, t, weights)
    size = np.sqrt(np.diagonal(exact.information))
    assert np.allclose(
        drawn.information / np.outer(size, size), exact.information / np.outer(size, size),
        atol=0.03,
    )  # fmt: skip
    spread = np.linalg.norm(exact.gradient / size)
    assert np.allclose(drawn.gradient / size, exact.gradient / size, atol=0.02 * spread + 0.02)


def test_two_moments_of_the_ends_are_enough_for_affine_drifts():
    problem = problem_of(LinearDrift(), 0.4)
    grid, plan = problem.grid(), some_coupling(7, 7)
    found = []
    for family in (LinearDrift(), InPairs()):
        chain = SchrodingerBridge(
            problem.snapshots, problem.times, 0.4, family, problem.substeps
        ).transitions(THETA)[0]
        found.append(
            normal_equations(family, 0.5 * THETA, moments(family, chain, grid, plan), grid)
        )
    assert np.allclose(found[0].gradient, found[1].gradient, rtol=1e-9, atol=1e-9)
    assert np.allclose(found[0].information, found[1].information, rtol=1e-9, atol=1e-9)


def test_many_pairs_are_summed_in_blocks_to_the_same_result(monkeypatch):
    problem = problem_of(LotkaVolterra(), 0.2, sizes=(9, 9))
    grid, plan = problem.grid(), some_coupling(9, 9)
    chain = problem.transitions(RATES)[0]
    paths = moments(problem.family, chain, grid, plan)
    whole = normal_equations(problem.family, RATES, paths, grid)
    monkeypatch.setattr("resolvent.transport.schrodinger.expectations._AT_ONCE", 2 * 4 * 6 * 9)
    blocks = normal_equations(problem.family, RATES, paths, grid)
    assert np.allclose(whole.gradient, blocks.gradient, rtol=1e-10)
    assert np.allclose(whole.information, blocks.information, rtol=1e-10)


def test_the_refit_gradient_is_that_of_the_objective(rotation):
    # Fisher's identity: the derivative of the optimal J is the expected derivative over paths.
    import resolvent as rs
    from resolvent.transport.schrodinger import IterativeReferenceRefinement

    snapshots, times = rotation
    problem = SchrodingerBridge(snapshots, times, 0.3, LinearDrift(), 5)

    def bridged(theta):
        x0 = problem.start(None).but(theta=theta)
        method = IterativeReferenceRefinement(bridge_rtol=1e-11)
        first = rs.solve(problem, method, x0=x0, max_steps=1, throw=False).x
        # The first bridges are coarse: tighten them at the same theta.
        from resolvent.transport.schrodinger.static_bridge import solve_bridge

        logs = problem.transitions(theta)[1]
        pairs = [
            solve_bridge(logs[i], f, g, 1e-11)[:2]
            for i, (f, g) in enumerate(zip(first.f, first.g, strict=True))
        ]
        return problem.evaluate(
            first.but(f=tuple(p[0] for p in pairs), g=tuple(p[1] for p in pairs))
        )

    theta = 0.6 * THETA
    gradient = bridged(theta).normal.gradient
    for j in (0, 1, 4):
        e = 1e-4 * np.eye(6)[j]
        slope = (bridged(theta + e).objective - bridged(theta - e).objective) / 2e-4
        assert abs(slope - gradient[j]) <= 1e-5 * (1 + abs(slope))


def test_a_decay_is_part_of_the_objective_and_of_its_gradient():
    family = GradientField(centres=np.ones((1, 2)), bandwidth=1.0, ridge=2.0)
    problem = problem_of(family)
    x = problem.start(None)
    plain = problem.evaluate(x)
    moved = problem.evaluate(x.but(theta=np.array([3.0])))
    assert plain.objective == plain.J
    assert np.isclose(moved.objective - moved.J, 9.0)
