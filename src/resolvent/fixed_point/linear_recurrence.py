"""Linear recurrences v_t = A_t v_{t-1} + b_t from v_0 = 0, one after another or by a scan."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def by_scan(A: Float[Array, "T ..."], b: Float[Array, "T n"]) -> Float[Array, "T n"]:
    """All entries by an associative scan: O(log T) deep, O(T n^3) work.

    Args:
        A: [T, n, n], or [T, n] for diagonal matrices.
        b: [T, n].

    Returns:
        v_1, ..., v_T.
    """

    def composed(earlier: Any, later: Any) -> Any:
        A_earlier, b_earlier = earlier
        A_later, b_later = later
        if A.ndim == 2:
            return A_later * A_earlier, A_later * b_earlier + b_later
        # Products of small matrices in full precision: TF32 would lose what Newton gains.
        return (
            jnp.matmul(A_later, A_earlier, precision="highest"),
            jnp.einsum("tij,tj->ti", A_later, b_earlier, precision="highest") + b_later,
        )

    return jax.lax.associative_scan(composed, (A, b))[1]


def in_turn(A: Float[Array, "T ..."], b: Float[Array, "T n"]) -> Float[Array, "T n"]:
    """The same, one entry after another: O(T n^2) work, and no products that could overflow."""

    def step(v: Any, pair: Any) -> Any:
        A, b = pair
        v = (A * v if A.ndim == 1 else A @ v) + b
        return v, v

    return jax.lax.scan(step, jnp.zeros_like(b[0]), (A, b))[1]


def solved(A: Float[Array, "T n n"], b: Float[Array, "T n"], transposed: bool) -> Any:
    """v with v_t - A_t v_{t-1} = b_t, or with the transpose of that system, which runs backwards.

    One after another on a CPU, where that is the faster way, else by a scan.
    """
    if transposed:
        later = jnp.concatenate([jnp.swapaxes(A[1:], 1, 2), jnp.zeros_like(A[:1])])
        return _solved(later[::-1], b[::-1])[::-1]
    return _solved(A, b)


def _solved(A: Any, b: Any) -> Any:
    return jax.lax.platform_dependent(A, b, cpu=in_turn, default=by_scan)
