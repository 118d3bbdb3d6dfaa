"""The table of goals: our seconds over the best peer's to the same marginal error.

Every row is one goal. Seconds are those of whole solves; a solver that missed the tolerance never
counts as a best peer, and one that was stopped at its time limit bounds the ratio from above.
"""

import pandas as pd
from benchopt import BasePlot

COLUMNS = ["goal", "ours", "seconds", "against", "seconds of it", "ratio", "asked", "reached"]

OURS, SWEEPS, NEWTON = (f"resolvent[method={m}]" for m in ("default", "sinkhorn", "newton"))
PEERS = {"POT and OTT-JAX": ("pot[", "ott["), "regot": ("regot[",)}
ALL = {"POT, OTT-JAX and regot": ("pot[", "ott[", "regot[")}


class Plot(BasePlot):
    name = "Goals"
    type = "table"
    options = {}

    def plot(self, df):
        return goals(df)

    def get_metadata(self, df):
        return {"title": "Goals of the transport family", "columns": COLUMNS}


def goals(df: pd.DataFrame) -> list[list]:
    """The rows of the table, for the problems that the run contains."""
    table = Results(df)
    rows: list[list] = []
    for data in table.problems("assignment["):
        size = int(data.partition("n=")[2].partition(",")[0])
        if size == 500:
            rows += table.compare(data, PEERS["POT and OTT-JAX"], "POT and OTT-JAX", 0.01)
            rows += table.compare(data, PEERS["regot"], "regot", 1.0)
        else:
            rows += table.compare(data, *_all(), 1.0)
    for data in [*table.problems("digits["), *table.problems("photographs[")]:
        smallest = "epsilon=0.0001" in data
        for names, asked in (("POT and OTT-JAX", 0.3334), ("regot", 1.2)):
            rows += table.compare(data, PEERS[names], names, asked if smallest else None)
    for data in table.problems("large-epsilon["):
        rows += table.compare(data, *_all(), 1.1)
    for data in table.problems(""):
        rows += table.compare(data, (SWEEPS,), SWEEPS, 1.1, ours=NEWTON)
    rows += table.memory()
    rows += table.sequences()
    return rows + table.claims()


def _all():
    (name, peers), *_ = ALL.items()
    return peers, name


class Results:
    """A run, by problem and solver."""

    def __init__(self, df: pd.DataFrame):
        names = ["dataset_name", "solver_name"]
        df = df.assign(solver_name=df["solver_name"].str.lower())
        columns = [name for name in df.columns if name.startswith("objective_")]
        numbers = [name for name in columns if pd.api.types.is_numeric_dtype(df[name])]
        worst = [f"objective_{name}" for name in ("missed", "claimed", "wrong")]
        grouped = df.groupby(names, sort=False)[numbers]
        self.runs = grouped.median()
        self.runs[worst] = grouped.max()[worst]
        self.runs.columns = [name.removeprefix("objective_") for name in numbers]

    def problems(self, begin: str) -> list[str]:
        """The problems whose name begins so, in the order of the run."""
        names = self.runs.index.get_level_values(0).unique()
        return sorted((n for n in names if n.startswith(begin)), key=_by_number)

    def on(self, data: str) -> pd.DataFrame:
        """What every solver did on a problem."""
        return self.runs.loc[data]

    def compare(self, data, peers, names, asked, ours=OURS) -> list[list]:
        """Our seconds over those of the fastest of the peers that reached the tolerance."""
        here = self.on(data)
        theirs = here[[name.startswith(peers) and name != ours for name in here.index]]
        if ours not in here.index or theirs.empty:
            return []
        mine, missed = here.at[ours, "seconds"], here.at[ours, "missed"] > 0
        label = ours + (" (missed)" if missed else "")
        valid = theirs[theirs["missed"] == 0]
        stopped = theirs[theirs["stopped"] > 0]
        bound = ""
        if len(valid):
            against = valid["seconds"].idxmin()
            best = float(valid["seconds"].min())
            shown = _round(best)
        elif len(stopped):
            against, best = f"{names}: missed", float(stopped["limit"].min())
            shown, bound = f"> {best:g}", "< "
        else:
            return [[data, label, _round(mine), f"{names}: missed", None, None,
                     _asked(asked), _reached(asked, not missed)]]  # fmt: skip
        ratio = mine / best
        return [[
            data, label, _round(mine), against, shown, f"{bound}{ratio:.3g}",
            _asked(asked), _reached(asked, not missed and (asked is None or ratio <= asked)),
        ]]  # fmt: skip

    def memory(self) -> list[list]:
        """Memory beyond the inputs, where no matrix is stored."""
        rows = []
        for data in self.problems("point-clouds["):
            for name, run in self.on(data).iterrows():
                mine = name == OURS
                ok = run["missed"] == 0 and run["memory"] <= 500
                label = f"{name} (missed)" if run["missed"] else name
                used = None if run["missed"] else round(float(run["memory"]))
                rows.append([
                    f"{data}, MB beyond the inputs", label, _round(run["seconds"]), "", None,
                    used, "<= 500" if mine else "",
                    ("yes" if ok else "no") if mine else "",
                ])  # fmt: skip
        return rows

    def sequences(self) -> list[list]:
        """Oracle calls of a sequence with memory over those of cold solves."""
        rows = []
        for data in self.problems("sequence["):
            here = self.on(data)
            for warm, cold in ((OURS, "resolvent[method=cold]"),):
                if warm in here.index and cold in here.index:
                    ratio = here.at[warm, "calls"] / here.at[cold, "calls"]
                    ok = ratio <= 0.3 and not here.loc[[warm, cold], "missed"].any()
                    rows.append([
                        f"{data}, calls of the oracle", warm, _round(here.at[warm, "seconds"]),
                        cold, _round(here.at[cold, "seconds"]), _round(ratio), "<= 0.3",
                        "yes" if ok else "no",
                    ])  # fmt: skip
        return rows

    def claims(self) -> list[list]:
        """For every solver, how often it claimed success, and how often wrongly."""
        rows = []
        for name, runs in self.runs.groupby(level=1):
            claimed, wrong, reached = (
                int(count) for count in
                (runs["claimed"].sum(), runs["wrong"].sum(), (runs["missed"] == 0).sum())
            )  # fmt: skip
            mine = str(name).startswith("resolvent")
            rows.append([
                "wrong claims of success", name, None,
                f"{claimed} claims, {reached} of {len(runs)} problems solved", None, wrong,
                "0" if mine else "", ("yes" if wrong == 0 else "no") if mine else "",
            ])  # fmt: skip
        return rows


def _by_number(name: str) -> tuple:
    """Sizes in their order as numbers, the rest in that of the alphabet."""
    size = name.partition("n=")[2].partition(",")[0].partition("]")[0]
    return name.partition("[")[0], int(size) if size.isdigit() else 0, name


def _round(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")


def _asked(asked) -> str:
    return "" if asked is None else f"<= {asked:g}"


def _reached(asked, holds) -> str:
    return "" if asked is None else "yes" if holds else "no"
