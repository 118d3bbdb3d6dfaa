"""Linear models: certificates against closed forms and peers, and every kind of data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import minimize
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, PoissonRegressor

import resolvent as rs
from resolvent import functions

N, P = 30, 40


def data(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P))
    return X, X[:, 0] - 2 * X[:, 1] + 0.3 * rng.standard_normal(N)


X, Y = data()
TOP = float(np.abs(X.T @ Y).max()) / N


def solved(*args, rtol=1e-10, method=None, **options):
    return rs.solve(rs.GeneralizedLinear(*args, **options), method, rtol=rtol)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_lasso_agrees_with_scikit_learn(share, intercept):
    sol = solved(X, Y + 3, penalty=functions.L1(share * TOP), intercept=intercept)
    peer = Lasso(share * TOP, fit_intercept=intercept, tol=1e-14, max_iter=100_000).fit(X, Y + 3)
    w, c = sol.x if intercept else (sol.x, 0.0)
    assert np.allclose(w, peer.coef_, atol=1e-6)
    assert c == pytest.approx(peer.intercept_, abs=1e-6)


def test_elastic_net_agrees_with_scikit_learn():
    sol = solved(X, Y, penalty=functions.ElasticNet(0.1, 0.3))
    peer = ElasticNet(0.1, l1_ratio=0.3, fit_intercept=False, tol=1e-14, max_iter=100_000)
    assert np.allclose(sol.x, peer.fit(X, Y).coef_, atol=1e-6)


def test_ridge_logistic_with_weights_agrees_with_scikit_learn():
    weights = np.random.default_rng(1).uniform(0.5, 2.0, N)
    labels = np.where(Y > 0, "up", "down")
    sol = solved(
        X, labels, functions.Logistic(), functions.SquaredL2(0.1), weights=weights, intercept=True
    )
    peer = LogisticRegression(C=1 / (0.1 * weights.sum()), tol=1e-10, max_iter=10_000)
    peer.fit(X, labels, sample_weight=weights)
    assert np.allclose(sol.x[0], peer.coef_[0], atol=1e-5)
    assert sol.x[1] == pytest.approx(peer.intercept_[0], abs=1e-5)


def test_ridge_poisson_agrees_with_scikit_learn():
    counts = np.random.default_rng(1).poisson(np.exp(X[:, 0] / 2))
    sol = solved(X, counts, functions.Poisson(), functions.SquaredL2(0.1), intercept=True)
    peer = PoissonRegressor(alpha=0.1, tol=1e-10, max_iter=10_000).fit(X, counts)
    assert np.allclose(sol.x[0], peer.coef_, atol=1e-5)


LOSSES = {
    "squares": (functions.LeastSquares(), Y),
    "huber": (functions.Huber(0.5), Y),
    "logistic": (functions.Logistic(), Y > 0),
    "squared hinge": (functions.SquaredHinge(), Y > 0),
    "smoothed hinge": (functions.SmoothedHinge(0.5), Y > 0),
    "poisson": (functions.Poisson(), np.random.default_rng(1).poisson(np.exp(X[:, 0] / 2))),
}
PENALTIES = {
    "l1": functions.L1(0.1),
    "elastic": functions.ElasticNet(0.1, 0.5),
    "weighted": functions.WeightedL1(np.linspace(0.05, 0.2, P)),
}


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_gap_bounds_what_any_point_gains(name, intercept):
    """The bound of a bad point is still below the objective of a good one."""
    loss, y = LOSSES[name]
    rng = np.random.default_rng(2)
    for penalty in PENALTIES.values():
        problem = rs.GeneralizedLinear(X, y, loss, penalty, intercept=intercept)
        sol = rs.solve(problem, rtol=1e-10)
        least = float(problem.objective(sol.x))
        for size in (0.0, 0.01, 0.3):
            away = sol.x if not intercept else sol.x[0]
            away = away + size * rng.standard_normal(P)
            point = (away, sol.x[1] + size) if intercept else away
            gap = rs.certify(problem, point).value
            assert gap >= float(problem.objective(point)) - least - 1e-12
            assert np.isfinite(gap)
        assert sol.certificate.kind == "bound"
        assert sol.certificate.value <= 1e-10 * sol.certificate.scale


@pytest.mark.parametrize("penalty", [functions.MCP(0.3, 3.0), functions.SCAD(0.3, 3.7)], ids=str)
@pytest.mark.parametrize("name", ["squares", "logistic", "huber"])
def test_concave_penalties_end_where_no_small_step_gains(name, penalty):
    loss, y = LOSSES[name]
    problem = rs.GeneralizedLinear(X, y, loss, penalty)
    sol = rs.solve(problem, rtol=1e-9)
    assert sol.certificate.name == "distance to stationarity"
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        least = float(problem.objective(sol.x))
        for _ in range(20):
            move = rng.standard_normal(P)
            near = sol.x + 1e-4 * move / np.linalg.norm(move)
            assert float(problem.objective(near)) >= least - 1e-9


def test_weighted_lasso_has_its_gap_in_compiled_programs():
    X, y = np.eye(4, dtype=np.float32), np.array([4.0, -2.0, 0.5, 0.0], np.float32)
    bars = np.array([0.25, 0.5, 0.25, 0.25], np.float32)
    problem = rs.GeneralizedLinear(X, y, penalty=functions.WeightedL1(bars))
    sol = rs.solve(problem, rs.composite.ProximalGradient(), rtol=1e-5)
    assert sol.certificate.kind == "bound"
    assert np.allclose(sol.x, [3.0, 0.0, 0.0, 0.0], rtol=0, atol=2e-2)


def test_nonnegative_least_squares_agrees_with_scipy():
    target = X @ np.abs(np.linspace(-1, 1, P))
    sol = solved(X, target, penalty=functions.Nonnegative(), rtol=1e-9)
    assert sol.x.min() >= 0
    residual = X @ sol.x - target
    slope = X.T @ residual / N
    assert np.abs(np.minimum(sol.x, slope)).max() <= 1e-6


@pytest.mark.parametrize("model", ["gram", "columns"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_matrix])
@pytest.mark.parametrize("intercept", [False, True])
def test_models_agree(model, form, intercept):
    method = rs.composite.CoordinateDescent(first=5, model=model)
    for loss, y in (LOSSES["squares"], LOSSES["logistic"]):
        options = {"penalty": functions.ElasticNet(0.05, 0.9), "intercept": intercept}
        sol = solved(form(X), y, loss, method=method, **options)
        other = solved(X, y, loss, **options)
        pairs = zip(*(jax.tree_util.tree_leaves(s.x) for s in (sol, other)), strict=True)
        assert all(np.allclose(one, two, atol=1e-6) for one, two in pairs)


def test_plain_descent_finds_the_same():
    sol = solved(
        X, Y, penalty=functions.L1(0.1), rtol=1e-8,
        method=rs.composite.CoordinateDescent(accelerated=False),
    )  # fmt: skip
    assert sol.calls["solve"] == 0
    assert np.allclose(sol.x, solved(X, Y, penalty=functions.L1(0.1)).x, atol=1e-5)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_forms_and_precisions(form, dtype):
    whole = np.round(4 * X).astype(dtype)
    matrix = scipy.sparse.csr_matrix(whole).asformat(form)
    sol = solved(matrix, Y, penalty=functions.L1(0.3), rtol=1e-5)
    assert isinstance(sol.x, np.ndarray)
    assert sol.x.dtype == (np.float32 if dtype == np.float32 else np.float64)
    dense = solved(whole.astype(float), Y, penalty=functions.L1(0.3))
    assert np.allclose(sol.x, dense.x, atol=1e-2)


def test_traced_methods_take_sparse_matrices():
    problem = rs.GeneralizedLinear(scipy.sparse.csr_matrix(X), Y, penalty=functions.L1(0.1))
    sol = rs.solve(problem, rs.composite.ProximalGradient(), rtol=1e-8)
    assert np.allclose(sol.x, solved(X, Y, penalty=functions.L1(0.1)).x, atol=1e-4)


def test_several_classes():
    classes = np.argmax(X[:, :3], axis=1)
    sol = solved(
        X, classes, functions.MulticlassLogistic(), functions.L1(0.05), intercept=True, rtol=1e-6
    )
    assert sol.x[0].shape == (P, 3)
    assert sol.certificate.name == "duality gap"
    problem = rs.GeneralizedLinear(
        X, classes, functions.MulticlassLogistic(), functions.L1(0.05), intercept=True
    )
    worse = tuple(part + 0.1 for part in sol.x)
    with jax.enable_x64(True):
        gained = float(problem.objective(worse) - problem.objective(sol.x))
    assert rs.certify(problem, worse).value >= gained


def test_groups_are_zero_together():
    groups = np.repeat(np.arange(8), 5)
    sol = solved(X, Y, penalty=functions.GroupL2(groups, 0.1), rtol=1e-6)
    alive = np.abs(sol.x.reshape(8, 5)) > 0
    assert (alive.all(axis=1) == alive.any(axis=1)).all()
    assert not alive.all()


class TestDegenerateData:
    def test_above_the_largest_penalty_zero_is_certified_at_once(self):
        sol = solved(X, Y, penalty=functions.L1(1.001 * TOP))
        assert sol.steps == 0
        assert not sol.x.any()

    def test_constant_and_zero_columns(self):
        wide = np.c_[X, np.zeros(N), np.ones(N)]
        sol = solved(wide, Y + 3, penalty=functions.L1(0.1), intercept=True)
        assert sol.x[0][P] == 0
        assert sol.x[0][P + 1] == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix])
    def test_nothing_but_zeros(self, form):
        sol = solved(form(0 * X), Y, penalty=functions.L1(0.1))
        assert not sol.x.any()
        assert solved(X, 0 * Y, penalty=functions.L1(0.1)).steps == 0

    def test_one_sample_and_one_feature(self):
        assert solved(X[:1], Y[:1], penalty=functions.L1(0.01)).converged
        sol = solved(X[:, :1], Y, penalty=functions.L1(0.1))
        slope = X[:, 0] @ Y / N
        assert sol.x[0] == pytest.approx(
            np.sign(slope) * max(abs(slope) - 0.1, 0) / (X[:, 0] @ X[:, 0] / N), rel=1e-6
        )

    def test_twice_the_same_columns(self):
        sol = solved(np.c_[X, X], Y, penalty=functions.L1(0.1))
        once = solved(X, Y, penalty=functions.L1(0.1))
        assert np.allclose(sol.x[:P] + sol.x[P:], once.x, atol=1e-5)

    @pytest.mark.parametrize("method", ["CoordinateDescent", "ProximalGradient"])
    @pytest.mark.parametrize("intercept", [False, True])
    def test_separable_classes_without_penalty_are_never_solved(self, method, intercept):
        problem = rs.GeneralizedLinear(
            X, np.sign(X[:, 0]), functions.Logistic(), intercept=intercept
        )
        sol = rs.solve(problem, getattr(rs.composite, method)(), throw=False, max_steps=500)
        assert sol.reason is rs.Reason.diverged
        far = 1e3 * np.eye(P)[0]
        assert not rs.certify(problem, (far, 0.0) if intercept else far).holds

    def test_classes_that_overlap_need_no_penalty(self):
        few = X[:, :2]
        sol = solved(few, np.sign(X[:, 3]), functions.Logistic(), rtol=1e-8)
        peer = minimize(
            lambda w: np.logaddexp(0, -np.sign(X[:, 3]) * (few @ w)).mean(), np.zeros(2), tol=1e-12
        )
        assert np.allclose(sol.x, peer.x, atol=1e-5)


@pytest.mark.slow
def test_derivatives_along_the_penalty():
    """On a fixed support and signs the answer is linear in the penalty's weight."""

    def first(weight):
        problem = rs.GeneralizedLinear(jnp.asarray(X), jnp.asarray(Y), penalty=functions.L1(weight))
        return rs.solve(problem, rs.composite.ProximalGradient(), rtol=1e-13).x[0]

    with jax.enable_x64(True):
        slope = float(jax.grad(first)(0.5))
    on = np.flatnonzero(solved(X, Y, penalty=functions.L1(0.5)).x)
    signs = np.sign(solved(X, Y, penalty=functions.L1(0.5)).x[on])
    expected = -np.linalg.solve(X[:, on].T @ X[:, on] / N, signs)
    assert slope == pytest.approx(expected[0], rel=1e-4)


