"""Global rates: the slope of log(f - min f) against log k is at most what the theory says."""

import jax
import numpy as np
import pytest
from smooth.functions import quadratic, states

import resolvent as rs
from resolvent.smooth import DampedNewton, LazyNewton, PolynomialGradient


def slopes(gaps, k):
    k = np.array(k)
    return np.diff(np.log(gaps[k])) / np.diff(np.log(k))


def run(problem, method, steps):
    with jax.enable_x64(True):
        return states(problem, method, steps)


def dense():
    """A parabola with many small eigenvalues, on which plain gradients take nearly O(1 / k)."""
    roots = (np.arange(200) + 0.5) / 200
    # The start's distance to the minimizer stays bounded however many eigenvalues there are.
    return np.diag(roots**2), roots**-0.25


@pytest.mark.parametrize(
    ("variant", "rate"), [("fast", 2), pytest.param("gradient", 1, marks=pytest.mark.slow)]
)
def test_momentum_makes_gradients_faster_by_a_power_of_k(variant, rate):
    A, start = dense()
    problem = rs.Minimize(quadratic, (A, np.zeros(len(A))), x0=start, convex=True)
    x = run(problem, PolynomialGradient(0, variant, curvature=A, largest=1.0), 80).x
    found = slopes(0.5 * ((x @ A) * x).sum(axis=1), (10, 20, 40, 80))
    assert (found <= -rate).all()
    # It is no parabola on which any method is fast.
    if variant == "gradient":
        assert (found >= -1.5).all()


def flat(x, A):
    """Of degree 4: the Hessian is zero at the minimizer."""
    return 0.25 * ((A @ x) ** 4).sum()


RULES = {
    "universal": (DampedNewton(), 3), "root, q = 2.5": (DampedNewton("root", q=2.5, M=1.0), 1.5),
    "root, q = 4": (DampedNewton("root", q=4.0, M=1.0), 3),
    "aicn": (DampedNewton("aicn", M=1.0), 2),
    "regularized": (DampedNewton("regularized", q=3.0, M=300.0), 2),
    "lazy": (LazyNewton("adaptive", 3, M=300.0), 2),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", RULES)
def test_newton_steps_are_as_fast_as_their_theory_where_the_hessian_vanishes(case):
    method, rate = RULES[case]
    A = np.random.default_rng(2).standard_normal((20, 5))
    problem = rs.Minimize(flat, A, x0=np.linspace(1.0, -0.5, 5), convex=True)
    values = run(problem, method, 64).value
    # Neither solved at once nor before the rate shows.
    assert values[8] > 1e-6 * values[0]
    assert (slopes(np.maximum(values, 1e-200), (16, 32, 64)) <= -rate).all()
