"""Measure the claims of a paper and keep what came out."""

import dataclasses
import importlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from resolvent._core.checks import refuse
from resolvent.papers._paper import Claim, Measured, Paper, Settings
from resolvent.papers._shelf import find, module_of


def reproduce(
    paper: Paper | str,
    claim: int | None = None,
    full: bool = False,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[str], Any] | None = None,
    *,
    tiny: bool = False,
) -> dict[str, Any]:
    """Measure a paper's claims again and set them beside the published numbers.

    Args:
        paper: the paper or its name.
        claim: the number of one claim; all when absent.
        full: measure at the paper's scale, however long it takes.
        out: a folder for the results: `<name>.json` (`<name>-claim-N.json` for one claim) and
            the figures as PNG; nothing is written when absent.
        progress: called with a line of text before each part.
        tiny: measure at a scale of seconds, to see that the experiments run; the verdicts at this
            scale mean nothing.

    Returns:
        `{"paper": name, "claims": [...]}`, one dict a claim with the keys `claim` (its number),
        `published`, `source` (of these numbers), `measured`, `verdict`, `seconds`, `figure` (a
        path or None), `text`, `confirm`, `reason` and `numbers`.

    Raises:
        ValueError: for an unknown paper or claim.

    Example:
        ```python
        from resolvent.papers import reproduce
        result = reproduce("polynomial-preconditioning", claim=1, tiny=True)
        assert result["claims"][0]["claim"] == 1
        ```
    """
    paper = find(paper) if isinstance(paper, str) else paper
    claims = [one for one in paper.claims if claim is None or one.number == claim]
    if not claims:
        numbers = ", ".join(str(one.number) for one in paper.claims)
        refuse(
            ValueError, "claim", given=f"{claim}", needed=f"a claim of {paper.name}: {numbers}",
            advice="Leave it out to measure all.",
        )  # fmt: skip
    settings = Settings(full=full, tiny=tiny, progress=progress)
    module = importlib.import_module(module_of(paper))
    found = []
    for one in claims:
        settings.say(f"claim {one.number}: {one.text}")
        result, seconds = settings.timed(getattr(module, f"claim_{one.number}"))
        found.append(
            dataclasses.replace(result, claim=one.number, published=one.published, seconds=seconds)
        )
    folder = None if out is None else Path(out)
    figures = {} if folder is None else _save_figures(paper, found, folder)
    rows = [
        _row(one, result, None if folder is None else figures.get(result.claim))
        for one, result in zip(claims, found, strict=True)
    ]
    if folder is not None:
        name = paper.name if claim is None else f"{paper.name}-claim-{claim}"
        _write(folder / f"{name}.json", {"paper": paper.name, "claims": rows})
        for row in rows:
            row["figure"] = None if row["figure"] is None else str(folder / row["figure"])
    return {"paper": paper.name, "claims": rows}


def _row(claim: Claim, result: Measured, figure: str | None) -> dict[str, Any]:
    return {
        "claim": claim.number,
        "text": claim.text,
        "published": claim.published,
        "source": claim.source,
        "measured": result.measured,
        "verdict": result.verdict,
        "reason": result.reason,
        "confirm": claim.confirm,
        "seconds": round(result.seconds, 6),
        "figure": figure,
        "numbers": _plain(result.numbers),
    }


def _save_figures(paper: Paper, found: list[Measured], folder: Path) -> dict[int, str]:
    """The file names by claim; a figure that claims share is one file."""
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[int, str] = {}
    saved: dict[int, str] = {}
    for result in found:
        figure = result.figure
        if figure is None:
            continue
        if id(figure) not in saved:
            saved[id(figure)] = f"{paper.name}-{result.claim}.png"
            figure.savefig(folder / saved[id(figure)], dpi=150)
        names[result.claim] = saved[id(figure)]
    return names


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace the file whole, so that an interruption leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".json.part")
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)


def _plain(value: Any) -> Any:
    """Numbers as JSON has them: no arrays, no NaN or infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
