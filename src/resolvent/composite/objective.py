"""What a user's function must be to be minimized."""

from typing import Any

from resolvent._core.checks import refuse
from resolvent._core.traceable import returned


def look_at(f: Any, x: Any, args: Any) -> None:
    """Refuse a function that cannot be called or traced, or whose value is not one real number."""
    value = returned(
        "f", f, x, args, numpy="Use jax.numpy in it.",
        decision="Write a choice with jax.numpy.where.",
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
