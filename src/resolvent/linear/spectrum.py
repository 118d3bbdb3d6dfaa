"""Bounds of a spectrum from a few Lanczos steps."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from resolvent._core.checks import between, is_traced, refuse
from resolvent.linear.krylov import checked, dot, namespace

LANCZOS_STEPS = 12


def check_interval(names: tuple[str, str], low: Any, high: Any, matrix: str) -> None:
    """Refuse bounds of the spectrum of `matrix` unless 0 < low < high; None and tracers pass."""
    if is_traced((low, high)):
        return
    advice = f"Pass a bound of the spectrum of {matrix}, or None."
    for name, bound in zip(names, (low, high), strict=True):
        if bound is not None:
            between(name, bound, 0.0, math.inf, advice)
    if low is not None and high is not None and not low < high:
        refuse(
            ValueError, ", ".join(names), given=f"{low}, {high}",
            needed=f"0 < {names[0]} < {names[1]}", advice=advice,
        )  # fmt: skip


def lanczos_extremes(operator: Any, preconditioner: Any, like: Any) -> tuple[Any, Any]:
    """Smallest and largest Ritz values of M A after a few steps; A symmetric, M positive definite.

    They lie inside the spectrum: the largest is close from below, the smallest far from above.
    Costs `lanczos_steps(n)` products, and one application of M more. NaN where the matrix is too
    wild for its numbers.
    """
    if isinstance(like, np.ndarray):
        return _extremes(operator, preconditioner, like)
    return _compiled(operator, preconditioner, like)


def lanczos_steps(n: int) -> int:
    """How many products `lanczos_extremes` spends on n unknowns."""
    return min(LANCZOS_STEPS, n)


def _extremes(operator: Any, preconditioner: Any, like: Any) -> tuple[Any, Any]:
    xp = namespace(like)
    n, dtype = like.shape[0], like.dtype
    # A fixed vector without structure: bounds must not change from solve to solve.
    u = xp.asarray(np.sin(np.arange(1, n + 1, dtype=np.float64) ** 2 * 0.7).astype(dtype))

    def apply(r: Any) -> Any:
        return r if preconditioner is None else checked(preconditioner, preconditioner.apply(r), r)

    z = apply(u)
    eps = float(np.finfo(dtype).eps)

    def step(carry: Any, _: Any) -> Any:
        u_old, u, z, beta, largest = carry
        safe = xp.where(beta == 0, 1.0, beta).astype(dtype)
        v, u = z / safe, u / safe
        w = operator.mv(v) - beta * u_old
        alpha = dot(v, w)
        w = w - alpha * u
        z = apply(w)
        largest = xp.maximum(largest, abs(alpha))
        # Past an invariant subspace only rounding is left: cut the recurrence there.
        square = dot(w, z)
        following = xp.sqrt(xp.where(square > (100 * eps * largest) ** 2, square, 0.0))
        alive = following > 0
        following = following.astype(dtype)
        carry = (u, xp.where(alive, w, 0.0).astype(dtype), xp.where(alive, z, 0.0).astype(dtype))
        return (*carry, following, largest), (alpha, following)

    begin = (xp.zeros_like(u), u, z, xp.sqrt(dot(u, z)), xp.zeros((), dtype))
    if xp is np:
        rows = []
        for _ in range(lanczos_steps(n)):
            begin, row = step(begin, None)
            rows.append(row)
        diagonal, off = np.array(rows).T
    else:
        _, (diagonal, off) = jax.lax.scan(step, begin, length=lanczos_steps(n))
    # A zero past the cut is no Ritz value: repeat the first one there.
    alive = xp.concatenate([xp.ones(1, bool), xp.cumprod(off[:-1] > 0) > 0])
    diagonal = xp.where(alive, diagonal, diagonal[0])
    beside = off[:-1] * alive[1:]
    T = xp.diag(diagonal) + xp.diag(beside, 1) + xp.diag(beside, -1)
    fine = xp.isfinite(T).all()
    ritz = xp.linalg.eigvalsh(xp.where(fine, T, 0.0))
    return xp.where(fine, ritz[0], xp.nan), xp.where(fine, ritz[-1], xp.nan)


@partial(jax.jit)
def _compiled(operator: Any, preconditioner: Any, like: Any) -> tuple[Any, Any]:
    return _extremes(operator, preconditioner, jnp.asarray(like))
