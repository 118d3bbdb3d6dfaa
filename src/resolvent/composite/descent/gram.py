"""Columns of a matrix and their Gram matrices, as working sets ask for them.

Where there is an intercept, a column of ones stands before the others.
"""

from typing import Any

import numpy as np
import scipy.sparse

from resolvent.composite.descent import kernels_descent as kernels


class DenseGram:
    """Of an array: chosen columns lie side by side, and what is known of them is kept."""

    def __init__(self, problem: Any, ridge: float, constant: bool):
        self.X, self.weights = problem.design.matrix, problem.weights
        self.free, self.ridge, self.constant = int(problem.intercept), ridge, constant
        self.chosen = np.empty(0, np.intp)
        self.known = 0  # columns whose products are there
        self.block: Any = np.empty((self.X.shape[0], self.free), self.X.dtype, order="F")
        self.block[:] = 1.0
        self.products: Any = np.empty((0, 0), self.X.dtype)

    def regularize(self, ridge: float) -> None:
        """Take another ridge; products stay known."""
        own = np.arange(self.free, self.known)
        self.products[own, own] += ridge - self.ridge
        self.ridge = ridge

    def adopt(self, chosen: Any) -> None:
        """Make these columns the chosen ones; quick where they continue those of before."""
        old = self.chosen.size
        if not np.array_equal(chosen[:old], self.chosen):
            old = self.known = 0
        begin, size = self.free + old, self.free + chosen.size
        if self.block.shape[1] < size:
            room = min(2 * size, self.free + self.X.shape[1])
            block = np.empty((self.X.shape[0], room), self.X.dtype, order="F")
            block[:, :begin] = self.block[:, :begin]
            self.block = block
        if self.X.flags.f_contiguous:
            # Half the time of an assignment; of other matrices it would copy all.
            np.take(self.X.T, chosen[old:], axis=0, out=self.block.T[begin:size], mode="clip")
        else:
            self.block[:, begin:size] = self.X[:, chosen[old:]]
        self.chosen = chosen

    def columns(self) -> Any:
        """The chosen columns [n, k], each contiguous, less that of ones."""
        return self.block[:, self.free : self.free + self.chosen.size]

    def squares(self, some: Any, weights: Any) -> Any:
        """The sums of weights X^2 over any columns."""
        return weights @ self.X[:, some] ** 2

    def own_squares(self, weights: Any) -> Any:
        """The same of the chosen columns."""
        block = self.columns()
        return np.einsum("ij,ij,i->j", block, block, weights, optimize=False)

    def entries(self, some: Any) -> int:
        """How many there are in some columns, or in all."""
        return self.X.size if some is None else self.X.shape[0] * some.size

    def pulled_back(self, v: Any) -> Any:
        """X^T v on the chosen columns."""
        return self._all().T @ v

    def fit(self, move: Any) -> Any:
        """X move."""
        return self._all() @ move

    def of(self, weights: Any) -> Any:
        """X^T diag(weights) X on the chosen columns, plus the ridge on its diagonal."""
        block = self._all()
        if not self.constant:
            gram = block.T @ (weights[:, None] * block)
            self._add_ridge(gram, 0)
            return gram
        size, old = block.shape[1], self.known
        if old < size:
            if self.products.shape[0] < size:
                products = np.empty((min(2 * size, self.free + self.X.shape[1]),) * 2, block.dtype)
                products[:old, :old] = self.products[:old, :old]
                self.products = products
            fresh = self.weights[:, None] * block[:, old:]
            self.products[:size, old:size] = block.T @ fresh
            self.products[old:size, :old] = self.products[:old, old:size].T
            self._add_ridge(self.products[:size, :size], old)
            self.known = size
        return self.products[:size, :size]

    def _all(self) -> Any:
        return self.block[:, : self.free + self.chosen.size]

    def _add_ridge(self, gram: Any, begin: int) -> None:
        own = np.arange(max(begin, self.free), gram.shape[0])
        gram[own, own] += self.ridge


class SparseGram:
    """Of compressed columns."""

    def __init__(self, problem: Any, ridge: float, constant: bool):
        design = problem.design
        self.parts = design.data, design.rows, design.starts
        self.shape, self.weights = design.shape, problem.weights
        self.free, self.ridge, self.constant = int(problem.intercept), ridge, constant
        self.chosen = np.empty(0, np.intp)
        self._rows: Any = None
        self._products: Any = None
        self._squares: Any = None

    def regularize(self, ridge: float) -> None:
        """Take another ridge; products stay known."""
        if self._products is not None:
            own = np.arange(self.free, self._products.shape[0])
            self._products[own, own] += ridge - self.ridge
        self.ridge = ridge

    def adopt(self, chosen: Any) -> None:
        """Make these columns the chosen ones."""
        if not np.array_equal(chosen, self.chosen):
            self._rows = self._products = self._squares = None
        self.chosen = chosen

    def columns(self) -> Any:
        """The whole matrix: kernels take the chosen columns out of it."""
        return self.parts

    def squares(self, some: Any, weights: Any) -> Any:
        """The sums of weights X^2 over any columns."""
        out = np.empty(some.size, weights.dtype)
        kernels.column_squares(*self.parts, some, weights, out)
        return out

    def own_squares(self, weights: Any) -> Any:
        """The same of the chosen columns."""
        if not self.constant or self._squares is None:
            self._squares = self.squares(self.chosen, weights)
        return self._squares

    def entries(self, some: Any) -> int:
        """How many there are in some columns, or in all."""
        starts = self.parts[2]
        return int((starts[some + 1] - starts[some]).sum()) if some is not None else int(starts[-1])

    def pulled_back(self, v: Any) -> Any:
        """X^T v on the chosen columns."""
        out = np.empty(self.free + self.chosen.size, v.dtype)
        out[: self.free] = v.sum()
        kernels.transposed_product(*self.parts, self.chosen, v, out[self.free :])
        return out

    def fit(self, move: Any) -> Any:
        """X move."""
        out = np.full(self.shape[0], move[0] if self.free else 0, move.dtype)
        kernels.product(*self.parts, self.chosen, move[self.free :], out)
        return out

    def of(self, weights: Any) -> Any:
        """X^T diag(weights) X on the chosen columns, plus the ridge on its diagonal."""
        if self.constant and self._products is not None:
            return self._products
        free, size = self.free, self.free + self.chosen.size
        gram = np.zeros((size, size), weights.dtype)
        if self._rows is None:
            matrix = scipy.sparse.csc_matrix(self.parts, shape=self.shape)
            self._rows = matrix[:, self.chosen].tocsr()
        rows = self._rows
        kernels.gram_by_rows(rows.data, rows.indices, rows.indptr, weights, gram[free:, free:])
        if free:
            gram[0] = self.pulled_back(weights)
            gram[1:, 0] = gram[0, 1:]
        own = np.arange(free, size)
        gram[own, own] += self.ridge
        self._products = gram if self.constant else None
        return gram
