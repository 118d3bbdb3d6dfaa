"""Memory: named, tied to what it depends on, dropped when that has changed."""

from typing import ClassVar

import numpy as np
import pytest
from core.toys import HostHalve, problem

import resolvent as rs
from resolvent._core.memory import mark

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def system(n=3, shift=0.0, rhs=1.0):
    return rs.LinearSystem(np.diag(np.arange(1.0, n + 1)) + shift * np.eye(n), np.full(n, rhs))


def marked(depends, where):
    return rs.Memory(mark({"space": rs.Entry(np.eye(2), depends)}, where))


@pytest.mark.parametrize(
    ("depends", "other", "kept"),
    [
        (("size",), system(), True),
        (("size",), system(shift=1.0, rhs=2.0), True),
        (("size",), system(n=4), False),
        (("operator",), system(rhs=2.0), True),
        (("operator",), system(shift=1.0), False),
        (("rhs",), system(shift=1.0), True),
        (("rhs",), system(rhs=2.0), False),
        (("data",), system(), True),
        (("data",), system(shift=1.0), False),
        (("data",), system(rhs=2.0), False),
        (("size", "operator"), system(shift=1.0), False),
        ((), system(n=4, shift=1.0, rhs=2.0), True),
    ],
)
def test_entries_live_as_long_as_what_they_depend_on(depends, other, kept):
    fresh, notes = marked(depends, system()).fresh(other)
    assert ("space" in fresh) == kept
    assert bool(notes) == (not kept)
    if not kept:
        assert "space" in notes[0]
        assert "changed" in notes[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_entries_that_are_not_finite_are_dropped(bad):
    memory = rs.Memory({"omega": rs.Entry({"w": np.array([1.0, bad])}, depends=())})
    fresh, notes = memory.fresh(system())
    assert len(fresh) == 0
    assert "NaN or infinity" in notes[0]


def test_an_entry_with_an_unknown_dependency_is_dropped_in_words():
    memory = rs.Memory({"space": rs.Entry(np.eye(2), ("colour",), ("red",))})
    sol = rs.solve(system(), rs.linear.CG(), memory=memory)
    assert sol.converged
    assert any("space" in note for note in sol.notes)


def test_updating_makes_another_memory():
    one = rs.Memory({"a": rs.Entry(1.0)})
    two = one.updated({"b": rs.Entry(2.0)})
    assert "b" not in one
    assert two.get("a") == 1.0
    assert two.get("b") == 2.0
    assert two.get("c") is None
    assert len(two.without("a", "z")) == 1
    assert one.updated({}) is one
    assert "a:" in repr(one)


def test_a_wrong_seed_is_retried_cold():
    method = HostHalve(mood="remembers", factor=1.0 - 1e-9)
    good = HostHalve(mood="remembers")
    far = rs.Memory({"best": rs.Entry(np.full(2, 1e9), depends=())})
    sol = rs.solve(problem(), good, memory=far, rtol=1e-6)
    assert sol.converged
    stuck = rs.solve(problem(), method, memory=far, rtol=1e-6, max_steps=300, throw=False)
    assert not stuck.converged


def test_rejected_memory_costs_one_cold_solve_and_is_recorded():
    class Trusting(HostHalve):
        reads: ClassVar[tuple[str, ...]] = ("curse",)

        def init(self, problem, x0, memory, key):
            state = super().init(problem, x0, memory, key)
            return state._replace(x=state.x * np.nan) if "curse" in memory else state

    memory = rs.Memory({"curse": rs.Entry(1.0, depends=())})
    sol = rs.solve(problem(), Trusting(), memory=memory, rtol=1e-6)
    assert sol.converged
    assert any("rejected" in note and "cold" in note for note in sol.notes)
    cold = rs.solve(problem(), Trusting(), rtol=1e-6)
    assert sol.steps == cold.steps
    assert "curse" not in sol.memory


def test_a_memory_that_makes_init_fail_is_rejected_too():
    class Trusting(HostHalve):
        reads: ClassVar[tuple[str, ...]] = ("space",)

        def init(self, problem, x0, memory, key):
            value = memory.get("space")
            return super().init(problem, x0 if value is None else value @ x0, memory, key)

    memory = rs.Memory({"space": rs.Entry(np.eye(5), depends=())})
    sol = rs.solve(problem(), Trusting(), memory=memory, rtol=1e-6)
    assert sol.converged
    assert any("rejected" in note for note in sol.notes)


def test_the_step_limit_is_exact_with_memory_too():
    """Memory that wastes the steps is told by its certificate, not by extra steps."""
    far = rs.Memory({"best": rs.Entry(np.full(2, 1e12), depends=())})
    method = HostHalve(mood="remembers")
    sol = rs.solve(problem(), method, rtol=1e-6, max_steps=25, memory=far, throw=False)
    assert not sol.converged
    assert sol.steps == 25
    assert sol.reason is rs.Reason.max_steps
