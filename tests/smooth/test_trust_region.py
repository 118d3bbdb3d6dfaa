"""Trust regions: as good as SciPy's, in single precision and in batches too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from smooth.functions import rosenbrock, soft, states

import resolvent as rs
from resolvent.smooth import TrustRegion

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
START = np.array([-1.2, 1.0, 0.3, -0.5, 2.0])


@pytest.mark.parametrize("kind", ["exact", pytest.param("truncated", marks=pytest.mark.slow)])
def test_no_more_steps_than_scipy(kind):
    """Of its kind, with room for other radii."""
    found = scipy.optimize.minimize(
        scipy.optimize.rosen, START, jac=scipy.optimize.rosen_der, hess=scipy.optimize.rosen_hess,
        method="trust-exact" if kind == "exact" else "trust-ncg", options={"gtol": 1e-8},
    )  # fmt: skip
    sol = rs.solve(rs.Minimize(rosenbrock, x0=START), TrustRegion(kind), rtol=0.0, atol=1e-8)
    assert np.allclose(sol.x, found.x, atol=1e-7)
    assert sol.steps <= 1.2 * found.nit
    if kind == "exact":
        assert sol.calls["gradient"] == sol.steps + 1
        # A step that is refused needs no other Hessian.
        assert sol.calls["hessian"] <= sol.steps + 1
    else:
        assert sol.calls["product"] <= 2 * START.size * sol.steps + 1


def test_refused_steps_change_the_radius_alone():
    with jax.enable_x64(True):
        found = states(rs.Minimize(rosenbrock, x0=START), TrustRegion(radius=100.0), 25)
    still = (found.x[1:] == found.x[:-1]).all(axis=1)
    assert still.any()
    assert (~still).any()
    assert (np.diff(found.hessians)[still] == 0).all()
    assert (np.diff(found.hessians)[~still] == 1).all()
    assert (found.radius[1:][still] < found.radius[:-1][still]).all()
    assert (np.diff(found.value) <= 0).all()


@pytest.mark.slow
def test_a_batch_in_single_precision_agrees_with_its_members():
    starts = np.stack([START, -START, np.zeros(5)]).astype(np.float32)
    problems = [rs.Minimize(rosenbrock, x0=jnp.asarray(start), unit=1e3) for start in starts]
    batch = rs.solve_batch(problems, TrustRegion(), rtol=1e-6)
    assert batch.converged.all()
    assert batch.x.dtype == jnp.float32
    one = rs.solve(problems[1], TrustRegion(), rtol=1e-6)
    assert np.allclose(batch.x[1], one.x, atol=1e-4)


def test_bad_parameters_are_refused():
    for given, name in (
        ({"subproblem": "dogleg"}, "subproblem"),
        ({"radius": 0.0}, "radius"),
        ({"inner": 0}, "inner"),
        ({"subproblem": "exact", "inner": 5}, "inner"),
    ):
        with pytest.raises(ValueError, match=VOICE) as caught:
            TrustRegion(**given)
        assert str(caught.value).startswith(name)
    problem = rs.Minimize(rosenbrock, x0=START, second_order=True)
    with pytest.raises(ValueError, match=r"^subproblem: given 'truncated' for second-order points"):
        rs.solve(problem, TrustRegion("truncated"))


@pytest.mark.parametrize("bend", [1e-4, pytest.param(1e-2, marks=pytest.mark.slow)])
def test_negative_curvature_counts_as_much_as_it_is(bend):
    """A share of the largest one, not its square: 1e-4 is no second-order point to 1e-6."""
    problem = rs.Minimize(
        lambda x, b: x[0] ** 2 - b * x[1] ** 2 + b * x[1] ** 4, bend, x0=np.array([1.0, 0.0]),
        second_order=True, unit=1.0,
    )  # fmt: skip
    found = rs.certify(problem, np.zeros(2), rtol=1e-6)
    assert not found.holds
    assert float(found.value) == pytest.approx(2 * bend)
    sol = rs.solve(problem, TrustRegion(), rtol=1e-8)
    assert np.allclose(np.abs(sol.x), [0.0, 0.5**0.5], atol=1e-5)


def humps(x, args):
    """A bowl full of humps, losses whose gradient is never zero for rounding, or a flat minimum."""
    rough, A, large = args
    bowl = jnp.sin(20 * x[0]) ** 2 * jnp.sin(20 * x[1]) ** 2 + 0.05 * (x @ x)
    flat = 1 + ((A @ x) ** 4).sum() + large - large
    return jnp.where(rough, bowl, jnp.where(large > 0, flat, soft(x, (A,))))


def over(rough, large):
    A, start = np.random.default_rng(2).standard_normal((20, 2)), np.array([-506.0, -506.2])
    args = np.array(rough), A, np.array(large)
    return rs.Minimize(humps, args, x0=start if rough else start / 500)


def test_only_steps_without_progress_of_any_kind_end_a_solve():
    """Over the humps f falls at nearly every step, the gradient for thousands of steps at none."""
    assert rs.solve(over(True, 0.0), TrustRegion(), rtol=1e-6).steps > 2000
    sol = rs.solve(over(False, 0.0), TrustRegion(), rtol=0.0, throw=False)
    assert sol.reason is rs.Reason.stalled
    assert sol.certificate.value <= 1e-15
    assert sol.steps <= 1100


def test_gradients_come_down_further_than_differences_of_values_show():
    """Of f nine digits are left where terms cancel, of its gradient all."""
    sol = rs.solve(over(False, 1e7), TrustRegion(), rtol=1e-11)
    assert sol.steps < 40


def scaled(x, c):
    z = x - 1
    return c * (z**2 + z**4).sum()


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(TrustRegion("exact"), id="exact", marks=pytest.mark.slow),
        pytest.param(TrustRegion("truncated"), id="truncated"),
        pytest.param(rs.smooth.PolynomialGradient(0), id="gradient", marks=pytest.mark.slow),
    ],
)
def test_the_unit_of_a_function_is_of_no_importance(method):
    """In single precision too, where products of its slopes with its curvatures vanish."""
    units = 1.0, 2.0**-47
    starts = jnp.array([0.0, 2.5], jnp.float32)
    problems = [rs.Minimize(scaled, jnp.float32(c), x0=starts, convex=True) for c in units]
    one, other = (rs.solve(problem, method, rtol=1e-4) for problem in problems)
    assert one.x.dtype == np.float32
    assert np.allclose(one.x, 1.0, atol=1e-3)
    assert one.steps == other.steps
    assert np.allclose(one.x, other.x, rtol=1e-6)
