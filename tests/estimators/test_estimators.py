"""Honest certificates, kept types, refusals, and no need of scikit-learn for all the rest."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

import resolvent as rs
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

RNG = np.random.default_rng(1)
X = RNG.standard_normal((40, 8))
Y = X[:, 0] - X[:, 3] + 0.3 * RNG.standard_normal(40)
LABELS = Y > 0
REGRESSORS = [
    Lasso(0.1), ElasticNet(0.1), HuberRegression(), MCPRegression(0.1), LassoCV(alphas=4, cv=2),
]  # fmt: skip
CLASSIFIERS = [LogisticRegression(), LogisticRegression("l1"), SparseLogisticCV(3, cv=2)]


def short(estimator):
    return f"{type(estimator).__name__}-{getattr(estimator, 'penalty', '')}"


def test_a_missed_target_is_a_warning_and_stays_known():
    with pytest.warns(ConvergenceWarning, match="duality gap"):
        model = Lasso(1e-3, max_iter=0).fit(X, Y)
    assert not model.certificate_.holds
    assert model.dual_gap_ > model.certificate_.target
    assert model.n_iter_ == 0


def test_classes_that_can_be_separated_have_no_answer_without_a_penalty():
    with pytest.warns(ConvergenceWarning):
        model = LogisticRegression(None).fit(X, X[:, 0] > 0)
    assert not model.certificate_.holds
    assert np.isfinite(model.coef_).all()


def test_a_fold_that_misses_its_target_is_a_warning():
    with pytest.warns(ConvergenceWarning):
        LassoCV(alphas=2, cv=2, max_iter=0).fit(X, Y)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=short)
def test_regressors_keep_single_precision_and_take_whole_numbers(estimator):
    single = estimator.fit(X.astype(np.float32), Y.astype(np.float32))
    assert single.coef_.dtype == np.float32
    assert single.predict(X.astype(np.float32)).dtype == np.float32
    coef = single.coef_.copy()
    np.testing.assert_allclose(estimator.fit(X, Y).coef_, coef, atol=1e-3)
    whole = np.round(3 * X).astype(int)
    assert estimator.fit(whole, np.round(Y).astype(int)).coef_.dtype == np.float64


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=short)
def test_classifiers_keep_single_precision(estimator):
    single = estimator.fit(X.astype(np.float32), LABELS)
    assert single.coef_.dtype == single.predict_proba(X.astype(np.float32)).dtype == np.float32
    coef = single.coef_.copy()
    np.testing.assert_allclose(estimator.fit(X, LABELS).coef_, coef, atol=1e-2)


@pytest.mark.parametrize("estimator", [*REGRESSORS, *CLASSIFIERS], ids=short)
def test_zero_and_constant_columns_do_no_harm(estimator):
    y = LABELS if hasattr(estimator, "predict_proba") else Y
    plain = estimator.fit(X, y).coef_.copy()
    wider = estimator.fit(np.column_stack([X, np.zeros(40), np.full(40, 7.0)]), y).coef_
    np.testing.assert_allclose(wider[..., :8], plain, atol=1e-3)
    np.testing.assert_allclose(wider[..., 8:], 0, atol=1e-3)
    assert estimator.certificate_.holds


@pytest.mark.parametrize("estimator", REGRESSORS, ids=short)
def test_nothing_to_explain(estimator):
    constant = estimator.fit(X, np.full(40, 0.1))
    assert constant.certificate_.holds
    np.testing.assert_allclose(constant.coef_, 0, atol=1e-12)
    assert constant.intercept_ == pytest.approx(0.1)
    empty = estimator.fit(scipy.sparse.csr_array((40, 8)), Y)
    assert empty.certificate_.holds
    assert not empty.coef_.any()
    assert empty.predict(X) == pytest.approx(empty.intercept_)


def test_more_features_than_samples():
    wide, y = X.T[:6], np.array([1.0, -1.0, 2.0, 0.5, -0.5, 0.0])
    model = Lasso(0.05).fit(wide, y)
    assert model.certificate_.holds
    assert 0 < np.count_nonzero(model.coef_) <= 6
    alone = Lasso(0.1).fit(wide[:1], y[:1])
    assert not alone.coef_.any()
    assert alone.intercept_ == 1.0


@pytest.mark.parametrize("estimator", [Lasso(0.1), LogisticRegression("l1", C=0.5)], ids=short)
def test_a_warm_start_from_the_answer_takes_no_step(estimator):
    y = LABELS if hasattr(estimator, "predict_proba") else Y
    estimator.set_params(warm_start=True)
    assert estimator.fit(X, y).n_iter_ > 0
    assert estimator.fit(X, y).n_iter_ == 0
    # What does not fit any more is forgotten.
    assert estimator.fit(X[:, :5], y).coef_.shape[-1] == 5


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdefgh"))
    assert list(Lasso(0.1).fit(frame, Y).feature_names_in_) == list("abcdefgh")


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (Lasso(-1.0), "alpha: given -1.0"),
        (ElasticNet(l1_ratio=1.5), "l1_ratio: given 1.5"),
        (GroupLasso(groups=3), "groups of 3 for 8 features"),
        (GroupLasso(groups=[0, 1]), "the group of each of 8 features"),
        (HuberRegression(0.0), "delta: given 0.0"),
        (MCPRegression(gamma=0.0), "gamma: given 0.0"),
        (LassoCV(eps=2.0), "eps: given 2.0"),
        (LassoCV(alphas=[1.0, -1.0]), "lambdas"),
        (Lasso(tol=-1.0), "rtol"),
        (LogisticRegression(C=0.0), "C: given 0.0"),
        (LogisticRegression("l3"), "penalty: given 'l3'"),
        (LogisticRegression("l1", l1_ratio=0.5), "for no other penalty"),
        (LogisticRegression("elasticnet"), "for no other penalty"),
        (SparseLogisticCV(l1_ratio=0.0), "l1_ratio: given 0.0"),
        (SparseLogisticCV([0.1, -1.0]), "C: given"),
    ],
    ids=repr,
)
def test_parameters_out_of_range(estimator, words):
    with pytest.raises(ValueError, match=words):
        estimator.fit(X, LABELS)


@pytest.mark.parametrize(
    ("weights", "words"),
    [(np.ones(3), "sample_weight"), (-np.ones(40), "negative"), (np.zeros(40), "zero")],
    ids=["short", "negative", "zero"],
)
@pytest.mark.parametrize("estimator", [Lasso(), LogisticRegression()], ids=short)
def test_weights_that_are_none(estimator, weights, words):
    with pytest.raises(ValueError, match=words):
        estimator.fit(X, LABELS, weights)


def test_one_class_with_weights():
    with pytest.raises(ValueError, match="two classes"):
        LogisticRegression().fit(X, LABELS, LABELS.astype(float))


def test_the_rest_needs_no_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = None; import resolvent as rs\n"
        "dir(rs.estimators)\n"
        "try:\n    rs.estimators.Lasso\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'resolvent[sklearn]'" in done.stdout


def test_names_that_are_none():
    with pytest.raises(AttributeError, match="Ridge"):
        rs.estimators.Ridge  # noqa: B018
    assert dir(rs.estimators) == sorted(rs.estimators.__all__)
