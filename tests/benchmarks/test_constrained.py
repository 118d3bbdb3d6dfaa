"""The referee of constrained problems is right, and the generated problems have their answers."""

import jax
import numpy as np
import pytest


def linear(at_x, low=-np.inf, high=np.inf):
    """What the referee asks: f = |x - 2|^2 / 2, x_0 + x_1 <= 1, bounds."""

    def at(x):
        rows = np.array([[1.0, 1.0]])
        return (
            x - 2.0, np.zeros(0), np.zeros((0, 2)), rows @ x - 1.0, rows, np.full(2, low),
            np.full(2, high),
        )  # fmt: skip

    return at(at_x), at


def test_the_referee_finds_multipliers(utilities):
    x = np.array([0.5, 0.5])
    parts, at = linear(x)
    _, z = utilities["judge"].estimated(parts, x)
    np.testing.assert_allclose(z, [1.5], rtol=1e-12)
    value, violation = utilities["judge"].error(at, x)
    assert value < 1e-14
    assert violation == 0.0


@pytest.mark.parametrize("x", [(0.4, 0.6), (0.6, 0.6), (0.3, 0.3), (np.nan, 0.0)])
def test_the_referee_refuses_other_points(utilities, x):
    value, _ = utilities["judge"].error(linear(np.zeros(2))[1], np.array(x))
    assert not value <= 0.05


def test_the_referee_takes_wrong_multipliers_for_no_better(utilities):
    x = np.array([0.5, 0.5])
    _, at = linear(x)
    wrong = np.zeros(0), np.array([7.0])
    assert utilities["judge"].error(at, x, wrong)[0] < 1e-14


def test_bounds_bear_what_is_left(utilities):
    x = np.array([0.25, 0.25])
    _, at = linear(x, high=0.25)
    assert utilities["judge"].error(at, x)[0] < 1e-14
    _, at = linear(x, high=0.3)
    assert utilities["judge"].error(at, x)[0] > 0.01


def test_of_very_many_inequalities_those_near_by_have_multipliers(utilities, monkeypatch):
    monkeypatch.setattr(utilities["judge"], "MOST", 20)
    rng = np.random.default_rng(0)
    rows, z = rng.standard_normal((200, 3)), np.zeros(200)
    h = -rng.uniform(0.1, 1.0, 200)
    h[[7, 150]], z[[7, 150]] = 0.0, (1.0, 2.0)
    parts = (
        -z @ rows,
        np.zeros(0),
        np.zeros((0, 3)),
        h,
        rows,
        np.full(3, -np.inf),
        np.full(3, np.inf),
    )
    np.testing.assert_allclose(utilities["judge"].estimated(parts, np.zeros(3))[1], z, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "given"), [("membrane", {"N": 4}), ("pendulum", {"N": 12, "most": 3.0})]
)
def test_generated_problems_have_their_answers(utilities, kind, given):
    with jax.enable_x64(True):
        problem = getattr(utilities["generators"], kind)(**given)
        here = utilities["oracles"].Oracles(problem)
        x = getattr(utilities["generators"], f"{kind}_answer")(given["N"])

        def at(v):
            (_, c, h), (g, G, A) = here.values(v), here.slopes(v)
            return g, c, G, h, A, here.low, here.high

        value, violation = utilities["judge"].error(at, x)
        elsewhere, _ = utilities["judge"].error(at, x + 0.01)
    assert violation <= 1e-10
    assert value <= 1e-9
    assert elsewhere >= 1e-4
    assert ((here.low < x) & (x < here.high)).all()


@pytest.mark.slow
def test_the_grids_functions_by_hand_are_those_of_the_problem(utilities):
    problem = {"from": "grid", "given": {"N": 3, "cubic": 1.0}}
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        traced = utilities["oracles"].Oracles(utilities["oracles"].built(problem))
        hand = utilities["oracles"].oracles(problem)
        x, y = rng.standard_normal(18), rng.standard_normal(9)
        for one, two in zip(traced.values(x), hand.values(x), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12)
        g, G, A = hand.slopes(x)
        for one, two in zip(traced.slopes(x), (g, G.toarray(), A.toarray()), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-12)
        bent = traced.hessian(x, 0.7, y, np.zeros(0))
        np.testing.assert_allclose(bent, hand.hessian(x, 0.7, y, None).toarray(), atol=1e-12)
        assert traced.unit == pytest.approx(hand.unit)


def test_the_grids_preconditioner_inverts_the_blocks_of_the_linear_problem(utilities):
    from benchmark_utils import grid

    L, cost = grid.laplacian(3).toarray(), grid.COST
    blocks = np.r_[np.ones(9), np.full(9, cost)], L @ L.T + np.eye(9) / cost
    force, values = np.arange(18.0), np.arange(9.0) ** 2
    with jax.enable_x64(True):
        found = grid.preconditioner(3)(None, force, values, None)
        np.testing.assert_allclose(found[0], force / blocks[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], np.linalg.solve(blocks[1], values), rtol=1e-10)
