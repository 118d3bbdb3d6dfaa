"""Regression with sparse and robust models."""

from typing import Any

import numpy as np

from resolvent._core.checks import count, nonnegative, refuse
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.estimators.linear_model import LinearRegressor, as_penalty
from resolvent.functions import L1, MCP, Function, GroupL2, Huber, LeastSquares, Loss


class _Penalized(LinearRegressor):
    """One fit for one penalty."""

    alpha: float
    warm_start: bool

    def _loss(self) -> Loss:
        return LeastSquares()

    def _penalty(self, features: int) -> Function | None:
        return as_penalty(self.alpha, 1.0)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the coefficients.

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
            X, y, self._loss(), self._penalty(X.shape[1]), intercept=bool(self.fit_intercept),
            weights=weights,
        )  # fmt: skip
        return self._keep(problem, self.warm_start)


class Lasso(_Penalized):
    """Least squares with an l1 penalty, certified by its duality gap.

    Minimizes sum over i of s_i (y_i - x_i . w - c)^2 / (2 sum of s_i) + alpha ||w||_1, the
    objective of scikit-learn's estimator of this name, with sample weights s_i = 1 by default.

    Args:
        alpha: not negative.
        fit_intercept: whether there is a c; it is not penalized.
        tol: the duality gap that is aimed at, over the loss of the best constant prediction.
        max_iter: how many steps of the method there are at most; None for its own limit.
        warm_start: whether a fit begins at the coefficients of the last one.

    Attributes:
        coef_: [p], w.
        intercept_: c, 0 without one.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        dual_gap_: the duality gap, in the unit of the objective. It is missing without a penalty.
        n_iter_: the number of steps.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((50, 20))
        lasso = rs.estimators.Lasso(alpha=0.1).fit(X, X[:, 0] - 2 * X[:, 3])
        assert list(np.flatnonzero(lasso.coef_)) == [0, 3] and lasso.certificate_.holds
        ```

    Reference:
        R. Tibshirani (1996), Regression shrinkage and selection via the lasso.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int | None = None,
        warm_start: bool = False,
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start


class ElasticNet(_Penalized):
    """Least squares with an l1 and a squared penalty, certified by its duality gap.

    Minimizes sum over i of s_i (y_i - x_i . w - c)^2 / (2 sum of s_i) +
    alpha (l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2), the objective of scikit-learn's estimator
    of this name, with sample weights s_i = 1 by default.

    Args:
        alpha: not negative.
        l1_ratio: in [0, 1].
        fit_intercept: whether there is a c; it is not penalized.
        tol: the duality gap that is aimed at, over the loss of the best constant prediction.
        max_iter: how many steps of the method there are at most; None for its own limit.
        warm_start: whether a fit begins at the coefficients of the last one.

    Attributes:
        coef_: [p], w.
        intercept_: c, 0 without one.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        dual_gap_: the duality gap, in the unit of the objective. It is missing without a penalty.
        n_iter_: the number of steps.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((50, 20))
        model = rs.estimators.ElasticNet(alpha=0.1, l1_ratio=0.9).fit(X, X[:, 0] + X[:, 1])
        assert list(np.flatnonzero(model.coef_)) == [0, 1]
        ```

    Reference:
        H. Zou, T. Hastie (2005), Regularization and variable selection via the elastic net.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int | None = None,
        warm_start: bool = False,
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def _penalty(self, features: int) -> Function | None:
        return as_penalty(self.alpha, self.l1_ratio)


class GroupLasso(_Penalized):
    """Least squares that takes features by groups or not at all, certified by its duality gap.

    Minimizes sum over i of s_i (y_i - x_i . w - c)^2 / (2 sum of s_i) +
    alpha times the sum over groups of sqrt(size of g) ||w_g||.

    Args:
        alpha: not negative.
        groups: [p], the group of each feature, as labels of any kind; or a number, the size of
            groups of neighbors; None for groups of one, which is the lasso.
        fit_intercept: whether there is a c; it is not penalized.
        tol: the duality gap that is aimed at, over the loss of the best constant prediction.
        max_iter: how many steps of the method there are at most; None for its own limit.
        warm_start: whether a fit begins at the coefficients of the last one.

    Attributes:
        coef_: [p], w.
        intercept_: c, 0 without one.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        dual_gap_: the duality gap, in the unit of the objective. It is missing without a penalty.
        n_iter_: the number of steps.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((50, 20))
        model = rs.estimators.GroupLasso(alpha=0.1, groups=4).fit(X, X[:, 4] + X[:, 7])
        assert (np.flatnonzero(model.coef_) == [4, 5, 6, 7]).all()
        ```

    Reference:
        M. Yuan, Y. Lin (2006), Model selection and estimation in regression with grouped variables.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        groups: Any = None,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int | None = None,
        warm_start: bool = False,
    ):
        self.alpha = alpha
        self.groups = groups
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def _penalty(self, features: int) -> Function | None:
        alpha = nonnegative("alpha", self.alpha)
        groups = _as_groups(self.groups, features)
        if alpha == 0:
            return None
        # Groups of one are the l1 norm, of which more is known.
        return L1(alpha) if groups is None else GroupL2(groups, alpha)


