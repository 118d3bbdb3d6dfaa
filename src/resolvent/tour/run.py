"""Runs the stops, prints the table, writes the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from resolvent.tour.denoising import denoising
from resolvent.tour.games import blotto
from resolvent.tour.matrices import airfoil, local_dg
from resolvent.tour.palettes import palettes
from resolvent.tour.pendulum import pendulum
from resolvent.tour.photograph import photograph
from resolvent.tour.pores import pores
from resolvent.tour.report import write_report
from resolvent.tour.section import Row, Section
from resolvent.tour.tumors import tumors

Stop = Callable[[Path, Callable[[str], Any]], Section]

# One stop a family, as families arrive, and what its progress line says.
STOPS: dict[str, Stop] = {
    "airfoil": airfoil,
    "local-dg": local_dg,
    "photograph": photograph,
    "palettes": palettes,
    "blotto": blotto,
    "pores": pores,
    "tumors": tumors,
    "denoising": denoising,
    "pendulum": pendulum,
}


class Outcome(NamedTuple):
    """The lines of the table, and where the report is."""

    rows: list[Row]
    report: Path


def run(out: Path, console: Any, stops: dict[str, Stop] | None = None) -> Outcome:
    """Make every stop of the tour.

    Args:
        out: an existing folder for figures and report.
        console: a rich console that shows the progress.
        stops: the stops by name; all of them when absent.

    Returns:
        The rows of the table and the report's path.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    stops = STOPS if stops is None else stops
    sections = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[doing]}"),
        TimeElapsedColumn(), console=console, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("tour", total=len(stops), doing="")
        for name, stop in stops.items():

            def say(text: str, name: str = name) -> None:
                bar.update(task, doing=f"{name}: {text}")

            say("starting")
            sections.append(stop(out, say))
            bar.advance(task)
    report = write_report(out / "report.html", sections)
    return Outcome([section.row for section in sections], report)


def table(rows: Sequence[Row]) -> Any:
    """The tour's table for a rich console."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title, right in (
        ("problem", False), ("size", True), ("method", False), ("seconds", True),
        ("certificate", True), ("peer", False), ("peer\nseconds", True),
    ):  # fmt: skip
        # In 80 columns words may wrap between them, numbers must not.
        shown.add_column(
            title, justify="right" if right else "left", no_wrap=right,
            min_width={"problem": 11, "method": 12}.get(title),
        )  # fmt: skip
    for row in rows:
        missed = "" if row.converged else " MISSED"
        cells = (
            row.problem, f"{row.size}", row.method, _number(row.seconds),
            f"{row.certificate:.1e}{missed}", row.peer, _number(row.peer_seconds),
        )  # fmt: skip
        shown.add_row(*(Text(cell) for cell in cells))
    return shown


def _number(value: float) -> str:
    return f"{value:.3g}" if value >= 1e-3 else f"{value:.1e}"
