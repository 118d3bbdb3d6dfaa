"""The progress bar: on when a solve lasts, in a terminal or a notebook; silent otherwise."""

import math
import sys
import time
from typing import Any


def wanted(progress: bool | None) -> bool:
    """Whether a bar may be shown at all: as told, else where somebody can see it."""
    if progress is not None:
        return progress
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Progress:
    """Shows the decades left to the target, once a second has passed.

    Args:
        label: what is being solved.
        patience: seconds before the bar appears.
    """

    def __init__(self, label: str, patience: float = 1.0):
        self.label = label
        self.patience = patience
        self.began = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None
        self._first: float | None = None

    def _show(self, total: float, columns: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn(columns),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self.label, total=total, text="")

    def solve(self, steps: int, measure: float, target: float) -> None:
        """Report a solve's state: the bar runs over the logarithm of the measure."""
        if not (measure > 0 and math.isfinite(measure)):
            return
        if self._first is None:
            self._first = measure
        if self._bar is None:
            if time.perf_counter() - self.began < self.patience:
                return
            self._show(1.0, "{task.fields[text]}")
        whole = math.log(self._first / target) if 0 < target < self._first else 0.0
        part = math.log(self._first / measure) / whole if whole else 0.0
        bar: Any = self._bar
        bar.update(
            self._task,
            completed=min(1.0, max(0.0, part)),
            text=f"step {steps}, measure {measure:.2e}, target {target:.2e}",
        )

    def sequence(self, done: int, total: int | None, steps: int) -> None:
        """Report how many systems of a sequence are done."""
        if self._bar is None:
            if time.perf_counter() - self.began < self.patience:
                return
            self._show(float(total or 0) or None, "{task.fields[text]}")  # pyright: ignore[reportArgumentType]
        of = "" if total is None else f" of {total}"
        bar: Any = self._bar
        bar.update(self._task, completed=done, text=f"{done}{of}, {steps} steps")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
