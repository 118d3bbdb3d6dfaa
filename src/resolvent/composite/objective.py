"""What a user's function must be to be minimized."""

from typing import Any

import jax

from resolvent._core.checks import refuse, takes


def look_at(f: Any, x: Any, args: Any) -> None:
    """Refuse a function that cannot be called or traced, or whose value is not one real number."""
    if not callable(f):
        refuse(
            TypeError, "f", given=f"a {type(f).__name__}", needed="a function x -> f(x)",
            advice="Pass a function that JAX can differentiate.",
        )  # fmt: skip
    given = (x,) if args is None else (x, args)
    if not takes(f, len(given)):
        refuse(
            TypeError, "f",
            given="a function that cannot be called with " + ("x", "x and args")[len(given) - 1],
            needed="a function of x, or of x and args where there are args",
            advice="Leave args out, or let the function take them."
            if len(given) == 2 else "Give args, or let the function take x alone.",
        )  # fmt: skip
    try:
        # Of x alone: what is no array in args is known to f.
        value = jax.eval_shape(lambda x: f(x, *given[1:]), x)
    except jax.errors.TracerArrayConversionError:
        refuse(
            TypeError, "f", given="a function that computes with NumPy or SciPy",
            needed="one that JAX can trace", advice="Use jax.numpy in it.",
        )  # fmt: skip
    except jax.errors.ConcretizationTypeError:
        refuse(
            TypeError, "f", given="a function that decides by the values of x in Python",
            needed="one that JAX can trace", advice="Write a choice with jax.numpy.where.",
        )  # fmt: skip
    shape = getattr(value, "shape", type(value).__name__)
    if shape != ():
        refuse(
            ValueError, "f", given=f"values of shape {shape}", needed="one real number",
            advice="Add up what f returns.",
        )  # fmt: skip
    if value.dtype.kind != "f":
        refuse(
            TypeError, "f", given=f"values of dtype {value.dtype}",
            needed="real numbers that have derivatives",
            advice="Let f compute with x, in floating point.",
        )  # fmt: skip
