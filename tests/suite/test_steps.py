"""`step` is pure, and agrees with `advance`."""

import jax
import numpy as np
import pytest
from suite.problems import HOST, LINEAR

from resolvent._core.memory import Memory
from resolvent.linear.columns import Columns
from resolvent.linear.defaults import SymmetricDefault

METHODS = {str(pair): (pair.house, pair.method) for pair in HOST}
METHODS["SymmetricDefault-host"] = (LINEAR[0].house, SymmetricDefault())
SYSTEMS = [name for name, (house, _) in METHODS.items() if house is LINEAR[0].house]
OTHERS = [(str(pair), way) for pair in HOST if pair not in LINEAR for way in pair.house.storages]


def begun(house, method, storage):
    problem = house.stored(storage)
    if isinstance(method, Columns):
        problem = problem.but(b=np.stack([problem.b, problem.b[::-1] ** 2], axis=1))
    bound = method.bind(problem)
    key = np.random.default_rng(0) if method.random else None
    return problem, bound, bound.init(problem, problem.start(None), Memory(), key)


def frozen(state):
    leaves = jax.tree_util.tree_leaves(state)
    return [leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]


def same(state, leaves):
    pairs = zip(jax.tree_util.tree_leaves(state), leaves, strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("storage", ["rows", "dense"])
@pytest.mark.parametrize("columns", [False, True], ids=["one", "columns"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_step_leaves_its_argument_alone(name, columns, storage):
    house, method = METHODS[name]
    leaves_its_argument_alone(house, Columns(method) if columns else method, storage)


@pytest.mark.parametrize(("name", "storage"), OTHERS)
def test_a_step_of_another_family_leaves_its_argument_alone(name, storage):
    leaves_its_argument_alone(*METHODS[name], storage)


def leaves_its_argument_alone(house, method, storage):
    problem, bound, state = begun(house, method, storage)
    for _ in range(3):
        before = frozen(state)
        following = bound.step(problem, state)
        assert same(state, before)
        assert same(bound.step(problem, state), frozen(following))
        assert float(bound.measure(problem, following)) != float(bound.measure(problem, state))
        state = following


@pytest.mark.parametrize(
    ("name", "storage"), [case for case in OTHERS if hasattr(METHODS[case[0]][1], "advance")]
)
def test_steps_of_another_family_are_what_advance_does(name, storage):
    are_what_advance_does(*METHODS[name], storage)


@pytest.mark.parametrize("name", SYSTEMS)
def test_steps_are_what_advance_does(name):
    are_what_advance_does(*METHODS[name], "rows")


def are_what_advance_does(house, method, storage):
    problem, bound, state = begun(house, method, storage)
    if not hasattr(bound, "advance"):
        pytest.skip("the driver runs its steps one by one")
    measures = []
    for _ in range(4):
        state = bound.step(problem, state)
        measures.append(float(bound.measure(problem, state)))
    problem, bound, other = begun(house, method, storage)
    other, trace = bound.advance(problem, other, 4, -1.0)
    assert np.allclose(trace, measures, rtol=1e-12)
    ends = [house.parts(bound.iterate(problem, end)[0]) for end in (state, other)]
    for one, two in zip(*ends, strict=True):
        assert np.allclose(one, two, rtol=1e-12, atol=1e-14)
    assert bound.calls(problem, state) == bound.calls(problem, other)
