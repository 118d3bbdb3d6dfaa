"""Games and generators: equilibria against linear algebra, bounds against best responses."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

import resolvent as rs
from resolvent.functions import Ball, Box, Simplex

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
rng = np.random.default_rng(0)
SIZES = (2, 1, 2)
H = rng.standard_normal((5, 5))
H = 3 * np.eye(5) + H - H.T
for _i in (0, 3):  # the players' own blocks come from losses
    H[_i : _i + 2, _i : _i + 2] = 3 * np.eye(2)
Q = rng.standard_normal(5)
BOX = Box(-0.3, 0.3)
EG = rs.inclusion.Extragradient()


def quadratic(**options):
    return rs.QuadraticGame(H, Q, sizes=SIZES, **options)


def flat(x):
    return np.concatenate(x)


def blocks(x):
    return tuple(np.split(x, np.cumsum(SIZES)[:-1]))


@pytest.mark.slow
def test_quadratic_game_without_sets_is_a_linear_system():
    sol = rs.solve(quadratic(), EG, rtol=1e-10)
    assert np.allclose(flat(sol.x), -np.linalg.solve(H, Q), atol=1e-9)


@pytest.mark.slow
def test_quadratic_game_is_the_game_of_its_losses():
    def loss(player):
        begin, end = np.cumsum((0, *SIZES))[[player, player + 1]]

        def value(x):
            whole = np.concatenate if isinstance(x[0], np.ndarray) else __import__("jax").numpy
            others = (whole if callable(whole) else whole.concatenate)(x)
            own = x[player]
            square = 0.5 * own @ H[begin:end, begin:end] @ own
            return own @ (H[begin:end] @ others) - square + Q[begin:end] @ own

        return value

    start = tuple(np.zeros(size) for size in SIZES)
    by_losses = rs.Game([loss(i) for i in range(3)], [BOX] * 3, start=start)
    one = rs.solve(quadratic(sets=[BOX] * 3), EG, rtol=1e-9)
    two = rs.solve(by_losses, EG, rtol=1e-9)
    assert np.allclose(flat(one.x), flat(two.x), atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("round_blocks", [True, False])
def test_gains_agree_with_best_responses(round_blocks):
    matrix = H.copy()
    if not round_blocks:
        matrix[0, 1] = matrix[1, 0] = 0.7
    game = rs.QuadraticGame(matrix, Q, sizes=SIZES, sets=[BOX, None, Ball(0.5)])
    x = rng.uniform(-0.3, 0.3, 5)
    gains = np.asarray(game.gains(blocks(x)))
    begin = 0
    for player, size in enumerate(SIZES):
        own = slice(begin, begin + size)
        begin += size

        def loss(u, own=own):
            z = x.copy()
            z[own] = u
            return u @ (matrix[own] @ z) - 0.5 * u @ matrix[own, own] @ u + Q[own] @ u

        bounds = [(-0.3, 0.3)] * size if player == 0 else None
        inside = {"type": "ineq", "fun": lambda u: 0.25 - u @ u} if player == 2 else ()
        found = minimize(loss, x[own], bounds=bounds, constraints=inside, method="SLSQP",
                         options={"ftol": 1e-14})  # fmt: skip
        exact = loss(x[own]) - found.fun
        if round_blocks or player:
            assert gains[player] == pytest.approx(exact, abs=1e-7)
        else:
            assert gains[player] >= exact - 1e-9


def test_gap_certificate_bounds_all_gains():
    game = quadratic(sets=[BOX] * 3, certificate="gap")
    sol = rs.solve(game, EG, rtol=1e-8)
    assert sol.certificate.kind == "bound"
    assert sol.certificate.value >= game.gains(sol.x).sum() - 1e-15
    x = blocks(rng.uniform(-0.3, 0.3, 5))
    certificate = rs.certify(game, x)
    slope = blocks(H @ flat(x) + Q)
    gap = sum(own @ g + 0.3 * np.abs(g).sum() for own, g in zip(x, slope, strict=True))
    assert certificate.value == pytest.approx(gap, rel=1e-12)
    assert not certificate.holds
    outside = rs.certify(game, blocks(np.full(5, 100.0)))
    assert outside.value > 0


QUADRATIC = {
    "one player": lambda: rs.QuadraticGame(np.eye(2), sizes=(2,)),
    "sizes": lambda: rs.QuadraticGame(np.eye(2), sizes=(2, 1)),
    "rectangle": lambda: rs.QuadraticGame(np.ones((2, 3)), sizes=(1, 1)),
    "q": lambda: rs.QuadraticGame(np.eye(2), np.ones(3), sizes=(1, 1)),
    "nan": lambda: rs.QuadraticGame(np.full((2, 2), np.nan), sizes=(1, 1)),
    "sets": lambda: rs.QuadraticGame(np.eye(2), sizes=(1, 1), sets=[None]),
    "turning block": lambda: rs.QuadraticGame(np.diag([1.0] * 3) + np.eye(3, k=1), sizes=(2, 1)),
    "unbounded": lambda: rs.QuadraticGame(np.eye(2), sizes=(1, 1), certificate="gap"),
    "word": lambda: rs.QuadraticGame(np.eye(2), sizes=(1, 1), certificate="good"),
    "costs of one": lambda: rs.FiniteGame((np.ones(2),)),
    "shapes": lambda: rs.FiniteGame((np.ones((2, 3)), np.ones((3, 2)))),
    "axes": lambda: rs.FiniteGame((np.ones(2), np.ones(2))),
    "nothing": lambda: rs.FiniteGame((np.ones((2, 0)),) * 2),
    "infinite": lambda: rs.FiniteGame((np.full((2, 2), np.inf),) * 2),
    "game of one": lambda: rs.Game([lambda x: x[0] @ x[0]], start=(np.ones(2),)),
    "losses and sets": lambda: rs.Game([lambda x: 0.0] * 2, [None], start=(np.ones(2),) * 2),
    "saddle of one": lambda: rs.SaddlePoint(lambda x, y: x @ y, start=(np.ones(2),)),
}


@pytest.mark.parametrize("name", QUADRATIC)
def test_bad_games_are_refused_in_words(name):
    with pytest.raises(ValueError, match=VOICE):
        QUADRATIC[name]()


def exploitability(costs, x):
    """By brute force over all pure strategies."""
    total = 0.0
    for player, cost in enumerate(costs):
        expected = np.zeros(cost.shape[player])
        for choice in itertools.product(*map(range, cost.shape)):
            chance = np.prod([x[j][choice[j]] for j in range(len(x)) if j != player])
            expected[choice[player]] += chance * cost[choice]
        total += x[player] @ expected - expected.min()
    return total


def test_exploitability_agrees_with_brute_force():
    costs = [rng.standard_normal((2, 3, 4)) for _ in range(3)]
    game = rs.FiniteGame(costs)
    x = tuple(rng.dirichlet(np.ones(n)) for n in (2, 3, 4))
    certificate = rs.certify(game, x)
    assert certificate.value == pytest.approx(exploitability(costs, x), rel=1e-12)
    assert certificate.kind == "bound"
    assert sum(certificate.details.values()) == pytest.approx(certificate.value)


@pytest.mark.slow
def test_pairwise_zero_sum_game_of_three_is_solved():
    """Each pair plays its own zero-sum game with the same mixtures: a monotone operator."""
    sizes = (3, 2, 4)
    costs = [np.zeros(sizes) for _ in sizes]
    for i, j in itertools.combinations(range(3), 2):
        pay = rng.standard_normal((sizes[i], sizes[j]))
        spread = pay.reshape([sizes[k] if k in (i, j) else 1 for k in range(3)])
        costs[i] += spread
        costs[j] -= spread
    sol = rs.solve(rs.FiniteGame(costs), EG, rtol=1e-7)
    assert exploitability(costs, sol.x) <= 1.01 * sol.certificate.target


@pytest.mark.slow
def test_a_game_without_monotony_is_never_a_false_success():
    """Shapley's game, on whose cycle these methods turn."""
    first = -np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    second = -np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    game = rs.FiniteGame((first, second))
    x0 = (np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.8, 0.1]))
    sol = rs.solve(game, EG, x0=x0, rtol=1e-8, max_steps=2000, throw=False)
    truth = exploitability((first, second), sol.x)
    assert sol.certificate.value == pytest.approx(truth, abs=1e-12)
    assert not sol.converged or truth <= 1e-8


