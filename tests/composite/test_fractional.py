"""Fractional programs: searches along lines, laws of coordinate descent, certificates."""

import numpy as np
import pytest

import resolvent as rs
from resolvent import composite, functions
from resolvent.composite.ratios import kernels_fractional as kernels

Descent = composite.FractionalCoordinateDescent
KINDS = {"smooth": kernels.SMOOTH, "largest": kernels.LARGEST, "quartic": kernels.QUARTIC}


def recovery(seed=0, m=12, n=20, spikes=3, weight=0.1):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    b = A[:, :spikes] @ rng.uniform(1, 2, spikes)
    return rs.FractionalProgram(
        composite.SquaredResidual(A, b), composite.LargestSum(spikes, weight),
        functions.L1(weight), start=0.3 * rng.standard_normal(n),
    )  # fmt: skip


def forms(n=6, seed=1, **options):
    rng = np.random.default_rng(seed)
    Q, C = (M @ M.T + np.eye(n) for M in rng.standard_normal((2, n, n)))
    terms = composite.QuadraticTerm(Q), composite.QuadraticTerm(C)
    return rs.FractionalProgram(*terms, start=rng.standard_normal(n), **options), Q, C


def parts(program, x):
    """What the kernels take of a point."""
    program = program.prepare("host")
    rows = program.rows()
    look = program.look(x, rows)
    line = look.line
    if line.kind == kernels.QUARTIC:
        kernels.quartic_lines(line.matrix, line.product, line.vectors)
    shared = rows, line.kind, line.vectors, line.scalars, line.order
    return look, (look.gradient, look.top, line.bottom, np.array(x, float)), shared


def programs(kind, rng, count):
    """Random programs of a kind of denominator, with bars and bounds now and then."""
    for _ in range(count):
        n = int(rng.integers(1, 6))
        A, b = rng.standard_normal((4, n)), rng.standard_normal(4)
        f = composite.SquaredResidual(A, b, float(rng.uniform(0, 1)))
        x = rng.standard_normal(n)
        if kind == "largest":
            g = composite.LargestSum(int(rng.integers(1, n + 1)), float(rng.uniform(0.1, 2)))
        elif kind == "quartic":
            g = composite.QuarticNorm(rng.standard_normal((5, n)))
        elif rng.random() < 0.5:
            M = rng.standard_normal((n, n))
            g = composite.QuadraticTerm(M @ M.T, offset=0.5)
        else:
            d = rng.standard_normal(n)
            g = composite.AffineTerm(d, float(1.0 + abs(d @ x)))
        h = (None, functions.L1(float(rng.uniform(0.1, 1))), functions.Box(-1.5, 2.0))[
            int(rng.integers(3))
        ]
        if isinstance(h, functions.Box):
            x = x.clip(-1.5, 2.0)
        yield rs.FractionalProgram(f, g, h, start=x), x


def denominator(g, points):
    """g at many points, from its definition."""
    if isinstance(g, composite.AffineTerm):
        return points @ g.d + g.offset
    if isinstance(g, composite.QuadraticTerm):
        return 0.5 * np.einsum("ki,ij,kj->k", points, g.Q, points) + points @ g.q + g.offset
    if isinstance(g, composite.LargestSum):
        return g.weight * np.sort(np.abs(points), axis=1)[:, -g.s :].sum(axis=1)
    return ((points @ g.G.T) ** 4).sum(axis=1) ** 0.5


def model(program, x, i, t):
    """The model of the numerator and the denominator along coordinate i, from their definitions."""
    curvature = program.rows()[0, i]
    points = x + t[:, None] * np.eye(x.size)[i]
    bars, low, high = program.rows()[1:]
    top = program.f.value(x) + t * program.f.gradient(x)[i] + 0.5 * curvature * t**2
    top = top + np.abs(points) @ bars
    inside = ((points >= low - 1e-12) & (points <= high + 1e-12)).all(axis=1)
    bottom = denominator(program.g, points)
    return np.where(inside & (bottom > 0), top, np.inf), np.maximum(bottom, 1e-300)


