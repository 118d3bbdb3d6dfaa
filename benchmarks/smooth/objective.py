"""The referee: the norm of the gradient, over that at the start."""

from benchmark_utils.judge import referee
from benchmark_utils.judged import Judged


class Objective(Judged):
    """A point is an answer where the gradient's norm, over that at the start, is at most `rtol`."""

    name = "Smooth problems"
    referee = referee
