"""The forward-backward method: its steps, its rate, and where it does not belong."""

import jax.numpy as jnp
import numpy as np
import pytest
from inclusion.rotations import check_counters, strong, turning

import resolvent as rs
from resolvent.inclusion.forward_backward import ForwardBackward
from resolvent.inclusion.regret import trajectory


def lasso(seed=0):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((12, 6)), rng.standard_normal(12)
    L = float(np.linalg.norm(A, 2)) ** 2
    problem = rs.Inclusion(
        lambda x, data: data[0].T @ (data[0] @ x - data[1]), rs.functions.L1(2.0),
        start=np.zeros(6), args=(A, b), lipschitz=L,
    )  # fmt: skip
    return problem, A, b, L


def test_steps_are_those_of_iterative_thresholding():
    problem, A, b, L = lasso()
    plays, _ = trajectory(problem, ForwardBackward(1.0 / L), 25)
    x = np.zeros(6)
    for play in plays:
        moved = x - A.T @ (A @ x - b) / L
        x = np.sign(moved) * np.maximum(np.abs(moved) - 2.0 / L, 0.0)
        assert np.allclose(play, x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("lipschitz", [True, False])
def test_line_search_finds_sparse_answers(lipschitz):
    problem, A, b, _ = lasso()
    problem = problem if lipschitz else problem.but(lipschitz=None)
    sol = rs.solve(problem, ForwardBackward(), rtol=1e-10)
    gradient = A.T @ (A @ sol.x - b)
    assert (np.abs(gradient) <= 2.0 + 1e-8).all()
    assert np.allclose(gradient[sol.x != 0], -2.0 * np.sign(sol.x[sol.x != 0]), atol=1e-8)


def test_strongly_monotone_contracts_at_the_known_factor():
    problem, A, _ = strong()
    L, mu = np.linalg.norm(A, 2), 1.0
    plays, _ = trajectory(problem, ForwardBackward(mu / L**2), 300)
    away = np.linalg.norm(plays[:60] - plays[-1], axis=1)
    assert (away[1:] <= np.sqrt(1 - mu**2 / L**2) * away[:-1] + 1e-9).all()
    # A step that suits a gradient may not suit what turns: the line search sees it.
    assert rs.solve(problem, ForwardBackward(), rtol=1e-10).converged


def test_operators_that_only_turn_are_refused_or_not_solved():
    game = rs.MatrixGame(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    with pytest.raises(ValueError, match="not cocoercive"):
        rs.solve(game, ForwardBackward())
    with pytest.raises(ValueError, match="negatively comonotone"):
        rs.solve(turning(0.1), ForwardBackward())
    sol = rs.solve(turning(), ForwardBackward(1.9), throw=False)
    assert (sol.reason, sol.converged) == ("diverged", False)


def test_steps_outside_the_range_are_refused():
    problem, _, _, L = lasso()
    with pytest.raises(ValueError, match=r"step_size < 2 / L"):
        rs.solve(problem, ForwardBackward(2.1 / L))
    with pytest.raises(ValueError, match="step_size"):
        ForwardBackward(0.0)


@pytest.mark.parametrize("step", [0.2, None])
def test_calls_are_counted(step):
    problem, _, _ = strong()
    check_counters(ForwardBackward(step), problem)


def test_single_precision_stays_single():
    problem = rs.Inclusion(lambda x: 2.0 * x - 1.0, rs.functions.Nonnegative(), start=jnp.zeros(3))
    sol = rs.solve(problem, ForwardBackward(), rtol=1e-6)
    assert sol.x.dtype == jnp.float32
    assert np.allclose(sol.x, 0.5, atol=1e-6)