@pytest.mark.parametrize("kind", KINDS)
def test_no_point_of_a_fine_grid_is_better_than_the_global_minimizer_along_a_line(kind):
    rng = np.random.default_rng(5)
    grid = np.r_[np.linspace(-6, 6, 241), np.linspace(-0.1, 0.1, 41), -1e3, 1e3]
    for program, x in programs(kind, rng, 200):
        _, point, shared = parts(program, x)
        assert shared[1] == KINDS[kind]
        i = int(rng.integers(x.size))
        best = np.empty(3)
        for parametric in (False, True):
            kernels.line(i, point[0][i], *point[1:], *shared, parametric, best)
            top, bottom = model(program, x, i, np.r_[0.0, best[0], grid])
            ratio = top / bottom
            assert ratio[1] <= ratio[0] * (1 + 1e-12)
            assert best[2] == pytest.approx(ratio[1] - ratio[0], abs=1e-9 * (1 + ratio[0]))
            objective = top - ratio[0] * bottom if parametric else ratio
            unbounded = parametric and objective[2:].min() < -1e3
            # An infimum at infinity is not attained: some descent is all that is asked for.
            escapes = objective[-2:].min() < objective[2:-2].min()
            if not (unbounded or escapes):
                assert objective[1] <= objective.min() + 1e-9 * (1 + abs(objective[0]))


def test_an_infimum_at_infinity_is_approached():
    f = composite.QuadraticTerm(np.eye(1), offset=1.0)
    program = rs.FractionalProgram(f, composite.QuadraticTerm(np.eye(1)), start=np.ones(1))
    _, point, shared = parts(program, np.ones(1))
    best = np.empty(3)
    for parametric in (False, True):
        kernels.line(0, point[0][0], *point[1:], *shared, parametric, best)
        assert abs(best[0]) > 1
        assert best[2] <= -0.9  # of a fall from 3 towards 1, and the model of f is a little above


@pytest.mark.parametrize("subproblem", ["ratio", "parametric"])
def test_a_constant_denominator_leaves_the_lasso(subproblem):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((15, 6)), rng.standard_normal(15)
    program = rs.FractionalProgram(
        composite.SquaredResidual(X / np.sqrt(15), y / np.sqrt(15)),
        composite.AffineTerm(np.zeros(6), 1.0), functions.L1(0.1), start=np.zeros(6),
    )  # fmt: skip
    sol = rs.solve(program, Descent(subproblem=subproblem), rtol=1e-10)
    lasso = rs.GeneralizedLinear(X, y, penalty=functions.L1(0.1))
    assert rs.certify(lasso, sol.x).value <= 1e-10


@pytest.mark.parametrize("selection", ["random", "cyclic", "greedy"])
def test_every_step_lowers_the_ratio_by_what_theory_says(selection):
    program = recovery()
    problem = program.prepare("host")
    rows, theta = problem.rows(), problem.proximal()
    method = Descent(selection).bind(problem)
    _, columns, matrix = method.work
    x, moved = np.array(problem.first), 0
    for step in range(100):
        look = problem.look(x, rows)
        line, new = look.line, x.copy()
        r = problem.f.A @ x - problem.f.b if columns else look.gradient.copy()
        kernels.sweep(
            np.array([step % x.size]), selection == "greedy", theta, look.top, line.bottom, new,
            rows, columns, matrix, r, line.kind, line.matrix, line.product, line.vectors,
            line.scalars, line.order, step % 2 == 0,
        )  # fmt: skip
        t = np.abs(new - x).max()
        assert (new != x).sum() <= 1
        least = 0.5 * theta * t * t / problem.g.value(new)
        assert look.ratio - problem.objective(new) >= least - 1e-14 * look.ratio
        x, moved = new, moved + (t > 0)
    assert moved > 30


def test_kinds_of_steps_have_the_same_fixed_points():
    program = recovery(3)
    out = np.empty((2, program.f.n))
    for subproblem in ("ratio", "parametric"):
        sol = rs.solve(program, Descent("cyclic", subproblem), rtol=1e-9, max_steps=20_000)
        for parametric in (False, True):
            _, point, shared = parts(program, sol.x)
            kernels.moves(*point, *shared, parametric, out)
            assert np.abs(out[0]).max() <= 1e-7
    _, point, shared = parts(program, program.first)
    kernels.moves(*point, *shared, True, out)
    assert np.abs(out[0]).max() > 0.1


def test_the_least_eigenvector_and_its_scale():
    rng = np.random.default_rng(4)
    M = rng.standard_normal((6, 6))
    terms = composite.QuadraticTerm(M @ M.T), composite.QuadraticTerm(np.eye(6))
    for factor in (1.0, 1e3):
        x0 = factor * rng.standard_normal(6)
        program = rs.FractionalProgram(*terms, start=x0)
        sol = rs.solve(program, rtol=1e-7)
        least = np.linalg.eigvalsh(M @ M.T)[0]
        assert program.objective(sol.x) == pytest.approx(least, rel=1e-8)
        assert program.objective(7.0 * sol.x) == pytest.approx(program.objective(sol.x), rel=1e-12)


