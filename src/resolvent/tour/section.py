"""What a stop of the tour returns: attempts at a problem, the row that sums them up, figures."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RTOL = 1e-8
GAP = 1e-6  # of the largest payoff of a game


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One way to solve the problem of a stop.

    Attributes:
        label: the method, as the tables print it.
        seconds: wall time, set-up included.
        certificate: relative residual, recomputed from the problem's data.
        converged: whether that residual meets the tolerance.
        steps: iterations, where they are known.
        peer: whether another library did it.
        note: what a reader should know beside the numbers.
    """

    label: str
    seconds: float
    certificate: float
    converged: bool
    steps: int | None = None
    peer: bool = False
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the tour's table."""

    name: str
    problem: str
    size: int
    method: str
    converged: bool
    certificate: float
    seconds: float
    peer: str
    peer_seconds: float

    def facts(self) -> dict[str, Any]:
        """The line as plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Section:
    """A stop's part of the report."""

    title: str
    paragraphs: Sequence[str]
    attempts: Sequence[Attempt]
    row: Row
    figures: Sequence[tuple[Path, str]]


def sum_up(name: str, problem: str, size: int, attempts: Sequence[Attempt]) -> Row:
    """The stop's row: the fastest certified attempt of ours beside the peers' fastest one."""
    ours = _best([one for one in attempts if not one.peer])
    peer = _best([one for one in attempts if one.peer])
    return Row(
        name, problem, size, ours.label, ours.converged, ours.certificate, ours.seconds,
        peer.label, peer.seconds,
    )  # fmt: skip


def _best(attempts: Sequence[Attempt]) -> Attempt:
    """The fastest that converged; where none did, the one that came nearest."""
    certified = [one for one in attempts if one.converged]
    if certified:
        return min(certified, key=lambda one: one.seconds)
    return min(attempts, key=lambda one: one.certificate)


def clock(call: Callable[[], Any], repeats: int = 1) -> tuple[Any, float]:
    """The result of `call` and the median of its seconds over some repeats."""
    result, seconds = None, []
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
    return result, statistics.median(seconds)
