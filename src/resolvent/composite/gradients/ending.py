"""How methods that search along lines end where no step is left, or where steps never end."""

from typing import Any

import jax.numpy as jnp

from resolvent._core.solution import Reason


def ending(problem: Any, x: Any, stuck: Any) -> Any:
    """0, or the code of a `Reason`: diverged where x has gone beyond all bounds, else stalled where
    the search found no step although it went down the gradient."""
    code = jnp.where(stuck, Reason.stalled.code, 0)
    code = jnp.where(problem.is_beyond(x), Reason.diverged.code, code)
    return code.astype(jnp.int32)
