"""What coordinate descent carries from one linear model to the next."""

import numpy as np
import pytest

import resolvent as rs
from resolvent import functions
from resolvent.composite import CoordinateDescent, GroupDescent

N, P = 60, 150
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, P))
TRUE = np.where(np.arange(P) < 12, 1.0 - 0.15 * np.arange(P), 0.0)
NOISE = RNG.standard_normal(N)


def lasso(t=0.0, rows=N, **given):
    """One of a stream: targets drift with t."""
    y = X[:rows] @ (TRUE + t * np.roll(TRUE, 1)) + 0.3 * NOISE[:rows]
    penalty = given.pop("penalty", functions.L1(0.05))
    return rs.GeneralizedLinear(X[:rows], y, penalty=penalty, **given)


def few():
    return CoordinateDescent(first=4)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_stream_gets_cheaper_and_answers_stay(intercept, tmp_path):
    stream = [lasso(0.01 * t, intercept=intercept) for t in range(4)]
    cold = [rs.solve(one, few(), rtol=1e-12) for one in stream]
    warm = list(rs.solve_sequence(stream, few(), rtol=1e-12))
    for one, other in zip(cold, warm, strict=True):
        assert other.converged
        x, z = (one.x[0], other.x[0]) if intercept else (one.x, other.x)
        assert np.allclose(x, z, atol=1e-5)
    assert warm[0].steps == cold[0].steps
    assert sum(each.steps for each in warm[1:]) < 0.7 * sum(each.steps for each in cold[1:])
    warm[2].memory.save(tmp_path / "memory.rs")
    loaded = rs.Memory.load(tmp_path / "memory.rs")
    again = rs.solve(stream[3], few(), rtol=1e-12, memory=loaded)
    assert again.steps == warm[3].steps


def test_the_same_problem_once_more_takes_no_step():
    sol = rs.solve(lasso(), few(), rtol=1e-10)
    again = rs.solve(lasso(), few(), rtol=1e-10, memory=sol.memory)
    assert again.steps == 0
    assert np.array_equal(again.x, sol.x)


def test_coefficients_survive_more_samples():
    first = rs.solve(lasso(rows=50), few(), rtol=1e-10)
    cold = rs.solve(lasso(), few(), rtol=1e-10)
    sol = rs.solve(lasso(), few(), rtol=1e-10, memory=first.memory)
    assert sol.converged
    assert sol.steps < cold.steps


def test_a_first_guess_that_is_better_than_memory_is_taken():
    far = rs.solve(lasso(-3.0), few(), rtol=1e-10)
    answer = rs.solve(lasso(), few(), rtol=1e-10)
    sol = rs.solve(lasso(), few(), x0=answer.x, rtol=1e-9, memory=far.memory)
    assert sol.steps == 0
    assert np.array_equal(sol.x, answer.x)


def test_groups_are_remembered():
    groups = functions.GroupL2(np.repeat(np.arange(50), 3), 0.05)
    problem, near = lasso(penalty=groups), lasso(0.01, penalty=groups)
    sol = rs.solve(problem, GroupDescent(first=6), rtol=1e-10)
    cold = rs.solve(near, GroupDescent(first=6), rtol=1e-10)
    again = rs.solve(near, GroupDescent(first=6), rtol=1e-10, memory=sol.memory)
    assert again.converged
    assert again.steps < cold.steps
    assert np.allclose(again.x, cold.x, atol=1e-5)


def test_concave_penalties_begin_where_they_would_without_memory():
    penalty = functions.MCP(0.2, 3.0)
    other = rs.solve(lasso(-2.0, penalty=penalty), few(), rtol=1e-9)
    cold = rs.solve(lasso(penalty=penalty), few(), rtol=1e-9)
    sol = rs.solve(lasso(penalty=penalty), few(), rtol=1e-9, memory=other.memory)
    assert np.array_equal(sol.x, cold.x)


@pytest.mark.parametrize(
    "value",
    [
        {"size": P, "places": np.array([0, 0]), "values": np.ones(2)},
        {"size": P, "places": np.array([-1]), "values": np.ones(1)},
        {"size": P, "places": np.array([P]), "values": np.ones(1)},
        {"size": P + 1, "places": np.array([0]), "values": np.ones(1)},
        {"size": P, "places": np.array([0.0]), "values": np.ones(1)},
        {"size": P, "places": np.array([0]), "values": np.ones(2)},
        {"size": P, "places": np.array([0]), "values": np.array([1e308])},
    ],
)
def test_what_is_no_point_or_a_bad_one_is_left_alone(value):
    cold = rs.solve(lasso(), few(), rtol=1e-9)
    memory = rs.Memory({"coefficients": rs.Entry(value, depends=())})
    sol = rs.solve(lasso(), few(), rtol=1e-9, memory=memory)
    assert np.array_equal(sol.x, cold.x)
    assert sol.steps == cold.steps
