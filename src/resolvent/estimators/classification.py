"""Logistic regression of two classes and more."""

import math
from typing import Any

import numpy as np
import scipy.special
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from resolvent._core.checks import one_of, refuse
from resolvent._core.solution import Solution
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.estimators.linear_model import LinearModel, as_penalty, as_ratio, as_weights
from resolvent.functions import Logistic, MulticlassLogistic


class LogisticModel(ClassifierMixin, LinearModel):
    """A classifier by the probabilities of classes."""

    class_weight: Any

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """X, the number of each sample's class, and weights."""
        X, y = validate_data(self, X, y, accept_sparse="csc", dtype=[np.float64, np.float32])
        check_classification_targets(y)
        weights = as_weights(sample_weight, X)
        weights = np.ones(X.shape[0], X.dtype) if weights is None else weights
        self.classes_ = np.unique(y[weights > 0])
        if self.classes_.size < 2:
            refuse(
                ValueError, "y", given=f"{self.classes_.size} class among samples with a weight",
                needed="at least two classes", advice="One alone leaves nothing to separate.",
            )  # fmt: skip
        # A sample without weight may have a class that no other has: any number will do.
        numbers = np.minimum(np.searchsorted(self.classes_, y), self.classes_.size - 1)
        if self.class_weight is not None:
            alive = weights > 0
            factors = compute_class_weight(
                self.class_weight, classes=self.classes_, y=y[alive],
                **({"sample_weight": weights[alive]} if sample_weight is not None else {}),
            )  # fmt: skip
            weights = weights * factors[numbers].astype(X.dtype)
        return X, numbers, weights

    def _problem(self, X: Any, numbers: Any, weights: Any, penalty: Any) -> GeneralizedLinear:
        loss = Logistic() if self.classes_.size == 2 else MulticlassLogistic()
        return GeneralizedLinear(
            X, numbers, loss, penalty, intercept=bool(self.fit_intercept), weights=weights
        )

    def _keep(self, sol: Solution) -> Any:
        coef, intercept = self._parts(sol.x)
        if coef.ndim == 1:
            coef, intercept = coef[:, None], np.reshape(intercept, 1)
        else:
            # The same constant may be added to the predictions of all classes.
            intercept = intercept - intercept.mean()
        self.coef_, self.intercept_ = np.ascontiguousarray(coef.T), intercept
        return self

    def _begun(self, problem: GeneralizedLinear) -> Any:
        """The last fit as a first guess, if there is one that fits."""
        coef = getattr(self, "coef_", None)
        start = problem.first[0] if self.fit_intercept else problem.first
        if coef is None or coef.size != start.size or coef.shape[1] != start.shape[0]:
            return None
        coef = coef.T.reshape(start.shape).astype(start.dtype)
        if not self.fit_intercept:
            return coef
        return coef, self.intercept_.reshape(start.shape[1:]).astype(start.dtype)

    def decision_function(self, X: Any) -> Any:
        """Compute what classes are chosen by.

        Args:
            X: [m, p], dense or sparse.

        Returns:
            X coef + intercept: [m], the logarithm of the odds of the second class, for two
            classes; [m, k] for k.
        """
        scores = self._linear(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Args:
            X: [m, p], dense or sparse.

        Returns:
            The most probable class of each row, [m].
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)]

    def predict_proba(self, X: Any) -> Any:
        """Predict the probabilities of classes.

        Args:
            X: [m, p], dense or sparse.

        Returns:
            [m, k], in the order of `classes_`.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return scipy.special.expit(np.stack([-scores, scores], axis=1))
        return scipy.special.softmax(scores, axis=1)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities of classes.

        Args:
            X: [m, p], dense or sparse.

        Returns:
            [m, k], in the order of `classes_`.
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return scipy.special.log_expit(np.stack([-scores, scores], axis=1))
        return scipy.special.log_softmax(scores, axis=1)


class LogisticRegression(LogisticModel):
    """Logistic regression of two classes and more, certified by its duality gap.

    Minimizes C times the sum over i of s_i loss_i + penalty(w), the objective of scikit-learn's
    estimator of this name, with the negative log-likelihood loss_i of two classes, or of k classes
    with coefficients for each. The penalty is ||w||_1, ||w||^2 / 2, or l1_ratio ||w||_1 +
    (1 - l1_ratio) / 2 ||w||^2; intercepts are not penalized. The certificate is in the unit of this
    objective over C times the sum of s_i: of a mean loss. For more than two classes it is solved by
    accelerated gradient steps, for which features should have similar scales.

    Args:
        penalty: "l1", "l2", "elasticnet", or None.
        C: positive, the inverse of the penalty's weight; infinite for no penalty.
        l1_ratio: in [0, 1], of the "elasticnet" alone.
        fit_intercept: whether there are intercepts.
        class_weight: a factor of the weights of samples for each class, as a dictionary, or
            "balanced" for what gives all classes the same weight; None for 1.
        tol: the duality gap that is aimed at, over the loss of the best constant prediction.
        max_iter: how many steps of the method there are at most; None for its own limit.
        warm_start: whether a fit begins at the coefficients of the last one.

    Attributes:
        classes_: [k], the classes.
        coef_: [1, p] for two classes, [k, p] for more.
        intercept_: [1] or [k], zeros without intercepts.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
            Without a penalty it is the norm of the gradient, and infinite where classes can be
            separated, because then no coefficients are best.
        dual_gap_: the duality gap. It is missing without a penalty.
        n_iter_: the number of steps.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((80, 10))
        y = np.where(X[:, 2] > 0, "up", "down")
        model = rs.estimators.LogisticRegression("l1", C=0.2).fit(X, y)
        assert model.coef_[0].argmax() == 2 and model.score(X, y) > 0.9
        ```

    Reference:
        D. R. Cox (1958), The regression analysis of binary sequences.
    """

    def __init__(
        self,
        penalty: str | None = "l2",
        *,
        C: float = 1.0,
        l1_ratio: float | None = None,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-6,
        max_iter: int | None = None,
        warm_start: bool = False,
    ):
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the coefficients.

        Args:
            X: [n, p], dense or sparse.
            y: [n], the classes.
            sample_weight: [n], not negative; None for ones.

        Returns:
            The estimator itself.

        Raises:
            ValueError: for data that do not fit or are not finite, less than two classes, or
                parameters out of range.
        """
        ratio = self._ratio()
        X, numbers, weights = self._checked(X, y, sample_weight)
        alpha = 0.0 if self.penalty is None else 1.0 / (as_C(self.C) * float(weights.sum()))
        problem = self._problem(X, numbers, weights, as_penalty(alpha, ratio))
        return self._keep(
            self._solution(problem, self._begun(problem) if self.warm_start else None)
        )

    def _ratio(self) -> float:
        one_of("penalty", self.penalty, ("l1", "l2", "elasticnet", None))
        if (self.penalty == "elasticnet") != (self.l1_ratio is not None):
            refuse(
                ValueError, "l1_ratio", given=f"{self.l1_ratio} with penalty={self.penalty!r}",
                needed="a number for 'elasticnet', and for no other penalty",
                advice="Write penalty='elasticnet', l1_ratio=0.5.",
            )  # fmt: skip
        return as_ratio({"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty or "", 0.0))


def as_C(C: Any) -> float:
    """The inverse of a penalty's weight."""
    if not isinstance(C, int | float | np.number) or isinstance(C, bool) or not C > 0:
        refuse(
            ValueError, "C", given=repr(C), needed="a positive number",
            advice="Small C means few coefficients, C=math.inf no penalty.",
        )  # fmt: skip
    return float(C) if math.isfinite(C) else math.inf
