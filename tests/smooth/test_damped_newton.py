"""Damped Newton steps: against the same in NumPy, and against what is true of local norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from smooth.functions import definite, saddle, soft, states

import resolvent as rs
from resolvent.smooth import DampedNewton

VOICE = r"(?s)^.+: given .+; needed .+\. .+"
n = 5
A = np.random.default_rng(2).standard_normal((20, n))
START = np.linspace(1.0, -0.5, n)
SOFT, SQUARE, QUARTIC = np.eye(3)


def mixed(x, args):
    """One function for all tests of a rule, so that its program is compiled once."""
    S, weights, A, b = args
    x = S @ x
    z = A @ x
    parts = soft(x, (A,)), 0.5 * (z @ z) + b @ x, 0.25 * (z**4).sum()
    return sum(w * part for w, part in zip(weights, parts, strict=True))


def problem(weights, S=None, start=START, b=None):
    S, b = np.eye(n) if S is None else S, np.zeros(n) if b is None else b
    return rs.Minimize(mixed, (S, weights, A, b), x0=start, convex=True)


def path(of, rule, steps, **numbers):
    with jax.enable_x64(True):
        return states(of, DampedNewton(rule, **numbers), steps)


def slopes(x):
    """Value, gradient and Hessian of `soft`."""
    z = A @ x
    value = np.log(2 * np.cosh(z)).mean() - 0.3 * x[0]
    gradient = A.T @ np.tanh(z) / len(z) - 0.3 * np.eye(n)[0]
    return value, gradient, (A.T / np.cosh(z) ** 2) @ A / len(z)


def test_universal_steps_are_those_of_the_paper():
    """In NumPy; the test of acceptance gives the decrease that the theory builds on."""
    sigma, beta, growth, x, trials = 0.3, 0.8, 3.0, START, 0
    found = path(problem(SOFT), "universal", 8, sigma=sigma, beta=beta, growth=growth)
    # Further steps begin where rounding decides what is accepted.
    for k in range(5):
        value, gradient, hessian = slopes(x)
        step = np.linalg.solve(hessian, gradient)
        local = np.sqrt(gradient @ step)
        for j in range(50):
            theta = growth**j * sigma * local**beta
            alpha = 1 / (1 + theta)
            later = slopes(x - alpha * step)
            trials += 1
            along, square = later[1] @ step, later[1] @ np.linalg.solve(hessian, later[1])
            if 2 * alpha * theta * along >= square:
                break
        sigma, x = growth ** (j - 1) * sigma, x - alpha * step
        assert np.allclose(found.x[k + 1], x, rtol=1e-9, atol=1e-12)
        assert float(found.alpha[k + 1]) == pytest.approx(alpha)
        assert float(found.sigma[k + 1]) == pytest.approx(sigma)
        assert float(found.decrement[k + 1]) == pytest.approx(0.5 * local**2)
        assert value - later[0] >= alpha * along - 1e-15
        assert alpha * along >= square / (2 * theta) - 1e-15
    assert found.gradients[5] == 1 + trials
    assert found.solves[5] == 5 + trials
    assert trials > 5  # some were refused


RULES = {
    "universal": {}, "root": {"q": 3.5, "M": 1.0}, "greedy": {}, "ratio": {}, "aicn": {"M": 20.0},
}  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [
        rule if rule in ("universal", "root") else pytest.param(rule, marks=pytest.mark.slow)
        for rule in RULES
    ],
)
def test_coordinates_make_no_difference(rule):
    """In others the values along the way are the same."""
    S = definite()[0] / 4 + np.diag(np.arange(n - 1.0), 1)
    one = path(problem(SOFT), rule, 8, **RULES[rule])
    two = path(problem(SOFT, S, np.linalg.solve(S, START)), rule, 8, **RULES[rule])
    assert one.value[0] - one.value[-1] > 0.1
    # Extremes along a line are known to the root of rounding.
    rough = 1e-6 if rule in ("greedy", "ratio") else 1e-10
    assert np.allclose(one.value, two.value, rtol=rough, atol=rough * 1e-2)
    assert np.allclose(one.x, two.x @ S.T, rtol=1e-4, atol=1e-6)


def test_steps_on_quadratics_are_known():
    """A step takes alpha of the way to the minimizer."""
    b = np.arange(1.0, n + 1)
    quadratic = problem(SQUARE, b=b)
    answer = -np.linalg.solve(A.T @ A, b)

    def left(found):
        return np.linalg.norm(found.x - answer, axis=1)

    far = left(path(quadratic, "root", 8, q=2.0, M=0.5))
    assert np.allclose(far[1:] / far[:-1], 1 - 1 / 5.5)
    full = left(path(quadratic, "root", 8, q=3.0, M=0.0))
    assert full[1] <= 1e-12 * full[0]
    found = path(quadratic, "root", 8, q=4.0, M=1e-3)
    local = np.sqrt(2 * found.decrement[1:])
    assert np.allclose(found.alpha[1:], 1 / (1 + (9e-3 * local**2) ** (1 / 3)))
    shares = left(found)[1:4] / left(found)[:3]
    assert np.allclose(shares, 1 - found.alpha[1:4])
    assert 1 - found.alpha[8] < 1e-3


def test_the_best_step_of_a_homogeneous_function_is_found_beyond_one():
    """Of degree 4, Newton's direction is x / 3, and alpha = 3 ends at the minimizer."""
    greedy = path(problem(QUARTIC), "greedy", 3)
    assert float(greedy.alpha[1]) == pytest.approx(3.0, abs=1e-2)
    assert greedy.value[1] <= 1e-9 * greedy.value[0]
    full = path(problem(QUARTIC), "root", 8, q=3.0, M=0.0)
    assert np.allclose(full.x[1:], 2 / 3 * full.x[:-1], rtol=1e-6)
    assert float(path(problem(SQUARE), "greedy", 3).alpha[1]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.slow
def test_the_best_ratio_is_that_of_a_fine_grid():
    found = path(problem(SOFT), "ratio", 3)
    for k in range(2):
        value, gradient, hessian = slopes(found.x[k])
        step = np.linalg.solve(hessian, gradient)

        def ratio(alpha, x=found.x[k], value=value, step=step, hessian=hessian):
            later = slopes(x - alpha * step)
            return (value - later[0]) / (later[1] @ np.linalg.solve(hessian, later[1]))

        best = max(ratio(alpha) for alpha in np.logspace(-4, 1, 2000))
        assert ratio(float(found.alpha[k + 1])) >= 0.99 * best


@pytest.mark.slow
def test_baselines_have_their_own_steps():
    found = path(problem(SOFT), "aicn", 8, M=2.0)
    pull = 2.0 * np.sqrt(2 * found.decrement[1:])
    assert np.allclose(found.alpha[1:], (np.sqrt(1 + 2 * pull) - 1) / pull, rtol=1e-6)
    found = path(problem(SOFT), "regularized", 8, M=2.0, q=3.0)
    _, gradient, hessian = slopes(START)
    shift = np.sqrt(12.0 * np.linalg.norm(gradient))
    step = np.linalg.solve(hessian + shift * np.eye(n), gradient)
    assert np.allclose(found.x[1], START - step)


def test_a_constant_that_is_too_small_shows():
    """Full steps overshoot, and damped ones do not."""
    found = path(problem(SOFT, start=1.5 * START), "root", 8, q=3.0, M=0.0)
    assert found.rises[-1] > 0
    found = path(problem(SOFT, start=1.5 * START), "root", 8, q=3.0, M=30.0)
    assert found.rises[-1] == 0
    assert found.value[-1] < found.value[0] - 0.1


def test_singular_hessians_are_inverted_where_they_can_be():
    def flat(x):
        return jnp.cosh(x[0] + 2 * x[1])

    sol = rs.solve(rs.Minimize(flat, x0=np.ones(2), convex=True), DampedNewton(), rtol=1e-10)
    assert sol.converged
    # The step never leaves the span of (1, 2).
    assert np.allclose(sol.x @ [2.0, -1.0], 1.0)
    assert sol.calls["hessian"] == sol.calls["factorization"] == sol.steps


def test_functions_that_are_not_convex_end_in_words():
    sol = rs.solve(
        rs.Minimize(saddle, x0=np.array([0.1, 1.0])), DampedNewton(), rtol=1e-8, throw=False
    )
    assert sol.reason is rs.Reason.breakdown
    assert not sol.converged
    # Along the one axis on which it can be inverted, the step ends at a saddle.
    bowl = rs.Minimize(lambda x: x[0] ** 2 - x[1] ** 2, x0=np.array([1.0, 1e-9]))
    sol = rs.solve(bowl, DampedNewton("root", M=0.0), throw=False)
    assert sol.reason is rs.Reason.breakdown
    assert not sol.converged
    with pytest.raises(ValueError, match="^second_order: given True") as caught:
        rs.solve(rs.Minimize(saddle, x0=np.ones(2), second_order=True), DampedNewton())
    assert "TrustRegion" in str(caught.value)


BAD = {
    "rule": ({"rule": "armijo"}, "rule"),
    "q": ({"rule": "root", "M": 1.0, "q": 4.5}, "q"),
    "no M": ({"rule": "root"}, "M"),
    "M": ({"rule": "aicn", "M": -1.0}, "M"),
    "beta": ({"beta": 0.5}, "beta"),
    "growth": ({"growth": 1.0}, "growth"),
    "sigma": ({"sigma": 0.0}, "sigma"),
    "ignored M": ({"M": 1.0}, "M"),
    "ignored sigma": ({"rule": "greedy", "sigma": 1.0}, "sigma"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused(case):
    given, name = BAD[case]
    with pytest.raises(ValueError, match=VOICE) as caught:
        DampedNewton(**given)
    assert str(caught.value).startswith(name)


def test_a_constant_may_be_an_array_but_no_text():
    DampedNewton("aicn", M=np.array(2.0))
    with pytest.raises(TypeError, match=r"^q: given str '3'"):
        DampedNewton("root", q="3", M=1.0)
