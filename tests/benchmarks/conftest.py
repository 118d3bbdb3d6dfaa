"""The benchmark of constrained problems, its utilities as a package of their own."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "benchmarks" / "constrained"


@pytest.fixture(scope="module")
def utilities():
    """The modules `judge`, `generators` and `oracles`, none left behind."""
    import importlib

    names = ("judge", "generators", "oracles")
    sys.path.insert(0, str(HERE))
    try:
        yield {name: importlib.import_module(f"benchmark_utils.{name}") for name in names}
    finally:
        sys.path.remove(str(HERE))
        for name in [name for name in sys.modules if name.partition(".")[0] == "benchmark_utils"]:
            del sys.modules[name]
