"""What the estimators share: data are checked, a problem is solved, its answer is kept."""

import numbers
import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from resolvent._core.checks import nonnegative, refuse
from resolvent._core.solution import Solution
from resolvent._core.solve import solve
from resolvent.composite.generalized_linear import GeneralizedLinear
from resolvent.functions import L1, ElasticNet, Function, SquaredL2


class LinearModel(BaseEstimator):
    """An estimator whose predictions are made of X coef + intercept."""

    # What every estimator takes, and scikit-learn wants to be set by each of them itself.
    fit_intercept: bool
    tol: float
    max_iter: int | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _solution(self, problem: GeneralizedLinear, x0: Any = None, atol: float = 0.0) -> Solution:
        """The answer, with a warning where its certificate misses the target."""
        sol = solve(
            problem, x0=x0, rtol=self.tol, atol=atol, max_steps=self.max_iter, progress=False,
            throw=False,
        )  # fmt: skip
        self._warned(sol)
        self.certificate_ = sol.certificate
        self.n_iter_ = int(sol.steps)
        if sol.certificate.kind == "bound":
            self.dual_gap_ = float(sol.certificate.value)
        return sol

    def _warned(self, sol: Solution) -> None:
        if not sol.converged:
            certificate = sol.certificate
            warnings.warn(
                f"{type(self).__name__} ended after {sol.steps} steps ({sol.reason}) with a "
                f"{certificate.name} of {float(certificate.value):.2e}, where tol={self.tol} asks "
                f"for {float(certificate.target):.2e}: {sol.reason.advice}.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _parts(self, x: Any) -> tuple[Any, Any]:
        """Coefficients and intercept of a problem's unknown."""
        return x if self.fit_intercept else (x, np.zeros(x.shape[1:], x.dtype))

    def _linear(self, X: Any) -> Any:
        """X coef + intercept for the rows of new data, [m] or [m, k]."""
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], reset=False
        )
        return X @ self.coef_.T + self.intercept_


class LinearRegressor(RegressorMixin, LinearModel):
    """A regressor whose prediction is X coef + intercept."""

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse="csc", dtype=[np.float64, np.float32], y_numeric=True
        )
        return X, y.astype(X.dtype, copy=False), as_weights(sample_weight, X)

    def _keep(self, problem: GeneralizedLinear, warm: bool) -> Any:
        """Fit to the problem's data."""
        # A constant prediction may leave of constant targets what rounding makes of them.
        tiny = (10 * float(np.finfo(problem.design.dtype).eps)) ** 2
        atol = tiny * float(problem.weights @ problem.loss.each(0 * problem.y, problem.y))
        sol = self._solution(problem, self._begun(problem) if warm else None, atol)
        self.coef_, intercept = self._parts(sol.x)
        self.intercept_ = float(intercept)
        return self

    def _begun(self, problem: GeneralizedLinear) -> Any:
        """The last fit as a first guess, if there is one that fits."""
        coef = getattr(self, "coef_", None)
        if coef is None or coef.shape != (problem.design.shape[1],):
            return None
        coef = coef.astype(problem.design.dtype)
        return (coef, np.asarray(self.intercept_, coef.dtype)) if self.fit_intercept else coef

    def predict(self, X: Any) -> Any:
        """Predict targets.

        Args:
            X: [m, p], dense or sparse.

        Returns:
            X coef + intercept, [m].
        """
        return self._linear(X)


def as_weights(sample_weight: Any, X: Any) -> Any:
    """The weights of samples, [n], or None."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, numbers.Real):
        sample_weight = np.full(X.shape[0], sample_weight)
    weights = check_array(sample_weight, ensure_2d=False, dtype=X.dtype, input_name="sample_weight")
    if weights.shape != (X.shape[0],):
        refuse(
            ValueError, "sample_weight", given=f"shape {weights.shape}",
            needed=f"one weight for each of {X.shape[0]} samples", advice="Look at its length.",
        )  # fmt: skip
    if not weights.min() >= 0 < weights.max():
        refuse(
            ValueError, "sample_weight",
            given="negative weights" if weights.min() < 0 else "weights that are all zero",
            needed="weights >= 0, one of them positive",
            advice="Leave sample_weight out for equal ones.",
        )  # fmt: skip
    return weights


def as_penalty(alpha: Any, l1_ratio: Any) -> Function | None:
    """alpha (l1_ratio ||w||_1 + (1 - l1_ratio) / 2 ||w||^2), or None for alpha = 0."""
    alpha, ratio = nonnegative("alpha", alpha), as_ratio(l1_ratio)
    if alpha == 0:
        return None
    if ratio in (0.0, 1.0):
        return L1(alpha) if ratio else SquaredL2(alpha)
    return ElasticNet(alpha, ratio)


def as_ratio(l1_ratio: Any) -> float:
    """The part of the l1 norm, in [0, 1]."""
    ratio = nonnegative("l1_ratio", l1_ratio)
    if ratio > 1:
        refuse(
            ValueError, "l1_ratio", given=f"{ratio}", needed="0 <= l1_ratio <= 1",
            advice="1 is the l1 norm alone, 0 the square alone.",
        )  # fmt: skip
    return ratio
