"""Cross-validation along the iterations: what it must equal, and what it refuses."""

import numpy as np
import pytest
import scipy.sparse

import resolvent as rs
from resolvent import functions
from resolvent.composite import approximate_cross_validate

RNG = np.random.default_rng(7)
N, P = 16, 3
X = RNG.standard_normal((N, P))
Y = X @ [1.0, -2.0, 0.5] + 0.3 * RNG.standard_normal(N)
X[1], Y[1] = X[0], Y[0]  # twice the same sample
SIGNS = np.where(Y + RNG.standard_normal(N) > 0, 1.0, -1.0)
SIGNS[1] = SIGNS[0]
WEIGHTS = np.append([2.0, 2.0], RNG.uniform(0.5, 1.5, N - 2))
WEIGHTS[5] = 0.0


def least_squares(penalty=None, **given):
    return rs.GeneralizedLinear(X, Y, penalty=penalty, **given)


def logistic(penalty=None, **given):
    return rs.GeneralizedLinear(X, SIGNS, functions.Logistic(), penalty, **given)


def without(problem, left_out):
    """The problem with weights of zero."""
    weights = np.array(problem.weights)
    weights[left_out] = 0.0
    return problem.reweighted(weights)


def test_quadratic_losses_are_exact_at_every_step():
    problem = least_squares(functions.SquaredL2(0.1), intercept=True, weights=WEIGHTS)
    found = approximate_cross_validate(problem, 30, step_size=0.2, exact=N)
    assert found.steps.tolist() == list(range(31))
    assert found.exact.distances["iterative"].max() < 1e-13
    assert found.exact.distances["training"][-1] > 1e-3
    assert np.allclose(found.losses, found.exact.losses, rtol=1e-13)
    assert np.allclose(found.exact.estimates["training"], found.training, rtol=1e-13)
    assert (
        found.losses[0]
        == found.training[0]
        == pytest.approx(np.average(Y * Y, weights=WEIGHTS) / 2)
    )
    # The same steps on the problem that cross_validate would solve without this sample.
    w, c = np.zeros(P), 0.0
    one = without(problem, 3)
    for _ in range(30):
        slope = one.slope((w, c))[1]
        w, c = w - 0.2 * (slope[0] + 0.1 * w), c - 0.2 * slope[1]
    assert np.allclose(found.left_out[0][3], w, rtol=1e-12)
    assert found.left_out[1][3] == pytest.approx(c, rel=1e-12)
    # Equal samples, and one without weight.
    assert np.allclose(found.left_out[0][0], found.left_out[0][1], rtol=1e-13)
    assert np.allclose(found.left_out[0][5], found.x[0], rtol=1e-13)
    assert not found.diverged
    # Steps that are too long.
    wild = approximate_cross_validate(problem, 30, step_size=20.0, exact=N)
    assert wild.diverged
    assert wild.curvatures[-1] > 2
    assert wild.deviations[-1] > 1e6
    assert wild.best == 0
    overflowed = approximate_cross_validate(problem, 30, step_size=1e30, exact=N)
    assert overflowed.diverged
    assert not np.isfinite(overflowed.losses[-1])
    assert overflowed.best_step == overflowed.one_standard_error == 0


def test_least_squares_end_at_the_leverages():
    # With orthogonal features the run ends soon, and so do those without a sample.
    Q = np.linalg.qr(np.column_stack([np.ones(N), X]))[0][:, 1:] * N**0.5
    problem = rs.GeneralizedLinear(Q, Y, penalty=functions.SquaredL2(1e-15), intercept=True)
    found = approximate_cross_validate(problem, 30, step_size=1.2, exact=N)
    leverage = (1 + (Q * Q).sum(axis=1)) / N
    left_out = (Y - Y.mean() - Q @ (Q.T @ Y) / N) / (1 - leverage)
    assert found.losses[-1] == pytest.approx((left_out**2).mean() / 2, rel=1e-8)
    error = (left_out**2 / 2).std() / N**0.5
    assert found.standard_errors[-1] == pytest.approx(error, rel=1e-8)


