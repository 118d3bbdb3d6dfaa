"""Linear and quadratic programs drawn at random: HiGHS says which of them have an answer."""

import collections

import numpy as np
from scipy.optimize import linprog

import resolvent as rs
from resolvent import Reason
from resolvent.constrained import AugmentedLagrangian

N, EQUATIONS, ROWS = 4, 2, 5
# Where HiGHS finds no answer, and what it says of it.
ENDS = {2: Reason.infeasible, 3: Reason.diverged}


def drawn(seed):
    """g, A, b, H, d and bounds, of small integers: equations repeat or contradict each other."""
    rng = np.random.default_rng(seed)
    g, A = rng.integers(-3, 4, N), rng.integers(-2, 3, (EQUATIONS, N))
    b, H = rng.integers(-2, 3, EQUATIONS), rng.integers(-2, 3, (ROWS, N))
    d = rng.integers(-1, 5, ROWS)
    if seed % 3 == 0:
        A[1], b[1] = 2 * A[0], 2 * b[0] + seed % 2
    low = np.where(rng.random(N) < 0.5, -np.inf, -rng.integers(0, 3, N))
    high = np.where(rng.random(N) < 0.5, np.inf, rng.integers(0, 4, N))
    return *(part.astype(float) for part in (g, A, b, H, d)), low, high


def flat_along_equations():
    """At the start the gradient is, but for rounding, a direction that no constraint bends."""
    A = [[0.0, 0, 1, -1], [2, -2, -1, -1]]
    H = [[-2.0] * 4, [-2, 2, -2, 1], [1, -1, -1, 0], [-1, 2, -2, 2], [1, 2, -2, -1]]
    low, high = [0, -np.inf, -2, -np.inf], [np.inf, 3, 2, np.inf]
    parts = [1.0, 2, -3, 2], A, [0.0, 0], H, [2.0, 1, 2, 3, 2], low, high
    return tuple(np.array(part) for part in parts)


def objective(x, p):
    return p[0] @ x + 0.5 * p[5] * (x @ x)


def equations(x, p):
    return p[1] @ x - p[2]


def inequalities(x, p):
    return p[3] @ x - p[4]


def solved(parts, bend):
    *data, low, high = parts
    problem = rs.ConstrainedProblem(
        objective, equations, inequalities, (low, high), args=(*data, np.asarray(bend)),
        x0=np.zeros(N),
    )  # fmt: skip
    return rs.solve(problem, AugmentedLagrangian(), rtol=1e-6, throw=False)


def test_programs_are_solved_or_their_constraints_found_to_contradict_each_other():
    seen = collections.Counter()
    for seed in range(14):
        parts, bend = drawn(seed), float(seed % 2)
        g, A, b, H, d, low, high = parts
        # A quadratic program has an answer where the constraints can be met.
        known = linprog((1 - bend) * g, H, d, A, b, np.stack([low, high], 1))
        sol = solved(parts, bend)
        assert sol.reason is ENDS.get(known.status, Reason.target), seed
        seen[sol.reason] += 1
        if known.status or bend:
            continue
        assert np.isclose(g @ sol.x, known.fun, rtol=1e-5, atol=1e-5)
    assert min(seen[Reason.target], seen[Reason.infeasible]) >= 3


def test_a_direction_whose_curvature_is_rounding_has_no_infinite_length():
    parts = flat_along_equations()
    sol = solved(parts, 0.0)
    assert sol.converged
    assert np.isclose(parts[0] @ sol.x, -6.0, rtol=1e-5)
    assert sol.calls["evaluation"] <= 50
