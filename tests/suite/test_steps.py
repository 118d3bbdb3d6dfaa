"""`step` is pure, and agrees with `advance`."""

import jax
import numpy as np
import pytest
from suite.problems import HOST

from resolvent._core.memory import Memory
from resolvent.linear.columns import Columns
from resolvent.linear.defaults import SymmetricDefault

METHODS = {str(pair): (pair.house, pair.method) for pair in HOST}
METHODS["SymmetricDefault-host"] = (HOST[0].house, SymmetricDefault())


def begun(house, method, storage):
    sample = house.sample("host")
    problem = sample.problem
    if storage == "dense":
        problem = type(problem)(sample.matrix, sample.rhs)
    if isinstance(method, Columns):
        problem = problem.but(b=np.stack([problem.b, problem.b[::-1] ** 2], axis=1))
    bound = method.bind(problem)
    key = np.random.default_rng(0) if method.random else None
    return problem, bound, bound.init(problem, np.zeros_like(problem.b), Memory(), key)


def frozen(state):
    leaves = jax.tree_util.tree_leaves(state)
    return [leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]


def same(state, leaves):
    pairs = zip(jax.tree_util.tree_leaves(state), leaves, strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("storage", ["rows", "dense"])
@pytest.mark.parametrize("columns", [False, True], ids=["one", "columns"])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_leaves_its_argument_alone(name, columns, storage):
    house, method = METHODS[name]
    method = Columns(method) if columns else method
    problem, bound, state = begun(house, method, storage)
    for _ in range(3):
        before = frozen(state)
        following = bound.step(problem, state)
        assert same(state, before)
        assert same(bound.step(problem, state), frozen(following))
        assert float(bound.measure(problem, following)) != float(bound.measure(problem, state))
        state = following


@pytest.mark.parametrize("name", METHODS)
def test_steps_are_what_advance_does(name):
    house, method = METHODS[name]
    problem, bound, state = begun(house, method, "rows")
    if not hasattr(bound, "advance"):
        pytest.skip("the driver runs its steps one by one")
    measures = []
    for _ in range(4):
        state = bound.step(problem, state)
        measures.append(float(bound.measure(problem, state)))
    problem, bound, other = begun(house, method, "rows")
    other, trace = bound.advance(problem, other, 4, -1.0)
    assert np.allclose(trace, measures, rtol=1e-12)
    one, two = bound.iterate(problem, state)[0], bound.iterate(problem, other)[0]
    assert np.allclose(one, two, rtol=1e-12, atol=1e-14)
    assert bound.calls(problem, state) == bound.calls(problem, other)
