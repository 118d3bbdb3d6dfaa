"""The problem, its certificate and the refinement, against closed forms and classical limits."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

import resolvent as rs
from resolvent.transport.schrodinger import (
    BridgedProcess,
    Brownian,
    GradientField,
    IterativeReferenceRefinement,
    LinearDrift,
    LotkaVolterra,
    SchrodingerBridge,
    plot_bridges,
)

TRUTH = np.array([-0.2, -2.0, 2.0, -0.2, 0.0, 0.0])


@pytest.fixture(scope="module")
def rotating(rotation):
    snapshots, times = rotation
    return SchrodingerBridge(snapshots, times, 0.3, LinearDrift(), 5)


@pytest.fixture(scope="module")
def solved(rotating):
    return rs.solve(rotating)


@pytest.mark.slow
def test_brownian_reference_between_gaussians_has_the_closed_form():
    # Entropic transport of N(0, p^2) to N(1, q^2) with cost |x - y|^2 / 2 and epsilon = sigma^2 T:
    # the covariance of the coupling is sqrt(p^2 q^2 + epsilon^2 / 4) - epsilon / 2.
    grid = (np.arange(600) + 0.5) / 600
    x, y = 0.8 * norm.ppf(grid), 1.0 + 0.5 * norm.ppf(grid)
    problem = SchrodingerBridge([x[:, None], y[:, None]], [0.0, 0.7], 0.6, Brownian())
    plan = rs.solve(problem, rtol=1e-9).x.coupling(0)
    epsilon = 0.6**2 * 0.7
    p, q = x.std(), y.std()
    expected = np.sqrt(p**2 * q**2 + epsilon**2 / 4) - epsilon / 2
    assert abs(x @ plan @ (y - 1.0) - expected) <= 2e-3 * expected


def test_little_noise_gives_the_assignment_and_much_the_product():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 2))
    rows, columns = linear_sum_assignment(((x[:, None] - y[None]) ** 2).sum(2))
    plan = rs.solve(SchrodingerBridge([x, y], [0.0, 1.0], 0.02)).x.coupling(0)
    assert np.allclose(plan[rows, columns], 1 / 12, atol=1e-6)
    plan = rs.solve(SchrodingerBridge([x, y], [0.0, 1.0], 1e3)).x.coupling(0)
    assert np.allclose(plan, 1 / 144, rtol=1e-4)


def test_one_interval_and_no_parameters_is_one_step_of_sinkhorn():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(15, 3)), rng.normal(size=(10, 3)) + 0.5
    sol = rs.solve(SchrodingerBridge([x, y], [0.0, 0.5], 0.7), rtol=1e-9)
    assert sol.steps == 1
    kernel = np.exp(-((x[:, None] - y[None]) ** 2).sum(2) / (2 * 0.7**2 * 0.5))
    u = np.ones(15)
    for _ in range(20_000):
        v = (1 / 10) / (kernel.T @ u)
        u = (1 / 15) / (kernel @ v)
    assert np.allclose(sol.x.coupling(0), u[:, None] * kernel * v, atol=1e-9)
    assert sol.x.parameters == {}


def test_the_objective_never_rises_and_the_answer_is_certified(rotating, solved):
    plain = IterativeReferenceRefinement(acceleration=0)
    J = [
        rs.solve(rotating, plain, max_steps=k, throw=False).certificate.details["J"]
        for k in range(1, 9)
    ]
    assert (np.diff(J) <= 1e-6).all()
    assert J[-1] < J[0] - 5.0
    assert solved.certificate.details["J"] <= J[-1] + 1e-6
    assert solved.converged
    assert solved.certificate.value <= 1e-6
    assert solved.certificate.details["marginal error"] <= 1e-6


def test_the_certificate_is_what_the_definitions_say(rotating, solved):
    x, problem = solved.x, rotating
    marginal, J = 0.0, 0.0
    logs = problem.transitions(x.theta)[1]
    for i in range(problem.intervals):
        plan = x.coupling(i)
        n, m = plan.shape
        error = np.abs(plan.sum(1) - 1 / n).sum() + np.abs(plan.sum(0) - 1 / m).sum()
        marginal = max(marginal, error)
        J += (plan * (np.log(np.maximum(plan, 1e-300)) - logs[i])).sum()
    assert np.isclose(solved.certificate.details["marginal error"], marginal, rtol=1e-6)
    assert np.isclose(solved.certificate.details["J"], J, atol=1e-5)
    # The refit from many sampled paths is the reference itself, up to their noise.
    drawn = x.sample(key=0, count=20_000)
    h = np.diff(drawn.times)
    v = np.diff(drawn.paths, axis=1) / h[None, :, None]
    refit = problem.family.fit(drawn.paths[:, :-1].reshape(-1, 2), v.reshape(-1, 2))
    assert np.allclose(refit, x.theta, atol=0.05)
    # A reference that is not its own refit is seen, by its distance in nats^(1/2).
    off = rs.certify(problem, x.but(theta=x.theta + np.array([0, 0, 0, 0, 1.0, 0])))
    assert not off.holds
    assert off.value > 0.1


def test_acceleration_and_start_change_the_cost_and_not_the_answer(rotating, solved):
    plain = rs.solve(rotating, IterativeReferenceRefinement(acceleration=0), rtol=1e-7)
    fast = rs.solve(rotating, rtol=1e-7)
    start = rotating.start(None).but(theta=TRUTH)
    near = rs.solve(rotating, x0=start, rtol=1e-7)
    assert fast.steps < plain.steps
    for other in (fast, near):
        assert np.allclose(other.x.theta, plain.x.theta, atol=1e-5)


def test_the_truth_is_recovered_within_sampling_error(solved):
    error = np.linalg.norm(solved.x.parameters["A"] - TRUTH[:4].reshape(2, 2))
    assert error < 3 * np.linalg.norm(TRUTH[:4]) / np.sqrt(120)


def test_solving_from_the_answer_takes_no_step(rotating, solved):
    again = rs.solve(rotating, x0=solved.x)
    assert again.steps == 0
    assert again.converged
    assert np.array_equal(again.x.theta, solved.x.theta)


def test_the_same_solve_gives_the_same_bits(rotating, solved):
    again = rs.solve(rotating)
    assert np.array_equal(again.x.theta, solved.x.theta)
    one, two = (again.x.sample(key=3, count=50) for _ in range(2))
    assert np.array_equal(one.paths, two.paths)
    assert not np.array_equal(one.paths, again.x.sample(key=4, count=50).paths)


@pytest.mark.parametrize("through", [0, 1, 2])
def test_paths_go_through_the_particles_of_every_snapshot(rotating, solved, through):
    drawn = solved.x.sample(key=1, through=through)
    assert drawn.paths.shape == (40, 11, 2)
    assert sorted(drawn.particles[:, through]) == list(range(40))
    for i, snapshot in enumerate(rotating.snapshots):
        assert np.array_equal(drawn.paths[:, 5 * i], snapshot[drawn.particles[:, i]])
        assert np.isclose(drawn.times[5 * i], rotating.times[i])
    many = solved.x.sample(key=2, count=40_000, through=through)
    for i in range(3):
        counts = np.bincount(many.particles[:, i], minlength=40)
        assert np.abs(counts / 1000 - 1).max() < 5 / np.sqrt(1000)
    pairs = np.zeros((40, 40))
    np.add.at(pairs, (many.particles[:, 0], many.particles[:, 1]), 1 / 40_000)
    plan = solved.x.coupling(0)
    assert np.abs(pairs - plan).max() < 5 * np.sqrt(plan.max() / 40_000)


def test_points_in_between_have_the_spread_of_the_bridge():
    x, y = np.zeros((1, 1)), np.ones((1, 1))
    process = rs.solve(SchrodingerBridge([x, y], [1.0, 3.0], 0.5, substeps=3)).x
    for t in (1.0, 1.25, 1.0 + 2 / 3, 2.9, 3.0):
        drawn = process.at(t, key=0, count=40_000)[:, 0]
        variance = 0.25 * (t - 1) * (3 - t) / 2
        assert abs(drawn.mean() - (t - 1) / 2) <= 5 * np.sqrt(variance / 40_000) + 1e-12
        assert abs(drawn.var() - variance) <= 5 * variance * np.sqrt(2 / 40_000) + 1e-12
    with pytest.raises(ValueError, match=r"t: given 3.5; needed a time in \[1, 3\]"):
        process.at(3.5)


def test_rates_of_predators_and_prey_are_found(predation):
    snapshots, times = predation
    sol = rs.solve(SchrodingerBridge(snapshots, times, 0.1, LotkaVolterra()), rtol=1e-5)
    found = sol.x.parameters
    for name, rate in {"alpha": 1.0, "beta": 0.4, "gamma": 0.4, "delta": 0.1}.items():
        assert abs(found[name] / rate - 1) < 0.15


def test_a_gradient_field_follows_a_flow_that_is_one():
    rng = np.random.default_rng(4)
    times = np.array([0.0, 0.4, 0.8])
    snapshots = [
        np.exp(-t) * np.array([2.0, 1.0]) + 0.25 * rng.standard_normal((30, 2)) for t in times
    ]
    family = GradientField(np.concatenate(snapshots)[::8], bandwidth=1.0, ridge=1e-1)
    problem = SchrodingerBridge(snapshots, times, 0.3, family, 4)
    vanilla = rs.solve(problem, max_steps=1, throw=False)
    sol = rs.solve(problem, rtol=1e-3)
    assert sol.certificate.details["objective"] < vanilla.certificate.details["objective"] - 1.0
    x = snapshots[1]
    along = np.sum(sol.x.drift(x) * -x) / np.linalg.norm(sol.x.drift(x)) / np.linalg.norm(x)
    assert along > 0.8


def test_snapshots_of_different_sizes_one_substep_and_noise_by_coordinate():
    rng = np.random.default_rng(2)
    snapshots = [rng.normal(m, 0.5, (size, 2)) for m, size in ((0, 9), (0.4, 17), (0.9, 5))]
    sigma = np.array([0.4, 0.9])
    sol = rs.solve(
        SchrodingerBridge(snapshots, [0.0, 1.0, 1.5], sigma, LinearDrift(), 1), rtol=1e-5
    )
    assert sol.x.coupling(1).shape == (17, 5)
    assert np.allclose(sol.x.coupling(1).sum(0), 1 / 5, atol=1e-5)
    assert sol.x.sample(key=0, through=2).paths.shape == (5, 3, 2)


def test_the_front_door_carries_points_and_sequences(rotating, solved, tmp_path):
    rs.save(tmp_path / "process.rs", {"theta": solved.x.theta, "f": solved.x.f, "g": solved.x.g})
    kept = rs.load(tmp_path / "process.rs")
    x0 = BridgedProcess(kept["theta"], tuple(kept["f"]), tuple(kept["g"]))
    assert rs.certify(rotating, x0).holds
    moved = SchrodingerBridge(
        [points + 0.01 for points in rotating.snapshots], rotating.times, 0.3, LinearDrift(), 5
    )
    cold = rs.solve(moved)
    sols = list(rs.solve_sequence([rotating, moved], warm_start=rs.Previous()))
    assert all(sol.converged for sol in sols)
    assert sols[1].steps < cold.steps
    assert np.allclose(sols[1].x.theta, cold.x.theta, atol=1e-4)
    assert sols[1].x.problem is not rotating


def test_counts_are_those_of_the_work_done(rotating, monkeypatch):
    from resolvent.transport.schrodinger import problem as module

    seen = {"transitions": 0, "path integrals": 0}
    real = module.transitions, module.normal_equations

    def transitions(*given):
        seen["transitions"] += 1
        return real[0](*given)

    def integrals(*given):
        seen["path integrals"] += 1
        return real[1](*given)

    monkeypatch.setattr(module, "transitions", transitions)
    monkeypatch.setattr(module, "normal_equations", integrals)
    sol = rs.solve(rotating, max_steps=4, throw=False)
    # Besides the method's, the problem certifies the start and the end.
    assert seen["transitions"] - sol.calls["transitions"] in (1, 2)
    assert seen["path integrals"] - sol.calls["path integrals"] in (1, 2)
    assert sol.calls["sweeps"] > 0


def test_trajectories_are_drawn(rotating, solved, tmp_path):
    axes = solved.x.plot(key=0, count=10, title="bridges")
    axes.figure.savefig(tmp_path / "bridges.png")
    assert (tmp_path / "bridges.png").stat().st_size > 10_000
    assert len(axes.collections) == 1 + len(rotating.snapshots)
    drawn = solved.x.sample(key=0, count=5)
    axes = plot_bridges(solved.x, drawn, coordinates=(1,), held_out=[(0.25, np.zeros((3, 2)))])
    assert axes.get_xlabel() == "time"
    with pytest.raises(ValueError, match="coordinates: given"):
        plot_bridges(solved.x, drawn, coordinates=(2,))


GOOD = [np.zeros((3, 2)), np.ones((4, 2))]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"snapshots": GOOD[:1], "times": [0.0]}, ValueError, "snapshots: given 1 of dim"),
        ({"snapshots": []}, ValueError, "snapshots: given 0"),
        ({"snapshots": "no"}, TypeError, "snapshots: given a str"),
        ({"snapshots": [np.zeros(3), np.ones(3)]}, ValueError, r"snapshots\[0\]: given shape"),
        ({"snapshots": [np.zeros((3, 2)), np.ones((3, 1))]}, ValueError, "dimensions 1, 2"),
        ({"snapshots": [np.zeros((0, 2)), np.ones((3, 2))]}, ValueError, r"snapshots\[0\]"),
        ({"snapshots": [np.full((3, 2), np.nan), GOOD[1]]}, ValueError, r"snapshots\[0\].*finite"),
        ({"snapshots": [np.zeros((3, 2), complex), GOOD[1]]}, TypeError, "complex"),
        ({"times": [0.0, 1.0, 2.0]}, ValueError, r"times: given shape \(3,\)"),
        ({"times": [0.0, 0.0]}, ValueError, "times: given 0 followed by 0"),
        ({"times": [1.0, 0.0]}, ValueError, "times that increase"),
        ({"times": [0.0, np.inf]}, ValueError, "times.*finite"),
        ({"sigma": 0.0}, ValueError, "sigma: given 0; needed sigma > 0"),
        ({"sigma": [0.1, -0.1]}, ValueError, "sigma: given -0.1"),
        ({"sigma": np.ones(3)}, ValueError, r"sigma: given shape \(3,\)"),
        ({"sigma": np.nan}, ValueError, "sigma.*finite"),
        ({"family": LinearDrift}, TypeError, "family: given .*LinearDrift"),
        ({"family": GradientField(np.zeros((2, 3)))}, ValueError, "centres"),
        ({"substeps": 0}, ValueError, "substeps: given 0"),
        ({"substeps": 2.0}, TypeError, "substeps: given float"),
    ],
)
def test_bad_data_is_refused(given, kind, message):
    data = {"snapshots": GOOD, "times": [0.0, 1.0], "sigma": 0.3} | given
    with pytest.raises(kind, match=message):
        SchrodingerBridge(**data)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"acceleration": -1}, "acceleration: given -1"),
        ({"bridge_rtol": 0.0}, "bridge_rtol: given 0.0"),
        ({"fit_steps": 0}, "fit_steps: given 0"),
    ],
)
def test_bad_parameters_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        IterativeReferenceRefinement(**given)


def test_bad_first_guesses_are_refused(rotating):
    start = rotating.start(None)
    with pytest.raises(TypeError, match="x0: given a ndarray; needed a BridgedProcess"):
        rs.solve(rotating, x0=np.zeros(3))
    with pytest.raises(ValueError, match=r"x0: given shape \(3,\); needed shape \(6,\)"):
        rs.solve(rotating, x0=start.but(theta=np.zeros(3)))
    with pytest.raises(ValueError, match="x0: given potentials of 1 and 2 intervals"):
        rs.solve(rotating, x0=start.but(f=start.f[:1]))
    with pytest.raises(ValueError, match="x0: .*not finite"):
        rs.solve(rotating, x0=start.but(theta=np.full(6, np.nan)))


def test_a_reference_that_blows_up_is_reported(rotating):
    start = rotating.start(None).but(theta=np.full(6, 1e200))
    sol = rs.solve(rotating, x0=start, throw=False)
    assert not sol.converged
    assert sol.reason == rs.Reason.diverged


def test_the_step_limit_holds_and_a_start_is_no_answer(rotating):
    sol = rs.solve(rotating, max_steps=0, throw=False)
    assert sol.steps == 0
    assert not sol.converged
    assert sol.certificate.value == np.inf
    with pytest.raises(rs.NotConverged, match="stopped with reason 'max_steps' after 2 steps"):
        rs.solve(rotating, max_steps=2)
