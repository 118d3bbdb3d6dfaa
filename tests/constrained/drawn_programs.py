"""Linear and quadratic programs drawn at random, all of one compiled program."""

import numpy as np
from scipy.optimize import linprog

import resolvent as rs

N, EQUATIONS, ROWS = 4, 2, 5


def drawn(seed):
    """g, A, b, H, d and bounds, of small integers: every third one repeats an equation, half of
    these with another right side."""
    rng = np.random.default_rng(seed)
    g = rng.integers(-3, 4, N)
    A, b = rng.integers(-2, 3, (EQUATIONS, N)), rng.integers(-2, 3, EQUATIONS)
    if seed % 3 == 0:
        A[1], b[1] = 2 * A[0], b[1] if seed % 6 else 2 * b[0]
    H, d = rng.integers(-2, 3, (ROWS, N)), rng.integers(-1, 5, ROWS)
    low = np.where(rng.random(N) < 0.5, -np.inf, -rng.integers(0, 3, N))
    high = np.where(rng.random(N) < 0.5, np.inf, rng.integers(0, 4, N))
    return *(part.astype(float) for part in (g, A, b, H, d)), low, high


def objective(x, p):
    return p[0] @ x + 0.5 * p[5] * (x @ x)


def equations(x, p):
    return p[1] @ x - p[2]


def inequalities(x, p):
    return p[3] @ x - p[4]


def solved(parts, bend, method):
    """The program of g x + bend |x|^2 / 2, from zero."""
    *data, low, high = parts
    problem = rs.ConstrainedProblem(
        objective, equations, inequalities, (low, high), args=(*data, np.asarray(bend)),
        x0=np.zeros(N),
    )  # fmt: skip
    return rs.solve(problem, method, rtol=1e-6, throw=False)


def by_simplex(parts, bend):
    """What HiGHS says of it: a quadratic program has an answer where the constraints can be met."""
    g, A, b, H, d, low, high = parts
    return linprog((1 - bend) * g, H, d, A, b, np.stack([low, high], 1))
