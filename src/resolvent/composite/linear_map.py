"""Linear maps between trees of arrays: matrices, functions, and pairs of functions."""

from typing import Any

import jax
import numpy as np
import scipy.sparse

from resolvent._core.checks import refuse
from resolvent._core.value import Value
from resolvent.composite.design import DenseDesign, SparseDesign, as_design

POWERS = 20  # products with K^T K that estimate its norm


class IdentityMap(Value):
    """K x = x."""

    def times(self, x: Any, args: Any) -> Any:
        """K x."""
        return x

    def transposed_times(self, y: Any, like: Any, args: Any) -> Any:
        """K^T y, for x that look like `like`."""
        return y


class MatrixMap(Value):
    """A matrix, of vectors x."""

    design: DenseDesign | SparseDesign

    def times(self, x: Any, args: Any) -> Any:
        """K x."""
        return self.design.times(x)

    def transposed_times(self, y: Any, like: Any, args: Any) -> Any:
        """K^T y."""
        return self.design.transposed_times(y)


class FunctionMap(Value):
    """A linear function, and its transpose where the caller has one."""

    forward: Any
    backward: Any = None

    def times(self, x: Any, args: Any) -> Any:
        """K x."""
        return self.forward(x) if args is None else self.forward(x, args)

    def transposed_times(self, y: Any, like: Any, args: Any) -> Any:
        """K^T y, by JAX's transposition where none is given."""
        if self.backward is not None:
            return self.backward(y) if args is None else self.backward(y, args)
        return jax.linear_transpose(lambda x: self.times(x, args), like)(y)[0]


LinearMap = IdentityMap | MatrixMap | FunctionMap


def as_map(K: Any) -> LinearMap:
    """K as the user gives it: None, a matrix, a function, or a pair of functions."""
    if K is None:
        return IdentityMap()
    if isinstance(K, LinearMap):
        return K
    if callable(K):
        return FunctionMap(K)
    if isinstance(K, tuple) and len(K) == 2 and all(callable(part) for part in K):
        return FunctionMap(*K)
    if scipy.sparse.issparse(K) or isinstance(K, np.ndarray | jax.Array | list):
        return MatrixMap(as_design("K", K))
    refuse(
        TypeError, "K", given=f"a {type(K).__name__}",
        needed="a matrix, a linear function, a pair (K, transpose) of functions, or None",
        advice="None stands for the identity.",
    )  # fmt: skip
