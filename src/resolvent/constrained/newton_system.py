"""The Newton system of the conditions of Lagrange."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core.norm import norm

_CURVED = 1e-6  # the least curvature along the constraints that is left as it is


def newton_matrix(B: Any, G: Any) -> Any:
    """[[B, G^T], [G, 0]]"""
    m = G.shape[0]
    return jnp.block([[B, G.T], [G, jnp.zeros((m, m), B.dtype)]])


def modified(H: Any, G: Any, shift: Any) -> Any:
    """H, plus a multiple of the identity where it is not positive along G d = 0."""
    m, n = G.shape
    if m == n:
        return H
    still, rows = jax.lax.stop_gradient((H, G))
    along = jnp.linalg.qr(rows.T, mode="complete")[0][:, m:] if m else jnp.eye(n, dtype=H.dtype)
    least = jnp.linalg.eigvalsh(along.T @ still @ along)[0]
    extra = jnp.where(least >= _CURVED, 0, shift + norm(H))
    return H + extra * jnp.eye(n, dtype=H.dtype)


def of_full_rank(G: Any, steepest: Any, share: Any) -> Any:
    """Whether the least eigenvalue of G G^T is more than a share of the square of `steepest`."""
    if not G.shape[0]:
        return jnp.asarray(True)
    return jnp.linalg.eigvalsh(G @ G.T)[0] > share * steepest**2


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
