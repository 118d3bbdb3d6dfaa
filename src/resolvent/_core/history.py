"""The record of a solve: measure against steps, oracle calls and seconds, kept small."""

import copy
from typing import Any

import numpy as np
from jaxtyping import Float, Int

_KEEP = 2048  # points after thinning; a plot shows no more
_NO_POINTS = np.empty((0, 5))  # place, step, measure, calls, seconds


class History:
    """Measures along the way. Long runs are thinned: every other point is dropped when it grows.

    Args:
        name: what is measured, for the axis label.
    """

    def __init__(self, name: str = "measure"):
        self.name = name
        self._pieces: list[tuple[Any, Any, float, float, float, float]] = []
        self._points = _NO_POINTS
        self._last = _NO_POINTS
        self._stride = 1
        self._seen = 0
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
            points = len(steps)
            if points == 0:
                continue
            part = np.arange(1, points + 1) / points
            row = np.empty((points, 5))
            row[:, 0] = self._seen + np.arange(points)
            row[:, 1], row[:, 2] = steps, measures
            row[:, 3] = calls_0 + part * (calls_1 - calls_0)
            row[:, 4] = seconds_0 + part * (seconds_1 - seconds_0)
            self._seen += points
            self._last = row[-1:]
            rows.append(row[row[:, 0] % self._stride == 0])
        self._pieces, self._waiting = [], 0
        self._points = np.concatenate(rows)
        while len(self._points) > _KEEP:
            # One stride for the whole run: the beginning is kept as densely as the end.
            self._stride *= 2
            self._points = self._points[self._points[:, 0] % self._stride == 0]

    def _column(self, index: int) -> np.ndarray:
        if self._pieces:
            self._settle()
        points = self._points
        if len(self._last) and (len(points) == 0 or points[-1, 0] != self._last[0, 0]):
            points = np.concatenate([points, self._last])
        return points[:, index + 1]

    def scaled(self, exponent: int) -> "History":
        """The same record in another unit: its measures times `2^exponent`."""
        if self._pieces:
            self._settle()
        other = copy.copy(self)
        other._points, other._last = self._points.copy(), self._last.copy()
        for rows in (other._points, other._last):
            rows[:, 2] = np.ldexp(rows[:, 2], exponent)
        return other

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
