"""Bounds of a spectrum from a few Lanczos steps."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent.linear.krylov import dot, namespace

LANCZOS_STEPS = 12


def lanczos_extremes(operator: Any, preconditioner: Any, like: Any) -> tuple[Any, Any]:
    """Smallest and largest Ritz values of M A after a few steps; A symmetric, M positive definite.

    They lie inside the spectrum: the largest is close from below, the smallest far from above.
    Costs `LANCZOS_STEPS` products.
    """
    if isinstance(like, np.ndarray):
        return _extremes(operator, preconditioner, like)
    return _compiled(operator, preconditioner, like)


def _extremes(operator: Any, preconditioner: Any, like: Any) -> tuple[Any, Any]:
    xp = namespace(like)
    n, dtype = like.shape[0], like.dtype
    steps = min(LANCZOS_STEPS, n)
    # A fixed vector without structure: bounds must not change from solve to solve.
    begin = np.sin(np.arange(1, n + 1, dtype=np.float64) ** 2 * 0.7).astype(dtype)
    u = xp.asarray(begin)
    z = u if preconditioner is None else preconditioner.apply(u)
    beta = xp.sqrt(dot(u, z))
    diagonal, off = [], []
    u_old = xp.zeros_like(u)
    for _ in range(steps):
        v = z / xp.where(beta == 0, 1.0, beta).astype(dtype)
        u_unit = u / xp.where(beta == 0, 1.0, beta).astype(dtype)
        w = operator.mv(v) - beta * u_old
        alpha = dot(v, w)
        w = w - alpha * u_unit
        diagonal.append(alpha)
        u_old, u = u_unit, w
        z = u if preconditioner is None else preconditioner.apply(u)
        # Past an invariant subspace only rounding is left: cut the recurrence there.
        square = dot(u, z)
        floor = (100 * float(np.finfo(dtype).eps) * xp.max(xp.abs(xp.stack(diagonal)))) ** 2
        beta = xp.sqrt(xp.where(square > floor, square, 0.0))
        u = xp.where(beta == 0, 0.0, u).astype(dtype)
        z = xp.where(beta == 0, 0.0, z).astype(dtype)
        off.append(beta)
    values = xp.stack(diagonal)
    # A zero diagonal entry past the cut is no Ritz value: repeat the first one there.
    alive = xp.concatenate([xp.ones(1, bool), xp.cumprod(xp.stack(off)[:-1] > 0) > 0])
    values = xp.where(alive, values, values[0])
    beside = xp.stack(off)[:-1] * alive[1:]
    T = xp.diag(values) + xp.diag(beside, 1) + xp.diag(beside, -1)
    ritz = xp.linalg.eigvalsh(T)
    return ritz[0], ritz[-1]


@partial(jax.jit)
def _compiled(operator: Any, preconditioner: Any, like: Any) -> tuple[Any, Any]:
    return _extremes(operator, preconditioner, jnp.asarray(like))
