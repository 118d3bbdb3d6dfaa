"""How programs of solves are compiled on processors: in two thirds of the time or less.

XLA's newer code generator for processors builds every fused loop apart. Programs of solvers are
thousands of small operations around a few large ones, and compile faster with the generator it had
before, on one thread.

LLVM looks for vectors in that generator's loops, and where these branch it looks again for every
branch within a branch: a Jacobian of twenty formulas took more than five minutes. The first level
of its optimization does not look. Products and factorizations are calls of libraries either way;
long sums of elementary functions take up to a quarter longer.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
from jax.core import eval_context

from resolvent._core.checks import is_traced, refuse

QUICK = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_backend_optimization_level": 1,
}


class Program:
    """A function that is compiled once for all arguments of a shape; some are known beforehand."""

    def __init__(self, function: Callable[..., Any], *static: int):
        self._static = static
        # XLA takes options for whole programs alone, not for parts of what users compile.
        self._part: Any = jax.jit(function, static_argnums=static)
        self._whole: Callable[[], Any] = functools.cache(
            # Not on import: to ask for the device ends the time in which users may choose it.
            lambda: jax.jit(function, static_argnums=static, compiler_options=_options())
        )

    def __call__(self, *arguments: Any) -> Any:
        if any(is_traced(one) for i, one in enumerate(arguments) if i not in self._static):
            return self._part(*arguments)
        # What depends on no argument of a user's function has its value while that is compiled.
        try:
            with eval_context():
                return self._whole()(*arguments)
        except jax.errors.UnexpectedTracerError:
            refuse(
                TypeError, "problem",
                given="a function that takes a value under a JAX transformation from around it",
                needed="such values in args",
                advice="Pass them as args=, and take them from there.",
            )  # fmt: skip

    def compilations(self) -> int:
        """How often it was compiled in this process."""
        return self._part._cache_size() + self._whole()._cache_size()


def program(*static: int) -> Callable[[Callable[..., Any]], Program]:
    """Make a function a program, given the places of what is known beforehand."""
    return lambda function: Program(function, *static)


def _options() -> dict[str, Any] | None:
    """What XLA is told, where it is not told otherwise and knows the words."""
    told = any(name in os.environ.get("XLA_FLAGS", "") for name in QUICK)
    return None if told or jax.default_backend() != "cpu" else known(tuple(QUICK.items()))


@functools.cache
def known(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """Options, unless this release of XLA refuses them."""
    try:
        jax.jit(lambda x: x + 1, compiler_options=dict(options)).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return dict(options)
