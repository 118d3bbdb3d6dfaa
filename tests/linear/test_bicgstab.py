"""BiCGStab where its recurrences end."""

import jax.numpy as jnp
import numpy as np
import pytest

import resolvent as rs
from resolvent.linear import BiCGStab


@pytest.mark.parametrize("engine", ["host", "traced"])
def test_a_step_that_moves_nowhere_is_a_breakdown(engine):
    A = np.array([[0.0, 1.0], [-1.0, 0.0]])  # r . A r = 0 for every r
    b = np.array([1.0, 2.0])
    problem = rs.LinearSystem(*((A, b) if engine == "host" else map(jnp.asarray, (A, b))))
    sol = rs.solve(problem, BiCGStab(), throw=False)
    assert sol.reason is rs.Reason.breakdown
    assert sol.steps == 1


def test_a_lost_shadow_begins_again_instead():
    # In the first step the shadow becomes orthogonal to the residual, which is not zero.
    A = np.array([[2.0, 1.0, 0.0], [-1.0, 2.0, 1.0], [0.0, -1.0, 2.0]])
    rng = np.random.default_rng(0)
    for _ in range(50):
        b = rng.integers(-2, 3, 3).astype(float)
        if b.any():
            sol = rs.solve(rs.LinearSystem(A, b), BiCGStab(), rtol=1e-10)
            assert np.linalg.norm(A @ sol.x - b) <= 1e-9 * np.linalg.norm(b)


def test_applications_are_counted_through_refreshes():
    A = np.diag(np.linspace(1.0, 20.0, 30))
    calls = [0]

    def scale(r):
        calls[0] += 1
        return r / 3.0

    M = rs.linear.FunctionPreconditioner(scale)
    sol = rs.solve(rs.LinearSystem(A, np.ones(30)), BiCGStab(M), rtol=1e-30, throw=False)
    assert sol.calls["precondition"] == calls[0]
    assert sol.calls["matvec"] > calls[0] + 1  # it began again at least once