def test_folds_with_a_proximal_step_follow_their_own_runs():
    penalty, one, two = functions.L1(0.2), 0, 2
    found = approximate_cross_validate(
        least_squares(penalty), 40, step_size=0.3, folds=4, exact=[one, two], every=10, key=3,
        baselines=("newton", "jackknife"),
    )  # fmt: skip
    assert found.steps.tolist() == [0, 10, 20, 30, 40]
    assert found.left_out.shape == (4, P)
    tests = np.array_split(np.random.default_rng(3).permutation(N), 4)
    held = 0.0
    for k in (one, two):
        smooth, x = without(least_squares(), tests[k]), np.zeros(P)
        for _ in range(40):
            x = penalty.prox(x - 0.3 * smooth.slope(x)[1], 0.3)
        assert np.allclose(found.left_out[k], x, rtol=1e-12)
        held += ((X[tests[k]] @ x - Y[tests[k]]) ** 2).sum() / 2
    assert found.exact.losses[-1] == pytest.approx(held / 8, rel=1e-12)
    assert found.exact.distances["iterative"].max() < 1e-13
    # The penalized models of Newton steps are the folds' own problems.
    own = [rs.solve(without(least_squares(penalty), test), rtol=1e-13).x for test in tests]
    held = sum(((X[test] @ x - Y[test]) ** 2).sum() for test, x in zip(tests, own, strict=True))
    assert found.baselines["newton"] == pytest.approx(np.full(5, held / 2 / N), rel=1e-8)
    assert abs(found.baselines["jackknife"][-1] / (held / 2 / N) - 1) > 1e-4


def test_a_run_that_converges_ends_at_newton_steps():
    problem = logistic(functions.SquaredL2(0.3), weights=WEIGHTS)
    found = approximate_cross_validate(
        problem, 1500, step_size=2.0, every=1500, baselines=("newton", "jackknife"), exact=[4]
    )
    assert max(found.residuals[-1], found.gradients[-1]) < 1e-12
    assert found.losses[-1] == pytest.approx(found.baselines["newton"][-1], rel=1e-12)
    shares = WEIGHTS / WEIGHTS.sum()

    def models(x):
        """The gradients of what is left of each sample's problem, and their parts' curvatures."""
        bends = shares * problem.loss.curvature(X @ x, SIGNS)
        slopes = shares * problem.loss.slope(X @ x, SIGNS)
        scales = 1 / (1 - shares[:, None])
        return scales * (slopes @ X - slopes[:, None] * X) + 0.3 * x, bends

    def newton_step(x, i):
        slopes, bends = models(x)
        rest = np.arange(N) != i
        hessian = (X[rest].T * bends[rest]) @ X[rest] / shares[rest].sum() + 0.3 * np.eye(P)
        return x - np.linalg.solve(hessian, slopes[i])

    assert np.allclose(found.left_out[4], newton_step(found.x, 4), rtol=1e-10)
    slopes, bends = models(found.x)
    jackknife = found.x - np.linalg.solve((X.T * bends) @ X + 0.3 * np.eye(P), slopes.T).T
    losses = problem.loss.each((X * jackknife).sum(axis=1), SIGNS)
    assert found.baselines["jackknife"][-1] == pytest.approx(shares @ losses, rel=1e-10)
    # The true run without the sample ends where Newton's method does.
    x = found.x
    for _ in range(20):
        x = newton_step(x, 4)
    away = np.linalg.norm(found.left_out[4] - x)
    assert found.exact.distances["iterative"][-1] == pytest.approx(away, rel=1e-6)
    assert 1e-6 < away < 0.1 * found.exact.distances["training"][-1]
    assert found.exact.losses[-1] == pytest.approx(
        np.logaddexp(0, -SIGNS[4] * X[4] @ x), rel=1e-10
    )  # fmt: skip
    # Without curvature along some direction there is no Newton step.
    flat = rs.GeneralizedLinear(
        X[:, [0, 1, 1]], SIGNS, problem.loss, functions.SquaredL2(1e-300), weights=WEIGHTS
    )
    found = approximate_cross_validate(
        flat, 1500, step_size=2.0, every=1500, baselines=("newton", "jackknife"), exact=[4]
    )
    assert np.isnan([*found.baselines.values()]).all()
    assert np.isfinite(found.losses).all()


def test_samples_of_no_batch_leave_no_trace():
    batches = 1 + RNG.integers(0, N - 1, (25, 4))  # never the first one, some twice
    batches[3] = 7  # of which nothing is left without it
    found = approximate_cross_validate(
        least_squares(), 25, step_size=0.1, batch=batches, exact=N
    )  # fmt: skip
    assert np.array_equal(found.left_out[0], found.x)
    assert found.exact.distances["iterative"].max() < 1e-13
    assert found.deviations[-1] > 1e-3
    x = np.zeros(P)
    for rows in batches:
        rows = rows[rows != 9]
        x = x - 0.1 * (X[rows].T @ (X[rows] @ x - Y[rows]) / max(rows.size, 1))
    assert np.allclose(found.left_out[9], x, rtol=1e-12)


