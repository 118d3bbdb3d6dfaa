"""A Griffe extension: the signature of an Equinox module comes from its fields.

Equinox modules are dataclasses by metaclass, without a decorator, so that static analysis
alone does not see the arguments of their constructors.
"""

import dataclasses
import inspect
from typing import Any

from griffe import Class, Extension, Function, Parameter, ParameterKind, Parameters, dynamic_import

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: ParameterKind.var_keyword,
}


def _parameter(cls: Class, one: inspect.Parameter) -> Parameter:
    field = cls.all_members.get(one.name)
    default = None if one.default is one.empty else repr(one.default)
    if default and " object at 0x" in default:
        default = getattr(field, "value", default)
    return Parameter(
        one.name,
        annotation=getattr(field, "annotation", None),
        kind=KINDS[one.kind],
        default=default,
    )


class ModuleFields(Extension):
    """Gives each dataclass without an `__init__` of its own the one that Python made for it."""

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Add the constructor's parameters, in the order and with the defaults of Python's."""
        if "__init__" in cls.members or cls.path.startswith("_"):
            return
        try:
            runtime = dynamic_import(cls.path)
        except ImportError:
            return
        if not (inspect.isclass(runtime) and dataclasses.is_dataclass(runtime)):
            return
        parameters = [
            Parameter("self", kind=ParameterKind.positional_or_keyword),
            *(_parameter(cls, one) for one in inspect.signature(runtime).parameters.values()),
        ]
        init = Function("__init__", parameters=Parameters(*parameters), parent=cls)
        cls.set_member("__init__", init)
