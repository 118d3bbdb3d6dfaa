"""Quadratic functions minimized over short Krylov spaces."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def best_in_krylov_space(
    product: Any, r: Any, norm: Any, dimension: int
) -> tuple[Any, Any, Any, int]:
    """The minimizer h of h^T B h / 2 - r^T h over span{r, B r, ..., B^(dimension - 1) r}.

    Returns h, B h, whether B turned out not to be positive definite (h is then zero), and the
    number of products with B. Works on NumPy and JAX arrays; `norm` is ||r||.
    """
    xp = jnp if isinstance(r, jax.Array) else np
    eps = float(np.finfo(r.dtype).eps)
    eager = isinstance(r, np.ndarray)
    v = r / xp.where(norm == 0, 1.0, norm).astype(r.dtype)
    basis, images, diagonal, beside, open_ = [], [], [], [], []
    alive = norm > 0
    for _ in range(dimension):
        w = product(v)
        basis.append(v)
        images.append(w)
        diagonal.append(xp.vdot(v, w))
        open_.append(alive)
        size = xp.sqrt(xp.vdot(w, w))
        V = xp.stack(basis)
        # Moments of a Krylov space lose all digits beyond a few powers; an orthonormal basis
        # keeps them, if it is made so twice.
        w = w - V.T @ (V @ w)
        w = w - V.T @ (V @ w)
        beta = xp.sqrt(xp.vdot(w, w))
        # What is left of an invariant space is rounding: the basis ends there.
        alive = alive & (beta > 100 * eps * size)
        if eager and not alive:
            break
        beta = xp.where(alive, beta, 0.0).astype(r.dtype)
        beside.append(beta)
        v = w * xp.where(alive, 1.0 / xp.where(alive, beta, 1.0), 0.0).astype(r.dtype)
    y, bad = _solve_tridiagonal(xp, diagonal, beside, open_, norm)
    h = sum((a * v for a, v in zip(y[1:], basis[1:], strict=True)), y[0] * basis[0])
    image = sum((a * w for a, w in zip(y[1:], images[1:], strict=True)), y[0] * images[0])
    return h, image, bad, len(basis)


def _solve_tridiagonal(
    xp: Any, diagonal: list[Any], beside: list[Any], open_: list[Any], norm: Any
) -> tuple[list[Any], Any]:
    """T y = norm e_1 by elimination without pivoting; a pivot that is not positive is bad."""
    dtype = diagonal[0].dtype
    bad = xp.asarray(False)
    pivots: list[Any] = []
    right: list[Any] = []
    for j, entry in enumerate(diagonal):
        pivot, value = entry, norm
        if j:
            factor = beside[j - 1] / pivots[-1]
            pivot, value = entry - factor * beside[j - 1], -factor * right[-1]
        # NaN must not pass as bad: it shows up in the norm and ends the loop as divergence.
        bad = bad | (open_[j] & (pivot <= 0))
        pivots.append(xp.where(open_[j] & ~(pivot <= 0), pivot, 1.0).astype(dtype))
        right.append(xp.where(open_[j], value, 0.0).astype(dtype))
    y = [right[-1] / pivots[-1]]
    for j in range(len(diagonal) - 2, -1, -1):
        y.insert(0, (right[j] - beside[j] * y[0]) / pivots[j])
    return [xp.where(bad, 0.0, one).astype(dtype) for one in y], bad
