"""Finds the problems of sif2jax without importing the package, which builds a thousand of them."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from resolvent._core.checks import refuse

ROOT = "sif2jax"
# The lists of the package, by the folder that holds them.
_LISTS = {
    "unconstrained_minimisation_problems": "unconstrained",
    "bounded_minimisation_problems": "bounded",
    "bounded_quadratic_problems": "bounded",
    "constrained_minimisation_problems": "constrained",
    "constrained_quadratic_problems": "constrained",
    "nonlinear_equations_problems": "equations",
}
_LEFT_OUT = {"CLEUVEN7"}  # reading its module takes minutes


class Entry(NamedTuple):
    """Where a problem is, and what it is."""

    module: str
    kind: str


@functools.cache
def catalogue() -> dict[str, Entry]:
    """Every problem that the package lists, by name, in alphabetical order."""
    found: dict[str, Entry] = {}
    for init in sorted((_home() / "cutest").glob("_*/__init__.py")):
        places: dict[str, str] = {}
        for line in ast.parse(init.read_text(encoding="utf-8")).body:
            if isinstance(line, ast.ImportFrom):
                module = f"{ROOT}.cutest.{init.parent.name}.{line.module}"
                places.update({part.asname or part.name: module for part in line.names})
            elif isinstance(line, ast.Assign) and isinstance(line.value, ast.Tuple):
                kind = _LISTS.get(getattr(line.targets[0], "id", ""), "")
                names = (getattr(getattr(each, "func", None), "id", "") for each in line.value.elts)
                taken = [n for n in names if kind and n in places and n not in _LEFT_OUT]
                found.update({n: Entry(places[n], kind) for n in taken})
    return dict(sorted(found.items()))


def problem_class(name: str) -> Any:
    """The class of a problem; its module is read under double precision, and nothing else is."""
    entry = catalogue().get(name)
    if entry is None:
        refuse(
            ValueError, "name", given=repr(name), needed="a problem of the set",
            advice="`sif_names(kind)` lists them.",
        )  # fmt: skip
    return getattr(_module(entry.module), name)


@functools.cache
def _module(path: str) -> Any:
    with _hollow_packages(), jax.enable_x64(True):
        return importlib.import_module(path)


@functools.cache
def _home() -> Path:
    spec = importlib.util.find_spec(ROOT)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "the CUTEst problems are read from sif2jax, which is not installed: "
            "pip install 'resolvent[bench]'"
        )
    return Path(spec.origin).parent


@contextlib.contextmanager
def _hollow_packages() -> Iterator[None]:
    """The package and its folders as packages that import nothing, for as long as this lasts."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _within(name)}
    try:
        root = _hollow(ROOT, _home())
        folders = (path.parent for path in (_home() / "cutest").glob("_*/__init__.py"))
        _hollow(f"{ROOT}.cutest", _home() / "cutest")
        for folder in folders:
            _hollow(f"{ROOT}.cutest.{folder.name}", folder)
        # Some problems ask the package itself for their base class.
        vars(root).update(
            (name, value)
            for name, value in vars(importlib.import_module(f"{ROOT}._problem")).items()
            if name.startswith("Abstract")
        )
        yield
    finally:
        for name in list(sys.modules):
            if _within(name):
                del sys.modules[name]
        sys.modules.update(before)


def _hollow(name: str, folder: Path) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return module


def _within(name: str) -> bool:
    return name == ROOT or name.startswith(f"{ROOT}.")
