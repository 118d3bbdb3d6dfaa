"""The `resolvent` command.

JSON alone goes to standard output, everything else to standard error. Exit codes: 0 converged or
done, 1 not converged, 2 bad input. Heavy modules are imported inside the commands, so that help
appears at once.
"""

import contextlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Iterative solvers that prove what they return and remember what they learned.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 converged or done, 1 not converged, 2 bad input.",
)

NOT_CONVERGED, BAD_INPUT = 1, 2

Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]


def _version(wanted: bool) -> None:
    if wanted:
        from resolvent import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
def solve(
    matrix: Annotated[
        str,
        typer.Argument(
            metavar="MATRIX",
            help="The matrix A: .mtx, .mtx.gz, .npz (SciPy sparse) or .npy (dense).",
        ),
    ],
    rhs: Annotated[
        str | None,
        typer.Argument(
            metavar="[RHS]",
            help="The right-hand side b: .mtx, .mtx.gz, .npz or .npy. Without it, b = A 1, whose "
            "solution is all ones.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="A name from `resolvent methods`; one that suits A when absent."),
    ] = None,
    rtol: Annotated[float, typer.Option(help="Relative tolerance of the residual.")] = 1e-6,
    out: Annotated[Path | None, typer.Option(help="Write the solution there, as .npy.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the residual against the iterations there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Solve A x = b from files."""
    with _bad_input():
        _writable("--out", out, (".npy",))
        if plot is not None:
            from matplotlib.figure import Figure

            kinds = tuple(f".{kind}" for kind in Figure().canvas.get_supported_filetypes())
            _writable("--plot", plot, kinds)
        from resolvent._core.solve import solve as run
        from resolvent.linear.files import read_system

        system = read_system(matrix, rhs)
        solution = run(system, _method(method), rtol=rtol, key=0, throw=False)
        if out is not None:
            import numpy as np

            with out.open("wb") as file:  # np.save would append a suffix of its own
                np.save(file, np.asarray(solution.x))
        if plot is not None:
            solution.plot(path=str(plot))
    if as_json:
        _print_json(solution.summary())
    else:
        typer.echo(str(solution), err=True)
    if not solution.converged:
        if not as_json:
            typer.echo(f"what to do: {solution.reason.advice}", err=True)
        raise typer.Exit(NOT_CONVERGED)


@app.command()
def methods(
    family: Annotated[
        str | None, typer.Argument(metavar="[FAMILY]", help="Only the methods of this family.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the methods: what they solve, what they need, where they run."""
    from resolvent._core.checks import one_of
    from resolvent._core.registry import FAMILIES
    from resolvent._core.registry import methods as listed

    with _bad_input():
        if family is not None:
            one_of("family", family, FAMILIES)
        rows = [
            {
                "name": name,
                "family": one,
                "class": f"resolvent.{one}.{cls.__name__}",
                "summary": _first_line(cls),
                "solves": [problem.__name__ for problem in cls.solves],
                "needs": list(cls.needs),
                "engines": list(cls.engines),
            }
            for one in (FAMILIES if family is None else (family,))
            for name, cls in sorted(listed(one).items())
        ]
    if as_json:
        _print_json({"methods": rows})
        return
    table = _table("name", "family", "what it is", "needs", "engines")
    for row in rows:
        needs = ", ".join(need.replace("_", " ") for need in row["needs"])
        _add(table, row["name"], row["family"], row["summary"], needs, ", ".join(row["engines"]))
    _console().print(table)


@app.command()
def papers(
    search: Annotated[
        str | None,
        typer.Option(help="Only papers that contain all of these words, in any field."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the published methods whose claims can be measured again."""
    from resolvent.papers import search as find

    with _bad_input():
        found = find(search or "")
    rows = [
        {
            "name": paper.name, "title": paper.title, "authors": paper.authors,
            "year": paper.year, "venue": paper.venue, "arxiv": paper.arxiv,
            "family": paper.family, "methods": list(paper.methods),
            "claims": len(paper.claims), "summary": _words(paper.summary.partition("\n\n")[0]),
        }
        for paper in found
    ]  # fmt: skip
    if as_json:
        _print_json({"papers": rows})
        return
    if not rows:
        typer.echo(f"no paper contains all of: {search}", err=True)
        return
    shown = ("name", "title", "authors", "year", "family", "claims")
    table = _table(*shown)
    for row in rows:
        _add(table, *(row[name] for name in shown))
    _console().print(table)


@app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(help="A name from `resolvent papers`.")],
    claim: Annotated[
        int | None, typer.Option(help="The number of one claim; all when absent.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Measure at the paper's scale, however long it takes.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the figures and the results into this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a paper's claims again, beside the numbers that its authors printed."""
    from resolvent.papers import reproduce as run

    with _bad_input():
        _folder("--out", out)
        console = _console()
        result = run(paper, claim, full, out, lambda text: console.print(text, markup=False))
    if as_json:
        _print_json(result)
        return
    table = _table("claim", "published", "measured", "verdict", "seconds")
    for row in result["claims"]:
        _add(
            table, row["claim"], _known(row), row["measured"], row["verdict"],
            f"{row['seconds']:.1f}",
        )  # fmt: skip
    console.print(table)
    for row in result["claims"]:
        if row["figure"]:
            console.print(f"figure of claim {row['claim']}: {row['figure']}", markup=False)


def _known(row: dict[str, Any]) -> str:
    """The numbers to compare with, and whose they are where the authors print none."""
    source = row.get("source", "published")
    return row["published"] if source == "published" else f"{source}: {row['published']}"


@app.command()
def tour(
    out: Annotated[
        Path, typer.Option(help="Folder for the plots, the pictures and the report.")
    ] = Path("resolvent-tour"),
    as_json: Json = False,
) -> None:
    """Solve a handful of real problems beside the usual tools, and write a report."""
    from resolvent.tour import missing_packages

    absent = missing_packages()
    if absent:
        _fail(
            f"the tour needs {' and '.join(absent)} for its data and its peers: "
            "pip install 'resolvent[examples]'"
        )
    from resolvent.tour.run import run, table

    console = _console()
    with _bad_input():
        _folder("--out", out)
        outcome = run(out, console)
    if as_json:
        _print_json({"stops": [row.facts() for row in outcome.rows]})
    else:
        console.print(table(outcome.rows))
    console.print(f"report: {outcome.report}", markup=False, soft_wrap=True)
    if not all(row.converged for row in outcome.rows):
        raise typer.Exit(NOT_CONVERGED)


# --- what the commands share ------------------------------------------------------------------


@contextlib.contextmanager
def _bad_input() -> Iterator[None]:
    """Turn the library's refusals into one line on standard error and the exit code 2."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        _fail(str(error) or type(error).__name__)


def _fail(text: str) -> None:
    typer.echo(f"resolvent: {_words(text)}", err=True)
    raise typer.Exit(BAD_INPUT)


def _words(text: str) -> str:
    return " ".join(text.split())


def _method(name: str | None) -> Any:
    if name is None:
        return None
    from resolvent._core.registry import methods as listed

    known = listed("linear")
    if name not in known:
        from resolvent._core.checks import refuse

        refuse(
            ValueError, "--method", given=repr(name), needed="one of " + ", ".join(sorted(known)),
            advice="`resolvent methods linear` describes them.",
        )  # fmt: skip
    return known[name]()


def _writable(option: str, path: Path | None, kinds: tuple[str, ...]) -> None:
    """Refuse a file that could not be written, before any work is done for it."""
    if path is None:
        return
    from resolvent._core.checks import refuse

    if path.suffix.lower() not in kinds:
        refuse(
            ValueError, option, given=str(path), needed="a name that ends in " + ", ".join(kinds),
            advice="Rename it.",
        )  # fmt: skip
    if path.is_dir() or not path.parent.is_dir():
        refuse(
            ValueError, option, given=str(path), needed="a file in a folder that exists",
            advice=f"Make the folder {path.parent} first.",
        )  # fmt: skip


def _folder(option: str, path: Path | None) -> None:
    """Make the folder, or say why it cannot be one."""
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        from resolvent._core.checks import refuse

        refuse(
            ValueError, option, given=f"{path} ({error.strerror})",
            needed="a folder that can be written", advice="Give another one.",
        )  # fmt: skip


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Any, *cells: Any) -> None:
    """A row of plain text: brackets in it are no markup."""
    from rich.text import Text

    table.add_row(*(Text(str(cell)) for cell in cells))


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(_strict(content), indent=2, ensure_ascii=False) + "\n")


def _strict(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
