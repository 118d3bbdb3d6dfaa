"""Matrices with few entries a row, for compiled programs: products gather in both directions."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Float, Int

from resolvent._core.value import Value


class SparseRows(Value):
    """An [m, n] matrix with at most k entries a row and at most l a column.

    Args:
        values: the entries, row by row, 0 where a row has fewer.
        columns: the column of each.
        places: where in `values`, counted through, the entries of each column are; m k for none.
    """

    values: Float[Any, "m k"]
    columns: Int[Any, "m k"]
    places: Int[Any, "n l"]

    __array_ufunc__: ClassVar[None] = None  # so that NumPy leaves products to this class

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.places.shape[0]

    def __matmul__(self, d: Float[Any, " n"]) -> Float[Any, " m"]:
        """The matrix times a vector."""
        return (self.values * d[self.columns]).sum(1)

    def __rmatmul__(self, y: Float[Any, " m"]) -> Float[Any, " n"]:
        """The transpose times a vector."""
        return self._by_columns(self.values * y[:, None]).sum(1)

    def _by_columns(self, entries: Any) -> Any:
        nothing = jnp.zeros(1, entries.dtype)
        return jnp.concatenate([entries.ravel(), nothing])[self.places]

    def __abs__(self) -> "SparseRows":
        return self.but(values=jnp.abs(self.values))

    def __pow__(self, power: int) -> "SparseRows":
        """Each entry to a positive power."""
        return self.but(values=self.values**power)

    def __mul__(self, factors: Float[Any, " n"]) -> "SparseRows":
        """Each column times its factor."""
        return self.but(values=self.values * factors[self.columns])

    def sum(self, axis: int) -> Any:
        """Of rows (1) or of columns (0)."""
        return self.values.sum(1) if axis == 1 else self._by_columns(self.values).sum(1)

    def dense(self) -> Float[Any, "m n"]:
        """All entries."""
        m, n = self.shape
        rows = jnp.arange(m)[:, None]
        return jnp.zeros((m, n), self.values.dtype).at[rows, self.columns].add(self.values)
