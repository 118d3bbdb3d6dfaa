"""The Newton system of the conditions of Lagrange, for rows that may depend on each other."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from resolvent._core.norm import norm

_CURVED = 1e-6  # the least curvature along the constraints that is left as it is


class Rows(NamedTuple):
    """What the rows of a Jacobian span, and what they do not.

    Attributes:
        idle: [m, m], the projection on the combinations of rows that vanish.
        basis: [n, n], orthonormal columns.
        along: [n], 1 for the columns that all rows are orthogonal to, else 0.
        least: the least singular value but those that vanish.
        largest: the largest one; 1 where all of them vanish.
    """

    idle: Any
    basis: Any
    along: Any
    least: Any
    largest: Any


def spanned(G: Any, share: Any) -> Rows:
    """Of singular values, `share` times the largest, and what rounding makes, counts as zero."""
    m, n = G.shape
    one = jnp.ones((), G.dtype)
    if not m:
        eye = jnp.eye(n, dtype=G.dtype)
        return Rows(jnp.zeros((0, 0), G.dtype), eye, jnp.ones(n, G.dtype), one, one)
    left, sizes, right = jnp.linalg.svd(jax.lax.stop_gradient(G))
    rounding = 10 * max(m, n) * jnp.finfo(G.dtype).eps
    real = sizes > jnp.maximum(share, rounding) * sizes[0]
    used = left[:, : sizes.size] * real
    along = jnp.ones(n, G.dtype).at[: sizes.size].set(1.0 - real)
    idle = jnp.eye(m, dtype=G.dtype) - used @ used.T
    return Rows(
        jnp.where(real.all() & (sizes.size == m), 0, idle),
        right.T,
        along,
        jnp.min(jnp.where(real, sizes, jnp.where(real[0], sizes[0], 1))),
        jnp.where(real[0], sizes[0], 1),
    )


def newton_matrix(B: Any, G: Any, rows: Rows) -> Any:
    """[[B, G^T], [G, 0]], where rows depend on each other with as much as makes it regular.

    Combinations of multipliers that change nothing then stay as they are.
    """
    return jnp.block([[B, G.T], [G, -rows.largest * rows.idle]])


def reachable(values: Any, rows: Rows) -> Any:
    """The part of the constraints' values that rows can change.

    Their derivative is that of the values: where those vanish together, they do so nearby.
    """
    return values - jax.lax.stop_gradient(rows.idle @ values)


def modified(H: Any, rows: Rows, shift: Any) -> tuple[Any, Any]:
    """H, plus a multiple of the identity where it is not positive along G d = 0; whether it is."""
    n, m = H.shape[0], rows.idle.shape[0]
    still = jax.lax.stop_gradient(H)
    size = norm(still)
    turned = rows.basis.T @ still @ rows.basis

    def least_of_some() -> Any:
        masked = rows.along[:, None] * turned * rows.along
        return jnp.linalg.eigvalsh(masked + jnp.diag((1 - rows.along) * (1 + size)))[0]

    def least_of_last() -> Any:
        return jnp.linalg.eigvalsh(turned[m:, m:])[0] if m < n else 1 + size

    # As a rule no row is idle, and the columns along all of them are the last ones.
    least = jax.lax.cond(rows.along[:m].any(), least_of_some, least_of_last)
    convex = least >= _CURVED
    return H + jnp.where(convex, 0, shift + size) * jnp.eye(n, dtype=H.dtype), convex


@jax.custom_jvp
def attached(z: Any, K: Any, b: Any) -> Any:
    """z, with the derivative of the exact solution of K z = b."""
    return z


@attached.defjvp
def _(primals: Any, tangents: Any) -> Any:
    z, K, b = primals
    _, dK, db = tangents
    # Through the rule itself, so that derivatives of any order see how z moves.
    z = attached(z, K, b)
    return z, jnp.linalg.solve(K, db - dK @ z)
