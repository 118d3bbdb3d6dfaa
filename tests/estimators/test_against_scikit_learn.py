"""Answers beside those of scikit-learn and of SciPy for the same objectives."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from sklearn import linear_model
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold

from resolvent.estimators import (
    ElasticNet,
    GroupLasso,
    HuberRegression,
    Lasso,
    LassoCV,
    LogisticRegression,
    MCPRegression,
    SparseLogisticCV,
)

TIGHT = 1e-12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 12)) + np.arange(12) / 4
Y = 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 5] + RNG.standard_normal(60) + 3
LABELS = np.where(X[:, 0] - X[:, 2] + RNG.standard_normal(60) > 0, "yes", "no")
WEIGHTS = RNG.integers(0, 4, 60).astype(float)


def agree(ours, theirs, atol=1e-6):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=atol)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=10 * atol)
    assert ours.certificate_.holds


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_lasso_and_elastic_net(kind, weights, intercept):
    options = {"fit_intercept": intercept, "tol": TIGHT}
    data = kind(X), Y, weights
    peer = {**options, "max_iter": 100_000}
    ours = Lasso(0.2, **options).fit(*data)
    agree(ours, linear_model.Lasso(0.2, **peer).fit(*data))
    assert ours.dual_gap_ == ours.certificate_.value
    ours = ElasticNet(0.3, l1_ratio=0.6, **options).fit(*data)
    agree(ours, linear_model.ElasticNet(0.3, l1_ratio=0.6, **peer).fit(*data))


def test_elastic_net_at_its_ends():
    n = len(Y)
    ridge = ElasticNet(0.3, l1_ratio=0.0, tol=TIGHT).fit(X, Y)
    agree(ridge, linear_model.Ridge(0.3 * n).fit(X, Y))
    agree(ElasticNet(0.3, l1_ratio=1.0, tol=TIGHT).fit(X, Y), Lasso(0.3, tol=TIGHT).fit(X, Y))
    plain = Lasso(0.0, tol=TIGHT).fit(X, Y)
    agree(plain, linear_model.LinearRegression().fit(X, Y))
    assert not hasattr(plain, "dual_gap_")


# Of scikit-learn's solvers, those that are exact for the penalty.
PENALTIES = {
    "l1": ({"C": 0.3}, {"C": 0.3, "l1_ratio": 1.0, "solver": "saga"}),
    "l2": ({"C": 0.3}, {"C": 0.3, "solver": "lbfgs"}),
    "elasticnet": (
        {"C": 0.3, "l1_ratio": 0.4},
        {"C": 0.3, "l1_ratio": 0.4, "solver": "saga"},
    ),
    None: ({}, {"C": np.inf, "solver": "lbfgs"}),
}


@pytest.mark.parametrize("penalty", PENALTIES)
def test_logistic_regression(penalty):
    mine, theirs = PENALTIES[penalty]
    peer = linear_model.LogisticRegression(**theirs, tol=1e-10, max_iter=100_000)
    ours = LogisticRegression(penalty, tol=TIGHT if penalty else 1e-9, **mine)
    centered = X - X.mean(axis=0)  # for the sake of saga
    agree(ours.fit(centered, LABELS), peer.fit(centered, LABELS), 1e-5)
    assert (ours.classes_ == peer.classes_).all()
    np.testing.assert_allclose(
        ours.predict_proba(centered), peer.predict_proba(centered), atol=1e-5
    )  # fmt: skip
    np.testing.assert_allclose(
        ours.predict_log_proba(centered), np.log(ours.predict_proba(centered)), atol=1e-12
    )  # fmt: skip
    assert (ours.predict(centered) == peer.predict(centered)).all()


def test_logistic_regression_without_an_intercept_as_liblinear():
    ours = LogisticRegression("l1", C=0.5, fit_intercept=False, tol=TIGHT).fit(X, LABELS)
    peer = linear_model.LogisticRegression(
        l1_ratio=1.0, C=0.5, fit_intercept=False, solver="liblinear", tol=1e-10, max_iter=10_000
    )  # fmt: skip
    agree(ours, peer.fit(X, LABELS), 1e-5)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"no": 3.0}], ids=str)
def test_weights_of_samples_and_classes(class_weight):
    options = {"C": 0.5, "class_weight": class_weight}
    ours = LogisticRegression(tol=TIGHT, **options).fit(X, LABELS, WEIGHTS)
    peer = linear_model.LogisticRegression(tol=1e-10, max_iter=10_000, **options)
    agree(ours, peer.fit(X, LABELS, WEIGHTS), 1e-5)


def test_many_classes():
    y = np.digitize(X[:, 0] + RNG.standard_normal(60), [-0.5, 0.5])
    ours = LogisticRegression(C=0.2, tol=1e-10).fit(X, y)
    peer = linear_model.LogisticRegression(C=0.2, tol=1e-10, max_iter=10_000).fit(X, y)
    agree(ours, peer, 1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-4)
    assert ours.coef_.shape == (3, 12)
    assert (ours.predict(X) == peer.predict(X)).all()


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_huber_regression_as_scipy(alpha):
    y, delta = Y.copy(), 0.8
    y[:5] += 30

    def objective(w):
        r = np.abs(y - X @ w[:-1] - w[-1])
        each = np.where(r <= delta, r * r / 2, delta * r - delta**2 / 2)
        return each.mean() + alpha / 2 * (w[:-1] ** 2).sum()

    best = scipy.optimize.minimize(objective, np.zeros(13), tol=1e-12, method="BFGS")
    ours = HuberRegression(delta, alpha=alpha, tol=1e-9).fit(X, y)
    w = np.append(ours.coef_, ours.intercept_)
    assert objective(w) <= best.fun + 1e-10
    np.testing.assert_allclose(w, best.x, atol=1e-3)


def test_group_lasso_is_optimal():
    model = GroupLasso(0.3, groups=3, tol=1e-12).fit(X, Y)
    residual = Y - model.predict(X)
    pulls = (X.T @ residual / len(Y)).reshape(4, 3)
    groups = model.coef_.reshape(4, 3)
    bar = 0.3 * np.sqrt(3)
    alive = np.linalg.norm(groups, axis=1) > 0
    assert 0 < alive.sum() < 4
    units = groups[alive] / np.linalg.norm(groups[alive], axis=1, keepdims=True)
    np.testing.assert_allclose(pulls[alive], bar * units, atol=1e-5)
    assert (np.linalg.norm(pulls[~alive], axis=1) <= bar).all()
    assert abs(residual.mean()) < 1e-6


def test_groups_may_be_labels_in_any_order():
    order = RNG.permutation(12)
    names = np.array(["a", "b", "c", "d"])[np.arange(12) // 3]
    one = GroupLasso(0.3, groups=3, tol=1e-12).fit(X, Y)
    other = GroupLasso(0.3, groups=names[order], tol=1e-12).fit(X[:, order], Y)
    np.testing.assert_allclose(other.coef_, one.coef_[order], atol=1e-5)


def test_mcp_does_not_shrink_what_is_large():
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    model = MCPRegression(0.35, tol=1e-9).fit(standard, Y)
    support = np.flatnonzero(model.coef_)
    assert set(support) >= {0, 1}
    assert len(support) < 12
    large = np.abs(model.coef_) > 3 * 0.35
    slopes = standard.T @ (Y - model.predict(standard)) / len(Y)
    assert large.any()
    np.testing.assert_allclose(slopes[large], 0, atol=1e-6)
    assert model.certificate_.holds
    assert not hasattr(model, "dual_gap_")


@pytest.mark.parametrize("weights", [None, WEIGHTS + 0.5], ids=["equal", "weighted"])
@pytest.mark.parametrize("cv", [4, KFold(3, shuffle=True, random_state=0)], ids=["4", "shuffled"])
def test_lasso_cv_chooses_as_scikit_learn(cv, weights):
    ours = LassoCV(alphas=20, cv=cv, tol=1e-10).fit(X, Y, weights)
    peer = linear_model.LassoCV(alphas=20, cv=cv, tol=1e-10, max_iter=100_000).fit(X, Y, weights)
    np.testing.assert_allclose(ours.alphas_, peer.alphas_, rtol=1e-10)
    np.testing.assert_allclose(ours.mse_path_, peer.mse_path_, rtol=1e-5)
    assert ours.alpha_ == pytest.approx(peer.alpha_, rel=1e-10)
    agree(ours, peer, 1e-5)


def test_sparse_logistic_cv_chooses_by_what_folds_leave_out():
    Cs, folds = [0.05, 0.3, 2.0], list(StratifiedKFold(3).split(X, LABELS))
    model = SparseLogisticCV(Cs, cv=folds, tol=1e-10).fit(X, LABELS)
    losses = np.empty((3, 3))
    for i, C in enumerate(Cs):
        for j, (train, test) in enumerate(folds):
            one = LogisticRegression("l1", C=C, tol=1e-10).fit(X[train], LABELS[train])
            losses[i, j] = log_loss(LABELS[test], one.predict_proba(X[test]))
    np.testing.assert_allclose(model.loss_path_, losses, rtol=1e-5)
    assert Cs[losses.mean(axis=1).argmin()] == model.C_
    agree(model, LogisticRegression("l1", C=model.C_, tol=1e-10).fit(X, LABELS), 1e-5)