def _as_groups(groups: Any, features: int) -> Any:
    """The number of each feature's group, or None for groups of one."""
    if groups is None:
        return None
    if np.ndim(groups) == 0:
        size = count("groups", groups, least=1)
        if features % size:
            refuse(
                ValueError, "groups", given=f"groups of {size} for {features} features",
                needed="a size that divides them", advice="Pass the group of each feature.",
            )  # fmt: skip
        return np.arange(features) // size if size > 1 else None
    labels = np.asarray(groups)
    if labels.shape != (features,):
        refuse(
            ValueError, "groups", given=f"shape {labels.shape}",
            needed=f"the group of each of {features} features",
            advice="Pass one label a column of X.",
        )  # fmt: skip
    return np.unique(labels, return_inverse=True)[1]


class MCPRegression(_Penalized):
    """Least squares with the minimax concave penalty, which does not shrink large coefficients.

    Looks for a stationary point, from zero, of sum over i of s_i (y_i - x_i . w - c)^2 /
    (2 sum of s_i) + sum over j of p(w_j), where p(t) = alpha |t| - t^2 / (2 gamma) for
    |t| <= gamma alpha, and gamma alpha^2 / 2 beyond. The problem is not convex: the certificate is
    the distance of the negative gradient to the subdifferential of the penalty, and says nothing
    of other points. Features should have similar scales.

    Args:
        alpha: not negative.
        gamma: positive; coefficients beyond gamma alpha are not shrunk.
        fit_intercept: whether there is a c; it is not penalized.
        tol: the distance to stationarity that is aimed at, over the norm of the gradient at zero.
        max_iter: how many steps of the method there are at most; None for its own limit.
        warm_start: whether a fit begins at the coefficients of the last one.

    Attributes:
        coef_: [p], w.
        intercept_: c, 0 without one.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        n_iter_: the number of steps.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.random.default_rng(0).standard_normal((50, 20))
        model = rs.estimators.MCPRegression(alpha=0.3).fit(X, X[:, 0] - 2 * X[:, 3])
        assert np.allclose(model.coef_[[0, 3]], [1.0, -2.0])
        ```

    Reference:
        C.-H. Zhang (2010), Nearly unbiased variable selection under minimax concave penalty.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 3.0,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int | None = None,
        warm_start: bool = False,
    ):
        self.alpha = alpha
        self.gamma = gamma
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def _penalty(self, features: int) -> Function | None:
        alpha = nonnegative("alpha", self.alpha)
        return MCP(alpha, self.gamma) if alpha else None


class HuberRegression(_Penalized):
    """Regression that outliers pull no more than points at a fixed distance.

    Minimizes sum over i of s_i h(y_i - x_i . w - c) / (sum of s_i) +
    alpha (l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2), where h(r) = r^2 / 2 for |r| <= delta and
    delta |r| - delta^2 / 2 beyond. Unlike scikit-learn's HuberRegressor it does not estimate the
    scale of the noise: delta has the unit of y.

    Args:
        delta: positive.
        alpha: not negative.
        l1_ratio: in [0, 1].
        fit_intercept: whether there is a c; it is not penalized.
        tol: the duality gap that is aimed at, over the loss at zero.
        max_iter: how many steps of the method there are at most; None for its own limit.
        warm_start: whether a fit begins at the coefficients of the last one.

    Attributes:
        coef_: [p], w.
        intercept_: c, 0 without one.
        certificate_: what is known of the answer: `certificate_.holds`, `.value`, `.target`.
        dual_gap_: the duality gap, in the unit of the objective. It is missing without a penalty.
        n_iter_: the number of steps.
        n_features_in_: p.
        feature_names_in_: the names of features, where X has names.

    Example:
        ```python
        import numpy as np, resolvent as rs
        X = np.linspace(-1.0, 1.0, 20)[:, None]
        y = 3 * X[:, 0]
        y[0] = 1000.0
        model = rs.estimators.HuberRegression(0.1, alpha=0.0).fit(X, y)
        assert abs(model.coef_[0] - 3) < 0.1
        ```

    Reference:
        P. J. Huber (1964), Robust estimation of a location parameter.
    """

    def __init__(
        self,
        delta: float = 1.35,
        *,
        alpha: float = 1e-4,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int | None = None,
        warm_start: bool = False,
    ):
        self.delta = delta
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def _loss(self) -> Loss:
        return Huber(self.delta)

    def _penalty(self, features: int) -> Function | None:
        return as_penalty(self.alpha, self.l1_ratio)
