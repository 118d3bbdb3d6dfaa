"""ALPD and its variants: the bound of the gap at every N, limits that are known, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import resolvent as rs
from resolvent.functions import Box, Nonnegative, SquaredL2
from resolvent.inclusion import AcceleratedPrimalDual

VOICE = r"(?s)^.+: given .+; needed .+\. .+"


def quadratic(x, args):
    H, h, _, _ = args
    return 0.5 * x @ H @ x + h @ x


def constraint(x, y, args):
    _, _, A, b = args
    return y @ (A @ x - b)


def data(n=20, m=10, condition=1000.0):
    """The card's penalized quadratic program, smaller."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = basis @ np.diag(condition * (np.arange(1, n + 1) / n) ** 6) @ basis.T
    h = rng.standard_normal(n)
    A = rng.standard_normal((m, n))
    return H, h, A / np.linalg.norm(A, 2), 0.1 * rng.standard_normal(m)


MU = 0.1
H, LINEAR, A, OFFSET = DATA = data()
SMOOTH, COUPLED = float(np.linalg.norm(H, 2)), 1.0
START = np.zeros(20), np.zeros(10)


def penalized(**changes):
    options = {"smooth": SMOOTH, "coupled": COUPLED} | changes
    return rs.CompositeSaddlePoint(
        quadratic, constraint, Box(-1.0, 1.0), SquaredL2(MU, domain=Nonnegative()), start=START,
        args=DATA, **options,
    )  # fmt: skip


def primal(x):
    """f + ||max(c, 0)||^2 / (2 mu)."""
    return 0.5 * x @ H @ x + LINEAR @ x + (np.maximum(A @ x - OFFSET, 0) ** 2).sum() / (2 * MU)


@pytest.fixture(scope="module")
def best():
    def slope(x):
        return H @ x + LINEAR + A.T @ np.maximum(A @ x - OFFSET, 0) / MU

    found = minimize(
        primal, START[0], jac=slope, bounds=[(-1, 1)] * 20, method="L-BFGS-B",
        options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 100_000},
    )  # fmt: skip
    return found.x, found.fun


def run(method, steps, problem=None):
    problem = penalized() if problem is None else problem
    return rs.solve(problem, method, rtol=0.0, atol=1e-300, max_steps=steps, throw=False)


C = 2 * SMOOTH + 2 * COUPLED**2 / MU


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 10, 30, 100, 1000])
def test_gap_keeps_its_bound_at_every_horizon(best, steps):
    answer, least = best
    sol = run(AcceleratedPrimalDual(), steps)
    bound = C * (answer @ answer) / (steps * (steps + 1))
    assert -1e-9 <= primal(sol.x[0]) - least <= bound


def test_linearized_steps_are_the_slower_ones(best):
    answer, least = best
    steps = 1000
    fast = primal(run(AcceleratedPrimalDual(), steps).x[0]) - least
    slow = primal(run(AcceleratedPrimalDual("linearized", steps), steps).x[0]) - least
    c = steps * SMOOTH + 2 * COUPLED**2 / MU
    assert slow <= c * (answer @ answer) / (steps * (steps + 1))
    assert slow > 20 * fast


def reference(steps, c, slope_at_mean=True):
    """The iteration as the paper writes it, in NumPy."""
    x, y = START
    mean_x, mean_y, turn, before = x, y, A @ x - OFFSET, A @ x - OFFSET
    for k in range(1, steps + 1):
        theta, beta, weight = (k - 1) / k, 2 / (k + 1), MU * (k - 1) / 2
        v = (1 + theta) * turn - theta * before
        y = np.maximum((weight * y + v) / (weight + MU), 0)
        z = (1 - beta) * mean_x + beta * x if slope_at_mean else x
        x = np.clip(x - k / c * (H @ z + LINEAR + A.T @ y), -1, 1)
        before, turn = turn, A @ x - OFFSET
        mean_x, mean_y = (1 - beta) * mean_x + beta * x, (1 - beta) * mean_y + beta * y
    return (x, y), (mean_x, mean_y)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3, 40])
def test_points_are_those_of_the_formulas(steps):
    last, mean = reference(steps, C)
    for which, expected in ((True, last), (False, mean)):
        sol = run(AcceleratedPrimalDual(last=which), steps)
        start = rs.certify(penalized(), START).value
        if rs.certify(penalized(), expected).value <= start:
            for part, known in zip(sol.x, expected, strict=True):
                assert np.allclose(part, known, rtol=1e-10, atol=1e-12)
    c = 40 * SMOOTH + 2 * COUPLED**2 / MU
    _, mean = reference(steps, c, slope_at_mean=False)
    sol = run(AcceleratedPrimalDual("linearized", 40), steps)
    if rs.certify(penalized(), mean).value <= start:
        assert np.allclose(sol.x[0], mean[0], rtol=1e-10, atol=1e-12)


def test_without_coupling_it_is_an_accelerated_gradient_method():
    """f alone: the bound 2 L ||x_0 - x*||^2 / (N (N + 1))."""
    problem = rs.CompositeSaddlePoint(
        quadratic, lambda x, y, args: 0.0 * y.sum(), None, SquaredL2(1.0), start=START, args=DATA,
        smooth=SMOOTH, coupled=1e-9,
    )  # fmt: skip
    answer = -np.linalg.solve(H, LINEAR)
    for steps in (10, 100, 1000):
        x = run(AcceleratedPrimalDual(), steps, problem).x[0]
        gap = 0.5 * (x - answer) @ H @ (x - answer)
        assert gap <= 2.000001 * SMOOTH * (answer @ answer) / (steps * (steps + 1))


