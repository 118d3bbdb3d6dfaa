"""The public names of the package, read from the package itself."""

import dataclasses
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import resolvent


@dataclasses.dataclass(frozen=True)
class Name:
    """One public name: where users find it, and what it is."""

    module: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        """The dotted path that users write."""
        return f"{self.module}.{self.name}"


def _load(name: str) -> ModuleType:
    return importlib.import_module(name)


def modules() -> list[ModuleType]:
    """The package and each public folder of it that lists public names, the package first."""
    found = [resolvent]
    for info in pkgutil.iter_modules(resolvent.__path__, "resolvent."):
        leaf = info.name.rpartition(".")[2]
        if info.ispkg and not leaf.startswith("_"):
            module = _load(info.name)
            if getattr(module, "__all__", ()):
                found.append(module)
    return found


def names(module: ModuleType) -> list[Name]:
    """The public names of one module, without the modules among them."""
    listed = [Name(module.__name__, name, getattr(module, name)) for name in module.__all__]
    return [one for one in listed if not inspect.ismodule(one.value)]


def paths() -> dict[str, str]:
    """The dotted path of every public name, by its last part and by family.name."""
    found = {}
    for module in modules():
        family = module.__name__.rpartition(".")[2]
        for one in names(module):
            found |= {one.name: one.path, f"{family}.{one.name}": one.path}
    return found


def is_derived(value: Any) -> bool:
    """Whether the value is a class whose interface a public base class documents already."""
    bases = {id(one.value) for module in modules() for one in names(module)} - {id(value)}
    return inspect.isclass(value) and any(id(base) in bases for base in value.__mro__[1:])


def is_method(value: Any) -> bool:
    """Whether the value is an iterative method that users can name in `solve`."""
    method = getattr(resolvent, "Method", None)
    return (
        inspect.isclass(value)
        and method is not None
        and issubclass(value, method)
        and value is not method
        and not inspect.isabstract(value)
    )


def is_problem(value: Any) -> bool:
    """Whether the value is a problem type."""
    problem = getattr(resolvent, "Problem", None)
    return (
        inspect.isclass(value)
        and problem is not None
        and issubclass(value, problem)
        and value is not problem
    )


def papers() -> list[Any]:
    """Every paper of the gallery, oldest first within its family."""
    found = _load("resolvent.papers").all_papers()
    return sorted(found, key=lambda paper: (paper.family, paper.year, paper.name))
