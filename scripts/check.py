"""Runs every check of the project: lint, format, types, documentation and tests.

python scripts/check.py            all of them
python scripts/check.py lint tests only those named
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The tests come last, so that pytest's closing line is what a reader sees last.
CHECKS: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["pyright", "--pythonpath", sys.executable]],
    "docs": [["mkdocs", "build", "--strict"]],
    "tests": [["pytest"]],
}


def run(name: str) -> bool:
    """Run one check and say how it went."""
    print(f"--- {name}", flush=True)
    begin = time.perf_counter()
    codes = [
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode
        for command in CHECKS[name]
    ]
    passed = not any(codes)
    word = "passed" if passed else "FAILED"
    print(f"--- {name} {word} in {time.perf_counter() - begin:.0f} s", flush=True)
    return passed


def main() -> int:
    """Run the checks named on the command line; the exit status is 1 if any of them failed."""
    parser = argparse.ArgumentParser(description="Run the checks of the project.")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=" ".join(CHECKS))
    chosen = parser.parse_args().checks or list(CHECKS)
    if unknown := [name for name in chosen if name not in CHECKS]:
        parser.error(f"unknown check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    failed = [name for name in chosen if not run(name)]
    if failed:
        print(f"--- FAILED: {', '.join(failed)}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
