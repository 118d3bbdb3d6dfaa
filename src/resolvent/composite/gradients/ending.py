"""How methods that search along lines end where no step is left, or where steps never end."""

from typing import Any

import jax.numpy as jnp

from resolvent._core.solution import Reason


def ending(problem: Any, x: Any, endless: Any, stuck: Any) -> Any:
    """0, or the code of a `Reason`: diverged where lines beyond all bounds go down without end,
    stalled where the search found no step although it went down the gradient."""
    # Answers may be as far away.
    code = jnp.where(stuck, Reason.stalled.code, 0)
    code = jnp.where(endless & problem.is_beyond(x), Reason.diverged.code, code)
    return code.astype(jnp.int32)
