"""What tests of papers share: one tiny run of each, made where all tests of that paper run."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from resolvent.papers import reproduce


class TinyRun(NamedTuple):
    """A result, what was said on the way, and the folder that it was written to."""

    result: Any
    said: list[str]
    folder: Path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Call it with a paper's name."""

    @functools.cache
    def run(name):
        said, folder = [], tmp_path_factory.mktemp(name)
        return TinyRun(reproduce(name, out=folder, progress=said.append, tiny=True), said, folder)

    return run
