"""What the README says about the package agrees with the package."""

import re
from pathlib import Path

import pytest

from resolvent._core import registry

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_table_lists_the_methods_and_problems_of_the_family(family):
    (row,) = re.findall(rf"^\| `{family}` \|.*$", README, re.M)
    listed = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", row)) - {family}
    methods = {cls.__name__ for cls in registry.methods(family).values()}
    assert listed == methods | set(registry.problems(family))


def test_pictures_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (Path(__file__).parents[2] / picture).stat().st_size < 300_000
