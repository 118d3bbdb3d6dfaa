"""The table of goals: our seconds over the best peer's to the same duality gap, judged in NumPy.

Every row compares on one problem. A solver that missed the tolerance, in its time limit or for
another reason, never counts as a best peer. First calls are those of a process of its own.
"""

import pandas as pd
from benchopt import BasePlot

COLUMNS = ["goal", "ours", "seconds", "against", "seconds of it", "ratio", "asked", "reached"]
ASKED = {
    "lasso": 1.0, "path": 0.8, "logistic": 1.0, "groups": 1.0, "mcp": 1.0,
    "programs": 1.0, "denoising": 0.5,
}  # fmt: skip
THIRD = 1 / 3  # of a loop's seconds, where many programs are solved at once


class Plot(BasePlot):
    name = "Goals"
    type = "table"
    options = {}

    def plot(self, df):
        return goals(df)

    def get_metadata(self, df):
        return {"title": "Goals of the composite family", "columns": COLUMNS}


def goals(df: pd.DataFrame) -> list[list]:
    """The rows of the table, for the problems that the run contains."""
    numbers = ["value", "missed", "claimed", "wrong", "first", "seconds", "steps", "extra"]
    df = df.assign(solver_name=df["solver_name"].str.lower())
    columns = [f"objective_{name}" for name in numbers]
    runs = df.groupby(["dataset_name", "solver_name"], sort=False)[columns].median()
    runs.columns = numbers
    compared: list[list] = []
    first: list[list] = []
    every: list[list] = []
    for data in sorted(runs.index.get_level_values(0).unique()):
        here = runs.loc[data]
        asked = ASKED.get(data.partition("[")[0])
        asked = THIRD if "kind=batch" in data else asked
        mine = [name.startswith("resolvent") for name in here.index]
        ours, peers = here[mine], here[[not each for each in mine]]
        compared.append(_compare(data, ours, peers, "seconds", asked))
        first.append(_compare(f"{data}, first call", ours, peers, "first", None))
        every += [_row(data, here, name) for name in here.index]
    # What one looks for first; each solver's own numbers behind it.
    return compared + _claims(runs) + first + every


def _compare(words, ours, peers, by, asked) -> list:
    """The best of ours and of the peers that reached the tolerance."""
    mine, other = (found[found["missed"] == 0][by] for found in (ours, peers))
    if mine.empty:
        return [words, "missed", None, None, None, None, _asked(asked), _reached(asked, False)]
    name, seconds = mine.idxmin(), mine.min()
    if other.empty:
        none = "no peer reached it"
        return [words, name, _round(seconds), none, None, None, _asked(asked),
                _reached(asked, True)]  # fmt: skip
    ratio = seconds / other.min()
    return [words, name, _round(seconds), other.idxmin(), _round(other.min()), _round(ratio),
            _asked(asked), _reached(asked, ratio <= (asked or 0))]  # fmt: skip


def _row(data, here, name) -> list:
    run = here.loc[name]
    if pd.isna(run["seconds"]):
        how = "not done in its time"
    else:
        how = f"{'missed, at' if run['missed'] else 'at'} {run['value']:.2g}"
    return [f"{data}, all", name, _round(run["seconds"]), how, None, None, "", ""]


def _claims(runs) -> list[list]:
    """For every package, how often it claimed success, and how often wrongly."""
    rows = []
    for name, found in runs.groupby(lambda index: index[1].partition("[")[0]):
        claimed, wrong = int(found["claimed"].sum()), int(found["wrong"].sum())
        mine = name.startswith("resolvent")
        rows.append([
            "claims of a tolerance that was missed", name, None, f"{claimed} claims", None, wrong,
            "0" if mine else "", _reached(0 if mine else None, wrong == 0),
        ])  # fmt: skip
    return rows


def _round(value) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")


def _asked(asked) -> str:
    return "" if asked is None else f"<= {asked:.3g}"


def _reached(asked, holds) -> str:
    return "" if asked is None else "yes" if holds else "no"
