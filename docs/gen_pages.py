"""Writes the pages that follow from the package and from the committed results.

One page a family for the API, one page a paper and their gallery, one table a benchmark. A new
family, method, paper or result table appears here without any edit to the documentation.
"""

import dataclasses
import enum
import inspect
import json
import re
from html import escape
from pathlib import Path
from typing import Any

import public

DOCS = Path(__file__).parent
RESULTS = DOCS / "papers"
TABLES = DOCS / "benchmarks"

UNMEASURED = "not measured yet"

GROUPS = (
    ("Problems", public.is_problem),
    ("Methods", public.is_method),
    ("Functions", inspect.isroutine),
    ("Classes", inspect.isclass),
    ("Values", lambda _: True),
)


# Base classes whose names say too little about what derives from them, in the order of a page.
TITLES = {"Loss": "Losses", "Function": "Penalties and other terms", "ConvexSet": "Sets"}


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the site: its entry in the navigation, and its pages by path."""

    nav: Any
    pages: dict[str, str]


def sections() -> list[Section]:
    """The generated sections, in the order of the navigation."""
    return [gallery(), benchmarks(), api()]


# --- API --------------------------------------------------------------------------------------


def _summary(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0] if callable(value) else ""


def _entry(one: public.Name) -> str:
    """The directive that renders one name."""
    options = ["heading_level: 3"]
    # A derived class is used through the interface of its base, which has an entry of its own;
    # only a problem says something new there: the inequality that it certifies.
    if public.is_derived(one.value):
        own = public.is_problem(one.value) and "certify" in vars(one.value)
        options.append(f"members: {'[certify]' if own else 'false'}")
    if public.is_method(one.value):
        options.append("show_source: true")
    if inspect.isclass(one.value) and issubclass(one.value, enum.Enum):
        options.append("show_if_no_docstring: true")
    return "\n      ".join([f"::: {one.path}\n    options:", *options]) + "\n"


def _kinds(names: list[public.Name]) -> list[tuple[str, Any]]:
    """A group for each base class that others of these names derive from, itself included."""
    grouped = (public.is_problem, public.is_method)
    classes = [
        one
        for one in names
        if inspect.isclass(one.value) and not any(belongs(one.value) for belongs in grouped)
    ]
    bases = [
        one for one in classes if any(one.value in other.value.__mro__[1:] for other in classes)
    ]
    bases.sort(key=lambda one: list(TITLES).index(one.name) if one.name in TITLES else len(TITLES))

    def belongs(value: Any, base: Any) -> bool:
        # What derives from a base that derives from this one is listed with that one.
        nearer = [o.value for o in bases if o.value is not base and issubclass(o.value, base)]
        return (
            inspect.isclass(value)
            and issubclass(value, base)
            and not issubclass(value, tuple(nearer))
        )

    return [(_title(one.name), lambda value, base=one.value: belongs(value, base)) for one in bases]


def _title(base: str) -> str:
    """The heading of what derives from a base class."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", base).capitalize()
    return TITLES.get(base, words + "s")


def _api_page(module: Any, elsewhere: dict[int, str]) -> str:
    """One module's names by group: a table, then the entries that no family's page has."""
    names = public.names(module)
    parts = [f"# {module.__name__}\n", inspect.getdoc(module) or ""]
    for title, belongs in (*GROUPS[:3], *_kinds(names), *GROUPS[3:]):
        group = [one for one in names if belongs(one.value)]
        names = [one for one in names if one not in group]
        if not group:
            continue
        rows = "\n".join(
            f"| [`{one.name}`][{elsewhere.get(id(one.value), one.path)}] "
            f"| {_cell(_summary(one.value))} |"
            for one in group
        )
        parts += [f"\n## {title}\n", "| name | |\n|---|---|\n" + rows + "\n"]
        parts += [_entry(one) for one in group if id(one.value) not in elsewhere]
    return "\n".join(parts)


def api() -> Section:
    """One page for the front door and one for each family."""
    pages, nav = {}, []
    door, *families = public.modules()
    homes = {id(one.value): one.path for module in families for one in public.names(module)}
    for module in (door, *families):
        path = f"api/{module.__name__.replace('.', '/')}.md"
        pages[path] = _api_page(module, homes if module is door else {})
        nav.append({module.__name__: path})
    return Section({"API": nav}, pages)


# --- papers -----------------------------------------------------------------------------------


