"""Finds the papers: every module of this folder that defines `PAPER`."""

import difflib
import importlib
import pkgutil
from typing import Any, NoReturn

from resolvent._core.checks import refuse
from resolvent.papers._paper import Paper


def all_papers() -> list[Paper]:
    """Every paper whose claims can be measured, in the order of their names.

    Returns:
        The papers; a new module beside this one that defines `PAPER` is among them.

    Example:
        ```python
        from resolvent.papers import all_papers
        assert all(paper.claims for paper in all_papers())
        ```
    """
    return sorted((module.PAPER for module in _modules()), key=lambda paper: paper.name)


def find(name: str) -> Paper:
    """The paper of a name; underscores pass for hyphens.

    Args:
        name: as in `resolvent reproduce NAME`.

    Returns:
        The paper.

    Raises:
        ValueError: for an unknown name, with the nearest ones.

    Example:
        ```python
        from resolvent.papers import find
        assert find("polynomial-preconditioning").year == 2023
        ```
    """
    wanted = name.strip().lower().replace("_", "-")
    for paper in all_papers():
        if paper.name == wanted:
            return paper
    _unknown(name, wanted)


def search(words: str) -> list[Paper]:
    """The papers that contain every one of the words, in their citation, methods or summary.

    Args:
        words: separated by spaces; parts of words match, case does not matter.

    Returns:
        The papers in the order of their names; all of them for no words.

    Example:
        ```python
        from resolvent.papers import search
        assert "polynomial-preconditioning" in [p.name for p in search("krylov doikov")]
        ```
    """
    wanted = words.lower().split()
    return [paper for paper in all_papers() if all(word in _text(paper) for word in wanted)]


def module_of(paper: Paper) -> str:
    """The module that defines the paper and its experiments."""
    for module in _modules():
        if module.PAPER.name == paper.name:
            return module.__name__
    _unknown(paper.name, paper.name)


def _modules() -> list[Any]:
    package = importlib.import_module("resolvent.papers")
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"resolvent.papers.{info.name}")
        if isinstance(getattr(module, "PAPER", None), Paper):
            found.append(module)
    return found


def _text(paper: Paper) -> str:
    claims = " ".join(claim.text for claim in paper.claims)
    parts = (
        paper.name, paper.title, paper.authors, paper.year, paper.venue, paper.arxiv,
        paper.family, *paper.methods, paper.summary, claims,
    )  # fmt: skip
    return " ".join(str(part) for part in parts).lower()


def _unknown(given: str, wanted: str) -> NoReturn:
    names = [paper.name for paper in all_papers()]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    refuse(
        ValueError, "paper", given=repr(given), needed="one of " + ", ".join(names),
        advice=f"Did you mean {' or '.join(near)}?" if near else "Search: resolvent papers.",
    )  # fmt: skip
