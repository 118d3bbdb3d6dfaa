"""Finds public names whose documentation is missing or incomplete.

Every public name needs a docstring; a function or class documents each of its arguments by its
real name under `Args:`, and a function that returns something says what under `Returns:`. A
method also states its cost, its convergence, an example and the paper that it comes from.

    python docs/coverage_check.py       lists the faults; exit status 1 if there are any
"""

import enum
import inspect
import sys
from collections.abc import Iterator

from griffe import Docstring, DocstringSectionKind, DocstringSectionParameters, Parser

import public

METHOD_SECTIONS = ("Cost per iteration", "Convergence", "Example", "Reference")
PROBLEM_SECTIONS = ("Example",)


def _sections(text: str) -> tuple[set[str], set[str] | None]:
    """Read the titles of a docstring's sections, and the arguments named in it if any are."""
    titles: set[str] = set()
    arguments: set[str] | None = None
    for section in Docstring(inspect.cleandoc(text)).parse(Parser.google, warnings=False):
        if section.kind is DocstringSectionKind.admonition:
            titles.add(section.title or section.value.kind)
        elif section.kind is DocstringSectionKind.examples:
            titles.add("Example")
        else:
            titles.add(section.kind.value.capitalize())
        if isinstance(section, DocstringSectionParameters):
            arguments = {item.name.lstrip("*") for item in section.value}
    return titles, arguments


def _signature(value: object) -> inspect.Signature | None:
    if not callable(value):
        return None
    try:
        return inspect.signature(value)
    except ValueError:
        return None


def _is_plain(value: object) -> bool:
    """Whether a docstring's first line is all that such a name needs."""
    return inspect.isclass(value) and issubclass(value, enum.Enum | BaseException)


def _is_constant(value: object) -> bool:
    return not (inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__"))


def name_faults(one: public.Name) -> Iterator[str]:
    """The faults of one public name."""
    # The text under a constant is read by the site's generator, and Python keeps none of it.
    if _is_constant(one.value):
        return
    text = inspect.getdoc(one.value)
    own = vars(one.value).get("__doc__") if inspect.isclass(one.value) else text
    if not text or not own:
        yield "has no docstring"
        return
    if _is_plain(one.value):
        return
    titles, arguments = _sections(text)
    signature = _signature(one.value)
    wanted = {
        name
        for name in (signature.parameters if signature else ())
        if not name.startswith("_") and name not in ("self", "cls")
    }
    if (
        not inspect.isclass(one.value)
        or public.is_method(one.value)
        or public.is_problem(one.value)
    ):
        if wanted and arguments is None:
            yield "has no `Args:` section"
        elif missing := wanted - (arguments or set()):
            yield f"does not document the arguments {', '.join(sorted(missing))}"
    if unknown := (arguments or set()) - wanted:
        yield f"documents arguments that it does not take: {', '.join(sorted(unknown))}"
    if inspect.isfunction(one.value):
        returns = signature.return_annotation if signature else None
        if returns not in (None, "None", inspect.Signature.empty) and not (
            titles & {"Returns", "Yields"}
        ):
            yield "has no `Returns:` section"
    needed = METHOD_SECTIONS if public.is_method(one.value) else ()
    needed = PROBLEM_SECTIONS if public.is_problem(one.value) else needed
    for title in needed:
        if title not in titles:
            yield f"has no `{title}:` section"


def _paper_faults() -> Iterator[str]:
    known = public.paths()
    for paper in public.papers():
        for field in ("title", "authors", "year", "family", "methods", "summary", "snippet"):
            if not getattr(paper, field):
                yield f"paper {paper.name}: {field} is empty"
        if not paper.claims:
            yield f"paper {paper.name}: has no claims"
        for method in paper.methods:
            if method not in known:
                yield f"paper {paper.name}: its method {method} is no public name"


def faults() -> list[str]:
    """Every fault of the documentation, one line each."""
    found = []
    for module in public.modules():
        if not module.__doc__:
            found.append(f"{module.__name__}: has no docstring")
        for one in public.names(module):
            found.extend(f"{one.path}: {fault}" for fault in name_faults(one))
    return [*found, *_paper_faults()]


if __name__ == "__main__":
    listed = faults()
    for line in listed:
        print(line, file=sys.stderr)
    sys.exit(1 if listed else 0)
