"""Benchmarks of smooth and constrained problems, the utilities of each a package of their own."""

import contextlib
import importlib
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "benchmarks"


@contextlib.contextmanager
def modules(family, *names):
    """Utilities of a benchmark by name, none left behind."""
    sys.path.insert(0, str(HERE / family))
    try:
        yield {name: importlib.import_module(f"benchmark_utils.{name}") for name in names}
    finally:
        sys.path.remove(str(HERE / family))
        for name in [name for name in sys.modules if name.partition(".")[0] == "benchmark_utils"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def utilities():
    """The modules `judge`, `generators` and `oracles` of constrained problems."""
    with modules("constrained", "judge", "generators", "oracles") as found:
        yield found


@pytest.fixture(scope="module")
def smooth():
    """The modules `judge`, `oracles` and `processes` of smooth problems."""
    with modules("smooth", "judge", "oracles", "processes") as found:
        yield found
