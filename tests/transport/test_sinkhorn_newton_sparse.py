"""Sinkhorn-Newton-Sparse: closed forms, derivatives, counts, every form of cost, memory."""

import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import resolvent as rs
from resolvent.transport.costs import GridCost, PointCost
from resolvent.transport.passes import Passes
from resolvent.transport.problem import EntropicTransport
from resolvent.transport.sinkhorn_newton_sparse import SinkhornNewtonSparse


def assignment(n, epsilon, seed=0):
    mass = np.full(n, 1 / n)
    return EntropicTransport(np.random.default_rng(seed).random((n, n)), mass, mass, epsilon)


def histograms(n=12, seed=1):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, n * n)) ** 4 + 1e-3
    return a / a.sum(), b / b.sum()


def points(n=12):
    axis = np.arange(n) / (n - 1)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


def matrix(kind, n=12):
    x = points(n)
    steps = x[:, None] - x[None]
    return (steps**2).sum(-1) if kind == "sqeuclidean" else np.abs(steps).sum(-1)


def counts(solution):
    return solution.memory.get("sinkhorn-newton")


@pytest.mark.parametrize("eta", [0.1, 3.0, 20.0])
def test_two_points(eta):
    half = np.full(2, 0.5)
    problem = EntropicTransport(np.array([[0.0, 1.0], [1.0, 0.0]]), half, half, 1 / eta)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-13)
    stay = 1 / (2 * (1 + math.exp(-eta)))
    np.testing.assert_allclose(
        solution.x.plan, [[stay, 0.5 - stay], [0.5 - stay, stay]], rtol=1e-9, atol=1e-15
    )


def test_small_epsilon_finds_the_assignment():
    problem = assignment(60, 2e-5)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-9)
    C = problem.cost.matrix
    rows, columns = linear_sum_assignment(C)
    expected = np.zeros((60, 60))
    expected[rows, columns] = 1.0
    np.testing.assert_array_equal(np.round(60 * solution.x.plan), expected)
    assert abs((C * solution.x.plan).sum() - C[rows, columns].mean()) <= 2e-5 * math.log(60)


def test_large_epsilon_is_independence():
    a, b = histograms(5)
    problem = EntropicTransport(matrix("l1", 5), a, b, 1e6)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-12)
    np.testing.assert_allclose(solution.x.plan, np.outer(a, b), rtol=1e-5)


