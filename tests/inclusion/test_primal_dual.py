"""PDHG: the formulas step by step, linear programs, restarts, certificates of bilinear games."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import resolvent as rs
from resolvent.functions import L1, Affine, Ball, Box, Nonnegative, Simplex
from resolvent.inclusion import PrimalDual

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
rng = np.random.default_rng(0)
A = rng.standard_normal((6, 5))
B, C = rng.standard_normal(6), rng.standard_normal(5)
NORM = float(np.linalg.norm(A, 2))


def boxed(**options):
    return rs.BilinearGame(A, B, C, Box(-1.0, 1.0), Box(-1.0, 1.0), **options)


def points(step, balance, steps):
    """Chambolle and Pock's iteration on a box, the last point and the average."""
    x, y, seen = np.zeros(6), np.zeros(5), []
    for _ in range(steps):
        new = np.clip(x - step / balance * (A @ y + B), -1, 1)
        y = np.clip(y + step * balance * (A.T @ (2 * new - x) + C), -1, 1)
        x = new
        seen.append((x, y))
    return (x, y), [np.mean(part, axis=0) for part in zip(*seen, strict=True)]


def residual(point):
    x, y = point
    parts = x - np.clip(x - A @ y - B, -1, 1), y - np.clip(y + A.T @ x + C, -1, 1)
    return np.linalg.norm(np.concatenate(parts))


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["none", "ergodic"])
def test_points_are_those_of_the_formulas(averaging):
    method = PrimalDual(0.1, 2.0, averaging)
    for steps in (1, 2, 3, 25):
        last, mean = points(0.1, 2.0, steps)
        expected = last if averaging == "none" else min(last, mean, key=residual)
        sol = rs.solve(boxed(), method, rtol=1e-14, max_steps=steps, throw=False)
        if residual(expected) < residual((np.zeros(6), np.zeros(5))):
            for part, known in zip(sol.x, expected, strict=True):
                assert np.allclose(part, known, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["none", "ergodic", "restarted"])
@pytest.mark.parametrize("known", [False, True])
def test_linear_program(averaging, known):
    """min b.x subject to A^T x >= c, 0 <= x <= 1, by its Lagrangian."""
    demand = A.T @ np.full(6, 0.4)
    found = linprog(B, A_ub=-A.T, b_ub=-demand, bounds=[(0, 1)] * 6)
    game = rs.BilinearGame(
        -A, B, demand, Box(0.0, 1.0), Nonnegative(), lipschitz=NORM if known else None
    )
    rtol = 1e-4 if averaging == "ergodic" else 1e-8
    sol = rs.solve(game, PrimalDual(averaging=averaging), rtol=rtol)
    assert B @ sol.x[0] == pytest.approx(found.fun, abs=100 * rtol)
    assert (A.T @ sol.x[0] >= demand - 100 * rtol).all()


@pytest.mark.slow
def test_matrix_game_agrees_with_linear_programming():
    n, m = A.shape
    best = linprog(
        np.r_[np.zeros(n), 1.0], A_ub=np.c_[A.T, -np.ones(m)], b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * n + [(None, None)],
    )  # fmt: skip
    sol = rs.solve(rs.MatrixGame(A), PrimalDual(), rtol=1e-9)
    details = sol.certificate.details
    assert details["value"] == pytest.approx(best.fun, abs=1e-8)
    gains = details["first player's gain"] + details["second player's gain"]
    assert sol.certificate.value == pytest.approx(gains, abs=1e-15)
    assert sol.certificate.kind == "bound"


@pytest.mark.slow
def test_l1_against_a_ball():
    """min |x|_1 + max over ||y|| <= r of y.(A^T x - d): a robust fit, strong duality checked."""
    data = rng.standard_normal(5)
    game = rs.BilinearGame(A, None, -data, L1(0.3), Ball(1.0))
    sol = rs.solve(game, PrimalDual(), rtol=1e-9)
    assert game.gap(sol.x) <= 1e-7


@pytest.mark.slow
def test_restarts_converge_linearly_where_averages_do_not():
    """On a bilinear game without sets, whose averages fall like 1 / k."""
    square = rng.standard_normal((5, 5)) + 3 * np.eye(5)
    game = rs.BilinearGame(square, rng.standard_normal(5), rng.standard_normal(5))
    steps = {
        averaging: [
            rs.solve(game, PrimalDual(averaging=averaging), rtol=rtol, max_steps=100_000).steps
            for rtol in (1e-3, 1e-6)
        ]
        for averaging in ("restarted", "none")
    }
    few, many = steps["restarted"]
    assert many <= 4 * few
    few, many = steps["none"]
    assert many <= 4 * few
    # What is returned is the better of both: the last point, which also converges linearly.
    sol = rs.solve(game, PrimalDual(averaging="ergodic"), rtol=1e-6)
    assert sol.converged


@pytest.mark.slow
def test_norm_is_estimated_well_enough():
    """Without a stated norm: matrices whose largest singular value is hard to see, or alone."""
    for matrix in (
        np.random.default_rng(3).standard_normal((80, 60)), np.diag([1.0, 1.0 - 1e-9, 0.5]),
        np.outer(np.ones(4), [1.0, -1.0, 1.0, -1.0]), np.zeros((3, 3)) + 1e-30, np.ones((1, 1)),
    ):  # fmt: skip
        sol = rs.solve(rs.MatrixGame(matrix), PrimalDual(), rtol=1e-6)
        assert sol.converged
    zero = rs.solve(rs.MatrixGame(np.zeros((3, 2))), PrimalDual())
    assert zero.steps == 0


