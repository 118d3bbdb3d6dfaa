"""Losses with kinks and a ridge: certified by a dual point, compared with solvers of others."""

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linprog, minimize

import resolvent as rs
from resolvent.composite import DualCoordinateDescent
from resolvent.composite.descent.dual_form import DualForm, dual_box

F = rs.functions
LOSSES = [
    F.Hinge(), F.SquaredHinge(), F.SmoothedHinge(0.5), F.Quantile(0.8), F.Huber(0.3),
    F.LeastSquares(),
]  # fmt: skip
each = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def problem_of(loss, ridge=1e-2, n=80, p=6, form="dense"):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, p))
    y = X[:, 0] + 0.7 * rng.standard_normal(n)
    y = np.sign(y) if "Hinge" in type(loss).__name__ else y
    weights = rng.uniform(0, 1, n) if form == "weighted" else None
    X = scipy.sparse.csr_matrix(X) if form == "sparse" else X
    return rs.GeneralizedLinear(X, y, loss, F.SquaredL2(ridge), weights=weights)


@each
@pytest.mark.parametrize("form", ["dense", "sparse", "weighted"])
def test_gaps_close_for_every_loss(loss, form):
    problem = problem_of(loss, form=form)
    sol = rs.solve(problem, DualCoordinateDescent(), rtol=1e-9)
    v, w = sol.witness, sol.x
    X = problem.design.times(np.eye(6))
    # The gap by hand, from the conjugates: nothing can be lower than this bound.
    dual = -(problem.weights @ loss.conjugate(v, problem.y))
    pulled = X.T @ (problem.weights * v)
    dual -= pulled @ pulled / (2 * 1e-2)
    primal = problem.weights @ loss.each(X @ w, problem.y) + 0.5e-2 * (w @ w)
    assert 0 <= primal - dual + 1e-15 <= 1e-9 * problem.unit + 1e-14
    for direction in np.random.default_rng(0).standard_normal((20, 6)):
        other = w + 1e-3 * direction
        moved = problem.weights @ loss.each(X @ other, problem.y) + 0.5e-2 * (other @ other)
        assert moved >= dual


@each
def test_conjugates_are_quadratic_on_their_boxes(loss):
    y = np.array([1.0, -1.0])
    found = dual_box(loss, y)
    assert found is not None
    low, high, bend = found
    for share in (0.0, 0.3, 1.0):
        v = np.clip(low, -3, 3) + share * (np.clip(high, -3, 3) - np.clip(low, -3, 3))
        assert np.allclose(loss.conjugate(v, y), v * y + 0.5 * bend * v * v)
    for end, sign in ((low, -1), (high, 1)):
        bounded = np.isfinite(end)
        beyond = loss.conjugate(np.where(bounded, end, 0.0) + sign * 0.1, y)
        assert np.isinf(beyond[bounded]).all()


def test_quantile_regression_is_a_linear_program_in_the_limit():
    rng = np.random.default_rng(1)
    X, n = rng.standard_normal((60, 3)), 60
    y = X @ [1.0, -2.0, 0.5] + rng.standard_cauchy(60)
    sol = rs.solve(rs.GeneralizedLinear(X, y, F.Quantile(0.7), F.SquaredL2(1e-9)), rtol=1e-9)
    cost = np.concatenate([np.zeros(3), np.full(n, 0.7 / n), np.full(n, 0.3 / n)])
    whole = np.hstack([X, np.eye(n), -np.eye(n)])
    bounds = [(None, None)] * 3 + [(0, None)] * (2 * n)
    found = linprog(cost, A_eq=whole, b_eq=y, bounds=bounds)
    assert np.allclose(sol.x, found.x[:3], atol=1e-6)


def test_the_least_squares_answer_is_that_of_its_system():
    problem = problem_of(F.LeastSquares(), ridge=0.3)
    X, y = problem.design.matrix, problem.y
    exact = np.linalg.solve(X.T @ X / 80 + 0.3 * np.eye(6), X.T @ y / 80)
    for method in (DualCoordinateDescent(), DualCoordinateDescent(accelerated=False)):
        assert np.allclose(rs.solve(problem, method, rtol=1e-13).x, exact, atol=1e-6)


def test_plain_visits_find_the_same_machine():
    problem = problem_of(F.Hinge())
    fast = rs.solve(problem, DualCoordinateDescent(), rtol=1e-8)
    slow = rs.solve(problem, DualCoordinateDescent(accelerated=False), rtol=1e-5)
    assert slow.calls["solve"] == 0
    assert np.allclose(fast.x, slow.x, atol=1e-2 * np.abs(fast.x).max())


def test_visits_and_proximal_steps_never_lower_the_dual_objective():
    for loss in LOSSES:
        form = DualForm(problem_of(loss))
        v = form.inside(np.zeros(80))
        w = form.primal(v)
        for k in range(4):
            before = form.objective(v, w)
            form.visit(np.random.default_rng(k).permutation(80), v, w)
            assert np.allclose(w, form.primal(v), atol=1e-12)
            between = form.objective(v, w)
            assert between >= before - 1e-14
            v, _, _, _ = form.proximal_step(v, w, 0.1)
            w = form.primal(v)
            assert form.objective(v, w) >= between - 1e-14
            assert (v >= form.low).all()
            assert (v <= form.high).all()


def test_a_dual_point_never_worsens_a_certificate():
    problem = problem_of(F.Hinge())
    sol = rs.solve(problem, rtol=1e-8)
    assert isinstance(problem.default_method(), DualCoordinateDescent)
    plain = problem.certify(sol.x)
    assert problem.certify(sol.x, sol.witness).value <= plain.value
    for bad in (np.full(80, np.nan), np.full(80, 9.0)):
        assert problem.certify(sol.x, bad).value == pytest.approx(plain.value)


def test_other_problems_are_refused():
    X, y = np.eye(4), np.array([1.0, -1.0, 1.0, -1.0])
    with pytest.raises(ValueError, match="no SquaredL2 around zero"):
        rs.solve(rs.GeneralizedLinear(X, y, F.Hinge(), F.L1(0.1)), DualCoordinateDescent())
    machine = rs.GeneralizedLinear(X, y, F.Hinge(), F.SquaredL2(0.1), intercept=True)
    with pytest.raises(ValueError, match="intercept"):
        rs.solve(machine, DualCoordinateDescent())
    with pytest.raises(ValueError, match="Logistic has no conjugate"):
        rs.solve(
            rs.GeneralizedLinear(X, y, F.Logistic(), F.SquaredL2(0.1)), DualCoordinateDescent()
        )


def test_smooth_losses_agree_with_a_general_optimizer():
    problem = problem_of(F.SquaredHinge())
    X, y = problem.design.matrix, problem.y

    def objective(w):
        return np.maximum(1 - y * (X @ w), 0) @ np.maximum(1 - y * (X @ w), 0) / 80 + 5e-3 * w @ w

    found = minimize(objective, np.zeros(6), tol=1e-12)
    sol = rs.solve(problem, DualCoordinateDescent(), rtol=1e-12)
    assert np.allclose(sol.x, found.x, atol=1e-4)
    assert objective(sol.x) <= found.fun + 1e-12
