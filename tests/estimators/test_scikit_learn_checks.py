"""What scikit-learn asks of every estimator."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.multiclass import type_of_target

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


class TwoClassLogistic(LogisticRegression):
    """What it does for two classes, for which nothing has to be compiled."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X, y, sample_weight=None):
        with np.errstate(invalid="ignore"):
            kind = type_of_target(y)
        if kind == "multiclass":
            raise ValueError("Only binary classification is supported. There are more classes.")
        return super().fit(X, y, sample_weight)


QUICK = [
    Lasso(),
    ElasticNet(),
    GroupLasso(),
    HuberRegression(),
    MCPRegression(),
    LassoCV(alphas=3, cv=2),
    TwoClassLogistic(),
]
MORE = [LogisticRegression(), LogisticRegression("l1"), SparseLogisticCV(3, cv=2)]


@parametrize_with_checks(QUICK)
def test_check(estimator, check):
    check(estimator)


# One check asks for 1000 gradient steps with weights of classes that differ by a factor of 10^7.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.slow
@parametrize_with_checks(MORE)
def test_check_of_many_classes(estimator, check):
    check(estimator)


def test_every_estimator_is_checked():
    checked = {type(estimator).__name__ for estimator in [*QUICK, *MORE]}
    assert set(rs.estimators.__all__) <= checked


def test_checks_are_asked_of_weights_and_of_sparse_data():
    names = {check.func.__name__ for _, check in estimator_checks_generator(Lasso())}
    assert {
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
        "check_estimator_sparse_matrix",
        "check_fit2d_1sample",
    } <= names