def test_bilinear_gap_falls_like_the_square(best):
    """f = 0: min over a box of max of y.(A x - b) - mu ||y||^2 / 2."""
    problem = rs.CompositeSaddlePoint(
        lambda x, args: 0.0 * x.sum(), constraint, Box(-1.0, 1.0), SquaredL2(MU), start=START,
        args=DATA, smooth=1e-9, coupled=COUPLED,
    )  # fmt: skip
    for steps in (10, 100, 1000):
        x = run(AcceleratedPrimalDual(), steps, problem).x[0]
        gap = ((A @ x - OFFSET) ** 2).sum() / (2 * MU)
        assert gap <= 2 / MU * 20 / (steps * (steps + 1))


def curved(x, y, args):
    B, a = args
    return y @ (0.5 * jnp.einsum("i,kij,j->k", x, B, x) + a @ x - 0.3)


def nonlinear(**changes):
    rng = np.random.default_rng(1)
    roots = rng.standard_normal((3, 8, 8))
    B = np.einsum("kij,klj->kil", roots, roots)
    B *= 50.0 / np.linalg.norm(B, 2, axis=(1, 2))[:, None, None]
    a = rng.standard_normal((3, 8))
    reach = np.sqrt(8.0)
    constants = {
        "smooth": 4.0, "curved": 2 * np.sqrt(3) * 50.0,
        "coupled": float(np.linalg.norm([50 * reach + np.linalg.norm(row) for row in a])),
    } | changes  # fmt: skip
    return rs.CompositeSaddlePoint(
        lambda x, args: 2.0 * ((x - 1.0) ** 2).sum(), curved, Box(-1.0, 1.0),
        SquaredL2(1.0, domain=Box(0.0, 2.0)), start=(np.zeros(8), np.zeros(3)), args=(B, a),
        **constants,
    )  # fmt: skip


@pytest.mark.slow
def test_inexact_steps_need_fewer_gradients_of_f():
    problem = nonlinear()
    exact = rs.solve(problem, rs.inclusion.Extragradient(), rtol=1e-9)

    def far(x):
        return float(np.linalg.norm(x[0] - exact.x[0]))

    steps = 300
    plain = run(AcceleratedPrimalDual(horizon=steps), steps, problem)
    inexact = run(AcceleratedPrimalDual("inexact"), steps, problem)
    assert plain.calls["gradient"] == inexact.calls["gradient"] == 2 * steps + 1
    assert inexact.calls["coupling"] > plain.calls["coupling"] == 4 * steps + 3
    assert far(inexact.x) < far(plain.x)


def test_horizon_is_asked_for_where_steps_depend_on_it():
    with pytest.raises(ValueError, match=VOICE):
        rs.solve(penalized(), AcceleratedPrimalDual("linearized"))
    with pytest.raises(ValueError, match=VOICE):
        rs.solve(nonlinear(), AcceleratedPrimalDual())
    for bad in (0, -3):
        with pytest.raises(ValueError, match=VOICE):
            AcceleratedPrimalDual(horizon=bad)
        with pytest.raises(ValueError, match=VOICE):
            AcceleratedPrimalDual(inner_steps=bad)
    with pytest.raises(ValueError, match=VOICE):
        AcceleratedPrimalDual("faster")


def test_constants_are_estimated_where_they_are_missing():
    problem = penalized(smooth=None, coupled=None)
    with jax.enable_x64(True):
        ready = problem.prepare("traced")
        smooth, coupled, spent = ready.constants(tuple(map(jnp.asarray, START)))
    assert SMOOTH <= float(smooth) <= 1.15 * SMOOTH
    assert COUPLED <= float(coupled) <= 1.15 * COUPLED
    assert spent == 90
    sol = run(AcceleratedPrimalDual(), 5, problem)
    assert sol.calls == {"coupling": 23, "derivative": 90, "gradient": 11}


def test_a_constant_that_is_too_small_is_never_a_success():
    problem = penalized(smooth=SMOOTH / 1000)
    sol = rs.solve(problem, AcceleratedPrimalDual(), max_steps=2000, throw=False)
    assert sol.certificate.value == pytest.approx(
        rs.certify(penalized(), sol.x).value, rel=1e-9
    )  # fmt: skip
    assert not sol.converged


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"smooth": -1.0}, ValueError), ({"coupled": np.nan}, ValueError),
     ({"curved": -1.0}, ValueError), ({"convexity": 0.0}, ValueError)],
    ids=str,
)  # fmt: skip
def test_constants_that_are_none_are_refused(changes, kind):
    with pytest.raises(kind, match=VOICE):
        penalized(**changes)


def test_a_term_that_is_not_strongly_convex_is_refused():
    with pytest.raises(ValueError, match="strong convexity"):
        rs.CompositeSaddlePoint(quadratic, constraint, None, Nonnegative(), start=START, args=DATA)
    with pytest.raises(ValueError, match=VOICE):
        rs.CompositeSaddlePoint(quadratic, constraint, None, SquaredL2(1.0), start=START[0])
