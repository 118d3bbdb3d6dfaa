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
