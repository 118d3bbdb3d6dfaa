"""Symmetric polynomials of a spectrum that is known by its traces alone."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float


def dense_traces(A: Float[Any, "n n"], count: int) -> Any:
    """tr A, ..., tr A^count of a symmetric matrix, count <= 5."""
    # Of a symmetric matrix the Frobenius product with itself is the trace of its square.
    traces = [A.trace(), (A * A).sum()][:count]
    if count > 2:
        square = A @ A
        traces.append((square * A).sum())
        if count > 3:
            traces.append((square * square).sum())
        if count > 4:
            traces.append(((square @ A) * square).sum())
    return (np if isinstance(A, np.ndarray) else jnp).stack(traces)


def elementary_symmetric(traces: Any) -> list[Any]:
    """e_0, ..., e_tau of a spectrum from its power sums p_1, ..., p_tau, by Newton's identities.

    e_k = (1/k) sum_{i=1..k} (-1)^(i-1) e_{k-i} p_i. The sums cancel: scale the matrix so that its
    eigenvalues have mean one, and expect no digits beyond about tau = 5.
    """
    e: list[Any] = [1.0]
    for k in range(1, len(traces) + 1):
        terms = [(-1) ** (i - 1) * e[k - i] * traces[i - 1] for i in range(1, k + 1)]
        e.append(sum(terms[1:], terms[0]) / k)
    return e
