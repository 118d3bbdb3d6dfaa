"""Small-gain certificates against linear algebra, and the dynamics that rest on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inclusion.rotations import check_counters

import resolvent as rs
from resolvent.functions import Ball, Box, Product, Simplex
from resolvent.inclusion.block_constants import block_constants, cube
from resolvent.inclusion.block_metrics import balanced_weights, margin
from resolvent.inclusion.certified_dynamics import CertifiedEuler, CertifiedRungeKutta
from resolvent.inclusion.regret import trajectory
from resolvent.inclusion.small_gain import small_gain

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
SIZES = (2, 1, 3)


def flagship(lam, n=32, a=10.0, b=0.05, q=None):
    turn, r = np.linalg.qr(np.random.default_rng(12345).standard_normal((n, n)))
    turn = turn * np.sign(np.diag(r))
    H = np.block([[np.eye(n), lam * a * turn], [lam * b * turn.T, np.eye(n)]])
    return rs.QuadraticGame(H, q, sizes=(n, n))


def lopsided(seed=0, scale=0.25, **options):
    """Three players, each of whom feels the one before much more than is felt by it."""
    rng = np.random.default_rng(seed)
    H = scale * rng.standard_normal((6, 6))
    ends = np.cumsum((0, *SIZES))
    for i in range(3):
        own = slice(ends[i], ends[i + 1])
        root = rng.standard_normal((SIZES[i],) * 2)
        H[own, own] = np.eye(SIZES[i]) + 0.1 * root @ root.T
        for j in range(3):
            H[own, ends[j] : ends[j + 1]] *= 1.0 if i == j else 12.0 ** (j - i)
    return rs.QuadraticGame(H, rng.standard_normal(6), sizes=SIZES, **options)


def flat(x):
    return np.concatenate([np.asarray(part) for part in x], axis=-1)


def blocks(x, sizes=SIZES):
    return tuple(np.split(np.asarray(x), np.cumsum(sizes)[:-1], axis=-1))


def random_constants(seed, players):
    rng = np.random.default_rng(seed)
    coupling = rng.exponential(size=(players, players)) ** 2
    np.fill_diagonal(coupling, 0.0)
    return rng.uniform(1.0, 3.0, players), coupling, rng


# ---------------------------------------------------------------- margins and weights


def test_without_coupling_the_margin_is_the_least_curvature():
    mu, _, rng = random_constants(0, 4)
    for _ in range(5):
        assert np.isclose(margin(mu, np.zeros((4, 4)), rng.uniform(0.1, 9.0, 4)), mu.min())
    game = rs.QuadraticGame(np.diag([3.0, 2.0, 5.0]), sizes=(1, 2))
    assert small_gain(game).margin == pytest.approx(2.0, rel=1e-12)


def test_symmetric_coupling_wants_equal_weights():
    found = small_gain(rs.QuadraticGame(np.array([[2.0, 0.7], [0.7, 2.0]]), sizes=(1, 1)))
    assert np.allclose(found.weights, 1.0)
    assert np.isclose(found.margin, 2.0 - 0.7)
    assert np.isclose(found.true_margin, found.margin)


def test_bounds_of_blocks_do_not_see_that_a_coupling_only_turns():
    found = small_gain(rs.QuadraticGame(np.array([[1.0, 3.0], [-3.0, 2.0]]), sizes=(1, 1)))
    assert np.isclose(found.true_margin, 1.0)
    assert found.margin < 0
    assert (found.verdict, found.certified, found.contracts) == ("no certificate", False, False)
    assert found.step_sizes == (0.0, 0.0)
    assert "no proof of divergence" in str(found)


@pytest.mark.parametrize("players", [2, 3, 6])
def test_margin_is_where_the_card_matrix_stops_being_semidefinite(players):
    mu, coupling, rng = random_constants(players, players)
    w = rng.uniform(0.1, 9.0, players)
    alpha = margin(mu, coupling, w)
    off = w[:, None] * coupling + (w[:, None] * coupling).T
    for shift in (-1e-6, 1e-6):
        C = np.diag(2 * w * (mu - alpha - shift)) - off
        assert (np.linalg.eigvalsh(C)[0] < 0) == (shift > 0)
    assert np.isclose(margin(mu, coupling, 17.0 * w), alpha, rtol=1e-12)


@pytest.mark.parametrize("players", [2, 3, 5])
def test_no_weights_beat_the_balanced_ones(players):
    mu, coupling, rng = random_constants(players + 10, players)
    w = balanced_weights(mu, coupling)
    best = margin(mu, coupling, w)
    assert np.isclose(best, np.linalg.eigvals(np.diag(mu) - coupling).real.min(), rtol=1e-10)
    if players == 2:
        assert np.isclose(w[1], coupling[0, 1] / coupling[1, 0])
    near = w * np.exp(1e-3 * rng.standard_normal((300, players)))
    far = np.exp(3.0 * rng.standard_normal((300, players)))
    assert max(margin(mu, coupling, trial) for trial in (*near, *far)) < best


def test_a_chain_without_a_way_back_is_decoupled_by_its_weights():
    mu = np.array([1.0, 2.0, 1.5])
    coupling = np.array([[0.0, 50.0, 0.0], [0.0, 0.0, 30.0], [0.0, 0.0, 0.0]])
    assert margin(mu, coupling, balanced_weights(mu, coupling)) > 0.99


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_a_certificate_exists_just_if_the_gain_is_below_one(scale):
    mu, coupling, _ = random_constants(4, 3)
    coupling *= scale / np.abs(np.linalg.eigvals(coupling / mu[:, None])).max()
    game = rs.QuadraticGame(np.diag(mu) + coupling, sizes=(1, 1, 1))
    found = small_gain(game)
    assert np.isclose(found.gain, scale)
    assert found.certified == (scale < 1)


def test_flagship_numbers():
    known = {
        0.1: (0.929, 1.071, 1.621, 2.335), 0.5: (0.646, 1.354, 0.706, 1.847),
        1.0: (0.293, 1.707, 0.201, 1.465), 1.41: (0.0030, 1.997, 0.0015, 1.252),
    }  # fmt: skip
    for lam, row in known.items():
        found = small_gain(flagship(lam))
        numbers = (found.margin, found.lipschitz, found.step_sizes[1], found.rk4_step)
        assert np.allclose(numbers, row, atol=6e-4)
        assert found.true_margin >= found.margin - 1e-12
        assert np.allclose(found.weights, [1.0, 200.0])
    beyond = small_gain(flagship(1.42))
    assert beyond.margin == pytest.approx(-0.0041, abs=5e-5)
    assert beyond.verdict == "no certificate"


def test_band_of_weights_ends_where_the_margin_does():
    found = small_gain(flagship(1.0, n=2))
    low, high = found.weight_band()
    assert (round(low, 2), round(high, 1)) == (34.31, 1165.7)
    for a in (0.0, 0.1, 0.29):
        for ratio in found.weight_band(a):
            value = margin(found.curvature, found.coupling, np.array([1.0, ratio]))
            assert value == pytest.approx(a, abs=1e-10)
    assert np.isnan(found.weight_band(0.3)).all()
    with pytest.raises(ValueError, match=VOICE):
        small_gain(lopsided()).weight_band()


@pytest.mark.parametrize("aim", ["euler", "rk4"])
def test_scans_find_no_less_than_they_begin_with(aim):
    for game in (lopsided(1), lopsided(3)):
        plain, aimed = small_gain(game), small_gain(game, aim=aim)
        power = 2 if aim == "euler" else 1
        worth = [one.margin / one.lipschitz**power for one in (plain, aimed)]
        assert worth[1] > worth[0]
        assert aimed.margin <= plain.margin


def test_metric_lipschitz_and_margin_are_those_of_the_operator():
    game, rng = lopsided(), np.random.default_rng(1)
    found = small_gain(game)
    seen = []
    for _ in range(200):
        d = rng.standard_normal(6)
        d /= found.norm(blocks(d))
        moved = game.F.H @ d
        assert found.norm(blocks(moved)) <= found.lipschitz * (1 + 1e-12)
        seen.append(np.repeat(found.weights, SIZES) * d @ moved)
    assert min(seen) >= found.true_margin >= found.margin > 0


# ---------------------------------------------------------------- constants


def bumpy():
    """Own curvatures 1 + 3 u^2 and 2 + cos v, couplings 1.5 and v / 2."""
    losses = (
        lambda x: (x[0] ** 2 / 2 + x[0] ** 4 / 4).sum() + 1.5 * (x[0] * x[1]).sum(),
        lambda x: (x[1] ** 2 - jnp.cos(x[1])).sum() + (x[0] * x[1] ** 2 / 4).sum(),
    )
    return rs.Game(losses, start=(np.array([0.1]), np.array([-0.1])))


def test_sampled_constants_are_the_worst_seen_and_say_so():
    found = small_gain(bumpy(), Product((Box(-1.0, 1.0), Box(-0.5, 0.5))))
    # The center and four vertices; u / 2 is part of the second own curvature.
    assert found.points == 5
    assert np.allclose(found.curvature, [1.0, 2 + np.cos(0.5) - 0.5])
    assert np.allclose(found.coupling, [[0.0, 1.5], [0.25, 0.0]])
    assert found.empirical
    assert found.contracts
    assert (found.verdict, found.certified) == ("sampled", False)
    assert "no proof" in str(found)
    fine = small_gain(bumpy(), Product((Box(-1.0, 1.0), Box(-0.5, 0.5))), grid=9)
    assert fine.points == 82
    assert fine.margin <= found.margin + 1e-15


def test_drawn_points_stay_in_the_region_and_follow_from_the_key():
    region = Product((Ball(0.5), Box(-1.0, 2.0)))
    losses = (lambda x: (x[0] ** 4).sum() + x[0].sum() * x[1].sum(), lambda x: (x[1] ** 4).sum())
    game = rs.Game(losses, start=(np.zeros(3), np.ones(6)))
    found = block_constants(game, region, samples=50, key=3)
    assert found.points == 51
    diagonals = np.diagonal(found.jacobians, axis1=1, axis2=2)
    squares = diagonals / 12
    assert squares[:, :3].sum(axis=1).max() == pytest.approx(0.25)
    assert squares[:, 3:].max() == pytest.approx(4.0)
    assert np.allclose(found.own, [diagonals[:, :3].max(), diagonals[:, 3:].max()])
    again = block_constants(game, region, samples=50, key=3)
    assert (found.jacobians == again.jacobians).all()
    assert (found.jacobians != block_constants(game, region, samples=50).jacobians).any()


def test_given_constants_are_taken_at_their_word():
    coupling = np.array([[0.0, 1.5], [0.3, 0.0]])
    options = {"curvature": [1.0, 2.0], "coupling": coupling, "own": [4.0, 3.5]}
    found = small_gain(bumpy(), cube((np.zeros(1), np.zeros(1)), 0.5), **options)
    assert (found.verdict, found.true_margin) == ("certified", None)
    sampled = small_gain(bumpy(), cube((np.zeros(1), np.zeros(1)), 0.5), weights=found.weights)
    assert found.margin <= sampled.margin
    assert found.lipschitz >= sampled.lipschitz
    loose = small_gain(bumpy().but(lipschitz=9.0), **{**options, "own": None})
    assert loose.lipschitz > found.lipschitz


def test_quadratic_losses_have_the_constants_of_their_quadratic_game():
    H = np.array([[2.0, 0.5], [-1.0, 3.0]])
    losses = (lambda x: (x[0] ** 2 + 0.5 * x[0] * x[1]).sum(), lambda x: (1.5 * x[1] ** 2
              - x[0] * x[1]).sum())  # fmt: skip
    by_losses = small_gain(rs.Game(losses, start=(np.zeros(1), np.zeros(1))), Box(-1.0, 1.0))
    exact = small_gain(rs.QuadraticGame(H, sizes=(1, 1)))
    assert np.isclose(by_losses.margin, exact.margin)
    assert np.isclose(by_losses.lipschitz, exact.lipschitz)
    assert (by_losses.empirical, exact.empirical) == (True, False)


ONE = rs.Inclusion(lambda x: x, start=np.ones(3))
GOOD = {"curvature": np.ones(2), "coupling": np.eye(2)[::-1] / 2, "own": np.ones(2)}
REFUSED = {
    "one player": (ValueError, lambda: small_gain(ONE)),
    "a tuple of one": (
        ValueError, lambda: small_gain(rs.Inclusion(lambda x: x, start=(np.ones(3),)))
    ),
    "nothing known": (ValueError, lambda: small_gain(bumpy())),
    "no region": (TypeError, lambda: small_gain(bumpy(), 0.5)),
    "unbounded": (ValueError, lambda: small_gain(bumpy(), Box(-1.0))),
    "shape": (ValueError, lambda: small_gain(bumpy(), Box(-np.ones(2), np.ones(2)))),
    "parts": (ValueError, lambda: small_gain(bumpy(), Product((Box(-1.0, 1.0),)))),
    "simplex": (ValueError, lambda: small_gain(bumpy(), Product((Simplex(), Box(-1.0, 1.0))))),
    "one ball": (ValueError, lambda: small_gain(bumpy(), Ball(1.0))),
    "quadratic misfit": (
        ValueError, lambda: small_gain(lopsided(), Box(-np.ones(2), np.ones(2)))
    ),
    "known already": (
        ValueError, lambda: small_gain(flagship(1.0, 1), **GOOD)
    ),
    "half": (ValueError, lambda: small_gain(bumpy(), curvature=np.ones(2))),
    "no own": (ValueError, lambda: small_gain(bumpy(), **{**GOOD, "own": None})),
    "three": (ValueError, lambda: small_gain(bumpy(), **{**GOOD, "curvature": np.ones(3)})),
    "diagonal": (ValueError, lambda: small_gain(bumpy(), **{**GOOD, "coupling": np.eye(2)})),
    "negative": (ValueError, lambda: small_gain(bumpy(), **{**GOOD, "coupling": np.eye(2) - 1})),
    "below": (ValueError, lambda: small_gain(bumpy(), **{**GOOD, "own": np.ones(2) / 2})),
    "nan": (ValueError, lambda: small_gain(bumpy(), **{**GOOD, "curvature": [np.nan, 1.0]})),
    "weights": (ValueError, lambda: small_gain(flagship(1.0, 1), weights=[1.0, -1.0])),
    "weights of three": (ValueError, lambda: small_gain(flagship(1.0, 1), weights=np.ones(3))),
    "word": (ValueError, lambda: small_gain(flagship(1.0, 1), aim="speed")),
    "both": (ValueError, lambda: small_gain(flagship(1.0, 1), weights=np.ones(2), aim="rk4")),
    "width": (ValueError, lambda: cube((np.ones(1),) * 2, 0.0)),
    "center": (TypeError, lambda: cube(np.ones(2), 1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused(name):
    kind, call = REFUSED[name]
    with pytest.raises(kind, match=VOICE):
        call()


def test_a_set_across_players_has_no_bound_in_a_metric_that_weighs_them():
    H = np.array([[1.0, 10.0], [0.05, 1.0]])
    game = rs.QuadraticGame(H, sizes=(1, 1))
    found = small_gain(game)
    shared = rs.Inclusion(game.F, Ball(1.0), start=game.first)
    with pytest.raises(ValueError, match="G: given one Ball for several players"):
        found.error_bound(shared, shared.first)


# ---------------------------------------------------------------- dynamics


def along(game, method, start, rounds=100):
    """Points of a trajectory as rows, the first guess first."""
    plays, _ = trajectory(game, method, rounds, blocks(start))
    return np.concatenate([start[None], flat(plays)])


@pytest.mark.parametrize("part", [0.05, 0.95])
def test_euler_contracts_in_the_metric_and_not_in_the_euclidean_one(part):
    game = lopsided()
    found = small_gain(game)
    step = part * found.step_sizes[1]
    answer = -np.linalg.solve(game.F.H, game.F.q)
    outwards = np.linalg.eigh(game.F.H + game.F.H.T)[1][:, 0]
    away = along(game, CertifiedEuler(found, step), answer + outwards) - answer
    sizes = np.array([found.norm(blocks(x)) for x in away])
    assert (sizes[1:] <= found.factor(step) * sizes[:-1] + 1e-14).all()
    plain = np.linalg.norm(away, axis=1)
    assert plain.max() > 1.5 * plain[0]


@pytest.mark.slow
def test_projected_euler_contracts_in_the_metric():
    game = lopsided(sets=(Box(-0.3, 0.3), Box(-np.inf, 0.1), Ball(0.4)))
    found = small_gain(game)
    answer = flat(rs.solve(game, CertifiedEuler(), rtol=1e-13, throw=False).x)
    assert np.linalg.norm(answer + np.linalg.solve(game.F.H, game.F.q)) > 0.1
    away = along(game, CertifiedEuler(), answer + 1.0) - answer
    sizes = np.array([found.norm(blocks(x)) for x in away])
    assert (sizes[2:] <= found.factor(None) * sizes[1:-1] + 1e-9).all()
    assert rs.certify(game, blocks(answer), rtol=1e-10).holds


def test_both_dynamics_find_the_answer():
    game = lopsided()
    answer = -np.linalg.solve(game.F.H, game.F.q)
    for method in (CertifiedEuler(), CertifiedRungeKutta()):
        sol = rs.solve(game, method, rtol=1e-11)
        assert np.allclose(flat(sol.x), answer, atol=1e-9)


def test_runge_kutta_is_of_order_four():
    H, x0 = lopsided().F.H, blocks(np.ones(6))
    game = rs.QuadraticGame(H, sizes=SIZES)
    values, vectors = np.linalg.eig(H)
    errors = []
    for rounds in (32, 64):
        plays, _ = trajectory(game, CertifiedRungeKutta(step_size=2.0 / rounds), rounds, x0)
        exact = (vectors * np.exp(-2.0 * values) @ np.linalg.solve(vectors, np.ones(6))).real
        errors.append(np.linalg.norm(flat(plays)[-1] - exact))
    assert 3.8 < np.log2(errors[0] / errors[1]) < 4.3


@pytest.mark.slow
@pytest.mark.parametrize("free", [True, False])
def test_error_bound_bounds_the_error(free):
    sets = None if free else (Box(-0.3, 0.3), Box(-np.inf, 0.1), Ball(0.4))
    game = lopsided(sets=sets)
    found, rng = small_gain(game), np.random.default_rng(2)
    answer = flat(rs.solve(game, CertifiedEuler(), rtol=1e-13, throw=False).x)
    for size in (1e-3, 1.0, 10.0):
        x = answer + size * rng.standard_normal(6)
        distance = found.norm(blocks(x - answer))
        assert distance * (1 - 1e-9) <= found.error_bound(game, blocks(x)) < 100 * distance
    nothing = small_gain(flagship(1.5, 1))
    assert nothing.error_bound(flagship(1.5, 1), (np.ones(1),) * 2) == np.inf


def test_constants_that_are_wrong_are_found_out():
    losses = (lambda x: (x[0] ** 2 / 2 + 10 * x[0] * x[1]).sum(), lambda x: (x[1] ** 2 / 2
              - 10 * x[0] * x[1]).sum())  # fmt: skip
    game = rs.Game(losses, start=(np.ones(1), np.ones(1)))
    wrong = small_gain(
        game, curvature=np.ones(2), coupling=np.array([[0.0, 0.1], [0.1, 0.0]]), own=np.ones(2)
    )
    assert wrong.verdict == "certified"
    sol = rs.solve(game, CertifiedEuler(wrong), throw=False)
    assert (sol.reason, sol.converged) == ("breakdown", False)
    assert sol.steps < 5


GAME = lopsided()
TURN = rs.QuadraticGame(np.array([[1.0, 3.0], [-3.0, 2.0]]), sizes=(1, 1))
TOLD = small_gain(bumpy(), Box(-0.5, 0.5))
TOGETHER = rs.Inclusion(bumpy().F, Ball(1.0), start=bumpy().first)
WRONG = {
    "too long": (GAME, lambda: CertifiedEuler(step_size=1.001 * small_gain(GAME).step_sizes[1])),
    "far too long": (GAME, lambda: CertifiedRungeKutta(step_size=3.0)),
    "no certificate": (TURN, CertifiedEuler),
    "not quadratic": (bumpy(), CertifiedEuler),
    "of others": (GAME, lambda: CertifiedEuler(TOLD)),
    "one player": (ONE, CertifiedEuler),
    "constraints": (lopsided(sets=(Box(-1.0, 1.0), None, None)), CertifiedRungeKutta),
    "one set for all": (TOGETHER, lambda: CertifiedEuler(TOLD)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_certified_is_refused(name):
    game, method = WRONG[name]
    with pytest.raises(ValueError, match=VOICE):
        rs.solve(game, method())


def test_refusals_name_the_range():
    low = rf"0\.0 < step_size < {small_gain(GAME).step_sizes[1]:.5f}"[:-1]
    with pytest.raises(ValueError, match=low):
        rs.solve(GAME, CertifiedEuler(step_size=50.0))
    with pytest.raises(TypeError, match=VOICE):
        CertifiedEuler(0.5)
    with pytest.raises(ValueError, match="step_size"):
        CertifiedEuler(step_size=-0.5)
    longest = small_gain(GAME).rk4_step
    assert rs.solve(GAME, CertifiedRungeKutta(step_size=longest), throw=False).steps > 0


def test_sampled_certificates_serve_games_of_losses():
    sol = rs.solve(bumpy(), CertifiedEuler(TOLD), rtol=1e-10)
    assert sol.converged
    assert sol.certificate.kind == "residual"


@pytest.mark.parametrize("cls", [CertifiedEuler, CertifiedRungeKutta])
def test_calls_are_counted(cls):
    check_counters(cls(small_gain(GAME)), GAME)


def test_without_a_certificate_a_compiled_solve_ends_in_words():
    def solve(H):
        sol = rs.solve(rs.QuadraticGame(H, jnp.ones(2), sizes=(1, 1)), CertifiedEuler())
        return sol.reason_code, sol.converged

    code, converged = jax.jit(solve)(jnp.array([[1.0, 3.0], [-3.0, 2.0]]))
    assert code == rs.Reason.breakdown.code
    assert not converged


@pytest.mark.slow
def test_single_precision_stays_single():
    game = rs.QuadraticGame(
        jnp.asarray(GAME.F.H, jnp.float32), jnp.asarray(GAME.F.q, jnp.float32), sizes=SIZES
    )
    sol = rs.solve(game, CertifiedEuler(), rtol=1e-5)
    assert {part.dtype for part in sol.x} == {jnp.dtype("float32")}
    assert isinstance(small_gain(game).margin, float)
