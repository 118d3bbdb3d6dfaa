"""Functions that users give: whether they can be called and traced, and what they return."""

from collections.abc import Callable
from typing import Any

import jax

from resolvent._core.checks import refuse, takes


def returned(
    name: str, function: Callable[..., Any], x: Any, args: Any, *, numpy: str, decision: str
) -> Any:
    """The shapes and kinds of a function's values, without computing them.

    Args:
        name: of the argument that it is.
        function: of x, or of x and args.
        x: a point.
        args: None for none.
        numpy: advice where it computes with NumPy.
        decision: advice where it decides by the values of x.

    Raises:
        TypeError: if it cannot be called with these, or JAX cannot trace it.
    """
    if not callable(function):
        refuse(
            TypeError, name, given=f"a {type(function).__name__}",
            needed="a function of x, or of x and args",
            advice="Pass a function that JAX can differentiate.",
        )  # fmt: skip
    has_args = args is not None
    if not takes(function, 1 + has_args):
        refuse(
            TypeError, name,
            given=f"a function that cannot be called with x{' and args' * has_args}",
            needed="a function of x, or of x and args where there are args",
            advice="Leave args out, or let the function take them."
            if has_args else "Give args, or let the function take x alone.",
        )  # fmt: skip
    try:
        # Of x alone: what is no array in args is known to the function.
        return jax.eval_shape(lambda x: function(x, args) if has_args else function(x), x)
    except jax.errors.TracerArrayConversionError:
        refuse(
            TypeError, name, given="a function that computes with NumPy or SciPy",
            needed="one that JAX can trace", advice=numpy,
        )  # fmt: skip
    except jax.errors.ConcretizationTypeError:
        refuse(
            TypeError, name, given="a function that decides by the values of x in Python",
            needed="one that JAX can trace", advice=decision,
        )  # fmt: skip
