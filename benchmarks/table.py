"""Prints a benchmark's table of goals from its results, and saves it for the documentation.

python benchmarks/table.py linear            print it
python benchmarks/table.py linear --save     write docs/benchmarks/linear.json as well
"""

import argparse
import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

HERE = Path(__file__).parent


def load(family: str) -> Any:
    """The module that turns a result into rows."""
    path = HERE / family / "plots" / "goals.py"
    sys.path.insert(0, str(HERE / family))  # for `benchmark_utils`
    spec = importlib.util.spec_from_file_location(f"{family}_goals", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine(result: pd.DataFrame) -> str:
    """What the result was measured on, in a line."""
    first = result.iloc[0]
    day = str(first.get("run_date", ""))[:10]
    return f"{first.get('system-cpus', '?')} cores, {platform.machine()}, {day}"


def main() -> None:
    """Print, and save when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family")
    parser.add_argument("--save", action="store_true")
    chosen = parser.parse_args()
    results = sorted((HERE / chosen.family / "outputs").glob("*.parquet"))
    if not results:
        parser.error(f"no result yet: run 'benchopt run benchmarks/{chosen.family}' first")
    module = load(chosen.family)
    # Runs of single datasets add up: the newest measurement of each solver and problem counts.
    every = pd.concat([pd.read_parquet(path) for path in results])
    newest = every.groupby(["dataset_name", "solver_name"])["run_date"].transform("max")
    result = every[every["run_date"] == newest]
    rows = module.goals(result)
    table = Table(*module.COLUMNS)
    for row in rows:
        table.add_row(*(Text("" if cell is None else f"{cell}") for cell in row))
    Console(width=160).print(table)
    if chosen.save:
        content = {
            "title": f"Goals of the {chosen.family} family",
            "text": " ".join(module.__doc__.split("\n\n", 1)[0].split()),
            "machine": machine(result),
            "columns": module.COLUMNS,
            "rows": rows,
        }
        place = HERE.parent / "docs" / "benchmarks" / f"{chosen.family}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if hasattr(module, "figure"):
            module.figure(result, place.with_suffix(".png"))


if __name__ == "__main__":
    main()