@pytest.mark.parametrize("penalty", [None, 0.7, (0.3, None), (None, 2.0)])
def test_gradient_and_hessian(penalty):
    a, b = histograms(4)
    epsilon = 0.05
    problem = EntropicTransport(matrix("sqeuclidean", 4), a, b, epsilon, penalty=penalty)
    data = Passes(problem, None)
    rng = np.random.default_rng(3)
    g, direction = 0.1 * rng.standard_normal((2, 16))

    def at(g):
        f, rows, columns, kept, _ = data.at(g, epsilon, 0.0)
        return data.dual(f, g, rows, epsilon), data.wanted(g) - columns, rows, columns, kept

    h = 1e-5
    up, down = at(g + h * direction), at(g - h * direction)
    _, gradient, rows, columns, kept = at(g)
    slope = (up[0] - down[0]) / (2 * h)
    assert slope == pytest.approx(gradient @ direction, rel=1e-6)
    bend = -epsilon * (up[1] - down[1]) / (2 * h)
    diagonal = data.diagonal(g, columns, epsilon)
    assert kept is not None
    small = 1e-9 * float(np.abs(bend).sum())
    found, _ = data.solve(kept, rows, diagonal, bend, small, epsilon)
    wanted = direction - (b @ direction / b.sum() if penalty is None else 0.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_rows_are_exact_and_the_dual_ascends():
    a, b = histograms()
    problem = EntropicTransport(matrix("l1"), a, b, 2e-3)
    method = SinkhornNewtonSparse(sweeps=5).bind(problem)
    state = method.init(problem, problem.start(None), rs.Memory(), None)
    values = [state.value]
    for _ in range(30):
        state = method.step(problem, state)
        values.append(state.value)
        np.testing.assert_allclose(state.rows, a, rtol=1e-14)
    assert np.diff(values).min() >= -1e-13
    assert state.counts.newton > 10


def test_dense_newton_is_quadratic():
    solution = rs.solve(
        assignment(80, 5e-3), SinkhornNewtonSparse(sweeps=30, density=1.0), rtol=1e-12
    )
    assert solution.history is not None
    errors = np.log(solution.history.measures[-4:])
    assert counts(solution)["kept"] == 80 * 80
    # The trust region's shift fades geometrically, so the order comes out between 1 and 2.
    assert errors[2] / errors[1] > 1.4


@pytest.mark.parametrize("share", [2 / 144, 7.3 / 144, 0.5])
def test_exact_number_of_kept_entries_in_spite_of_ties(share):
    a = np.full(144, 1 / 144)
    b, _ = histograms()
    problem = EntropicTransport(matrix("l1"), a, b, 5e-2)
    data = Passes(problem, share)
    K = math.ceil(share * 144**2)
    for shift in (0.0, 0.01):
        f, _, _, kept, _ = data.at(np.linspace(0, shift, 144), 5e-2, 0.0)
        assert kept is not None
        assert len(kept.values) == kept.indptr[-1] == K
        P = np.exp((f[:, None] + np.linspace(0, shift, 144) - matrix("l1")) / 5e-2)
        P = P * np.outer(a, b)
        np.testing.assert_allclose(np.sort(kept.values), np.sort(P.ravel())[-K:], rtol=1e-12)
        rows = np.repeat(np.arange(144), np.diff(kept.indptr))
        np.testing.assert_allclose(kept.values, P[rows, kept.indices], rtol=1e-12)


@pytest.mark.parametrize("kind", ["sqeuclidean", "l1"])
@pytest.mark.parametrize("epsilon", [0.1, 1e-3])
def test_every_form_of_cost(kind, epsilon):
    a, b = histograms()
    C = matrix(kind)
    axes = [np.arange(12) / 11] * 2

    def distance(p, q):
        step = p - q
        return (step**2).sum() if kind == "sqeuclidean" else abs(step).sum()

    forms = {
        "dense": C, "other order": np.asfortranarray(C + 0.0),
        "points": PointCost(points(), points(), kind),
        "function": PointCost(points(), points(), distance), "grid": GridCost(axes, kind),
    }  # fmt: skip
    found = {}
    for name, cost in forms.items():
        problem = EntropicTransport(cost, a, b, epsilon)
        solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-10)
        assert solution.converged, name
        found[name] = solution.x.plan
    for name, plan in found.items():
        np.testing.assert_allclose(plan, found["dense"], atol=1e-10, err_msg=name)


def test_blocks_without_a_whole_matrix(monkeypatch):
    from resolvent.transport import costs, passes

    monkeypatch.setattr(passes, "_WHOLE", 0)
    monkeypatch.setattr(costs, "_BLOCK", 1000)
    a, b = histograms()
    grid = EntropicTransport(GridCost([np.arange(12) / 11] * 2), a, b, 1e-3)
    solution = rs.solve(grid, SinkhornNewtonSparse(), rtol=1e-10)
    dense = EntropicTransport(matrix("sqeuclidean"), a, b, 1e-3)
    expected = rs.solve(dense, SinkhornNewtonSparse(), rtol=1e-10)
    np.testing.assert_allclose(solution.x.plan, expected.x.plan, atol=1e-10)


def test_kept_entries_are_bounded(monkeypatch):
    from resolvent.transport import passes

    monkeypatch.setattr(passes, "_MOST", 3000)
    a, b = histograms()
    problem = EntropicTransport(PointCost(points(), points()), a, b, 1e-2)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-10)
    assert solution.converged
    assert counts(solution)["kept"] <= 2 * 3000


@pytest.mark.parametrize("penalty", [0.05, 1.0, (None, 0.2), (0.2, None)])
@pytest.mark.parametrize("epsilon", [0.1, 1e-3])
def test_penalized_marginals(penalty, epsilon):
    a, b = histograms()
    problem = EntropicTransport(matrix("sqeuclidean"), a, 1.0 * b, epsilon, penalty=penalty)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-10)
    assert solution.converged
    assert solution.certificate.details["gap"] <= 1e-8


def test_zero_masses_drop_out():
    a, b = histograms()
    a[:20], b[100:] = 0.0, 0.0
    a, b = a / a.sum(), b / b.sum()
    C = matrix("l1")
    whole = rs.solve(EntropicTransport(C, a, b, 2e-3), SinkhornNewtonSparse(), rtol=1e-11)
    less = EntropicTransport(C[20:, :100], a[20:], b[:100], 2e-3)
    part = rs.solve(less, SinkhornNewtonSparse(), rtol=1e-11)
    np.testing.assert_allclose(whole.x.plan[20:, :100], part.x.plan, atol=1e-11)
    assert np.isfinite(whole.x.f).all()
    assert np.isfinite(whole.x.g).all()


