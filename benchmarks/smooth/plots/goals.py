"""Problems of CUTEst without constraints: solved where the gradient, as the referee computes it
from the problem, comes to 1e-6 of its norm at the standard start within 60 seconds of one core.

A stationary point is an answer whichever it is, and claims of success elsewhere are wrong. `first`
counts the problems that no other solver solved in fewer seconds, `within 4x` those that took at
most four times the least seconds there. Seconds are medians of solved problems, compiled
beforehand; `compiling` has those of set-up and compilation, `evaluations` the points at which
gradients were taken (for optimistix, whose counts are not told, its steps).
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
