"""Runs every check of the project: lint, format, types, documentation and tests.

python scripts/check.py            all of them
python scripts/check.py lint tests only those named
"""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The tests come last, so that pytest's closing line is what a reader sees last.
CHECKS: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["pyright", "--pythonpath", sys.executable]],
    "docs": [["mkdocs", "build", "--strict"]],
    "tests": [["pytest"]],
}


def run(name: str, kept: bool = False) -> tuple[bool, str]:
    """Run one check; whether it passed, and what it said where that is kept and not shown."""
    begin, said, passed = time.perf_counter(), "", True
    for command in CHECKS[name]:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE if kept else None,
            stderr=subprocess.STDOUT if kept else None,
            text=True,
            errors="replace",
        )
        said += done.stdout or ""
        passed = passed and done.returncode == 0
    word = "passed" if passed else "FAILED"
    return passed, f"{said}--- {name} {word} in {time.perf_counter() - begin:.0f} s"


def main() -> int:
    """Run the checks named on the command line; the exit status is 1 if any of them failed."""
    parser = argparse.ArgumentParser(description="Run the checks of the project.")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=" ".join(CHECKS))
    chosen = parser.parse_args().checks or list(CHECKS)
    if unknown := [name for name in chosen if name not in CHECKS]:
        parser.error(f"unknown check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    failed = []

    def tell(name: str, found: tuple[bool, str]) -> None:
        passed, said = found
        print(said, flush=True)
        if not passed:
            failed.append(name)

    # Each of the others keeps one core busy; the tests take all there are.
    others = [name for name in chosen if name != "tests"]
    with ThreadPoolExecutor(max(1, len(others))) as pool:
        running = [pool.submit(run, name, kept=True) for name in others]
        for name, one in zip(others, running, strict=True):
            print(f"--- {name}", flush=True)
            tell(name, one.result())
    if "tests" in chosen:
        print("--- tests", flush=True)
        tell("tests", run("tests"))
    if failed:
        print(f"--- FAILED: {', '.join(failed)}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
