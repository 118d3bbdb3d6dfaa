"""Every method's docstring has what a reader needs, in one order."""

import inspect
import re

import pytest
from suite.problems import CLASSES

BLOCK = re.compile(r"```python\n(.*?)```", re.S)
ORDER = [
    "Args:", "Raises:", "Cost per iteration:", "Convergence:", "Example:", "Reference:",
]  # fmt: skip
REQUIRED = {"Cost per iteration:", "Convergence:", "Example:", "Reference:"}

each = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@each
def test_sections_are_there_in_order(cls):
    lines = inspect.cleandoc(cls.__dict__["__doc__"]).splitlines()
    assert lines[0].endswith(".")
    assert lines[1] == ""
    assert lines[2].startswith("Solves")
    found = [line for line in lines if line in ORDER]
    assert found == [section for section in ORDER if section in found]
    assert set(found) >= REQUIRED
    own = [name for name in cls.__dataclass_fields__ if name not in ("name", "solves")]
    parameters = [n for n in own if "ClassVar" not in str(cls.__dataclass_fields__[n].type)]
    text = "\n".join(lines)
    for name in parameters:
        assert re.search(rf"^    {name}: ", text, re.M), f"{name} is not documented"


@each
def test_reference_is_whole(cls):
    reference = inspect.cleandoc(cls.__doc__).split("Reference:")[1]
    assert re.search(r"\((1[89]|20)\d\d\)", reference), "a year"
    assert len(reference.split()) >= 6, "authors and a title"


@each
def test_example_checks_itself(cls):
    """That it runs is seen to where all examples of the package run."""
    blocks = BLOCK.findall(inspect.cleandoc(cls.__doc__))
    assert blocks
    assert all("assert" in block for block in blocks)


@each
def test_name_is_fit_for_a_command_line(cls):
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cls.name)
    assert str(cls()).startswith(cls.name)
    assert set(cls.engines) <= {"traced", "host"}
    assert cls.solves