BAD = {
    "shapes": ((X, Y[:5]), {}, ValueError, "one target a row"),
    "a vector for a matrix": ((X[0], Y), {}, ValueError, "samples, features"),
    "nan in X": ((np.where(X > 2, np.nan, X), Y), {}, ValueError, "finite"),
    "nan in y": ((X, np.where(Y > 1, np.nan, Y)), {}, ValueError, "finite"),
    "nan in a sparse X": (
        (scipy.sparse.csr_matrix(np.where(X > 2, np.nan, X)), Y), {}, ValueError, "finite",
    ),
    "one class": ((X, np.ones(N), functions.Logistic()), {}, ValueError, "two"),
    "three classes": ((X, np.arange(N) % 3, functions.Logistic()), {}, ValueError, "two"),
    "negative weights": ((X, Y), {"weights": -np.ones(N)}, ValueError, "weight >= 0"),
    "weights of zero": ((X, Y), {"weights": np.zeros(N)}, ValueError, "weight >= 0"),
    "another number of weights": ((X, Y), {"weights": np.ones(3)}, ValueError, "samples"),
    "a penalty for a loss": ((X, Y, functions.L1(1.0)), {}, TypeError, "Loss"),
    "a number for a penalty": ((X, Y), {"penalty": 0.1}, TypeError, "Function"),
    "groups that do not fit": (
        (X, Y), {"penalty": functions.GroupL2([0, 0, 1])}, ValueError, "group",
    ),
    "complex data": ((X * 1j, Y), {}, TypeError, "real"),
    "another start": ((X, Y), {"start": np.ones(3)}, ValueError, "shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_refused_in_words(name):
    args, options, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        rs.GeneralizedLinear(*args, **options)


def test_methods_say_what_they_need():
    descent, gradient = rs.composite.CoordinateDescent(), rs.composite.ProximalGradient()
    with pytest.raises(ValueError, match="no sum over coordinates"):
        rs.solve(rs.GeneralizedLinear(X, Y, penalty=functions.L2(0.1)), descent)
    with pytest.raises(ValueError, match="no derivative"):
        rs.solve(rs.GeneralizedLinear(X, Y, functions.Quantile(0.5)), gradient)
    with pytest.raises(ValueError, match="second derivative"):
        rs.solve(rs.GeneralizedLinear(X, Y > 0, functions.Hinge()), descent)
    with pytest.raises(ValueError, match="not convex"):
        rs.solve(rs.GeneralizedLinear(X, Y, penalty=functions.MCP(0.1, 3.0)), gradient)
    with pytest.raises(TypeError, match="does not solve"):
        rs.solve(rs.Composite(lambda x: x @ x, start=np.ones(3)), descent)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_targets_whose_loss_vanishes_or_overflows_are_refused(unit):
    y = unit * np.array([1.0, -2.0, 3.0])
    with pytest.raises(ValueError, match="Divide y by its largest entry"):
        rs.GeneralizedLinear(np.eye(3), y, penalty=rs.functions.L1(0.1 * unit))
    # Zeros are no such targets, nor is one that has no weight.
    zeros, weights = np.array([0.0, 0.0, unit]), np.array([1.0, 1.0, 0.0])
    penalty = rs.functions.L1(0.1 * unit)
    if unit < 1:
        rs.GeneralizedLinear(np.eye(3), zeros, penalty=penalty, weights=weights)
    problem = rs.GeneralizedLinear(np.eye(3), 0 * y, penalty=penalty)
    assert rs.solve(problem).converged
