"""The referee: the error of the conditions of Karush, Kuhn and Tucker, in NumPy."""

from benchmark_utils.judge import referee
from benchmark_utils.judged import Judged


class Objective(Judged):
    """A point is an answer where the error of the conditions of Karush, Kuhn and Tucker, over the
    gradient's norm at the start, is at most `rtol`.

    Multipliers of other packages are found by least squares, within a factor: a claim is wrong
    where it is more than ten times off.
    """

    name = "Constrained problems"
    referee = referee
    slack = 10.0
