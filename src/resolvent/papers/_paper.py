"""What a paper is: its citation, its claims, and what was measured of them."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

Verdict = Literal["confirmed", "confirmed in part", "not confirmed"]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement of a paper that can be measured.

    Attributes:
        number: its number in the paper's list of claims, from 1.
        text: what is claimed, in one sentence.
        published: the numbers to compare with.
        confirm: the rule by which a measurement confirms it, fixed before measuring.
        source: where these numbers come from: `published` by the authors, or `measured before` in a
            run of this project's own, where the authors print plots.
    """

    number: int
    text: str
    published: str
    confirm: str
    source: Literal["published", "measured before"] = "published"


@dataclasses.dataclass(frozen=True)
class Paper:
    """A published method whose claims are measured again here.

    The module that defines one as `PAPER` has a function `claim_N(settings) -> Measured` for each
    of its claims.

    Attributes:
        name: what the command line calls it, words joined by hyphens.
        title: the paper's title.
        authors: as they are cited.
        year: of publication.
        venue: conference or journal.
        arxiv: identifier, or empty.
        family: the family of its methods.
        methods: public names of that family that implement it.
        summary: the problem and the method; the first paragraph stands alone in lists.
        claims: what is measured.
        snippet: a runnable example.
        notes: what differs from the paper here, and why.
    """

    name: str
    title: str
    authors: str
    year: int
    venue: str
    arxiv: str
    family: str
    methods: tuple[str, ...]
    summary: str
    claims: tuple[Claim, ...]
    snippet: str
    notes: str = ""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of one claim. Experiments return it from `judge`.

    Attributes:
        measured: the measurement in one readable line.
        verdict: `confirmed`, `confirmed in part` or `not confirmed`.
        reason: which conditions held and which did not.
        figure: a matplotlib figure, or None.
        numbers: the measured numbers themselves, for machines.
        claim: the claim's number.
        published: the claim's published numbers.
        seconds: wall time of the claim's experiments, shared ones included.
    """

    measured: str
    verdict: Verdict
    reason: str = ""
    figure: Any = None
    numbers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    claim: int = 0
    published: str = ""
    seconds: float = 0.0


def judge(
    checks: Mapping[str, bool],
    measured: str,
    *,
    figure: Any = None,
    numbers: Mapping[str, Any] | None = None,
    remark: str = "",
    reservation: str = "",
) -> Measured:
    """The verdict that follows from the conditions of a claim.

    Args:
        checks: each condition in words, and whether the measured numbers meet it.
        measured: the measurement in one readable line.
        figure: a matplotlib figure; claims may share one.
        numbers: the measured numbers, for machines.
        remark: what a reader should know beside the conditions, for example the reason of a miss.
        reservation: why the claim is confirmed in part at most, even where all conditions hold.

    Returns:
        `confirmed` when all conditions hold and there is no reservation, `confirmed in part` when
        some do.
    """
    held = [bool(holds) for holds in checks.values()]
    verdict: Verdict = "not confirmed"
    if held and all(held) and not reservation:
        verdict = "confirmed"
    elif any(held):
        verdict = "confirmed in part"
    missed = [text for text, holds in checks.items() if not holds]
    met = [text for text, holds in checks.items() if holds]
    parts = []
    if missed:
        parts.append("not met: " + "; ".join(missed))
    if met:
        parts.append("met: " + "; ".join(met))
    parts += [text for text in (reservation, remark) if text]
    return Measured(measured, verdict, ". ".join(parts), figure, dict(numbers or {}))


class Settings:
    """What an experiment is told: its scale, whom to report to, what was measured already.

    Attributes:
        full: measure at the paper's scale, however long it takes.
        tiny: measure at a scale of seconds, to see that the experiment runs; the verdicts at this
            scale mean nothing.
    """

    def __init__(
        self,
        *,
        full: bool = False,
        tiny: bool = False,
        progress: Callable[[str], Any] | None = None,
    ):
        self.full, self.tiny = full, tiny
        self._progress = progress
        self._runs: dict[Any, _Run] = {}
        self._open: list[_Run] = []

    def pick(self, default: Any, *, full: Any = None, tiny: Any = None) -> Any:
        """A parameter at the present scale; one that is not given is the default one."""
        if self.full and full is not None:
            return full
        return tiny if self.tiny and tiny is not None else default

    def say(self, text: str) -> None:
        """Report what is being measured, in one line."""
        if self._progress is not None:
            self._progress(text)

    def once(self, experiment: Callable[..., Any], *arguments: Any) -> Any:
        """`experiment(settings, *arguments)`, run once however many claims ask for it."""
        key = (experiment, arguments)
        if key not in self._runs:
            run = _Run()
            self._runs[key] = self._within(run, experiment, *arguments)
        for outer in self._open:
            outer.used.update(self._runs[key].used | {key})
        return self._runs[key].result

    def timed(self, measure: Callable[["Settings"], Measured]) -> tuple[Measured, float]:
        """A claim's measurement and its seconds, those of shared experiments included."""
        run = self._within(_Run(), measure)
        return run.result, run.seconds + sum(self._runs[key].seconds for key in run.used)

    def _within(self, run: "_Run", experiment: Callable[..., Any], *arguments: Any) -> "_Run":
        """Run an experiment; its own seconds leave out those of the experiments inside it."""
        self._open.append(run)
        began = time.perf_counter()
        try:
            run.result = experiment(self, *arguments)
        finally:
            self._open.pop()
        elapsed = time.perf_counter() - began
        run.seconds += elapsed
        if self._open:
            self._open[-1].seconds -= elapsed
        return run


class _Run:
    """One experiment: what came out, its own seconds, the experiments that it stands on."""

    def __init__(self) -> None:
        self.result: Any = None
        self.seconds = 0.0
        self.used: set[Any] = set()


def new_figure(columns: int = 1, rows: int = 1, *, width: float = 6.4, height: float = 4.2) -> Any:
    """A matplotlib figure and its axes in the gallery's style.

    Args:
        columns: of axes.
        rows: of axes.
        width: of one of the axes, in inches.
        height: of one of the axes, in inches.

    Returns:
        The figure, and its axes: one, or an array of them.

    Example:
        ```python
        from resolvent.papers import new_figure
        figure, axes = new_figure(columns=2)
        axes[0].plot([1, 2, 3])
        ```
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns)
    for one in [axes] if columns == rows == 1 else axes.flat:
        one.grid(True, which="major", alpha=0.35)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes
