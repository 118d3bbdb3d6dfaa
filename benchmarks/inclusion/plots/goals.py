"""The table of goals: our seconds over the peers' to the same gap or residual, judged in NumPy.

Every row compares on one problem. A solver that missed the tolerance, in its time limit or for
another reason, never counts as a best peer.
"""

import pandas as pd
from benchopt import BasePlot

COLUMNS = ["goal", "ours", "seconds", "against", "seconds of it", "ratio", "asked", "reached"]
DETERMINISTIC = tuple(
    f"resolvent[method={name}]" for name in
    ("extragradient", "anchored", "accelerated", "optimistic", "golden-ratio", "mirror-prox",
     "forward-backward")
)  # fmt: skip
REDUCED = tuple(
    f"resolvent[method=vr-{name}]" for name in ("halpern", "extragradient", "resolvent")
)
OURS = "resolvent[method=primal-dual]"
LOOPS = tuple(f"numpy[method={name}]" for name in ("primal-dual", "primal-dual-average"))


class Plot(BasePlot):
    name = "Goals"
    type = "table"
    options = {}

    def plot(self, df):
        return goals(df)

    def get_metadata(self, df):
        return {"title": "Goals of the inclusion family", "columns": COLUMNS}


def goals(df: pd.DataFrame) -> list[list]:
    """The rows of the table, for the problems that the run contains."""
    numbers = ["value", "missed", "claimed", "wrong", "seconds", "steps", "calls"]
    df = df.assign(solver_name=df["solver_name"].str.lower())
    columns = [f"objective_{name}" for name in numbers]
    runs = df.groupby(["dataset_name", "solver_name"], sort=False)[columns].median()
    runs.columns = numbers
    rows: list[list] = []
    for data in sorted(runs.index.get_level_values(0).unique()):
        here = runs.loc[data]
        large = "n=2000" in data and data.startswith("matrix-game")
        loop, peers = _best(here, LOOPS), _best(here, ("numpy", "jaxopt", "scipy"))
        rows += _compare(data, here, OURS, loop, 1.0 if large else None)
        rows += _reading(data, here, 1.3 if large else None)
        rows += _compare(data, here, OURS, peers, None)
        ours = _best(here, (*DETERMINISTIC, OURS))
        if ours != OURS:
            rows += _compare(data, here, ours, peers, None)
        rows += _calls(data, here)
        rows += [_row(data, here, name) for name in here.index]
    return rows + _claims(runs)


def _best(here: pd.DataFrame, begins: tuple[str, ...], by: str = "seconds") -> str | None:
    """Who reached the tolerance first."""
    found = here[[name.startswith(begins) for name in here.index]]
    found = found[found["missed"] == 0]
    return None if found.empty else str(found[by].idxmin())


def _compare(data, here, ours, against, asked) -> list[list]:
    if ours is None or ours not in here.index:
        return []
    mine, missed = here.at[ours, "seconds"], here.at[ours, "missed"] > 0
    label = ours + (" (missed)" if missed else "")
    if against is None:
        words = "no peer reached rtol"
        return [[data, label, _round(mine), words, None, None, _asked(asked),
                 _reached(asked, not missed)]]  # fmt: skip
    other = here.at[against, "seconds"]
    ratio = mine / other
    return [[
        data, label, _round(mine), against, _round(other), _round(ratio), _asked(asked),
        _reached(asked, not missed and ratio <= (asked or 0)),
    ]]  # fmt: skip


def _reading(data, here, asked) -> list[list]:
    """Seconds of a step over those of the two products with the matrix that are in it."""
    reading = "numpy[method=reading]"
    if reading not in here.index:
        return []
    rows, price = [], here.at[reading, "seconds"] / here.at[reading, "steps"]
    for name in (OURS, *LOOPS):
        if name in here.index:
            each = here.at[name, "seconds"] / max(here.at[name, "calls"], 1)
            mine = asked if name == OURS else None
            rows.append([
                f"{data}, a step", name, _round(each), "two products in NumPy", _round(price),
                _round(each / price), _asked(mine), _reached(mine, each / price <= (mine or 0)),
            ])  # fmt: skip
    return rows


def _calls(data, here) -> list[list]:
    """Evaluations of F by the best variance-reduced method over the best other one."""
    first, second = _best(here, REDUCED, "calls"), _best(here, DETERMINISTIC, "calls")
    if first is None or second is None:
        return []
    mine, other = here.at[first, "calls"], here.at[second, "calls"]
    return [[
        f"{data}, {mine:.3g} against {other:.3g} evaluations of F", first,
        _round(here.at[first, "seconds"]), second, _round(here.at[second, "seconds"]),
        _round(mine / other), "", "",
    ]]  # fmt: skip


def _row(data, here, name) -> list:
    run = here.loc[name]
    how = f"missed, at {run['value']:.2g}" if run["missed"] else f"{int(run['steps'])} steps"
    return [f"{data}, all", name, _round(run["seconds"]), how, None, None, "", ""]


def _claims(runs) -> list[list]:
    """For every package, how often it claimed success, and how often wrongly."""
    rows = []
    packages = runs.groupby(lambda index: index[1].partition("[")[0])
    for name, found in packages:
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
