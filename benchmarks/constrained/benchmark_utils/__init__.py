"""What the benchmark's files share; `collected` holds what all benchmarks of collections share."""

from pathlib import Path

__path__.append(str(Path(__file__).parents[2] / "collected"))
