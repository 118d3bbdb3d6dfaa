"""How the components of a finite sum are drawn.

What a step draws is a function of the key and of the step's number, computed by the same generator
that JAX uses. `jax.random` itself costs tens of microseconds a step here, several times what the
components of a step cost: on a CPU it runs its rounds in a compiled loop, which saves time for
large arrays and compilation only.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_HALF = 0xFFFF


def words_of(key: Any) -> Any:
    """Two words that stand for a key in a state."""
    words = jax.random.key_data(key).ravel()
    return jnp.stack([words[0], words[-1]])


def dice(words: Any, step: Any, number: int) -> Any:
    """So many independent words of 32 random bits, for one step: Threefry of 20 rounds.

    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), Parallel random numbers: as easy as
    1, 2, 3.
    """
    keys = words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(_PARITY)
    first = jnp.arange((number + 1) // 2, dtype=jnp.uint32) + keys[0]
    second = jnp.asarray(step).astype(jnp.uint32) + keys[1]
    for i in range(20):
        first = first + second
        turn = _ROTATIONS[i // 4 % 2][i % 4]
        second = first ^ ((second << turn) | (second >> (32 - turn)))
        if i % 4 == 3:
            j = i // 4 + 1
            first = first + keys[j % 3]
            second = second + keys[(j + 1) % 3] + jnp.uint32(j)
    return jnp.stack([first, second], axis=1).ravel()[:number]


def heads(word: Any, p: Any) -> Any:
    """True with probability p."""
    p = jnp.asarray(p, jnp.float32)
    # The largest float32 below 1 keeps the threshold inside 32 bits.
    limit = (jnp.minimum(p, 1.0 - 2.0**-24) * 2.0**32).astype(jnp.uint32)
    return (word < limit) | (p >= 1.0)


def draw(F: Any, words: Any) -> tuple[Any, Any]:
    """A component for each random word, and the weights that make their mean unbiased, or None.

    As many words as there are components stand for each of them once, where draws are uniform.
    """
    n = F.components
    if F.probabilities is None:
        return (None if words.shape[0] >= n else _scaled(words, n)), None
    bits = 32 if F.ladder.dtype == jnp.float64 else 24
    uniform = (words >> (32 - bits)).astype(F.ladder.dtype) * 2.0**-bits
    places = jnp.searchsorted(
        F.ladder, uniform * F.ladder[-1], side="right", method="scan_unrolled"
    )
    # The last product may be rounded up to the last number of the ladder.
    indices = jnp.minimum(places, n - 1)
    return indices, 1.0 / (n * F.probabilities[indices])


def _scaled(words: Any, n: int) -> Any:
    """floor(words n / 2^32), in 32 bits."""
    high, low = words >> 16, words & _HALF
    above, below = jnp.uint32(n >> 16), jnp.uint32(n & _HALF)
    middle = ((low * below) >> 16) + ((low * above) & _HALF) + ((high * below) & _HALF)
    total = high * above + ((low * above) >> 16) + ((high * below) >> 16) + (middle >> 16)
    return total.astype(jnp.int32)


def batch_size(batch: int | None, components: int) -> int:
    """The user's, or the root of the number of components, and at most that number."""
    return min(components, math.ceil(math.sqrt(components)) if batch is None else batch)
