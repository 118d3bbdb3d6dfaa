"""Published methods whose headline claims are measured again: one module a paper.

A module of this folder is a paper when it defines `PAPER`, a `Paper`, and for each claim N of it a
function `claim_N(settings) -> Measured`. It is found by being there: nothing else is edited for a
new paper. Such a module imports its experiment's tools inside functions, so that listing papers
stays fast. A module whose name begins with an underscore holds what experiments share.

    from resolvent.papers import Claim, Measured, Paper, Settings, judge, new_figure

    PAPER = Paper(name="some-method", ..., claims=(Claim(1, "It is fast.", "3 s", "<= 4 s"),))

    def _race(settings):                      # an experiment that several claims use
        size = settings.pick(1000, full=100_000, tiny=50)
        settings.say(f"race at {size} unknowns")
        ...
        return seconds

    def claim_1(settings: Settings) -> Measured:
        seconds = settings.once(_race)        # runs once for all claims
        figure, axes = new_figure()
        ...
        return judge({"at most 4 s": seconds <= 4.0}, f"{seconds:.1f} s", figure=figure,
                     numbers={"seconds": seconds})
"""

from resolvent.papers._paper import Claim as Claim
from resolvent.papers._paper import Measured as Measured
from resolvent.papers._paper import Paper as Paper
from resolvent.papers._paper import Settings as Settings
from resolvent.papers._paper import Verdict as Verdict
from resolvent.papers._paper import judge as judge
from resolvent.papers._paper import new_figure as new_figure
from resolvent.papers._reproduce import reproduce as reproduce
from resolvent.papers._shelf import all_papers as all_papers
from resolvent.papers._shelf import find as find
from resolvent.papers._shelf import search as search

__all__ = [
    "Claim",
    "Measured",
    "Paper",
    "Settings",
    "Verdict",
    "all_papers",
    "find",
    "judge",
    "new_figure",
    "reproduce",
    "search",
]
