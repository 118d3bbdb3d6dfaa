"""Splitting methods: their formulas step by step, rates, ranges of steps, and honest counters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import resolvent as rs
from resolvent.functions import Ball, Box, Product, Simplex
from resolvent.inclusion import AffineOperator, Operator

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
rng = np.random.default_rng(0)
N = 6
TURN = np.kron(np.diag([1.0, 1.5, 2.0]), [[0.0, 1.0], [-1.0, 0.0]])
STRONG = np.eye(N) + 0.5 * TURN
OFFSET = rng.standard_normal(N)
NORM = float(np.linalg.norm(STRONG, 2))
START = np.linspace(-1.0, 1.0, N)


def affine(matrix=STRONG, G=None, **constants):
    return rs.Inclusion(AffineOperator(matrix, OFFSET), G, start=START, **constants)


def F(x):
    return STRONG @ x + OFFSET


def box(x):
    return np.clip(x, -0.4, 0.4)


def tseng(step):
    x = y = box(START)
    while True:
        yield y
        y = box(x - step * F(x))
        x = y - step * (F(y) - F(x))


def reflected(step):
    x, before = box(START), F(box(START))
    while True:
        yield x
        new = box(x - step * F(x) - step * (F(x) - before))
        x, before = new, F(x)


def golden(step, r=1.5):
    x = mean = box(START)
    while True:
        yield x
        mean = ((r - 1) * x + mean) / r
        x = box(mean - step * F(x))


def adaptive_golden(step, r=1.5):
    """As the paper writes it, from a first step."""
    x = mean = before = box(START)
    last, theta = step, 1.0
    while True:
        yield x
        step = (1 / r + 1 / r**2) * last
        change = np.linalg.norm(F(x) - F(before))
        if change > 0:
            way = np.linalg.norm(x - before)
            step = min(step, r * theta / (4 * last) * way**2 / change**2)
        mean = ((r - 1) * x + mean) / r
        before, x = x, box(mean - step * F(x))
        theta, last = r * step / last, step


def split(step):
    x = box(START)
    z = x + step * F(x)
    inverse = np.linalg.inv(np.eye(N) + step * STRONG)
    while True:
        yield x
        y = inverse @ (z - step * OFFSET)
        x = box(2 * y - z)
        z = z + 0.8 * (x - y)


def euclidean(step):
    x = box(START)
    while True:
        yield x
        x = box(x - step * F(box(x - step * F(x))))


STEP = 0.1
FORMULAS = {
    "tseng": (rs.inclusion.ForwardBackwardForward(STEP), tseng(STEP)),
    "reflected": (rs.inclusion.ForwardReflectedBackward(STEP), reflected(STEP)),
    "golden": (rs.inclusion.GoldenRatio(STEP), golden(STEP)),
    "split": (rs.inclusion.DouglasRachford(STEP, 0.8), split(STEP)),
    "mirror": (rs.inclusion.MirrorProx(STEP, "euclidean"), euclidean(STEP)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMULAS)
def test_points_are_those_of_the_formulas(name):
    method, points = FORMULAS[name]
    problem = affine(G=Box(-0.4, 0.4))
    expected = [next(points) for _ in range(8)]
    for steps in (0, 1, 2, 7):
        sol = rs.solve(problem, method, rtol=0.0, atol=1e-300, max_steps=steps, throw=False)
        size = [np.linalg.norm(p - box(p - F(p))) for p in (expected[steps], expected[0])]
        if size[0] <= size[1]:  # otherwise the start is returned, which is better
            assert np.allclose(sol.x, expected[steps], rtol=0, atol=1e-13)


def test_adaptive_golden_ratio_is_that_of_the_paper():
    problem = affine(G=Box(-0.4, 0.4), lipschitz=NORM)
    points = adaptive_golden(0.5 * 0.9 * 1.5 / NORM)
    expected = [next(points) for _ in range(31)]
    sol = rs.solve(
        problem, rs.inclusion.GoldenRatio(), rtol=0.0, atol=1e-300, max_steps=30, throw=False
    )
    assert np.allclose(sol.x, expected[30], rtol=0, atol=1e-13)


METHODS = {
    "tseng": rs.inclusion.ForwardBackwardForward,
    "reflected": rs.inclusion.ForwardReflectedBackward,
    "golden": rs.inclusion.GoldenRatio,
    "split": rs.inclusion.DouglasRachford,
    "mirror": rs.inclusion.MirrorProx,
}
RANGES = {"tseng": 1.0, "reflected": 0.5, "golden": 0.75, "mirror": 1.0}


@pytest.mark.parametrize("name", RANGES)
def test_steps_outside_the_range_are_refused(name):
    cls, most = METHODS[name], RANGES[name]
    problem = affine(lipschitz=2.0)
    for step in (most / 2.0, 10.0):
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(problem, cls(step_size=step))
        assert f"< {most / 2:g}" in str(caught.value)
    for step in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=VOICE):
            cls(step_size=step)


@pytest.mark.parametrize("name", METHODS)
def test_weakly_monotone_operators_are_refused(name):
    with pytest.raises(ValueError, match="negatively comonotone"):
        rs.solve(affine(comonotone=0.1), METHODS[name]())


NOT_CONVEX = {
    "alone": lambda: affine(G=rs.functions.MCP()),
    "in a product": lambda: rs.Inclusion(
        lambda x: x, rs.functions.Product((Box(), rs.functions.L0())), start=(START, START)
    ),
    "of a saddle point": lambda: rs.SaddlePoint(
        lambda x, y: x @ y, rs.functions.SCAD(), start=(START, START)
    ),
    "of a composite saddle point": lambda: rs.CompositeSaddlePoint(
        lambda x: x @ x, lambda x, y: x @ y, rs.functions.Lp(), rs.functions.SquaredL2(),
        start=(START, START),
    ),
    "of a player": lambda: rs.Game(
        [lambda x: x[0] @ x[0]] * 2, [None, rs.functions.L0()], start=(START, START)
    ),
    "of a player of quadratics": lambda: rs.QuadraticGame(
        np.eye(2), sizes=(1, 1), sets=[rs.functions.L0(), None]
    ),
    "of payoffs": lambda: rs.BilinearGame(np.eye(2), X=rs.functions.L0()),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_CONVEX)
def test_terms_that_are_not_convex_are_refused(name):
    with pytest.raises(ValueError, match=VOICE) as caught:
        NOT_CONVEX[name]()
    assert "not convex" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_skew_operator_without_a_set_is_solved(name):
    """The one on which steps along F alone turn outwards."""
    sol = rs.solve(affine(TURN + 0.0), METHODS[name](), rtol=1e-6)
    assert np.allclose(TURN @ sol.x, -OFFSET, atol=2e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "split"])
def test_a_constant_that_is_too_small_is_never_a_success(name):
    problem = affine(TURN * 10.0, lipschitz=0.5)
    sol = rs.solve(problem, METHODS[name](), throw=False)
    if not sol.converged:
        assert sol.reason is rs.Reason.diverged
    assert not sol.converged or np.linalg.norm(10 * TURN @ sol.x + OFFSET) <= 1e-6
    if name != "golden":  # it looks for itself
        assert not sol.converged


class Counted(Operator):
    """An affine operator that tells of its calls."""

    matrix: object
    offset: object

    def __call__(self, x):
        jax.debug.callback(count, jnp.zeros(()))
        return self.matrix @ x + self.offset


COUNT = [0]


def count(_):
    COUNT[0] += 1


class CountedInclusion(rs.Inclusion):
    def __init__(self, *data, **options):
        super().__init__(*data, **options)

    def certify(self, x, witness=None):
        plain = self.but(F=AffineOperator(self.F.matrix, self.F.offset))
        return rs.Inclusion.certify(plain, x, witness)


@pytest.mark.slow
@pytest.mark.parametrize("constants", [{}, {"lipschitz": NORM}], ids=["searched", "known"])
@pytest.mark.parametrize("name", METHODS)
def test_evaluations_are_counted(name, constants):
    with jax.enable_x64(True):
        operator = Counted(jnp.asarray(STRONG), jnp.asarray(OFFSET))
        start = jnp.asarray(START)
    problem = CountedInclusion(operator, Box(-0.4, 0.4), start=start, **constants)
    method = METHODS[name]()
    if name == "split":
        inverse = jnp.asarray(np.linalg.inv(np.eye(N) + 0.3 * STRONG), jnp.float32)
        method = METHODS[name](
            step_size=0.3, resolvent=lambda z, step: (z - step * OFFSET) @ inverse.T
        )
    for steps in (0, 5, None):
        jax.effects_barrier()
        COUNT[0] = 0
        sol = rs.solve(problem, method, rtol=1e-4, max_steps=steps, throw=False)
        jax.effects_barrier()
        assert sol.calls["operator"] == COUNT[0] > 0


def test_golden_ratio_needs_no_global_constant():
    """x^3 is Lipschitz on no whole line: from far away its steps must find their length."""
    problem = rs.Inclusion(lambda x: x**3 - 8.0, Box(0.0, 1e3), start=np.full(3, 50.0), unit=8.0)
    sol = rs.solve(problem, rs.inclusion.GoldenRatio(), rtol=1e-10)
    assert np.allclose(sol.x, 2.0)
    assert sol.calls["operator"] == sol.steps + 2


@pytest.mark.parametrize("bad", [{"ratio": 1.0}, {"ratio": 1.7}, {"longest": 0.0}], ids=str)
def test_golden_parameters_outside_their_range(bad):
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.GoldenRatio(**bad)


# Douglas-Rachford.


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.05, 1.0, 30.0])
def test_every_step_of_the_splitting_converges(step):
    problem = affine(G=Box(-0.4, 0.4))
    sol = rs.solve(problem, rs.inclusion.DouglasRachford(step), rtol=1e-9)
    other = rs.solve(problem, rs.inclusion.Extragradient(), rtol=1e-9)
    assert np.allclose(sol.x, other.x, atol=1e-7)


def test_bilinear_operators_are_factorized_too():
    A, b, c = rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal(3)
    game = rs.BilinearGame(A, b, c, Box(-1.0, 1.0), Ball(1.0))
    sol = rs.solve(game, rs.inclusion.DouglasRachford(), rtol=1e-8)
    assert game.gap(sol.x) <= 1e-6


def test_a_resolvent_can_be_given():
    square = rs.functions.SquaredL2(2.0, np.ones(3))
    problem = rs.Inclusion(lambda x: 2.0 * (x - 1.0), Ball(1.0), start=np.zeros(3))
    sol = rs.solve(problem, rs.inclusion.DouglasRachford(1.0, resolvent=square.prox), rtol=1e-9)
    assert np.allclose(sol.x, np.ones(3) / np.sqrt(3))
    with pytest.raises(ValueError, match=VOICE):
        rs.solve(problem, rs.inclusion.DouglasRachford())
    with pytest.raises(TypeError, match=VOICE):
        rs.inclusion.DouglasRachford(resolvent=3)
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.DouglasRachford(relaxation=2.0)


# Mirror prox.

A = rng.standard_normal((5, 4))


def mixtures(step, steps):
    """Multiplicative weights, twice a step."""

    def moved(p, cost):
        weights = p * np.exp(-step * (cost - cost.min()))
        return weights / weights.sum()

    p, q, averages = np.full(5, 0.2), np.full(4, 0.25), []
    for _ in range(steps):
        y, z = moved(p, A @ q), moved(q, -(p @ A))
        p, q = moved(p, A @ z), moved(q, -(y @ A))
        averages.append((y, z))
    return (p, q), [np.mean(part, axis=0) for part in zip(*averages, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("average", [False, True])
def test_entropic_steps_are_multiplicative(average):
    method = rs.inclusion.MirrorProx(0.2, "entropy", average)
    sol = rs.solve(rs.MatrixGame(A), method, rtol=1e-14, max_steps=20, throw=False)
    last, mean = mixtures(0.2, 20)
    for part, expected in zip(sol.x, mean if average else last, strict=True):
        assert np.allclose(part, expected, rtol=1e-12)


def test_average_of_mirror_prox_keeps_its_bound():
    """The gap of the average is at most (D_x + D_y) / (step k), with D the logarithms."""
    step = 0.9 / np.abs(A).max()
    for steps in (10, 100, 1000):
        sol = rs.solve(
            rs.MatrixGame(A), rs.inclusion.MirrorProx(step, "entropy", True), rtol=1e-14,
            max_steps=steps, throw=False,
        )  # fmt: skip
        assert sol.certificate.value <= (np.log(5) + np.log(4)) / (step * steps)


@pytest.mark.slow
def test_entries_at_zero_can_come_back():
    """From a vertex the equilibrium is found although entropy cannot leave faces."""
    game = rs.MatrixGame(np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]))
    vertex = np.array([1.0, 0.0, 0.0])
    sol = rs.solve(game, rs.inclusion.MirrorProx(), x0=(vertex, vertex), rtol=1e-8)
    assert np.allclose(sol.x[0], 1 / 3, atol=1e-6)
    pure = rs.MatrixGame(np.array([[2.0, 1.0], [3.0, 1.5]]))
    sol = rs.solve(pure, rs.inclusion.MirrorProx(), x0=(np.array([1.0, 0.0]),) * 2, rtol=1e-8)
    assert sol.steps == 0 or np.allclose(sol.x[0], [1.0, 0.0])


@pytest.mark.slow
def test_blocks_have_geometries_of_their_own():
    """Mixtures against a ball: entropy for the one, squares for the other."""
    game = rs.BilinearGame(A, X=Simplex(), Y=Ball(1.0))
    sol = rs.solve(game, rs.inclusion.MirrorProx(), rtol=1e-7)
    # min over mixtures of ||A^T p||, whose dual is the same.
    assert game.gap(sol.x) <= 1e-5
    assert rs.inclusion.geometry_of(game.G).entropic == (True, False)
    assert rs.inclusion.geometry_of(game.G, "euclidean").entropic == (False, False)
    with pytest.raises(ValueError, match=VOICE):
        rs.solve(affine(G=Box(0.0, 1.0)), rs.inclusion.MirrorProx(geometry="entropy"))
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.MirrorProx(geometry="hyperbolic")


def test_many_simplices_in_one_block():
    costs = rng.standard_normal((3, 4))
    problem = rs.Inclusion(
        lambda x, c: c, Product((Simplex(), Simplex(2.0))),
        start=(np.full((3, 4), 0.25), np.full(4, 0.5)), args=(costs, costs[0]), lipschitz=1.0,
    )  # fmt: skip
    sol = rs.solve(problem, rs.inclusion.MirrorProx(), rtol=1e-6)
    assert np.allclose(sol.x[0].argmax(1), costs.argmin(1))
    assert np.allclose(sol.x[0].sum(1), 1.0)
    assert sol.x[1].sum() == pytest.approx(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_matrix_games_agree_with_linear_programming(name):
    payoffs = np.random.default_rng(5).standard_normal((6, 5))
    n, m = payoffs.shape
    best = linprog(
        np.r_[np.zeros(n), 1.0], A_ub=np.c_[payoffs.T, -np.ones(m)], b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * n + [(None, None)],
    )  # fmt: skip
    sol = rs.solve(rs.MatrixGame(payoffs), METHODS[name](), rtol=1e-6)
    assert sol.certificate.kind == "bound"
    assert (sol.x[0] @ payoffs).max() == pytest.approx(best.fun, abs=1e-5)
