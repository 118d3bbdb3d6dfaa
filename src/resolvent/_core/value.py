"""The base of problems, methods and memories: frozen dataclasses that are JAX trees.

They are what `equinox.Module` would be, less one thing: looking a method up on one costs nothing.
Equinox wraps every method into a module of its own at each look-up, tens of microseconds that a
small solve would spend twenty times. Equinox modules remain welcome as fields.
"""

import abc
import dataclasses
from typing import Any, ClassVar, dataclass_transform

import jax
import numpy as np
from jax.core import Tracer


def static(default: Any = dataclasses.MISSING, kw_only: bool = False) -> Any:
    """A field that compiled programs know beforehand instead of taking it as an argument."""
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"static": True})


def as_real(number: Any) -> Any:
    """A whole number as a float, which compiled programs take as an argument, so that all numbers
    share one; one of JAX as NumPy's, which keeps its precision in any setting; others as they are.
    """
    if isinstance(number, jax.Array) and not isinstance(number, Tracer) and number.ndim == 0:
        return np.asarray(number)
    return float(number) if type(number) is int else number


def store_reals(value: Any, *names: str) -> None:
    """The same for some fields of a value that is being made."""
    vars(value).update({name: as_real(vars(value)[name]) for name in names})


def _adds_no_fields(cls: type) -> bool:
    base: Any = cls.__mro__[1]
    if not dataclasses.is_dataclass(base):
        return False
    known = {field.name: field for field in dataclasses.fields(base)}
    return all(known.get(field.name) is field for field in dataclasses.fields(cls))


def _children(cls: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    fields = dataclasses.fields(cls)
    data = tuple(f.name for f in fields if not f.metadata.get("static"))
    return data, tuple(f.name for f in fields if f.metadata.get("static"))


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
class Value(metaclass=abc.ABCMeta):  # noqa: B024
    """A frozen dataclass whose fields, less the static ones, are children of a JAX tree."""

    children: ClassVar[tuple[str, ...]] = ()
    """The names of the fields that are not static."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        written = "__init__" in vars(cls)
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        if not written and _adds_no_fields(cls):
            del cls.__init__  # what a base class accepts, it accepts too
        data, rest = _children(cls)
        cls.children = data
        keys = tuple(jax.tree_util.GetAttrKey(name) for name in data)

        def flatten(value: Any) -> tuple[Any, Any]:
            fields = value.__dict__
            return [fields[name] for name in data], tuple(fields[name] for name in rest)

        def flatten_with_keys(value: Any) -> tuple[Any, Any]:
            children, known = flatten(value)
            return list(zip(keys, children, strict=True)), known

        def unflatten(known: Any, children: Any) -> Any:
            # Around __init__: its checks are for users' data, not for JAX's placeholders.
            value = object.__new__(cls)
            vars(value).update(zip(data, children, strict=True))
            vars(value).update(zip(rest, known, strict=True))
            return value

        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)

    def but(self, **changes: Any) -> Any:
        """A copy with some fields changed; nothing is checked again."""
        value = object.__new__(type(self))
        vars(value).update(vars(self))
        vars(value).update(changes)
        return value

    def __repr__(self) -> str:
        parts = []
        for name, value in self.__dict__.items():
            default = getattr(type(self), name, dataclasses.MISSING)
            plain = isinstance(value, bool | int | float | str)
            if value is None or value is default or (plain and value == default):
                continue
            parts.append(f"{name}={_brief(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _brief(value: Any) -> str:
    if hasattr(value, "shape") and getattr(value, "ndim", 0):
        return f"<{value.dtype}{list(value.shape)}>"
    if isinstance(value, tuple) and not isinstance(value, str):
        return f"({', '.join(_brief(item) for item in value)})"
    return str(value)
