"""Rows of a table and performance profiles of solvers on collections of problems."""

import json

import numpy as np
import pandas as pd

COLUMNS = [
    "problems", "solver", "solved", "of", "wrong claims", "first", "within 4x", "seconds",
    "compiling", "evaluations",
]  # fmt: skip
WITHIN = 4.0
MEASURES = {"seconds": "seconds", "evaluations": "points evaluated"}
FURTHEST = 1e4


def goals(df: pd.DataFrame) -> list[list]:
    """The rows of the table: one for each solver and collection, best first."""
    rows = []
    for data, here in df.groupby("dataset_name", sort=True):
        ratios, _ = profile(here, "seconds")
        runs = here.groupby("solver_name", sort=False).last()
        for name in _order(ratios):
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


def profile(here: pd.DataFrame, measure: str) -> tuple[dict, int]:
    """Each solver's measure over the best one's, by problem; infinity where it did not solve it."""
    found = {
        name: {run["name"]: run[measure] for run in json.loads(runs.iloc[-1]) if run["solved"]}
        for name, runs in here.groupby("solver_name", sort=False)["objective_runs"]
    }
    names = sorted({
        run["name"] for runs in here["objective_runs"] for run in json.loads(runs)
    })  # fmt: skip
    best = {n: min(one.get(n, np.inf) for one in found.values()) for n in names}
    ratios = {
        solver: np.array([one[n] / best[n] if n in one else np.inf for n in names])
        for solver, one in found.items()
    }
    return ratios, len(names)


def figure(df: pd.DataFrame, path) -> None:
    """Performance profiles: the share of problems solved within a factor of the least."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    collections = sorted(df["dataset_name"].unique())
    solvers = sorted(df["solver_name"].unique())
    look = {name: _look(name, i) for i, name in enumerate(solvers)}
    shape = {"figsize": (5.2 * len(collections), 7.6), "layout": "constrained"}
    whole, axes = plt.subplots(len(MEASURES), len(collections), squeeze=False, sharey=True, **shape)
    for row, (measure, words) in zip(axes, MEASURES.items(), strict=True):
        for at, data in zip(row, collections, strict=True):
            ratios, asked = profile(df[df["dataset_name"] == data], measure)
            for name in _order(ratios):
                factors = np.sort(ratios[name][np.isfinite(ratios[name])])
                if not factors.size:
                    continue
                share = np.arange(1, factors.size + 1) / asked
                at.step(
                    np.r_[1.0, factors, FURTHEST], np.r_[0.0, share, share[-1:]], where="post",
                    label=name.lower(), **look[name],
                )  # fmt: skip
            at.set(
                xscale="log", xlim=(0.9, FURTHEST), ylim=(0, 1.03), xlabel=f"{words} over the least"
            )
            at.set_title(data, fontsize=9)
            at.legend(fontsize=7, loc="lower right")
        row[0].set_ylabel("share of the problems")
    whole.savefig(path, dpi=110)
    plt.close(whole)


def _look(name: str, i: int) -> dict:
    """Ten colours, and more strokes where there are more solvers."""
    strokes = ("-", "-.") if name.lower().startswith("resolvent") else ("--", ":")
    return {"color": f"C{i % 10}", "linestyle": strokes[min(i // 10, 1)]}


def _order(ratios: dict) -> list[str]:
    """The solvers, the one that solved most first."""
    return sorted(ratios, key=lambda name: -np.isfinite(ratios[name]).mean())


def _round(value) -> float | None:
    return None if pd.isna(value) else float(f"{value:.3g}")