def test_critical_points_need_not_be_coordinate_wise_stationary():
    _, Q, C = forms()
    inverse = np.linalg.inv(np.linalg.cholesky(C))
    x = inverse.T @ np.linalg.eigh(inverse @ Q @ inverse.T)[1][:, -1]
    values = [
        rs.certify(forms(stationarity=kind)[0], x).value for kind in ("critical", "coordinate")
    ]
    assert values[0] <= 1e-7 < 1e-1 < values[1]
    weak, strong = forms(stationarity="critical")[0], forms()[0]
    gradient = composite.ProximalGradientSubgradient()
    assert rs.solve(weak, gradient, x0=x, rtol=1e-6).steps == 0
    sol = rs.solve(strong, Descent("cyclic"), x0=x, rtol=1e-6)
    assert strong.objective(sol.x) < 0.5 * strong.objective(x)


def test_bounds_hold_at_every_point():
    rng = np.random.default_rng(6)
    A, b, d = rng.standard_normal((9, 4)), rng.standard_normal(9), rng.uniform(-0.2, 1.0, 4)
    program = rs.FractionalProgram(
        composite.SquaredResidual(A, b, 1.0), composite.AffineTerm(d, 1.5),
        functions.Box(-1.0, 1.0), start=np.zeros(4),
    )  # fmt: skip
    best = program.objective(rs.solve(program, composite.Dinkelbach(), rtol=1e-12).x)
    for x in rng.uniform(-1, 1, (50, 4)):
        certificate = rs.certify(program, x)
        assert certificate.kind == "bound"
        assert certificate.value >= program.objective(x) - best > 0
    assert rs.certify(program, np.full(4, 1.5)).value == np.inf


@pytest.mark.parametrize(
    "method", [composite.Dinkelbach(), composite.ProximalGradientSubgradient()], ids=str
)
def test_baselines_never_raise_the_ratio_and_end_critical(method):
    program = recovery(8)
    weak = program.but(stationarity="critical")
    objectives = []
    for steps in (0, 1, 5, 20):
        x = rs.solve(program, method, rtol=0.0, max_steps=steps, throw=False).x
        objectives.append(program.objective(x))
    assert (np.diff(objectives) < 0).all()
    assert rs.solve(weak, method, rtol=1e-6, max_steps=20_000).converged


def test_several_forms_of_data_have_one_answer():
    program = recovery(9)
    f = program.f
    gram = composite.QuadraticTerm(f.A.T @ f.A, -f.A.T @ f.b, 0.5 * float(f.b @ f.b))
    other = rs.FractionalProgram(gram, program.g, program.h, start=program.first)
    one, two = (
        rs.solve(each, Descent("cyclic"), max_steps=30, rtol=0.0, throw=False).x
        for each in (program, other)
    )
    assert np.allclose(one, two, atol=1e-9)


A, B = np.ones((3, 2)), np.ones(3)
BAD = {
    "no numerator": (lambda: {"f": functions.L1(1.0)}, TypeError, "SquaredResidual"),
    "no denominator": (lambda: {"g": functions.L1(1.0)}, TypeError, "AffineTerm"),
    "a term that is no sum": (lambda: {"h": functions.L2(1.0)}, TypeError, "WeightedL1"),
    "sizes": (lambda: {"start": np.ones(3)}, ValueError, "one size"),
    "a start at zero": (lambda: {"start": np.zeros(2)}, ValueError, "g is positive"),
    "theta": (lambda: {"theta": 0.0}, ValueError, "theta"),
    "a word": (lambda: {"stationarity": "weak"}, ValueError, "stationarity"),
    "no square": (lambda: {"f": composite.QuadraticTerm(A)}, ValueError, "symmetric"),
    "indefinite": (lambda: {"f": composite.QuadraticTerm(-np.eye(2))}, ValueError, "semidefinite"),
    "a negative offset": (lambda: {"f": composite.SquaredResidual(A, B, -1.0)}, ValueError, ">= 0"),
    "a NaN": (lambda: {"f": composite.SquaredResidual(A, B * np.nan)}, ValueError, "finite"),
    "no entry": (lambda: {"g": composite.LargestSum(0)}, ValueError, "s"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused_in_words(name):
    make, kind, words = BAD[name]
    plain = {"f": composite.SquaredResidual(A, B), "g": composite.LargestSum(1),
             "start": np.ones(2)}  # fmt: skip
    with pytest.raises(kind, match=words):
        rs.FractionalProgram(**plain | make())


def test_bad_parameters_and_guesses_are_refused_in_words():
    with pytest.raises(ValueError, match="selection"):
        Descent("largest")
    with pytest.raises(ValueError, match="subproblem"):
        Descent(subproblem="fractional")
    with pytest.raises(ValueError, match="epochs"):
        composite.Dinkelbach(0)
    with pytest.raises(ValueError, match=r"x0.*g is positive"):
        rs.solve(recovery(), x0=np.zeros(20))
