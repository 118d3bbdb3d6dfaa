"""Linear and quadratic programs drawn at random: HiGHS says which of them have an answer."""

import collections

import numpy as np
from constrained.drawn_programs import by_simplex, drawn, solved

from resolvent import Reason
from resolvent.constrained import AugmentedLagrangian

# Where HiGHS finds no answer, and what it says of it.
ENDS = {2: Reason.infeasible, 3: Reason.diverged}


def flat_along_equations():
    """At the start the gradient is, but for rounding, a direction that no constraint bends."""
    A = [[0.0, 0, 1, -1], [2, -2, -1, -1]]
    H = [[-2.0] * 4, [-2, 2, -2, 1], [1, -1, -1, 0], [-1, 2, -2, 2], [1, 2, -2, -1]]
    low, high = [0, -np.inf, -2, -np.inf], [np.inf, 3, 2, np.inf]
    parts = [1.0, 2, -3, 2], A, [0.0, 0], H, [2.0, 1, 2, 3, 2], low, high
    return tuple(np.array(part) for part in parts)


def test_programs_are_solved_or_their_constraints_found_to_contradict_each_other():
    seen = collections.Counter()
    for seed in range(14):
        parts, bend = drawn(seed), float(seed % 2)
        known = by_simplex(parts, bend)
        sol = solved(parts, bend, AugmentedLagrangian())
        assert sol.reason is ENDS.get(known.status, Reason.target), seed
        seen[sol.reason] += 1
        if known.status or bend:
            continue
        assert np.isclose(parts[0] @ sol.x, known.fun, rtol=1e-5, atol=1e-5)
    assert min(seen[Reason.target], seen[Reason.infeasible]) >= 3


def test_a_direction_whose_curvature_is_rounding_has_no_infinite_length():
    parts = flat_along_equations()
    sol = solved(parts, 0.0, AugmentedLagrangian())
    assert sol.converged
    assert np.isclose(parts[0] @ sol.x, -6.0, rtol=1e-5)
    assert sol.calls["evaluation"] <= 50