@pytest.mark.slow
def test_matrix_and_finite_games_agree():
    pay = rng.standard_normal((4, 3))
    one = rs.solve(rs.MatrixGame(pay), EG, rtol=1e-8)
    two = rs.solve(rs.FiniteGame((pay, -pay)), EG, rtol=1e-8)
    assert one.steps == two.steps
    assert np.allclose(one.x[0], two.x[0], atol=1e-12)


def test_what_is_no_strategy_is_judged_as_one():
    game = rs.MatrixGame(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert rs.certify(game, (np.array([2.0, 2.0]), np.array([5.0, 5.0]))).holds
    assert not rs.certify(game, (np.array([-1.0, -1.0]), np.array([0.5, 0.5]))).holds


# Generators.


def test_policeman_and_burglar_is_that_of_the_paper():
    game = rs.inclusion.policeman_and_burglar(500, seed=1)
    A = np.asarray(game.A)
    assert A[3, 3] == 0.0
    assert A[0, 2] / A[50, 2] == pytest.approx((1 - np.exp(-1.6)) / (1 - np.exp(-0.8 * 48)))
    # The norms that the authors' data have.
    assert np.linalg.norm(A, 2) == pytest.approx(492, abs=1)
    assert np.linalg.norm(A) == pytest.approx(493, abs=1)
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.policeman_and_burglar(1)
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.policeman_and_burglar(3, decay=0.0)


def test_constrained_quadratic_has_the_multipliers_of_its_program():
    problem = rs.inclusion.constrained_quadratic(5)
    M, q = np.asarray(problem.F.A), np.asarray(problem.F.q)
    assert np.allclose(M[5:, :5], [[0, 0, 0, -1, 1], [0, 0, -1, 1, 0], [0, -1, 1, 0, 0],
                                   [-1, 1, 0, 0, 0], [1, 0, 0, 0, 0]] * np.array(0.25))  # fmt: skip
    assert np.allclose(M[:5, :5], 2 * M[5:, :5].T @ M[5:, :5])
    assert np.allclose(M[:5, 5:], -M[5:, :5].T)
    assert np.linalg.eigvalsh(M + M.T).min() >= -1e-14
    assert problem.lipschitz >= np.linalg.norm(M, 2)
    sol = rs.solve(problem, EG, rtol=1e-9)
    assert np.allclose(sol.x, -np.linalg.solve(M, q), atol=1e-6)


@pytest.mark.slow
def test_markov_game_agrees_with_value_iteration():
    """Shapley's iteration for a game in which the first player alone moves the state."""
    game = rs.inclusion.markov_game(3, (3, 2), discount=0.6, seed=4)
    costs, moves, begin, discount = map(np.asarray, game.F.args)
    value = np.zeros(3)
    for _ in range(60):
        stage = [costs[s] + float(discount) * (moves[s] @ value)[:, None] for s in range(3)]
        value = np.array([
            rs.solve(rs.MatrixGame(one), rs.inclusion.PrimalDual(), rtol=1e-9)
            .certificate.details["value"] for one in stage
        ])  # fmt: skip
    sol = rs.solve(game, EG, rtol=1e-8)
    occupation, (mixture, multipliers) = sol.x
    assert np.allclose(multipliers, value, atol=1e-5)
    paid = np.einsum("sa,sab,sb->", occupation, costs, mixture)
    assert paid == pytest.approx(begin @ value, abs=1e-6)
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.markov_game(discount=1.0)


@pytest.mark.parametrize("capacity", [0.5, 2.0, 100.0])
def test_shared_market_satisfies_its_conditions(capacity):
    """Stationarity, capacity and complementarity, from the solution of a linear system."""
    costs = np.array([1.0, 2.0, 4.0])
    market = rs.inclusion.shared_market(costs, capacity=capacity)
    amounts, fee = rs.solve(market, EG, rtol=1e-10).x
    slopes = amounts + amounts.sum() + costs - 10.0 + fee
    assert (np.minimum(amounts, slopes) <= 1e-8).all()
    assert (slopes >= -1e-8).all()
    assert amounts.sum() <= capacity + 1e-8
    assert min(fee[0], capacity - amounts.sum()) == pytest.approx(0.0, abs=1e-8)
    with pytest.raises(ValueError, match=VOICE):
        rs.inclusion.shared_market(np.ones(1))


@pytest.mark.slow
def test_saddle_point_of_a_tree():
    """A simplex against a mixture and a number: blocks of the second player are a tuple."""
    problem = rs.SaddlePoint(
        lambda x, y: x @ y[0] + x.sum() * y[1][0] - y[1][0] ** 2, Simplex(),
        rs.functions.Product((Simplex(), None)),
        start=(np.full(2, 0.5), (np.full(2, 0.5), np.zeros(1))),
    )  # fmt: skip
    x, (y, z) = rs.solve(problem, EG, rtol=1e-9).x
    assert z[0] == pytest.approx(0.5, abs=1e-6)
    assert np.allclose(x, 0.5, atol=1e-6)
    assert np.allclose(y, 0.5, atol=1e-6)
