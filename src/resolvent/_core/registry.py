"""The list of families, and of each family's methods and problems.

A family's `registry.py` imports its methods and problems, one line each; this module finds them
there. Tests, docs pages and refusal texts are generated from it.
"""

import importlib
import inspect
from typing import Any

FAMILIES = ("linear", "transport", "fixed_point", "inclusion", "composite", "smooth", "constrained")


def _members(family: str, base: type) -> dict[str, type]:
    module = importlib.import_module(f"resolvent.{family}.registry")
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and not inspect.isabstract(value)
        and not name.startswith("_")
    }


def methods(family: str | None = None) -> dict[str, Any]:
    """Method classes by their command-line names, of one family or of all."""
    from resolvent._core.method import Method

    found: dict[str, Any] = {}
    for one in FAMILIES if family is None else (family,):
        for cls in _members(one, Method).values():
            found[cls.name] = cls
    return found


def problems(family: str | None = None) -> dict[str, type]:
    """Problem classes by name, of one family or of all."""
    from resolvent._core.problem import Problem

    found: dict[str, type] = {}
    for one in FAMILIES if family is None else (family,):
        found.update(_members(one, Problem))
    return found


def methods_for(problem: Any) -> dict[str, Any]:
    """The methods that solve this type of problem."""
    return {name: cls for name, cls in methods().items() if isinstance(problem, cls.solves)}
