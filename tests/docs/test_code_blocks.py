"""Every Python block of the README, the guide, the docstrings and the papers runs."""

import inspect
import re
import textwrap
from pathlib import Path

import pytest

import public

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs/index.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
BLOCK = re.compile(r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```", re.M | re.S)
PUBLIC = [one for module in public.modules() for one in public.names(module)]


def blocks(text):
    """Return the Python blocks of a text, without those that are only the listing of a file."""
    return [textwrap.dedent(match["code"]) for match in BLOCK.finditer(text)]


def execute(code, name):
    """Run the code as one module."""
    exec(compile(code, name, "exec"), {"__name__": "example"})


# What has two public names has one example.
DOCUMENTED = list({
    id(one.value): one
    for one in PUBLIC
    if callable(one.value) and blocks(inspect.getdoc(one.value) or "")
}.values())  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute("\n".join(blocks(page.read_text(encoding="utf-8"))), page.name)


@pytest.mark.parametrize("one", DOCUMENTED, ids=lambda one: one.path)
def test_docstring_example_runs(one, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in blocks(inspect.getdoc(one.value)):
        execute(code, one.path)


@pytest.mark.parametrize("paper", public.papers(), ids=lambda paper: paper.name)
def test_snippet_of_a_paper_runs(paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    execute(inspect.cleandoc(paper.snippet), paper.name)
