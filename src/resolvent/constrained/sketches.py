"""Sketches of a symmetric linear system: the few equations that one projection satisfies."""

from typing import Any

import jax
import jax.numpy as jnp

SKETCHES = ("gaussian", "kaczmarz", "weighted-kaczmarz", "count")


def drawn(kind: str, key: Any, K: Any, b: Any, count: int, width: int) -> tuple[Any, Any]:
    """`count` sketches S of `width` columns: K S as [count, n, width] and S^T b as [count, width].

    K is symmetric. `gaussian`: independent normal entries. `kaczmarz`: rows with equal chances;
    `weighted-kaczmarz`: with chances in proportion to their squared norms. `count`: each row goes
    into one column, with a random sign.
    """
    n = b.size
    if kind == "gaussian":
        S = jax.random.normal(key, (count, width, n), K.dtype)
        return jnp.swapaxes(S @ K, 1, 2), S @ b
    if kind == "count":
        place, sign = jax.random.split(key)
        column = jax.random.randint(place, (count, 1, n), 0, width)
        signs = jax.random.rademacher(sign, (count, 1, n), K.dtype)
        S = jnp.where(column == jnp.arange(width)[:, None], signs, 0)
        return jnp.swapaxes(S @ K, 1, 2), S @ b
    if kind == "weighted-kaczmarz":
        chances = jnp.log((K * K).sum(axis=1))
        rows = jax.random.categorical(key, chances, shape=(count, width))
    else:
        rows = jax.random.randint(key, (count, width), 0, n)
    return jnp.swapaxes(K[rows], 1, 2), b[rows]


def projected(sketched: tuple[Any, Any], z: Any) -> Any:
    """z after its projections on the solutions of S^T K z = S^T b, one sketch after another."""
    images, right = sketched
    count, _, width = images.shape
    gram = jnp.swapaxes(images, 1, 2) @ images
    if width == 1:
        inverse = jnp.where(gram > 0, 1 / jnp.where(gram > 0, gram, 1), 0)
    else:
        inverse = jnp.linalg.pinv(gram, hermitian=True)

    def one(i: Any, z: Any) -> Any:
        image = images[i]
        return z - image @ (inverse[i] @ (z @ image - right[i]))

    return jax.lax.fori_loop(0, count, one, z)
