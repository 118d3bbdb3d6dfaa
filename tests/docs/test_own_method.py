"""The method of the guide passes the shared suite after one new file and one registry line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import resolvent

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guide"


@pytest.mark.slow
def test_method_of_the_guide_passes_the_suite(tmp_path):
    (line,) = re.findall(
        r"^from resolvent\.linear\..*$", (GUIDE / "own-method.md").read_text("utf-8"), re.M
    )
    package = tmp_path / "resolvent"
    shutil.copytree(
        Path(resolvent.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(GUIDE / "steepest_descent.py", package / "linear")
    with (package / "linear/registry.py").open("a", encoding="utf-8") as registry:
        registry.write(line + "\n")

    suite = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/suite", "-k", "SteepestDescent", "-n", "0", "-q"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert suite.returncode == 0, suite.stdout[-4000:] + suite.stderr[-2000:]
    assert re.search(r"[1-9]\d* passed", suite.stdout)
