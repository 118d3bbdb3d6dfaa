"""The matrix of a linear model, dense or sparse, in NumPy as in JAX."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from resolvent._core.checks import finite, is_traced, real_array, real_dtype, refuse
from resolvent._core.value import Value, static


class DenseDesign(Value):
    """X as an array [n, p]."""

    matrix: Any

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def numpy(self) -> bool:
        """Whether the data are NumPy's."""
        return isinstance(self.matrix, np.ndarray)

    def times(self, w: Any) -> Any:
        """X w."""
        return self.matrix @ self._beside(w)

    def transposed_times(self, v: Any) -> Any:
        """X^T v."""
        if isinstance(self.matrix, np.ndarray):
            return self.matrix.T @ self._beside(v)
        # Not X.T @ v, for which XLA writes the transposed matrix out.
        return jnp.tensordot(v, self.matrix, ((0,), (0,))).T

    def column_squares(self, weights: Any) -> Any:
        """The sum over rows of weights_i X_ij^2, for each column."""
        if isinstance(self.matrix, np.ndarray):
            return np.einsum("ij,ij,i->j", self.matrix, self.matrix, weights, optimize=False)
        return weights @ (self.matrix * self.matrix)

    def _beside(self, v: Any) -> Any:
        """JAX's numbers as NumPy's where the matrix is: else it would be copied for them."""
        concrete = isinstance(self.matrix, np.ndarray) and not is_traced(v)
        return np.asarray(v) if concrete else v


class SparseDesign(Value):
    """X by compressed columns."""

    data: Any
    rows: Any
    starts: Any
    columns: Any
    shape: tuple[int, int] = static()

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def numpy(self) -> bool:
        """Whether the data are NumPy's."""
        return isinstance(self.data, np.ndarray)

    def times(self, w: Any) -> Any:
        """X w."""
        if isinstance(self.data, np.ndarray):
            return self._times_sparse(w) if w.ndim == 1 else self._scipy @ w
        terms = self.data.reshape(self.data.shape + (1,) * (w.ndim - 1)) * w[self.columns]
        return jax.ops.segment_sum(terms, self.rows, self.shape[0])

    def transposed_times(self, v: Any) -> Any:
        """X^T v."""
        if isinstance(self.data, np.ndarray):
            return self._transposed @ v
        terms = self.data.reshape(self.data.shape + (1,) * (v.ndim - 1)) * v[self.rows]
        return jax.ops.segment_sum(terms, self.columns, self.shape[1], indices_are_sorted=True)

    def column_squares(self, weights: Any) -> Any:
        """The sum over rows of weights_i X_ij^2, for each column."""
        terms = self.data * self.data * weights[self.rows]
        if isinstance(self.data, np.ndarray):
            return np.bincount(self.columns, terms, self.shape[1]).astype(self.dtype)
        return jax.ops.segment_sum(terms, self.columns, self.shape[1], indices_are_sorted=True)

    def _times_sparse(self, w: Any) -> Any:
        """X w, by the columns whose coefficient is not zero."""
        from resolvent.composite.descent import kernels_descent as kernels

        w = np.asarray(w)
        chosen = np.flatnonzero(w != 0)
        out = np.zeros(self.shape[0], np.result_type(self.dtype, w))
        kernels.product(self.data, self.rows, self.starts, chosen, w[chosen], out)
        return out

    @functools.cached_property
    def _scipy(self) -> Any:
        return scipy.sparse.csc_matrix((self.data, self.rows, self.starts), shape=self.shape)

    @functools.cached_property
    def _transposed(self) -> Any:
        return self._scipy.T


def same_leaves(one: Any, other: Any) -> bool:
    """Whether two trees are made of the same arrays in memory, and of equal numbers."""
    mine, kind = jax.tree_util.tree_flatten(one)
    theirs, other_kind = jax.tree_util.tree_flatten(other)
    return kind == other_kind and all(
        a is b or (isinstance(a, float) and a == b) for a, b in zip(mine, theirs, strict=True)
    )


def as_design(name: str, X: Any) -> DenseDesign | SparseDesign:
    """A matrix of finite real numbers, as it is used here."""
    if scipy.sparse.issparse(X):
        return _by_columns(name, X)
    X = real_array(name, X)
    _matrix(name, X.shape)
    if not is_traced(X):
        finite(name, X)
    return DenseDesign(X)


def _by_columns(name: str, X: Any) -> SparseDesign:
    real_dtype(name, X.dtype)
    _matrix(name, X.shape)
    X = X.tocsc()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    if X.dtype.kind != "f":
        X = X.astype(np.float64)
    finite(name, X.data)
    columns = np.repeat(np.arange(X.shape[1], dtype=X.indices.dtype), np.diff(X.indptr))
    return SparseDesign(X.data, X.indices, X.indptr, columns, X.shape)


def _matrix(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or 0 in shape:
        refuse(
            ValueError, name, given=f"shape {shape}", needed="a matrix [samples, features]",
            advice="Write X[:, None] for one feature, X[None] for one sample.",
        )  # fmt: skip
