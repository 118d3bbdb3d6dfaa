"""Runs of traced methods, step by step: what their states tell after each."""

from typing import Any

import jax
import jax.numpy as jnp

from resolvent._core.memory import Memory
from resolvent._core.traced import join, split


def run(problem: Any, method: Any, steps: int, fields: tuple[str, ...]) -> dict[str, Any]:
    """These fields of the state after 0, 1, ... steps, in double precision."""
    with jax.enable_x64(True):
        prepared = problem.prepare("traced")
        known, arguments = split((prepared, method.bind(prepared)))
        return jax.device_get(_scanned(known, steps, fields, arguments))


def _scan(known: Any, steps: int, fields: tuple[str, ...], arguments: Any) -> Any:
    problem, method = join(known, arguments)

    def told(state: Any) -> dict[str, Any]:
        return {name: getattr(state, name) for name in fields}

    def one(state: Any, _: None) -> Any:
        state = method.step(problem, state)
        return state, told(state)

    first = method.init(problem, problem.start(None), Memory(), None)
    later = jax.lax.scan(one, first, None, length=steps)[1]
    return jax.tree_util.tree_map(lambda a, b: jnp.concatenate([a[None], b]), told(first), later)


_scanned = jax.jit(_scan, static_argnums=(0, 1, 2))