@pytest.mark.slow
def test_drawn_batches_in_single_precision():
    problem = rs.GeneralizedLinear(
        X.astype(np.float32), Y.astype(np.float32), functions.Huber(1.0)
    )  # fmt: skip
    found, same, other = (
        approximate_cross_validate(problem, 20, batch=6, every=5, exact=2, key=key)
        for key in (1, 1, 2)
    )
    assert found.losses.dtype == found.left_out.dtype == np.float32
    assert np.array_equal(found.left_out, same.left_out)
    assert not np.array_equal(found.x, other.x)
    assert len(found.exact.folds) == 2
    assert found.exact.distances["iterative"][-1] < found.exact.distances["training"][-1]


def result(losses, errors=None, curvature=1.0):
    k = len(losses)
    one = np.ones(k)
    return rs.composite.ApproximateCrossValidation(
        5 * np.arange(k), np.array(losses), 0.1 * one if errors is None else np.array(errors),
        np.linspace(1.0, 0.0, k), one, one, one, curvature * one, {"newton": one}, None, None, None,
    )  # fmt: skip


def test_where_to_stop_and_the_picture(tmp_path):
    found = result([1.0, 0.55, 0.5, np.nan, 0.8])
    assert (found.best, found.best_step, found.one_standard_error) == (2, 10, 1)
    assert found.diverged
    found = result([1.0, 0.65, 0.5, 0.7])
    assert (found.one_standard_error, found.diverged, len(found)) == (2, False, 4)
    assert result([1.0, 0.5], curvature=2.1).diverged
    assert found.summary()["best_step"] == 10
    assert repr(found) == "ApproximateCrossValidation(least loss 0.5 at step 10 of 15)"
    axes = found.plot(path=str(tmp_path / "losses.png"))
    assert (tmp_path / "losses.png").stat().st_size > 1000
    assert [line.get_label() for line in axes.lines] == ["left out", "training", "newton", "least"]
    assert found.plot(ax=axes) is axes


HALVES = [(np.arange(8), np.arange(8, N)), (np.arange(8, N), np.arange(8))]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": 0}, "integer >= 1"),
        ({"steps": 10, "every": 3}, "Take 9 steps"),
        ({"step_size": -1.0}, "one positive number"),
        ({"step_size": np.ones(3)}, "shape"),
        ({"step_size": np.nan}, "not finite"),
        ({"folds": 1}, "integer >= 2"),
        ({"folds": N + 1}, "at most one fold a sample"),
        ({"folds": HALVES[:1]}, "each sample in one test part"),
        ({"folds": [*HALVES, HALVES[0]]}, "each sample in one test part"),
        ({"folds": [(np.arange(7), HALVES[0][1]), HALVES[1]]}, "each sample in one test part"),
        ({"batch": 0}, "integer >= 1"),
        ({"batch": N + 1}, "at most all"),
        ({"batch": np.zeros((2, 3), int)}, "indices"),
        ({"batch": np.full((1000, 2), N)}, "whole numbers from 0 to 15"),
        ({"exact": N + 1}, "at most all"),
        ({"exact": [0, 0]}, "different ones"),
        ({"exact": [N]}, "whole numbers from 0 to 15"),
        ({"exact": [0.5]}, "whole numbers"),
        ({"baselines": ("newton", "jacknife")}, "'jacknife'"),
    ],
)
def test_bad_options_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        approximate_cross_validate(least_squares(), **given)


def test_problems_that_cannot_be_followed_are_refused():
    with pytest.raises(TypeError, match="GeneralizedLinear"):
        approximate_cross_validate(rs.LinearSeparation(X, SIGNS))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="toarray"):
        approximate_cross_validate(rs.GeneralizedLinear(scipy.sparse.csr_matrix(X), Y))
    with pytest.raises(ValueError, match="second derivatives"):
        approximate_cross_validate(rs.GeneralizedLinear(X, SIGNS, functions.Hinge()))
    with pytest.raises(ValueError, match="no bound"):
        approximate_cross_validate(rs.GeneralizedLinear(X, Y * Y, functions.Poisson()))
    with pytest.raises(ValueError, match="another one"):
        approximate_cross_validate(rs.GeneralizedLinear(X[:1], Y[:1]))
    with pytest.raises(ValueError, match="all the weight"):
        approximate_cross_validate(least_squares(weights=np.eye(N)[0]))
