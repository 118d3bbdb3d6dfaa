"""The table of goals: our seconds over the peers' to the same residual, judged in NumPy.

Every row compares on one problem. A solver that missed the tolerance, in its time limit or for
another reason, never counts as a best peer.
"""

import pandas as pd
from benchopt import BasePlot

COLUMNS = ["goal", "ours", "seconds", "against", "seconds of it", "ratio", "asked", "reached"]
ANDERSON = tuple(f"resolvent[method={name}]" for name in ("anderson", "anderson-jit"))
STAGES = tuple(
    f"resolvent[method={name}]" for name in ("sequential", "deer", "quasi-deer", "jacobi")
)
SCAN = "loop[method=scan]"
ASKED = ("deep-equilibrium", "value-iteration")


class Plot(BasePlot):
    name = "Goals"
    type = "table"
    options = {}

    def plot(self, df):
        return goals(df)

    def get_metadata(self, df):
        return {"title": "Goals of the fixed-point family", "columns": COLUMNS}


def goals(df: pd.DataFrame) -> list[list]:
    """The rows of the table, for the problems that the run contains."""
    numbers = ["value", "missed", "claimed", "wrong", "seconds", "steps", "calls", "apart"]
    df = df.assign(solver_name=df["solver_name"].str.lower())
    columns = [f"objective_{name}" for name in numbers]
    runs = df.groupby(["dataset_name", "solver_name"], sort=False)[columns].median()
    runs.columns = numbers
    rows: list[list] = []
    for data in sorted(runs.index.get_level_values(0).unique()):
        here = runs.loc[data]
        asked = 1.0 if data.startswith(ASKED) else None
        for ours in ANDERSON:
            for peer in ("jaxopt", "optimistix", "scipy", "loop"):
                goal = asked if peer in ("jaxopt", "optimistix") else None
                rows += _compare(data, here, ours, peer, goal)
        for ours in STAGES:
            rows += _stages(data, here, ours)
        rows += [_row(data, here, name) for name in here.index]
    return rows + _claims(runs)


def _compare(data, here, ours, peer, asked) -> list[list]:
    theirs = here[[name.startswith(peer) for name in here.index]]
    if ours not in here.index or theirs.empty:
        return []
    mine, missed = here.at[ours, "seconds"], here.at[ours, "missed"] > 0
    label = ours + (" (missed)" if missed else "")
    valid = theirs[theirs["missed"] == 0]
    if valid.empty:
        return [[data, label, _round(mine), f"{peer}: missed", None, None, _asked(asked),
                 _reached(asked, not missed)]]  # fmt: skip
    other = valid["seconds"].min()
    ratio = mine / other
    return [[
        data, label, _round(mine), valid["seconds"].idxmin(), _round(other), _round(ratio),
        _asked(asked), _reached(asked, not missed and ratio <= (asked or 0)),
    ]]  # fmt: skip


def _stages(data, here, ours) -> list[list]:
    """Seconds against a scan, and how far the stages are from what it gives."""
    if ours not in here.index or SCAN not in here.index:
        return []
    run, scan = here.loc[ours], here.loc[SCAN]
    goal = f"{data}, {int(run['steps'])} steps, {run['apart']:.1g} from sequential evaluation"
    label = ours + (" (missed)" if run["missed"] else "")
    return [[
        goal, label, _round(run["seconds"]), SCAN, _round(scan["seconds"]),
        _round(run["seconds"] / scan["seconds"]), "", "",
    ]]  # fmt: skip


def _row(data, here, name) -> list:
    run = here.loc[name]
    how = f"missed, at {run['value']:.2g}" if run["missed"] else f"{int(run['calls'])} calls of T"
    if name == SCAN or name in STAGES:
        how = f"{int(run['steps'])} steps"
    return [f"{data}, all", name, _round(run["seconds"]), how, None, None, "", ""]


def _claims(runs) -> list[list]:
    """For every package, how often it claimed success, and how often wrongly."""
    rows = []
    for name, found in runs.groupby(lambda index: index[1].partition("[")[0]):
        claimed, wrong = int(found["claimed"].sum()), int(found["wrong"].sum())
        mine = name == "resolvent"
        rows.append([
            "wrong claims of success", name, None, f"{claimed} claims", None, wrong,
            "0" if mine else "", _reached(0 if mine else None, wrong == 0),
        ])  # fmt: skip
    return rows


def _round(value) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")


def _asked(asked) -> str:
    return "" if asked is None else f"<= {asked:g}"


def _reached(asked, holds) -> str:
    return "" if asked is None else "yes" if holds else "no"
