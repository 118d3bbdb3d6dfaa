"""Solved shares, wrong claims and seconds on the same problems, judged by the KKT error alone.
A claim is wrong where that is more than ten times the tolerance, because multipliers of packages
that tell none are found by least squares, within a factor.

`first` counts the problems that no other solver solved in fewer seconds, `within 4x` those that
took at most four times the least seconds there. Seconds are medians of solved problems, compiled
beforehand; `compiling` has those of set-up and compilation.
"""

import json

import numpy as np
import pandas as pd
from benchopt import BasePlot

COLUMNS = [
    "problems", "solver", "solved", "of", "wrong claims", "first", "within 4x", "seconds",
    "compiling", "evaluations",
]  # fmt: skip
WITHIN = 4.0


class Plot(BasePlot):
    name = "Goals"
    type = "table"
    options = {}

    def plot(self, df):
        return goals(df)

    def get_metadata(self, df):
        return {"title": "Shares solved", "columns": COLUMNS}


def goals(df: pd.DataFrame) -> list[list]:
    """The rows of the table: one for each solver and collection, best first."""
    rows = []
    for data, here in df.groupby("dataset_name", sort=True):
        ratios, _ = profile(here)
        runs = here.groupby("solver_name", sort=False).last()
        order = sorted(runs.index, key=lambda name: -np.isfinite(ratios[name]).mean())
        for name in order:
            run = runs.loc[name]
            if not run["objective_asked"]:  # a solver of another kind
                continue
            rows.append([
                data, name.lower(), int(run["objective_solved"]), int(run["objective_asked"]),
                int(run["objective_wrong"]), int((ratios[name] <= 1.0).sum()),
                int((ratios[name] <= WITHIN).sum()), *(
                    _round(run[f"objective_{each}"])
                    for each in ("seconds", "compiling", "evaluations")
                ),
            ])  # fmt: skip
    return rows


def profile(here: pd.DataFrame) -> tuple[dict, int]:
    """Each solver's seconds over the best one's, by problem; infinity where it did not solve it."""
    seconds = {
        name: {run["name"]: run["seconds"] for run in json.loads(runs.iloc[-1]) if run["solved"]}
        for name, runs in here.groupby("solver_name", sort=False)["objective_runs"]
    }
    names = sorted({
        run["name"] for runs in here["objective_runs"] for run in json.loads(runs)
    })  # fmt: skip
    best = {n: min(found.get(n, np.inf) for found in seconds.values()) for n in names}
    ratios = {
        solver: np.array([found[n] / best[n] if n in found else np.inf for n in names])
        for solver, found in seconds.items()
    }
    return ratios, len(names)


def figure(df: pd.DataFrame, path) -> None:
    """Performance profiles: the share of problems solved within a factor of the best seconds."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    collections = sorted(df["dataset_name"].unique())
    shape = {"figsize": (5.2 * len(collections), 4.2), "layout": "constrained"}
    whole, axes = plt.subplots(1, len(collections), squeeze=False, sharey=True, **shape)
    for at, data in zip(axes[0], collections, strict=True):
        ratios, asked = profile(df[df["dataset_name"] == data])
        for name, values in sorted(ratios.items(), key=lambda pair: -np.isfinite(pair[1]).mean()):
            factors = np.sort(values[np.isfinite(values)])
            share = np.arange(1, factors.size + 1) / asked
            ours = name.lower().startswith("resolvent")
            at.step(
                np.r_[1.0, factors, 1e4], np.r_[0.0, share, share[-1:] if share.size else [0.0]],
                where="post", linestyle="-" if ours else "--", label=name.lower(),
            )  # fmt: skip
        at.set(xscale="log", xlim=(1, 1e4), ylim=(0, 1), title=data,
               xlabel="seconds over the least ones")  # fmt: skip
        at.legend(fontsize=7)
    axes[0][0].set_ylabel("share of the problems")
    whole.savefig(path, dpi=110)
    plt.close(whole)


def _round(value) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")
