"""H^-1 of a positive semidefinite H, from one factorization for all right-hand sides."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

_CUT = 1e-10  # of the largest eigenvalue: what is below counts as zero


class Inverse(NamedTuple):
    """A symmetric matrix H and a factor W of its inverse, W W^T."""

    matrix: Any
    root: Any
    bent: Any
    """Whether H has a negative eigenvalue."""

    def solve(self, right: Float[Any, " n"]) -> Float[Any, " n"]:
        """H^-1 times a vector, its pseudo-inverse where H is singular.

        Derivatives are those of the system, not of its factors.
        """
        return jax.lax.custom_linear_solve(
            lambda v: self.matrix @ v, right, lambda _, b: self.root @ (self.root.T @ b),
            symmetric=True,
        )  # fmt: skip


def inverse(matrix: Float[Any, "n n"]) -> Inverse:
    """Cholesky's factors, or where a pivot is as good as zero those of the eigenvalues."""
    still = jax.lax.stop_gradient(matrix)
    n = still.shape[0]
    eye = jnp.eye(n, dtype=still.dtype)
    cut = max(_CUT, 10 * n * float(jnp.finfo(still.dtype).eps))
    lower = jnp.linalg.cholesky(still)
    pivots = jnp.diagonal(lower) ** 2
    sound = pivots.min() > cut * pivots.max()

    def by_pivots() -> tuple[Any, Any]:
        root = jax.scipy.linalg.solve_triangular(lower, eye, lower=True).T
        return root, jnp.zeros((), bool)

    def by_eigenvalues() -> tuple[Any, Any]:
        values, vectors = jnp.linalg.eigh(still)
        least = cut * jnp.abs(values).max()
        keep = values > least
        # NaN is neither kept nor cut: it must show.
        scale = jnp.where(keep, jnp.where(keep, values, 1) ** -0.5, 0 * values)
        return vectors * scale, values[0] < -least

    root, bent = jax.lax.cond(sound, by_pivots, by_eigenvalues)
    return Inverse(matrix, root, bent)
