"""Bad arguments are refused before the first step, in words."""

import re

import numpy as np
import pytest
from suite.problems import CLASSES, HOST, LINEAR, PAIRS, TRACED, in_full, near_answer

import resolvent as rs
from resolvent._core import registry

each = pytest.mark.parametrize("pair", PAIRS, ids=str)
VOICE = r"(?s)^.+: given .+; needed .+\. .+"


@each
def test_first_guess(pair):
    sample = pair.house.sample(pair.engine)
    for guess, kind in pair.house.bad_guesses():
        with pytest.raises(kind, match=VOICE) as caught:
            rs.solve(sample.problem, pair.method, x0=guess)
        assert str(caught.value).startswith("x0")


@each
def test_integer_first_guess_is_handled(pair):
    sample = pair.house.sample(pair.engine)
    sol = rs.solve(
        sample.problem, pair.method, x0=pair.house.integer_guess(), rtol=10 * pair.house.tight
    )
    assert all(part.dtype == np.float64 for part in pair.house.parts(sol.x))
    assert near_answer(pair, sample, sol.x, 10 * pair.house.tight)


OPTIONS = [
    ("rtol", -1.0, ValueError),
    ("rtol", np.nan, ValueError),
    ("rtol", np.inf, ValueError),
    ("rtol", "tight", TypeError),
    ("rtol", None, TypeError),
    ("rtol", True, TypeError),
    ("atol", -1e-9, ValueError),
    ("atol", np.nan, ValueError),
    ("max_steps", -1, ValueError),
    ("max_steps", 2.5, TypeError),
    ("max_steps", True, TypeError),
    ("max_steps", "many", TypeError),
    ("seconds", -1.0, ValueError),
    ("seconds", np.nan, ValueError),
    ("memory", {"omega": 1.0}, TypeError),
    ("adjoint", "implicit", TypeError),
    ("callback", 3, TypeError),
    ("key", "seed", TypeError),
    ("key", -1, TypeError),
    ("key", 1.5, TypeError),
    ("checkpoint", 3, TypeError),
    ("x0", object(), TypeError),
]


@pytest.mark.parametrize(("name", "value", "kind"), OPTIONS)
def test_options_of_solve(name, value, kind):
    pair = PAIRS[0]
    sample = pair.house.sample(pair.engine)
    with pytest.raises(kind, match=VOICE) as caught:
        rs.solve(sample.problem, pair.method, **{name: value})
    assert str(caught.value).startswith(name)


def test_unknown_option_is_refused():
    pair = PAIRS[0]
    with pytest.raises(TypeError, match="tolerance"):
        rs.solve(pair.house.sample(pair.engine).problem, pair.method, tolerance=1e-3)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_is_not_a_method(cls):
    pair = next(p for p in PAIRS if p.cls is cls)
    with pytest.raises(TypeError, match=rf"needed an instance.*{cls.__name__}\(\)"):
        rs.solve(pair.house.sample(pair.engine).problem, cls)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_foreign_problem_is_refused_with_the_list_of_methods(cls):
    class Foreign(rs.Problem):
        def residual(self, x):
            return x

        def start(self, key):
            return np.zeros(2)

    with pytest.raises(TypeError, match=rf"{re.escape(cls.name)}, which does not solve"):
        rs.solve(Foreign(), cls())
    with pytest.raises(TypeError, match=r"problem: given .*needed a Problem"):
        rs.solve(np.eye(3), cls())


def test_what_is_no_method_is_refused_with_the_list():
    pair = PAIRS[0]
    problem = pair.house.sample(pair.engine).problem
    with pytest.raises(TypeError, match=r"method: given 'cg'") as caught:
        rs.solve(problem, "cg")
    for name in registry.methods_for(problem):
        assert name in str(caught.value)


@pytest.mark.parametrize("pair", LINEAR, ids=str)
def test_missing_properties_are_refused(pair):
    """A problem that lacks what the method needs is refused, and never solved in silence."""
    matrix, rhs = pair.house.data("general")
    if "symmetric" in pair.cls.needs:
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(pair.house.wrap(matrix, rhs, pair.engine).problem, pair.method)
        assert "not symmetric" in str(caught.value)
        assert pair.cls.name in str(caught.value)
    if "positive_definite" in pair.cls.needs:
        matrix, rhs = pair.house.data("indefinite")
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(pair.house.wrap(matrix, rhs, pair.engine).problem, pair.method)
        assert "not positive definite" in str(caught.value)
    if "diagonal" in pair.cls.needs:
        matrix, rhs = pair.house.data("definite")
        matrix[2, 2] = 0.0
        with pytest.raises(ValueError, match=VOICE) as caught:
            rs.solve(pair.house.wrap(matrix, rhs, pair.engine).problem, pair.method)
        assert re.search(r"row 2|\[2, 2\]", str(caught.value))


def sick(pair, name):
    """Systems that look well and have no answer, or not one."""
    n = pair.house.size
    ring = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    ring[0, -1] = ring[-1, 0] = -1.0  # a periodic Laplacian: symmetric, singular
    if name == "inconsistent":
        return ring, np.ones(n)
    if name == "consistent":
        return ring, ring @ np.linspace(-1, 1, n)
    hidden = np.eye(n) + 2 * (np.eye(n, k=1) + np.eye(n, k=-1))
    return hidden, np.linspace(1, 2, n)  # indefinite behind a positive diagonal


SYSTEMS = [pair for pair in HOST if pair in LINEAR]
SYSTEMS_TRACED = [pair for pair in TRACED if pair in LINEAR]


# The same steps are compiled anew for each of these when they are traced.
@pytest.mark.parametrize("pair", [*SYSTEMS, *in_full(SYSTEMS_TRACED)], ids=str)
@pytest.mark.parametrize("name", ["inconsistent", "consistent", "indefinite"])
@pytest.mark.filterwarnings("error")
def test_sick_systems_are_never_called_solved(pair, name):
    sample = pair.house.wrap(*sick(pair, name), pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-8, max_steps=4000, throw=False)
    truth = sample.measure(sol.x) / sample.scale
    if name == "inconsistent":
        assert not sol.converged
        assert sol.reason in (
            rs.Reason.stalled, rs.Reason.breakdown, rs.Reason.diverged, rs.Reason.max_steps
        )  # fmt: skip
    if sol.converged:
        assert truth <= 1.001e-8
    else:
        # The best point, not the last: never worse than the zero that it began with.
        assert truth <= 1 + 1e-12
    if name == "indefinite" and "positive_definite" in pair.cls.needs:
        assert not sol.converged or truth <= 1.001e-8
        assert sol.reason in (rs.Reason.breakdown, rs.Reason.diverged, rs.Reason.target)


@pytest.mark.parametrize("pair", LINEAR, ids=str)
@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-310, 1e308])
@pytest.mark.filterwarnings("error")
def test_extreme_right_hand_sides_are_judged_truly(pair, scale):
    matrix, rhs = pair.house.data()
    rhs = rhs / np.abs(rhs).max()
    sample = pair.house.wrap(matrix, scale * rhs, pair.engine)
    sol = rs.solve(sample.problem, pair.method, rtol=1e-8, throw=False)
    # The referee works in units of the scale, where nothing overflows.
    truth = np.linalg.norm(sample.rhs / scale - matrix @ (np.asarray(sol.x) / scale))
    if sol.converged:
        assert truth <= 1.01e-8 * np.linalg.norm(rhs)
    else:
        assert sol.reason is not rs.Reason.target