def test_a_norm_that_is_too_small_is_never_a_success():
    game = rs.BilinearGame(5 * A, B, C, lipschitz=0.3 * NORM)
    sol = rs.solve(game, PrimalDual(averaging="none"), throw=False, max_steps=3000)
    assert not sol.converged
    assert sol.reason is rs.Reason.diverged


COUNT = [0]


def test_products_are_counted(monkeypatch):
    """Each operator call is a product with A and one with its transpose."""
    game = boxed()
    known = boxed(lipschitz=NORM)
    for steps in (0, 1, 7):
        sol = rs.solve(known, PrimalDual(), rtol=1e-14, max_steps=steps, throw=False)
        assert sol.calls == {"operator": steps + 1, "resolvent": steps + 1}
        # The power iteration of the norm.
        sol = rs.solve(game, PrimalDual(), rtol=1e-14, max_steps=steps, throw=False)
        assert sol.calls == {"operator": steps + 21, "resolvent": steps + 1}
    with jax.enable_x64(True):
        ready = known.prepare("traced")
        state = PrimalDual().init(ready, ready.first, rs.Memory(), None)
        program = str(jax.make_jaxpr(PrimalDual().step)(ready, state))
    assert program.count("dot_general[") == 2


REFUSED = {
    "step": lambda: rs.solve(boxed(lipschitz=NORM), PrimalDual(1.0 / NORM)),
    "step of nothing": lambda: PrimalDual(0.0),
    "balance": lambda: PrimalDual(balance=-1.0),
    "averaging": lambda: PrimalDual(averaging="often"),
    "vector": lambda: rs.BilinearGame(np.ones(3)),
    "empty": lambda: rs.BilinearGame(np.ones((0, 3))),
    "nan": lambda: rs.BilinearGame(np.full((2, 2), np.nan)),
    "b": lambda: rs.BilinearGame(A, C),
    "c": lambda: rs.BilinearGame(A, B, B),
    "infinite b": lambda: rs.BilinearGame(A, B * np.inf, C),
    "start": lambda: rs.BilinearGame(A, start=np.ones(11)),
    "start of one": lambda: rs.BilinearGame(A, start=(np.ones(6),)),
    "set": lambda: rs.BilinearGame(A, X=Box(np.zeros(4), np.ones(4))),
    "game of nan": lambda: rs.MatrixGame(np.full((2, 2), np.nan)),
    "game of a vector": lambda: rs.MatrixGame(np.ones(2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_in_words(name):
    with pytest.raises(ValueError, match=VOICE):
        REFUSED[name]()


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=VOICE):
        rs.BilinearGame(A, X="box")


@pytest.mark.slow
def test_gap_is_a_bound_of_what_players_gain():
    game = boxed()
    for seed in range(3):
        x, y = (np.random.default_rng([seed, i]).uniform(-1, 1, n) for i, n in enumerate((6, 5)))

        def L(x, y):
            return x @ A @ y + B @ x + C @ y

        best_x, best_y = -np.sign(A @ y + B), np.sign(A.T @ x + C)
        assert game.gap((x, y)) == pytest.approx(L(x, best_y) - L(best_x, y), rel=1e-12)
    assert game.gap((2 * np.ones(6), np.ones(5))) == np.inf
    sol = rs.solve(game, PrimalDual(), rtol=1e-10)
    assert abs(game.gap(sol.x)) <= 1e-8


def test_equality_constraints_are_a_set():
    """min b.x on the plane sum x = 1 and x in a box, the box as the dual's term."""
    plane = Affine(np.ones((1, 3)), np.ones(1))
    costs = np.array([1.0, 2.0, 3.0])
    game = rs.BilinearGame(-np.eye(3), costs, np.zeros(3), plane, Nonnegative())
    sol = rs.solve(game, PrimalDual(), rtol=1e-9)
    assert np.allclose(sol.x[0], [1.0, 0.0, 0.0], atol=1e-6)


@pytest.mark.slow
def test_single_precision_and_jit():
    payoffs = jnp.asarray(A, jnp.float32)

    @jax.jit
    def value(payoffs):
        sol = rs.solve(rs.MatrixGame(payoffs), PrimalDual(), rtol=1e-4)
        return sol.x[0] @ payoffs @ sol.x[1], sol.converged

    found, converged = value(payoffs)
    assert converged
    assert found.dtype == jnp.float32
    reference = rs.solve(rs.MatrixGame(A), PrimalDual(), rtol=1e-8).certificate.details["value"]
    assert float(found) == pytest.approx(reference, abs=1e-3)


def test_simplices_stay_mixtures():
    sol = rs.solve(rs.MatrixGame(A), PrimalDual(), rtol=1e-6)
    for part in sol.x:
        assert (part >= 0).all()
        assert part.sum() == pytest.approx(1.0, rel=1e-12)
    assert float(Simplex().value(jnp.asarray(sol.x[0], jnp.float32))) == 0.0
