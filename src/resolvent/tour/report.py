"""The tour's report: one HTML file that stands alone."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from resolvent.tour.section import GAP, RTOL, Attempt, Row, Section

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee6;
  --page: #fbfbfa; --card: #fff; --mark: #0b6e4f; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaef; --soft: #a2adbb; --line: #39424f;
  --page: #15191f; --card: #1d232b; --mark: #5fc9a0; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem; background: var(--page);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; }
.soft, figcaption, caption { color: var(--soft); }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; }
th, td { padding: .5rem .75rem; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.peer td { color: var(--soft); }
.good { color: var(--mark); } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 1.4rem 0; }
img { display: block; max-width: 100%; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; padding: .5rem; }
figcaption { font-size: .9rem; margin-top: .4rem; }
"""


def seconds(value: float) -> str:
    """A duration with its unit, to three digits."""
    if value < 1e-3:
        return f"{value * 1e6:.3g} us"
    if value < 1.0:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s"


def write_report(path: Path, sections: Sequence[Section]) -> Path:
    """Write the report of some stops.

    Args:
        path: the HTML file.
        sections: the stops, in their order.

    Returns:
        The path.
    """
    rows = [section.row for section in sections]
    body = "\n".join(
        [
            "<h1>Resolvent: the tour</h1>",
            "<p class='soft'>Real problems, solved to a certificate: the relative residual "
            "||b - A x|| / ||b|| of a linear system, the relative error of a plan's marginals or "
            "of a fixed point, or what is left of the conditions of optimality under constraints, "
            "recomputed from the data after the method has ended, is at most "
            f"{RTOL:.0e} for every line that says so, and what the players of a game could gain "
            f"at most {GAP:.0e} of the largest payoff. The peer is the fastest of the usual tools "
            "on the same problem, to the same certificate, on this machine.</p>",
            _summary(rows),
            *(_stop(section) for section in sections),
            "<p class='soft'>Wall time of this process on this machine, set-up of preconditioners "
            "included. The small matrices are timed as the median of several solves. Compiling, "
            "once a process, is not included.</p>",
        ]
    )
    path.write_text(
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>Resolvent: the tour</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n",
        encoding="utf-8",
    )
    return path


def _summary(rows: Sequence[Row]) -> str:
    lines = [
        "<tr>"
        f"<td>{html.escape(row.problem)}</td><td class='number'>{row.size:,}</td>"
        f"<td>{html.escape(row.method)}</td><td class='number'>{seconds(row.seconds)}</td>"
        f"<td class='number {_tone(row.converged)}'>{row.certificate:.1e}</td>"
        f"<td>{html.escape(row.peer)}</td><td class='number'>{seconds(row.peer_seconds)}</td>"
        "</tr>"
        for row in rows
    ]
    head = (
        "<tr><th>problem</th><th class='number'>unknowns</th><th>method</th>"
        "<th class='number'>time</th><th class='number'>certificate</th><th>peer</th>"
        "<th class='number'>peer's time</th></tr>"
    )
    return _table(head, lines)


def _table(head: str, lines: Sequence[str]) -> str:
    body = "".join(lines)
    return f"<div class='scroll'><table><thead>{head}</thead><tbody>{body}</tbody></table></div>"


def _stop(section: Section) -> str:
    noted = any(one.note or not one.converged for one in section.attempts)
    lines = [_attempt(one, noted) for one in section.attempts]
    head = (
        "<tr><th>method</th><th class='number'>iterations</th><th class='number'>time</th>"
        f"<th class='number'>certificate</th>{'<th>note</th>' if noted else ''}</tr>"
    )
    return "\n".join(
        [
            f"<h2>{html.escape(section.title)}</h2>",
            *(f"<p>{html.escape(text)}</p>" for text in section.paragraphs),
            _table(head, lines),
            *(_figure(path, caption) for path, caption in section.figures),
        ]
    )


def _attempt(one: Attempt, noted: bool) -> str:
    steps = "" if one.steps is None else f"{one.steps:,}"
    note = one.note if one.converged else f"not certified. {one.note}".strip()
    return (
        f"<tr class='{'peer' if one.peer else 'ours'}'><td>{html.escape(one.label)}</td>"
        f"<td class='number'>{steps}</td><td class='number'>{seconds(one.seconds)}</td>"
        f"<td class='number {_tone(one.converged)}'>{one.certificate:.1e}</td>"
        + (f"<td>{html.escape(note)}</td></tr>" if noted else "</tr>")
    )


def _figure(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = html.escape(caption, quote=True)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _tone(converged: bool) -> str:
    return "good" if converged else "bad"
