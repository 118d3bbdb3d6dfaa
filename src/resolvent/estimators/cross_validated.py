"""Sparse models whose penalty is chosen by cross-validation along paths."""

from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

from resolvent._core.checks import between, count
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.composite.selection.cross_validation import held_out_losses
from resolvent.composite.selection.null_model import largest_weight
from resolvent.composite.selection.paths import as_weights as as_path
from resolvent.composite.selection.paths import scaled
from resolvent.estimators.classification import LogisticModel, as_C
from resolvent.estimators.linear_model import LinearRegressor, as_penalty, as_ratio
from resolvent.functions import L1


class LassoCV(LinearRegressor):
    """The lasso with the weight of its penalty chosen by cross-validation.

    The objective is that of `Lasso`. Each fold solves a path of weights, on which every solve is
    certified; the weight with the least mean squared error on what folds leave out is the answer.

    Args:
        eps: the smallest weight over the largest one, where `alphas` is a number.
        alphas: the weights, or how many of them, evenly in the logarithm, from the least one whose
            answer is zero down.
        fit_intercept: whether there is an intercept; it is not penalized.
        cv: the number of folds without a shuffle, a splitter of scikit-learn, or pairs
            (train, test) of indices; None for five folds.
        tol: the duality gap that is aimed at, over the loss of the best constant prediction.
        max_iter: how many steps of the method a solve has at most; None for its own limit.

    Attributes:
        alpha_: the chosen weight.
        alphas_: [k], all of them, descending.
        mse_path_: [k, folds], the mean squared errors on what folds leave out.
        coef_: [p], the coefficients with all data.
        intercept_: 0 without one.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        dual_gap_: its duality gap, in the unit of the objective.
        n_iter_: the number of steps of the last solve.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        X = rng.standard_normal((50, 20))
        model = rs.estimators.LassoCV(alphas=20).fit(X, X[:, 0] + 0.1 * rng.standard_normal(50))
        assert abs(model.coef_[0] - 1) < 0.1 and model.alpha_ in model.alphas_
        ```
    """

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        cv: Any = None,
        tol: float = 1e-6,
        max_iter: int | None = None,
    ):
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose the weight and fit the coefficients.

        Args:
            X: [n, p], dense or sparse.
            y: [n], the targets.
            sample_weight: [n], not negative; only their ratios count. None for equal ones.

        Returns:
            The estimator itself.

        Raises:
            ValueError: for data that do not fit or are not finite, or parameters out of range.
        """
        X, y, weights = self._checked(X, y, sample_weight)
        problem = GeneralizedLinear(
            X, y, penalty=L1(1.0), intercept=bool(self.fit_intercept), weights=weights
        )
        self.alphas_ = np.sort(_grid(problem, "alphas", self.alphas, self.eps))[::-1]
        folds = list(check_cv(self.cv).split(X, y))
        losses, shares = _tried(self, problem, folds, lambda share: self.alphas_)
        self.mse_path_ = 2 * losses
        # With weights a fold counts by those of its samples, without as much as any other.
        mean = np.average(losses, axis=1, weights=None if weights is None else shares)
        self.alpha_ = float(self.alphas_[mean.argmin()])
        return self._keep(problem.penalized(L1(self.alpha_)), warm=False)


class SparseLogisticCV(LogisticModel):
    """Sparse logistic regression with the weight of its penalty chosen by cross-validation.

    The objective is that of `LogisticRegression` with the penalty l1_ratio ||w||_1 +
    (1 - l1_ratio) / 2 ||w||^2. Each fold solves a path of weights, on which every solve is
    certified; the C with the least mean negative log-likelihood of what folds leave out is the
    answer.

    Args:
        Cs: the inverses of weights, or how many of them, evenly in the logarithm, from the largest
            one whose answer is zero up.
        eps: the smallest C over the largest one, where `Cs` is a number.
        l1_ratio: in (0, 1].
        fit_intercept: whether there are intercepts.
        cv: the number of folds without a shuffle, each with its share of every class, a splitter of
            scikit-learn, or pairs (train, test) of indices; None for five folds.
        class_weight: a factor of the weights of samples for each class, as a dictionary, or
            "balanced" for what gives all classes the same weight; None for 1.
        tol: the duality gap that is aimed at, over the loss of the best constant prediction.
        max_iter: how many steps of the method a solve has at most; None for its own limit.

    Attributes:
        C_: the chosen C.
        Cs_: [m], all of them, ascending.
        loss_path_: [m, folds], the mean negative log-likelihoods of what folds leave out.
        classes_: [k], the classes.
        coef_: [1, p] for two classes, [k, p] for more.
        intercept_: [1] or [k], zeros without intercepts.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        dual_gap_: its duality gap, in the unit of a mean loss.
        n_iter_: the number of steps of the last solve.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        rng = np.random.default_rng(0)
        X = rng.standard_normal((80, 10))
        model = rs.estimators.SparseLogisticCV(5).fit(X, X[:, 0] + rng.standard_normal(80) > 0)
        assert abs(model.coef_[0]).argmax() == 0 and model.C_ in model.Cs_
        ```
    """

    def __init__(
        self,
        Cs: Any = 10,
        *,
        eps: float = 1e-2,
        l1_ratio: float = 1.0,
        fit_intercept: bool = True,
        cv: Any = None,
        class_weight: Any = None,
        tol: float = 1e-6,
        max_iter: int | None = None,
    ):
        self.Cs = Cs
        self.eps = eps
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose C and fit the coefficients.

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
        if not as_ratio(self.l1_ratio):
            between("l1_ratio", self.l1_ratio, 0.0, 1.0, "Nothing is sparse without the l1 norm.")
        X, numbers, weights = self._checked(X, y, sample_weight)
        total = float(weights.sum())
        problem = self._problem(X, numbers, weights, as_penalty(1.0, self.l1_ratio))
        if isinstance(self.Cs, int | np.integer):
            self.Cs_ = np.sort(1 / (total * _grid(problem, "Cs", self.Cs, self.eps)))
        else:
            self.Cs_ = np.sort([as_C(C) for C in np.ravel(self.Cs)])
        folds = list(check_cv(self.cv, numbers, classifier=True).split(X, numbers))
        # C is the weight of a sum of losses: a fold with fewer samples has a larger penalty.
        self.loss_path_, shares = _tried(
            self, problem, folds, lambda share: 1 / (self.Cs_ * total * share)
        )
        plain = sample_weight is None and self.class_weight is None
        mean = np.average(self.loss_path_, axis=1, weights=None if plain else shares)
        self.C_ = float(self.Cs_[mean.argmin()])
        chosen = problem.penalized(scaled(problem.penalty, 1 / (self.C_ * total)))
        return self._keep(self._solution(chosen))


def _tried(model: Any, problem: Any, folds: Any, lambdas: Any) -> tuple[Any, Any]:
    """The mean losses [k, folds] on what folds leave out, and the share of all weights there."""
    losses, shares = [], []
    for train, test in folds:
        share = float(problem.weights[train].sum())
        found, path = held_out_losses(
            problem, lambdas(share), train, test, rtol=model.tol, max_steps=model.max_iter,
            progress=False, throw=False,
        )  # fmt: skip
        for sol in path.solutions:
            if not sol.converged:
                model._warned(sol)
                break
        losses.append(found)
        shares.append(float(problem.weights[test].sum()))
    return np.stack(losses, axis=1), np.array(shares)


def _grid(problem: Any, name: str, given: Any, eps: float) -> Any:
    """Weights as they are given, or so many of them below the least one whose answer is zero."""
    if not isinstance(given, int | np.integer):
        return as_path(problem, given, eps)
    number = count(name, int(given), least=1)
    between("eps", eps, 0.0, 1.0, "It is a ratio of two weights.")
    # Where no feature has an influence, zero is the answer for any weight.
    most = largest_weight(problem) or 1.0
    return np.geomspace(most, eps * most, number)
