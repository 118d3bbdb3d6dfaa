"""Solved shares, wrong claims and seconds on the same problems, judged by the KKT error alone.
A claim is wrong where that is more than ten times the tolerance, because multipliers of packages
that tell none are found by least squares, within a factor.

`first` counts the problems that no other solver solved in fewer seconds, `within 4x` those that
took at most four times the least seconds there. Seconds are medians of solved problems, compiled
beforehand; `compiling` has those of set-up and compilation.
"""

from benchmark_utils.profiles import COLUMNS, figure, goals
from benchopt import BasePlot

__all__ = ["COLUMNS", "Plot", "figure", "goals"]


class Plot(BasePlot):
    name = "Goals"
    type = "table"
    options = {}

    def plot(self, df):
        return goals(df)

    def get_metadata(self, df):
        return {"title": "Shares solved", "columns": COLUMNS}