def test_rectangular_and_single_points():
    rng = np.random.default_rng(5)
    a, b = rng.random(7), rng.random(90)
    problem = EntropicTransport(rng.random((7, 90)), a / a.sum(), b / b.sum(), 1e-3)
    assert rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-10).converged
    for shape in ((1, 1), (1, 5), (5, 1)):
        a, b = np.full(shape[0], 1 / shape[0]), np.full(shape[1], 1 / shape[1])
        problem = EntropicTransport(rng.random(shape), a, b, 1e-4)
        solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-12)
        np.testing.assert_allclose(solution.x.plan, np.outer(a, b), rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_of_the_cost_do_not_matter(unit):
    base = rs.solve(assignment(50, 1e-3), SinkhornNewtonSparse(), rtol=1e-10)
    mass, C = np.full(50, 0.02), np.random.default_rng(0).random((50, 50))
    other = EntropicTransport(unit * C, mass, mass, 1e-3 * unit)
    solution = rs.solve(other, SinkhornNewtonSparse(), rtol=1e-10)
    assert abs(solution.steps - base.steps) <= 2
    np.testing.assert_allclose(solution.x.plan, base.x.plan, atol=1e-9)


def test_single_precision_stays_and_stalls_in_words():
    a, b = (mass.astype(np.float32) for mass in histograms())
    problem = EntropicTransport(matrix("sqeuclidean").astype(np.float32), a, b, 1e-2)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-4)
    assert solution.x.f.dtype == solution.x.g.dtype == np.float32
    hopeless = problem.but(epsilon=1e-5)
    solution = rs.solve(hopeless, SinkhornNewtonSparse(), rtol=1e-9, throw=False)
    assert not solution.converged
    assert solution.reason == "stalled"


def test_where_sinkhorn_needs_thousands_of_sweeps():
    problem = assignment(200, 1 / 1200)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-9)
    assert solution.converged
    assert counts(solution)["passes"] <= 60
    assert counts(solution)["kept"] < 0.2 * 200**2
    error, sweeps = math.inf, 0
    K = np.exp(-problem.cost.matrix * 1200)
    u = np.ones(200)
    while error > 1e-9 and sweeps < 3000:
        v = problem.b / (K.T @ u)
        u = problem.a / (K @ v)
        error = np.abs(v * (K.T @ u) - problem.b).sum()
        sweeps += 1
    assert sweeps > 500, "the comparison is no comparison"


def test_large_epsilon_is_left_to_sinkhorn():
    a, b = histograms()
    problem = EntropicTransport(matrix("sqeuclidean"), a, b, 0.2)
    solution = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-9)
    assert solution.converged
    assert counts(solution)["newton"] == 0


def test_published_form_sweeps_then_newton():
    problem = assignment(150, 1 / 300)
    solution = rs.solve(problem, SinkhornNewtonSparse(sweeps=20, density=6 / 150), rtol=1e-11)
    assert counts(solution)["sweeps"] == 20
    assert counts(solution)["kept"] == 6 * 150
    assert 1 <= counts(solution)["newton"] <= 30


def test_memory_of_similar_problems():
    a, b = histograms()
    C = matrix("l1")
    rng = np.random.default_rng(7)
    first = rs.solve(EntropicTransport(C, a, b, 1e-3), SinkhornNewtonSparse(), rtol=1e-9)
    next_b = b * (1 + 0.01 * rng.standard_normal(len(b)))
    problem = EntropicTransport(C, a, next_b / next_b.sum(), 1e-3)
    cold = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-9)
    warm = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-9, memory=first.memory)
    assert warm.converged
    assert sum(warm.calls.values()) <= 0.5 * sum(cold.calls.values())
    bad = first.memory.updated(
        {"potentials": rs.Entry((1e6 * rng.random(144), 1e6 * rng.random(144)), ("size",))}
    )
    assert rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-9, memory=bad).converged


def test_solving_from_the_answer_takes_no_step():
    problem = assignment(40, 1e-2)
    first = rs.solve(problem, SinkhornNewtonSparse(), rtol=1e-11)
    again = rs.solve(problem, SinkhornNewtonSparse(), x0=first.x, rtol=1e-9)
    assert again.converged
    assert again.steps == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [({"sweeps": -1}, ValueError), ({"sweeps": 1.5}, TypeError), ({"density": 0.0}, ValueError),
     ({"density": 1.5}, ValueError), ({"density": "x"}, TypeError)],
)  # fmt: skip
def test_bad_parameters(options, error):
    with pytest.raises(error, match=next(iter(options))):
        SinkhornNewtonSparse(**options)
