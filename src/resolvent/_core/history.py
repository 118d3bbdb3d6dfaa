"""The record of a solve: measure against steps, oracle calls and seconds, kept small."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

_KEEP = 2048  # points after thinning; a plot shows no more


class History:
    """Measures along the way. Long runs are thinned: every other point is dropped when it grows.

    Args:
        name: what is measured, for the axis label.
    """

    def __init__(self, name: str = "measure"):
        self.name = name
        self.target: float | None = None
        self._pieces: list[tuple[Any, Any, float, float, float, float]] = []
        self._points: np.ndarray = np.empty((0, 4))
        self._stride = 1
        self._waiting = 0

    def add(
        self,
        steps: Int[np.ndarray, " points"],
        measures: Float[np.ndarray, " points"],
        calls: tuple[float, float],
        seconds: tuple[float, float],
    ) -> None:
        """Append a chunk: its steps and measures, with calls and seconds at both its ends."""
        self._pieces.append((steps, measures, *calls, *seconds))
        self._waiting += len(steps)
        if self._waiting > _KEEP:
            self._settle()

    def _settle(self) -> None:
        rows = [self._points]
        for steps, measures, calls_0, calls_1, seconds_0, seconds_1 in self._pieces:
            if len(steps) == 0:
                continue
            part = np.ones(1) if len(steps) == 1 else np.arange(1, len(steps) + 1) / len(steps)
            row = np.empty((len(steps), 4))
            row[:, 0], row[:, 1] = steps, measures
            row[:, 2] = calls_0 + part * (calls_1 - calls_0)
            row[:, 3] = seconds_0 + part * (seconds_1 - seconds_0)
            rows.append(row)
        self._pieces, self._waiting = [], 0
        points = np.concatenate(rows)
        while len(points) > _KEEP:
            # The last point is the result: it survives every thinning.
            keep = np.zeros(len(points), bool)
            keep[::2] = True
            keep[-1] = True
            points = points[keep]
        self._points = points

    def _column(self, index: int) -> np.ndarray:
        if self._pieces:
            self._settle()
        return self._points[:, index]

    @property
    def steps(self) -> Float[np.ndarray, " points"]:
        """Iteration numbers."""
        return self._column(0)

    @property
    def measures(self) -> Float[np.ndarray, " points"]:
        """The method's measure after each of these steps, in the certificate's unit."""
        return self._column(1)

    @property
    def calls(self) -> Float[np.ndarray, " points"]:
        """Oracle calls so far, all kinds together (interpolated inside a chunk)."""
        return self._column(2)

    @property
    def seconds(self) -> Float[np.ndarray, " points"]:
        """Seconds so far (interpolated inside a chunk)."""
        return self._column(3)

    def __len__(self) -> int:
        return len(self._column(0))

    def __repr__(self) -> str:
        return f"History({self.name}, {len(self)} points)"
