"""Randomness is a key: an integer, a sequence of integers, or a JAX key. Same key, same answer."""

import hashlib
from typing import Any

import jax
import numpy as np
from numpy.random.bit_generator import ISeedSequence

from resolvent._core.checks import refuse


def words_of(key: Any) -> tuple[int, ...]:
    """The integers that a key stands for; anything else is refused."""
    if key is None:
        return (0,)
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and key >= 0:
        return (int(key),)
    if isinstance(key, tuple) and all(isinstance(part, int) for part in key):
        return key
    if isinstance(key, jax.Array):
        if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
            key = jax.random.key_data(key)
        if key.dtype == np.uint32:
            return tuple(int(word) for word in np.asarray(key).ravel())
    refuse(
        TypeError, "key", given=f"{type(key).__name__} {key!r}",
        needed="a nonnegative integer or a JAX key", advice="Pass key=0 or jax.random.key(0).",
    )  # fmt: skip


class _Digest(ISeedSequence):
    """The state of a generator from a key alone, without a look at the system's entropy."""

    __slots__ = ("text",)

    def __init__(self, text: bytes):
        self.text = text

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """So many words of a digest of the key."""
        size = np.dtype(dtype).itemsize * n_words
        return np.frombuffer(hashlib.blake2b(self.text, digest_size=size).digest(), dtype)


def generator(key: Any) -> np.random.Generator:
    """A NumPy generator for host code."""
    seed: Any = _Digest(repr(words_of(key)).encode())
    return np.random.Generator(np.random.PCG64(seed))


def jax_key(key: Any) -> jax.Array:
    """A JAX key for traced code."""
    if isinstance(key, jax.Array):
        if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
            return key
        return jax.random.wrap_key_data(key)
    made = jax.random.key(words_of(key)[0])
    for word in words_of(key)[1:]:
        made = jax.random.fold_in(made, word)
    return made


def fold(key: Any, index: int) -> Any:
    """The key of one member of a sequence."""
    if isinstance(key, jax.Array):
        return jax.random.fold_in(jax_key(key), index)
    return (*words_of(key), index)