def _results(name: str) -> dict[int, dict[str, Any]]:
    """The committed output of `resolvent reproduce NAME --json`, by claim number."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {int(row["claim"]): row for row in found["claims"]}


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _arxiv(paper: Any) -> str:
    return f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else ""


def _verdict(row: dict[str, Any]) -> str:
    text = row.get("verdict", UNMEASURED)
    return f'<span class="verdict verdict-{text.replace(" ", "-")}">{escape(text)}</span>'


def _claim(paper: Any, claim: Any, row: dict[str, Any], shown: set[str]) -> list[str]:
    """One claim: known beside measured, the rule, the reason, and its figure once."""
    seconds = row.get("seconds")
    took = "" if seconds is None else f" It took {seconds:.0f} seconds."
    parts = [
        f"### Claim {claim.number}: {_verdict(row)}\n",
        f"{claim.text}\n",
        f"| {claim.source} | measured here |",
        "|---|---|",
        f"| {_cell(claim.published)} | {_cell(row.get('measured', ''))} |\n",
        f"*Confirmed if:* {claim.confirm}\n" if claim.confirm else "",
        f"*Outcome:* {row['reason']}.{took}\n" if row.get("reason") else f"{took}\n",
    ]
    figure = Path(row.get("figure") or "").name
    if figure and figure not in shown and (RESULTS / figure).exists():
        shown.add(figure)
        parts.append(f"![{escape(paper.name)}, claim {claim.number}]({figure}){{ loading=lazy }}\n")
    return parts


def _snippet(paper: Any) -> str:
    return inspect.cleandoc(paper.snippet)


def _paper_page(paper: Any, paths: dict[str, str]) -> str:
    results = _results(paper.name)
    shown: set[str] = set()
    # A name without a page is a fault that coverage_check reports.
    methods = ", ".join(
        f"[`{name}`][{paths[name]}]" if name in paths else f"`{name}`" for name in paper.methods
    )
    cited = " ".join(
        part
        for part in (f"{paper.authors}.", f"{paper.venue}, {paper.year}.", _arxiv(paper))
        if part
    )
    parts = [
        f"# {escape(paper.title, quote=False)}\n",
        f"{cited}\n",
        f"**Family** `{paper.family}` · **Methods** {methods}\n",
        inspect.cleandoc(paper.summary) + "\n",
        "## Published beside measured\n",
        f"{_verdicts(paper)}. Measure it again: `resolvent reproduce {paper.name}`.\n",
        *(
            line
            for claim in paper.claims
            for line in _claim(paper, claim, results.get(claim.number, {}), shown)
        ),
        "## Use it\n",
        f"```python\n{_snippet(paper)}\n```\n",
    ]
    if paper.notes:
        parts += ["## What differs here\n", inspect.cleandoc(paper.notes) + "\n"]
    return "\n".join(parts)


def _verdicts(paper: Any) -> str:
    """How the claims fared, in one line."""
    counts: dict[str, int] = {}
    results = _results(paper.name)
    for claim in paper.claims:
        verdict = results.get(claim.number, {}).get("verdict", UNMEASURED)
        counts[verdict] = counts.get(verdict, 0) + 1
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _card(paper: Any) -> str:
    words = " ".join(
        str(part)
        for part in (
            paper.title, paper.authors, paper.year, paper.venue, paper.arxiv, paper.family,
            *paper.methods, paper.summary, *(claim.text for claim in paper.claims),
        )
    )  # fmt: skip
    line = inspect.cleandoc(paper.summary).partition("\n\n")[0].replace("\n", " ")
    return (
        f'<li class="paper" data-family="{escape(paper.family)}" '
        f'data-words="{escape(" ".join(words.lower().split()))}" markdown>\n'
        f"**[{escape(paper.title, quote=False)}]({paper.name}.md)**\n"
        f'<span class="paper-meta">{escape(paper.authors)} · {escape(str(paper.venue))} '
        f"{paper.year} · <code>{escape(paper.family)}</code></span>\n"
        f"{line}\n"
        f'<span class="paper-meta">{escape(_verdicts(paper))}</span>\n'
        "</li>\n"
    )


def gallery() -> Section:
    """The list of papers, with search and filter, and a page for each."""
    papers = public.papers()
    paths = public.paths()
    families = sorted({paper.family for paper in papers})
    options = "".join(f'<option value="{escape(one)}">{escape(one)}</option>' for one in families)
    index = [
        "# Papers\n",
        "A published method counts as present when its headline claims have been measured again "
        "here, beside the numbers that its authors printed. Each page shows both, with the "
        "verdict, and a command measures them on your machine.\n",
        '<form id="paper-filter" class="paper-filter" hidden>'
        '<input type="search" id="paper-words" placeholder="Title, author, method, year" '
        'aria-label="Search papers">'
        '<select id="paper-family" aria-label="Family"><option value="">all families</option>'
        f"{options}</select>"
        '<output id="paper-count" for="paper-words paper-family"></output></form>\n',
        '<ul class="papers" markdown>\n',
        *(_card(paper) for paper in papers),
        "</ul>\n",
    ]
    pages = {"papers/index.md": "\n".join(index)}
    nav: list[Any] = ["papers/index.md"]
    for paper in papers:
        path = f"papers/{paper.name}.md"
        pages[path] = _paper_page(paper, paths)
        nav.append({paper.title: path})
    return Section({"Papers": nav}, pages)


# --- benchmarks -------------------------------------------------------------------------------


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return _cell(value)


def _table(path: Path) -> str:
    """One result table: title, text, machine, columns and rows of a committed JSON file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    columns = found["columns"]
    numeric = [
        all(isinstance(row[i], int | float) or row[i] is None for row in found["rows"])
        for i in range(len(columns))
    ]
    lines = [
        f"## {found['title']}\n",
        found.get("text", "") + "\n",
        "| " + " | ".join(_cell(column) for column in columns) + " |",
        "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
    ]
    for row in found["rows"]:
        lines.append("| " + " | ".join("" if v is None else _number(v) for v in row) + " |")
    if found.get("machine"):
        lines.append(f"\n*Measured on {found['machine']}.*\n")
    figure = path.with_suffix(".png")
    if figure.exists():
        lines.append(f"\n![{found['title']}](benchmarks/{figure.name})\n")
    return "\n".join(lines)


def benchmarks() -> Section:
    """One page with every committed result table."""
    tables = sorted(TABLES.glob("*.json"))
    intro = (
        "# Benchmarks\n\n"
        "Every method runs beside its peers in one benchopt benchmark a family: the same "
        "problems, the same certificate, the same process, and failures stay in the table. "
        "Run one from a clone with `pip install '.[bench]'` and `benchopt run benchmarks/FAMILY`.\n"
    )
    missing = "" if tables else "\nNo result tables have been committed yet.\n"
    body = "\n\n".join(_table(path) for path in tables)
    return Section({"Benchmarks": "benchmarks.md"}, {"benchmarks.md": f"{intro}{missing}\n{body}"})
