"""Samples times their labels, as methods of linear separation take them."""

from typing import Any

import numpy as np
import scipy.sparse
from scipy.optimize import nnls

from resolvent._core.norm import is_safe, norm
from resolvent.composite.design import DenseDesign

_CANDIDATES = 4  # times the number of unknowns: samples among which a proof is looked for
_MOST_UNKNOWNS = 300  # up to which one is
_SHARE = 0.01  # of the largest share: samples with less are far from the border


class SignedRows:
    """The rows z_i = y_i (x_i, R), the last entry only with an intercept; R the longest x_i.

    The unknown is the vector theta = (w, c / R).

    Args:
        problem: a `LinearSeparation`.
    """

    def __init__(self, problem: Any):
        design, self.intercept = problem.design, problem.intercept
        self.dtype = np.dtype(design.dtype)
        self.y = np.asarray(problem.y)
        p = design.shape[1]
        if isinstance(design, DenseDesign):
            self.X: Any = np.asarray(design.matrix)
            squares, rows = np.einsum("ij,ij->i", self.X, self.X), self.X
        else:
            parts = (np.asarray(design.data), (np.asarray(design.rows), np.asarray(design.columns)))
            self.X = scipy.sparse.csr_matrix(parts, shape=design.shape)
            squares = np.asarray(self.X.multiply(self.X).sum(axis=1)).ravel()
            rows = np.split(self.X.data, self.X.indptr[1:-1])
        lengths = np.sqrt(squares)
        # Squares of short rows beside long ones may vanish.
        for i in np.flatnonzero(~is_safe(squares, self.dtype)):
            lengths[i] = norm(rows[i])
        longest = float(lengths.max())
        self.constant = (longest if longest > 0 else 1.0) if self.intercept else 0.0
        self.lengths = np.hypot(lengths, self.dtype.type(self.constant))
        self.longest = float(self.lengths.max())
        """The length of the longest row."""
        # The error of an inner product is at most so much of the product of lengths.
        self.rounding = (p + 3) * float(np.finfo(self.dtype).eps)
        self.slacks = self.rounding * self.lengths

    @property
    def unknowns(self) -> int:
        """The length of theta."""
        return self.X.shape[1] + self.intercept

    def flat(self, x: Any) -> Any:
        """The problem's unknown as theta."""
        if not self.intercept:
            return np.asarray(x)
        return np.append(x[0], np.asarray(x[1]) / self.constant).astype(self.dtype)

    def point(self, theta: Any) -> Any:
        """theta as the problem's unknown."""
        if not self.intercept:
            return theta
        return theta[:-1], np.asarray(theta[-1] * self.constant, self.dtype)

    def margins(self, theta: Any) -> Any:
        """z_i . theta, [n]."""
        if not self.intercept:
            return self.y * (self.X @ theta)
        return self.y * (self.X @ theta[:-1] + self.dtype.type(self.constant) * theta[-1])

    def combined(self, weights: Any) -> Any:
        """The sum of weights_i z_i."""
        signed = self.y * weights
        pulled = self.X.T @ signed
        return np.append(pulled, self.constant * signed.sum()) if self.intercept else pulled

    def wrong(self, theta: Any, margins: Any) -> Any:
        """Which samples are not on their side for sure, [n]; with NaN, they are not."""
        return ~(margins > self.slacks * np.linalg.norm(theta))

    def margin_bound(self, alpha: Any) -> float:
        """The length of the sum of alpha_i z_i, alpha brought to sum 1; NaN for bad weights."""
        alpha = np.asarray(alpha, np.float64)
        total = alpha.sum()
        if not (alpha.min() >= 0 and 0 < total < np.inf):
            return float("nan")
        return float(np.linalg.norm(self.combined(alpha / total)))

    @property
    def least(self) -> float:
        """A bound of margins below which the samples count as inseparable."""
        return float(np.sqrt(np.finfo(self.dtype).eps)) * self.longest

    def completed(self, shares: Any) -> Any:
        """Weights of a sum that vanishes over some samples that have shares; None if it fails.

        Where nothing separates the samples there are such weights on no more of them than unknowns
        plus one.
        """
        size = self.unknowns + 1
        if size > _MOST_UNKNOWNS:
            return None
        support = np.flatnonzero(shares > _SHARE * shares.max())
        if not support.size:
            return None
        # Large shares and small ones: of the largest alone, many are far on one and the same side.
        ranks = np.linspace(0, support.size - 1, min(_CANDIDATES * size, support.size))
        some = support[np.argsort(shares[support], kind="stable")[ranks.astype(np.intp)]]
        block = self.X[some]
        block = block.toarray() if scipy.sparse.issparse(block) else block
        signs = self.y[some].astype(np.float64)
        system = np.ones((size, some.size))
        system[: block.shape[1]] = (signs[:, None] * block).T / self.longest
        if self.intercept:
            system[-2] = signs * self.constant / self.longest
        try:
            found, _ = nnls(system, np.append(np.zeros(size - 1), 1.0))
        except RuntimeError:
            return None
        if not found.sum() > 0:
            return None
        alpha = np.zeros(self.y.size)
        alpha[some] = found / found.sum()
        return alpha
